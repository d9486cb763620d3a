#!/usr/bin/python3
"""The peer of `make bench`: PyTorch with a ResNet like torchvision's, old or new.

usage: torch_step.py train|infer ARCH WIDTH STEM SIZE BATCH STEPS HOW
       torch_step.py list train|infer        -> the values of HOW that this PyTorch has, one per line

train is forward, backward and SGD; infer is the forward pass up to the pooled features. One line on
standard output: the median of the steps in images/s, the peak of resident memory in MiB, PyTorch's
version. HOW joins by a comma

    f32 or autocast   float32, or the same weights under autocast to bfloat16
    bf16              infer: weights and activations in bfloat16
    compile           torch.compile; infer: with weights as constants
    frozen            infer: traced and frozen, batch norms folded into the convolutions

Channels last, random input that differs from step to step. The caller sets the environment that
PyTorch needs to be at its best (see tests/bench/compare.sh).
"""
import os, resource, statistics, sys, time
import torch
from torch import nn


class Basic(nn.Module):
    grows = 1

    def __init__(self, ci, c, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(ci, c, 3, stride, 1, bias=False), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample(ci, c, stride)

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    grows = 4

    def __init__(self, ci, c, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(ci, c, 1, bias=False), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.Conv2d(c, c, 3, stride, 1, bias=False), nn.BatchNorm2d(c)
        self.conv3, self.bn3 = nn.Conv2d(c, 4 * c, 1, bias=False), nn.BatchNorm2d(4 * c)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample(ci, 4 * c, stride)

    def forward(self, x):
        y = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        return self.relu(self.bn3(self.conv3(y)) + (x if self.downsample is None else self.downsample(x)))


def downsample(ci, co, stride):
    if stride == 1 and ci == co:
        return None
    return nn.Sequential(nn.Conv2d(ci, co, 1, stride, bias=False), nn.BatchNorm2d(co))


ARCHS = {"resnet18": (Basic, (2, 2, 2, 2)), "resnet34": (Basic, (3, 4, 6, 3)), "resnet50": (Bottleneck, (3, 4, 6, 3))}


def resnet(arch, width, stem):
    """The network, and the count of its features."""
    block, counts = ARCHS[arch]
    channels = [max(8, int(c * width / 8 + 0.5) * 8) for c in (64, 128, 256, 512)]
    ci = channels[0]
    cifar = stem == "cifar"
    layers = [nn.Conv2d(3, ci, 3 if cifar else 7, 1 if cifar else 2, 1 if cifar else 3, bias=False),
              nn.BatchNorm2d(ci), nn.ReLU(inplace=True)]
    if not cifar:
        layers.append(nn.MaxPool2d(3, 2, 1))
    for stage, (c, count) in enumerate(zip(channels, counts)):
        for i in range(count):
            layers.append(block(ci, c, 2 if stage > 0 and i == 0 else 1))
            ci = c * block.grows
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), ci


def ways(mode):
    compiles = hasattr(torch, "compile")
    if mode == "train":
        return ["f32", "autocast"] + ["f32,compile", "autocast,compile"] * compiles
    constant = "compile" if compiles else "frozen"
    return ["f32", "autocast", "bf16", f"f32,{constant}", f"bf16,{constant}"]


def pictures(batch, size):
    return torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)


def trainer(net, features, autocast):
    net = nn.Sequential(net, nn.Linear(features, 128)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    run = torch.compile(net) if "compile" in how else net

    def step(x):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = run(x)
        loss = y.float().square().mean()
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()

    return step


def inference(net, autocast, example):
    kind = torch.bfloat16 if "bf16" in how else torch.float32
    net = net.to(memory_format=torch.channels_last).eval().to(kind)
    # What turns weights into constants does not take those of the inference mode.
    mode = torch.inference_mode
    if "frozen" in how:
        mode = torch.no_grad
        with mode():
            net = torch.jit.freeze(torch.jit.trace(net, example.to(kind)))
    elif "compile" in how:
        from torch._inductor import config
        mode = torch.no_grad
        config.freezing = True
        net = torch.compile(net)

    def step(x):
        with mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            net(x.to(kind))

    return step


if sys.argv[1] == "list":
    print("\n".join(ways(sys.argv[2])))
    sys.exit()
mode, arch, width, stem = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
size, batch, steps = map(int, sys.argv[5:8])
how = sys.argv[8].split(",")
torch.manual_seed(0)
torch.set_num_threads(len(os.sched_getaffinity(0)))
network, count = resnet(arch, width, stem)
autocast = "autocast" in how
step = trainer(network, count, autocast) if mode == "train" else inference(network, autocast, pictures(batch, size))
rates = []
for _ in range(steps):
    x = pictures(batch, size)
    start = time.perf_counter()
    step(x)
    rates.append(batch / (time.perf_counter() - start))
rates = rates[2:] or rates
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{statistics.median(rates):.4g}\t{peak:.0f}\t{torch.__version__.split('+')[0]}")
