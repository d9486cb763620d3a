#!/usr/bin/python3
"""Prints the table of tests/unit/test_network.c: for each of torchvision's ResNets without fc the
number of parameters and state_dict keys, and FNV-1a hashes of "name dims\\n" over the parameters
and over the running statistics, in state_dict order."""

import torch
import torchvision


def fnv(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def listing(state, wanted):
    return "".join(
        f"{name} {' '.join(map(str, t.shape))}\n" for name, t in state.items() if wanted(name)
    )


for arch in "resnet18 resnet34 resnet50 resnet101 resnet152".split():
    for stem in "imagenet cifar".split():
        model = getattr(torchvision.models, arch)()
        model.fc = torch.nn.Identity()
        if stem == "cifar":
            model.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        state = model.state_dict()
        parameters = listing(state, lambda n: not ("running" in n or "num_batches" in n))
        statistics = listing(state, lambda n: "running" in n)
        print(
            f"{{NNCLR_{arch.upper()}, NNCLR_STEM_{stem.upper()}, "
            f"{sum(p.numel() for p in model.parameters())}, {len(state)}, "
            f"0x{fnv(parameters):016x}, 0x{fnv(statistics):016x}}},"
        )
