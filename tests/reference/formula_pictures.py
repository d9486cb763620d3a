"""The test pictures of tests/unit/formula_picture.h, and what is kept of a picture that an outside
program made: tests/unit/picture_summary.h."""
import numpy as np

from oracle import uniform

SAMPLES, DOTS = 64, 2


def stripes(x, y, c):
    c = np.where(x == 0, 0, np.where(x == 1, c // 2, c))
    return (x * 37 + y * 101 + c * 59 + x * y * 7) % 256


def cube(place, c):
    return np.array([0, 1, 64, 127, 128, 200, 254, 255])[place >> 3 * c & 7]


def scene_shade(u, v, c):
    sky, fade, hill = np.array([60, 110, 225]), np.array([90, 80, -50]), np.array([70, 130, 30])
    slope, du, dv = 600 + abs(u * 3 % 1024 - 512) // 4, u - 700, v - 250
    faded = np.trunc(v * fade[c] / 1024).astype(int)  # as C divides
    return np.select(
        [v > 920, (u > 150) & (u < 350) & (v > 400) & (v < 800), v > slope,
         du * du + dv * dv < 130 * 130],
        [u // 4, np.where((u // 16 + v // 24) % 2, 255, 0), hill[c] + (v - slope) // 8,
         np.where(c == 0, 255, np.where(c == 1, 200 - abs(du), 0))],
        sky[c] + faded)


def scene_grain(x, y):
    n = (x * 374761393 + y * 668265263) & 0xFFFFFFFF
    n = ((n ^ n >> 13) * 1274126177) & 0xFFFFFFFF
    return (n >> 16 & 31) - 16


def picture(kind, width, height):
    """[height][width][3], bytes."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    if kind == "STRIPES":
        return stripes(x, y, c).astype(np.uint8)
    if kind == "CUBE":
        return cube(y * width + x, c).astype(np.uint8)
    u, v = (2 * x + 1) * 512 // width, (2 * y + 1) * 512 // height
    shade = scene_shade(u, v, c)
    if kind == "SCENE_GRAY":
        shade = np.repeat(shade.sum(-1, keepdims=True) // 3, 3, -1)
    shade = np.where((shade > 0) & (shade < 255), shade + scene_grain(x, y), shade).clip(0, 255)
    return (32 + shade * 3 // 4 if kind == "SCENE_SOFT" else shade).astype(np.uint8)


# ---- what is kept ----

def places(count):
    """Positions of the samples: the first and the last value, and others without a pattern."""
    middle = np.arange(1, SAMPLES - 1, dtype=np.uint64) * np.uint64(7368787) % np.uint64(count)
    return np.concatenate([[0], middle.astype(int), [count - 1]])


def exact(values):
    """For values in or near [0,1]: samples in ten-millionths, projections, as C."""
    flat = np.asarray(values, np.float64).reshape(-1)
    dots = [flat @ uniform(9, record, flat.size) / np.sqrt(flat.size) for record in range(DOTS)]
    return (f"{{{{{','.join(str(int(v)) for v in np.rint(flat[places(flat.size)] * 1e7))}}}, "
            f"{{{', '.join(f'{d:.9f}' for d in dots)}}}}}")


def levels(image):
    """For an 8-bit picture: samples, and the mean of each channel, as C."""
    flat = np.asarray(image, np.uint8).reshape(-1)
    means = flat.reshape(-1, 3).mean(0)
    return (f"{{{{{','.join(str(v) for v in flat[places(flat.size)])}}}, "
            f"{{{', '.join(f'{m:.4f}' for m in means)}}}}}")
