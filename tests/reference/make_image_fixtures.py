#!/usr/bin/env python3
"""References of the picture operators by Pillow 9.4 and torchvision 0.14:
    make_image_fixtures.py tests/reference
writes image_resize.inc, image_view.inc, image_color.inc, and image_blur.inc. The input pictures come
from a formula, here and in tests/unit/formula_picture.h."""
import os
import sys

import numpy as np
import torch
import torchvision.transforms.functional as F
from PIL import Image, ImageFilter

FILTERS = {"NNCLR_BILINEAR": Image.BILINEAR, "NNCLR_BICUBIC": Image.BICUBIC}


def picture(width, height):
    """[height][width][3]; column 0 is gray, in column 1 red equals green."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    c = np.where(x == 0, 0, np.where(x == 1, c // 2, c))
    return ((x * 37 + y * 101 + c * 59 + x * y * 7) % 256).astype(np.uint8)


def resize(source, width, height, method, box=None):
    """In floats, a channel at a time, in 0..255 and clipped as the product does."""
    channels = [Image.fromarray(source[..., c].astype(np.float32), mode="F")
                .resize((width, height), method, box=box) for c in range(3)]
    return np.clip(np.stack([np.asarray(c) for c in channels], axis=-1), 0, 255)


def braces(values):
    lines, line = [], ""
    for value in np.asarray(values).reshape(-1):
        text = f"{int(value)},"
        if len(line) + len(text) > 99:
            lines.append(line)
            line = ""
        line += text
    return "(const int[]){\n" + "\n".join(lines + [line]) + "}"


def thousandths(values):
    return braces(np.rint(np.asarray(values, np.float64) * 1e3))


def millionths(values):
    return braces(np.rint(np.asarray(values, np.float64) * 1e6))


RESIZE = [  # source, box (left, top, width, height), output
    ((37, 23), (0, 0, 37, 23), (16, 16)),
    ((37, 23), (3.25, 1.5, 20.75, 17.875), (11, 13)),
    ((37, 23), (30, 20, 7, 3), (9, 8)),
    ((5, 4), (0, 0, 5, 4), (13, 9)),
    ((5, 4), (1.25, 0.5, 0.5, 0.25), (3, 4)),
    ((1, 1), (0, 0, 1, 1), (4, 3)),
    ((1, 7), (0, 0, 1, 7), (3, 5)),
    ((200, 150), (10, 20, 170.25, 120.125), (8, 8)),
    ((64, 48), (13, 7, 9, 31), (16, 12)),
    ((9, 300), (0, 0, 9, 300), (1, 1)),
]

# Sizes that make every step of "resize the short side, cut the centre" come out whole.
VIEW = [((72, 36), 14), ((36, 72), 14), ((24, 36), 28)]  # source, size

COLOR = [
    ("brightness", F.adjust_brightness, (0.4, 1.0, 1.3)),
    ("contrast", F.adjust_contrast, (0.35, 1.0, 1.8)),
    ("saturation", F.adjust_saturation, (0.0, 0.2, 1.9)),
    ("hue", F.adjust_hue, (-0.5, -0.11, 0.0, 0.07, 0.3, 0.5)),
    ("to_gray", lambda t, _: F.rgb_to_grayscale(t, 3), (0.0,)),
    ("solarize", lambda t, _: F.solarize(t, 0.5), (0.0,)),
]

BLUR = [((24, 18), 0.1), ((24, 18), 0.5), ((24, 18), 1.0), ((24, 18), 2.0), ((3, 2), 2.0),
        ((1, 9), 1.5)]


def write(name, rows):
    with open(os.path.join(sys.argv[1], name), "w", encoding="ascii") as out:
        out.writelines(row + ",\n" for row in rows)


def resize_rows():
    for (w, h), (left, top, bw, bh), (ow, oh) in RESIZE:
        for name, method in FILTERS.items():
            values = resize(picture(w, h), ow, oh, method, (left, top, left + bw, top + bh))
            yield (f"{{{w}, {h}, {{{left}, {top}, {bw}, {bh}}}, {name}, {ow}, {oh}, "
                   f"{thousandths(values)}}}")


def view_rows():
    for (w, h), size in VIEW:
        short = round(size * 256 / 224)
        long_x, long_y = w * short // min(w, h), h * short // min(w, h)
        assert long_x * min(w, h) == w * short and long_y * min(w, h) == h * short
        left, top = (long_x - size) // 2, (long_y - size) // 2
        assert 2 * left + size == long_x and 2 * top + size == long_y
        for name, method in FILTERS.items():
            values = resize(picture(w, h), long_x, long_y, method)
            values = values[top:top + size, left:left + size]
            yield f"{{{w}, {h}, {size}, {name}, {thousandths(values)}}}"


def color_rows():
    source = torch.from_numpy(picture(9, 7)).permute(2, 0, 1).to(torch.float32) / 255
    for name, function, factors in COLOR:
        for factor in factors:
            values = function(source, factor).permute(1, 2, 0).numpy()
            yield f'{{"{name}", {factor}, {millionths(values)}}}'


def blur_rows():
    for (w, h), sigma in BLUR:
        blurred = Image.fromarray(picture(w, h)).filter(ImageFilter.GaussianBlur(sigma))
        yield f"{{{w}, {h}, {sigma}, {braces(np.asarray(blurred))}}}"


write("image_resize.inc", resize_rows())
write("image_view.inc", view_rows())
write("image_color.inc", color_rows())
write("image_blur.inc", blur_rows())
