#!/usr/bin/python3
"""Prints ten_steps.inc for tests/unit/test_engine_steps.c: ten free-running steps of NNCLR and of
SimCLR (NT-Xent) with LARS on fixed views, by PyTorch in float64, and how far PyTorch's own float32
is from that when each step starts from the float64 state rounded to float.

Weights, views and the first support set come from the library's counter-based generator (oracle.py).
Asserted here: what makes the comparison mean something (see check_run)."""

import copy
import math

import numpy as np
import torch

from oracle import QUEUE, distance, initialize, mlp, normals, resnet, summary, uniform, unit

SEEDS = {"nnclr": 69, "simclr": 79}
KINK = 5e-6
N, SIZE, RECORDS, STEPS, M, D = 16, 8, 48, 10, 40, 64
TEMPERATURE, PEAK, WARMUP, MOMENTUM, DECAY, TRUST = 0.2, 2.0, 2, 0.9, 0.01, 0.001


def make_model(method, seed):
    model = torch.nn.Module()
    model.backbone = resnet("resnet18", 8, "cifar")
    model.projector = mlp([64, 64, 64, D], True)
    if method == "nnclr":
        model.predictor = mlp([D, 48, D], False)
    model.double()
    initialize(model, seed)
    return model


def views_of(step):
    """[2][N]: each picture's base, three parts of it to one part of noise."""
    pictures = []
    for view in 0, 1:
        for i in range(N):
            record, count = (step * N + i) % RECORDS, SIZE * SIZE * 3
            base, noise = uniform(3, record, count), uniform(3, record, count, 1 + view)
            pictures.append((0.75 * base + 0.25 * noise).astype(np.float32))
    pictures = torch.from_numpy(np.stack(pictures)).double()
    pictures = pictures.reshape(2, N, SIZE, SIZE, 3).permute(0, 1, 4, 2, 3)
    return [view.contiguous() for view in pictures]


def rate_of(step):
    if step < WARMUP:
        return PEAK * step / WARMUP
    return PEAK * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) / 2


def nearest(z, queue):
    best = (z @ queue.T).topk(2)
    return best.indices[:, 0], (best.values[:, 0] - best.values[:, 1]).min().item()


def compute(model, queue, views):
    """Loss, gradients, picks, their smallest gap, and the unit projections of view 1."""
    cross_entropy = torch.nn.functional.cross_entropy
    z = [model.projector(model.backbone(view)) for view in views]
    u = [unit(rows) for rows in z]
    picks, gap = None, None
    if queue is None:
        both = torch.cat(u)
        similar = (both @ both.T / TEMPERATURE).fill_diagonal_(-math.inf)
        loss = cross_entropy(similar, torch.arange(2 * N).roll(N))
    else:
        q = [unit(model.predictor(rows)) for rows in z]
        with torch.no_grad():
            found = [nearest(rows, queue) for rows in u]
        own = torch.arange(N)
        terms = [
            cross_entropy(queue[found[view][0]] @ q[1 - view].T / TEMPERATURE, own)
            for view in (0, 1)
        ]
        loss = (terms[0] + terms[1]) / 2
        picks, gap = torch.cat([f[0] for f in found]), min(f[1] for f in found)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return loss.item(), gradients, picks, gap, u[0].detach()


def lars(model, velocity, gradients, rate):
    """Variant B; parameters of one dimension neither decay nor are adapted."""
    with torch.no_grad():
        for w, v, g in zip(model.parameters(), velocity, gradients):
            ratio = 1
            if w.dim() > 1:
                g = g + DECAY * w
                ratio = TRUST * w.norm() / g.norm()
            v.mul_(MOMENTUM).add_(ratio * g)
            w.sub_(rate * v)


def single_precision(model, queue, views):
    """Loss, gradients and picks of this step in float32, from the same state rounded to float."""
    queue = None if queue is None else queue.float()
    return compute(copy.deepcopy(model).float(), queue, [view.float() for view in views])


def run(method, seed, perturbation=0, single=True):
    model = make_model(method, seed)
    kink = [1.0]  # the ReLU input nearest to zero: float32 must not see it on the other side
    for module in model.modules():
        if isinstance(module, torch.nn.ReLU):
            module.register_forward_pre_hook(
                lambda _, x: kink.append(x[0].detach().abs().min().item()) if x[0].dtype == torch.float64 else None
            )
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1 + perturbation)
    start = [p.detach().clone() for p in model.parameters()]
    velocity = [torch.zeros_like(p) for p in start]
    queue, cursor = None, 0
    if method == "nnclr":
        queue = unit(torch.from_numpy(np.stack([normals(seed, QUEUE, i, D) for i in range(M)])))
    r = {key: [] for key in ("loss", "picks", "gap", "queue", "own", "own_tensors", "own_loss")}
    for step in range(STEPS):
        views = views_of(step)
        loss, gradients, picks, gap, z = compute(model, queue, views)
        r["loss"].append(loss)
        if single:
            rounded = single_precision(model, queue, views)
            r["own"].append(distance(flat(rounded[1]), flat(gradients)))
            r["own_tensors"].append([distance(a, b) for a, b in zip(rounded[1], gradients)])
            r["own_loss"].append(abs(rounded[0] - loss))
            assert picks is None or torch.equal(picks, rounded[2])
        lars(model, velocity, gradients, rate_of(step))
        if queue is not None:
            r["picks"].append(picks.tolist())
            r["gap"].append(gap)
            queue = queue.clone()
            queue[(cursor + torch.arange(N)) % M] = z
            cursor = (cursor + N) % M
            r["queue"].append(queue)
    names = [name for name, _ in model.named_parameters()]
    r["updates"] = [(name, p.detach() - s) for name, p, s in zip(names, model.parameters(), start)]
    r["moved"] = min((u.norm() / s.norm()).item() for (_, u), s in zip(r["updates"], start) if s.dim() > 1)
    r["running"] = [(name, v) for name, v in model.state_dict().items() if "running" in name]
    r["kink"] = min(kink)
    return r


def flat(tensors):
    return torch.cat([t.flatten() for t in tensors])


def check_run(method, seed, r):
    """Weights move, neighbours are clear, rounding of the start does not grow, no ReLU flips in
    float32, whose loss is as near as the test wants ours to be."""
    other = run(method, seed, 1e-15, single=False)
    assert r["moved"] >= 0.01, r["moved"]
    assert all(gap > 1e-4 for gap in r["gap"]), r["gap"]
    assert max(abs(a - b) for a, b in zip(r["loss"], other["loss"])) < 1e-10
    for (name, a), (_, b) in zip(r["updates"], other["updates"]):
        assert (a - b).norm() < 1e-9 * (a.norm() + 1e-3), name
    assert r["kink"] > KINK, r["kink"]
    assert max(r["own_loss"]) < 5e-6 and max(r["own"]) < 2e-5, (r["own_loss"], r["own"])


def table(kind, name, rows):
    return f"static const {kind} {name}[] = {{\n" + "\n".join(rows) + "\n};\n"


def reals(values):
    return [f"{v!r}," for v in values]


def fixture(method, seed):
    r = run(method, seed)
    check_run(method, seed, r)
    worst = np.array(r["own_tensors"]).max(0)
    text = table("double", f"torch_{method}_loss", reals(r["loss"]))
    text += table("double", f"torch_{method}_own", reals(r["own"]))
    text += table("double", f"torch_{method}_own_tensors", [f"{v:.3g}," for v in worst])
    for kind in "updates", "running":
        rows = [summary(name, t, i) for i, (name, t) in enumerate(r[kind])]
        text += table("summary", f"torch_{method}_{kind}", rows)
    text += f"enum {{ {method.upper()}_SEED = {seed} }};\n"
    if method == "nnclr":
        rows = [", ".join(map(str, p)) + "," for p in r["picks"]]
        text += table("int32_t", "torch_nnclr_picks", rows)
        rows = [summary(f"queue after step {i + 1}", q, i) for i, q in enumerate(r["queue"])]
        text += table("summary", "torch_nnclr_queue", rows)
    return text


if __name__ == "__main__":
    for method in "nnclr", "simclr":
        print(fixture(method, SEEDS[method]), end="")
