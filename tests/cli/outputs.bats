# What the programs that write a file do when the disk fails: exit 1, one sentence with the reason,
# the file that was there before untouched, and nothing half written or hidden beside it.
load helpers

TINY="$TINY --proj 16,8 --pred 16"

setup_file() {
    make_run e.safetensors.zst
    nnclr-prep -q -o few.tar.zst "$(shapes 10)"
    nnclr-embed -q --pixels 2 -o few.safetensors.zst few.tar.zst
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    mkdir -p out
    rm -f out/* out/.[!.]*
}

# Every call that writes or names the output fails in its turn.
sweep() { # FILE PROGRAM [argument...]
    local file=out/$1 program=$2 k call log=$BATS_TEST_TMPDIR/log old=$BATS_TEST_TMPDIR/old seen=
    shift
    "$@"
    [ -s "$file" ]
    echo older >"$old"
    for k in $(seq 40); do
        cp "$old" "$file"
        rm -f "$log"
        export NNCLR_INJECT_LOG=$log
        run --separate-stderr injected "write,fsync,close,rename,link:$k:ENOSPC" "$@"
        unset NNCLR_INJECT_LOG
        [ "$(wc -l <"$log")" -ge "$k" ] || break
        call=$(sed -n "${k}p" "$log")
        seen="$seen $(cut -d' ' -f2 <<<"$call")"
        echo "call $call: exit status $status: $stderr"
        [ "$status" -eq 1 ]
        expect_message "$program" "No space left on device"
        expect_files out "$(basename "$file")"
        # Only if the folder cannot be synced is the whole new file in its place.
        [[ $call == *" fsync $PWD/out" ]] || cmp "$file" "$old"
    done
    echo "calls: $seen"
    [ "$status" -eq 0 ]
    [[ $seen == *" write fsync link close rename fsync" ]]
}

@test "nnclr-prep -o" {
    sweep a.tar.zst nnclr-prep -q -o out/a.tar.zst "$(shapes 40)"
}

@test "nnclr-embed -o, a network and pixels" {
    sweep a.safetensors.zst nnclr-embed -q -m run/checkpoint.safetensors.zst -o out/a.safetensors.zst s.tar.zst
    rm out/*
    sweep a.safetensors nnclr-embed -q --pixels 2 -o out/a.safetensors s.tar.zst
}

@test "nnclr-views -o and --sheet" {
    sweep a.safetensors.zst nnclr-views -q --preset tiny -n 4 -o out/a.safetensors.zst s.tar.zst
    rm out/*
    sweep a.png nnclr-views -q --preset tiny -n 4 --sheet out/a.png s.tar.zst
}

@test "nnclr-lineval -o and --predictions" {
    sweep a.safetensors.zst nnclr-lineval -q --methods linear --epochs 1 -o out/a.safetensors.zst e.safetensors.zst e.safetensors.zst
    rm out/*
    sweep a.tsv nnclr-lineval -q --methods knn --predictions out/a.tsv e.safetensors.zst few.safetensors.zst
}

@test "nnclr-queue-inspect --sheet" {
    sweep a.png nnclr-queue-inspect -q --sheet out/a.png run/checkpoint.safetensors.zst s.tar.zst
}

@test "nnclr-prep --shard-size: no file of the set has its name when one fails" {
    local k log=$BATS_TEST_TMPDIR/log
    for k in $(seq 100); do
        rm -f out/* "$log"
        export NNCLR_INJECT_LOG=$log
        run --separate-stderr injected "write,fsync,close,rename,link:$k:EIO" \
            nnclr-prep -q --shard-size 60K -o out/a "$(shapes 40)"
        unset NNCLR_INJECT_LOG
        [ "$(wc -l <"$log")" -ge "$k" ] || break
        echo "call $(sed -n "${k}p" "$log"): exit status $status: $stderr"
        [ "$status" -eq 1 ]
        expect_message nnclr-prep "Input/output error"
        if [[ $(sed -n "${k}p" "$log") != *"fsync $PWD/out" ]] || [ "$(ls out | wc -l)" -eq 0 ]; then
            expect_files out
        fi
    done
    [ "$status" -eq 0 ]
    [ -s out/a-000001.tar.zst ]
}

@test "a full disk behind standard output and behind a name: exit 1, one sentence" {
    local command
    while read -r command; do
        run bash -c "$command 2>&1 >/dev/full"
        echo "$command: exit status $status: $output"
        [ "$status" -eq 1 ]
        [ "$output" = "${command%% *}: standard output: No space left on device" ]
    done <<END
nnclr-prep -q $(shapes 40)
nnclr-prep -q --list-contents s.tar.zst
nnclr-embed -q --pixels 2 s.tar.zst
nnclr-views -q --preset tiny s.tar.zst
nnclr-lineval -q --methods knn e.safetensors.zst e.safetensors.zst
nnclr-queue-inspect -q run/checkpoint.safetensors.zst s.tar.zst
nnclr-export -q --format safetensors run/checkpoint.safetensors.zst
END
    while read -r command; do
        expect 1 $command
        expect_message "${command%% *}" "/dev/full: No space left on device"
        [ -c /dev/full ]
    done <<END
nnclr-prep -q -o /dev/full $(shapes 40)
nnclr-embed -q --pixels 2 -o /dev/full s.tar.zst
nnclr-views -q --preset tiny -o /dev/full s.tar.zst
nnclr-views -q --preset tiny --sheet /dev/full s.tar.zst
nnclr-lineval -q --methods linear --epochs 1 -o /dev/full e.safetensors.zst e.safetensors.zst
nnclr-lineval -q --methods knn --predictions /dev/full e.safetensors.zst e.safetensors.zst
nnclr-lineval -q --augment -m run --epochs 1 --predictions /dev/full s.tar.zst s.tar.zst
nnclr-queue-inspect -q --sheet /dev/full run/checkpoint.safetensors.zst s.tar.zst
nnclr-export -q --format safetensors -o /dev/full run/checkpoint.safetensors.zst
END
}

@test "a reader that closes its pipe ends a filter quietly, by SIGPIPE" {
    local command
    nnclr-prep -q -o "$BATS_TEST_TMPDIR/large.tar.zst" "$(shapes 400)"
    while read -r command; do
        expect 141 into_closed_pipe "$command"
        [ -z "$stderr" ]
    done <<END
nnclr-prep $(shapes 40)
nnclr-prep --list-contents s.tar.zst
nnclr-embed --pixels 2 s.tar.zst
nnclr-views --preset tiny s.tar.zst
nnclr-lineval --methods knn e.safetensors.zst e.safetensors.zst
nnclr-queue-inspect -q run/checkpoint.safetensors.zst s.tar.zst
END
}

@test "an output keeps the permissions of the file that it replaces, and a new one has the umask's" {
    local mode
    for mode in 600 640 664 444; do
        echo older >out/a.emb
        chmod $mode out/a.emb
        expect 0 nnclr-embed -q --pixels 2 -o out/a.emb s.tar.zst
        [ "$(stat -c %a out/a.emb)" = $mode ]
        cmp out/a.emb e.safetensors.zst
        rm -f out/a.emb
    done
    (umask 027 && nnclr-embed -q --pixels 2 -o out/new.emb s.tar.zst)
    [ "$(stat -c %a out/new.emb)" = 640 ]
}

@test "a link is followed to the file it leads to, which is made if it is not there" {
    mkdir -p out/deep "$BATS_TEST_TMPDIR/else"
    echo older >"$BATS_TEST_TMPDIR/else/there"
    ln -s "$BATS_TEST_TMPDIR/else/there" out/absolute
    ln -s ../absolute out/deep/chain
    ln -s new out/dangling
    ln -s loop out/loop
    ln -s nowhere/new out/lost
    ln -s /dev/full out/device
    for link in out/absolute out/deep/chain; do
        expect 0 nnclr-embed -q --pixels 2 -o $link s.tar.zst
        [ -L $link ]
        cmp "$BATS_TEST_TMPDIR/else/there" e.safetensors.zst
        echo older >"$BATS_TEST_TMPDIR/else/there"
    done
    expect 0 nnclr-embed -q --pixels 2 -o out/dangling s.tar.zst
    [ -L out/dangling ]
    cmp out/new e.safetensors.zst
    refuses 1 "out/loop: Too many levels of symbolic links" nnclr-embed -q --pixels 2 -o out/loop s.tar.zst
    refuses 1 "out/lost: No such file or directory" nnclr-embed -q --pixels 2 -o out/lost s.tar.zst
    refuses 1 "out/device: No space left on device" nnclr-embed -q --pixels 2 -o out/device s.tar.zst
    expect_files out absolute deep dangling new loop lost device
    expect_files "$BATS_TEST_TMPDIR/else" there
    rm -r out/deep
}

@test "a name of 255 bytes is as good as any" {
    local ascii wide
    ascii=$(printf 'a%.0s' $(seq 251)).emb
    wide=$(printf '\xe2\x82\xac%.0s' $(seq 83))12.emb
    for name in "$ascii" "$wide"; do
        [ "$(LC_ALL=C; echo ${#name})" = 255 ]
        expect 0 nnclr-embed -q --pixels 2 -o "out/$name" s.tar.zst
        cmp "out/$name" e.safetensors.zst
    done
    expect_files out "$ascii" "$wide"
    refuses 1 "File name too long" nnclr-embed -q --pixels 2 -o "out/b$ascii" s.tar.zst
}

# Refused before anything is written, with the file as it was.
refused() { # FILE COMMAND...
    local file=$1 before
    shift
    before=$(md5sum "$file")
    expect 2 "$@"
    echo "$*: $stderr"
    [ "$(md5sum "$file")" = "$before" ]
}

@test "a numbered output is not written over an input, whatever other numbers are there" {
    cp s.tar.zst out/p-000002.tar
    refused out/p-000002.tar nnclr-prep -q --shard-size 1K -o out/p out/p-000002.tar
    refused out/p-000002.tar nnclr-prep -q --shard-size 1K -o out/p.tar out/p-000002.tar
    cp e.safetensors.zst out/s-2.png
    refused out/s-2.png nnclr-queue-inspect -q -n 90 --sheet out/s.png out/s-2.png s.tar.zst
    (cd out && refused s-2.png nnclr-queue-inspect -q -n 90 --sheet s.png s-2.png ../s.tar.zst)
    [ ! -e out/p-000000.tar.zst ]
    [ ! -e out/s-1.png ]
}

@test "an output that is an input: exit 2, and the file stays" {
    local checkpoint=run/checkpoint.safetensors.zst
    cp s.tar.zst out/shard
    ln -s shard out/soft
    ln out/shard out/hard
    cp $checkpoint out/c.safetensors.zst
    cp e.safetensors.zst out/e.safetensors.zst
    for name in shard soft hard ../out/shard; do
        refused out/shard nnclr-embed -q --pixels 2 -o "out/$name" out/shard
        [[ $stderr == *"is an input, and would be overwritten"* ]]
        refused out/shard nnclr-prep -q -o out/shard "out/$name"
        refused out/shard nnclr-views -q --preset tiny -o "out/$name" out/shard
    done
    refused out/shard bash -c 'nnclr-embed -q --pixels 2 - <out/shard 1<>out/shard'
    refused out/c.safetensors.zst nnclr-embed -q -m out/c.safetensors.zst -o out/c.safetensors.zst s.tar.zst
    refused $checkpoint nnclr-embed -q -m run -o $checkpoint s.tar.zst
    refused out/e.safetensors.zst nnclr-lineval -q --epochs 1 -o out/e.safetensors.zst out/e.safetensors.zst e.safetensors.zst
    refused out/c.safetensors.zst nnclr-export -q -o out/c.safetensors.zst --format safetensors out/c.safetensors.zst
    refused run/metrics.jsonl nnclr-queue-inspect -q --html run/metrics.jsonl --metrics run/metrics.jsonl run s.tar.zst
    expect 0 nnclr-embed -q -m run -o run/e.emb s.tar.zst
    rm run/e.emb
    nnclr-prep -q --shard-size 60K -o out/set "$(shapes 40)"
    refused out/set-000001.tar.zst nnclr-prep -q --shard-size 60K -o out/set out/set-000001.tar.zst
}

@test "an output that is a file of an input folder, or that a list names: exit 2, and the file stays" {
    rm -rf pictures
    cp -r "$(shapes 10)" pictures
    local class picture
    picture=$(find pictures -type f | sort | tail -n 1)
    class=$(dirname "$picture")
    cp "$picture" "$class/x.png"
    ln "$class/x.png" out/y.png
    ln -s "$PWD/$class" out/linked
    for name in "$class/x.png" out/y.png out/linked/x.png; do
        refused "$class/x.png" nnclr-views -q --preset tiny --sheet "$name" pictures
        [[ $stderr == *"pictures/"*"/x.png is an input, and would be overwritten"* ]]
        refused "$class/x.png" nnclr-queue-inspect -q --sheet "$name" few.safetensors.zst out/linked
    done
    mv "$class/x.png" "$class/x"
    refused "$class/x" nnclr-prep -q -o "$class/x" pictures
    refused "$class/x" nnclr-prep -q -o out/linked/x pictures
    refused "$class/x" nnclr-embed -q --pixels 2 -o "$class/x" pictures/*
    refused "$class/x" nnclr-embed -q --pixels 2 -o "$class/x" "$class/x" pictures
    echo "$class/x" >list
    refused "$class/x" nnclr-prep -q --list list -o "$class/x"
    [ "$(find out -name '.*' | wc -l)" -eq 0 ]
    # One that is not there is fine, and the same command once more: what it made is not an input.
    rm "$class/x"
    for command in "nnclr-embed -q --pixels 2 -o set.emb ." "nnclr-prep -q -o set.tar.zst ."; do
        expect 0 env -C pictures $command
        [ -z "$stderr" ]
        sha256sum pictures/set.* >once
        expect 0 env -C pictures $command
        [ -z "$stderr" ]
        sha256sum --status -c once
        rm pictures/set.*
    done
}

@test "two outputs of one name: exit 2" {
    ln -s a out/b
    for name in out/a out/../out/a out/b; do
        expect 2 nnclr-lineval -q --epochs 1 -o $name --predictions out/a e.safetensors.zst e.safetensors.zst
        [[ $stderr == *"would both write"* ]]
        expect 2 bash -c "nnclr-lineval -q --epochs 1 -o $name e.safetensors.zst e.safetensors.zst >out/a"
        [[ $stderr == *"and standard output would both write"* ]]
        rm out/a
    done
    expect 0 nnclr-lineval -q --epochs 1 -o /dev/null --predictions /dev/null e.safetensors.zst e.safetensors.zst
}

@test "a RUN that is read is not replaced" {
    local tiny="-q $TINY --steps 1 --force -o run"
    for init in run run/checkpoint.safetensors.zst run/../run/checkpoint.safetensors.zst; do
        refused run/checkpoint.safetensors.zst nnclr-pretrain $tiny --init $init s.tar.zst
        refused run/checkpoint.safetensors.zst nnclr-finetune -q --steps 1 --force -o run -m $init s.tar.zst
        [[ $stderr == *"is a file of the RUN run: give another -o RUN"* ]] || [[ $stderr == *"run is an input"* ]]
    done
    [ -e run/DONE ]
}
