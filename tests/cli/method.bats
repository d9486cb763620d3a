# What the options of method and optimiser do to a run of the program, and what its metrics then
# say: compared with rules that are written down again here, in plain Python.
load helpers

setup() {
    need python3
    need zstd
    cd "$BATS_TEST_TMPDIR"
    make_shard s 40
    cat >run_files.py <<'END'
import json, math
from tensors import load


def lines(run):
    return [json.loads(line) for line in open(run + "/metrics.jsonl")]


def tensors(path):
    """Name: (shape, values)."""
    return {name: (t.shape, t.values) for name, t in load(path)[1].items() if t.dtype != "U8"}


def checkpoint(run, step):
    return tensors(f"{run}/checkpoint-{step:04d}.safetensors.zst")


def norm(values):
    return math.sqrt(sum(v * v for v in values))
END
}

# ---- options ----

@test "the options of method and optimiser arrive in the run, each alone" {
    expect 0 tiny --steps 1 -o plain s.tar.zst
    while IFS='|' read -r options key value; do
        rm -rf run
        expect 0 tiny --steps 1 $options -o run s.tar.zst
        # What the option names and nothing else differs from the run without it.
        run -0 jq -nc --slurpfile a plain/run.json --slurpfile b run/run.json '[$a[0].config, $b[0].config] as [$a, $b] |
            [$b | to_entries[] | select(.value != $a[.key])]'
        [ "$output" = "[{\"key\":\"$key\",\"value\":$value}]" ] || { echo "$options: $output"; return 1; }
    done <<'END'
--positive view|positive|"view"
--queue 24|queue|24
--temperature 0.3|temperature|0.3
--loss row+col|loss|"row+col"
--loss mixed|loss|"mixed"
--appearance 0.5|appearance|0.5
--swap off|swap|false
--neighbours 3|neighbours|3
--enqueue both|enqueue|"both"
--include-self|exclude_self|false
--queue-frozen|queue_frozen|true
--view-weight 0.5|view_weight|[0.5,0.5]
--decoupled|decoupled|true
--agree|agree|true
--batch 10|batch|10
--micro-batch 4|micro_batch|4
--lr 0.3|lr|0.3
--lr-scale sqrt|lr_scale|"sqrt"
--lr-scale none|lr_scale|"none"
--warmup 1steps|warmup_steps|1
--schedule constant|schedule|"constant"
--final-lr 0.25|final_lr|0.25
--weight-decay 0.01|weight_decay|0.01
--momentum 0.8|momentum|0.8
--optimizer lars|optimizer|"lars"
END
    expect 0 tiny --steps 1 --soft 3 --view-weight 1,0.25,2epochs -o soft s.tar.zst
    [ "$(jq -c '.config | [.soft, .neighbours, .view_weight, .view_weight_over, .view_weight_unit]' soft/run.json)" = \
        '[true,3,[1,0.25],2,"epochs"]' ]
    expect 0 tiny --steps 1 --optimizer lars --lars solo -o solo s.tar.zst
    [ "$(jq -c '.config | [.optimizer, .lars, .trust]' solo/run.json)" = '["lars","solo",0.02]' ]
    expect 0 tiny --steps 1 --optimizer lars --lars simclr --trust 0.5 -o simclr s.tar.zst
    [ "$(jq -c '.config | [.lars, .trust]' simclr/run.json)" = '["simclr",0.5]' ]
    expect 0 nnclr-pretrain -q --preset tiny --size 8 --batch 8 --method simclr --steps 1 -o all s.tar.zst
    expect 0 nnclr-pretrain -q --preset tiny --size 8 --batch 8 --method simclr --steps 1 \
        --negatives opposite --swap off -o opposite s.tar.zst
    [ "$(jq -c '.config | [.method, .negatives, .swap, .pred]' all/run.json)" = '["simclr","all",true,[]]' ]
    [ "$(jq -c '.config | [.method, .negatives, .swap, .pred]' opposite/run.json)" = '["simclr","opposite",false,[]]' ]
}

@test "lr: warm-up in epochs, in steps and by default, schedules, scaling, the last rate" {
    cat >rates.py <<'END'
import math, sys
from run_files import lines

run = sys.argv[1]
peak, warmup, total, final = map(float, sys.argv[2:])
rates = [line["lr"] for line in lines(run)]
assert len(rates) == total, len(rates)
for s, rate in enumerate(rates):
    if s < warmup:
        want = peak * s / warmup
    elif final < 0:
        want = peak
    else:
        done = (s - warmup) / (total - warmup)
        want = peak * (final + (1 - final) * (1 + math.cos(math.pi * done)) / 2)
    assert abs(rate - want) <= 1e-14 * peak, (s, rate, want)
END
    # Peak, steps of warm-up, steps in all, and the share at the end (-1: none, the rate is constant);
    # an epoch has five steps.
    while read -r peak warmup total final options; do
        rm -rf run
        expect 0 tiny $options -o run s.tar.zst
        expect 0 python3 rates.py run $peak $warmup $total $final
    done <<'END'
0.5 2 6 0 --lr 0.5 --lr-scale none --warmup 2steps --steps 6
0.015625 5 10 0 --lr 0.5 --warmup 1 --epochs 2
1.4142135623730951 2 5 0 --lr 0.5 --lr-scale sqrt --warmup 0.4 --epochs 1
0.015625 5 7 0 --lr 0.5 --lr-scale linear --warmup 1epoch --steps 7
0.5 0 5 0.1 --lr 0.5 --lr-scale none --warmup 0 --final-lr 0.1 --steps 5
0.5 3 5 -1 --lr 0.5 --lr-scale none --warmup 3steps --schedule constant --steps 5
0.0075 3 30 0 --steps 30
0.0075 1 11 0 --epochs 2.2
END
}

@test "the optimiser's options reach every weight, by the formula of each variant" {
    # Two steps of different rates from one start. A first step's velocity is its gradient, except
    # for what the optimiser makes of it, and the gradient is the same for all.
    step() { # RUN [option...]
        local run=$1
        shift
        expect 0 tiny --precision f64 --steps 2 --lr 0.7 --lr-scale none --warmup 0 \
            --save-every 1steps --keep 3 "$@" -o "$run" s.tar.zst
    }
    step plain --weight-decay 0 --momentum 0
    step decayed --weight-decay 0.01 --momentum 0
    step both --weight-decay 0.01 --momentum 0.8
    for lars in byol simclr lightly solo; do
        step $lars --optimizer lars --lars $lars --weight-decay 0.01 --momentum 0.8
        step $lars-trust --optimizer lars --lars $lars --weight-decay 0.01 --momentum 0.8 --trust 0.5
    done
    cat >update.py <<'END'
from run_files import checkpoint, lines, norm

MU, DECAY = 0.8, 0.01
RATES = [line["lr"] for line in lines("plain")]
assert RATES[0] == 0.7 and 0 < RATES[1] < 0.7


def near(a, b):
    assert len(a) == len(b)
    scale = norm(b)
    assert norm([x - y for x, y in zip(a, b)]) <= 1e-12 * scale, (name, norm(a), scale)


start = checkpoint("plain", 0)
gradient = [v for k, (_, v) in checkpoint("plain", 1).items() if k.startswith("optim.momentum.")]
whole = norm([norm(v) for v in gradient])
assert abs(lines("plain")[0]["grad_norm"] - whole) <= 1e-12 * whole
names = [k[len("optim.momentum."):] for k in start if k.startswith("optim.momentum.")]
assert len(names) == 74
runs = ("plain", "decayed", "both")
runs += tuple(lars + trust for lars in ("byol", "simclr", "lightly", "solo") for trust in ("", "-trust"))
files = {run: [checkpoint(run, step) for step in (0, 1, 2)] for run in runs}
for name in names:
    def w(run, step):
        return files[run][step][name][1]

    def v(run, step):
        return files[run][step]["optim.momentum." + name][1]

    many = len(start[name][0]) > 1
    decay = DECAY if many else 0
    w0, g = w("plain", 0), v("plain", 1)
    u = [x + decay * y for x, y in zip(g, w0)]
    for run in runs:
        assert w(run, 0) == w0 and not any(v(run, 0))
        for step in 0, 1:
            rate = 1 if run.startswith("simclr") else RATES[step]
            near([a - b for a, b in zip(w(run, step), w(run, step + 1))], [rate * x for x in v(run, step + 1)])
    near(v("decayed", 1), u)
    near(v("both", 1), u)
    near(v("both", 2), [MU * x + y for x, y in zip(v("both", 1), v("decayed", 2))])
    for lars in "byol", "simclr", "lightly", "solo":
        for end, trust in ("", 0.02 if lars == "solo" else 0.001), ("-trust", 0.5):
            if not many or norm(w0) == 0 or norm(g) == 0:
                ratio = 1
            elif lars in ("byol", "simclr"):
                ratio = trust * norm(w0) / norm(u)
            else:
                ratio = trust * norm(w0) / (norm(g) + DECAY * norm(w0) + 1e-8)
            if lars == "solo" and many:
                ratio = min(ratio / RATES[0], 1)
            if lars == "simclr":
                ratio *= RATES[0]
            near(v(lars + end, 1), [ratio * x for x in u])
            # The second step's own part has the norm that its ratio says.
            part = norm([x - MU * y for x, y in zip(v(lars + end, 2), v(lars + end, 1))])
            if many and lars in ("byol", "simclr"):
                want = trust * norm(w(lars + end, 1)) * (RATES[1] if lars == "simclr" else 1)
                assert abs(part - want) <= 1e-12 * want, (name, lars, part, want)
END
    expect 0 python3 update.py
}

# ---- the support set ----

@test "a network that does not change finds each picture in the support set, one epoch old" {
    # A rate of 0, no augmentation, batches that repeat, as many rows as pictures.
    nnclr-views -q --preset tiny --size 8 --augment none -o views.safetensors.zst s.tar.zst
    for precision in f32 f64; do
        expect 0 nnclr-pretrain -q --preset tiny $PLAIN --size 8 --batch 8 --queue 40 --include-self --lr 0 \
            --epochs 3 --precision $precision --views views.safetensors.zst -o $precision
        lines_say $precision 'length == 15 and (.[0] | .nn_initial == 1 and .nn_age == null and
            .nn_self == 0 and .self_present == 0 and .nn_acc == 0 and .nn_chance == 0 and .epoch == 0)'
        lines_say $precision '.[5:] | all(.nn_self == 1 and .nn_acc == 1 and .self_present == 1 and
            .nn_initial == 0 and .nn_distinct == 0.5 and .nn_age == 5 and .nn_chance > 0.09 and
            .nn_chance < 0.11 and (.nn_sim - 1 | fabs) < 1e-6)'
        # The loss and what is measured of the network recur with the batch.
        lines_say $precision '(.[5:10] | map([.loss, .contrast_acc, .h_std, .p_std, .batch_spread])) ==
            (.[10:15] | map([.loss, .contrast_acc, .h_std, .p_std, .batch_spread]))'
    done
    expect 0 nnclr-pretrain -q --preset tiny $PLAIN --size 8 --batch 8 --queue 40 --exclude-self --lr 0 \
        --epochs 3 --views views.safetensors.zst -o excluded
    lines_say excluded '.[5:] | all(.nn_self == 0 and .self_present == 1)'
}

@test "initial rows are gone after ceil(m / n) steps; the newest m stay, in the order they came" {
    expect 0 tiny --queue 20 --include-self --steps 12 -o one s.tar.zst
    lines_say one 'map(.nn_initial) | .[0] == 1 and (.[3:] | all(. == 0))'
    expect 0 tiny --queue 32 --enqueue both --include-self --steps 12 -o both s.tar.zst
    lines_say both 'map(.nn_initial) | .[0] == 1 and (.[2:] | all(. == 0))'
    expect 0 tiny --queue 20 --queue-frozen --steps 12 --save-every 1steps --keep 13 -o frozen s.tar.zst
    lines_say frozen 'all(.nn_initial == 1 and .nn_age == null and .nn_self == 0 and .self_present == 0)'
    nnclr-prep --list-contents s.tar.zst >contents
    expect 0 python3 - <<'END'
from run_files import checkpoint, tensors

def queue(run):
    found = tensors(run + "/checkpoint.safetensors.zst")
    return {k[6:]: v[1] for k, v in found.items() if k.startswith("queue.")}

one, both = queue("one"), queue("both")
# Row by row, by age: 12 steps of 8 rows, of which 20 stay.
cursor = one["cursor"][0]
assert cursor == 12 * 8 % 20
steps = [one["step"][(cursor + i) % 20] for i in range(20)]
assert steps == [10] * 4 + [11] * 8 + [12] * 8, steps
# The last two steps are of one epoch: no picture comes twice. Each row has its picture's label.
newest = [one["record"][(cursor + i) % 20] for i in range(4, 20)]
assert len(set(newest)) == 16, newest
labels = {int(row[0]): int(row[1]) for row in (line.split("\t") for line in list(open("contents"))[1:])}
assert len(labels) == 40 and list(one["label"]) == [labels[record] for record in one["record"]]
# Both views of the last two steps, view 1's rows before view 2's.
assert both["cursor"][0] == 0 and list(both["step"]) == [11] * 16 + [12] * 16
records = list(both["record"])
assert records[:8] == records[8:16] and records[16:24] == records[24:] and records[:8] != records[16:24]
d = len(both["embedding"]) // 32
rows = [both["embedding"][i * d:(i + 1) * d] for i in range(32)]
assert rows[0] != rows[8]
first, last = checkpoint("frozen", 0), checkpoint("frozen", 12)
assert first["queue.embedding"] == last["queue.embedding"]
assert first["projector.0.weight"] != last["projector.0.weight"]
assert set(last["queue.record"][1]) == {-1}
END
}

@test "a stopped run of any method goes on as if nothing had happened" {
    local n=0
    while read -r options; do
        n=$((n + 1))
        expect 0 nnclr-pretrain -q --preset tiny --size 8 --batch 8 --steps 6 $options -o whole$n s.tar.zst
        expect 75 nnclr-pretrain -q --preset tiny --size 8 --batch 8 --steps 6 $options \
            --max-time 0.001s -o cut$n s.tar.zst
        expect 75 nnclr-pretrain -q --resume --max-time 0.001s -o cut$n
        expect 0 nnclr-pretrain -q --resume -j 1 -o cut$n # the other with one thread for each CPU
        cmp whole$n/$CHECKPOINT cut$n/$CHECKPOINT
        diff <(timeless whole$n) <(timeless cut$n)
    done <<'END'
--queue 20 --neighbours 3 --enqueue both --optimizer lars
--queue 20 --positive view --loss row+col --swap off --optimizer lars --lars solo
--queue 20 --pred none --view-weight 1,0.3,5steps --soft 3 --agree --decoupled --enqueue both
--queue 20 --pred none --view-weight 1,0.3,5steps --soft 3 --loss mixed --appearance 0.8
--method simclr
END
}

# ---- metrics ----

@test "a collapse shows: pictures that are all alike" {
    mkdir -p alike/a
    local picture
    picture=$(find "$(shapes 40)" -name '*.png' | sort | sed -n 1p)
    for i in $(seq 10 25); do
        cp "$picture" "alike/a/$i.png"
    done
    nnclr-prep -q -o alike.tar.zst alike
    expect 0 nnclr-pretrain -q --preset tiny $PLAIN --size 8 --batch 8 --queue 16 --include-self \
        --augment none --precision f64 --lr 0 --steps 5 -o run alike.tar.zst
    # Eight candidates that are all the same; the first of equal ones is one picture's own.
    lines_say run 'all((.loss - (8 | log) | fabs) < 1e-6 and .contrast_acc == 0.125 and
        .h_std < 1e-5 and .p_std < 1e-5 and .nn_distinct == 0.0625)'
    # Among equal rows everyone picks the first, which is new in every second step.
    lines_say run 'map(.nn_age) == [null, 1, 2, 1, 2] and (map(.z_rank == null)) == [false, false, true, true, true]'
    lines_say run '.[2:] | all(.nn_chance == 1 and .nn_acc == 1)'
}

@test "without labels nn_acc and nn_chance are null, and nothing else" {
    mkdir flat
    local n=0 file
    for file in $(find "$(shapes 40)" -name '*.png' -o -name '*.jpg' | sort | sed -n 1,24p); do
        n=$((n + 1))
        cp "$file" "flat/$n.${file##*.}"
    done
    nnclr-prep -q -o flat.tar.zst flat
    expect 0 tiny --steps 4 -o run flat.tar.zst
    lines_say run '.[3] | [to_entries[] | select(.value == null) | .key] == ["nn_acc", "nn_chance"]'
}

@test "images_per_s counts pictures, over the time since the last line" {
    local every before after k log=$PWD/log stopped
    for every in 1 2; do
        NNCLR_INJECT_LOG=$log injected write:9999:EIO nnclr-pretrain -q $TINY --steps 2 -o counted s.tar.zst
        k=$(grep -n 'metrics.jsonl$' log | sed -n '1s/:.*//p')
        rm -r log counted
        before=$(date +%s.%N)
        # It stops itself before it writes the first line, and the time until it goes on is that of
        # the second.
        start "write:$k:stop" nnclr-pretrain $TINY --steps $((4 * every)) --log-every $every -o run s.tar.zst
        stopped=$(date +%s.%N)
        sleep 0.5
        stopped="$stopped $(date +%s.%N)"
        send
        ends_with 0
        after=$(date +%s.%N)
        # shellcheck disable=SC2086
        expect 0 python3 - run $every $before $after $stopped <<'END'
import sys
from run_files import lines

found, every = lines(sys.argv[1]), int(sys.argv[2])
before, after, stopped, going = map(float, sys.argv[3:])
assert [line["step"] for line in found] == list(range(every, 4 * every + 1, every))
seconds = [8 * every / line["images_per_s"] for line in found]
assert seconds[1] >= going - stopped, (seconds, going - stopped)
assert sum(seconds) <= after - before, (seconds, after - before)
END
        rm -r run
    done
}

@test "--appearance needs whole pictures" {
    nnclr-views -q --preset tiny --size 8 -o views.safetensors.zst s.tar.zst
    refuses 2 "give shards, or --appearance 0" tiny --steps 1 --appearance 1 --views views.safetensors.zst -o run
    [ ! -e run ]
}

@test "epoch, batch_spread and self_present follow the data" {
    nnclr-views -q --preset tiny --size 8 -o views.safetensors.zst s.tar.zst
    expect 0 tiny --steps 11 --views views.safetensors.zst -o views
    # The rows of the file in their order: eight that follow each other, 3 of 40 apart on average.
    lines_say views 'map(.epoch) == [0,0,0,0,0,1,1,1,1,1,2] and all((.batch_spread - 3 / 40 | fabs) < 1e-15)'
    # Shuffled: 41/120 apart. The queue holds q = 2 of the S = 5 steps in an epoch, and so a
    # picture's own row for a share of q (q + 1) / 2 S^2 of the queries.
    expect 0 tiny --epochs 30 --queue 16 --include-self -o shuffled s.tar.zst
    lines_say shuffled 'map(.batch_spread) | (add / length - 41 / 120 | fabs) < 0.02'
    lines_say shuffled '.[5:] | map(.self_present) | (add / length - 0.12 | fabs) < 0.03'
}

@test "a slow copy follows the network, and makes positives and queue" {
    slow() { expect 0 tiny --precision f64 --steps 4 --save-every 1steps --keep 9 -o "$@" s.tar.zst; }
    slow still --lr 0
    slow kept --target-momentum 1
    slow follows --target-momentum 0.75
    cat >follows.py <<'END'
from run_files import checkpoint, lines

still, kept, follows = ([checkpoint(run, step) for step in range(5)] for run in ("still", "kept", "follows"))
names = [k for k in follows[0] if "optim.target." + k in follows[0]]
assert len(names) == 74 and "optim.target.fc" not in still[0]
for name in names:
    target = [file["optim.target." + name][1] for file in follows]
    assert target[0] == follows[0][name][1]
    for step in range(4):
        want = [0.75 * a + 0.25 * b for a, b in zip(target[step], follows[step + 1][name][1])]
        assert all(abs(a - b) <= 1e-15 + 1e-14 * abs(b) for a, b in zip(target[step + 1], want)), name
# With a copy that never moves, the queue is that of a network that never moves.
assert kept[4]["queue.embedding"] == still[4]["queue.embedding"] != follows[4]["queue.embedding"]
assert kept[4]["backbone.conv1.weight"] != still[4]["backbone.conv1.weight"]
key = "nn_sim"
assert [a[key] for a in lines("kept")] == [a[key] for a in lines("still")] != [a[key] for a in lines("follows")]
END
    expect 0 python3 follows.py
    # Going on from the middle gives the same bytes.
    cp -r follows resumed
    cp follows/checkpoint-0002.safetensors.zst resumed/checkpoint.safetensors.zst
    rm resumed/DONE
    expect 0 nnclr-pretrain --resume -q -o resumed
    cmp follows/checkpoint.safetensors.zst resumed/checkpoint.safetensors.zst
    refuses 2 "--target-momentum: both sides of the loss of simclr pass a gradient on" \
        nnclr-pretrain --preset tiny --method simclr --target-momentum 0.9 -o run s.tar.zst
}
