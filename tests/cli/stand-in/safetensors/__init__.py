"""What the tests need of Python's safetensors package, if that is not installed: the same names and
arguments, by the format's description."""
import json

import numpy as np
from torch import tensor

TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32, "U8": np.uint8}


class safe_open:
    def __init__(self, filename, framework):
        assert framework == "pt"
        with open(filename, "rb") as f:
            data = f.read()
        start = 8 + int.from_bytes(data[:8], "little")
        self.header = json.loads(data[8:start])
        self.about = self.header.pop("__metadata__", None)
        self.body = data[start:]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def metadata(self):
        return self.about

    def keys(self):
        return list(self.header)

    def get_tensor(self, name):
        t = self.header[name]
        content = self.body[slice(*t["data_offsets"])]
        return tensor(np.frombuffer(content, TYPES[t["dtype"]]).reshape(t["shape"]))
