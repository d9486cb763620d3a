#!/usr/bin/python3
"""Prints finetune_steps.inc for tests/unit/test_finetune.c: ten free-running steps of a ResNet-18 with
an eighth of the width and a classifier of zeros, by PyTorch's own SGD with Nesterov's momentum in
float64, with a separate rate for the classifier, on fixed views and labels.

Weights and views come from the library's counter-based generator (oracle.py). Asserted here: weights
move, and rounding of the start does not grow."""

import math

import numpy as np
import torch

from oracle import initialize, resnet, summary, uniform
from ten_steps import reals, table

SEED, N, SIZE, RECORDS, STEPS, CLASSES = 85, 16, 8, 48, 10, 5
PEAK, HEAD_PEAK, WARMUP, MOMENTUM, DECAY = 0.1, 0.2, 1, 0.9, 0.01


def batch_of(step):
    records = [(step * N + i) % RECORDS for i in range(N)]
    pictures = []
    for record in records:
        base, noise = uniform(3, record, SIZE * SIZE * 3), uniform(3, record, SIZE * SIZE * 3, 1 + step)
        pictures.append((0.75 * base + 0.25 * noise).astype(np.float32))
    views = torch.from_numpy(np.stack(pictures)).double().reshape(N, SIZE, SIZE, 3).permute(0, 3, 1, 2)
    return views.contiguous(), torch.tensor([record * record % 7 % CLASSES for record in records])


def share_of(step):
    if step < WARMUP:
        return step / WARMUP
    return (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) / 2


def run(perturbation=0):
    model = torch.nn.Module()
    model.backbone = resnet("resnet18", 8, "cifar")
    model.fc = torch.nn.Linear(model.backbone.features, CLASSES)
    model.double()
    initialize(model, SEED)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1 + perturbation)
        for p in model.fc.parameters():
            p.zero_()
    start = [p.detach().clone() for p in model.parameters()]
    groups = []
    for name, p in model.named_parameters():
        peak = HEAD_PEAK if name.startswith("fc.") else PEAK
        groups.append({"params": [p], "weight_decay": DECAY if p.dim() > 1 else 0, "peak": peak})
    optimizer = torch.optim.SGD(groups, lr=1, momentum=MOMENTUM, nesterov=True)
    losses, norms, accuracies = [], [], []
    for step in range(STEPS):
        views, labels = batch_of(step)
        logits = model.fc(model.backbone(views))
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        norms.append(math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters())))
        accuracies.append((logits.argmax(1) == labels).double().mean().item())
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share_of(step)
        optimizer.step()
    names = [name for name, _ in model.named_parameters()]
    updates = [(name, p.detach() - s) for name, p, s in zip(names, model.parameters(), start)]
    moved = [(n, (u.norm() / s.norm()).item()) for (n, u), s in zip(updates, start) if s.norm() > 0]
    running = [(name, v) for name, v in model.state_dict().items() if "running" in name]
    return losses, norms, accuracies, updates, running, moved


if __name__ == "__main__":
    losses, norms, accuracies, updates, running, moved = run()
    again = run(1e-15)
    assert min(m for n, m in moved if n.endswith("conv1.weight") or "conv2" in n) > 0.01, moved
    assert max(abs(a - b) for a, b in zip(losses, again[0])) < 1e-10
    for (name, a), (_, b) in zip(updates, again[3]):
        assert (a - b).norm() < 1e-9 * (a.norm() + 1e-3), name
    print(table("double", "torch_loss", reals(losses)), end="")
    print(table("double", "torch_gradient_norm", reals(norms)), end="")
    print(table("double", "torch_accuracy", reals(accuracies)), end="")
    for kind, tensors in ("updates", updates), ("running", running):
        rows = [summary(name, t, i) for i, (name, t) in enumerate(tensors)]
        print(table("summary", f"torch_{kind}", rows), end="")
