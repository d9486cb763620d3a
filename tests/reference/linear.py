#!/usr/bin/python3
"""Prints linear.inc for tests/unit/test_linear.c: softmax regression in PyTorch's float64, by SGD
with the batches in our order, and at the optimum for one lambda. Rows and order come from the
library's own counter-based generator, ported here."""

import math

import torch

ROWS, D, CLASSES, SEED = 120, 6, 4, 11
ORDER, SAMPLE = 3, 6
EPOCHS, BATCH, RATE, DECAY, LAMBDA = 3, 32, 0.8, 0.01, 1e-3


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k[0], q & 0xFFFFFFFF, p >> 32 ^ c[3] ^ k[1], p & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def draws(purpose, epoch, record):
    block = 0
    while True:
        yield from philox([block, record, epoch, purpose], [SEED, 0])
        block += 1


def permutation(epoch, n):
    words, out = draws(ORDER, epoch, 0), list(range(n))
    for i in range(n, 1, -1):
        value = -1
        while value < 2**64 % i:
            value = next(words) << 32 | next(words)
        out[i - 1], out[value % i] = out[value % i], out[i - 1]
    return out


def make_rows():
    rows, labels = [], []
    for i in range(ROWS):
        words = draws(SAMPLE, 0, i)
        row = [2 * (next(words) >> 8) / 2**24 - 1 + 0.7 * (j == i % CLASSES) for j in range(D)]
        if i % 10 != 9:  # the tenth row has no label
            rows.append(row)
            labels.append(i % CLASSES)
    return torch.tensor(rows, dtype=torch.float32).double(), torch.tensor(labels)


def cross_entropy(x, labels, weight, bias):
    return torch.nn.functional.cross_entropy(x @ weight.T + bias, labels)


def new_weights():
    return (torch.zeros(CLASSES, D, dtype=torch.float64, requires_grad=True),
            torch.zeros(CLASSES, dtype=torch.float64, requires_grad=True))


def descend(x, labels):
    weight, bias = new_weights()
    optimizer = torch.optim.SGD([{"params": [weight], "weight_decay": DECAY}, {"params": [bias]}],
                                lr=1, momentum=0.9)
    batches, step = math.ceil(len(x) / BATCH), 0
    for epoch in range(EPOCHS):
        order = permutation(epoch, len(x))
        for b in range(batches):
            pick = order[b * BATCH : (b + 1) * BATCH]
            for group in optimizer.param_groups:
                group["lr"] = RATE * BATCH / 256 * (1 + math.cos(math.pi * step / (batches * EPOCHS))) / 2
            optimizer.zero_grad()
            cross_entropy(x[pick], labels[pick], weight, bias).backward()
            optimizer.step()
            step += 1
    return weight, bias, cross_entropy(x, labels, weight, bias)


def minimise(x, labels):
    """By Newton's method."""
    x = (x - x.mean(0)) / x.std(0, unbiased=False)

    def split(v):
        return v[: CLASSES * D].reshape(CLASSES, D), v[CLASSES * D :]

    def objective(v):
        weight, bias = split(v)
        # A common shift of all biases changes nothing; this keeps it at 0.
        return cross_entropy(x, labels, weight, bias) + LAMBDA * (weight**2).sum() + bias.sum() ** 2

    v = torch.zeros(CLASSES * (D + 1), dtype=torch.float64)
    for _ in range(30):
        gradient = torch.autograd.functional.jacobian(objective, v)
        v = v - torch.linalg.solve(torch.autograd.functional.hessian(objective, v), gradient)
    assert gradient.abs().max() < 1e-12
    return *split(v), objective(v)


def show(name, result):
    weight, bias, value = result
    print(f"static const double {name}_value = {value.item():.15g};")
    for part, numbers in (("weight", weight), ("bias", bias)):
        print(f"static const double {name}_{part}[] = {{")
        for v in numbers.detach().flatten().tolist():
            print(f"    {v:.15g},")
        print("};")


print("/* Made by linear.py. */")
show("sgd", descend(*make_rows()))
show("optimum", minimise(*make_rows()))
