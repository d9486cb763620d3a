#!/usr/bin/env python3
"""What nnclr-views writes, made again from its definition: the parameters drawn here by the same
generator, with the operators of torchvision (in doubles) and Pillow (on 8-bit pictures), or those of
augment_tf.py.
    views_torch.py FOLDER VIEWS.safetensors...
FOLDER holds the pictures as they are in the shard, named by record number."""
import glob
import json
import math
import sys

import numpy as np
from PIL import Image

import augment_tf
from make_image_fixtures import array, view_by_pillow, view_by_torchvision
from oracle import philox
from tensors import load

AUGMENT, DRAWS = 4, 64
FILTERS = {"bilinear": "NNCLR_BILINEAR", "bicubic": "NNCLR_BICUBIC"}


class Draws:
    """nnclr_rng_at and what draws from it."""

    def __init__(self, seed, epoch, record, view):
        self.values = iter(philox(seed, AUGMENT | view << 8, epoch, record, DRAWS))

    def u32(self):
        return int(next(self.values))

    def uniform(self, low=0.0, high=1.0):
        return low + (high - low) * ((self.u32() >> 8) / 2**24)

    def below(self, n):
        while True:
            value = self.u32() << 32 | self.u32()
            if value >= 2**64 % n:
                return value % n


def draw_single_crop(draws, config, width, height):
    """TF's; ours makes as many draws as torchvision's ten attempts may need."""
    low, high = config["aspect"]
    area = width * height * draws.uniform(*config["crop"])
    aspect = math.exp(draws.uniform(math.log(low), math.log(high)))
    box = augment_tf.crop(area, aspect, draws.u32() / 2**32, draws.u32() / 2**32, width, height)
    for _ in range(9 * 4):
        draws.u32()
    return box


def draw_crop(draws, config, width, height):
    found, (low, high) = None, config["aspect"]
    for _ in range(10):
        area = width * height * draws.uniform(*config["crop"])
        aspect = math.exp(draws.uniform(math.log(low), math.log(high)))
        left, top = draws.u32(), draws.u32()
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if not found and 0 < w <= width and 0 < h <= height:
            found = left * (width - w + 1) >> 32, top * (height - h + 1) >> 32, w, h
    if found:
        return found
    w, h = width, height
    if width / height < low:
        h = round(w / low)
    elif width / height > high:
        w = round(h * high)
    return (width - w) // 2, (height - h) // 2, w, h


def draw(config, width, height, record, view):
    draws = Draws(config["seed"], config["epoch"], record, view)
    p = {"size": config["size"], "filter": FILTERS[config["interpolation"]]}
    tf = config["jitter"] == "tf"
    p["box"] = (draw_single_crop if tf else draw_crop)(draws, config, width, height)
    p["flip"] = draws.uniform() < config["flip"]
    p["jitter"] = draws.uniform() < config["jitter_p"]
    order = [0, 1, 2, 3]
    for i in (4, 3, 2):
        j = draws.below(i)
        order[i - 1], order[j] = order[j], order[i - 1]
    strength = config["jitter_strength"]
    p["order"] = order
    ranges = [(max(0, 1 - s), 1 + s) for s in strength[:3]] + [(-strength[3], strength[3])]
    if tf:
        ranges[0] = -strength[0], strength[0]
    p["factor"] = [draws.uniform(*r) for r in ranges]
    p["gray"] = draws.uniform() < config["gray"]
    p["blur"] = draws.uniform() < config["blur"][view]
    p["sigma"] = draws.uniform(*config["blur_sigma"])
    p["solarize"] = draws.uniform() < config["solarize"][view]
    return p


def read(path):
    """The configuration, and the tensors of a views file of F32."""
    about, tensors = load(path)
    return json.loads(about["nnclr.config"]), {name: t.array for name, t in tensors.items()}


def check(folder, path):
    config, tensors = read(path)
    furthest, levels = 0.0, []
    seen = {"flip": 0, "jitter": 0, "gray": 0, "blur": 0, "solarize": 0}
    for row, record in enumerate(tensors["record"]):
        [picture] = [name for name in glob.glob(f"{folder}/{record:09d}.*")
                     if not name.endswith((".cls", ".json"))]
        source = np.asarray(Image.open(picture).convert("RGB"))
        for view in (0, 1):
            p = draw(config, source.shape[1], source.shape[0], int(record), view)
            ours = tensors[f"view{view + 1}"][row]
            theirs = (augment_tf.view_by_definition(source, p) if config["jitter"] == "tf"
                      else array(view_by_torchvision(source, p)))
            away = np.abs(ours - theirs).max()
            assert away <= 5e-6, (record, view, away, p)
            furthest = max(furthest, away)
            if config["jitter"] == "torch":
                levels.append(np.abs(ours * 255.0 - np.asarray(view_by_pillow(source, p))).mean())
            for key in seen:
                seen[key] += bool(p[key])
    words = f"{2 * len(tensors['record'])} views, {' '.join(f'{k} {v}' for k, v in seen.items())}: "
    words += f"at most {furthest:.1e} off"
    if levels:
        assert np.mean(levels) <= 1.5 and max(levels) <= 4, (np.mean(levels), max(levels))
        words += f"; from Pillow {np.mean(levels):.2f} gray levels, in one view {max(levels):.2f}"
    print(words)


if __name__ == "__main__":
    for views in sys.argv[2:]:
        check(sys.argv[1], views)
