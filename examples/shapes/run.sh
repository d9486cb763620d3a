#!/bin/sh
# Pictures -> shard -> NNCLR -> embeddings -> accuracy, on pictures that it draws itself.
# usage: run.sh BIN_DIR OUT_DIR      (EPOCHS, SEED, COUNT and TEST may be set in the environment)
set -eu

if [ $# -ne 2 ]; then
    echo "usage: run.sh BIN_DIR OUT_DIR" >&2
    exit 2
fi
bin=$1
out=$2
epochs=${EPOCHS:-20}
seed=${SEED:-1}
count=${COUNT:-150}
test_count=${TEST:-50}
tab=$(printf '\t')
# BIN_DIR may hold links into the folder of one set of flags, where the examples are too.
shapes=$(dirname "$(readlink -f "$bin/nnclr-prep")")/examples/shapes/make-shapes
[ -x "$shapes" ] || shapes=$bin/../libexec/nnclr/make-shapes # installed
mkdir -p "$out"

step() {
    printf '\n== %s\n' "$1" >&2
}

step "drawing pictures of ten shapes: $count of each to train on, $test_count to test"
"$shapes" --count "$count" --test "$test_count" --seed "$seed" "$out/pictures"

step "packing them: a folder, and a tar through a pipe"
"$bin/nnclr-prep" -o "$out/train.tar.zst" "$out/pictures/train"
tar -C "$out/pictures" -cf - test | "$bin/nnclr-prep" --root test - > "$out/test.tar.zst"

for positive in nn view; do
    step "pre-training without labels, $epochs epochs, --positive $positive"
    "$bin/nnclr-pretrain" --preset tiny --epochs "$epochs" --seed "$seed" --positive "$positive" \
        --force -o "$out/run-$positive" "$out/train.tar.zst"
done

# embed NAME OPTION...: embeddings of both shards, in NAME-train and NAME-test.
embed() {
    name=$1
    shift
    for part in train test; do
        "$bin/nnclr-embed" -q "$@" -o "$out/$name-$part.safetensors.zst" "$out/$part.tar.zst"
    done
}

# top1 NAME: share of test pictures whose 20 nearest training pictures vote for their class.
top1() {
    "$bin/nnclr-lineval" -q --methods knn -k 20 \
        "$out/$1-train.safetensors.zst" "$out/$1-test.safetensors.zst" |
        awk -F '\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "top1") column = i }
                     NR == 2 { print $column }'
}

step "embedding, and judging by the nearest neighbours"
checkpoint=checkpoint.safetensors.zst
embed pixels --pixels 32
embed untrained -m "$out/run-nn/$checkpoint" --untrained
embed view -m "$out/run-view/$checkpoint"
embed nnclr -m "$out/run-nn/$checkpoint"

pixels=$(top1 pixels)
untrained=$(top1 untrained)
view=$(top1 view)
nnclr=$(top1 nnclr)

step "contact sheets, and a page"
"$bin/nnclr-queue-inspect" -q -k 8 --queries 12 --sheet "$out/queue.png" --html "$out/queue.html" \
    "$out/run-nn/$checkpoint" "$out/train.tar.zst" > "$out/queue.tsv"
"$bin/nnclr-queue-inspect" -q -k 8 --queries 12 --sheet "$out/neighbours.png" \
    "$out/nnclr-test.safetensors.zst" "$out/test.tar.zst" > "$out/neighbours.tsv"

cat << END

representation${tab}kNN top-1 (k=20)
raw pixels${tab}$pixels
untrained network${tab}$untrained
trained, --positive view${tab}$view
trained, NNCLR${tab}$nnclr

In runs as short as this one NNCLR and --positive view are level: neighbours are known to help late.

Left to look at:
  $out/queue.png             pictures of the support set with their nearest neighbours
  $out/queue.html            the same as a page, with the curves of the run: open it in a browser
  $out/neighbours.png        test pictures with their nearest neighbours
  $out/run-nn/metrics.jsonl  the course of the training run, a line for each step
END

awk -v nnclr="$nnclr" -v untrained="$untrained" -v pixels="$pixels" 'BEGIN {
    if (nnclr == "" || nnclr < untrained + 0.05 || nnclr < pixels + 0.05) {
        print "run.sh: NNCLR does not beat raw pixels and the untrained network by 5 points" > "/dev/stderr"
        exit 1
    }
}'
