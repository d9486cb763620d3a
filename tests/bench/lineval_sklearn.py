"""Rows with labels as nnclr-lineval reads them, and scikit-learn at what nnclr-lineval does.

usage: lineval_sklearn.py make N D CLASSES SEED FILE.safetensors
       lineval_sklearn.py run METHOD TRAIN.safetensors TEST.safetensors

`run` prints seconds, processor seconds, the share of right answers, and for METHOD linear the
objective at which it ended. knn: 200 neighbours that vote with exp(cosine / 0.1), found as the nearest of unit
rows, which is the fastest way that scikit-learn has. linear: standardised rows, L-BFGS at LAMBDA
1e-3 with its default tolerance.
"""
import os
import sys
import time

import numpy

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../reference"))
import embedding_file

K, TEMPERATURE, LAMBDA = 200, 0.1, 1e-3


def unit(rows):
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


def knn(rows, label, test):
    from sklearn.neighbors import KNeighborsClassifier

    def weights(distance):
        return numpy.exp((1 - distance**2 / 2) / TEMPERATURE)

    model = KNeighborsClassifier(K, weights=weights, algorithm="brute", n_jobs=-1)
    return model.fit(unit(rows), label).predict(unit(test))


def linear(rows, label, test):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(rows)
    model = LogisticRegression(C=1 / (2 * LAMBDA * len(rows)), max_iter=10000)
    model.fit(scaler.transform(rows), label)
    linear.model, linear.scaler = model, scaler
    return model.predict(scaler.transform(test))


def objective(rows, label):
    logits = linear.model.decision_function(linear.scaler.transform(rows)).astype(numpy.float64)
    largest = logits.max(axis=1)
    loss = numpy.log(numpy.exp(logits - largest[:, None]).sum(axis=1)) + largest
    return (loss - logits[numpy.arange(len(label)), label]).mean() + LAMBDA * (
        linear.model.coef_.astype(numpy.float64)**2).sum()


def load(path):
    tensors, _ = embedding_file.read(path)
    return tensors["embedding"], tensors["label"]


def run(method, train, test):
    import sklearn.linear_model, sklearn.neighbors, sklearn.preprocessing  # not part of the time
    (rows, label), (test_rows, test_label) = load(train), load(test)
    start, busy = time.perf_counter(), time.process_time()
    predicted = {"knn": knn, "linear": linear}[method](rows, label, test_rows)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    print("%.3f %.3f %.6f" % (seconds, busy, (predicted == test_label).mean()),
          "%.7f" % objective(rows, label) if method == "linear" else "")


if sys.argv[1] == "make":
    embedding_file.make(sys.argv[6], *map(int, sys.argv[2:6]))
else:
    run(*sys.argv[2:])
