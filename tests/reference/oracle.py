"""What the PyTorch references share: the library's counter-based generator in numpy, its initial
values, NNCLR's heads, and the summary of a tensor that tests/unit/torch_summary.h reads."""

import numpy as np
import torch
import torchvision
from torchvision.models.resnet import ResNet

WEIGHTS, QUEUE, SAMPLE = 1, 2, 6
SAMPLES = 4


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


def normals(seed, purpose, record, count):
    u = floats(seed, purpose, record, (count + 1) // 2 * 2).reshape(-1, 2)
    radius, angle = np.sqrt(-2 * np.log(u[:, 0] + 2.0**-25)), 2 * np.pi * u[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:count]


def initialize(model, seed):
    for record, (name, p) in enumerate(model.named_parameters()):
        if p.dim() == 4:
            deviation = np.sqrt(2 / (p.shape[0] * p.shape[2] * p.shape[3]))
            values = deviation * normals(seed, WEIGHTS, record, p.numel())
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


def resnet(arch, divisor, stem):
    """torchvision's without the last layer; with its channels divided, and our stem for CIFAR's size."""
    model = getattr(torchvision.models, arch)()
    if divisor > 1:
        layers = (model.layer1, model.layer2, model.layer3, model.layer4)
        model = narrow(type(model.layer1[0]), [len(blocks) for blocks in layers], divisor)
    if stem == "cifar":
        model.conv1 = torch.nn.Conv2d(3, 64 // divisor, 3, 1, 1, bias=False)
        model.maxpool = torch.nn.Identity()
    model.features = model.fc.in_features // divisor
    model.fc = torch.nn.Identity()
    return model


def narrow(block, depths, divisor):
    class Narrow(ResNet):
        def _make_layer(self, block, planes, *rest, **named):
            if planes == 64:
                self.inplanes = 64 // divisor
            return super()._make_layer(block, planes // divisor, *rest, **named)

    model = Narrow(block, depths)
    model.conv1 = torch.nn.Conv2d(3, 64 // divisor, 7, 2, 3, bias=False)
    model.bn1 = torch.nn.BatchNorm2d(64 // divisor)
    return model


def unit(rows):
    return torch.nn.functional.normalize(rows, dim=1, eps=1e-12)


def summary(name, tensor, record):
    """Norm, dot product with uniform draws (one stream for each record), sampled entries."""
    values = tensor.detach().numpy().reshape(-1)
    dot = values @ uniform(9, record, values.size)
    samples = ", ".join(repr(float(values[i * (values.size - 1) // (SAMPLES - 1)])) for i in range(SAMPLES))
    return f'{{"{name}", {float(np.linalg.norm(values))!r}, {float(dot)!r}, {{{samples}}}}},'


def distance(values, reference):
    """The distance of float32 from float64: the norm of the difference over the reference's norm."""
    values, reference = values.detach().double(), reference.detach()
    return ((values - reference).norm() / reference.norm()).item()
