"""Embedding files as nnclr-lineval reads them, without compression."""
import json

import numpy

from tensors import load, store


def read(path):
    """The tensors by name, and the class names (none in a file of another kind)."""
    about, tensors = load(path)
    return {name: t.array for name, t in tensors.items()}, json.loads(about.get("nnclr.classes", "[]"))


def write(path, rows, label, classes):
    """Rows of one class or of none (-1). Their names are their numbers."""
    names = [b"%d" % i for i in range(len(rows))]
    tensors = {"embedding": rows, "record": numpy.arange(len(rows)), "label": label.astype("<i8"),
               "name": numpy.frombuffer(b"".join(names), numpy.uint8),
               "name_end": numpy.cumsum([len(name) for name in names])}
    types = {"float32": "F32", "int64": "I64", "uint8": "U8"}
    store(path, {"format": "pt", "nnclr.kind": "embedding", "nnclr.format": "1", "nnclr.program": "embedding_file.py",
                 "nnclr.classes": json.dumps(["class%02d" % c for c in range(classes)])},
          {name: (types[str(values.dtype)], values.shape, numpy.ascontiguousarray(values).tobytes())
           for name, values in tensors.items()})


def make(path, n, d, classes, seed):
    """Classes that overlap, and no negative number: as features after a ReLU."""
    centres = numpy.random.default_rng(0).standard_normal((classes, d), numpy.float32)
    random = numpy.random.default_rng(seed)
    label = random.integers(0, classes, n)
    rows = 0.15 * centres[label] + random.standard_normal((n, d), numpy.float32)
    write(path, numpy.maximum(rows, 0), label, classes)
