#!/usr/bin/env bats
load helpers

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# run/checkpoint.safetensors.zst: of a run of two steps on train.tar.zst, 100 pictures.
make_run() {
    make_shard train 100
    if [ ! -d "$BATS_FILE_TMPDIR/run" ]; then
        nnclr-pretrain -q --preset tiny --steps 2 -o "$BATS_FILE_TMPDIR/run" train.tar.zst
    fi
    cp -r "$BATS_FILE_TMPDIR/run" run
    checkpoint=run/checkpoint.safetensors.zst
}

# The header of a tensor file as JSON.
header() { # FILE
    zstdcat "$1" >plain
    head -c $((8 + $(od -An -tu8 -N 8 plain))) plain | tail -c +9
}

@test "features and projection: rows as wide as the network says, labels and names of the shard" {
    need zstd
    need python3
    make_run
    expect 0 nnclr-embed -q -m $checkpoint -o features.emb train.tar.zst
    expect 0 nnclr-embed -q -m $checkpoint --layer projection -o projection.emb train.tar.zst
    zstd -qt features.emb
    header features.emb >features.json
    header projection.emb >projection.json
    nnclr-prep --list-contents train.tar.zst >contents
    zstdcat features.emb >plain
    python3 - <<'END'
import json, struct
features, projection = json.load(open("features.json")), json.load(open("projection.json"))
assert features["embedding"]["shape"] == [100, 64], features["embedding"]
assert projection["embedding"]["shape"] == [100, 32], projection["embedding"]
about = features["__metadata__"]
assert about["format"] == "pt" and about["nnclr.kind"] == "embedding"
assert json.loads(about["nnclr.config"])["output"] == "features"
assert json.loads(about["nnclr.config"])["step"] == 2
raw = open("plain", "rb").read()
data = raw[8 + int.from_bytes(raw[:8], "little"):]
def column(name):
    start, end = features[name]["data_offsets"]
    return data[start:end]
def whole(name):
    return struct.unpack("<100q", column(name))
names, start = [], 0
for end in whole("name_end"):
    names.append(column("name")[start:end].decode())
    start = end
classes = json.loads(about["nnclr.classes"])
table = [line.rstrip("\n").split("\t") for line in open("contents")][1:]
assert names == [row[3] for row in table]
assert list(whole("record")) == list(range(100))
assert [classes[i] for i in whole("label")] == [row[2] for row in table]
END
}

@test "the same bytes for any number of threads, and for several shards and from pipes" {
    make_run
    for j in 1 2 5; do
        expect 0 nnclr-embed -q -j "$j" -m $checkpoint -o "$j.emb" train.tar.zst
        expect 0 nnclr-embed -q -j "$j" --pixels 8 -o "$j.pixels" train.tar.zst
    done
    cmp 1.emb 2.emb
    cmp 1.emb 5.emb
    cmp 1.pixels 2.pixels
    cmp 1.pixels 5.pixels
    nnclr-embed -q -m - train.tar.zst <$checkpoint >model-piped.emb
    cmp 1.emb model-piped.emb
    nnclr-embed -q -m $checkpoint - <train.tar.zst >piped.emb
    cmp 1.emb piped.emb
    nnclr-embed -q -m $checkpoint train.tar.zst train.tar.zst >twice.emb
    cat train.tar.zst train.tar.zst | nnclr-embed -q -m $checkpoint - >concatenated.emb
    cmp twice.emb concatenated.emb
}

@test "embedding and evaluation leave the checkpoint as it is; a picture's features are its own" {
    need zstd
    need python3
    make_run
    make_shard few 20
    cp $checkpoint before
    expect 0 nnclr-embed -q -m $checkpoint -o alone.safetensors few.tar.zst
    expect 0 nnclr-embed -q -m $checkpoint -o together.safetensors train.tar.zst few.tar.zst
    cp alone.safetensors alone.before
    expect 0 nnclr-lineval --methods linear,knn --epochs 2 together.safetensors alone.safetensors
    cmp before $checkpoint
    cmp alone.before alone.safetensors
    # Running statistics: a batch of a hundred others changes nothing.
    expect 0 python3 - <<'END'
import array, json

def rows(path):
    data = open(path, "rb").read()
    size = int.from_bytes(data[:8], "little")
    about = json.loads(data[8:8 + size])["embedding"]
    start, end = about["data_offsets"]
    return about["shape"], array.array("f", data[8 + size + start:8 + size + end])

(n, d), alone = rows("alone.safetensors")
(all, _), together = rows("together.safetensors")
assert (n, all, d) == (20, 120, 64)
assert max(abs(a - b) for a, b in zip(alone, together[100 * d:])) <= 1e-6 * max(map(abs, alone))
END
}

@test "--untrained is the network at step 0: it differs, and the trained weights do not matter" {
    make_run
    nnclr-pretrain -q --preset tiny --steps 1 -o other train.tar.zst
    nnclr-embed -q -m $checkpoint -o trained.emb train.tar.zst
    nnclr-embed -q -m $checkpoint --untrained -o a.safetensors train.tar.zst
    nnclr-embed -q -m other/checkpoint.safetensors.zst --untrained -o b.safetensors train.tar.zst
    differ trained.emb a.safetensors
    # The two configurations differ in the steps asked for; the tensors after the headers do not.
    size=$(stat -c %s a.safetensors)
    a=$(od -An -tu8 -N 8 a.safetensors) b=$(od -An -tu8 -N 8 b.safetensors)
    cmp <(tail -c +$((a + 9)) a.safetensors) <(tail -c +$((b + 9)) b.safetensors)
    [ $((size - a)) -gt $((100 * 64 * 4)) ]
}

@test "--untrained: a checkpoint whose tensors are not those of its configuration is refused" {
    make_run
    zstdcat $checkpoint >deeper.safetensors
    sed -i 's/\\"arch\\":\\"resnet18\\"/\\"arch\\":\\"resnet34\\"/' deeper.safetensors
    for option in --untrained ""; do
        expect 1 nnclr-embed -q -m deeper.safetensors $option -o out.safetensors.zst train.tar.zst
        expect_message nnclr-embed "there is no tensor backbone.layer1.2.conv1.weight"
        [ ! -e out.safetensors.zst ]
    done
}

@test "--pixels: values from 0 to 1 less the picture's own mean" {
    need python3
    make_shard a 20
    expect 0 nnclr-embed -q --pixels 16 -o a.safetensors a.tar.zst
    python3 - <<'END'
import array, json
raw = open("a.safetensors", "rb").read()
size = int.from_bytes(raw[:8], "little")
about = json.loads(raw[8:8 + size])["embedding"]
assert about["shape"] == [20, 768]
rows = array.array("f", raw[8 + size + about["data_offsets"][0]:8 + size + about["data_offsets"][1]])
for i in range(20):
    row = rows[i * 768:(i + 1) * 768]
    assert abs(sum(row)) < 1e-3 and max(row) - min(row) <= 1.0001 and max(row) > 0.01
END
}

@test "wrong usage: one sentence, exit 2" {
    make_shard a 20
    expect 2 nnclr-embed a.tar.zst
    expect_message nnclr-embed "give -m CHECKPOINT, or --pixels N"
    expect 2 nnclr-embed --pixels 8 -m x a.tar.zst
    expect_message nnclr-embed "--pixels takes no model"
    expect 2 nnclr-embed --pixels 8 --layer features a.tar.zst
    expect_message nnclr-embed "--pixels has no network"
    expect 2 nnclr-embed --pixels 0 a.tar.zst
    expect_message nnclr-embed "--pixels: needs a whole number from 1 to 256"
    expect 2 nnclr-embed -m x --layer logits a.tar.zst
    expect_message nnclr-embed "--layer: needs features or projection"
    expect 2 nnclr-embed -m - -
    expect_message nnclr-embed "only one of CHECKPOINT and SHARD can be standard input"
    expect 2 nnclr-embed --pixels 8
    expect_message nnclr-embed "no input"
}

@test "an embedding as a shard, a shard as a checkpoint, an embedding as a checkpoint: exit 1" {
    make_shard a 20
    nnclr-embed -q --pixels 8 -o a.emb a.tar.zst
    expect 1 nnclr-embed --pixels 8 -o out.emb a.emb
    expect_message nnclr-embed a.emb
    expect 1 nnclr-embed -m a.tar.zst -o out.emb a.tar.zst
    expect_message nnclr-embed "a.tar.zst: is a shard"
    expect 1 nnclr-embed -m a.emb -o out.emb a.tar.zst
    expect_message nnclr-embed 'is an embedding file, not a checkpoint file'
    expect 1 nnclr-embed -m nowhere -o out.emb a.tar.zst
    expect_message nnclr-embed nowhere
    [ ! -e out.emb ]
    [ -z "$(find . -name '.out.emb*')" ]
}

@test "a cut checkpoint and a flipped bit: exit 1, no output" {
    make_run
    size=$(stat -c %s $checkpoint)
    for bytes in 0 5 100 $((size / 2)) $((size - 1)); do
        head -c "$bytes" $checkpoint >cut.safetensors.zst
        expect 1 nnclr-embed -m cut.safetensors.zst -o out.emb train.tar.zst
        expect_message nnclr-embed cut.safetensors.zst
    done
    cp $checkpoint flipped.safetensors.zst
    flip_bit flipped.safetensors.zst $((size / 3))
    expect 1 nnclr-embed -m flipped.safetensors.zst -o out.emb train.tar.zst
    [ ! -e out.emb ]
}

@test "a checkpoint that claims a network of a terabyte: refused by its tensors, not for want of memory" {
    need zstd
    make_run
    zstdcat $checkpoint | sed 's/\\"width\\":0.125/\\"width\\":64.00/' >huge.safetensors
    zstdcat $checkpoint >plain.safetensors
    differ huge.safetensors plain.safetensors
    for option in --layer=features --untrained; do
        expect 1 nnclr-embed -m huge.safetensors $option -o out.emb train.tar.zst
        expect_message nnclr-embed "huge.safetensors: tensor backbone.conv1.weight has shape [8,3,3,3], but its nnclr.config asks for [4096,3,3,3]"
    done
    [ ! -e out.emb ]
}

@test "a cut shard: exit 1, no output" {
    make_shard a 20
    head -c $(($(stat -c %s a.tar.zst) / 2)) a.tar.zst >cut.tar.zst
    expect 1 nnclr-embed --pixels 8 -o out.emb cut.tar.zst
    expect_message nnclr-embed cut.tar.zst
    [ ! -e out.emb ]
}

@test "a full disk: exit 1; a closed pipe: quiet; a terminal: refused" {
    make_shard a 100
    [ -c /dev/full ] || skip "no /dev/full"
    expect 1 nnclr-embed -q --pixels 32 -o /dev/full a.tar.zst
    expect_message nnclr-embed "No space left on device"
    run -0 bash -c 'nnclr-embed -q --pixels 256 a.tar.zst 2>err | head -c 10 >/dev/null; echo "${PIPESTATUS[0]}"'
    [ "$output" = 141 ]
    [ ! -s err ]
    need script
    run in_terminal "nnclr-embed --pixels 8 a.tar.zst"
    [ "$status" -eq 2 ]
    [[ $output == *"standard output is a terminal"* ]]
}

@test "precision: bf16 near f32, f64 nearer; the file says what it was made at; pixels need none" {
    need python3
    make_run
    for p in f32 bf16 f64; do
        expect 0 nnclr-embed -q -m $checkpoint --precision $p -o $p.safetensors train.tar.zst
    done
    expect 0 nnclr-embed -q -m $checkpoint -o plain.safetensors train.tar.zst
    cmp plain.safetensors f32.safetensors
    expect 0 nnclr-embed -q -m $checkpoint --precision bf16 -j 1 -o one.safetensors train.tar.zst
    cmp one.safetensors bf16.safetensors
    python3 - <<'END'
import json, math, struct
def rows(name):
    data = open(name + ".safetensors", "rb").read()
    size, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    assert json.loads(header["__metadata__"]["nnclr.config"])["precision"] == name
    begin, end = header["embedding"]["data_offsets"]
    return struct.unpack("<%df" % ((end - begin) // 4), data[8 + size + begin:8 + size + end])
def distance(a, b):
    return math.dist(a, b) / math.hypot(*b)
f32, bf16, f64 = rows("f32"), rows("bf16"), rows("f64")
assert distance(f32, f64) < 1e-5 and 1e-4 < distance(bf16, f64) < 0.03, (distance(f32, f64), distance(bf16, f64))
END
    expect 2 nnclr-embed -q --pixels 8 --precision bf16 -o p.emb train.tar.zst
    expect_message nnclr-embed "--pixels has no network: leave --precision out"
    expect 2 nnclr-embed -q -m $checkpoint --engine cuda -o p.emb train.tar.zst
    expect_message nnclr-embed "engine cuda is not built into this program"
}

@test "examples/embed.c: one picture's features by the library are the row that nnclr-embed writes" {
    make_run
    cp "$(find "$(shapes 100)" -type f | LC_ALL=C sort | sed -n 7p)" photo
    nnclr-embed -q -m $checkpoint -o photo.emb photo
    nnclr-export --format npy -o photo.npy photo.emb
    tail -c 256 photo.npy | od -An -v -w4 -t f4 >row
    expect 0 "$NNCLR_BIN/examples/embed" $checkpoint photo
    printf '%s\n' "$output" | paste row - | awk '{ d = $1 - $2; if (NF != 2 || d > 1e-6 || d < -1e-6) exit 1 } END { exit NR != 64 }'
    expect 1 "$NNCLR_BIN/examples/embed" $checkpoint row
    expect_message embed 'row: not a JPEG, PNG or PPM'
}
