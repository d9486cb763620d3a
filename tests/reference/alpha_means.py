#!/usr/bin/env python3
"""Mean colours, composited on black, of the odd pictures that have alpha, by Pillow:
    alpha_means.py ODD-IMAGES-FOLDER > alpha_means.inc
The corpus's own manifest drops alpha instead."""
import os
import sys

import numpy as np
from PIL import Image


def on_black(picture):
    if picture.mode.startswith("I"):  # 16-bit gray: Pillow keeps its transparent value separately
        gray = np.asarray(picture).astype(np.int64)
        visible = gray != picture.info["transparency"]
        return np.repeat(((gray >> 8) * visible)[..., None], 3, axis=2)
    rgba = picture.convert("RGBA")
    black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    return np.asarray(Image.alpha_composite(black, rgba).convert("RGB"))


folder = sys.argv[1]
for row in open(os.path.join(folder, "MANIFEST.tsv"), encoding="utf-8").read().splitlines()[1:]:
    name, _, expect = row.split("\t")[:3]
    if expect != "decode":
        continue
    picture = Image.open(os.path.join(folder, name))
    picture.load()
    if "A" not in picture.mode and "transparency" not in picture.info:
        continue
    mean = on_black(picture).reshape(-1, 3).mean(axis=0)
    print('{"%s", {%s}},' % (name, ", ".join("%.3f" % m for m in mean)))
