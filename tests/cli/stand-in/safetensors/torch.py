import json
import struct

import numpy as np

from . import TYPES, safe_open


def load_file(filename):
    with safe_open(filename, framework="pt") as f:
        return {name: f.get_tensor(name) for name in f.keys()}


def save_file(tensors, filename, metadata=None):
    header, at = {} if metadata is None else {"__metadata__": metadata}, 0
    contents = {name: t.contiguous().numpy() for name, t in tensors.items()}
    for name, content in contents.items():
        dtype = next(n for n, t in TYPES.items() if content.dtype == t)
        header[name] = {"dtype": dtype, "shape": list(content.shape), "data_offsets": [at, at + content.nbytes]}
        at += content.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(filename, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for content in contents.values():
            f.write(np.ascontiguousarray(content).tobytes())
