#!/usr/bin/python3
"""Prints resnet_gradients.inc for tests/unit/test_resnet.c: torchvision's ResNets with NNCLR's heads
in float64, two views in training mode, then the features in evaluation mode. Weights, pictures and
the loss (a random projection of the unit predictions) come from the library's own counter-based
generator (oracle.py). For ResNet-18 and -50 every gradient and running statistic, and how far
PyTorch's own float32 gradient is from its float64 one; for the others a sample.

Pictures are just large enough to leave the last layers 2 x 2 pixels, so that batch norm sees 16
values per channel there."""

import copy
import textwrap

import torch

from oracle import distance, initialize, mlp, resnet, summary, uniform, unit

N = 4


def build(arch, divisor, stem):
    model = torch.nn.Module()
    model.backbone = resnet(arch, divisor, stem)
    model.projector = mlp([model.backbone.features, 48, 40, 32], True)
    model.predictor = mlp([32, 56, 32], False)
    model.double()
    initialize(model, 5)
    return model


def train(model, pictures):
    """Features and unit predictions; gradients and running statistics stay in the model."""
    h, u = [], []
    for view in pictures[:N], pictures[N:]:
        h.append(model.backbone(view))
        u.append(unit(model.predictor(model.projector(h[-1]))))
    h, u = torch.cat(h), torch.cat(u)
    weights = torch.from_numpy(uniform(8, 0, u.numel())).reshape(u.shape)
    (u * weights.to(u.dtype)).sum().backward()
    return h, u


def evaluate(model, pictures):
    model.eval()
    with torch.no_grad():
        return model.backbone(pictures)


def gradients(model):
    return [(name, p.grad) for name, p in model.named_parameters()]


def own_distances(name, single, model, pictures):
    train(single, pictures.float())
    pairs = [(a, b) for (_, a), (_, b) in zip(gradients(single), gradients(model))]
    whole = distance(*(torch.cat([g.flatten() for g in side]) for side in zip(*pairs)))
    rows = textwrap.fill(", ".join(f"{distance(*pair):.3g}" for pair in pairs), 99) + ","
    return (
        f"static const double {name}_own = {whole:.3g};\n"
        f"static const double {name}_own_tensors[] = {{\n{rows}\n}};\n"
    )


def case(name, arch, stem, size, divisor=1, every=1):
    model = build(arch, divisor, stem)
    single = copy.deepcopy(model).float()
    pictures = torch.from_numpy(uniform(3, 0, 2 * N * size * size * 3))
    pictures = pictures.reshape(2 * N, size, size, 3).permute(0, 3, 1, 2)
    h, u = train(model, pictures)
    running = [(k, v) for k, v in model.state_dict().items() if "running" in k]
    lines = [summary("features", h, 0), summary("prediction_unit", u, 0)]
    for tensors in gradients(model), running:
        lines += [summary(*t, i) for i, t in enumerate(tensors) if i % every == 0]
    e = evaluate(model, pictures)
    lines.append(summary("evaluation", e, 0))
    text = f"static const summary {name}[] = {{\n" + "\n".join(lines) + "\n};\n"
    return text + (own_distances(name, single, model, pictures) if every == 1 else "")


# A sample's step has no factor in common with the tensors of a block, so that it meets all kinds.
print(case("resnet18", "resnet18", "cifar", 16), end="")
print(case("resnet50", "resnet50", "imagenet", 64), end="")
print(case("resnet34", "resnet34", "imagenet", 33, every=5), end="")
print(case("resnet101", "resnet101", "imagenet", 33, every=11), end="")
print(case("resnet152", "resnet152", "imagenet", 33, every=13), end="")
print(case("narrow", "resnet50", "cifar", 16, divisor=4, every=5), end="")
