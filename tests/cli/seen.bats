# nnclr-pretrain: what can be seen of a run before it starts and while it trains: --dry-run,
# --probe, warnings.
load helpers

setup() {
    cd "$BATS_TEST_TMPDIR"
    make_shard s 40
}

probes() { # RUN: step, top-1 and top-5 of each probe
    jq -r 'select(has("probe_top1")) | [.step, .probe_top1, .probe_top5] | @tsv' "$1/metrics.jsonl" |
        awk '{ printf "%d %.6f %.6f\n", $1, $2, $3 }'
}

# $PWD/NAME.tar.zst: the pictures of some of the classes only.
some_classes() { # NAME COUNT CLASS...
    local name=$1 from
    from=$(shapes "$2")
    shift 2
    mkdir "$name"
    for class in "$@"; do
        cp -r "$from/$class" "$name/"
    done
    nnclr-prep -q -o "$name.tar.zst" "$name"
}

# ---- the probe ----

@test "a probe is before the first step, after each epoch and at the end" {
    expect 0 tiny --steps 12 --log-every 5 --probe s.tar.zst -o run s.tar.zst
    [ "$(jq -c '[.step, .epoch, has("loss"), .probe_n]' run/metrics.jsonl | tr '\n' ' ')" = \
        "[0,null,false,40] [5,0,true,null] [5,0,false,40] [10,1,true,null] [10,1,false,40] [12,2,true,null] [12,2,false,40] " ]
    grep -q "^nnclr-pretrain: probe after step 12: top-1 0\.[0-9]*, top-5 [01]\.[0-9]* of 40 pictures" <<<"$stderr"
    grep -q "s.tar.zst: 40 pictures with labels are few for a vote of 200 neighbours" <<<"$stderr"
    expect 0 tiny -q --steps 12 --probe s.tar.zst -o quiet s.tar.zst
    [ -z "$output$stderr" ]
}

@test "a run that is refused says only why, nothing of its probe" {
    expect 2 tiny --batch 64 --queue 64 --probe s.tar.zst -o run s.tar.zst
    [ "$stderr" = "nnclr-pretrain: a batch of 64 is larger than the data, which has 40 pictures: give a smaller --batch or more data" ]
    mkdir taken
    touch taken/run.json
    expect 2 tiny --steps 2 --probe s.tar.zst -o taken s.tar.zst
    [ "$(wc -l <<<"$stderr")" = 1 ]
    expect 0 tiny --steps 2 --dry-run --probe s.tar.zst s.tar.zst
    grep -q "s.tar.zst: 40 pictures with labels are few for a vote of 200 neighbours" <<<"$stderr"
}

@test "a probe against a bank equals nnclr-embed and nnclr-lineval, classes matched by name" {
    make_shard bank 300
    some_classes few 50 ring star disc
    expect 0 tiny -q --steps 10 --save-every 1epoch --keep 9 --probe few.tar.zst \
        --probe-bank bank.tar.zst -o run s.tar.zst
    for step in 5 10; do
        for part in few bank; do
            nnclr-embed -q -m "run/checkpoint-$(printf %04d $step).safetensors.zst" \
                -o $part.safetensors.zst $part.tar.zst
        done
        nnclr-lineval -q --methods knn bank.safetensors.zst few.safetensors.zst |
            awk -F '\t' -v step=$step 'NR == 2 { print step, $2, $4 }' >>expected
    done
    cat expected
    diff expected <(probes run | tail -n +2)
}

@test "a probe without bank leaves each picture out of its own neighbours, as NumPy does" {
    need_python numpy
    make_shard many 300
    expect 0 tiny -q --steps 7 --probe many.tar.zst -o run s.tar.zst
    nnclr-embed -q -m run/$CHECKPOINT -o many.safetensors many.tar.zst
    local wanted
    wanted="7 $($python "$NNCLR_ROOT/tests/reference/knn_numpy.py" 200 0.1 many.safetensors | tail -1)"
    echo "$wanted"
    [ "$(probes run | tail -1)" = "$wanted" ]
}

@test "probing changes nothing, for any number of threads" {
    expect 0 tiny -q --steps 10 -o plain s.tar.zst
    expect 0 tiny -q -j 1 --steps 10 --probe s.tar.zst -o probed s.tar.zst
    expect 0 tiny -q -j 5 --steps 10 --probe s.tar.zst -o again s.tar.zst
    cmp plain/$CHECKPOINT probed/$CHECKPOINT
    diff <(timeless plain) <(timeless probed | grep -v probe_top1)
    diff <(timeless again) <(timeless probed)
    expect 0 tiny -q --precision f64 --micro-batch 4 --steps 5 -o plain64 s.tar.zst
    expect 0 tiny -q --precision f64 --micro-batch 4 --steps 5 --probe s.tar.zst -o probed64 s.tar.zst
    cmp plain64/$CHECKPOINT probed64/$CHECKPOINT
}

@test "a run that goes on probes at the same steps, and each once" {
    local one="--preset tiny --size 8 --batch 20 --queue 20"
    expect 0 nnclr-pretrain $one -q --steps 6 --probe s.tar.zst -o whole s.tar.zst
    expect 75 nnclr-pretrain $one -q --steps 6 --max-time 0.001s --probe s.tar.zst -o cut s.tar.zst
    expect 75 nnclr-pretrain -q --resume --max-time 0.001s --probe s.tar.zst -o cut
    [ "$(probes cut | wc -l)" = 2 ]
    # At the end of an epoch whose line is there already, and of one whose line is not.
    cp -r cut lacking
    expect 0 nnclr-pretrain -q --resume --probe s.tar.zst -o cut
    diff <(timeless whole) <(timeless cut)
    cmp whole/$CHECKPOINT cut/$CHECKPOINT
    sed -i '$d' lacking/metrics.jsonl
    [ "$(probes lacking | wc -l)" = 1 ]
    expect 0 nnclr-pretrain -q --resume --probe s.tar.zst -o lacking
    diff <(timeless whole) <(timeless lacking)
    # The option is not remembered.
    expect 75 nnclr-pretrain $one -q --steps 6 --max-time 0.001s --probe s.tar.zst -o once s.tar.zst
    expect 0 nnclr-pretrain -q --resume -o once
    [ "$(probes once | wc -l)" = 1 ]
}

@test "TERM during a probe ends it; the probe is made up for" {
    local opening log=$PWD/log
    cat s.tar.zst s.tar.zst s.tar.zst s.tar.zst >long.tar.zst
    NNCLR_INJECT_LOG=$log injected read:9999:EIO nnclr-prep -q --list-contents long.tar.zst
    opening=$(grep -c 'long.tar.zst$' log)
    # It stops itself at the second read of pictures.
    stop_below=long.tar.zst start "read:$((opening + 2)):stop" \
        nnclr-pretrain $TINY --steps 5 --probe long.tar.zst -o run s.tar.zst 2>messages
    [ -s run/$CHECKPOINT ]
    send TERM
    ends_with 75
    cat messages
    grep -q "stopped after step 0 of 5; go on with --resume" messages
    [ ! -s run/metrics.jsonl ]
    expect 0 nnclr-pretrain -q --resume --probe s.tar.zst -o run
    [ "$(probes run | cut -d' ' -f1 | tr '\n' ' ')" = "0 5 " ]
}

@test "a probe that cannot judge is refused before anything is written" {
    mkdir flat
    cp "$(shapes 40)"/ring/* flat/
    nnclr-prep -q -o flat.tar.zst flat
    some_classes few 50 ring star
    some_classes other 50 ring disc
    refuses_each tiny -o run s.tar.zst <<'END'
2|--probe flat.tar.zst|flat.tar.zst: its pictures have no labels
2|--probe s.tar.zst --probe-bank flat.tar.zst|flat.tar.zst: its pictures have no labels
2|--probe few.tar.zst --probe-bank other.tar.zst|few.tar.zst: the class "star" is not among the 2 of other.tar.zst
2|--probe-bank s.tar.zst|give --probe SHARD with it
2|--probe - --probe-bank -|standard input can be given only once
1|--probe missing.tar.zst|missing.tar.zst
END
    [ ! -e run ]
    refuses 2 "standard input can be given only once" tiny --probe - -o run - <s.tar.zst
    expect 0 tiny -q --steps 5 --probe - -o piped s.tar.zst <s.tar.zst
    [ "$(probes piped | wc -l)" = 2 ]
}

@test "a probe that fails before the first step ends the run" {
    cp s.tar.zst broken.tar.zst
    flip_bit broken.tar.zst 20000
    refuses 1 "the probe after step 0: broken.tar.zst" tiny -q --steps 5 --probe broken.tar.zst -o run s.tar.zst
    [ ! -e run/DONE ]
    expect 0 nnclr-pretrain -q --resume --probe s.tar.zst -o run
    [ "$(probes run | cut -d' ' -f1 | tr '\n' ' ')" = "0 5 " ]
}

# ---- the dry run ----

@test "--dry-run shows network, memory and cost, and writes nothing" {
    mkdir empty
    cd empty
    expect 0 tiny --dry-run ../s.tar.zst
    local summary=$output
    [ "${#lines[@]}" = 11 ]
    [ "$(cut -f 1 <<<"$output" | tr '\n' ' ')" = "item pictures network parameters method batch length engine memory speed time " ]
    grep -qx $'pictures\t40, with labels of 10 classes' <<<"$output"
    grep -qx $'length\t100 steps, 20 epochs' <<<"$output"
    grep -qx $'memory\t[0-9]* MiB of [0-9]* MiB available: fits' <<<"$output"
    grep -qx $'speed\t.* pictures/s, a step of .* s' <<<"$output"
    grep -qx $'time\t.* in all' <<<"$output"
    expect 0 tiny -v --dry-run ../s.tar.zst
    diff <(head -8 <<<"$output") <(head -8 <<<"$summary")
    [ -z "$(ls -A)" ]
    cd ..
    [ "$(grep -c '^$' <<<"$output")" = 4 ]
    grep -qx $'op\tkind\theight\twidth\tchannels\tparameters\tmacs' <<<"$output"
    grep -q $'^value\tuse\tbytes' <<<"$output"
    grep -q $'^part\tbytes' <<<"$output"
    [ "$(tail -2 <<<"$output" | awk -F '\t' '{ print NF }' | sort -u)" = 17 ]
    # The network's parameters are the sum of its operators'.
    diff <(awk -F '\t' '$1 == "parameters" { print $2 }' <<<"$output") \
        <(awk -F '\t' '$1 == "total" && NF == 7 { print $6 }' <<<"$output")
    # It does not matter whether the folder of a run is there or not.
    expect 0 tiny -q --dry-run -o run s.tar.zst
    [ -z "$stderr" ]
    [ ! -e run ]
    expect 0 tiny -q --steps 2 -o run s.tar.zst
    cp -r run kept
    expect 0 tiny -q --dry-run -o run s.tar.zst
    expect 0 tiny -q --dry-run --force -o run s.tar.zst
    diff -r run kept
    refuses 2 "--dry-run cannot be given with --resume" nnclr-pretrain --dry-run --resume -o run
    refuses 2 "--json is for the tables of --dry-run" tiny --json -o run s.tar.zst
}

@test "--dry-run: the numbers fit one another, the run and the checkpoint" {
    expect 0 tiny -q --steps 12 --dry-run --json --probe s.tar.zst s.tar.zst
    jq -e '
        (.network[:-1] | map(.parameters) | add) == .network[-1].parameters and
        (.network[:-1] | map(.macs) | add) == .network[-1].macs and
        (.memory[:-1] | map(.bytes) | add) == .memory[-1].bytes and
        (.memory | map({(.part): .bytes}) | add) as $m |
        .cost[0] as $c |
        $m.weights == 4 * .network[-1].parameters and $m.momentum == $m.weights and
        $m.gradients == $m.weights and $m.activations == .plan[-1].bytes and
        $m.support_set == 20 * (32 * 4 + 3 * 8) and $m.views_ahead == 3 * 2 * 8 * 8 * 8 * 3 * 4 and
        $m.micro_batch == 0 and $m.probe > 0 and $m.total == $c.memory_bytes and
        (.plan[:-1] | all(.offset + .bytes <= $m.activations)) and
        $c.pictures == 40 and $c.batch == 8 and $c.steps_per_epoch == 5 and $c.steps == 12 and
        $c.epochs == 2.4 and $c.probes == 4 and $c.measured_steps >= 1 and
        $c.measured_steps <= 9 and $c.waiting >= 0 and $c.waiting <= 1 and
        ($c.hours - 12 * $c.seconds_per_step / 3600 | fabs) < 1e-12 and
        ($c.pictures_per_s - 8 / $c.seconds_per_step | fabs) < 1e-6 and
        ($c.probe_hours - 4 * $c.seconds_per_probe / 3600 | fabs) < 1e-12 and
        $c.peak_bytes > 0 and $c.available_bytes > $c.memory_bytes' <<<"$output"
    local predicted written
    predicted=$(jq '.cost[0].checkpoint_bytes' <<<"$output")
    expect 0 tiny -q --steps 1 -o run s.tar.zst
    written=$(zstdcat run/$CHECKPOINT | wc -c)
    [ "$written" -ge $((predicted * 98 / 100)) ]
    [ "$written" -le $((predicted + 40000)) ]
}

@test "--dry-run: micro-batches, simclr without a queue, views, a run of one step" {
    expect 0 tiny -q --dry-run --json --micro-batch 4 s.tar.zst
    jq -e '(.memory[] | select(.part == "micro_batch")).bytes >= .micro_batch_plan[-1].bytes' <<<"$output"
    expect 0 nnclr-pretrain -q --preset tiny --size 8 --batch 8 --method simclr --dry-run --json s.tar.zst
    jq -e '(.memory[] | select(.part == "support_set")).bytes == 0' <<<"$output"
    nnclr-views --preset tiny --size 8 -o v.safetensors.zst s.tar.zst
    expect 0 tiny -q --dry-run --json --steps 1 --views v.safetensors.zst
    jq -e '.cost[0].measured_steps == 1 and .cost[0].pictures == 40' <<<"$output"
    expect 1 tiny --dry-run --queue 1000000000 s.tar.zst
    [ -z "$output" ]
    expect_message nnclr-pretrain "out of memory"
}

# ---- warnings ----

# Enough pictures for a watch to ask: it does after 25 epochs of 40.
watched() { # [option...]
    nnclr-pretrain ${TINY/--size 8/--size 16} --epochs 30 "$@"
}

@test "a run whose z stays narrow is warned of, and one with the own view is not" {
    expect 0 watched -o narrow s.tar.zst
    [ "${#stderr_lines[@]}" -eq 3 ] # what is trained, the warning, and that it is done
    grep -q 'warning: .* few of their 32 directions (z_rank .*: try --view-weight 1,0.5 --pred none$' <<<"$stderr"
    expect 0 watched --view-weight 1,0.5 --pred none -o run s.tar.zst
    [ "${#stderr_lines[@]}" -eq 2 ]
    [ "${stderr_lines[1]}" = "nnclr-pretrain: run: done, 150 steps" ]
}

# A backbone and a projector whose last batch norm turns everything into 1 and a little noise.
# bats test_tags=long
@test "a constant encoder with noise is warned of, once" {
    expect 0 tiny -q --steps 1 -o first s.tar.zst
    python3 - <<'END'
import struct
from tensors import load, store
about, tensors = load("first/checkpoint.safetensors.zst")
for name, value in ("projector.7.weight", 0.01), ("projector.7.bias", 1.0):
    tensors[name] = tensors[name]._replace(data=struct.pack("<f", value) * (len(tensors[name].data) // 4))
store("constant.safetensors", about, tensors)
END
    expect 0 watched --lr 0 --init constant.safetensors -o run s.tar.zst
    echo "$stderr"
    [ "$(grep -c 'warning: .*: the embeddings have collapsed: .*start again with a lower --lr' <<<"$stderr")" = 1 ]
    # With lines that are rarer than epochs, too; -q asks only for errors.
    expect 0 nnclr-pretrain --preset tiny --size 16 --batch 40 --queue 40 --epochs 30 --lr 0 \
        --init constant.safetensors --log-every 1000 -o rare s.tar.zst
    [ "$(wc -l <rare/metrics.jsonl)" = 1 ]
    [ "$(grep -c "warning: .*: the embeddings have collapsed" <<<"$stderr")" = 1 ]
    expect 0 watched -q --lr 0 --init constant.safetensors -o quiet s.tar.zst
    [ -z "$stderr" ]
}

@test "a queue that returns the query's own picture is warned of" {
    expect 0 watched --include-self --queue 160 --augment none --lr 0 -o run s.tar.zst
    [ "$(grep -c 'warning: .*query.s own picture (nn_self): .*160 rows for 40 pictures.*--exclude-self' <<<"$stderr")" = 1 ]
}

# bats test_tags=long
@test "batches of neighbouring records are warned of" {
    python3 - <<'END'
import struct
from tensors import store
n, s = 40, 16
view = "U8", [n, s, s, 3], bytes((i * 7 + j) % 251 for i in range(n) for j in range(s * s * 3))
whole = lambda numbers: ("I64", [n], struct.pack("<%dq" % n, *numbers))
store("v.safetensors", {"format": "pt", "nnclr.kind": "views", "nnclr.format": "1", "nnclr.program": "test", "nnclr.classes": "[]"},
      {"view1": view, "view2": view, "record": whole(range(n)), "label": whole([-1] * n)})
END
    expect 0 watched --views v.safetensors -o run
    [ "$(grep -c 'warning: .*batch_spread 0.075; shuffled: 1/3.*larger --shuffle-window, or shuffle the file of --views' <<<"$stderr")" = 1 ]
}

# bats test_tags=long
@test "a network that learns nothing is warned of" {
    mkdir -p noise/a
    python3 - <<'END'
import random
random.seed(1)
for i in range(40):
    open("noise/a/%d.ppm" % i, "wb").write(b"P6 32 32 255\n" + random.randbytes(32 * 32 * 3))
END
    nnclr-prep -q -o noise.tar.zst noise
    # Crops of a few pixels of noise share nothing.
    expect 0 watched --lr 0 --crop 0.003,0.004 -o run noise.tar.zst
    echo "$stderr"
    [ "$(grep -c "warning: .*no better than by chance (contrast_acc .* of a batch of 8)" <<<"$stderr")" = 1 ]
    expect 0 watched --lr 0 --crop 0.003,0.004 --queue-frozen -o frozen noise.tar.zst
    [ "${#stderr_lines[@]}" -eq 2 ] # a frozen queue is a control: not warned of
    [ "${stderr_lines[1]}" = "nnclr-pretrain: frozen: done, 150 steps" ]
}
