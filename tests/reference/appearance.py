#!/usr/bin/python3
"""Prints appearance.inc for tests/unit/test_appearance.c: the coefficients of a test picture's
histograms of gradients, by NumPy on whole arrays, with cosine transforms by way of Fourier's."""
import numpy as np

from formula_pictures import picture

SIDE, CELLS, DIRECTIONS = 32, 8, 8


def cosine_transform(x, axis):
    """Orthonormal, of type 2: what Fourier's makes of a line and its mirror image."""
    x = np.moveaxis(x, axis, -1)
    n = x.shape[-1]
    k = np.arange(n)
    there_and_back = np.fft.fft(np.concatenate([x, x[..., ::-1]], -1))[..., :n]
    y = (there_and_back * np.exp(-1j * np.pi * k / (2 * n))).real / np.where(k == 0, np.sqrt(4 * n), np.sqrt(2 * n))
    return np.moveaxis(y, -1, axis)


def coefficients(pixels):
    """[directions][cells down][cells across] of [SIDE][SIDE][3]."""
    edge = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), "edge")
    down, across = edge[2:, 1:-1] - edge[:-2, 1:-1], edge[1:-1, 2:] - edge[1:-1, :-2]
    steepest = (down**2 + across**2).argmax(2)[..., None]
    down, across = (np.take_along_axis(g, steepest, 2)[..., 0] for g in (down, across))
    place = np.arctan2(down, across) / (2 * np.pi) % 1 * DIRECTIONS
    # Each direction's share of a pixel falls to 0 at the next direction, all around.
    away = np.abs((place - np.arange(DIRECTIONS)[:, None, None] + 4) % DIRECTIONS - 4)
    votes = np.hypot(down, across) * np.maximum(1 - away, 0)
    votes = np.pad(votes, ((0, 0), (2, 2), (2, 2)))
    windows = np.lib.stride_tricks.sliding_window_view(votes, (8, 8), (1, 2))[:, ::4, ::4]
    histograms = windows.sum((3, 4))
    roots = np.sqrt(histograms / np.linalg.norm(histograms))
    cosines = cosine_transform(cosine_transform(roots, 1), 2)
    waves = np.fft.fft(cosines, axis=0, norm="ortho")
    rows = [waves[0].real]
    for k in 1, 2, 3:
        rows += [np.sqrt(2) * waves[k].real, -np.sqrt(2) * waves[k].imag]
    return np.stack(rows + [waves[4].real])


if __name__ == "__main__":
    # As floats, so that equally steep channels are equal.
    values = coefficients((picture("SCENE", SIDE, SIDE) / 255).astype(np.float32)).flatten()
    lines = [", ".join(f"{v:.9g}" for v in values[i : i + 8]) + "," for i in range(0, len(values), 8)]
    print("static const double numpy_coefficients[] = {\n" + "\n".join(lines) + "\n};")
