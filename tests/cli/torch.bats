#!/usr/bin/env bats
# A checkpoint's backbone in torchvision: loads whole, and answers as nnclr-embed does.
load helpers

setup() {
    need zstd
    for python in python3 /usr/bin/python3; do
        "$python" -c 'import numpy, PIL, torch, torchvision' 2>/dev/null && break
        python=
    done
    [ -n "$python" ] || skip "no torchvision"
    cd "$BATS_TEST_TMPDIR"
    cat >compare.py <<'END'
"""compare.py ARCH SIZE FOLDER CHECKPOINT EMBEDDING: pictures need no resizing, only the cut of their
central SIZE x SIZE."""
import json, sys

import numpy as np
import torch, torchvision
from PIL import Image

TYPES = {"F32": np.float32, "I64": np.int64, "U8": np.uint8, "I32": np.int32}


def tensors_by_hand(path):
    data = open(path, "rb").read()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__")
    body = memoryview(data)[8 + length:]
    return {
        name: torch.tensor(
            np.frombuffer(body[slice(*t["data_offsets"])], TYPES[t["dtype"]]).reshape(t["shape"])
        )
        for name, t in header.items()
    }


def metadata(path):
    data = open(path, "rb").read()
    return json.loads(data[8:8 + int.from_bytes(data[:8], "little")])["__metadata__"]


try:
    from safetensors.torch import load_file
except ImportError:
    load_file = tensors_by_hand

arch, size, folder, checkpoint, embedding = sys.argv[1:]
size = int(size)
state = load_file(checkpoint)
prefix = "backbone."
backbone = {k[len(prefix):]: v for k, v in state.items() if k.startswith(prefix)}
model = getattr(torchvision.models, arch)()
model.fc = torch.nn.Identity()
model.load_state_dict(backbone, strict=True)
assert int(model.bn1.num_batches_tracked) == 6  # three steps of two views
assert float((model.bn1.running_mean).abs().max()) > 0
model.eval()

embedded = load_file(embedding)
names, start = [], 0
for end in embedded["name_end"].tolist():
    names.append(bytes(embedded["name"][start:end].tolist()).decode())
    start = end
assert len(names) == 40
mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
views = []
for name in names:
    picture = np.array(Image.open(f"{folder}/{name}").convert("RGB"))
    edge = (picture.shape[0] - size) // 2
    assert 2 * edge + size == picture.shape[0] == picture.shape[1]
    view = torch.tensor(picture[edge:edge + size, edge:edge + size]).float() / 255
    views.append(((view - mean) / std).permute(2, 0, 1))
with torch.no_grad():
    features = model(torch.stack(views))
ours = embedded["embedding"]
assert ours.shape == features.shape
scale = features.abs().max()
furthest = (ours - features).abs().max() / scale
assert furthest <= 1e-4, furthest
# That bound tells one picture from another.
assert (ours.roll(1, 0) - features).abs().amax(1).min() > 1e-3 * scale
END
}

# Trains three steps at width 1 with torchvision's stem, embeds the pictures, and compares.
compare() { # ARCH SIZE PICTURE_SIZE
    "$NNCLR_SHAPES" --count 4 --test 0 --size "$3" pictures
    nnclr-prep -q -o pictures.tar.zst pictures/train
    expect 0 nnclr-pretrain -q --preset tiny --arch "$1" --width 1 --stem imagenet --size "$2" \
        --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --batch 8 --queue 16 --steps 3 \
        -o run pictures.tar.zst
    expect 0 nnclr-embed -q -m run/checkpoint.safetensors.zst -o features.safetensors \
        pictures.tar.zst
    zstd -q -d run/checkpoint.safetensors.zst -o checkpoint.safetensors
    expect 0 "$python" compare.py "$1" "$2" pictures/train checkpoint.safetensors \
        features.safetensors
}

@test "resnet18 loads strictly into torchvision's and gives the same features" {
    compare resnet18 32 32
}

@test "resnet50 loads strictly into torchvision's and gives the same features" {
    compare resnet50 70 80
}
