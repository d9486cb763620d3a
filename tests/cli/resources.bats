# When short of memory, threads or descriptors, a program ends as it should or says in one sentence
# what it lacks, and never waits for what does not come.
load helpers

TINY="--preset tiny --size 16 --batch 8 --queue 20 --proj 16,8 --pred 16"

setup_file() {
    make_run e.emb
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# Programs under a sanitiser need far more address space than the tests leave.
need_limits() {
    (ulimit -v 400000 && nnclr-prep --version) >/dev/null 2>&1 || skip "no program runs in 400 MB"
}

# Done, or one sentence; and within the time.
within() { # KB COMMAND...
    local kb=$1
    shift
    run --separate-stderr bash -c 'ulimit -v "$0"; exec timeout -k 1 20 "$@"' "$kb" "$@"
    echo "$* in $kb KB: exit status $status: $stderr"
    case $status in
    0) [ -z "$stderr" ] ;;
    1) expect_message "$1" "" ;;
    *) return 1 ;;
    esac
}

@test "a product that cannot have its memory is refused before it begins" {
    need_limits
    local kb
    for kb in 140000 260000; do
        within $kb nnclr-pretrain -q -j 2 $TINY --steps 1 --force -o short s.tar.zst
        [ "$status" -eq 1 ]
        expect_message nnclr-pretrain "128 MiB of address space for each of 2 threads: give a smaller -j"
        [ ! -e short ]
        within $kb nnclr-finetune -q -j 2 --steps 1 --force -m run/checkpoint.safetensors.zst -o short s.tar.zst
        within $kb nnclr-embed -q -j 2 -m run/checkpoint.safetensors.zst -o short.emb s.tar.zst
        within $kb nnclr-lineval -q -j 2 --epochs 1 e.emb e.emb
        within $kb nnclr-queue-inspect -q -j 2 --report hubs e.emb
    done
    within 260000 nnclr-lineval -q -j 1 --epochs 1 e.emb e.emb
    [ "$status" -eq 0 ]
    within 500000 nnclr-pretrain -q -j 2 $TINY --steps 1 --force -o room s.tar.zst
    [ "$status" -eq 0 ]
}

@test "what multiplies nothing needs no room for it" {
    need_limits
    local kb
    for kb in 70000 120000; do
        within $kb nnclr-prep -q -j 1 -o p.tar.zst "$(shapes 40)"
        [ "$status" -eq 0 ]
        within $kb nnclr-views -q -j 1 --preset tiny -o v.emb s.tar.zst
        [ "$status" -eq 0 ]
    done
    cmp p.tar.zst s.tar.zst
}

@test "a run that does not fit in memory is refused before a RUN is made, with what would fit" {
    for way in "" --dry-run; do
        refuses 1 "GiB are available: give " nnclr-pretrain -q $way --batch 40 --size 4000 -o large s.tar.zst
        [[ $stderr == *"--preset cifar ("* ]]
        [ ! -e large ]
    done
}

@test "a thread that cannot be started is named, with what to do" {
    need_limits
    within 44000 nnclr-prep -q -j 4 -o none.tar.zst "$(shapes 40)"
    [ "$status" -eq 1 ] || skip "there was room"
    expect_message nnclr-prep "cannot be started: Resource temporarily unavailable: give a smaller -j"
    [ ! -e none.tar.zst ]
}
