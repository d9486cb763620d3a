# Programs that MPI starts several times: who may, and that they train as one. Tests that need MPI are
# skipped without nnclr-mpi.so (make MPI=1) or mpirun; the others say what MPI's environment would.
load helpers

TINY="-q -j 1 $TINY --batch 12 --proj 16,8 --pred 16 --engine cpu --precision f64"
# mpirun refuses root unless told twice; its own libraries leak.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS-}"

setup() {
    cd "$BATS_TEST_TMPDIR"
    make_shard s 40
}

need_mpi() {
    [ -e "$(dirname "$(readlink -f "$NNCLR_BIN/nnclr-prep")")/nnclr-mpi.so" ] || skip "no nnclr-mpi.so (make MPI=1)"
    need mpirun
}

as_rank() { # RANK RANKS COMMAND...
    env OMPI_COMM_WORLD_RANK="$1" OMPI_COMM_WORLD_SIZE="$2" "${@:3}"
}

# Without mpirun's own words about ranks that failed.
MPIRUN="mpirun -q --oversubscribe --bind-to none -n"
ranks() { # COUNT COMMAND...
    timeout 60 $MPIRUN "$@" </dev/null # which mpirun would read: the list of a loop, for one
}

# Starts ranks of which rank 0 stops itself at the calls of PLAN; $mpirun, $pid is rank 0.
start_ranks() { # PLAN COUNT COMMAND...
    start_unwatched "$1" timeout 60 $MPIRUN "${@:2}"
    mpirun=$pid
    until_rank_stops
}

until_rank_stops() {
    for _ in $(seq 2000); do
        pid=$(cat run/.lock 2>/dev/null || true)
        if [ -n "$pid" ] && is_stopped "$pid"; then return; fi
        sleep 0.01
    done
    echo "never stopped"
    return 1
}

process_of() { # RANK: the process, among the siblings of rank 0
    local process
    for process in $(pgrep -P "$(ps -o ppid= -p "$pid" | tr -d ' ')"); do
        ! grep -qzx "OMPI_COMM_WORLD_RANK=$1" "/proc/$process/environ" || echo "$process"
    done
}

# The losses of two runs are the same up to rounding.
expect_alike() { # RUN RUN
    paste <(jq 'select(.loss).loss' "$1/metrics.jsonl") <(jq 'select(.loss).loss' "$2/metrics.jsonl") | awk '
        { d = $1 - $2; if (d < 0) d = -d; if (NF != 2 || !(d <= 1e-9)) { print "step " NR ": " $0; bad = 1 } }
        END { exit bad || NR == 0 }'
}

@test "programs that work alone refuse to be started several times, and say so once" {
    local program
    for program in prep lineval views export; do
        expect 2 as_rank 0 3 "nnclr-$program"
        expect_message "nnclr-$program" "MPI started it 3 times, and it works alone: start it without mpirun"
    done
    expect 0 as_rank 1 3 nnclr-prep --version
    [ -z "$output$stderr" ]
    expect 0 as_rank 0 3 nnclr-prep --version
    [ "$output" = "nnclr-prep 0.1.0" ]
    # One alone is what it always was.
    expect 0 as_rank 0 1 nnclr-prep --list-contents s.tar.zst
    expect 0 env PMIX_RANK=0 SLURM_STEP_NUM_TASKS=1 nnclr-prep --list-contents s.tar.zst
    expect 2 env PMI_RANK=0 PMI_SIZE=2 nnclr-prep --list-contents s.tar.zst
}

@test "without nnclr-mpi.so one error says how to get it" {
    mkdir bin
    cp "$(readlink -f "$NNCLR_BIN/nnclr-pretrain")" bin
    expect 1 as_rank 0 2 bin/nnclr-pretrain $TINY --steps 1 -o run s.tar.zst
    expect_message nnclr-pretrain "has nnclr-mpi.so: \"make MPI=1\" builds it"
    [ ! -e run ]
    # One that is not of this program.
    echo nothing >bin/nnclr-mpi.so
    expect 1 as_rank 0 2 bin/nnclr-pretrain $TINY --steps 1 -o run s.tar.zst
    expect_message nnclr-pretrain "bin/nnclr-mpi.so: "
}

@test "ranks train as one process does; rank 0 alone speaks and writes; run.json names hosts" {
    need_mpi
    local n
    nnclr-pretrain $TINY --steps 3 --probe s.tar.zst -o one s.tar.zst
    for n in 2 3 4; do
        expect 0 ranks $n nnclr-pretrain ${TINY#-q} --steps 3 --probe s.tar.zst -o run$n s.tar.zst
        [ "${#stderr_lines[@]}" = 5 ] # what is trained, few pictures for a probe, two probes, done
        [ "${stderr_lines[-1]}" = "nnclr-pretrain: run$n: done, 3 steps" ]
        expect_alike one run$n
        diff <(jq 'select(has("probe_top1")).step' run$n/metrics.jsonl) <(jq 'select(has("probe_top1")).step' one/metrics.jsonl)
        [ "$(jq '.ranks | length' run$n/run.json)" = $n ]
        expect_files run$n $CHECKPOINT metrics.jsonl run.json DONE .lock
    done
    diff <(jq -r '.ranks[1]' run2/run.json) <(uname -n)
    [ "$(jq .ranks one/run.json)" = null ]
    # The same number of ranks gives the same bytes, for any number of threads.
    expect 0 ranks 2 nnclr-pretrain ${TINY/-j 1/-j 2} --steps 3 -o again s.tar.zst
    cmp run2/$CHECKPOINT again/$CHECKPOINT
    zstdcat run2/$CHECKPOINT >tensors
    [ "$(grep -ac '"nnclr.step"' tensors)" = 1 ]
    run -1 grep -aqE '"(ranks|hosts?)"' tensors
}

@test "ranks fine-tune as one process does, and resume in another number" {
    need_mpi
    local options="--engine cpu --precision f64 --seed 1 --batch 12 -q -j 1"
    nnclr-pretrain $TINY --steps 2 -o run s.tar.zst
    nnclr-finetune $options -m run --steps 4 --test s.tar.zst -o one s.tar.zst >one.tsv
    expect 75 ranks 3 nnclr-finetune $options -m run --steps 4 --max-time 0.001s -o two s.tar.zst
    expect 0 ranks 2 nnclr-finetune -q -j 1 --resume --test s.tar.zst -o two
    expect_alike one two
    diff <(cut -f 1,2,5 one.tsv) <(cut -f 1,2,5 <<<"$output")
    expect 0 ranks 2 nnclr-finetune --resume -o two
    expect_message nnclr-finetune "two: this run is finished (4 of 4 steps)"
}

@test "what no rank can do is refused once, with the exit code of one process" {
    need_mpi
    local status_wanted text arguments
    nnclr-pretrain $TINY --steps 2 --max-time 0.001s -o run s.tar.zst || [ $? = 75 ]
    while IFS='|' read -r status_wanted arguments text; do
        expect "$status_wanted" ranks 3 nnclr-pretrain $TINY $arguments
        expect_message nnclr-pretrain "$text"
    done <<END
2|--batch 10 -o x s.tar.zst|a batch of 10 cannot be shared by 3 ranks: give --batch 12
2|-o x -|standard input reaches only one of 3 ranks: name a file instead
2|-o run s.tar.zst|run: holds a run already
2|-o x --stpes 3 s.tar.zst|--stpes: no such option
1|-o x none.tar.zst|none.tar.zst: No such file or directory
END
    [ ! -e x ]
    expect 2 ranks 5 nnclr-pretrain -q --resume -o run
    expect_message nnclr-pretrain "run: 5 ranks cannot share the run's batch of 12: start 4 of them"
}

@test "--dry-run says what a rank takes, and all of them" {
    need_mpi
    expect 0 ranks 2 nnclr-pretrain $TINY --steps 4 --dry-run s.tar.zst
    [ "$(grep -c ^memory <<<"$output")" = 1 ]
    [[ $output =~ memory[[:space:]][0-9]+\ MiB\ a\ rank,\ [0-9]+\ MiB\ in\ all ]]
    [[ $output =~ speed.*by\ each\ of\ 2\ ranks ]]
}

@test "a rank that is killed ends all within seconds; the checkpoint is whole, and another number goes on" {
    need_mpi
    nnclr-pretrain $TINY --steps 4 -o one s.tar.zst
    start_ranks link:3:stop 2 nnclr-pretrain $TINY --steps 4 --save-every 1steps -o run s.tar.zst
    local began=$SECONDS
    kill -9 "$(process_of 1)"
    pid=$mpirun
    ends_with 137
    [ $((SECONDS - began)) -lt 10 ]
    zstd -tq run/$CHECKPOINT
    [ "$(step_of run/$CHECKPOINT)" -le 1 ]
    [ ! -e run/DONE ]
    expect 0 ranks 3 nnclr-pretrain -q -j 1 --resume -o run
    expect_alike one run
}

@test "TERM to one rank: all stop after the same step with a checkpoint, exit 75; USR1: a checkpoint" {
    need_mpi
    # Saved are step 0, step 4, step 5 because of USR1, and the one at which TERM comes.
    start_ranks link:3:stop:all 2 nnclr-pretrain $TINY --steps 9 --save-every 4steps -o run s.tar.zst
    kill -USR1 "$(process_of 1)"
    send
    until_rank_stops
    [ "$(step_of run/$CHECKPOINT) $(wc -l <run/metrics.jsonl)" = "4 5" ]
    kill -TERM "$(process_of 1)"
    send
    until_rank_stops
    [ "$(step_of run/$CHECKPOINT)" = 5 ]
    send
    pid=$mpirun
    ends_with 75
    diff <(step_of run/$CHECKPOINT) <(wc -l <run/metrics.jsonl)
    [ "$(step_of run/$CHECKPOINT)" -le 7 ]
    [ ! -e run/DONE ]
}

@test "a fault of one rank is one message that names it, and ends all with its exit code" {
    need_mpi
    # Each rank reads its own shard; that of rank 1 is damaged, or another one.
    mkdir 0 1
    cp s.tar.zst 0
    cp s.tar.zst 1
    flip_bit 1/s.tar.zst $(($(stat -c %s s.tar.zst) / 3))
    own() { ranks 2 sh -c "cd \$OMPI_COMM_WORLD_RANK && exec nnclr-pretrain $TINY --steps 4 -o $PWD/run s.tar.zst"; }
    expect 1 own
    expect_message nnclr-pretrain "rank 1: s.tar.zst: "
    [[ $stderr == *"the checkpoint of step 0 is written: once that is fixed, --resume continues from it" ]]
    [ "$(step_of run/$CHECKPOINT)" = 0 ]
    rm -r run 1/s.tar.zst
    expect 1 own
    expect_message nnclr-pretrain "rank 1: s.tar.zst: No such file or directory"
    make_shard t 50
    mv t.tar.zst 1/s.tar.zst
    expect 1 own
    expect_message nnclr-pretrain "rank 1: the data differs from that of rank 0"
    [ ! -e run ]
}

@test "ranks embed as one process does, byte for byte" {
    need_mpi
    local n layer
    make_shard many 600 # batches of 256, 256 and 88: a rank has nothing in the last round
    nnclr-pretrain $TINY --steps 1 -o run s.tar.zst
    for layer in features projection; do
        nnclr-embed -q --engine cpu -j 1 --layer $layer -m run -o $layer.emb many.tar.zst
    done
    while read -r n layer; do
        expect 0 ranks $n nnclr-embed -q --engine cpu -j 1 --layer $layer -m run -o ranks.emb many.tar.zst
        [ -z "$output$stderr" ]
        cmp $layer.emb ranks.emb
    done <<<$'1 features\n2 features\n2 projection\n3 features'
    # Fewer pictures than a batch.
    nnclr-embed -q --engine cpu -j 1 -m run -o one.emb s.tar.zst
    expect 0 ranks 2 nnclr-embed -q --engine cpu -j 1 -m run -o ranks.emb s.tar.zst
    cmp one.emb ranks.emb
}

@test "a fault of one rank that embeds is one message, and leaves no file" {
    need_mpi
    local status_wanted text arguments
    mkdir 0 1
    make_shard 0/s 600
    cp 0/s.tar.zst 1
    flip_bit 1/s.tar.zst $(($(stat -c %s 0/s.tar.zst) * 3 / 5))
    nnclr-pretrain $TINY --steps 1 -o run s.tar.zst
    own() { ranks 2 sh -c "cd \$OMPI_COMM_WORLD_RANK && exec nnclr-embed -q --engine cpu -j 1 -m ../run -o $PWD/x.emb s.tar.zst"; }
    expect 1 own
    expect_message nnclr-embed "rank 1: s.tar.zst: "
    mv s.tar.zst 1
    expect 1 own
    expect_message nnclr-embed "rank 1: the data differs from that of rank 0"
    rm 1/s.tar.zst
    expect 1 own
    expect_message nnclr-embed "rank 1: s.tar.zst: No such file or directory"
    # Two runs that only their weights tell apart.
    nnclr-pretrain $TINY --steps 1 --init run -o 1/run 0/s.tar.zst
    mv run 0
    expect 1 ranks 2 sh -c "cd \$OMPI_COMM_WORLD_RANK && exec nnclr-embed -q --engine cpu -j 1 -m run -o $PWD/x.emb ../0/s.tar.zst"
    expect_message nnclr-embed "rank 1: the model differs from that of rank 0"
    mv 0/run .
    while IFS='|' read -r status_wanted arguments text; do
        expect "$status_wanted" ranks 2 nnclr-embed $arguments
        expect_message nnclr-embed "$text"
    done <<END
2|-m run -o x.emb -|standard input reaches only one of 2 ranks: name a file instead
2|-m run 0/s.tar.zst|standard output is mpirun's: give -o FILE
2|--pixels 8 -o x.emb 0/s.tar.zst|--pixels cannot be shared by 2 ranks: start it without mpirun
1|-m none -o x.emb 0/s.tar.zst|none: No such file or directory
1|-m run -o none/x.emb 0/s.tar.zst|none/x.emb: 
END
    [ -z "$(find . -name '*x.emb*')" ]
}

@test "ranks share a neighbour graph out, and print what one process does" {
    need_mpi
    local report arguments
    nnclr-embed -q --pixels 2 -o x.emb s.tar.zst
    for report in hubs labels; do
        nnclr-queue-inspect -j 1 -k 3 --report $report x.emb >one.tsv 2>one.err
        expect 0 ranks 3 nnclr-queue-inspect -j 1 -k 3 --report $report x.emb
        diff one.tsv - <<<"$output"
        diff one.err - <<<"$stderr"
    done
    for arguments in "x.emb" "--report health x.emb"; do
        expect 2 ranks 2 nnclr-queue-inspect $arguments
        expect_message nnclr-queue-inspect "2 ranks share the work of --report classes, hubs, outliers, labels and groups only: start it without mpirun"
    done
    # Each rank reads its own file.
    mkdir 0 1
    cp x.emb 0
    nnclr-embed -q --pixels 1 -o 1/x.emb s.tar.zst
    own() { ranks 2 sh -c "cd \$OMPI_COMM_WORLD_RANK && exec nnclr-queue-inspect --report hubs x.emb"; }
    expect 1 own
    expect_message nnclr-queue-inspect "rank 1: x.emb differs from that of rank 0"
    rm 1/x.emb
    expect 1 own
    expect_message nnclr-queue-inspect "rank 1: x.emb: No such file or directory"
    # What only rank 0 finds, once all have searched.
    nnclr-embed -q --pixels 1 -o none.emb "$(shapes 40)/disc"
    expect 1 ranks 2 nnclr-queue-inspect --report classes none.emb
    expect_message nnclr-queue-inspect "no row with a label has a neighbour with one"
}

@test "a disk that is full for rank 0 ends all ranks with exit code 1; with room the run goes on" {
    need_mpi
    expect 1 injected link:3:ENOSPC:all $MPIRUN 2 nnclr-pretrain $TINY --steps 3 --save-every 1steps -o run s.tar.zst
    [ "${#stderr_lines[@]}" = 3 ]
    [[ ${stderr_lines[2]} == "nnclr-pretrain: "*"No space left on device; the run is not complete: make room and give --resume" ]]
    [ "$(step_of run/$CHECKPOINT)" = 0 ]
    expect 0 ranks 2 nnclr-pretrain -q -j 1 --resume -o run
    [ -e run/DONE ]
}

@test "the example trains on two hosts, over TCP, as one process does" {
    need_mpi
    need ip
    ip netns add "probe-$$" 2>/dev/null || skip "no network namespaces, which take root"
    ip netns del "probe-$$"
    expect 0 timeout 120 make -s -f "$NNCLR_ROOT/examples/cluster/Makefile" hosts R=2 BIN="$NNCLR_BIN" \
        SHAPES="$NNCLR_SHAPES" OUT="$PWD/out" OPTIONS="$TINY --steps 3"
    expect_alike out/one.run out/hosts-2.run
    [ "$(jq -c .ranks out/hosts-2.run/run.json)" = '["host1","host2"]' ]
    [[ $output == "loss of the last step: "*" by one process, "*" by 2 ranks" ]]
}
