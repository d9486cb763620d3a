# nnclr-pretrain and signals: what each one does at which moment, what the parent sees, and how
# others find the run meanwhile. The program is stopped at a chosen call (tests/inject), so that
# nothing here depends on how fast it is.
load helpers

TINY="-q -j 1 $TINY --proj 16,8 --pred 16"

setup() {
    cd "$BATS_TEST_TMPDIR"
    make_shard s 40
}

lines() { wc -l <"$1/metrics.jsonl"; }

# Calls that name a file, with --save-every 1steps: 1 run.json, 2 the checkpoint of step 0, 3 that of
# step 1, and so on.

@test "TERM while a checkpoint is written: it is finished, and the step after it; exit 75" {
    start link:3:stop nnclr-pretrain $TINY --steps 9 --save-every 1steps -o run s.tar.zst
    [ "$(step_of run/$CHECKPOINT)" = 0 ]
    send TERM
    ends_with 75
    local step
    step=$(step_of run/$CHECKPOINT)
    [ "$step" = 1 ] || [ "$step" = 2 ]
    [ "$(lines run)" = "$step" ]
    [ ! -e run/DONE ]
    expect_files run $CHECKPOINT metrics.jsonl run.json .lock
    expect 0 nnclr-pretrain -q --resume -o run
    [ "$(lines run)" = 9 ]
}

# Before .next becomes .begun: 1 makes .lock, and then its files are written.
@test "a signal while a run starts: nothing of it stays, and an older run is as it was" {
    local k signal before
    nnclr-pretrain $TINY --steps 1 --seed 7 -o old s.tar.zst
    rm old/.lock
    while read -r k signal older; do
        rm -rf run
        [ "$older" = none ] || cp -r "$older" run
        before=$(ls -Al run 2>&1 || true)
        start "any:$k:stop" nnclr-pretrain $TINY --steps 9 --force -o run s.tar.zst
        [ -e run/.lock ]
        send "$signal"
        ends_with $((128 + $(kill -l "$signal")))
        [ "$(ls -Al run 2>&1 || true)" = "$before" ]
    done <<END
2 INT none
2 TERM old
2 HUP $(mkdir empty && echo empty)
5 TERM none
5 INT old
END
}

@test "HUP does what TERM does, and nohup keeps it away" {
    start link:3:stop nnclr-pretrain $TINY --steps 9 --save-every 1steps -o run s.tar.zst
    send HUP
    ends_with 75
    [ "$(step_of run/$CHECKPOINT)" -eq "$(lines run)" ]
    [ ! -e run/DONE ]
    rm -r run
    need nohup
    start link:3:stop nohup nnclr-pretrain $TINY --steps 4 --save-every 1steps -o run s.tar.zst
    send HUP
    ends_with 0
    [ -e run/DONE ]
}

@test "a shard that is cut short during the run: what was learnt is saved, exit 1; --resume goes on from it" {
    local tiny="$TINY --steps 40 --save-every 2steps --cache 0 -o run s.tar.zst" step
    cp s.tar.zst whole.tar.zst
    start link:3:stop nnclr-pretrain $tiny 2>messages
    truncate -s 1000 s.tar.zst
    send
    ends_with 1
    cat messages
    [ "$(wc -l <messages)" = 1 ]
    step=$(step_of run/$CHECKPOINT)
    grep -q "s.tar.zst: .*; the checkpoint of step $step is written: once that is fixed, --resume continues" messages
    [ "$step" -ge 2 ]
    [ "$step" = "$(lines run)" ]
    cp whole.tar.zst s.tar.zst
    expect 0 nnclr-pretrain -q -j 1 --resume -o run
    [ "$(lines run)" = 40 ]
}

@test "INT: a checkpoint, then death by SIGINT, which the parent sees" {
    start link:3:stop nnclr-pretrain $TINY --steps 9 --save-every 1steps -o run s.tar.zst
    send INT
    ends_with 130
    [ "$(lines run)" -ge 1 ]
    diff <(step_of run/$CHECKPOINT) <(lines run)
}

@test "a second INT ends the program at once, without another checkpoint" {
    # It is stopped again when it names the checkpoint that the first INT asked for.
    start link:3:stop:all nnclr-pretrain ${TINY#-q } --steps 9 --save-every 1steps -o run s.tar.zst 2>said
    [ "$(wc -l <said)" -eq 1 ]
    send INT
    until_stopped
    [ "$(tail -n +2 said)" = 'nnclr-pretrain: finishing this step; again: quit now' ]
    local before
    before=$(step_of run/$CHECKPOINT)
    send INT
    ends_with 130
    [ "$(step_of run/$CHECKPOINT)" = "$before" ]
    [ "$(lines run)" -eq $((before + 1)) ]
    [ "$(wc -l <said)" -eq 2 ]
    expect 0 nnclr-pretrain -q --resume -o run
    [ "$(jq -c .step run/metrics.jsonl | tr '\n' ' ')" = "1 2 3 4 5 6 7 8 9 " ]
}

@test "USR1: a checkpoint, and the run goes on" {
    # Saved are step 0, step 4, step 5 because of the signal, step 8 and the last one.
    start link:3:stop:all nnclr-pretrain $TINY --steps 9 --save-every 4steps -o run s.tar.zst
    send USR1
    until_stopped
    [ "$(step_of run/$CHECKPOINT) $(lines run)" = "4 5" ]
    send
    until_stopped
    [ "$(step_of run/$CHECKPOINT) $(lines run)" = "5 8" ]
    send
    until_stopped
    send # and now it names DONE
    until_stopped
    send
    ends_with 0
    [ "$(step_of run/$CHECKPOINT)" = 9 ]
    [ -e run/DONE ]
}

@test "make stops at a run that was interrupted, and at one that was stopped" {
    need make
    printf 'all: run/DONE\n\ttouch after\nrun/DONE:\n\tnnclr-pretrain %s --steps 9 --save-every 1steps --force -o run s.tar.zst\n' "$TINY" >Makefile
    local make_pid words
    while read -r signal words; do
        rm -rf run
        start_unwatched link:3:stop make -s 2>messages
        make_pid=$pid
        for _ in $(seq 2000); do
            pid=$(cat run/.lock 2>/dev/null || true)
            if is_stopped "$pid"; then break; fi
            sleep 0.01
        done
        send "$signal"
        pid=$make_pid
        ends_with 2
        cat messages
        grep -q "$words" messages
        [ ! -e after ]
        [ -e run/$CHECKPOINT ]
        [ ! -e run/DONE ]
    done <<'END'
INT \*\*\* .*Interrupt
TERM \*\*\* .*Error 75
END
}

@test "a run in use is refused, even while it writes, and stays as it is" {
    start link:3:stop nnclr-pretrain $TINY --steps 9 --save-every 1steps -o run s.tar.zst
    local files
    files=$(ls -A run; md5sum run/* run/.lock)
    for way in --resume "--force --steps 1" "--steps 1"; do
        if [ "$way" = --resume ]; then
            expect 2 nnclr-pretrain --resume -o run
        else
            expect 2 nnclr-pretrain $TINY $way -o run s.tar.zst
        fi
        expect_message nnclr-pretrain "run: is in use by process $pid"
        [ "$(ls -A run; md5sum run/* run/.lock)" = "$files" ]
    done
    # A reader finds the checkpoint that is whole.
    nnclr-embed -q -m run/$CHECKPOINT s.tar.zst >/dev/null
    send
    ends_with 0
    expect_files run $CHECKPOINT metrics.jsonl run.json DONE .lock
}

@test "--max-time ends like TERM, with 75; a run that is over by then is done" {
    expect 75 nnclr-pretrain $TINY --steps 9 --max-time 0.001s -o run s.tar.zst
    [ "$(step_of run/$CHECKPOINT) $(lines run)" = "1 1" ]
    [ ! -e run/DONE ]
    expect 75 nnclr-pretrain -q --resume --max-time 0.001s -o run
    [ "$(step_of run/$CHECKPOINT) $(lines run)" = "2 2" ]
    expect 0 nnclr-pretrain $TINY --steps 1 --max-time 0.001s -o one s.tar.zst
    [ -e one/DONE ]
    expect 0 nnclr-pretrain $TINY --steps 2 --max-time 1h -o two s.tar.zst
}
