"""safetensors, read and written as the format says, with nothing of the programs under test."""
import collections
import json
import math
import struct
import subprocess

CODES = {"F64": "d", "F32": "f", "F16": "e", "I64": "q", "I32": "i", "U8": "B"}


class Tensor(collections.namedtuple("Tensor", "dtype shape data")):
    @property
    def values(self):
        """All of them, as one tuple."""
        code = CODES[self.dtype]
        return struct.unpack("<%d%s" % (len(self.data) // struct.calcsize(code), code), self.data)

    @property
    def array(self):
        import numpy
        return numpy.frombuffer(self.data, "<" + CODES[self.dtype]).reshape(self.shape)


def unzstd(data):
    return subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout


def parse(data):
    """The metadata, and {name: Tensor}; no holes, and nothing after the last tensor."""
    start = 8 + int.from_bytes(data[:8], "little")
    assert start % 8 == 0
    header, end, tensors = json.loads(data[8:start]), 0, {}
    about = header.pop("__metadata__", None)
    assert all(isinstance(value, str) for value in (about or {}).values())
    for name, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, count = t["data_offsets"][0], math.prod(t["shape"])
        assert begin == end, name
        end = t["data_offsets"][1]
        tensors[name] = Tensor(t["dtype"], t["shape"], data[start + begin:start + end])
        assert t["dtype"] not in CODES or end - begin == count * struct.calcsize(CODES[t["dtype"]]), name
    assert start + end == len(data)
    return about, tensors


def load(path):
    """The same of a file, which may be in zstd frames."""
    data = open(path, "rb").read()
    return parse(unzstd(data) if data[:4] == b"\x28\xb5\x2f\xfd" else data)


def store(path, about, tensors):
    """tensors: {name: (dtype, shape, bytes)}; without metadata if `about` is None."""
    header, at = {} if about is None else {"__metadata__": about}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


def names(tensors):
    """Those of the rows of an embedding file, or of the records in the index of a shard."""
    text, begin, result = tensors["name"].data, 0, []
    for end in tensors["name_end"].values:
        result.append(text[begin:end].decode(errors="surrogateescape"))
        begin = end
    assert begin == len(text)
    return result
