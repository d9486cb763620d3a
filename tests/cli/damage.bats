# Damaged files: a bit flipped in each class of bytes, and cuts at and inside each frame. A program
# refuses what it cannot read whole: exit 1, one sentence that names the file and says why.
load helpers

TINY="$TINY --proj 16,8 --pred 16"

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    nnclr-prep -q -o s.tar.zst "$(shapes 40)"
    nnclr-pretrain -q $TINY --steps 3 --max-time 0.001s -o run s.tar.zst || [ $? -eq 75 ]
    nnclr-embed -q --pixels 2 -o e.safetensors.zst s.tar.zst
    nnclr-views -q --preset tiny --size 8 -o v.safetensors.zst s.tar.zst
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    rm -rf damaged out
    mkdir damaged out
}

# Every damaged copy of FILE is put at PLACE in turn, and the program run.
check_all() { # FILE PLACE PROGRAM [argument...]
    local file=$1 place=$2 program=$3 copy count=0
    shift 2
    python3 "$NNCLR_ROOT/tests/cli/damage.py" "$file" damaged
    for copy in damaged/*; do
        cp "$copy" "$place"
        rm -rf out/*
        run --separate-stderr "$@"
        echo "$copy: exit status $status: $stderr"
        if [[ $copy == */whole-* ]]; then
            [ "$status" -eq 0 ]
        else
            [ "$status" -eq 1 ]
            expect_message "$program" "$place: "
            expect_files out
        fi
        count=$((count + 1))
    done
    [ "$count" -ge 30 ]
}

@test "a shard" {
    check_all s.tar.zst x.tar.zst nnclr-embed -q --pixels 2 -o out/e.safetensors.zst x.tar.zst
}

@test "a checkpoint: to resume from" {
    mkdir -p x
    cp run/run.json run/metrics.jsonl x
    python3 "$NNCLR_ROOT/tests/cli/damage.py" run/checkpoint.safetensors.zst damaged
    rm damaged/whole-* # the run would go on
    local copy
    for copy in damaged/*; do
        cp "$copy" x/checkpoint.safetensors.zst
        expect 1 nnclr-pretrain -q --resume -o x
        echo "$copy: $stderr"
        expect_message nnclr-pretrain "x/checkpoint.safetensors.zst: "
        # The damaged file stays, for whoever wants to look at it, and so does the rest.
        command cmp "$copy" x/checkpoint.safetensors.zst # one is cut to nothing
        cmp -s run/metrics.jsonl x/metrics.jsonl
    done
}

@test "a checkpoint: to embed with, and to look at its queue" {
    check_all run/checkpoint.safetensors.zst x.safetensors.zst \
        nnclr-embed -q -m x.safetensors.zst -o out/e.safetensors.zst s.tar.zst
}

@test "an embedding file" {
    check_all e.safetensors.zst x.safetensors.zst \
        nnclr-lineval -q --methods knn --predictions out/p.tsv x.safetensors.zst e.safetensors.zst
}

@test "a classifier" {
    nnclr-lineval -q --methods linear --epochs 1 -o k.safetensors.zst e.safetensors.zst e.safetensors.zst >/dev/null
    check_all k.safetensors.zst x.safetensors.zst nnclr-predict -q x.safetensors.zst s.tar.zst
}

@test "a file of views" {
    mkdir -p out
    check_all v.safetensors.zst x.safetensors.zst \
        nnclr-pretrain -q $TINY --steps 5 --views x.safetensors.zst -o out/run
}

@test "a plain safetensors file: its length, its JSON, its end" {
    local at size
    zstdcat run/checkpoint.safetensors.zst >whole.safetensors
    expect 0 nnclr-embed -q -m whole.safetensors -o out/e.safetensors.zst s.tar.zst
    rm out/*
    size=$(stat -c %s whole.safetensors)
    # The length's bytes, the first brace, a quote, and the digits of an offset.
    for at in 0 1 2 3 7 8 9 $(grep -abo '"data_offsets":\[[0-9]' whole.safetensors | sed -n '1p;9p' | cut -d: -f1); do
        cp whole.safetensors x.safetensors
        flip_bit x.safetensors "$at"
        expect 1 nnclr-embed -q -m x.safetensors -o out/e.safetensors.zst s.tar.zst
        echo "$at: $stderr"
        expect_message nnclr-embed "x.safetensors"
        expect_files out
    done
    for at in 0 4 8 100 $((size / 2)) $((size - 1)); do
        head -c "$at" whole.safetensors >x.safetensors
        expect 1 nnclr-embed -q -m x.safetensors -o out/e.safetensors.zst s.tar.zst
        echo "cut at $at: $stderr"
        expect_message nnclr-embed "x.safetensors"
    done
}
