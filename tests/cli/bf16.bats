# nnclr-pretrain --precision bf16, on whatever this CPU has for it.
load helpers

setup() {
    unset NNCLR_ENGINE
    cd "$BATS_TEST_TMPDIR"
    make_shard s 80
}

# Batches of 33 pictures leave the second block of 32 nearly empty.
bf16() { # [option...]
    nnclr-pretrain --precision bf16 --preset tiny $PLAIN --size 16 --batch 33 --queue 80 "$@"
}

same_content() { # RUN RUN: of their checkpoints
    cmp <(zstdcat "$1/$CHECKPOINT") <(zstdcat "$2/$CHECKPOINT")
}

@test "a run at bf16 says so, has the same bits with any number of threads, and resumes bit for bit" {
    expect 0 bf16 -q --steps 6 -j 1 -o one s.tar.zst
    expect 0 bf16 -q --steps 6 -j 2 -o two s.tar.zst
    expect 75 bf16 -q --steps 6 --max-time 0.001s -o cut s.tar.zst
    expect 0 nnclr-pretrain -q --resume -j 1 -o cut
    same_content one two
    same_content one cut
    [ "$(jq -r .precision one/run.json)" = bf16 ]
    expect 0 bf16 -q --steps 6 --precision f32 -o float s.tar.zst
    differ <(zstdcat one/$CHECKPOINT) <(zstdcat float/$CHECKPOINT)
}

@test "plain C trains as vectors do, bit for bit" {
    grep -qw avx2 /proc/cpuinfo || skip "no AVX2"
    local options=(-q --steps 3 --stem imagenet --size 32 --engine cpu)
    NNCLR_SIMD=none expect 0 bf16 "${options[@]}" -o plain s.tar.zst
    for simd in avx2 $(grep -ow -m1 avx512dq /proc/cpuinfo | sed 's/dq$//'); do
        NNCLR_SIMD=$simd expect 0 bf16 "${options[@]}" -o $simd s.tar.zst
        [[ $(jq -r .host.vectors $simd/run.json) == $simd* ]]
        same_content $simd plain
    done
}

# Mean loss of steps from .. to.
mean_loss() { # RUN FROM TO
    sed -n "$2,$3p" "$1/metrics.jsonl" | jq -s 'map(.loss) | add / length'
}

@test "bf16 trains as f32 does, and what it trains is embedded as any other checkpoint" {
    expect 0 bf16 -q --epochs 12 -o run s.tar.zst
    expect 0 bf16 -q --epochs 12 --precision f32 -o float s.tar.zst
    # Over twelve runs of three seeds, the two differed by 1.8 % of the loss (one standard deviation).
    awk -v a="$(mean_loss run 1 4)" -v b="$(mean_loss run 17 24)" -v f="$(mean_loss float 17 24)" \
        'BEGIN { exit !(b < 0.96 * a && b > 0.94 * f && b < 1.06 * f) }'
    expect 0 nnclr-embed -m run/$CHECKPOINT -o e.safetensors.zst s.tar.zst
}

@test "micro-batches, a bottleneck and the probe work at bf16" {
    expect 0 bf16 -q --batch 40 --micro-batch 20 --steps 3 --arch resnet50 -o run s.tar.zst
    expect 0 bf16 -q --epochs 2 --probe s.tar.zst --probe-bank s.tar.zst -o probed s.tar.zst
    [ "$(jq -s 'map(select(.probe_top1 != null)) | length' probed/metrics.jsonl)" -ge 1 ]
}

@test "an engine that this machine lacks is refused with what runs here" {
    if grep -q amx_bf16 /proc/cpuinfo; then skip "AMX is here"; fi
    refuses 2 "engine amx needs a CPU with AMX-BF16" bf16 -q --engine amx --steps 1 -o run s.tar.zst
    NNCLR_ENGINE=amx expect 2 bf16 -q --steps 1 -o run s.tar.zst
    NNCLR_ENGINE=fpga refuses 2 "NNCLR_ENGINE=fpga is none of auto, cpu, amx, cuda" bf16 -q --steps 1 -o run s.tar.zst
    [ ! -e run ]
}

@test "vectors of a name that does not exist are refused at bf16 too" {
    [ "$(uname -m)" = x86_64 ] || skip "no vectors to choose"
    NNCLR_SIMD=mmx refuses 2 "NNCLR_SIMD=mmx is none of avx512, avx2, none" bf16 -q --engine cpu --steps 1 -o run s.tar.zst
    [ ! -e run ]
}

# Gradients show in one step of SGD with rate 1.
@test "gradients at bf16 are no further from float than PyTorch's under autocast" {
    local batch files=() precision
    need_python numpy,torch,torchvision
    common=(-q --method simclr --arch resnet18 --width 1 --stem cifar --size 16 --proj '256,256,64' --batch 32 --mean '0.485,0.456,0.406' --std '0.229,0.224,0.225' --temperature 0.1)
    expect 0 nnclr-pretrain --preset tiny "${common[@]}" --steps 15 -o trained s.tar.zst
    zstd -q -d trained/$CHECKPOINT -o trained.safetensors
    for batch in 1 2 3 4; do
        nnclr-views -q -n 32 --preset tiny --size 16 --seed $batch -o $batch.safetensors s.tar.zst
        for precision in f32 bf16; do
            expect 0 nnclr-pretrain --preset tiny "${common[@]}" --init trained.safetensors --precision $precision \
                --optimizer sgd --momentum 0 --weight-decay 0 --lr 1 --lr-scale none --schedule constant \
                --warmup 0 --steps 1 -o $batch.$precision --views $batch.safetensors
            zstd -q -d $batch.$precision/$CHECKPOINT -o $batch.safetensors.$precision
        done
        files+=("$batch.safetensors")
    done
    expect 0 "$python" "$NNCLR_ROOT/tests/reference/bf16_gradient.py" trained.safetensors "${files[@]}"
    echo "# ${lines[-1]}" >&3
}
