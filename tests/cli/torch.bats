#!/usr/bin/env bats
# Weights from here in torchvision, and from torchvision here: they load completely, and both give
# the same answers.
load helpers

setup() {
    need zstd
    need_python numpy,PIL,torch,torchvision
    cd "$BATS_TEST_TMPDIR"
    if ! "$python" -c 'import safetensors.torch' 2>/dev/null; then
        PYTHONPATH=$NNCLR_ROOT/tests/cli/stand-in:$PYTHONPATH
    fi
    cat >compare.py <<'END'
"""compare.py ARCH SIZE FOLDER CHECKPOINT EMBEDDING BATCHES: pictures need no resizing, only the cut of
their central SIZE x SIZE; the network was trained on so many batches."""
import sys

import numpy as np
import torch, torchvision
from PIL import Image
from safetensors.torch import load_file

arch, size, folder, checkpoint, embedding, batches = sys.argv[1:]
size = int(size)
state = load_file(checkpoint)
prefix = "backbone."
backbone = {k[len(prefix):]: v for k, v in state.items() if k.startswith(prefix) and "fc." not in k}
model = getattr(torchvision.models, arch)()
model.fc = torch.nn.Identity()
model.load_state_dict(backbone, strict=True)
assert int(model.bn1.num_batches_tracked) == int(batches)
assert float((model.bn1.running_mean).abs().max()) > 0
model.eval()

embedded = load_file(embedding)
names, start = [], 0
for end in embedded["name_end"].tolist():
    names.append(bytes(embedded["name"][start:end].tolist()).decode())
    start = end
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
        features.safetensors 6 # three steps of two views
}

@test "resnet18 loads strictly into torchvision's and gives the same features" {
    compare resnet18 32 32
}

@test "resnet50 loads strictly into torchvision's and gives the same features" {
    compare resnet50 70 80
}

# Random weights and statistics of a torchvision ResNet, and its features of the pictures' central
# SIZE x SIZE, compared with what nnclr-embed gives for them.
from_torchvision() { # ARCH SIZE PICTURE_SIZE COUNT
    rm -rf pictures
    "$NNCLR_SHAPES" --count "$4" --test 0 --size "$3" pictures
    nnclr-prep -q -o pictures.tar.zst pictures/train
    cat >make.py <<'END'
import sys
import torch, torchvision
from safetensors.torch import save_file

torch.manual_seed(3)
model = getattr(torchvision.models, sys.argv[1])()
for module in model.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
        torch.nn.init.normal_(module.running_mean, 0, 0.1)
        torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
        torch.nn.init.uniform_(module.weight, 0.3, 1)
        torch.nn.init.normal_(module.bias, 0, 0.1)
save_file(model.state_dict(), "foreign.safetensors")
END
    expect 0 "$python" make.py "$1"
    expect 0 nnclr-embed -q -m foreign.safetensors --size "$2" -o features.safetensors pictures.tar.zst
    "$python" "$NNCLR_ROOT/tests/cli/weights.py" foreign.safetensors checkpoint.safetensors prefix=backbone.
    expect 0 "$python" compare.py "$1" "$2" pictures/train checkpoint.safetensors features.safetensors 0
}

@test "torchvision's resnet18: its features to 1e-4, at 32 and 224" {
    from_torchvision resnet18 32 32 4
    from_torchvision resnet18 224 256 1
}

@test "torchvision's resnet50: its features to 1e-4, at 32 and 224" {
    from_torchvision resnet50 32 32 4
    from_torchvision resnet50 224 256 1
}

@test "what torchvision has besides plain ResNets is refused by name" {
    make_shard train 20
    cat >make.py <<'END'
import torchvision
from safetensors.torch import save_file
from torchvision.models.resnet import Bottleneck, ResNet

save_file(ResNet(Bottleneck, [1, 1, 1, 1], groups=32, width_per_group=4).state_dict(), "next.safetensors")
save_file(ResNet(Bottleneck, [1, 1, 1, 1], width_per_group=128).state_dict(), "wide.safetensors")
save_file(torchvision.models.vgg11(num_classes=1, init_weights=False).features.state_dict(), "vgg.safetensors")
vit = torchvision.models.VisionTransformer(32, 16, 1, 2, 16, 16, num_classes=2)
save_file(vit.state_dict(), "vit.safetensors")
END
    expect 0 "$python" make.py
    while IFS='|' read -r name words; do
        refuses 1 "$name.safetensors: $words" nnclr-embed -q -m "$name.safetensors" -o x.emb train.tar.zst
    done <<'TABLE'
next|tensor layer1.0.conv2.weight of shape [128,4,3,3]: grouped convolutions (ResNeXt)
wide|tensor layer1.0.conv1.weight of shape [128,64,1,1]: a block wider
vgg|there is no tensor conv1.weight
vit|there is no tensor conv1.weight
TABLE
}

# The Python that a manual page shows, into file PYTHON.
python_of() { # PAGE: blocks of lines that begin with "import" or "from"
    sed -n '/^\.Bd/,/^\.Ed/p' "$NNCLR_ROOT/man/$1" |
        awk '/^\.Bd/ { block = ""; python = 0; next }
             /^\.Ed/ { if (python) printf "%s", block; next }
             block == "" { python = /^(import|from) / }
             { block = block $0 "\n" }' | sed 's/\\e/\\/g; s/\\-/-/g'
}

@test "the Python of nnclr-export(1) gives nnclr-embed's features to 1e-4" {
    "$NNCLR_SHAPES" --count 2 --test 0 --size 32 pictures
    nnclr-prep -q -o pictures.tar.zst pictures/train
    expect 0 nnclr-pretrain -q --preset tiny --arch resnet18 --width 1 --stem imagenet --size 32 --batch 8 --queue 16 \
        --mean 0.5,0.4,0.3 --std 0.2,0.25,0.3 --steps 3 -o run pictures.tar.zst
    expect 0 nnclr-export -o backbone.safetensors run/checkpoint.safetensors.zst
    expect 0 nnclr-embed -q -m run/checkpoint.safetensors.zst -o features.safetensors pictures.tar.zst
    {
        cat <<'END'
import sys
import numpy, torch
from PIL import Image
from safetensors.torch import load_file

embedded = load_file("features.safetensors")
names = bytes(embedded["name"].tolist())
ends = [0] + embedded["name_end"].tolist()
pictures = torch.stack([
    torch.tensor(numpy.array(Image.open("pictures/train/" + names[a:b].decode()).convert("RGB"))).permute(2, 0, 1) / 255
    for a, b in zip(ends, ends[1:])])
END
        python_of nnclr-export.1
        cat <<'END'
ours = embedded["embedding"]
scale = features.abs().max()
assert ours.shape == features.shape == (20, 512)
assert (ours - features).abs().max() <= 1e-4 * scale, (ours - features).abs().max()
assert (ours.roll(1, 0) - features).abs().amax(1).min() > 1e-3 * scale
END
    } >shown.py
    grep -q 'load_state_dict' shown.py
    expect 0 "$python" shown.py
}

@test "the Python of nnclr-tensor(5) loads a checkpoint" {
    make_shard train 20
    nnclr-pretrain -q --preset tiny --arch resnet50 --width 1 --stem imagenet --batch 2 --queue 8 --steps 1 \
        -o run train.tar.zst
    zstdcat run/checkpoint.safetensors.zst >checkpoint.safetensors
    python_of nnclr-tensor.5 >shown.py
    echo 'assert torch.equal(net.bn1.running_mean, tensors["backbone.bn1.running_mean"])' >>shown.py
    expect 0 "$python" shown.py
}

@test "the Python of nnclr-embed(1) writes weights that it takes" {
    make_shard train 20
    python_of nnclr-embed.1 | sed 's/weights="[A-Z0-9_]*"/weights=None/' >shown.py
    grep -q 'save_file' shown.py
    run -1 grep 'weights="' shown.py
    expect 0 "$python" shown.py
    expect 0 nnclr-embed -q -m resnet50.safetensors --size 32 -o x.emb train.tar.zst
}

@test "the line of README and nnclr(7) that fetches weights writes those that nnclr-embed takes" {
    need_python torchvision,safetensors
    make_shard train 20
    local line
    line=$(grep "^python3 -c 'import torchvision" "$NNCLR_ROOT/README.md")
    [ "$line" = "$(grep "^python3 -c 'import torchvision" "$NNCLR_ROOT/man/nnclr.7")" ]
    run -0 --separate-stderr sed "s|^python3|$python|; s/weights=\"DEFAULT\"/weights=None/" <<<"$line"
    [ "$output" != "$line" ]
    bash -c "$output"
    expect 0 nnclr-embed -q -m resnet50.safetensors --size 32 -o x.emb train.tar.zst
}
