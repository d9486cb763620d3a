#!/usr/bin/python3
"""The peer of `make bench`: a PyTorch training step (forward, backward, SGD) of a torchvision ResNet.

usage: torch_step.py ARCH WIDTH STEM SIZE BATCH STEPS   -> one line: median images/s, then each step's

Channels last, float32 (with TORCH_PRECISION=bf16 under autocast to bfloat16), random input that differs from step to step; the caller sets the environment
that PyTorch needs to be at its best (see tests/bench/run).
"""
import os, statistics, sys, time
import torch, torch.nn as nn, torchvision

arch, width, stem, size, batch, steps = sys.argv[1], float(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:7])
bf16 = os.environ.get("TORCH_PRECISION") == "bf16"
torch.manual_seed(0)
torch.set_num_threads(len(os.sched_getaffinity(0)))


def scaled(c):
    return max(8, int(c * width / 8 + 0.5) * 8)


class Block(nn.Module):
    def __init__(self, ci, co, s):
        super().__init__()
        self.a = nn.Conv2d(ci, co, 3, s, 1, bias=False); self.b1 = nn.BatchNorm2d(co)
        self.b = nn.Conv2d(co, co, 3, 1, 1, bias=False); self.b2 = nn.BatchNorm2d(co)
        self.d = None if s == 1 and ci == co else nn.Sequential(nn.Conv2d(ci, co, 1, s, bias=False), nn.BatchNorm2d(co))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        r = x if self.d is None else self.d(x)
        return self.relu(self.b2(self.b(self.relu(self.b1(self.a(x))))) + r)


if arch == "resnet18":
    w = scaled(64)
    if stem == "cifar":
        layers, ci = [nn.Conv2d(3, w, 3, 1, 1, bias=False), nn.BatchNorm2d(w), nn.ReLU(inplace=True)], w
    else:
        layers, ci = [nn.Conv2d(3, w, 7, 2, 3, bias=False), nn.BatchNorm2d(w), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)], w
    for k, s in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(ci, scaled(k), s), Block(scaled(k), scaled(k), 1)]; ci = scaled(k)
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
else:
    net = getattr(torchvision.models, arch)(weights=None); net.fc = nn.Identity(); ci = 2048
head = nn.Linear(ci, 128)
net = net.to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD([*net.parameters(), *head.parameters()], 0.01, momentum=0.9)
rates = []
for step in range(steps):
    x = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    t = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        y = head(net(x))
    loss = y.float().square().mean()
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    rates.append(batch / (time.perf_counter() - t))
rates = rates[2:] or rates
print(round(statistics.median(rates), 1), *[round(r, 1) for r in rates])
