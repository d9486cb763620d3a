#!/usr/bin/env python3
"""Judges a classifier that nnclr-lineval kept, plainly in double precision with NumPy.

    linear_numpy.py optimum LAMBDA TRAIN CLASSIFIER    uncompressed files
    linear_numpy.py predict TEST CLASSIFIER

`optimum` prints the classifier's mean cross-entropy + LAMBDA |weight|^2 on TRAIN, and the smallest
possible one on the same standardised rows, by Newton's method. `predict` prints "name TAB label TAB
predicted" for each row of TEST, then top1 and top5 on a last line.
"""
import json
import sys

import numpy as np

from tensors import load


def read(path):
    about, tensors = load(path)
    return {name: t.array for name, t in tensors.items()}, json.loads(about["nnclr.classes"])


def prepare(rows, mean, scale):
    return np.c_[(rows - mean.astype(np.float64)) / scale, np.ones(len(rows))]


def softmax(logits):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def objective(w, x, onehot, decay):
    return -np.log((softmax(x @ w.T) * onehot).sum(axis=1)).mean() + (decay * w**2).sum()


def newton(x, onehot, decay):
    """With halved steps. The Hessian is singular along a common shift of all biases: the shortest
    step is taken."""
    n, columns = x.shape
    classes = onehot.shape[1]
    w = np.zeros((classes, columns))
    for _ in range(40):
        p = softmax(x @ w.T)
        gradient = (p - onehot).T @ x / n + 2 * decay * w
        hessian = np.zeros((classes, columns, classes, columns))
        for a in range(classes):
            for b in range(classes):
                hessian[a, :, b, :] = (x * (p[:, a] * ((a == b) - p[:, b]))[:, None]).T @ x / n
        hessian = hessian.reshape(w.size, w.size) + np.diag(np.tile(2 * decay, classes))
        step = np.linalg.lstsq(hessian, gradient.ravel(), rcond=1e-12)[0].reshape(w.shape)
        value = objective(w, x, onehot, decay)
        while objective(w - step, x, onehot, decay) > value + 1e-12:
            step /= 2
        w = w - step
    assert np.abs(gradient).max() < 1e-9
    return w


def optimum(penalty, train_path, classifier_path):
    (train, classes), (c, _) = read(train_path), read(classifier_path)
    rows = train["embedding"].astype(np.float64)
    assert np.allclose(c["mean"], rows.mean(0), atol=1e-6) and np.allclose(c["scale"], rows.std(0), atol=1e-6)
    onehot = np.eye(len(classes))[train["label"]]
    decay = np.r_[np.full(rows.shape[1], float(penalty)), 0]
    x = prepare(rows, rows.mean(0), rows.std(0))
    kept = objective(np.c_[c["weight"], c["bias"]].astype(np.float64), x, onehot, decay)
    print("%.9f %.9f" % (kept, objective(newton(x, onehot, decay), x, onehot, decay)))


def predict(test_path, classifier_path):
    (test, test_classes), (c, classes) = read(test_path), read(classifier_path)
    label = np.array([classes.index(test_classes[i]) for i in test["label"]])
    logits = prepare(test["embedding"], c["mean"], c["scale"]) @ np.c_[c["weight"], c["bias"]].astype(np.float64).T
    order = np.argsort(-logits, axis=1, kind="stable")
    text, start = test["name"].tobytes(), 0
    for end, truth, first in zip(test["name_end"], label, order[:, 0]):
        print(text[start:end].decode(), classes[truth], classes[first], sep="\t")
        start = end
    top5 = (order[:, :5] == label[:, None]).any(axis=1).mean()
    print("%.6f" % (order[:, 0] == label).mean(), "%.6f" % top5)


{"optimum": optimum, "predict": predict}[sys.argv[1]](*sys.argv[2:])
