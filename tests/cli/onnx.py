"""Reads tuned.onnx, run.onnx and tuned.safetensors as protobuf and safetensors say, with nothing but
Python, and compares them with one another and with contents.json."""
import json

from tensors import load


def fields(data):
    """(number, value) of each field of a message: bytes, or an integer."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            assert tag & 7 == 2, tag
            size = varint()
            yield tag >> 3, data[at:at + size]
            at += size


def all_of(message, number):
    return [value for field, value in fields(message) if field == number]


def one(message, number):
    (value,) = all_of(message, number)
    return value


def text(message, number):
    return one(message, number).decode()


def load_onnx(path):
    model = open(path, "rb").read()
    graph = one(model, 7)
    return {"metadata": {text(m, 1): text(m, 2) for m in all_of(model, 14)},
            "description": text(model, 6),
            "outputs": [text(v, 1) for v in all_of(graph, 12)],
            "widths": [one(all_of(one(one(one(v, 2), 1), 2), 1)[1], 1) for v in all_of(graph, 12)],
            "nodes": all_of(graph, 1),
            "initializers": {text(t, 8): (all_of(t, 1), one(t, 9)) for t in all_of(graph, 5)}}


tuned, run = load_onnx("tuned.onnx"), load_onnx("run.onnx")
about, weights = load("tuned.safetensors")
names = sorted({row["class"] for row in json.load(open("contents.json"))})
assert len(names) == 10
assert json.loads(about["classes"]) == names, about["classes"]
del about["format"]
assert tuned["metadata"] == about, tuned["metadata"]
assert about["size"] == "32" and about["resize"] == "both sides to 32, bicubic, antialiased", about
assert about["mean"] == "0.5,0.4,0.3", about["mean"]
assert "classes" not in run["metadata"] and "logits" not in run["description"]

assert run["outputs"] == ["features"]
assert tuned["outputs"] == ["features", "logits"]
assert tuned["widths"] == [64, 10] and run["widths"] == [64]
assert len(tuned["nodes"]) == len(run["nodes"]) + 1
last = tuned["nodes"][-1]
assert [n.decode() for n in all_of(last, 1)] == ["features", "fc.weight", "fc.bias"]
assert (text(last, 2), text(last, 4)) == ("logits", "Gemm")
(attribute,) = all_of(last, 5)
assert (text(attribute, 1), one(attribute, 3), one(attribute, 20)) == ("transB", 1, 2)
for name in ("fc.weight", "fc.bias"):
    assert tuned["initializers"][name] == (weights[name].shape, weights[name].data), name
assert weights["fc.weight"].shape == [10, 64]
