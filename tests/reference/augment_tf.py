#!/usr/bin/env python3
"""The operators that BYOL's authors used, from their definitions, in doubles on arrays [h][w][3] in
[0,1]; hue and saturation through Python's colorsys. As a program:
    augment_tf.py tests/reference
writes tf_operators.inc, tf_views.inc and augment_draws.inc."""
import colorsys
import itertools
import sys

import numpy as np
import torch
import torchvision.transforms.functional as F

from formula_pictures import exact, picture
from make_image_fixtures import FILTERS, array, crop_resize, view_fields, view_parameters, write


def brightness(view, delta):
    return np.clip(view + delta, 0, 1)


def contrast(view, factor):
    mean = view.mean((0, 1))
    return np.clip((view - mean) * factor + mean, 0, 1)


def in_hsv(view, change):
    pixels = [colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*p))) for p in view.reshape(-1, 3)]
    return np.array(pixels).reshape(view.shape)


def saturation(view, factor):
    return in_hsv(view, lambda h, s, v: (h, min(s * factor, 1), v))


def hue(view, turn):
    return in_hsv(view, lambda h, s, v: ((h + turn) % 1, s, v))


def gray(view):
    return np.repeat((view @ [0.2989, 0.5870, 0.1140])[..., None], 3, -1)


def solarize(view):
    return np.where(view < 0.5, view, 1 - view)


def blur_radius(size):
    return int(size / 10 / 2)


def blur(view, radius, sigma):
    """2 radius + 1 taps along each axis; black outside."""
    taps = np.arange(-radius, radius + 1)
    weights = np.exp(-taps**2 / (2 * sigma**2))
    weights /= weights.sum()
    for axis in (0, 1):
        n = view.shape[axis]
        padded = np.pad(view, [(radius, radius) if a == axis else (0, 0) for a in range(3)])
        view = sum(w * padded.take(range(k, k + n), axis) for k, w in enumerate(weights))
    return view


ADJUST = [brightness, contrast, saturation, hue]


def crop(area, aspect, left, top, width, height):
    """One draw: area in pixels; left and top are shares of the room that is left, below 1."""
    w = min(max(round(np.sqrt(area * aspect)), 1), width)
    h = min(max(round(np.sqrt(area / aspect)), 1), height)
    return int(left * (width - w + 1)), int(top * (height - h + 1)), w, h


def view_by_definition(source, p):
    view = array(crop_resize(source, p["box"], p["filter"], p["size"], p["size"]))
    view = view[:, ::-1] if p["flip"] else view
    for which in p["order"] if p["jitter"] else ():
        view = ADJUST[which](view, p["factor"][which])
    view = gray(view) if p["gray"] else view
    view = blur(view, blur_radius(p["size"]), p["sigma"]) if p["blur"] else view
    return solarize(view) if p["solarize"] else view


# ---- fixtures ----

PICTURES = [("CUBE", 32, 16), ("SCENE", 61, 47), ("SCENE_GRAY", 37, 23)]
OPERATORS = [("brightness", brightness, (-1.0, -0.4, 0.0, 0.13, 0.4)),
             ("contrast", contrast, (0.0, 0.6, 1.0, 1.4, 3.0)),
             ("saturation", saturation, (0.0, 0.8, 1.0, 1.2, 5.0)),
             ("hue", hue, (-0.5, -0.1, 0.0, 0.03, 0.1, 0.5))]
BLUR = [("SCENE", 224, 224, s) for s in (0.1, 0.5, 1.1, 2.0)]
BLUR += [("SCENE", 64, 64, 1.7), ("SCENE", 61, 47, 2.0), ("STRIPES", 5, 3, 2.0), ("SCENE", 19, 19, 1.0)]


def operator_rows():
    for (name, function, factors), (kind, w, h) in itertools.product(OPERATORS, PICTURES):
        for factor in factors:
            values = function(picture(kind, w, h) / 255, factor)
            yield f'{{"{name}", {factor}, {kind}, {w}, {h},\n{exact(values)}}}'
    for kind, w, h, sigma in BLUR:
        source, radius = picture(kind, w, h) / 255, blur_radius(w)
        values = blur(source, radius, sigma)
        if radius > 0:  # torchvision mirrors at the edges: with a black margin, black
            margin = 2 * radius
            wide = F.pad(torch.from_numpy(source).permute(2, 0, 1), margin)
            theirs = array(F.gaussian_blur(wide, 2 * radius + 1, sigma))
            assert np.abs(values - theirs[margin:-margin, margin:-margin]).max() < 1e-6  # its kernel consists of floats
        yield f'{{"blur", {sigma}, {kind}, {w}, {h},\n{exact(values)}}}'


def view_rows():
    for p in view_parameters():
        p["size"] = 48
        p["factor"][0] = round(p["factor"][0] / 2 - 0.5, 3)
        w, h = p["picture"]
        yield f"{view_fields(p)},\n{exact(view_by_definition(picture('SCENE', w, h), p))}}}"


def draw_rows():
    from views_torch import draw
    config = {"seed": 0x123456789AB, "epoch": 3, "size": 32, "interpolation": "bicubic",
              "crop": [0.2, 1.0], "aspect": [3 / 4, 4 / 3], "flip": 0.5, "jitter_p": 0.8,
              "jitter_strength": [0.4, 0.3, 0.2, 0.1], "gray": 0.2, "blur": [0.9, 0.1],
              "blur_sigma": [0.1, 2.0], "solarize": [0.05, 0.3]}
    for jitter, record, view in itertools.product(("torch", "tf"), (0, 1, 70000, 3, 4, 5), (0, 1)):
        config["jitter"] = jitter
        w, h = (500, 375) if record % 2 else (90, 310)
        p = draw(config, w, h, record, view)
        p["picture"], p["factor"] = (w, h), [float(f"{f:.9f}") for f in p["factor"]]
        p["sigma"] = float(f"{p['sigma']:.9f}")
        yield f"{{NNCLR_JITTER_{jitter.upper()}, {record}, {view}, {view_fields(p)}}}}}"


if __name__ == "__main__":
    write("tf_operators.inc", operator_rows())
    write("tf_views.inc", view_rows())
    write("augment_draws.inc", draw_rows())
