#!/usr/bin/python3
"""Prints resnet_gradients.inc for tests/unit/test_resnet.c: torchvision's ResNet-18 and -50 with
NNCLR's heads in float64, two views in training mode. Weights, pictures and the loss (a random
projection of the unit predictions) come from the library's own counter-based generator, ported
here. For each tensor: its norm and its dot product with a random vector."""

import numpy as np
import torch
import torchvision

WEIGHTS, SAMPLE = 1, 6


def philox(seed, purpose, epoch, record, draws):
    """The first `draws` 32-bit draws of nnclr_rng_at(seed, purpose, epoch, record, 0)."""
    blocks = (draws + 3) // 4
    mask = np.uint64(0xFFFFFFFF)
    c0 = np.arange(blocks, dtype=np.uint64)
    c1, c2, c3 = (np.full(blocks, v, np.uint64) for v in (record, epoch, purpose))
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c2 = (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0), (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1)
        c1, c3 = p1 & mask, p0 & mask
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], 1).reshape(-1)[:draws]


def floats(seed, purpose, record, count, epoch=0):
    return (philox(seed, purpose, epoch, record, count) >> np.uint64(8)) / 2.0**24


def uniform(seed, record, count, epoch=0):
    return 2 * floats(seed, SAMPLE, record, count, epoch) - 1


def normals(seed, record, count):
    u = floats(seed, WEIGHTS, record, (count + 1) // 2 * 2).reshape(-1, 2)
    radius, angle = np.sqrt(-2 * np.log(u[:, 0] + 2.0**-25)), 2 * np.pi * u[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:count]


def initialize(model, seed):
    for record, (name, p) in enumerate(model.named_parameters()):
        if p.dim() == 4:
            deviation = np.sqrt(2 / (p.shape[0] * p.shape[2] * p.shape[3]))
            values = deviation * normals(seed, record, p.numel())
        elif p.dim() == 2:
            values = (2 * floats(seed, WEIGHTS, record, p.numel()) - 1) / np.sqrt(p.shape[1])
        else:
            values = np.full(p.numel(), 1.0 if name.endswith("weight") else 0.0)
        with torch.no_grad():
            p.copy_(torch.from_numpy(values).reshape(p.shape))


def mlp(widths, norm_last):
    layers = []
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        last = i == len(widths) - 2
        layers.append(torch.nn.Linear(a, b, bias=last and not norm_last))
        if not last or norm_last:
            layers.append(torch.nn.BatchNorm1d(b))
        if not last:
            layers.append(torch.nn.ReLU())
    return torch.nn.Sequential(*layers)


def summary(name, tensor, record):
    values = tensor.detach().numpy().reshape(-1)
    dot = values @ uniform(9, record, values.size)
    return f'{{"{name}", {np.linalg.norm(values)!r}, {dot!r}}},'


def case(arch, stem, size, n):
    model = torch.nn.Module()
    model.backbone = getattr(torchvision.models, arch)()
    features = model.backbone.fc.in_features
    model.backbone.fc = torch.nn.Identity()
    if stem == "cifar":
        model.backbone.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        model.backbone.maxpool = torch.nn.Identity()
    model.projector = mlp([features, 48, 40, 32], True)
    model.predictor = mlp([32, 56, 32], False)
    model.double()
    initialize(model, 5)
    pictures = uniform(3, 0, 2 * n * size * size * 3).reshape(2 * n, size, size, 3)
    pictures = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    h, u = [], []
    for view in pictures[:n], pictures[n:]:
        h.append(model.backbone(view))
        p = model.predictor(model.projector(h[-1]))
        u.append(torch.nn.functional.normalize(p, dim=1, eps=1e-12))
    h, u = torch.cat(h), torch.cat(u)
    (u * torch.from_numpy(uniform(8, 0, u.numel())).reshape(u.shape)).sum().backward()
    lines = [summary("features", h, 0), summary("prediction_unit", u, 0)]
    lines += [summary(name, p.grad, i) for i, (name, p) in enumerate(model.named_parameters())]
    running = [(k, v) for k, v in model.state_dict().items() if "running" in k]
    lines += [summary(name, v, i) for i, (name, v) in enumerate(running)]
    return f"static const summary {arch}[] = {{\n" + "\n".join(lines) + "\n};\n"


print(case("resnet18", "cifar", 16, 4), end="")
print(case("resnet50", "imagenet", 64, 4), end="")
