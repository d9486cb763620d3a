#!/usr/bin/env python3
"""kNN classification of embedding files, computed plainly in double precision with NumPy.

    knn_numpy.py K TEMPERATURE TRAIN TEST      uncompressed files (zstdcat FILE > FILE.safetensors)
    knn_numpy.py K TEMPERATURE FILE            each row against all others

Prints "name TAB label TAB predicted" for each row of TEST, then "top1" and "top5" on a last line.
Cosine of L2-normalised rows; the K nearest (equal ones by the lower row) vote exp(cosine / T).
"""
import json
import sys

import numpy as np

from tensors import load


def read(path):
    about, tensors = load(path)
    return {name: t.array for name, t in tensors.items()}, json.loads(about["nnclr.classes"])


def unit(rows):
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def names(tensors):
    text, start = tensors["name"].tobytes(), 0
    for end in tensors["name_end"]:
        yield text[start:end].decode()
        start = end


k, temperature = int(sys.argv[1]), float(sys.argv[2])
(train, classes), (test, test_classes) = read(sys.argv[3]), read(sys.argv[-1])
label = np.array([classes.index(test_classes[i]) for i in test["label"]])
similarity = unit(test["embedding"]) @ unit(train["embedding"]).T
if len(sys.argv) == 4:
    np.fill_diagonal(similarity, -np.inf)
    k = min(k, len(label) - 1)
nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
weight = np.exp(np.take_along_axis(similarity, nearest, axis=1) / temperature)
votes = np.zeros((len(label), len(classes)))
for c in range(len(classes)):
    votes[:, c] = (weight * (train["label"][nearest] == c)).sum(axis=1)
order = np.argsort(-votes, axis=1, kind="stable")
for name, truth, predicted in zip(names(test), label, order[:, 0]):
    print(name, classes[truth], classes[predicted], sep="\t")
print("%.6f" % (order[:, 0] == label).mean(), "%.6f" % (order[:, :5] == label[:, None]).any(axis=1).mean())
