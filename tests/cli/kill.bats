# nnclr-pretrain, killed by kill -9 at any moment: what is on the disk, and how it goes on.
#   NNCLR_TEST_SEED  draws the moments (default: the clock; it is printed)
load helpers

TINY="$TINY --proj 16,8 --pred 16"

setup() {
    cd "$BATS_TEST_TMPDIR"
    make_shard s 40
}

# The run is, to the byte, one that nothing disturbed, and no other file is there.
expect_whole() { # RUN
    cmp whole/$CHECKPOINT "$1/$CHECKPOINT"
    diff <(timeless whole) <(timeless "$1")
    expect_files "$1" $CHECKPOINT metrics.jsonl run.json DONE .lock
}

# Whether a file of the run is open that does not have its name yet.
writes_checkpoint() { # PID
    grep -q "/cut/\(#.* (deleted)\|\.checkpoint\)" <<<"$(ls -l "/proc/$1/fd" 2>/dev/null)"
}

# Each resume goes on, and the end is the same. Some of the kills come while a checkpoint is written,
# and most after a step forward.
kill_at_random() { # KILLS STEPS, at least so many WHILE-WRITING, so many FORWARD
    local kills=$1 steps=$2 seed=${NNCLR_TEST_SEED:-$(($(date +%s) % 32768))}
    local until seen code before=-1 at=0 writing=0 moved=0
    nnclr-pretrain -q -j 1 $TINY --steps $steps -o whole s.tar.zst
    RANDOM=$seed
    for _ in $(seq $kills); do
        if [ -e cut/$CHECKPOINT ]; then
            nnclr-pretrain -q -j 1 --save-every 1steps --resume -o cut 2>>errors 3>&- &
        else
            nnclr-pretrain -q -j 1 --save-every 1steps $TINY --steps $steps --force -o cut s.tar.zst \
                2>>errors 3>&- &
        fi
        pid=$!
        # It lives for up to three steps and a moment, however fast the machine is.
        until=$((before + RANDOM % 4)) seen=()
        for _ in $(seq 5000); do
            [ "${#seen[@]}" -lt "$until" ] || break
            mapfile -t seen < <(cat cut/metrics.jsonl 2>/dev/null)
        done
        sleep "$(printf 0.0%02d $((RANDOM % 40)))"
        kill -STOP $pid # so that one can look where it is
        if writes_checkpoint $pid; then writing=$((writing + 1)); fi
        kill -KILL $pid
        code=0
        wait $pid || code=$?
        pid=
        [ $code -eq 137 ]
        if [ -e cut/$CHECKPOINT ]; then
            zstd -tq cut/$CHECKPOINT
            at=$(step_of cut/$CHECKPOINT)
            [ "$at" -ge "$before" ]
            [ "$at" -eq "$before" ] || moved=$((moved + 1))
            before=$at
        fi
    done
    echo "# seed $seed: $kills kills, $moved after a step forward, $writing while a checkpoint was written; the last at step $at of $steps" >&3
    cat errors
    [ ! -s errors ]
    [ ! -e cut/DONE ]
    [ "$writing" -ge "$3" ]
    [ "$moved" -ge "$4" ]
    expect 0 nnclr-pretrain -q -j 1 --resume -o cut
    [ -z "$stderr" ]
    expect_whole cut
}

@test "ten kills at random moments of one run: each resume goes on, and the end is the same" {
    kill_at_random 10 200 0 1
}

# bats test_tags=long
@test "fifty kills at random moments of one run" {
    kill_at_random 50 1000 5 10
}

# Before each STRIDE-th call that writes, names or removes a file of the run.
kill_at_calls() { # STRIDE
    local k log=$PWD/log kept=0
    nnclr-pretrain -q -j 1 $TINY --steps 2 -o whole s.tar.zst
    for k in $(seq 1 "$1" 100); do
        rm -rf cut log
        export NNCLR_INJECT_LOG=$log
        run injected "any:$k:kill" nnclr-pretrain -q -j 1 $TINY --steps 2 --save-every 1steps -o cut s.tar.zst
        unset NNCLR_INJECT_LOG
        [ "$(wc -l <"$log")" -eq "$k" ] || break
        echo "call $k: $(sed -n "${k}p" "$log")"
        [ "$status" -eq 137 ]
        if [ ! -e cut/$CHECKPOINT ] && [ ! -e cut/.begun ]; then
            refuses 2 "no checkpoint" nnclr-pretrain --resume -o cut
            [ "$k" -lt 25 ]
            continue
        fi
        kept=$((kept + 1))
        expect 0 nnclr-pretrain -q -j 1 --resume -o cut
        expect_whole cut
    done
    [ "$status" -eq 0 ]
    echo "before call $k nothing was left to kill; $kept kills found a checkpoint on the disk"
    [ "$kept" -ge $((30 / $1)) ]
}

@test "a kill before every third call that writes, names or removes a file of the run" {
    kill_at_calls 3
}

# bats test_tags=long
@test "a kill before each single call that writes, names or removes a file of the run" {
    kill_at_calls 1
}

@test "a killed first save: --resume has nothing, and a new run begins" {
    run injected link:2:kill nnclr-pretrain -q $TINY --steps 2 -o cut s.tar.zst
    [ "$status" -eq 137 ]
    expect_files cut .next .lock
    refuses 2 "holds no checkpoint" nnclr-pretrain -q --resume -o cut
    expect 0 nnclr-pretrain -q $TINY --steps 2 -o cut s.tar.zst
    nnclr-pretrain -q -j 1 $TINY --steps 2 -o whole s.tar.zst
    expect_whole cut
}

# --resume finds the old run or the new one, whole.
kill_force() { # STRIDE
    local k log=$PWD/log older=0 newer=0
    nnclr-pretrain -q -j 1 $TINY --steps 1 -o whole s.tar.zst
    nnclr-pretrain -q -j 1 $TINY --steps 2 --keep 2 --save-every 1steps --seed 7 -o old s.tar.zst
    for k in $(seq 1 "$1" 100); do
        rm -rf cut log
        cp -r old cut
        export NNCLR_INJECT_LOG=$log
        run injected "any:$k:kill" nnclr-pretrain -q -j 1 $TINY --steps 1 --force -o cut s.tar.zst
        unset NNCLR_INJECT_LOG
        [ "$(wc -l <"$log")" -eq "$k" ] || break
        echo "call $k: $(sed -n "${k}p" "$log")"
        [ "$status" -eq 137 ]
        expect 0 nnclr-pretrain -q -j 1 --resume -o cut
        if cmp -s cut/$CHECKPOINT old/$CHECKPOINT; then
            older=$((older + 1))
            [ "$newer" -eq 0 ]
            diff -r -x.lock old cut
        else
            newer=$((newer + 1))
            expect_whole cut
        fi
    done
    [ "$status" -eq 0 ]
    echo "$older times the old run, $newer times the new one"
    [ "$older" -ge $((15 / $1)) ]
    [ "$newer" -ge $((15 / $1)) ]
}

@test "--force, killed before every third call: --resume finds the old run or the new one, whole" {
    kill_force 3
}

# bats test_tags=long
@test "--force, killed before each single call" {
    kill_force 1
}

@test "if files cannot be nameless, what a kill leaves goes at the next start" {
    nnclr-pretrain -q -j 1 $TINY --steps 2 -o cut --max-time 0.001s s.tar.zst || [ $? -eq 75 ]
    nnclr-pretrain -q -j 1 $TINY --steps 2 -o whole s.tar.zst
    cp cut/$CHECKPOINT cut/.$CHECKPOINT.a1b2c3
    touch cut/.notes.a1b2c3
    expect 0 nnclr-pretrain -q --resume -o cut
    rm cut/.notes.a1b2c3
    expect_whole cut
}

@test "other programs leave nothing when they are killed while they write" {
    local call program
    nnclr-pretrain -q $TINY --steps 1 -o run s.tar.zst
    mkdir out
    # The ninth write of the split set is not in its first file.
    while read -r call program; do
        run injected "write:$call:kill" $program
        echo "$program: $output"
        [ "$status" -eq 137 ]
        expect_files out
    done <<END
1 nnclr-prep -q -o out/a.tar.zst $(shapes 40)
9 nnclr-prep -q --shard-size 30K -o out/a $(shapes 40)
1 nnclr-embed -q --pixels 4 -o out/a.safetensors.zst s.tar.zst
1 nnclr-views -q --preset tiny -o out/a.safetensors.zst s.tar.zst
1 nnclr-views -q --preset tiny --sheet out/a.png s.tar.zst
1 nnclr-queue-inspect -q --sheet out/a.png run/$CHECKPOINT s.tar.zst
END
}
