# nnclr-pretrain: a run and its files, resuming bit for bit, signals, wrong usage, broken input.
load helpers

setup() {
    cd "$BATS_TEST_TMPDIR"
    make_shard s 40
}

lines() { wc -l <"$1/metrics.jsonl"; }

wait_for() { # COMMAND...: until it succeeds, for some minutes at most: the machine may be busy
    for _ in $(seq 2000); do
        if "$@" 2>/dev/null; then return; fi
        sleep 0.05
    done
    echo "never: $*"
    return 1
}

has_lines() { [ "$(lines "$1")" -ge "$2" ]; }

# ---- what a run leaves ----

@test "a run leaves a checkpoint, metrics, a description and DONE" {
    expect 0 tiny -q --steps 5 -o run s.tar.zst
    [ -z "$output$stderr" ]
    expect_files run $CHECKPOINT metrics.jsonl run.json DONE .lock
    [ "$(step_of run/$CHECKPOINT)" = 5 ]
    [ "$(jq -c .step run/metrics.jsonl | tr '\n' ' ')" = "1 2 3 4 5 " ]
    [ "$(head -1 run/metrics.jsonl | jq -r 'keys_unsorted | join(" ")')" = "step epoch loss lr \
grad_norm images_per_s contrast_acc nn_sim nn_initial nn_self self_present nn_age nn_distinct \
nn_agree nn_acc nn_chance z_rank z_spread h_rank h_std p_std batch_spread" ]
    [ "$(jq -r '.shards[0], .total_steps, .steps_per_epoch, .config.queue, .host.threads > 0' \
        run/run.json | tr '\n' ' ')" = "$PWD/s.tar.zst 5 5 20 true " ]
    zstd -tq run/$CHECKPOINT
}

@test "the support set fills and its metrics say so" {
    expect 0 tiny -q --steps 6 --include-self -o run s.tar.zst
    # 20 rows, 8 per step: initial rows until step 3; 5 steps per epoch, so a record is never there.
    lines_say run '.[0] | .nn_initial == 1 and .nn_acc == 0 and .nn_chance == 0 and .nn_age == null'
    lines_say run '.[3:] | all(.nn_initial == 0 and .nn_age >= 1 and .nn_age <= 3)'
    lines_say run '.[:5] | all(.self_present == 0 and .nn_self == 0)'
    [ "$(jq -c .epoch run/metrics.jsonl | tr '\n' ' ')" = "0 0 0 0 0 1 " ]
}

@test "--positive view keeps the queue and has no neighbour metrics" {
    expect 0 tiny -q --steps 2 --positive view -o view s.tar.zst
    [ "$(tail -1 view/metrics.jsonl | jq -c '[.nn_sim,.nn_initial,.nn_self,.nn_age,.nn_distinct,.nn_agree,.nn_acc,.nn_chance]|unique')" = "[null]" ]
    tail -1 view/metrics.jsonl | jq -e '.z_rank > 1 and .self_present == 0' >/dev/null
}

@test "the same files for any number of threads, and from one run to the next" {
    expect 0 tiny -q -j 1 --steps 4 -o one s.tar.zst
    expect 0 tiny -q -j 2 --steps 4 -o two s.tar.zst
    expect 0 tiny -q -j 5 --steps 4 --cache 0 --save-every 1steps --log-every 3 -o five s.tar.zst
    cmp one/$CHECKPOINT two/$CHECKPOINT
    cmp one/$CHECKPOINT five/$CHECKPOINT
    diff <(timeless one) <(timeless two)
    [ "$(jq -c .step five/metrics.jsonl | tr '\n' ' ')" = "3 4 " ]
    expect 0 tiny -q --steps 4 --seed 1 -o seeded s.tar.zst
    differ one/$CHECKPOINT seeded/$CHECKPOINT
    expect 0 tiny -q --steps 4 --init-seed 1 --data-seed 1 -o both s.tar.zst
    cmp both/$CHECKPOINT seeded/$CHECKPOINT
}

@test "--keep keeps the newest checkpoints" {
    expect 0 tiny -q --steps 7 --save-every 2steps --keep 2 -o run s.tar.zst
    expect_files run $CHECKPOINT checkpoint-0006.safetensors.zst checkpoint-0007.safetensors.zst \
        metrics.jsonl run.json DONE .lock
    cmp run/$CHECKPOINT run/checkpoint-0007.safetensors.zst
    [ "$(step_of run/checkpoint-0006.safetensors.zst)" = 6 ]
}

@test "every variant of method and optimiser trains" {
    local n=0
    while read -r options; do
        n=$((n + 1))
        expect 0 tiny -q --steps 3 $options -o "run$n" s.tar.zst
        lines_say "run$n" 'length == 3 and all(.loss > 0)'
    done <<END
--loss row+col --swap off
--neighbours 3 --enqueue both
--queue-frozen --pred none
--optimizer lars --lars byol --lr 0.3
--optimizer lars --lars simclr --lr-scale sqrt
--optimizer lars --lars lightly --trust 0.01 --momentum 0.8
--optimizer lars --lars solo --lr-scale none
--schedule constant --warmup 2steps
--final-lr 0.1 --warmup 0
--precision f64
--augment byol --interpolation bilinear
--augment simclr --blur 1,1 --solarize 0.5,0.5
--augment none
--jitter tf --augment byol --blur 1,0.1
END
}

@test "micro-batches train alike for any number of threads, resume, and one that is whole changes nothing" {
    expect 0 tiny -q -j 1 --steps 4 --micro-batch 4 -o one s.tar.zst
    expect 75 tiny -q -j 3 --steps 4 --micro-batch 4 --max-time 0.001s -o cut s.tar.zst
    expect 0 nnclr-pretrain -q --resume -o cut
    cmp one/$CHECKPOINT cut/$CHECKPOINT
    diff <(timeless one) <(timeless cut)
    [ "$(zstdcat one/$CHECKPOINT | grep -ao '\\"micro_batch\\":[0-9]*')" = '\"micro_batch\":4' ]
    expect 0 tiny -q --steps 4 -o plain s.tar.zst
    differ <(timeless one) <(timeless plain)
    expect 0 tiny -q --steps 4 --micro-batch 8 -o whole s.tar.zst
    diff <(timeless whole) <(timeless plain)
    expect 0 nnclr-pretrain -q --preset tiny --size 8 --batch 8 --micro-batch 2 --method simclr \
        --steps 2 -o simclr s.tar.zst
}

@test "simclr trains, without predictor and queue" {
    for negatives in all opposite; do
        expect 0 nnclr-pretrain -q --preset tiny --size 8 --batch 8 --method simclr \
            --negatives $negatives --steps 2 -o $negatives s.tar.zst
        [ "$(zstdcat $negatives/$CHECKPOINT | grep -ac 'queue.embedding\|predictor')" = 0 ]
        tail -1 $negatives/metrics.jsonl | jq -e '.nn_sim == null and .self_present == null and .z_rank == null and .contrast_acc != null' >/dev/null
    done
    differ all/$CHECKPOINT opposite/$CHECKPOINT
}

@test "the experiment of the CIFAR table can be written as options" {
    expect 0 nnclr-pretrain -q --arch resnet18 --width 0.25 --stem cifar --size 32 --crop 0.2,1 \
        --interpolation bilinear --flip 0.5 --jitter-strength 0.4,0.4,0.2,0.1 --jitter-p 0.8 \
        --gray 0.2 --blur 0,0 --solarize 0,0 --mean 0.4914,0.4822,0.4465 \
        --std 0.2470,0.2435,0.2616 --batch 16 --queue 2048 --temperature 0.2 --optimizer sgd \
        --lr 0.12 --weight-decay 5e-4 --warmup 1 --epochs 1 --proj 512,512,128 --pred 1024 \
        -o run s.tar.zst
    jq -e '.config | .width == 0.25 and .crop == [0.2, 1] and .proj == [512, 512, 128] and
        .pred == [1024] and .optimizer == "sgd" and .weight_decay == 0.0005 and .blur == [0, 0]' \
        run/run.json >/dev/null
}

@test "--help shows the defaults of the preset" {
    expect 0 nnclr-pretrain --help
    [[ $output == *98304* && $output == *2048,2048,256* ]]
    expect 0 nnclr-pretrain --preset tiny --help
    [[ $output == *64,64,32* && $output != *98304* ]]
    expect 0 nnclr-pretrain --size 32 --help
    [[ $(grep -A 2 -e --blur <<<"$output") == *0,0* ]]
    expect 0 nnclr-pretrain --lars solo --help
    [[ $(grep -A 2 -e --trust <<<"$output") == *0.02* ]]
}

# ---- resuming ----

@test "after a kill -9 a run is what it was, and goes on bit for bit" {
    expect 0 tiny -q --steps 24 -o whole s.tar.zst
    # Dead before it names what would be the sixth checkpoint, counted from that of step 0: that of
    # step 15.
    run -137 injected link:7:kill nnclr-pretrain $TINY -q --steps 24 --save-every 3steps -o cut s.tar.zst
    [ ! -e cut/DONE ]
    [ "$(step_of cut/$CHECKPOINT)" = 12 ]
    [ "$(lines cut)" = 15 ]
    expect 0 nnclr-pretrain -q --resume -o cut -j 1
    cmp whole/$CHECKPOINT cut/$CHECKPOINT
    diff <(timeless whole) <(timeless cut)
    expect_files cut $CHECKPOINT metrics.jsonl run.json DONE .lock
}

@test "NNCLR_SIMD chooses the vectors: AVX2 and AVX-512 give the same bits" {
    grep -qw avx512vl /proc/cpuinfo || skip "no AVX-512 here"
    NNCLR_SIMD=avx512 expect 0 tiny -v --steps 6 -o wide s.tar.zst
    [[ $stderr == *"engine cpu with avx512, f32"* ]]
    NNCLR_SIMD=avx2 expect 0 tiny -q --steps 6 -o narrow s.tar.zst
    cmp wide/$CHECKPOINT narrow/$CHECKPOINT
    [ "$(jq -r .host.vectors wide/run.json narrow/run.json | tr '\n' ' ')" = "avx512 avx2 " ]
    NNCLR_SIMD=none expect 0 tiny -q --steps 6 -o matrices s.tar.zst
    jq -e '.host | has("vectors") | not' matrices/run.json
    NNCLR_SIMD=mmx refuses 2 "NNCLR_SIMD=mmx is none of avx512, avx2, none" tiny --steps 6 -o strange s.tar.zst
    [ ! -e strange ]
}

@test "a shuffle window changes the order, is recorded, and resumes" {
    make_shard w 200 # has several frames
    expect 0 tiny -q --shuffle-window 1 --steps 30 -o whole w.tar.zst
    [ "$(jq .config.shuffle_window whole/run.json)" = 1 ]
    expect 0 tiny -q --shuffle-window 1 --steps 30 -j 1 -o one w.tar.zst
    cmp whole/$CHECKPOINT one/$CHECKPOINT
    expect 0 tiny -q --steps 30 -o exact w.tar.zst
    [ "$(jq .config.shuffle_window exact/run.json)" = 0 ]
    differ <(timeless whole) <(timeless exact)
    expect 75 tiny -q --shuffle-window 1 --steps 30 --max-time 0.01s -o cut w.tar.zst
    expect 0 nnclr-pretrain -q --resume -o cut
    cmp whole/$CHECKPOINT cut/$CHECKPOINT
    refuses 2 '--shuffle-window cannot be given with --resume' nnclr-pretrain --resume --shuffle-window 2 -o cut
    expect 2 tiny --shuffle-window -1 -o bad w.tar.zst
}

@test "a run resumes in double precision, with the recorded engine" {
    expect 0 tiny -q --precision f64 --steps 6 -o whole s.tar.zst
    expect 75 tiny --precision f64 --steps 6 --max-time 0.001s -o cut s.tar.zst
    [ "$(step_of cut/$CHECKPOINT)" = 1 ]
    expect 0 nnclr-pretrain -q --resume -o cut
    cmp whole/$CHECKPOINT cut/$CHECKPOINT
}

@test "--max-time stops with a checkpoint and says how to go on" {
    expect 75 tiny --steps 100000 --log-every 1 --max-time 0.3s -o run s.tar.zst
    [ "${#stderr_lines[@]}" -eq 2 ]
    [ "$stderr" = "nnclr-pretrain: training resnet18 x0.125 on 40 pictures of s.tar.zst: 20000 epochs, 100000 steps of 8; a checkpoint every 10m in run
nnclr-pretrain: run: stopped after step $(step_of run/$CHECKPOINT) of 100000; go on with --resume -o run" ]
    diff <(step_of run/$CHECKPOINT) <(lines run)
    [ ! -e run/DONE ]
}

@test "a short run has a line for each step, one of 2000 steps or more for each tenth" {
    local steps
    for steps in 1999 2000; do
        nnclr-pretrain $TINY -q --steps $steps -o run$steps s.tar.zst 3>&- &
        pid=$!
        wait_for has_lines run$steps 2
        kill -TERM $pid
        wait $pid || [ $? -eq 75 ]
    done
    [ "$(head -n 2 run1999/metrics.jsonl | jq -c .step | tr '\n' ' ')" = "1 2 " ]
    [ "$(head -n 2 run2000/metrics.jsonl | jq -c .step | tr '\n' ' ')" = "10 20 " ]
}

@test "a finished run says so" {
    expect 0 tiny -q --steps 2 -o run s.tar.zst
    cp run/$CHECKPOINT before
    expect 0 nnclr-pretrain --resume -o run
    expect_message nnclr-pretrain "run: this run is finished (2 of 2 steps): to train further, start a new one with --init run -o run2"
    cmp before run/$CHECKPOINT
}

@test "--resume takes what cannot change the run, and nothing else" {
    expect 75 tiny -q --steps 9 --max-time 0.001s -o run s.tar.zst
    for option in "--lr 0.3" "--batch 8" "--preset tiny" "--seed 1" "--precision f32" "--force" \
        "--cache 0" "--exclude-self"; do
        refuses 2 "${option%% *} cannot be given with --resume" nnclr-pretrain --resume $option -o run
    done
    expect 0 nnclr-pretrain --resume -q -j 1 --save-every 2steps --keep 2 --max-time 1h \
        --log-every 2 -o run
    [ "$(tail -1 run/metrics.jsonl | jq .step)" = 9 ]
}

@test "--resume refuses every other option that --help names" {
    expect 75 tiny -q --steps 9 --max-time 0.001s -o run s.tar.zst
    local name argument value refused=0
    while read -r name argument; do
        case $name in
        --output | --resume | --save-every | --keep | --max-time | --log-every | --probe | --probe-bank) continue ;;
        --json) continue ;; # goes with --dry-run, which is refused
        --quiet | --verbose | --threads | --help | --version) continue ;;
        esac
        value=
        case $argument in
        "") ;;
        N,*) value="=8" ;;
        R,G,B*) value="=0.5,0.5,0.5" ;;
        B,C,S,H*) value="=0.1,0.1,0.1,0.1" ;;
        *,*) value="=0.1,0.2" ;;
        *'|'*) value="=${argument%%|*}" ;;
        N) value="=8" ;;
        [A-Z]*) value="=1" ;;
        *) value="=$argument" ;;
        esac
        [[ $argument != torch* ]] || value="=torch"
        refuses 2 "$name cannot be given with --resume" nnclr-pretrain --resume "$name$value" -o run
        refused=$((refused + 1))
    done < <(nnclr-pretrain --help | sed -n 's/^ \{2,6\}\(-., \)\?\(--[a-z-]*\) \?\([^ ]*\).*/\2 \3/p')
    [ "$refused" -ge 45 ]
    [ "$(step_of run/$CHECKPOINT)" = 1 ]
}

@test "--resume finds the shards from any folder, takes others that are equal, notices a change" {
    expect 75 tiny -q --steps 9 --max-time 0.001s -o run s.tar.zst
    mkdir elsewhere
    cd elsewhere
    expect 75 nnclr-pretrain -q --resume --max-time 0.001s -o ../run
    cd ..
    mv s.tar.zst moved.tar.zst
    refuses 1 "s.tar.zst" nnclr-pretrain --resume -o run
    expect 75 nnclr-pretrain -q --resume --max-time 0.001s -o run moved.tar.zst
    make_shard s 50
    refuses 2 "not the one that the run was started with" nnclr-pretrain --resume -o run s.tar.zst
    refuses 2 "started with 1 shards, not 2" nnclr-pretrain --resume -o run moved.tar.zst moved.tar.zst
    expect 0 nnclr-pretrain -q --resume -o run moved.tar.zst
}

@test "a shard on standard input trains alike, and must be named to resume" {
    expect 0 tiny -q --steps 3 -o file s.tar.zst
    expect 75 tiny -q --steps 3 --max-time 0.001s -o pipe - <s.tar.zst
    refuses 2 "does not say where the shards are" nnclr-pretrain --resume -o pipe
    expect 0 nnclr-pretrain -q --resume -o pipe s.tar.zst
    cmp file/$CHECKPOINT pipe/$CHECKPOINT
}

# ---- wrong usage ----

@test "what is missing or contradicts itself: exit 2 and one sentence" {
    refuses_each nnclr-pretrain <<'END'
2|--preset tiny s.tar.zst|no run: give -o RUN
2|--preset tiny -o run|no input: give a shard
2|--preset tiny -o run --lr|needs a value
2|--preset huge -o run s.tar.zst|imagenet, cifar or tiny
2|-o run s.tar.zst|give --preset tiny or cifar, or a smaller --batch
2|--preset tiny --nonsense -o run s.tar.zst|no such option
2|--preset tiny --crop 0.5 -o run s.tar.zst|needs 2 numbers
2|--preset tiny --crop 0.9,0.5 -o run s.tar.zst|smallest area 0.9 is above its largest 0.5
2|--preset tiny --proj none -o run s.tar.zst|projector needs at least one layer
2|--preset tiny --proj 131073 -o run s.tar.zst|at most 8 widths from 1 to 131072
2|--preset tiny --warmup 10m -o run s.tar.zst|needs a number of epochs
2|--preset tiny --max-time 10steps -o run s.tar.zst|needs a time
2|--preset tiny --save-every 10 -o run s.tar.zst|such as 90s, 10m, 2h
2|--preset tiny --epochs 3 --steps 4 -o run s.tar.zst|--epochs: --steps says how long
2|--preset tiny --epochs 0 -o run s.tar.zst|nothing to train
2|--preset tiny --lars solo -o run s.tar.zst|--lars: the optimiser is sgd
2|--preset tiny --view-weight 0 --negatives all -o run s.tar.zst|--negatives: the negatives of neighbours
2|--preset tiny --method simclr --queue 64 -o run s.tar.zst|--queue: --method simclr has no support set
2|--preset tiny --method simclr --pred 64 -o run s.tar.zst|simclr has no predictor: give --pred none
2|--preset tiny --schedule constant --final-lr 0.1 -o run s.tar.zst|--final-lr: a constant rate
2|--preset tiny --positive view --neighbours 2 -o run s.tar.zst|--neighbours: --positive view asks no neighbours
2|--preset tiny --positive view --soft 2 -o run s.tar.zst|--soft: --positive view asks no neighbours
2|--preset tiny --positive view --agree -o run s.tar.zst|--agree: --positive view asks no neighbours
2|--preset tiny --positive view --appearance 1 -o run s.tar.zst|--appearance: --positive view asks no neighbours
2|--preset tiny --positive view --loss mixed -o run s.tar.zst|--loss: --positive view has no neighbours to mix in
2|--preset tiny --method simclr --appearance 1 -o run s.tar.zst|--appearance: --method simclr has no support set
2|--preset tiny --appearance 2 -o run s.tar.zst|--appearance
2|--preset tiny --positive view --view-weight 1 -o run s.tar.zst|--view-weight: --positive view gives the own view the whole weight
2|--preset tiny --method simclr --soft 2 -o run s.tar.zst|--soft: --method simclr has no support set
2|--preset tiny --method simclr --agree -o run s.tar.zst|--agree: --method simclr has no support set
2|--preset tiny --method simclr --view-weight 1 -o run s.tar.zst|--view-weight: --method simclr has no support set
2|--preset tiny --soft 2 --neighbours 2 -o run s.tar.zst|--neighbours: --soft takes the mean of several neighbours
2|--preset tiny --view-weight 1,0.5,10m -o run s.tar.zst|needs a share from 0 to 1
2|--preset tiny --batch 8 --queue 9 --soft 10 -o run s.tar.zst|10 neighbours cannot come from a support set of 9 rows
2|--preset tiny --queue-frozen --enqueue both -o run s.tar.zst|--enqueue: nothing enters a frozen support set
2|--preset tiny --queue 63 -o run s.tar.zst|a support set of 63 rows is smaller than a batch of 64
2|--preset tiny --batch 41 --queue 80 -o run s.tar.zst|a batch of 41 is larger than the data, which has 40 pictures
2|--preset tiny --batch 8 --queue 8 --enqueue both -o run s.tar.zst|smaller than two views of a batch of 8
2|--preset tiny --batch 40 --queue 80 --micro-batch 16 -o run s.tar.zst|a batch of 40 cannot be cut into micro-batches of 16: give a --micro-batch that divides it
2|--preset tiny --batch 8 --micro-batch 1 -o run s.tar.zst|a micro-batch of one picture has no batch statistics
2|--preset tiny --batch 8 --steps 5 --warmup 6steps -o run s.tar.zst|a warm-up of 6 steps is longer than the run of 5
2|--preset tiny --batch 8 --queue 9 --neighbours 10 -o run s.tar.zst|10 neighbours cannot come from a support set of 9 rows
END
    [ ! -e run ]
}

@test "what this version does not offer is refused with what can be given instead" {
    refuses_each nnclr-pretrain --preset tiny --batch 8 -o run s.tar.zst <<'END'
2|--engine cuda --precision f64|engine cuda
2|--engine amx --precision f64|precision f64 is not offered by engine amx; it offers: bf16
2|--engine amx --precision f32|precision f32 is not offered by engine amx; it offers: bf16
END
    [ ! -e run ]
}

@test "an existing run is kept unless --force says otherwise, which removes only our own files" {
    expect 0 tiny -q --steps 1 -o run s.tar.zst
    cp run/$CHECKPOINT before
    echo mine >run/notes.txt
    refuses 2 "run" tiny -q --steps 2 -o run s.tar.zst
    cmp before run/$CHECKPOINT
    # Everything else is checked before anything is removed.
    expect 2 tiny -q --force --steps 2 --temperature -1 -o run s.tar.zst
    expect 1 tiny -q --force --steps 2 -o run missing.tar.zst
    refuses 1 "out of memory" tiny -q --force --steps 2 --queue 1000000000 -o run s.tar.zst
    cmp before run/$CHECKPOINT
    expect 0 tiny -q --force --steps 2 -o run s.tar.zst
    [ "$(step_of run/$CHECKPOINT)" = 2 ]
    [ "$(lines run)" = 2 ]
    [ "$(cat run/notes.txt)" = mine ]
}

# ---- what goes wrong on the way ----

@test "a loss that is not finite ends the run and keeps the last checkpoint" {
    expect 1 tiny -q --steps 50 --lr 1e30 --lr-scale none --warmup 0 --save-every 1steps -o run s.tar.zst
    # The update of step 1 already made useless weights: the checkpoint before them stays.
    expect_message nnclr-pretrain "the weights after step 1 are not finite, or far too large"
    expect_message nnclr-pretrain "start again with a lower --lr (now 1e+30)"
    expect_message nnclr-pretrain "the checkpoint of step 0 is kept"
    [ "$(step_of run/$CHECKPOINT)" = 0 ]
    zstd -tq run/$CHECKPOINT
    [ ! -e run/DONE ]
    run -1 grep null,\"lr\" run/metrics.jsonl
    # If nothing is saved in between, the loss shows it.
    expect 1 tiny -q --steps 50 --lr 1e30 --lr-scale none --warmup 0 -o unsaved s.tar.zst
    expect_message nnclr-pretrain "is not finite: start again with a lower --lr (now 1e+30)"
    [ "$(step_of unsaved/$CHECKPOINT)" = 0 ]
    # At any rate, the step after the checkpoint that is kept is one that worked.
    for lr in 1e8 1e12 1e16 1e18 1e20; do
        expect 1 tiny -q --steps 50 --lr $lr --lr-scale none --warmup 0 --save-every 1steps -o run$lr \
            s.tar.zst
        expect_message nnclr-pretrain "start again with a lower --lr"
        [ "$(tail -1 run$lr/metrics.jsonl | jq .step)" -gt "$(step_of run$lr/$CHECKPOINT)" ]
    done
}

@test "an embedding in a checkpoint's place, a missing one" {
    expect 75 tiny -q --steps 9 --max-time 0.001s -o run s.tar.zst
    cp run/$CHECKPOINT whole
    nnclr-embed -q --pixels 4 -o run/$CHECKPOINT s.tar.zst
    refuses 1 "embedding" nnclr-pretrain --resume -o run
    rm run/$CHECKPOINT
    refuses 2 "no checkpoint" nnclr-pretrain --resume -o run
    cp whole run/$CHECKPOINT
    expect 0 nnclr-pretrain -q --resume -o run
}

@test "a file that is not a shard, a cut one, a flipped one" {
    head -c 5000 s.tar.zst >cut.tar.zst
    cp s.tar.zst flipped.tar.zst
    flip_bit flipped.tar.zst 20000
    nnclr-embed -q --pixels 4 -o embedding.safetensors.zst s.tar.zst
    for shard in cut.tar.zst flipped.tar.zst embedding.safetensors.zst missing.tar.zst /dev/null; do
        refuses 1 "$(basename "$shard")" tiny -q --steps 9 -o run "$shard"
        rm -rf run
    done
}

@test "a full disk: reported, the old checkpoint stays, exit 1; with room again the run goes on" {
    mkdir disk
    mount -t tmpfs -o size=1900k none disk 2>/dev/null || skip "no right to mount a tmpfs"
    status=0
    tiny -q --steps 4 --save-every 2steps -o disk/run s.tar.zst 2>messages || status=$?
    cp disk/run/$CHECKPOINT kept || true
    local files
    files=$(ls -A disk/run)
    mount -o remount,size=20m disk
    resumed=0
    nnclr-pretrain -q --resume -o disk/run || resumed=$?
    cp disk/run/$CHECKPOINT resumed || true
    umount disk
    cat messages
    [ $status -eq 1 ]
    grep -q "training continues, and will try again" messages
    grep -q "make room and give --resume" messages
    [ "$(step_of kept)" = 0 ]
    run -1 grep "^\.checkpoint" <<<"$files"
    [ $resumed -eq 0 ]
    expect 0 tiny -q --steps 4 -o whole s.tar.zst
    cmp resumed whole/$CHECKPOINT
}
