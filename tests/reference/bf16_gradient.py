#!/usr/bin/python3
"""How far gradients at bf16 are from those at f32: ours, and PyTorch's under autocast.

usage: bf16_gradient.py TRAINED VIEWS... : for each VIEWS file (uncompressed, as nnclr-views -o makes
them) VIEWS.f32 and VIEWS.bf16 are checkpoints (uncompressed) one step of SGD, with rate 1 and neither
momentum nor decay, after TRAINED, so that their weights have moved by minus the gradient of SimCLR's
loss. Prints the relative distance of each gradient from its float one: ours, PyTorch's, and that of
our float gradient from PyTorch's, which shows that both compute the same loss.
"""
import sys
import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F, torchvision

from tensors import load as load_tensors

TEMPERATURE = 0.1


def load(path):
    return {k: torch.tensor(t.array) for k, t in load_tensors(path)[1].items()}


def network(state):
    backbone = torchvision.models.resnet18()
    backbone.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    backbone.maxpool = backbone.fc = nn.Identity()
    widths = [512] + [state[f"projector.{i}.weight"].shape[0] for i in (0, 3, 6)]
    layers = []
    for i in range(3):
        layers += [nn.Linear(widths[i], widths[i + 1], bias=False), nn.BatchNorm1d(widths[i + 1]), nn.ReLU()]
    net = nn.Sequential()
    net.add_module("backbone", backbone)
    net.add_module("projector", nn.Sequential(*layers[:-1]))
    net.load_state_dict({k: v for k, v in state.items() if k.startswith(("backbone.", "projector."))}, strict=False)
    return net.to(memory_format=torch.channels_last).train()


def gradient(net, views, bf16):
    net.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        z = [net(v) for v in views]
    z = F.normalize(torch.cat([v.float() for v in z]))
    n = len(z) // 2
    logits = (z @ z.T / TEMPERATURE).fill_diagonal_(float("-inf"))
    F.cross_entropy(logits, torch.arange(2 * n).roll(n)).backward()
    return {k: p.grad.double().clone() for k, p in net.named_parameters()}


def whole(gradients):
    return torch.cat([gradients[k].flatten() for k in sorted(gradients)])


def distance(a, b):
    return float((a - b).norm() / b.norm())


trained = load(sys.argv[1])
net = network(trained)
mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
distances = []
for path in sys.argv[2:]:
    tensors = load(path)  # [n, h, w, 3], F32 in [0, 1] or U8
    views = [tensors[name] for name in ("view1", "view2")]
    views = [v if v.dtype == torch.float32 else v.float() / 255 for v in views]
    views = [((v.permute(0, 3, 1, 2) - mean) / std).contiguous(memory_format=torch.channels_last) for v in views]
    theirs = [whole(gradient(net, views, bf16)) for bf16 in (False, True)]
    names = [k for k, _ in net.named_parameters()]
    ours = []
    for precision in ("f32", "bf16"):
        moved = load(f"{path}.{precision}")
        ours.append(whole({k: trained[k].double() - moved[k].double() for k in names}))
    distances.append((distance(ours[1], ours[0]), distance(theirs[1], theirs[0]), distance(ours[0], theirs[0])))
    print("%.5f\t%.5f\t%.5f" % distances[-1])
ours, theirs, between = np.mean(distances, 0)
print("ours %.5f, PyTorch %.5f, ratio %.3f, float gradients %.2g apart" % (ours, theirs, ours / theirs, between))
assert between < 0.01, "the float gradients differ"
assert ours <= 1.2 * theirs, "ours is further from float than PyTorch's"
