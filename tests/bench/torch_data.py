#!/usr/bin/python3
"""The peer of tests/bench/data: torchvision and Pillow on one thread.

    torch_data.py views SIZE ROUNDS FOLDER     two BYOL views of every picture, pictures/s of CPU
    torch_data.py pack SIZE ROUNDS FOLDER OUT  the short side to SIZE, JPEG of quality 95, into OUT
    torch_data.py draft ...                    the same, decoded no larger than that needs

Prints pictures per second of processor time, and of clock time, one line per round.
"""
import io
import os
import sys
import tarfile
import time

import torch
from PIL import Image
from torchvision import transforms as T

torch.set_num_threads(1)


def pipelines(size):
    """BYOL's two views; no blur below 64 pixels."""
    def one(blur, solarize):
        steps = [
            T.RandomResizedCrop(size, scale=(0.08, 1), interpolation=T.InterpolationMode.BICUBIC),
            T.RandomHorizontalFlip(),
            T.RandomApply([T.ColorJitter(0.4, 0.4, 0.2, 0.1)], 0.8),
            T.RandomGrayscale(0.2),
        ]
        if size >= 64 and blur > 0:
            taps = 2 * int(size / 10 / 2) + 1
            steps.append(T.RandomApply([T.GaussianBlur(taps, (0.1, 2.0))], blur))
        if solarize > 0:
            steps.append(T.RandomSolarize(128, solarize))
        steps += [T.ToTensor(), T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
        return T.Compose(steps)
    return one(1.0, 0.0), one(0.1, 0.2)


def files_of(folder):
    return sorted(os.path.join(r, f) for r, _, names in os.walk(folder) for f in names)


def main():
    what, size, rounds, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    data = [open(f, "rb").read() for f in files_of(folder)]
    torch.manual_seed(1)
    views = pipelines(size)
    for _ in range(rounds):
        start, clock = time.process_time(), time.perf_counter()
        if what == "views":
            for bytes_ in data:
                picture = Image.open(io.BytesIO(bytes_)).convert("RGB")
                for view in views:
                    view(picture)
        else:
            with tarfile.open(sys.argv[5], "w") as tar:
                for i, bytes_ in enumerate(data):
                    picture = Image.open(io.BytesIO(bytes_))
                    w, h = picture.size
                    to = (size, size * h // w) if w < h else (size * w // h, size)
                    if what == "draft":
                        picture.draft("RGB", to)
                    picture = picture.convert("RGB")
                    out = io.BytesIO()
                    picture.resize(to, Image.BICUBIC).save(out, "JPEG", quality=95)
                    member = tarfile.TarInfo("%06d.jpg" % i)
                    member.size = out.tell()
                    out.seek(0)
                    tar.addfile(member, out)
        print("%.1f %.1f" % (len(data) / (time.process_time() - start),
                             len(data) / (time.perf_counter() - clock)), flush=True)


main()
