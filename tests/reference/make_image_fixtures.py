#!/usr/bin/env python3
"""References of the picture operators by Pillow 9.4 and torchvision 0.14:
    make_image_fixtures.py tests/reference
writes image_*.inc. torchvision works on tensors of doubles, Pillow on 8-bit pictures (and in its mode
of floats if it says so). The input pictures come from formulas, see formula_pictures.py."""
import itertools
import os
import sys

import numpy as np
import torch
import torchvision.transforms as T
import torchvision.transforms.functional as F
from PIL import Image, ImageFilter, ImageOps

from formula_pictures import exact, levels, picture

FILTERS = {"NNCLR_BILINEAR": Image.BILINEAR, "NNCLR_BICUBIC": Image.BICUBIC}
MODES = {"NNCLR_BILINEAR": F.InterpolationMode.BILINEAR, "NNCLR_BICUBIC": F.InterpolationMode.BICUBIC}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def tensor(source):
    return torch.from_numpy(source.astype(np.float64)).permute(2, 0, 1) / 255


def array(values):
    return values.permute(1, 2, 0).numpy()


def write(name, rows):
    with open(os.path.join(sys.argv[1], name), "w", encoding="ascii") as out:
        out.writelines(row + ",\n" for row in rows)


# ---- resampling ----

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

CROP = [  # source, whole box, output: smaller and larger, at borders and corners, of any aspect
    ((500, 375), (0, 0, 500, 375), (224, 224)),
    ((500, 375), (121, 63, 301, 249), (224, 224)),
    ((500, 375), (0, 0, 90, 120), (224, 224)),
    ((500, 375), (410, 255, 90, 120), (96, 96)),
    ((500, 375), (499, 374, 1, 1), (8, 8)),
    ((375, 500), (0, 100, 375, 281), (64, 64)),
    ((37, 23), (0, 0, 37, 23), (32, 32)),
    ((37, 23), (5, 2, 13, 17), (32, 32)),
    ((32, 32), (0, 0, 32, 32), (32, 32)),
    ((32, 32), (7, 0, 25, 21), (32, 32)),
    ((640, 40), (13, 3, 600, 31), (48, 48)),
    ((9, 700), (2, 0, 7, 700), (20, 31)),
    ((3, 2), (0, 0, 3, 2), (64, 64)),
]

# Sizes that make every step of "resize the short side, cut the centre" come out whole.
VIEW = [((72, 36), 14), ((36, 72), 14), ((24, 36), 28), ((512, 256), 224), ((192, 576), 84)]


def resize(source, width, height, method, box=None):
    """By Pillow in floats, a channel at a time, in 0..255 and clipped as the product does."""
    channels = [Image.fromarray(source[..., c].astype(np.float32), mode="F")
                .resize((width, height), method, box=box) for c in range(3)]
    return np.clip(np.stack([np.asarray(c) for c in channels], axis=-1), 0, 255)


def resize_rows():
    for (w, h), (left, top, bw, bh), (ow, oh) in RESIZE:
        for name, method in FILTERS.items():
            values = resize(picture("STRIPES", w, h), ow, oh, method,
                            (left, top, left + bw, top + bh))
            yield (f"{{{w}, {h}, {{{left}, {top}, {bw}, {bh}}}, {name}, {ow}, {oh},\n"
                   f"{exact(values.astype(np.float64) / 255)}}}")


def crop_resize(source, box, name, width, height):
    """torchvision's crop and resize; what cubics overshoot is clipped."""
    left, top, bw, bh = box
    cut = F.crop(tensor(source), top, left, bh, bw)
    return F.resize(cut, [height, width], MODES[name], antialias=True).clamp(0, 1)


def crop_rows():
    for kind, ((w, h), box, (ow, oh)) in itertools.product(["SCENE", "SCENE_SOFT"], CROP):
        source = picture(kind, w, h)
        for name, method in FILTERS.items():
            left, top, bw, bh = box
            cut = Image.fromarray(source).crop((left, top, left + bw, top + bh))
            yield (f"{{{kind}, {w}, {h}, {{{left}, {top}, {bw}, {bh}}}, {name}, {ow}, {oh},\n"
                   f"{exact(array(crop_resize(source, box, name, ow, oh)))},\n"
                   f"{levels(cut.resize((ow, oh), method))}}}")


def view_rows():
    for (w, h), size in VIEW:
        short = round(size * 256 / 224)
        long_x, long_y = w * short // min(w, h), h * short // min(w, h)
        assert long_x * min(w, h) == w * short and long_y * min(w, h) == h * short
        left, top = (long_x - size) // 2, (long_y - size) // 2
        assert 2 * left + size == long_x and 2 * top + size == long_y
        for name in FILTERS:
            whole = F.resize(tensor(picture("SCENE", w, h)), short, MODES[name], antialias=True)
            values = F.center_crop(whole, size).clamp(0, 1)
            yield f"{{{w}, {h}, {size}, {name},\n{exact(array(values))}}}"


# ---- colours ----

COLOR_PICTURES = [("CUBE", 32, 16), ("SCENE", 61, 47), ("SCENE_GRAY", 37, 23)]
ADJUST = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]
COLOR = [
    ("brightness", ADJUST[0], (0.0, 0.4, 1.0, 1.3, 2.5)),
    ("contrast", ADJUST[1], (0.0, 0.35, 1.0, 1.8)),
    ("saturation", ADJUST[2], (0.0, 0.2, 1.0, 1.9)),
    ("hue", ADJUST[3], (-0.5, -0.31, -0.1, 0.0, 0.004, 0.07, 0.3, 0.5)),
    ("to_gray", lambda t, _: F.rgb_to_grayscale(t, 3), (0.0,)),
    ("solarize", lambda t, _: F.solarize(t, 128 if isinstance(t, Image.Image) else 0.5), (0.0,)),
]


def color_rows():
    for (name, function, factors), (kind, w, h) in itertools.product(COLOR, COLOR_PICTURES):
        source = picture(kind, w, h)
        for factor in factors:
            values, image = function(tensor(source), factor), Image.fromarray(source)
            yield (f'{{"{name}", {factor}, {kind}, {w}, {h},\n{exact(array(values))},\n'
                   f"{levels(function(image, factor))}}}")


def normalize_rows():
    for mean, std in [(MEAN, STD), ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))]:
        values = F.normalize(tensor(picture("SCENE", 61, 47)), mean, std)
        yield (f"{{61, 47, {{{', '.join(map(str, mean))}}}, {{{', '.join(map(str, std))}}},\n"
               f"{exact(array(values))}}}")


# ---- blur ----

BLUR = [("SCENE", w, h, sigma) for (w, h), sigma in itertools.product(
    [(224, 224), (61, 47)], (0.1, 0.3, 0.5, 0.9, 1.3, 2.0))]
BLUR += [("CUBE", 32, 16, 1.0), ("SCENE", 3, 2, 2.0), ("SCENE", 1, 9, 1.5), ("STRIPES", 24, 18, 2.0)]


def boxes(values, sigma):
    """Pillow's three extended boxes along both axes, in doubles: values [h][w][c]."""
    s2 = sigma * sigma / 3
    l = int((np.sqrt(12 * s2 + 1) - 1) / 2)
    share = (2 * l + 1) * (l * (l + 1) - 3 * s2) / (6 * (s2 - (l + 1) ** 2))
    weights = np.array([share] + [1.0] * (2 * l + 1) + [share]) / (2 * (l + share) + 1)
    for axis in (1, 0):
        for _ in range(3):
            edge = [(l + 1, l + 1) if a == axis else (0, 0) for a in range(3)]
            padded, n = np.pad(values, edge, mode="edge"), values.shape[axis]
            values = sum(weight * padded.take(range(k, k + n), axis)
                         for k, weight in enumerate(weights))
    return values


def blur_rows():
    for kind, w, h, sigma in BLUR:
        source = picture(kind, w, h)
        blurred = np.asarray(Image.fromarray(source).filter(ImageFilter.GaussianBlur(sigma)))
        own = boxes(source / 255, sigma)
        assert np.abs(own * 255 - blurred).max() <= 3
        yield f"{{{kind}, {w}, {h}, {sigma},\n{exact(own)},\n{levels(blurred)}}}"


def gaussian_rows():
    """torchvision's blur is a true Gaussian, edges mirrored: 23 taps, as for views of 224 pixels."""
    for sigma in (0.1, 0.5, 1.0, 1.5, 2.0):
        values = F.gaussian_blur(tensor(picture("SCENE", 224, 224)), 23, sigma)[:, 11:-11, 11:-11]
        yield f"{{{sigma},\n{exact(array(values))}}}"


# ---- whole views ----

SOURCES = [(500, 375), (375, 500), (61, 47), (200, 320), (32, 32)]


def view_parameters():
    """All 24 orders, each operator both present and absent."""
    draw = np.random.RandomState(5)
    for i, order in enumerate(itertools.permutations(range(4))):
        w, h = SOURCES[i % len(SOURCES)]
        bw, bh = draw.randint(w // 4, w + 1), draw.randint(h // 4, h + 1)
        yield {
            "picture": (w, h), "size": 224 if i % 4 == 0 else 32,
            "filter": list(FILTERS)[i % 3 != 0],
            "box": (draw.randint(0, w - bw + 1), draw.randint(0, h - bh + 1), bw, bh),
            "flip": i % 2, "jitter": int(i % 8 != 7), "order": order,
            "factor": np.round([draw.uniform(0.2, 1.8), draw.uniform(0.2, 1.8),
                                draw.uniform(0.2, 1.8), draw.uniform(-0.2, 0.2)], 3).tolist(),
            "gray": int(i % 5 == 3), "blur": int(i % 3 != 1),
            "sigma": round(draw.uniform(0.1, 2), 3), "solarize": int(i % 7 in (2, 3, 5)),
        }


def view_by_torchvision(source, p):
    view = crop_resize(source, p["box"], p["filter"], p["size"], p["size"])
    view = F.hflip(view) if p["flip"] else view
    for which in p["order"] if p["jitter"] else ():
        view = ADJUST[which](view, p["factor"][which])
    view = F.rgb_to_grayscale(view, 3) if p["gray"] else view
    view = tensor(boxes(array(view), p["sigma"]) * 255) if p["blur"] else view
    return F.solarize(view, 0.5) if p["solarize"] else view


def view_by_pillow(source, p):
    left, top, bw, bh = p["box"]
    view = Image.fromarray(source).crop((left, top, left + bw, top + bh))
    view = view.resize((p["size"], p["size"]), FILTERS[p["filter"]])
    view = ImageOps.mirror(view) if p["flip"] else view
    for which in p["order"] if p["jitter"] else ():
        view = ADJUST[which](view, p["factor"][which])
    view = F.rgb_to_grayscale(view, 3) if p["gray"] else view
    view = view.filter(ImageFilter.GaussianBlur(p["sigma"])) if p["blur"] else view
    return ImageOps.solarize(view, 128) if p["solarize"] else view


def view_fields(p):
    """As C: the picture's sides, size, filter, nnclr_view_parameters; the row stays open."""
    given = [("crop", p["box"])] + [(k, p[k]) for k in ("flip", "jitter", "gray", "blur", "solarize",
                                                        "order", "factor", "sigma")]
    text = ", ".join(f".{k} = " + ("{" + ", ".join(map(str, g)) + "}" if isinstance(g, (tuple, list))
                                   else str(int(g) if isinstance(g, bool) else g)) for k, g in given)
    return f"{{{p['picture'][0]}, {p['picture'][1]}, {p['size']}, {p['filter']},\n{{{text}}}"


def augmented_rows():
    for p in view_parameters():
        source = picture("SCENE", *p["picture"])
        yield (f"{view_fields(p)},\n"
               f"{exact(array(F.normalize(view_by_torchvision(source, p), MEAN, STD)))},\n"
               f"{levels(view_by_pillow(source, p))}}}")


# ---- what RandomResizedCrop draws ----

# Photographs, squares, odd and extreme ones, and areas that seldom fit.
DRAWN = [((500, 375), 0.08), ((375, 500), 0.2), ((32, 32), 0.08), ((37, 23), 0.08), ((300, 40), 0.08),
         ((40, 300), 0.5), ((90, 89), 0.95)]
DRAWS, BINS = 100000, 12


def drawn_rows():
    """For the width, height, left and top of a crop: BINS ranges, each from a value on, and how many
    draws are in it."""
    torch.manual_seed(7)
    for (w, h), low in DRAWN:
        image = torch.empty(1, h, w)
        boxes_drawn = np.array([T.RandomResizedCrop.get_params(image, (low, 1.0), (3 / 4, 4 / 3))
                                for _ in range(DRAWS)])
        columns = []
        for values in boxes_drawn[:, [3, 2, 1, 0]].T:  # they are top, left, height, width
            edges = np.quantile(values, np.arange(BINS) / BINS, method="lower")
            edges = np.unique(np.append(edges, 0))
            counts = np.histogram(values, np.append(edges, np.inf))[0]
            pad = [0] * (BINS + 1 - len(edges))
            columns.append(f"{{{len(edges)}, {{{', '.join(map(str, list(edges) + pad))}}}, "
                           f"{{{', '.join(map(str, list(counts) + pad))}}}}}")
        yield f"{{{w}, {h}, {low},\n{{" + ",\n".join(columns) + "}}"


if __name__ == "__main__":
    write("image_resize.inc", resize_rows())
    write("image_crop.inc", crop_rows())
    write("image_view.inc", view_rows())
    write("image_color.inc", color_rows())
    write("image_normalize.inc", normalize_rows())
    write("image_blur.inc", blur_rows())
    write("image_gaussian.inc", gaussian_rows())
    write("image_augmented.inc", augmented_rows())
    write("image_drawn.inc", drawn_rows())
