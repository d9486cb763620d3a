"""Embedding files as nnclr-lineval reads them, without compression."""
import json

import numpy


def read(path):
    """The tensors by name, and the class names (none in a file of another kind)."""
    raw = open(path, "rb").read()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + size])
    types = {"F32": "<f4", "I64": "<i8", "U8": "u1"}
    tensors = {}
    for name, about in header.items():
        if name != "__metadata__":
            start, end = (8 + size + offset for offset in about["data_offsets"])
            tensors[name] = numpy.frombuffer(raw[start:end], types[about["dtype"]]).reshape(about["shape"])
    return tensors, json.loads(header["__metadata__"].get("nnclr.classes", "[]"))


def write(path, rows, label, classes):
    """Rows of one class or of none (-1). Their names are their numbers."""
    names = [b"%d" % i for i in range(len(rows))]
    tensors = {"embedding": rows, "record": numpy.arange(len(rows)), "label": label.astype("<i8"),
               "name": numpy.frombuffer(b"".join(names), numpy.uint8),
               "name_end": numpy.cumsum([len(name) for name in names])}
    header = {"__metadata__": {"format": "pt", "nnclr.kind": "embedding", "nnclr.format": "1",
                               "nnclr.program": "embedding_file.py",
                               "nnclr.classes": json.dumps(["class%02d" % c for c in range(classes)])}}
    at, types = 0, {"float32": "F32", "int64": "I64", "uint8": "U8"}
    for name, values in tensors.items():
        header[name] = {"dtype": types[str(values.dtype)], "shape": values.shape,
                        "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for values in tensors.values():
            file.write(memoryview(numpy.ascontiguousarray(values)).cast("B"))


def make(path, n, d, classes, seed):
    """Classes that overlap, and no negative number: as features after a ReLU."""
    centres = numpy.random.default_rng(0).standard_normal((classes, d), numpy.float32)
    random = numpy.random.default_rng(seed)
    label = random.integers(0, classes, n)
    rows = 0.15 * centres[label] + random.standard_normal((n, d), numpy.float32)
    write(path, numpy.maximum(rows, 0), label, classes)
