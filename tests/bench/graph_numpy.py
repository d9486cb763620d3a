"""The exact neighbour graph as NumPy makes it: blocks of products (OpenBLAS, all CPUs),
argpartition, sort. Prints its seconds and the share of neighbours that equal those of a file.

usage: graph_numpy.py N D K ROWS_FILE NEIGHBOURS_FILE
"""
import sys
import time

import numpy

n, d, k = map(int, sys.argv[1:4])
rows = numpy.fromfile(sys.argv[4], numpy.float32).reshape(n, d)
theirs = numpy.fromfile(sys.argv[5], numpy.int64).reshape(n, k)

start = time.perf_counter()
unit = rows / numpy.linalg.norm(rows, axis=1, keepdims=True)
ours = numpy.empty((n, k), numpy.int64)
BLOCK = 1000
for first in range(0, n, BLOCK):
    similarity = unit[first:first + BLOCK] @ unit.T
    count = len(similarity)
    similarity[numpy.arange(count), numpy.arange(first, first + count)] = -numpy.inf
    best = numpy.argpartition(similarity, n - k, axis=1)[:, n - k:]
    value = numpy.take_along_axis(similarity, best, 1)
    ours[first:first + count] = numpy.take_along_axis(best, numpy.argsort(-value, 1), 1)
print("%.3f %.6f" % (time.perf_counter() - start, (ours == theirs).mean()))
