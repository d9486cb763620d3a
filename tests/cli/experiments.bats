#!/usr/bin/env bats
# The Makefiles of examples/ at their smallest: what they make, and that they go on where they were.
load helpers
# bats file_tags=long

setup() {
    need make
    cd "$BATS_TEST_TMPDIR"
}

example() { # NAME VARIABLE=VALUE...
    make -s -f "$NNCLR_ROOT/examples/$1/Makefile" BIN="$NNCLR_BIN" OUT=out "${@:2}" 3>&-
}

tiny=(PRESET=tiny WIDTH=0.125 EPOCHS=1)

is_png() { # FILE
    [ "$(head -c 4 "$1" | tail -c 3)" = PNG ]
}

# accuracy of a row of results.tsv
top1() { # REPRESENTATION METHOD
    awk -F '\t' -v name="$1" -v method="$2" '$1 == name && $2 == method { print $3 }' out/results.tsv
}

@test "cifar10: from the binary archive to the table and the sheets" {
    cifar10_binary cifar-10-binary.tar.gz 40 30
    expect 0 example cifar10 CIFAR10=cifar-10-binary.tar.gz "${tiny[@]}" LINEVAL='--methods linear,knn -k 5 --epochs 2'
    [ "$(nnclr-prep --list-contents out/train.tar.zst | wc -l)" -eq 201 ]
    [ "$(nnclr-prep --list-contents out/test.tar.zst | wc -l)" -eq 31 ]
    [[ $output == "$(cat out/results.tsv)"* ]]
    [ "$(cut -f 1,2 out/results.tsv | tr '\n\t' ' /')" = 'representation/method pixels/linear pixels/knn untrained/linear untrained/knn nnclr/linear nnclr/knn ' ]
    # Each class has its own bytes, alike if names are equally long.
    awk -v top1="$(top1 pixels knn)" 'BEGIN { exit !(top1 >= 0.7) }'
    for sheet in views queue neighbours; do
        is_png out/$sheet.png
    done
    [ -e out/nnclr.run/DONE ]

    # Nothing is made twice, except what another option changes.
    touch -d '2 hours ago' cifar-10-binary.tar.gz
    touch -d '1 hour ago' reference
    find out -type f -exec touch -r reference {} +
    expect 0 example cifar10 CIFAR10=cifar-10-binary.tar.gz "${tiny[@]}" LINEVAL='--methods linear,knn -k 5 --epochs 2'
    [ -z "$(find out -type f -newer reference)" ]
    expect 0 example cifar10 CIFAR10=cifar-10-binary.tar.gz "${tiny[@]}" SEED=7 LINEVAL='--methods knn -k 5'
    [ out/nnclr.run/DONE -nt reference ]
    grep -q '"init_seed": 7' out/nnclr.run/run.json
    [ ! out/train.tar.zst -nt reference ]
    [ ! out/pixels-train.safetensors.zst -nt reference ]
}

@test "cifar10: a tar and a folder of pictures, wherever train/ and test/ are" {
    mkdir -p some/where
    "$NNCLR_SHAPES" --count 7 --test 2 --size 32 some/where/cifar >/dev/null
    tar -cf pictures.tar some
    nnclr-prep -q -o train.tar.zst some/where/cifar/train
    for input in some some/where/cifar pictures.tar; do
        rm -rf out
        expect 0 example cifar10 CIFAR10=$input out/train.tar.zst out/test.tar.zst
        cmp train.tar.zst out/train.tar.zst
        [ "$(nnclr-prep --list-contents out/test.tar.zst | wc -l)" -eq 21 ]
    done
}

@test "cifar10: an archive that is not the published one is not taken" {
    need sha256sum
    mkdir bin
    cat >bin/curl <<'END'
#!/bin/sh
while [ "$1" != -o ]; do shift; done
echo no archive >"$2"
END
    chmod +x bin/curl
    PATH=$PWD/bin:$PATH run --separate-stderr example cifar10
    [ "$status" -ne 0 ]
    [[ $output$stderr == *FAILED* ]]
    [ ! -e out/cifar-10-binary.tar.gz ]
    printf '#!/bin/sh\nexit 6\n' | tee bin/curl >bin/wget
    chmod +x bin/wget
    PATH=$PWD/bin:$PATH run --separate-stderr example cifar10
    [ "$status" -ne 0 ]
    [[ $stderr == *'Give CIFAR10=PATH'* ]]
}

@test "cifar10: an interrupted training run goes on, to the same bytes" {
    "$NNCLR_SHAPES" --count 13 --test 2 --size 32 pictures >/dev/null
    run=(cifar10 CIFAR10=pictures "${tiny[@]}" EPOCHS=8 out/nnclr.run/DONE)
    expect 0 example "${run[@]}"
    mv out whole
    mkdir out
    # It stops itself at one of its writes, which are those of a checkpoint and then one per step.
    (
        export NNCLR_INJECT=write:14:stop NNCLR_INJECT_FOLDER=$PWD/out/nnclr.run LD_PRELOAD=$INJECT
        ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS-}" example "${run[@]}" >/dev/null 2>&1
    ) &
    maker=$!
    for _ in $(seq 2000); do
        # the program, for this test only
        pid=$(cat out/nnclr.run/.lock 2>/dev/null || true)
        if grep -q '^State:.T' "/proc/$pid/status" 2>/dev/null; then break; fi
        sleep 0.1
    done
    kill -TERM "$pid"
    kill -CONT "$pid"
    code=0
    wait "$maker" || code=$?
    [ "$code" -eq 2 ]
    [ ! -e out/nnclr.run/DONE ]
    # The speeds in these lines never come again: they show that it was not begun anew.
    head -n 3 out/nnclr.run/metrics.jsonl >begun
    [ "$(wc -l <begun)" -eq 3 ]
    expect 0 example "${run[@]}"
    head -n 3 out/nnclr.run/metrics.jsonl | cmp - begun
    cmp whole/nnclr.run/checkpoint.safetensors.zst out/nnclr.run/checkpoint.safetensors.zst
}

@test "cifar10: real pictures; the accuracy of their pixels is the known one" {
    need_data cifar10/cifar10-12k.tar
    expect 0 example cifar10 CIFAR10="$NNCLR_TEST_DATA/cifar10/cifar10-12k.tar" "${tiny[@]}" \
        EPOCHS=0.01 LINEVAL='--methods knn -k 20'
    # 0.396 with the mean of all pixels removed, by the data's own description; ours is the
    # picture's own
    awk -v top1="$(top1 pixels knn)" 'BEGIN { exit !(top1 > 0.37 && top1 < 0.42) }'
    is_png out/neighbours.png
}

@test "ablations: a table over the seeds, sweeps, curves" {
    grid=(ablations COUNT=8 TEST_COUNT=3 EPOCHS=1 OPTIONS='--batch 32' SEEDS='1 2' CELLS='base queue-64')
    expect 0 example "${grid[@]}"
    [ "$(cut -f 1-3 out/table.tsv | tr '\n\t' ' /')" = 'cell/method/seeds pixels/knn/1 untrained/knn/1 base/knn/2 queue-64/knn/2 ' ]
    # mean and deviation of two numbers
    cat out/queue-64.[12].accuracy | awk -F '\t' '$1 == "knn" { print $2 }' | tr '\n' '\t' |
        awk '{ d = $1 - $2; if (d < 0) d = -d; printf "%.4f\t%.4f\n", ($1 + $2) / 2, d / sqrt(2) }' >want
    awk -F '\t' -v OFS='\t' '$1 == "queue-64" { print $4, $5 }' out/table.tsv | diff want -
    [ "$(cut -f 1,2 out/sweeps.tsv | tr '\n\t' ' /')" = 'parameter/value queue/64 queue/512 ' ]
    [ "$(cut -f 1,2 out/curves.tsv | tr '\n\t' ' /')" = 'cell/epoch base/0 queue-64/0 ' ]
    grep -q '"queue": 64' out/queue-64.2.run/run.json
    differ <(timeless out/queue-64.1.run) <(timeless out/queue-64.2.run)
    if command -v gnuplot >/dev/null; then
        is_png out/sweeps.png
        is_png out/curves.png
    else
        [[ $stderr == *'There is no gnuplot'* ]]
    fi
    run --separate-stderr example "${grid[@]}" CELLS='base qeue-64'
    [ "$status" -ne 0 ]
    [[ $stderr == *'CELLS: not known: qeue-64'* ]]
}

@test "when-neighbours-help: a table of arms, lengths and augmentations" {
    "$NNCLR_SHAPES" --count 15 --test 5 --size 32 pictures >/dev/null
    nnclr-prep -q -o a.tar.zst pictures/train
    nnclr-prep -q -o b.tar.zst pictures/test
    settings='SETTINGS=--preset tiny --batch 32 $(if $(findstring crop,$1),--augment crop)'
    expect 0 example when-neighbours-help TRAIN=a.tar.zst TEST=b.tar.zst "$settings" LINEVAL='--methods knn -k 20' \
        RUNS='simclr-1.1 best-1crop.1 best-1crop.2' BEST='--queue 64 --view-weight 1,0.5'
    [ "$(cut -f 1-3 out/table.tsv | tr '\n\t' ' /')" = 'cell/method/seeds pixels/knn/1 untrained/knn/1 simclr-1/knn/1 best-1crop/knn/2 ' ]
    [ "$(cut -f 1,2 out/curves.tsv | tr '\n\t' ' /')" = 'cell/epoch simclr-1/0 best-1crop/0 ' ]
    [ "$(jq -c '[.config.queue, .config.view_weight, .config.jitter_p]' out/best-1crop.2.run/run.json)" = '[64,[1,0.5],0]' ]
    [ "$(jq -c '[.config.method, .config.jitter_p]' out/simclr-1.1.run/run.json)" = '["simclr",0.8]' ]
    run --separate-stderr example when-neighbours-help TRAIN=a.tar.zst TEST=b.tar.zst RUNS='bets-15.1'
    [ "$status" -ne 0 ]
    [[ $stderr == *'RUNS: not known: bets-15.1'* ]]
}

@test "every run of the grids is one that nnclr-pretrain takes" {
    "$NNCLR_SHAPES" --count 30 --test 1 --size 32 pictures >/dev/null
    nnclr-prep -q -o a.tar.zst pictures/train
    runs() { # EXAMPLE VARIABLE...
        make -n -f "$NNCLR_ROOT/examples/$1/Makefile" BIN="$NNCLR_BIN" OUT=out TRAIN=a.tar.zst TEST=a.tar.zst "${@:2}" |
            sed -nE 's/^ *([^ ]*nnclr-pretrain .*--force.*);? *\\?$/\1/p' | sed 's/;.*//'
    }
    runs ablations SEEDS=1 EPOCHS=0.5 >commands
    [ "$(wc -l <commands)" -ge 24 ]
    # Of each arm of the other the longest run, cut short.
    runs when-neighbours-help WIDTH=0.125 OPTIONS='--steps 1' | sed -E 's/--epochs [0-9]+ //' >all
    sort -u -k 1,1 <(grep -oE 'out/[a-z_0-9.]+-' all | sort -u) >arms
    [ "$(wc -l <arms)" -ge 14 ]
    while read -r arm; do grep -m 1 -F "$arm" all; done <arms >>commands
    while IFS= read -r command; do
        $command 3>&- || { echo "$command"; return 1; }
    done <commands
}

@test "folder-of-photos: a neighbour sheet, whatever the folder's name and whatever is broken in it" {
    "$NNCLR_SHAPES" --count 8 --test 0 --size 48 pictures >/dev/null
    mv pictures/train 'my photos'
    echo broken >'my photos/star/broken.jpg'
    expect 0 example folder-of-photos PHOTOS='my photos' EPOCHS=1 QUERIES=5
    [[ $stderr == *'star/broken.jpg: not a JPEG'* ]]
    is_png out/views.png
    is_png out/neighbours.png
    [ "$(tail -n +2 out/neighbours.tsv | wc -l)" -eq 40 ]
    run --separate-stderr example folder-of-photos
    [ "$status" -ne 0 ]
    [[ $stderr == *'Give PHOTOS=PATH'* ]]
}
