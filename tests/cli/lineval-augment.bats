#!/usr/bin/env bats
# nnclr-lineval --augment: linear evaluation on augmented views through the frozen network.
load helpers

tab=$'\t'

# train.tar.zst and test.tar.zst, 100 and 50 pictures, and $checkpoint of two steps on the first.
make_run() {
    make_shard train 100
    make_shard test 50
    checkpoint=$BATS_FILE_TMPDIR/run/checkpoint.safetensors.zst
    if [ ! -e "$checkpoint" ]; then
        nnclr-pretrain -q --preset tiny --steps 2 -o "$BATS_FILE_TMPDIR/run" train.tar.zst
    fi
}

# Whether two classifiers in .safetensors hold the same numbers, up to a share of the largest.
compare_classifiers() { # FILE FILE [TOLERANCE]
    python3 - "$@" <<'END'
import sys
from tensors import load
a, b = (load(path)[1] for path in sys.argv[1:3])
tolerance = float(sys.argv[3]) if len(sys.argv) > 3 else 1e-5
for name in "weight", "bias", "mean", "scale":
    x, y = a[name].values, b[name].values
    largest = max(1e-9, *map(abs, y))
    assert len(x) == len(y)
    print(name, max(abs(p - q) for p, q in zip(x, y)) / largest)
    assert max(abs(p - q) for p, q in zip(x, y)) <= tolerance * largest, name
END
}

@test "whole pictures, never mirrored: what SGD learns from nnclr-embed's rows" {
    need python3
    make_run
    nnclr-embed -q -m "$checkpoint" -o train.emb train.tar.zst
    nnclr-embed -q -m "$checkpoint" -o test.emb test.tar.zst
    while IFS= read -r options; do
        nnclr-lineval -q --methods linear $options -o must.safetensors --predictions must train.emb test.emb >must.tsv
        nnclr-lineval -q --augment -m "$checkpoint" --crop 1,1 --flip 0 $options -o is.safetensors --predictions is train.tar.zst test.tar.zst >is.tsv
        compare_classifiers is.safetensors must.safetensors
        diff <(cut -f 1-3 is) <(cut -f 1-3 must)
        diff <(cut -f 1-5 is.tsv) <(cut -f 1-5 must.tsv)
    done <<'END'
--epochs 2
--epochs 1 --standardize --lr 0.5 --batch 17 --seed 3
--epochs 2 --batch 32 --weight-decay 0.01 --label-fraction 0.5
END
    # Crops and mirroring make other rows.
    for view in "--crop 0.5,1 --flip 0" "--crop 1,1 --flip 0.5"; do
        nnclr-lineval -q --augment -m "$checkpoint" $view --epochs 2 --batch 32 --weight-decay 0.01 --label-fraction 0.5 \
            -o is.safetensors train.tar.zst test.tar.zst >is.tsv
        run -1 compare_classifiers is.safetensors must.safetensors
        [[ $output == *AssertionError* ]]
    done
}

# Pictures in folder $2 with the bytes of view 1 of the file $1, under the names of the pictures that
# they are views of, as a shard's table $3 lists them.
views_to_pictures() { # VIEWS.safetensors FOLDER CONTENTS
    python3 - "$@" <<'END'
import csv, os, sys
from tensors import load
view = load(sys.argv[1])[1]["view1"]
n, h, w, _ = view.shape
assert view.dtype == "U8" and len(view.data) == n * h * w * 3
rows = list(csv.DictReader(open(sys.argv[3]), delimiter="\t"))
assert len(rows) == n
for i, row in enumerate(rows):
    folder = os.path.join(sys.argv[2], row["class"])
    os.makedirs(folder, exist_ok=True)
    first = i * h * w * 3
    with open(os.path.join(folder, "%06d.ppm" % i), "wb") as out:
        out.write(b"P6 %d %d 255\n" % (w, h) + view.data[first:first + h * w * 3])
END
}

@test "the views of an epoch are those that nnclr-views writes" {
    need python3
    make_run
    nnclr-prep --list-contents train.tar.zst >contents
    # Their bytes as pictures in their own right: the difference is rounding to 256 steps.
    for seed in 3 4; do
        nnclr-views -q --preset tiny --augment crop --flip 0.5 --crop 0.3,1 --seed $seed --u8 -o views.safetensors train.tar.zst
        views_to_pictures views.safetensors $seed contents
        nnclr-prep -q $seed | nnclr-embed -q -m "$checkpoint" -o $seed.emb -
    done
    nnclr-lineval -q --augment -m "$checkpoint" --crop 0.3,1 --flip 0.5 --seed 3 --epochs 1 --batch 20 -o is.safetensors train.tar.zst test.tar.zst >table
    for seed in 3 4; do
        nnclr-lineval -q --methods linear --seed 3 --epochs 1 --batch 20 -o $seed.safetensors $seed.emb $seed.emb >table
    done
    compare_classifiers is.safetensors 3.safetensors 0.02
    run -1 compare_classifiers is.safetensors 4.safetensors 0.1
    [[ $output == *AssertionError* ]]
}

@test "the checkpoint and the shards stay as they are" {
    make_run
    sha256sum "$checkpoint" train.tar.zst test.tar.zst >before
    expect 0 nnclr-lineval -q --augment -m "$checkpoint" --epochs 2 --standardize -o c.safetensors train.tar.zst test.tar.zst
    sha256sum -c before
}

@test "the same bytes for any number of threads and from pipes, others for another seed" {
    make_run
    for j in 1 3; do
        nnclr-lineval -q -j $j --augment -m "$checkpoint" --epochs 1 --batch 30 --predictions $j.tsv -o $j.safetensors \
            train.tar.zst test.tar.zst | cut -f 1-5,7 >$j.table
    done
    cmp 1.tsv 3.tsv
    cmp 1.safetensors 3.safetensors
    cmp 1.table 3.table
    nnclr-lineval -q --augment -m - --epochs 1 --batch 30 -o model.safetensors train.tar.zst test.tar.zst <"$checkpoint" >table
    nnclr-lineval -q --augment -m "$checkpoint" --epochs 1 --batch 30 -o train.safetensors - test.tar.zst <train.tar.zst >table
    nnclr-lineval -q --augment -m "$checkpoint" --epochs 1 --batch 30 -o test.safetensors train.tar.zst - <test.tar.zst >table
    for input in model train test; do
        cmp 1.safetensors $input.safetensors
    done
    nnclr-lineval -q --augment -m "$checkpoint" --epochs 1 --batch 30 --seed 1 -o other.safetensors train.tar.zst test.tar.zst >table
    differ 1.safetensors other.safetensors
}

@test "the table names the views; JSON and the classifier name them, too" {
    need python3
    make_run
    expect 0 nnclr-lineval --augment -m "$checkpoint" --epochs 2 -o c.safetensors train.tar.zst test.tar.zst
    [ "${lines[0]}" = "method	top1	top1_se	top5	n	seconds	settings" ]
    [ "${#lines[@]}" -eq 2 ]
    [[ ${lines[1]} =~ ^linear${tab}[01]\.[0-9]{6}${tab}[01]\.[0-9]{6}${tab}[01]\.[0-9]{6}${tab}50${tab}[0-9.]+${tab}solver=sgd\ epochs=2\ lr=0.1\ batch=256\ weight_decay=0\ standardize=no\ seed=0\ augment=crop,flip\ crop=0.08,1\ flip=0.5\ views=100\ train=100\ d=64\ classes=10$ ]]
    [ -z "$stderr" ]
    nnclr-lineval --json --augment -m "$checkpoint" --epochs 2 --crop 0.2,0.9 --flip 0.25 --label-fraction 0.2 train.tar.zst test.tar.zst >json
    python3 - <<'END'
import json
from tensors import load
row, = json.load(open("json"))
assert row["method"] == "linear" and row["n"] == 50 and 0 <= row["top1"] <= row["top5"] <= 1
assert row["settings"] == {
    "solver": "sgd", "epochs": 2, "lr": 0.1, "batch": 256, "weight_decay": 0, "standardize": False, "seed": 0,
    "augment": ["crop", "flip"], "crop": [0.2, 0.9], "flip": 0.25, "views": 20, "label_fraction": 0.2,
    "train": 20, "d": 64, "classes": 10}
about = load("c.safetensors")[0]
config = json.loads(about["nnclr.config"])
assert about["nnclr.kind"] == "classifier" and len(json.loads(about["nnclr.classes"])) == 10
assert config["solver"] == "sgd" and config["epochs"] == 2 and config["rows"] == 100
assert config["augment"]["crop"] == [0.08, 1] and config["augment"]["flip"] == 0.5
assert config["augment"]["size"] == 32 and config["augment"]["interpolation"] == "bicubic"
assert config["embedding"]["output"] == "features" and config["embedding"]["step"] == 2
END
    expect 0 nnclr-lineval --augment -m "$checkpoint" --epochs 1 --confusion --predictions answers train.tar.zst test.tar.zst
    [ "$(head -n 1 answers)" = "name	label	predicted	score" ]
    diff <(tail -n +2 <<<"$output" | cut -f 2-4) \
        <(tail -n +2 answers | cut -f 2,3 | sort | uniq -c | awk -v OFS='\t' '{ print $2, $3, $1 }')
}

@test "classes are matched by name; labels that TEST does not have are null" {
    make_run
    folder=$(shapes 50)
    mkdir -p few/zebra
    cp "$folder"/bars/* few/zebra
    mkdir more
    cp -r "$folder"/triangle "$folder"/bars more
    for set in few more; do
        nnclr-prep -q -o $set.tar.zst $set
    done
    nnclr-prep -q -o flat.tar.zst "$folder/bars"
    expect 0 nnclr-lineval -q --augment -m "$checkpoint" --epochs 1 --predictions all train.tar.zst test.tar.zst
    expect 0 nnclr-lineval -q --augment -m "$checkpoint" --epochs 1 --predictions some train.tar.zst more.tar.zst
    [ "$(wc -l <some)" -eq 11 ]
    diff <(awk -F '\t' '$2 == "bars" || $2 == "triangle"' all | cut -f 2- | sort) <(tail -n +2 some | cut -f 2- | sort)
    expect 1 nnclr-lineval --augment -m "$checkpoint" train.tar.zst few.tar.zst
    [ "$stderr" = 'nnclr-lineval: few.tar.zst: the class "zebra" is not among the 10 of train.tar.zst' ]
    expect 0 nnclr-lineval --augment -m "$checkpoint" --epochs 1 train.tar.zst flat.tar.zst
    [[ ${lines[1]} == "linear				0	"* ]]
    refuses 1 "no picture of TRAIN has a label" nnclr-lineval --augment -m "$checkpoint" flat.tar.zst flat.tar.zst
    # Rows without a label are not learnt from.
    mkdir mixed
    cp -r "$folder"/* mixed
    cp "$folder"/bars/* mixed/
    (cd mixed && find . -type f -printf '%P\t%h\n') | sed 's|\t\./|\t|; s|\t\.$||' >mixed.txt
    nnclr-prep -q --list mixed.txt -o mixed.tar.zst mixed
    [ "$(nnclr-prep --list-contents mixed.tar.zst | tail -n +2 | cut -f 2 | grep -c '^$')" -eq 5 ]
    expect 0 nnclr-lineval --augment -m "$checkpoint" --epochs 1 mixed.tar.zst test.tar.zst
    [[ ${lines[1]} == *" views=50 train=50 d=64 classes=10" ]]
}

@test "what does not go together is refused: exit 2" {
    refuses_each nnclr-lineval <<'END'
2|--augment a b|--augment needs a network: give -m CHECKPOINT
2|-m c a b|--model is for --augment: without it TRAIN and TEST are embeddings
2|--crop 0.5,1 a b|--crop is for --augment
2|--flip 0 a b|--flip is for --augment
2|--augment -m c --methods knn a b|--augment is for the method linear: knn compares embeddings
2|--augment -m c --methods linear,knn a b|--augment is for the method linear: knn compares embeddings
2|--augment -m c -k 5 a b|--neighbours is for the method knn, which --augment does not run
2|--augment -m c --knn-temperature 1 a b|--knn-temperature is for the method knn
2|--augment -m c --solver lbfgs a b|--augment is for --solver sgd
2|--augment -m c --lambda 0.1 a b|--lambda is not for --solver sgd
2|--augment -m c --crop 1,0.5 a b|the smallest area 1 is above the largest 0.5
2|--augment -m c --crop 0,1 a b|--crop: needs 2 numbers from 1e-06 to 1
2|--augment -m c --flip 2 a b|--flip: needs a number from 0 to 1
2|--augment -m c --size 64 a b|--size: no such option
2|--augment -m c a|two shards are needed, TRAIN and TEST, not 1
2|--augment -m - - b|standard input can be given only once
2|--augment -m c - -|standard input can be given only once
END
}

@test "files of another kind, damaged and missing ones: exit 1, and no classifier" {
    make_run
    nnclr-embed -q -m "$checkpoint" -o train.emb train.tar.zst
    refuses_each nnclr-lineval --augment --epochs 1 -o c.safetensors <<END
1|-m $checkpoint train.emb test.tar.zst|train.emb: is an embedding file, not a shard
1|-m $checkpoint train.tar.zst train.emb|train.emb: is an embedding file, not a shard
1|-m train.emb train.tar.zst test.tar.zst|train.emb: is an embedding file, not a checkpoint file
1|-m train.tar.zst train.tar.zst test.tar.zst|train.tar.zst: is a shard, not a tensor file
1|-m nowhere train.tar.zst test.tar.zst|nowhere
1|-m $checkpoint nowhere test.tar.zst|nowhere
1|-m $checkpoint train.tar.zst nowhere|nowhere
END
    [ ! -e c.safetensors ]
    refuses 1 "train.tar.zst: is a shard, not a tensor file" nnclr-lineval train.tar.zst test.tar.zst
    for share in 2 5 9; do
        head -c $(($(stat -c %s "$checkpoint") * share / 10)) "$checkpoint" >cut.zst
        refuses 1 cut.zst nnclr-lineval --augment -m cut.zst train.tar.zst test.tar.zst
    done
    # A byte of a picture: the checksum of its frame tells.
    flip_bit train.tar.zst 20000
    refuses 1 train.tar.zst nnclr-lineval --augment -m "$checkpoint" --epochs 1 -o c.safetensors train.tar.zst test.tar.zst
    [ ! -e c.safetensors ]
}

@test "SGD that diverges says so; what cannot be written is reported, at once if that can be known" {
    make_run
    expect 1 nnclr-lineval --augment -m "$checkpoint" --lr 1e30 --weight-decay 1 -o c.safetensors train.tar.zst test.tar.zst
    expect_message nnclr-lineval "SGD diverges in epoch"
    [ ! -e c.safetensors ]
    # Before anything is read.
    for option in -o --predictions; do
        refuses 1 nowhere/file nnclr-lineval --augment -m missing $option nowhere/file train.tar.zst test.tar.zst
        mkdir -p out
        cp test.tar.zst out/kept
        refuses 1 missing nnclr-lineval --augment -m missing $option out/kept train.tar.zst test.tar.zst
        cmp out/kept test.tar.zst
        expect_files out kept
    done
}

# bats test_tags=long
@test "the CIFAR-10 part: far above chance, with the network's features a few steps old" {
    need_data cifar10/cifar10-12k.tar
    for part in train test; do
        nnclr-prep -q --order random --root cifar10/$part -o $part.tar.zst "$NNCLR_TEST_DATA/cifar10/cifar10-12k.tar"
    done
    nnclr-pretrain -q --preset tiny --steps 20 -o run train.tar.zst
    nnclr-lineval -q --augment -m run/checkpoint.safetensors.zst --crop 0.3,1 --standardize --label-fraction 0.3 --epochs 3 train.tar.zst test.tar.zst >table
    cat table
    awk -F '\t' 'NR == 2 { good = $2 > 0.18 && $2 < 0.5 && $4 > 0.6 && $5 == 2000 } END { exit !good }' table
    [[ $(cut -f 7 table) == *" views=3000 label_fraction=0.3 train=3000 "* ]]
}
