# nnclr-finetune: a run and its files, resuming bit for bit, which records it learns from, that it
# does learn, what other programs make of the result, wrong usage and broken input.
load helpers

# Once for the file: a checkpoint after one step, on pictures of 8x8.
setup() {
    cd "$BATS_TEST_TMPDIR"
    make_shard s 40
    if [ ! -d "$BATS_FILE_TMPDIR/pre" ]; then
        nnclr-pretrain -q --preset tiny --size 8 --batch 8 --queue 20 --steps 1 -o "$BATS_FILE_TMPDIR/pre" s.tar.zst
    fi
    from=$BATS_FILE_TMPDIR/pre/$CHECKPOINT
}

finetune() { # [option...]
    nnclr-finetune -m "$from" --batch 8 --lr 0.5 "$@"
}

expect_same() { # RUN RUN
    cmp "$1/$CHECKPOINT" "$2/$CHECKPOINT"
    diff <(timeless "$1") <(timeless "$2")
    expect_files "$2" $CHECKPOINT metrics.jsonl run.json DONE .lock
}

weights() { # RUN: what it learned, without its data and names
    nnclr-export -o - --format safetensors "$1/$CHECKPOINT"
}

# ---- what a run leaves ----

@test "a test that fails after the last step: exit 1, and one message" {
    local k log=$PWD/log
    cp s.tar.zst t.tar.zst
    NNCLR_INJECT_LOG=$log injected read:9999:EIO nnclr-finetune -q -m "$from" --batch 8 --steps 2 --test t.tar.zst -o run s.tar.zst
    k=$(grep 't.tar.zst$' log | tail -n 1 | cut -d' ' -f1)
    expect 1 injected "read:$k:EIO" nnclr-finetune -q -m "$from" --batch 8 --steps 2 --test t.tar.zst --force -o run s.tar.zst
    expect_message nnclr-finetune "the test after step 2: t.tar.zst: Input/output error; the checkpoint is complete, but lines of the metrics are missing"
}

@test "a run leaves a checkpoint, metrics, a description and DONE, and prints a table" {
    expect 0 finetune --steps 7 --test s.tar.zst --per-class -o run s.tar.zst
    expect_files run $CHECKPOINT metrics.jsonl run.json DONE .lock
    [ "$(step_of run/$CHECKPOINT)" = 7 ]
    [ "$(jq -c .step run/metrics.jsonl | tr '\n' ' ')" = "1 2 3 4 5 5 6 7 7 " ]
    [ "$(head -1 run/metrics.jsonl | jq -r 'keys_unsorted | join(" ")')" = \
        "step epoch loss lr head_lr grad_norm batch_acc images_per_s" ]
    [ "$(tail -1 run/metrics.jsonl | jq -r 'keys_unsorted | join(" ")')" = \
        "step epoch test_top1 test_top5 test_loss test_n" ]
    # A classifier of zeros: every class is as likely.
    [ "$(head -1 run/metrics.jsonl | jq '(.loss - 2.302585092994046 | fabs) < 1e-6')" = true ]
    [ "$(jq -r '.shards[0], .test, .init, .config.method, .config.classes, .total_steps' \
        run/run.json | tr '\n' ' ')" = "$PWD/s.tar.zst $PWD/s.tar.zst $from finetune 10 7 " ]
    [ "${lines[0]}" = $'method\ttop1\ttop1_se\ttop5\tn\tloss\tseconds\tsettings' ]
    diff <(cut -f 2,4,5 <<<"${lines[1]}") \
        <(tail -1 run/metrics.jsonl | jq -r '[.test_top1, .test_top5, .test_n] | map(tostring) | @tsv' |
            awk '{printf "%.6f\t%.6f\t%d\n", $1, $2, $3}')
    diff <(cut -f 3 <<<"${lines[1]}") <(awk -F '\t' 'NR == 2 { printf "%.6f\n", sqrt($2 * (1 - $2) / $5) }' <<<"$output")
    # The classes' counts add up to the whole.
    awk -F '\t' 'NR > 2 && $2 == 4 { n += $2; correct += $3 } END { exit n != 40 || correct < 1 }' <<<"$output"
    diff <(awk -F '\t' '$2 == 4 { c += $3 } END { printf "%.6f\n", c / 40 }' <<<"$output") <(cut -f 2 <<<"${lines[1]}")
}

@test "--json: the tables as one object" {
    expect 0 finetune -q --steps 2 --test s.tar.zst --per-class --json -o run s.tar.zst
    [ "$(jq -c '[.accuracy[0].method, .accuracy[0].n, (.classes | length)]' <<<"$output")" = '["finetune",40,10]' ]
    [ "$(jq -c '.accuracy[0].settings | [.classes, .steps, .label_fraction == 1]' <<<"$output")" = '[10,2,true]' ]
}

@test "without --test nothing is printed, and what was learned is the same" {
    expect 0 finetune -q --steps 6 -o alone s.tar.zst
    [ -z "$output$stderr" ]
    expect 0 finetune -q --steps 6 --test s.tar.zst --eval-every 1 -o judged s.tar.zst
    cmp alone/$CHECKPOINT judged/$CHECKPOINT
}

# ---- the same again ----

@test "equal for every number of threads, and resumed at any step" {
    finetune -q -j 1 --steps 12 --test s.tar.zst -o whole s.tar.zst >table
    finetune -q -j 2 --steps 12 --test s.tar.zst -o two s.tar.zst >table-2
    expect_same whole two
    diff <(cut -f 1-6,8 table) <(cut -f 1-6,8 table-2)
    for threads in 1 2; do
        rm -rf cut
        code=0
        finetune -q -j $threads --steps 12 --max-time 0.001s --test s.tar.zst -o cut s.tar.zst || code=$?
        until [ $code -eq 0 ]; do
            [ $code -eq 75 ]
            [ ! -e cut/DONE ]
            code=0
            nnclr-finetune -q -j $((3 - threads)) --max-time 0.001s --resume -o cut >table-3 || code=$?
        done
        expect_same whole cut
        diff <(cut -f 1-6,8 table) <(cut -f 1-6,8 table-3)
    done
    expect 0 nnclr-finetune --resume -o cut
    expect_message nnclr-finetune "cut: this run is finished (12 of 12 steps): to train further, start a new one with -m cut -o cut2"
}

@test "TERM and INT: a checkpoint, 75 or death by the signal, and on with --resume" {
    finetune -q --steps 40 -o whole s.tar.zst
    for signal in TERM INT; do
        rm -rf cut
        # It stops itself before it writes a line of the metrics, so that it cannot be at its end
        # already.
        stop_below="cut" start write:14:stop \
            nnclr-finetune -q -m "$from" --batch 8 --lr 0.5 --steps 40 -o cut s.tar.zst
        send $signal
        ends_with "$([ $signal = TERM ] && echo 75 || echo 130)"
        [ ! -e cut/DONE ]
        diff <(step_of cut/$CHECKPOINT) <(tail -1 cut/metrics.jsonl | jq .step)
        expect 0 nnclr-finetune -q --resume -o cut
        expect_same whole cut
    done
}

@test "--keep, and --force over an older run" {
    finetune -q --steps 4 --save-every 1steps --keep 3 -o run s.tar.zst
    expect_files run $CHECKPOINT checkpoint-0002.safetensors.zst checkpoint-0003.safetensors.zst \
        checkpoint-0004.safetensors.zst metrics.jsonl run.json DONE .lock
    refuses 2 "--force" finetune --steps 4 -o run s.tar.zst
    expect 0 finetune -q --steps 2 --force -o run s.tar.zst
    expect_files run $CHECKPOINT metrics.jsonl run.json DONE .lock
}

# ---- what it learns from ----

# A shard of the same names and labels; record I shows another picture for each I of the list.
make_other() { # NAME RECORD...
    local name=$1 record
    shift
    rm -rf pictures
    cp -r "$(shapes 40)" pictures
    for record; do
        cp "$(shapes 400)/$(nnclr-prep --list-contents s.tar.zst | awk -F '\t' -v r="$record" '$1 == r { print $3 }')/0007.png" \
            "pictures/$(nnclr-prep --list-contents s.tar.zst | awk -F '\t' -v r="$record" '$1 == r { print $4 }')"
    done
    nnclr-prep -q -o "$name.tar.zst" pictures
}

@test "--label-fraction: exactly the records that another program draws" {
    need python3
    nnclr-prep --list-contents s.tar.zst | tail -n +2 | cut -f 2 >labels
    for seed in 0 5; do
        python3 "$NNCLR_ROOT/tests/reference/label_draw.py" $seed 0.5 <labels >drawn
        [ "$(wc -l <drawn)" -eq 20 ]
        mapfile -t left < <(seq 0 39 | grep -vxFf drawn)
        make_other others "${left[@]}"
        make_other one "$(head -1 drawn)"
        for data in s others one; do
            finetune -q --seed $seed --label-fraction 0.5 --epochs 1 --force -o $data $data.tar.zst
        done
        cmp <(weights s) <(weights others)
        differ <(weights s) <(weights one)
    done
    [ "$(jq -c '[.records, .steps_per_epoch, .config.label_fraction]' s/run.json)" = '[20,2,0.5]' ]
}

@test "one picture of each class at least; the batch is then as small" {
    expect 0 nnclr-finetune -q -m "$from" --label-fraction 0.01 --steps 3 -o run s.tar.zst
    [ "$(jq -c '[.records, .config.batch, .steps_per_epoch]' run/run.json)" = '[10,10,1]' ]
}

@test "records without a label are left out" {
    mkdir flat
    cp "$(shapes 400)"/disc/000[1-5].png flat
    nnclr-prep -q -o flat.tar.zst flat
    for fraction in 1 0.5; do
        finetune -q --label-fraction $fraction --steps 9 --force -o labelled s.tar.zst
        finetune -q --label-fraction $fraction --steps 9 --force -o both s.tar.zst flat.tar.zst
        cmp <(weights labelled) <(weights both)
    done
    [ "$(jq .records both/run.json)" = 20 ]
}

# ---- that it learns ----

# bats test_tags=long
@test "the whole network learns more than a linear classifier on its features" {
    make_shard train 400
    nnclr-pretrain -q --preset tiny --size 16 --batch 8 --queue 20 --steps 1 -o pre s.tar.zst
    "$NNCLR_SHAPES" --count 1 --test 20 --size 32 --seed 9 judged >/dev/null
    nnclr-prep -q -o test.tar.zst judged/test
    for data in train test; do nnclr-embed -q -m pre -o $data.emb $data.tar.zst; done
    linear=$(nnclr-lineval -q --methods linear train.emb test.emb | tail -1 | cut -f 2)
    expect 0 nnclr-finetune -q -m pre --lr 1 --batch 32 --epochs 20 --crop 0.5,1 --eval-every 99 \
        --test test.tar.zst -o run train.tar.zst
    whole=$(tail -1 <<<"$output" | cut -f 2)
    echo "linear $linear, fine-tuned $whole"
    awk "BEGIN { exit !($whole > $linear + 0.2 && $whole > 0.5) }"
}

# ---- what others make of it ----

@test "nnclr-embed reads it, and its features and classifier say what --test said" {
    need zstd
    need_python numpy
    finetune -q --steps 30 --test s.tar.zst --eval-every 99 -o run s.tar.zst >table
    nnclr-embed -q -m run/$CHECKPOINT -o s.emb s.tar.zst
    nnclr-export -o s.npy s.emb
    nnclr-export -o s.tsv s.emb
    nnclr-export -o weights.safetensors run/$CHECKPOINT
    "$python" - "$(cut -f 2,6 table | tail -1)" <<'PY'
import sys
import numpy as np
from tensors import load
tensors = load("weights.safetensors")[1]
weight, bias = (tensors[name].array.astype(float) for name in ("fc.weight", "fc.bias"))
logits = np.load("s.npy").astype(float) @ weight.T + bias
label = np.array([int(l.split("\t")[1]) for l in open("s.tsv").read().splitlines()[1:]])
logits -= logits.max(1, keepdims=True)
loss = (np.log(np.exp(logits).sum(1)) - logits[np.arange(40), label]).mean()
top1, said = map(float, sys.argv[1].split())
assert abs((logits.argmax(1) == label).mean() - top1) < 1e-6
assert abs(loss - said) < 1e-5, (loss, said)
PY
    refuses 2 "has no projector" nnclr-embed -m run/$CHECKPOINT --layer projection -o x s.tar.zst
}

@test "torchvision's resnet18 loads the exported file strictly, last layer included" {
    need_python numpy,torch,torchvision
    nnclr-pretrain -q --preset tiny --size 8 --width 1 --stem imagenet --batch 8 --queue 20 --steps 1 -o wide s.tar.zst
    nnclr-finetune -q -m wide/$CHECKPOINT --batch 8 --steps 3 -o run s.tar.zst
    nnclr-export -o weights.safetensors run/$CHECKPOINT
    "$python" - <<'PY'
import torch, torchvision
from tensors import load
model = torchvision.models.resnet18(num_classes=10)
tensors = load("weights.safetensors")[1]
model.load_state_dict({k: torch.tensor(t.array) for k, t in tensors.items()}, strict=True)
assert float(model.fc.weight.abs().max()) > 0
PY
}

@test "it starts from an exported file as from its checkpoint" {
    nnclr-export -o weights.safetensors "$from"
    finetune -q --steps 3 -o a s.tar.zst
    nnclr-finetune -q -m weights.safetensors --batch 8 --lr 0.5 --steps 3 -o b s.tar.zst
    cmp a/$CHECKPOINT b/$CHECKPOINT
}

@test "--lr 0: the backbone stays, the classifier learns" {
    need zstd
    finetune -q --lr 0 --head-lr 1 --steps 3 -o run s.tar.zst
    nnclr-export -o a.safetensors "$from"
    nnclr-export -o b.safetensors run/$CHECKPOINT
    python3 - <<'PY'
from tensors import load
a, b = load("a.safetensors")[1], load("b.safetensors")[1]
fixed = [k for k in a if "running" not in k and "num_batches" not in k]
assert fixed and all(a[k] == b[k] for k in fixed)
assert a["bn1.running_mean"] != b["bn1.running_mean"]
assert any(b["fc.weight"].data) and set(b) - set(a) == {"fc.weight", "fc.bias"}
PY
}

# ---- refusals ----

@test "runs of the two programs that train are told apart" {
    cp -r "$BATS_FILE_TMPDIR/pre" pre
    rm pre/DONE
    refuses 2 "pre: this is a run of nnclr-pretrain: go on with nnclr-pretrain --resume" nnclr-finetune --resume -o pre
    finetune -q --steps 3 --max-time 0.001s -o run s.tar.zst || [ $? -eq 75 ]
    refuses 2 "run: this is a run of nnclr-finetune: go on with nnclr-finetune --resume" nnclr-pretrain --resume -o run
}

@test "wrong usage: exit 2, one sentence, nothing on the disk" {
    refuses_each nnclr-finetune <<END
2|-o run s.tar.zst|nothing to fine-tune: give -m CHECKPOINT
2|-m $from s.tar.zst|no run: give -o RUN
2|-m $from -o run|no input: give a shard
2|-m $from -o - s.tar.zst|a run is a folder
2|-m - -o run -|standard input can be given only once
2|-m $from -o run --label-fraction 0 s.tar.zst|--label-fraction
2|-m $from -o run --label-fraction 1.5 s.tar.zst|--label-fraction
2|-m $from -o run --epochs 2 --steps 3 s.tar.zst|give one of the two
2|-m $from -o run --schedule constant --final-lr 0.1 s.tar.zst|--final-lr
2|-m $from -o run --eval-every 2 s.tar.zst|--eval-every: there is nothing to test on
2|-m $from -o run --per-class s.tar.zst|--per-class: there is nothing to test on
2|-m $from -o run --json s.tar.zst|--json: no table is printed
2|-m $from -o run --batch 41 s.tar.zst|a batch of 41 is larger than the data, which has 40 pictures
2|-m $from -o run --crop 0.9,0.2 s.tar.zst|the crop's smallest area
2|-m $from -o run --batch 8 --micro-batch 3 s.tar.zst|micro-batches of 3
2|--resume -o run --lr 1|--lr cannot be given with --resume
2|--resume -o run|run
END
    [ ! -e run ]
}

@test "data that cannot be learned from or judged on: exit 2, no run" {
    mkdir -p flat one/disc other/disc other/unknown
    cp "$(shapes 400)"/disc/000[1-5].png flat
    cp "$(shapes 400)"/disc/000[1-5].png one/disc
    cp "$(shapes 400)"/disc/0001.png other/disc
    cp "$(shapes 400)"/disc/0003.png other/unknown
    for data in flat one other; do nnclr-prep -q -o $data.tar.zst $data; done
    refuses 2 "flat.tar.zst: its pictures have no labels, and a classifier needs two" finetune -o run flat.tar.zst
    refuses 2 "one.tar.zst: its pictures have one class" finetune -o run one.tar.zst
    expect 2 finetune --test other.tar.zst -o run s.tar.zst
    expect_message nnclr-finetune 'other.tar.zst: the class "unknown" is not among the 10 of the training set'
    refuses 2 "flat.tar.zst: its pictures have no labels" finetune --test flat.tar.zst -o run s.tar.zst
    expect 1 nnclr-finetune -m s.tar.zst -o run s.tar.zst
    [ ! -e run ]
}

@test "weights of no network: refused" {
    python3 -c 'import tensors; tensors.store("x.safetensors", None, {"x": ("F32", [1], bytes(4))})'
    run --separate-stderr nnclr-finetune -m x.safetensors -o run s.tar.zst
    [ "$status" -eq 1 ] || [ "$status" -eq 2 ]
    expect_message nnclr-finetune "x.safetensors"
    [ ! -e run ]
}

@test "a damaged checkpoint, other data, too high a rate" {
    finetune -q --steps 40 --max-time 0.001s -o run s.tar.zst || [ $? -eq 75 ]
    make_shard t 100
    refuses 2 "shard 1 is not the one that the run was started with" nnclr-finetune --resume -o run t.tar.zst
    cp run/$CHECKPOINT whole
    flip_bit run/$CHECKPOINT 20000
    refuses 1 "run/$CHECKPOINT" nnclr-finetune --resume -o run
    cp whole run/$CHECKPOINT
    expect 0 nnclr-finetune -q --resume -o run
    refuses 1 "start again with a lower --lr" finetune -q --lr 1e20 --steps 20 -o high s.tar.zst
    [ -e high/$CHECKPOINT ]
    [ ! -e high/DONE ]
}

@test "--dry-run: tables, and nothing on the disk" {
    expect 0 finetune -q --dry-run --json --steps 5 s.tar.zst
    [ "$(jq -c '[.network[-2].op, .cost[0].steps]' <<<"$output")" = '["fc",5]' ]
    [ "$(find . -mindepth 1 ! -name 'separate-stderr*')" = ./s.tar.zst ]
}
