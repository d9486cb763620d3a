#!/usr/bin/env bats
# Files for other programs, checked by reading them as those programs do.
load helpers

make_run() { # [option...]
    make_shard train 100
    nnclr-pretrain -q --preset tiny --steps 2 "$@" -o run train.tar.zst
    checkpoint=run/checkpoint.safetensors.zst
}

@test "safetensors: the checkpoint's backbone byte for byte, strictly into torchvision's resnet18" {
    need zstd
    need_python numpy,torch,torchvision
    make_run --arch resnet18 --width 1 --stem imagenet --batch 8 --queue 16
    expect 0 nnclr-export -o backbone.safetensors $checkpoint
    expect 0 "$python" - <<'PY'
import json
import torch, torchvision
from tensors import load
about, ours = load("backbone.safetensors")
whole = load("run/checkpoint.safetensors.zst")[1]
assert ours == {k[9:]: v for k, v in whole.items() if k.startswith("backbone.")}
assert (about["format"], about["arch"], about["stem"], about["width"]) == \
    ("pt", "resnet18", "imagenet", "1"), about
assert about["size"] == str(json.loads(about["nnclr.config"])["size"])
model = torchvision.models.resnet18()
model.fc = torch.nn.Identity()
model.load_state_dict({k: torch.tensor(t.array) for k, t in ours.items()}, strict=True)
PY
}

@test "npy and tsv: the rows, and what they are" {
    need zstd
    need_python numpy
    make_run
    nnclr-embed -q -m $checkpoint -o train.emb train.tar.zst
    expect 0 nnclr-export -o train.npy train.emb
    expect 0 nnclr-export -o train.tsv train.emb
    "$python" - <<'PY'
import json, numpy as np
from tensors import load, names
about, tensors = load("train.emb")
rows = np.load("train.npy")
assert rows.shape == (100, 64) and rows.tobytes() == tensors["embedding"].data
lines = [l.split("\t") for l in open("train.tsv").read().splitlines()]
assert lines[0] == ["record", "label", "class", "name"] and len(lines) == 101
labels, classes, paths = tensors["label"].values, json.loads(about["nnclr.classes"]), names(tensors)
for i, (record, label, name, path) in enumerate(lines[1:]):
    assert (int(record), int(label), name, path) == (i, labels[i], classes[labels[i]], paths[i])
PY
}

@test "the wrong kind, a cut file: exit 1, and no file" {
    make_run
    refuses 1 checkpoint nnclr-export -o x.npy $checkpoint
    head -c 5000 $checkpoint >./cut
    refuses 1 cut nnclr-export -o x.safetensors cut
    [ ! -e x.npy ]
    [ ! -e x.safetensors ]
}

@test "weights that are not finite: exit 1, and no file" {
    need python3
    need zstd
    make_run
    zstdcat $checkpoint >plain.safetensors
    for change in layer2.0.conv1.weight:nan bn1.running_mean:inf; do
        python3 "$NNCLR_ROOT/tests/cli/weights.py" plain.safetensors odd.safetensors "first=backbone.$change"
        for file in x.safetensors x.onnx; do
            expect 1 nnclr-export -o $file odd.safetensors
            expect_message nnclr-export "odd.safetensors: tensor backbone.${change%:*} holds ${change#*:}, which is not a finite number"
            [ ! -e $file ]
        done
    done
    python3 "$NNCLR_ROOT/tests/cli/weights.py" plain.safetensors odd.safetensors first=projector.0.weight:nan
    expect 0 nnclr-export -o x.safetensors odd.safetensors
}

@test "an ending that does not name a format, and two inputs: exit 2" {
    refuses 2 'its ending names no format' nnclr-export -o x.bin y
    refuses 2 'needs one input' nnclr-export -o x.npy y z
}

@test "onnx: an ONNX runtime gives nnclr-embed's features to 1e-4, for both kinds of block and stem" {
    need zstd
    need_python numpy,onnxruntime,PIL
    make_shard train 100
    for shape in resnet18:cifar resnet50:imagenet; do
        rm -rf run
        nnclr-pretrain -q --preset tiny --arch ${shape%:*} --stem ${shape#*:} --steps 2 \
            --mean 0.5,0.4,0.3 --std 0.2,0.25,0.3 --batch 8 --queue 16 -o run train.tar.zst
        expect 0 nnclr-export -o b.onnx run/checkpoint.safetensors.zst
        nnclr-embed -q -m run/checkpoint.safetensors.zst -o rows.emb train.tar.zst
        nnclr-export -o rows.npy rows.emb
        nnclr-export -o rows.tsv rows.emb
        expect 0 "$python" - "$(shapes 100)" <<'PY'
import sys
import numpy as np, onnxruntime
from PIL import Image
names = [l.split("\t")[3] for l in open("rows.tsv").read().splitlines()[1:]]
x = np.stack([np.array(Image.open(f"{sys.argv[1]}/{n}").convert("RGB")) for n in names])
x = (x.astype("f4") / 255 - np.float32([.5, .4, .3])) / np.float32([.2, .25, .3])
session = onnxruntime.InferenceSession("b.onnx", providers=["CPUExecutionProvider"])
y = session.run(["features"], {"input": x.transpose(0, 3, 1, 2).astype("f4")})[0]
ours = np.load("rows.npy")
assert y.shape == ours.shape
assert np.abs(y - ours).max() <= 1e-4 * np.abs(y).max(), np.abs(y - ours).max()
assert np.abs(np.roll(ours, 1, 0) - y).max(1).min() > 1e-3 * np.abs(y).max()
PY
    done
    # A fine-tuned network, run with nothing but its file.
    nnclr-finetune -q -m run --batch 20 --epochs 12 --lr-scale none --lr 0.05 --test train.tar.zst \
        -o tuned train.tar.zst >judged.tsv
    nnclr-export -o b.onnx tuned
    nnclr-predict -q tuned train.tar.zst >named.tsv
    expect 0 "$python" - "$(shapes 100)" <<'PY'
import json, sys
import numpy as np, onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession("b.onnx", providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
mean, std = (np.float32(about[k].split(",")) for k in ("mean", "std"))
classes, size = json.loads(about["classes"]), int(about["size"])
rows = [l.split("\t") for l in open("rows.tsv").read().splitlines()[1:]]
x = np.stack([np.array(Image.open(f"{sys.argv[1]}/{r[3]}").convert("RGB")) for r in rows])
assert x.shape[1:3] == (size, size)
x = (x.astype("f4") / 255 - mean) / std
features, logits = session.run(None, {"input": x.transpose(0, 3, 1, 2).astype("f4")})
assert logits.shape == (100, len(classes))
right = np.mean([classes[i] == r[2] for i, r in zip(logits.argmax(1), rows)])
judged = float(open("judged.tsv").read().splitlines()[1].split("\t")[1])
assert abs(right - judged) < 0.011 and right > 0.15, (right, judged)
named = [l.split("\t") for l in open("named.tsv").read().splitlines()[1:]]
shares = np.exp(logits - logits.max(1, keepdims=True))
shares /= shares.sum(1, keepdims=True)
for row, share, name in zip(rows, shares, named):
    assert name[0] == row[3]
    best = np.sort(share)[::-1]
    for i in range(3): # of nnclr-predict: class and score, and those of the next two
        score = float(name[2 + 2 * i])
        assert abs(score - best[i]) < 1e-4 and abs(score - share[classes.index(name[1 + 2 * i])]) < 1e-4
PY
}

@test "a fine-tuned network carries the names of its classes, and ONNX its logits" {
    need python3
    make_run --batch 8 --queue 16 --mean 0.5,0.4,0.3
    nnclr-finetune -q -m run --batch 20 --epochs 1 -o tuned train.tar.zst
    expect 0 nnclr-export -o tuned.safetensors tuned
    expect 0 nnclr-export -o tuned.onnx tuned
    expect 0 nnclr-export -o run.onnx run
    nnclr-prep --list-contents --json train.tar.zst >contents.json
    python3 "$NNCLR_ROOT/tests/cli/onnx.py"
}

@test "a label that is a number is that row of the exported classifier" {
    need python3
    local folder
    folder=$(shapes 100)
    (cd "$folder" && printf '%s\t10\n' disc/* && printf '%s\t2\n' star/* && printf '%s\t3\n' ring/*) >list
    nnclr-prep -q --list list -o train.tar.zst "$folder"
    nnclr-pretrain -q --preset tiny --size 8 --batch 10 --queue 16 --steps 1 -o run train.tar.zst
    nnclr-finetune -q -m run --batch 10 --epochs 1 -o tuned train.tar.zst
    nnclr-export -o tuned.safetensors tuned
    nnclr-embed -q --pixels 2 train.tar.zst | nnclr-export --format tsv -o rows.tsv -
    python3 - <<'END'
import json
from tensors import load
about, tensors = load("tuned.safetensors")
classes = json.loads(about["classes"])
assert classes == [str(i) for i in range(11)] and tensors["fc.weight"].shape[0] == 11
rows = [line.split("\t") for line in open("rows.tsv").read().splitlines()[1:]]
wanted = {"disc": "10", "star": "2", "ring": "3"}
assert len(rows) == 30
for _, label, name, file in rows:
    assert label == name == wanted[file.split("/")[0]] == classes[int(label)], (label, name, file)
END
}

@test "csv: a column for each key of the metrics, a row for each line" {
    need jq
    make_run --probe "$(shapes 100)"
    echo '{"step":3,"lo' >>run/metrics.jsonl # still being written
    nnclr-export -o run.csv run
    diff <(sed -n 1p run.csv) \
        <(sed -n 1,2p run/metrics.jsonl | jq -rs 'map(keys_unsorted) | add | reduce .[] as $k ([]; if index($k) then . else . + [$k] end) | join(",")')
    number() { jq -Rr "fromjson? | .$1 // \"\"" run/metrics.jsonl; }
    for column in 1:step 3:probe_top1 6:loss 15:nn_age; do
        cmp <(tail -n +2 run.csv | cut -d , -f "${column%:*}" | awk '{ print $1 == "" ? "none" : $1 + 0 }') \
            <(number "${column#*:}" | awk '{ print $1 == "" ? "none" : $1 + 0 }')
    done
    diff - <(nnclr-export --format csv "$NNCLR_ROOT/tests/reference/events.jsonl") <<'END'
step,epoch,probe_top1,probe_n,loss,nn_age,note,big,z_rank
0,,0.125,100,,,,,
1,0,,,2.907015323638916,,"a, ""b""","[1,2]",
300,12,,,-0.0,1e-9,,,1e30
END
    jq -nc '{step: 1} + ([range(1001) | {"k\(.)": 1}] | add)' >wide
    : >empty
    refuses_each nnclr-export -o x.csv <<'END'
1|wide|wide: its lines have more than 1000 different keys
1|empty|empty: has no line of metrics
1|train.tar.zst|train.tar.zst: has no line of metrics
1|.|./metrics.jsonl: No such file
2|-|--format csv needs a RUN or its metrics.jsonl, not standard input
END
    [ ! -e x.csv ]
}

# The file of the repository is what TensorBoard's own classes wrote: tests/reference/events.py.
@test "tfevents: what TensorBoard would write, byte for byte" {
    nnclr-export -o metrics.tfevents "$NNCLR_ROOT/tests/reference/events.jsonl"
    cmp metrics.tfevents "$NNCLR_ROOT/tests/reference/events.tfevents"
    : >empty
    refuses 1 "empty: has no line of metrics" nnclr-export -o x.tfevents empty
    [ ! -e x.tfevents ]
}

@test "tfevents: TensorBoard reads the metrics" {
    need_python tensorboard
    make_run --probe "$(shapes 100)"
    mkdir -p logs/run
    nnclr-export -o logs/run/run.tfevents run
    "$python" - <<'PY'
import json, struct
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
board = EventMultiplexer(size_guidance={"scalars": 0}).AddRunsFromDirectory("logs").Reload()
lines = [json.loads(line) for line in open("run/metrics.jsonl")]
wanted = {}
for line in lines:
    for key, value in line.items():
        if key != "step" and value is not None:
            wanted.setdefault(key, []).append((line["step"], struct.unpack("f", struct.pack("f", value))[0]))
assert len(wanted) > 20 and set(board.Runs()["run"]["scalars"]) == set(wanted)
for key in wanted:
    assert [(s.step, s.value) for s in board.Scalars("run", key)] == wanted[key], key
PY
}
