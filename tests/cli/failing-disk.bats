# nnclr-pretrain on a disk that fails: a full one, a read-only one, and a fault of each single call.
load helpers

TINY="$TINY --proj 16,8 --pred 16 -q -j 1"

setup() {
    cd "$BATS_TEST_TMPDIR"
    make_shard s 40
    reference
}

# Three steps with a checkpoint each, on a disk that works; those of all steps in $whole.
reference() {
    whole=$BATS_FILE_TMPDIR/whole
    [ -d "$whole" ] || nnclr-pretrain $TINY --steps 3 --save-every 1steps --keep 9 -o "$whole" s.tar.zst
}

# The run's call number N fails as PLAN says; $status, $stderr.
run_with() { # PLAN [option...]
    local plan=$1
    shift
    rm -rf run
    run --separate-stderr injected "$plan" nnclr-pretrain $TINY --steps 3 --save-every 1steps \
        -o run "$@" s.tar.zst
}

# Whatever failed: the checkpoint is that of a step, to the byte, or there is none, and the same
# holds for those that --keep asked for; no temporary file is left.
check_checkpoints() {
    local file step known hidden
    for file in run/checkpoint*; do
        [ -e "$file" ] || continue
        known=no
        for step in 0 1 2 3; do
            if command cmp -s "$file" "$whole/checkpoint-000$step.safetensors.zst"; then known=$step; fi
        done
        if [ $known = no ]; then
            echo "$file is damaged"
            return 1
        fi
        [ "$file" != run/$CHECKPOINT ] || saved=$known
    done
    # .begun: if a run could not take its place, for the next one that opens the folder.
    hidden=$(find . -path './run/.*' ! -path './run/.begun*' -printf '%f\n')
    [ -z "$hidden" ] || [ "$hidden" = .lock ]
}

# With room again the run ends as it would have.
check_goes_on() {
    if [ -e run/$CHECKPOINT ]; then
        nnclr-pretrain -q -j 1 --resume -o run 2>messages || { cat messages; return 1; }
    else
        nnclr-pretrain $TINY --steps 3 --force -o run s.tar.zst
    fi
    cmp run/$CHECKPOINT "$whole/$CHECKPOINT"
    [ -e run/DONE ]
}

check_message() { # each line on stderr is a sentence of this program with a reason
    [ -n "$stderr" ]
    [ -z "$(grep -v "^nnclr-pretrain: .*: \(Input/output error\|No space left\)" <<<"$stderr")" ]
}

# What a run that survived the fault says, and what it leaves.
check_outcome() {
    local saved=none
    check_checkpoints
    case $status in
    0) # tried again and succeeded
        [ "$saved" = 3 ]
        [ -e run/DONE ]
        diff <(timeless run) <(timeless "$whole")
        ;;
    1)
        check_message
        [ ! -e run/DONE ] || grep "are missing\|--keep asks for\|run/: cannot be synced" <<<"$stderr"
        check_goes_on
        ;;
    *)
        echo "exit status $status: $stderr"
        return 1
        ;;
    esac
}

# ---- each call by itself ----

# Every STRIDE-th call fails, one after the other, until there are none left.
sweep() { # STRIDE CALLS ERRNO [option...]
    local stride=$1 calls=$2 errno=$3 k log=$PWD/log
    shift 3
    export NNCLR_INJECT_LOG=$log
    for k in $(seq 1 "$stride" 200); do
        rm -f "$log"
        run_with "$calls:$k:$errno" "$@"
        if [ "$(wc -l <"$log")" -lt "$k" ]; then
            [ "$status" -eq 0 ]
            [ "$k" -gt 6 ]
            return
        fi
        echo "call $k of $calls with $errno: $(sed -n "${k}p" "$log"): status $status: $stderr"
        unset NNCLR_INJECT_LOG
        check_outcome
        # A call that failed is not a success, except on files that are not part of the run's state.
        if [ "$status" -eq 0 ] && [ -z "$stderr" ]; then
            grep -q "^$k \(close\|fsync\|open\) .*/run\(/.lock\|/metrics.jsonl\|/\|/.next/\|\)$" <<<"$(sed -n "${k}p" "$log")"
        fi
        export NNCLR_INJECT_LOG=$log
    done
    echo "more than 200 calls"
    return 1
}

@test "each single write fails" {
    sweep 1 write ENOSPC
}

@test "every third fsync, close, rename, link and open fails" {
    sweep 3 fsync,close,rename,link,open EIO --keep 2
}

# bats test_tags=long
@test "each single fsync, close, rename, link and open fails" {
    sweep 1 fsync,close,rename,link,open EIO --keep 2
}

# ---- a disk that stays full, or read-only ----

@test "a disk that is full from some call on: reported each time, the old checkpoint intact, exit 1" {
    # What is written and named is: 1 .lock, 2-3 run.json, 4-7 the checkpoint of step 0, 8 a line of
    # the metrics, 9-12 the checkpoint of step 1, and so on.
    local k steps='' saved
    for k in 4 9 13 14 20; do
        run_with "write,link:$k:ENOSPC:all"
        echo "from call $k: status $status: $stderr"
        [ "$status" -eq 1 ]
        saved=none
        check_checkpoints
        steps="$steps $saved"
        [ ! -e run/DONE ]
        if [ "$saved" != none ]; then
            grep -q "$CHECKPOINT: No space left on device; the run is not complete: make room and give --resume" <<<"${stderr_lines[-1]}"
        fi
        check_goes_on
    done
    [ "$steps" = " none 0 1 1 2" ]
}

@test "a disk that is full for a while: the next checkpoint is written, exit 0" {
    # The checkpoint of step 1: three writes and what follows; metrics are left alone.
    run_with "link:3:ENOSPC"
    [ "$status" -eq 0 ]
    expect_message nnclr-pretrain "run/$CHECKPOINT: No space left on device; training continues, and will try again when the next checkpoint is due"
    check_outcome
}

@test "lines of the metrics that a full disk had no room for are missing, not half written" {
    export NNCLR_INJECT_LOG=$PWD/log
    run_with "write:1000:ENOSPC"
    local k
    k=$(grep -n "metrics.jsonl" log | sed -n 2p | cut -d: -f1)
    unset NNCLR_INJECT_LOG
    run_with "write:$k:ENOSPC"
    [ "$status" -eq 1 ]
    [ "${#stderr_lines[@]}" -eq 2 ]
    [[ ${stderr_lines[0]} == *"metrics.jsonl: No space left on device; training continues, but lines of the metrics will be missing" ]]
    [[ ${stderr_lines[1]} == *"the checkpoint is complete, but lines of the metrics are missing" ]]
    [ "$(jq -c .step run/metrics.jsonl | tr '\n' ' ')" = "1 3 " ]
    cmp run/$CHECKPOINT "$whole/$CHECKPOINT"
}

@test "a read-only folder: exit 1 before the first step, or the checkpoint stays and is tried again" {
    run_with "open,link,rename,unlink:1:EROFS:all"
    [ "$status" -eq 1 ]
    expect_message nnclr-pretrain "run/.lock: Read-only file system"
    # It becomes read-only on the way: nothing can be made or renamed any more.
    run_with "open,link,rename:13:EROFS:all"
    [ "$status" -eq 1 ]
    grep -q "$CHECKPOINT: Read-only file system; training continues, and will try again" <<<"$stderr"
    grep -q "$CHECKPOINT: Read-only file system; the run is not complete" <<<"$stderr"
    local saved=none
    check_checkpoints
    [ "$saved" = 0 ] || [ "$saved" = 1 ]
    check_goes_on
}

@test "a limit on the size of files (ulimit -f) is an error like a full disk" {
    run --separate-stderr bash -c "ulimit -f 100; exec nnclr-pretrain $TINY --steps 3 -o run s.tar.zst"
    [ "$status" -eq 1 ]
    expect_message nnclr-pretrain "run/.next/$CHECKPOINT: File too large"
    [ ! -e run ]
    # The run that was there before stays.
    cp -r "$whole" run
    run --separate-stderr bash -c "ulimit -f 100; exec nnclr-pretrain $TINY --steps 3 --force -o run s.tar.zst"
    [ "$status" -eq 1 ]
    diff -r -x.lock "$whole" run
}

@test "the metrics are on the disk before the checkpoint that they lead to" {
    export NNCLR_INJECT_LOG=$PWD/log
    run_with "write,fsync,rename:1000:EIO"
    # For each checkpoint: the last call on the metrics before its rename is an fsync.
    awk '/metrics.jsonl/ { last = $2 }
         /rename .*\/run\/checkpoint/ { n++; if (n > 1 && last != "fsync") bad = 1 }
         END { exit bad || n != 4 }' log
}
