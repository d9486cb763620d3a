#!/usr/bin/env python3
"""Judges nnclr-lineval by scikit-learn in double precision, on embedding files without compression.

    lineval_sklearn.py make FILE N D CLASSES SEED [EVERY]    EVERY: each such row has no label
    lineval_sklearn.py knn K TEMPERATURE TRAIN TEST PREDICTIONS TABLE
    lineval_sklearn.py linear LAMBDA TRAIN TEST CLASSIFIER PREDICTIONS TABLE

Rows of TRAIN without a label are left out, and rows of TEST without one do not count. A prediction may differ
only if the scores of both classes do so by less than 1e-5. Prints what was compared; fails with an
assertion.
"""
import sys

import numpy

import embedding_file

ALIKE = 1e-5


def load(path):
    tensors, classes = embedding_file.read(path)
    return tensors["embedding"].astype(numpy.float64), tensors["label"], classes


def check_predictions(score, label, classes, predictions, table, method):
    """score [rows][classes]: scikit-learn's shares of votes, or probabilities."""
    lines = [line.rstrip("\n").split("\t") for line in open(predictions)][1:]
    assert len(lines) == len(score)
    ours = numpy.array([classes.index(line[2]) for line in lines])
    theirs = score.argmax(axis=1)
    at = numpy.arange(len(score))
    differ = ours != theirs
    assert (score[at, theirs] - score[at, ours] < ALIKE).all(), "a class with fewer votes was predicted"
    share = numpy.array([float(line[3]) for line in lines])
    assert numpy.abs(share - score[at, ours]).max() < 2e-5, "the scores differ"
    assert [line[1] for line in lines] == [classes[c] if c >= 0 else "" for c in label]
    row = [line.rstrip("\n").split("\t") for line in open(table)][1]
    known = label >= 0
    assert row[0] == method and int(row[4]) == known.sum()
    order = numpy.argsort(-score[known], axis=1, kind="stable")  # the first of equal ones
    for column, k in ((1, 1), (3, 5)):
        accuracy = (order[:, :k] == label[known][:, None]).any(axis=1).mean()
        close = (differ.sum() + 0.01) / known.sum()
        assert abs(float(row[column]) - accuracy) < close, (row[column], accuracy)
    print(method, len(lines), "rows,", differ.sum(), "differ, top1", row[1], "top5", row[3])


def knn(k, temperature, train, test, predictions, table):
    from sklearn.neighbors import KNeighborsClassifier

    (rows, label, classes), (test_rows, test_label, _) = load(train), load(test)
    used = label >= 0
    model = KNeighborsClassifier(min(int(k), used.sum()), algorithm="brute", metric="cosine",
                                 weights=lambda distance: numpy.exp((1 - distance) / float(temperature)))
    model.fit(rows[used], label[used])
    assert (model.classes_ == numpy.arange(len(classes))).all()
    check_predictions(model.predict_proba(test_rows), test_label, classes, predictions, table, "knn")


def linear(penalty, train, test, classifier, predictions, table):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.preprocessing import StandardScaler

    penalty = float(penalty)
    (rows, label, classes), (test_rows, test_label, _) = load(train), load(test)
    used = label >= 0
    rows, label = rows[used], label[used]
    scaler = StandardScaler().fit(rows)
    kept, _ = embedding_file.read(classifier)
    assert numpy.allclose(kept["mean"], scaler.mean_, atol=1e-6)
    assert numpy.allclose(kept["scale"], scaler.scale_, atol=1e-6)
    x = scaler.transform(rows)

    def softmax(logits):
        share = numpy.exp(logits - logits.max(axis=1, keepdims=True))
        return share / share.sum(axis=1, keepdims=True)

    def objective(weight, bias):
        return log_loss(label, softmax(x @ weight.T + bias)) + penalty * (weight**2).sum()

    model = LogisticRegression(C=1 / (2 * penalty * len(x)), tol=1e-9, max_iter=10000).fit(x, label)
    best = objective(model.coef_, model.intercept_)
    weight, bias = kept["weight"].astype(numpy.float64), kept["bias"].astype(numpy.float64)
    ours = objective(weight, bias)
    assert -1e-7 < ours - best < 1e-4, (ours, best)
    score = softmax(((test_rows - kept["mean"]) / kept["scale"]) @ weight.T + bias)
    check_predictions(score, test_label, classes, predictions, table, "linear")
    agree = (model.predict(scaler.transform(test_rows)) == score.argmax(axis=1)).mean()
    assert agree > 0.98, agree
    print("objective %.9f, scikit-learn's %.9f; %.4f of TEST predicted alike" % (ours, best, agree))


def make(path, n, d, classes, seed, every="0"):
    embedding_file.make(path, int(n), int(d), int(classes), int(seed))
    if int(every):
        tensors, names = embedding_file.read(path)
        label = tensors["label"].copy()
        label[::int(every)] = -1
        embedding_file.write(path, tensors["embedding"], label, len(names))


{"make": make, "knn": knn, "linear": linear}[sys.argv[1]](*sys.argv[2:])
