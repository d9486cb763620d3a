"""Writes a changed copy of a plain safetensors file, with nothing of the programs under test.

    weights.py IN OUT CHANGE...    changes in their order:
        plain            without metadata
        prefix=P         P before every name
        copy=P           everything once more, with P before the names
        children=N       numbers for names, as the children of a Sequential have them: conv1 is 0,
                         bn1 is 1, layer1 is N
        cut=P            only names that start with P, without it
        drop=NAME        without the tensor
        without=SUFFIX   without all whose names end like that
        rename=OLD:NEW   OLD inside names becomes NEW
        shape=NAME:D,D   another shape, filled with zeros
        add=NAME         one more tensor, of one number
        first=NAME:X     its first number becomes X
        type=T           floats become F64, F16 or BF16 (BF16 by cutting bits off)

    weights.py same A B    whether all of A's tensors are B's, bit for bit
"""
import math
import struct
import sys

from tensors import load, store

LETTERS = {"F32": "f", "F64": "d", "F16": "e"}


def convert(tensor, to):
    dtype, shape, content = tensor
    if dtype != "F32":
        return tensor
    if to == "BF16":
        return to, shape, b"".join(content[i + 2:i + 4] for i in range(0, len(content), 4))
    values = struct.unpack("<%df" % (len(content) // 4), content)
    return to, shape, struct.pack("<%d%s" % (len(values), LETTERS[to]), *values)


def change(about, tensors, kind, value):
    if kind == "plain":
        return None, tensors
    if kind == "prefix":
        return about, {value + n: t for n, t in tensors.items()}
    if kind == "copy":
        return about, {**tensors, **{value + n: t for n, t in tensors.items()}}
    if kind == "children":
        numbers = {"conv1": 0, "bn1": 1, **{f"layer{i}": int(value) - 1 + i for i in range(1, 5)}}
        split = {n: n.split(".", 1) for n in tensors}
        return about, {f"{numbers[a]}.{b}": tensors[n] for n, (a, b) in split.items()}
    if kind == "cut":
        return about, {n[len(value):]: t for n, t in tensors.items() if n.startswith(value)}
    if kind == "without":
        return about, {n: t for n, t in tensors.items() if not n.endswith(value)}
    if kind == "type":
        return about, {n: convert(t, value) for n, t in tensors.items()}
    if kind == "rename":
        old, new = value.split(":")
        changed = {n.replace(old, new): t for n, t in tensors.items()}
        assert list(changed) != list(tensors)
        return about, changed
    if kind == "add":
        tensors[value] = ("F32", [1], bytes(4))
    elif kind == "drop":
        del tensors[value]
    elif kind == "shape":
        name, dims = value.split(":")
        shape = [int(d) for d in dims.split(",")]
        assert name in tensors
        tensors[name] = ("F32", shape, bytes(4 * math.prod(shape)))
    elif kind == "first":
        name, x = value.split(":")
        dtype, shape, content = tensors[name]
        tensors[name] = (dtype, shape, struct.pack("<f", float(x)) + content[4:])
    else:
        raise SystemExit(f"no change: {kind}")
    return about, tensors


if __name__ == "__main__":
    if sys.argv[1] == "same":
        a, b = load(sys.argv[2])[1], load(sys.argv[3])[1]
        assert a, "no tensors"
        assert all(b.get(n) == t for n, t in a.items()), [n for n, t in a.items() if b.get(n) != t]
    else:
        about, tensors = load(sys.argv[1])
        for argument in sys.argv[3:]:
            kind, _, value = argument.partition("=")
            about, tensors = change(about, tensors, kind, value)
        store(sys.argv[2], about, tensors)
