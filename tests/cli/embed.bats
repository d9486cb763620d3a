#!/usr/bin/env bats
load helpers

# run/checkpoint.safetensors.zst: of a run of two steps on train.tar.zst, 100 pictures.
make_run() {
    make_shard train 100
    if [ ! -d "$BATS_FILE_TMPDIR/run" ]; then
        nnclr-pretrain -q --preset tiny --steps 2 -o "$BATS_FILE_TMPDIR/run" train.tar.zst
    fi
    cp -r "$BATS_FILE_TMPDIR/run" run
    checkpoint=run/checkpoint.safetensors.zst
}

@test "features and projection: rows as wide as the network says, labels and names of the shard" {
    need zstd
    need python3
    make_run
    expect 0 nnclr-embed -q -m $checkpoint -o features.emb train.tar.zst
    expect 0 nnclr-embed -q -m $checkpoint --layer projection -o projection.emb train.tar.zst
    zstd -qt features.emb
    nnclr-prep --list-contents train.tar.zst >contents
    python3 - <<'END'
import json
from tensors import load, names
about, features = load("features.emb")
assert features["embedding"].shape == [100, 64]
assert load("projection.emb")[1]["embedding"].shape == [100, 32]
assert about["format"] == "pt" and about["nnclr.kind"] == "embedding"
assert json.loads(about["nnclr.config"])["output"] == "features"
assert json.loads(about["nnclr.config"])["step"] == 2
classes = json.loads(about["nnclr.classes"])
table = [line.rstrip("\n").split("\t") for line in open("contents")][1:]
assert names(features) == [row[3] for row in table]
assert list(features["record"].values) == list(range(100))
assert [classes[i] for i in features["label"].values] == [row[2] for row in table]
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
from tensors import load
alone, together = (load(name + ".safetensors")[1]["embedding"] for name in ("alone", "together"))
assert alone.shape == [20, 64] and together.shape == [120, 64]
a, b = alone.values, together.values[100 * 64:]
assert max(abs(x - y) for x, y in zip(a, b)) <= 1e-6 * max(map(abs, a))
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
from tensors import load
embedding = load("a.safetensors")[1]["embedding"]
assert embedding.shape == [20, 768]
rows = embedding.values
for i in range(20):
    row = rows[i * 768:(i + 1) * 768]
    assert abs(sum(row)) < 1e-3 and max(row) - min(row) <= 1.0001 and max(row) > 0.01
END
}

@test "wrong usage: one sentence, exit 2" {
    make_shard a 20
    refuses 2 "give -m CHECKPOINT, or --pixels N" nnclr-embed a.tar.zst
    refuses 2 "--pixels takes no model" nnclr-embed --pixels 8 -m x a.tar.zst
    refuses 2 "--pixels has no network" nnclr-embed --pixels 8 --layer features a.tar.zst
    refuses 2 "--pixels: needs a whole number from 1 to 256" nnclr-embed --pixels 0 a.tar.zst
    refuses 2 "--layer: needs features or projection" nnclr-embed -m x --layer logits a.tar.zst
    refuses 2 "standard input can be given only once" nnclr-embed -m - -
    refuses 2 "no input" nnclr-embed --pixels 8
}

@test "an embedding as a shard, a shard as a checkpoint, an embedding as a checkpoint: exit 1" {
    make_shard a 20
    nnclr-embed -q --pixels 8 -o a.emb a.tar.zst
    refuses 1 a.emb nnclr-embed --pixels 8 -o out.emb a.emb
    refuses 1 "a.tar.zst: is a shard" nnclr-embed -m a.tar.zst -o out.emb a.tar.zst
    refuses 1 'is an embedding file, not a checkpoint file' nnclr-embed -m a.emb -o out.emb a.tar.zst
    refuses 1 nowhere nnclr-embed -m nowhere -o out.emb a.tar.zst
    [ ! -e out.emb ]
    [ -z "$(find . -name '.out.emb*')" ]
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

@test "an embedding is not written to a terminal" {
    make_shard a 20
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
import json, math
from tensors import load
def rows(name):
    about, tensors = load(name + ".safetensors")
    assert json.loads(about["nnclr.config"])["precision"] == name
    return tensors["embedding"].values
def distance(a, b):
    return math.dist(a, b) / math.hypot(*b)
f32, bf16, f64 = rows("f32"), rows("bf16"), rows("f64")
assert distance(f32, f64) < 1e-5 and 1e-4 < distance(bf16, f64) < 0.03, (distance(f32, f64), distance(bf16, f64))
END
    refuses 2 "--pixels has no network: leave --precision out" nnclr-embed -q --pixels 8 --precision bf16 -o p.emb train.tar.zst
    refuses 2 "engine cuda" nnclr-embed -q -m $checkpoint --engine cuda --precision f64 -o p.emb train.tar.zst
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
