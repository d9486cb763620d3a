#!/usr/bin/python3
"""Prints ten_steps.inc for tests/unit/test_engine_steps.c: ten free-running steps of NNCLR and of
SimCLR (NT-Xent) with LARS on fixed views, by PyTorch in float64, and how far PyTorch's own float32
is from that when each step starts from the float64 state rounded to float; and less of the same with
other losses and positives (OTHERS).

Weights, views and the first support set come from the library's counter-based generator (oracle.py).
Asserted here: what makes the comparison mean something (see check_run)."""

import copy
import math

import numpy as np
import torch

from oracle import QUEUE, distance, initialize, mlp, normals, resnet, summary, uniform, unit

KINK = 5e-6
N, SIZE, RECORDS, STEPS, M, D = 16, 8, 48, 10, 40, 64
LOOKS, APPEARANCE_SEED = 128, 91  # numbers of an appearance
TEMPERATURE, PEAK, WARMUP, MOMENTUM, DECAY, TRUST, OFF_DIAGONAL = 0.2, 2.0, 2, 0.9, 0.01, 0.001, 0.0051
PLAIN = {"seed": 69, "method": "nnclr", "predictor": True, "neighbours": True, "view": (0, 0), "over": STEPS,
         "negatives": "opposite", "decoupled": False, "soft": 0, "agree": False, "enqueued": 1, "target": 0,
         "mixed": False, "appearance": 0}
ALONE = {**PLAIN, "neighbours": False}
SIMCLR = {**ALONE, "seed": 79, "method": "simclr", "predictor": False}
OTHERS = {
    "view": {**PLAIN, "predictor": False, "view": (1, 0.3), "over": 5},
    "view_predictor": {**PLAIN, "view": (0.5, 0.5)},
    "decoupled": {**PLAIN, "decoupled": True},
    "decoupled_simclr": {**SIMCLR, "decoupled": True},
    "soft": {**PLAIN, "soft": 5},
    "agree": {**PLAIN, "agree": True, "enqueued": 2},
    "all": {**PLAIN, "predictor": False, "view": (1, 0.3), "over": 5, "negatives": "all", "decoupled": True,
            "soft": 5, "agree": True, "enqueued": 2},
    "mixed": {**PLAIN, "predictor": False, "view": (1, 0.3), "over": 5, "negatives": "all", "mixed": True},
    "appearance": {**PLAIN, "appearance": 0.7, "soft": 5},
    "target": {**PLAIN, "target": 0.9},
    "simsiam": {**ALONE, "method": "simsiam"},
    "nn_simsiam": {**PLAIN, "method": "simsiam"},
    "byol": {**ALONE, "method": "byol", "target": 0.9},
    "nn_byol": {**PLAIN, "method": "byol", "target": 0.9},
    "barlow": {**ALONE, "method": "barlow", "predictor": False},
}


def make_model(v):
    model = torch.nn.Module()
    model.backbone = resnet("resnet18", 8, "cifar")
    model.projector = mlp([64, 64, 64, D], True)
    model.predictor = mlp([D, 48, D], False) if v["predictor"] else torch.nn.Identity()
    model.double()
    initialize(model, v["seed"])
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


def records_of(step):
    return (step * N + torch.arange(N)) % RECORDS


def cross_entropy(rows, columns, target, v, skip=None):
    """Mean softmax cross-entropy of the similarities; decoupled, the target is not in the sum."""
    similar = rows @ columns.T / TEMPERATURE
    own, out = similar.gather(1, target[:, None]), torch.zeros_like(similar, dtype=bool)
    if skip is not None:
        out = out.scatter(1, skip[:, None], True)
    if v["decoupled"]:
        out = out.scatter(1, target[:, None], True)
    return (similar.masked_fill(out, -math.inf).logsumexp(1) - own[:, 0]).mean()


def looks_of(record):
    """Unit rows that stand for the appearances of records."""
    rows = np.stack([normals(APPEARANCE_SEED, QUEUE, max(i, 0), LOOKS) for i in record.tolist()])
    return unit(torch.from_numpy(rows)).float().double()


def keys_of(rows, record, v):
    share = v["appearance"]
    keys = torch.cat([math.sqrt(1 - share) * rows, math.sqrt(share) * looks_of(record).to(rows.dtype)], 1)
    return unit(keys) * (record >= 0)[:, None]


def find_positives(z, queue, record, step, v):
    """Those of both views, the nearest rows, whether they agree, and the smallest gap between ranks."""
    k = v["soft"] or 1
    keys, queries = queue, z
    if v["appearance"]:
        keys, queries = keys_of(queue, record, v), [keys_of(rows, records_of(step), v) for rows in z]
    # Equal ones, which rows without a picture are, in order.
    found = [(rows @ keys.T).sort(dim=1, descending=True, stable=True) for rows in queries]
    weights = [(best.values[:, :k] / TEMPERATURE).softmax(1) for best in found]
    means = [unit((w[..., None] * queue[best.indices[:, :k]]).sum(1)) for w, best in zip(weights, found)]
    first, second = [record[best.indices[:, 0]] for best in found]
    agreed = (first >= 0) & (first == second)
    if v["agree"]:
        means = [torch.where(agreed[:, None], mean, rows) for mean, rows in zip(means, z)]
    gaps = [(best.values[:, :k] - best.values[:, 1 : k + 1])[best.values[:, :k] != 0] for best in found]
    gap = min((g.min().item() for g in gaps if g.numel()), default=1)
    return means, torch.cat([best.indices[:, 0] for best in found]), agreed, gap


def ntxent(u, v):
    both, all = torch.cat(u), torch.arange(2 * N)
    return cross_entropy(both, both, all.roll(N), v, all)


def nnclr(positives, u, q, step, v):
    mine, own, loss = [rows.detach() for rows in u] if v["predictor"] else u, torch.arange(N), 0
    weight = v["view"][0] + (v["view"][1] - v["view"][0]) * min(step / v["over"], 1)
    if v["mixed"]:
        both = torch.cat(q)
        target = torch.cat([(1 - weight) * positives[1 - view] + weight * mine[1 - view] for view in (0, 1)])
        similar = (both @ both.T / TEMPERATURE).masked_fill(torch.eye(2 * N, dtype=bool), -math.inf)
        return (similar.logsumexp(1) - (target * both).sum(1) / TEMPERATURE).mean()
    for view in 0, 1:
        loss += (1 - weight) / 2 * cross_entropy(positives[view], q[1 - view], own, v)
        if v["negatives"] == "all":
            term = cross_entropy(mine[view], torch.cat([q[1 - view], q[view]]), own, v, own + N)
        else:
            term = cross_entropy(mine[view], q[1 - view], own, v)
        loss += weight / 2 * term
    return loss


def simsiam(positives, p):
    similar = torch.nn.functional.cosine_similarity
    return -(similar(p[0], positives[1]).mean() + similar(p[1], positives[0]).mean()) / 2


def byol(positives, q):
    return sum((q[1 - view] - positives[view]).square().sum(1).mean() for view in (0, 1))


def barlow(z):
    """As its authors' main.py has it."""
    bn = torch.nn.BatchNorm1d(D, affine=False).to(z[0].dtype)
    c = bn(z[0]).T @ bn(z[1]) / N
    off_diagonal = c.flatten()[:-1].view(D - 1, D + 1)[:, 1:]
    return (torch.diagonal(c) - 1).pow(2).sum() + OFF_DIAGONAL * off_diagonal.pow(2).sum()


def compute(model, target, queue, record, step, views, v):
    """Loss, gradients, picks, the smallest gap, how many agree, the unit projections, and the features."""
    h = [model.backbone(view) for view in views]
    z = [model.projector(rows) for rows in h]
    p = [model.predictor(rows) for rows in z]
    with torch.no_grad():
        slow = z if target is None else [target.projector(target.backbone(view)) for view in views]
    u, q = [unit(rows) for rows in slow], [unit(rows) for rows in p]
    positives, picks, gap, agreed = [rows.detach() for rows in u], None, None, None
    if queue is not None:
        positives, picks, agreed, gap = find_positives(positives, queue, record, step, v)
        agreed = agreed.sum().item()
    losses = {"nnclr": lambda: nnclr(positives, u, q, step, v), "simclr": lambda: ntxent(u, v),
              "simsiam": lambda: simsiam(positives, p), "byol": lambda: byol(positives, q), "barlow": lambda: barlow(z)}
    loss = losses[v["method"]]()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return loss.item(), gradients, picks, gap, agreed, [rows.detach() for rows in u], torch.cat(h).detach()


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


def follow(target, model, momentum):
    with torch.no_grad():
        for slow, w in zip(target.parameters(), model.parameters()):
            slow.mul_(momentum).add_(w, alpha=1 - momentum)


def single_precision(model, queue, record, step, views, v):
    """Loss, gradients and picks of this step in float32, from the same state rounded to float."""
    queue = None if queue is None else queue.float()
    return compute(copy.deepcopy(model).float(), None, queue, record, step, [view.float() for view in views], v)


def run(v, perturbation=0, single=True):
    model = make_model(v)
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
    record = torch.full((M,), -1)
    target = copy.deepcopy(model) if v["target"] else None
    if v["neighbours"]:
        queue = unit(torch.from_numpy(np.stack([normals(v["seed"], QUEUE, i, D) for i in range(M)])))
    r = {key: [] for key in ("loss", "picks", "gap", "agreed", "queue", "own", "own_tensors", "own_loss")}
    for step in range(STEPS):
        views = views_of(step)
        loss, gradients, picks, gap, agreed, z, h = compute(model, target, queue, record, step, views, v)
        r["loss"].append(loss)
        if single:
            rounded = single_precision(model, queue, record, step, views, v)
            r["own"].append(distance(flat(rounded[1]), flat(gradients)))
            r["own_tensors"].append([distance(a, b) for a, b in zip(rounded[1], gradients)])
            r["own_loss"].append(abs(rounded[0] - loss))
            assert picks is None or torch.equal(picks, rounded[2])
        lars(model, velocity, gradients, rate_of(step))
        if queue is not None:
            r["picks"].append(picks.tolist())
            r["gap"].append(gap)
            r["agreed"].append(agreed)
            queue = queue.clone()
            for rows in z[:v["enqueued"]]:
                at = (cursor + torch.arange(N)) % M
                queue[at], record[at] = rows, records_of(step)
                cursor = (cursor + N) % M
            r["queue"].append(queue)
        if target is not None:
            follow(target, model, v["target"])
    names = [name for name, _ in model.named_parameters()]
    r["updates"] = [(name, p.detach() - s) for name, p, s in zip(names, model.parameters(), start)]
    r["moved"] = min((u.norm() / s.norm()).item() for (_, u), s in zip(r["updates"], start) if s.dim() > 1)
    r["running"] = [(name, v) for name, v in model.state_dict().items() if "running" in name]
    r["kink"], r["h"] = min(kink), h
    return r


def flat(tensors):
    return torch.cat([t.flatten() for t in tensors])


def check_run(v, r, clear=1e-4):
    """Weights move, neighbours are clear, rounding of the start does not grow."""
    other = run(v, 1e-15, single=False)
    assert r["moved"] >= 0.01, r["moved"]
    assert all(gap > clear for gap in r["gap"]), r["gap"]
    assert max(abs(a - b) for a, b in zip(r["loss"], other["loss"])) < 1e-10
    for (name, a), (_, b) in zip(r["updates"], other["updates"]):
        assert (a - b).norm() < 1e-9 * (a.norm() + 1e-3), name


def check_single(r):
    """No ReLU flips in float32, whose loss is as near as the test wants ours to be."""
    assert r["kink"] > KINK, r["kink"]
    assert max(r["own_loss"]) < 5e-6 and max(r["own"]) < 2e-5, (r["own_loss"], r["own"])


def effective_rank(rows):
    values = torch.linalg.eigvalsh((rows - rows.mean(0)).T @ (rows - rows.mean(0))).clamp(min=0)
    return torch.special.entr(values / values.sum()).sum().exp().item()


def table(kind, name, rows):
    return f"static const {kind} {name}[] = {{\n" + "\n".join(rows) + "\n};\n"


def reals(values):
    return [f"{v!r}," for v in values]


def fixture(v):
    method, r = v["method"], run(v)
    check_run(v, r)
    check_single(r)
    worst = np.array(r["own_tensors"]).max(0)
    text = table("double", f"torch_{method}_loss", reals(r["loss"]))
    text += table("double", f"torch_{method}_own", reals(r["own"]))
    text += table("double", f"torch_{method}_own_tensors", [f"{v:.3g}," for v in worst])
    for kind in "updates", "running":
        rows = [summary(name, t, i) for i, (name, t) in enumerate(r[kind])]
        text += table("summary", f"torch_{method}_{kind}", rows)
    text += f"enum {{ {method.upper()}_SEED = {v['seed']} }};\n"
    if method == "nnclr":
        rows = [", ".join(map(str, p)) + "," for p in r["picks"]]
        text += table("int32_t", "torch_nnclr_picks", rows)
        rows = [summary(f"queue after step {i + 1}", q, i) for i, q in enumerate(r["queue"])]
        text += table("summary", "torch_nnclr_queue", rows)
    return text


def brief(name, v):
    """Of another run the losses, how many pictures' views agree, the rank of the last features, the
    update as one vector, and the queue."""
    r = run(v, single=False)
    check_run(v, r, 1e-6)
    if v["agree"]:
        assert sum(0 < agreed < N for agreed in r["agreed"]) > 4, r["agreed"]
    queue, agreed = r["queue"][-1:] or [torch.zeros(1)], r["agreed"] or [0]
    lines = [f"{{{', '.join(map(repr, r['loss']))}}},", f"{{{', '.join(map(str, agreed))}}},"]
    lines.append(f"{effective_rank(r['h'])!r},")
    lines += [summary("update", flat([u for _, u in r["updates"]]), 0), summary("queue", queue[0], 1)]
    return f"static const outcome torch_{name} = {{\n" + "\n".join(lines) + "\n};\n"


if __name__ == "__main__":
    print(fixture(PLAIN) + fixture(SIMCLR) + "".join(brief(name, v) for name, v in OTHERS.items()), end="")
