#!/usr/bin/env python3
"""Judges maps by scikit-learn, and makes the rows and numbers of tests/unit/test_map.c.

    map_sklearn.py compare EMBEDDING TABLE   trustworthiness of the table's map, of scikit-learn's
                                             t-SNE of the same rows, and of principal components; and
                                             how far the table's pca_x and pca_y are from its PCA
    map_sklearn.py fixture >map.inc
"""
import json
import sys

import numpy
import sklearn
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.manifold._t_sne import _joint_probabilities_nn
from sklearn.neighbors import NearestNeighbors

NEAREST = 12


def unit(rows):
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


def judge(rows, places):
    return trustworthiness(rows, places, n_neighbors=NEAREST)


def tsne(rows, perplexity):
    return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(rows)


def compare(embedding, table):
    from tensors import load

    rows = unit(load(embedding)[1]["embedding"].array.astype(numpy.float64))
    table = json.load(open(table))
    at = [line["row"] for line in table]
    rows = rows[at]
    column = lambda *names: numpy.array([[line[name] for name in names] for line in table])
    plane = PCA(2, svd_solver="full").fit_transform(rows)
    ours = column("pca_x", "pca_y")
    apart = max(min(abs(ours[:, c] - plane[:, c]).max(), abs(ours[:, c] + plane[:, c]).max()) for c in range(2))
    print("map %.4f" % judge(rows, column("x", "y")))
    print("sklearn %.4f" % judge(rows, tsne(rows, 30)))
    print("pca %.4f" % judge(rows, plane))
    print("pca_apart %.6f" % apart)


def fixture():
    """Nine clusters in eight dimensions, of whole numbers, so that they are the same everywhere."""
    draw = numpy.random.default_rng(3)
    centre = draw.normal(size=(9, 8))
    whole = numpy.rint(40 * (centre[numpy.arange(270) % 9] + 0.45 * draw.normal(size=(270, 8)))).astype(int)
    rows = unit(whole.astype(float))
    plane = PCA(2, svd_solver="full").fit_transform(rows)
    plane *= numpy.sign(plane[abs(plane).argmax(0), [0, 1]])
    places = tsne(rows, 20)
    nearest = NearestNeighbors(n_neighbors=60).fit(rows).kneighbors_graph(mode="distance")
    nearest.data **= 2
    p = _joint_probabilities_nn(nearest, 20, 0).tocsr()
    lines = lambda values: ",\n    ".join(", ".join(v) for v in values)
    print("/* Made by tests/reference/map_sklearn.py with scikit-learn %s. */" % sklearn.__version__)
    print("static const short map_rows[%d][8] = {\n    %s};" % (
        len(whole), lines(["{%s}" % ", ".join(map(str, r)) for r in whole[i:i + 3]] for i in range(0, len(whole), 3))))
    print("static const double map_trust_tsne = %.6f, map_trust_pca = %.6f, map_divergence_pca = %.9f;" % (
        judge(rows, places), judge(rows, plane), divergence(p, plane)))
    print("static const double map_plane[][2] = { /* of rows 0, 27, ... */\n    %s};" % lines(
        ["{%.9f, %.9f}" % tuple(plane[i])] for i in range(0, len(rows), 27)))
    print("static const struct {\n    int i, j;\n    double p;\n} map_affinities[] = {\n    %s};" % lines(
        ["{%d, %d, %.9e}" % (i, j, p[i, j])] for i in range(0, len(rows), 27) for j in sorted(p[i].indices)[::23]))


def divergence(p, places):
    """Of the neighbours' affinities from those of the places, by the definition."""
    squares = ((places[:, None] - places[None]) ** 2).sum(-1)
    q = 1 / (1 + squares)
    numpy.fill_diagonal(q, 0)
    q /= q.sum()
    p = p.toarray()
    return (p[p > 0] * numpy.log(p[p > 0] / q[p > 0])).sum()


if __name__ == "__main__":
    compare(*sys.argv[2:]) if sys.argv[1] == "compare" else fixture()
