# The same programs on CPUs that lack vectors that this one may have, in QEMU's user mode.
load helpers
# bats file_tags=long

setup() {
    cd "$BATS_TEST_TMPDIR"
    need qemu-x86_64
    [ "$(uname -m)" = x86_64 ] || skip "no x86-64"
    make_shard s 40
    unset OPENBLAS_CORETYPE NNCLR_ENGINE NNCLR_SIMD
}

train() { # PREFIX... -- PRECISION RUN
    local prefix=()
    while [ "$1" != -- ]; do prefix+=("$1"); shift; done
    expect 0 "${prefix[@]}" "$NNCLR_BIN/nnclr-pretrain" -q --precision "$2" --preset tiny --size 16 \
        --batch 20 --queue 40 --steps 2 -j 2 -o "$3" s.tar.zst
}

on_cpu() { # MODEL PRECISION RUN: QEMU warns of flags that it does not offer, the program says nothing
    train qemu-x86_64 -cpu "$1" -- "$2" "$3"
}

same_content() { # RUN RUN: of their checkpoints
    cmp <(zstdcat "$1/$CHECKPOINT") <(zstdcat "$2/$CHECKPOINT")
}

vectors() { # RUN
    jq -r '.engine + " " + (.host.vectors // "none")' "$1/run.json"
}

@test "without AVX: the same bits as a modern CPU that is told to use none" {
    for precision in f32 bf16; do
        on_cpu Nehalem $precision old-$precision
        train env OPENBLAS_CORETYPE=Nehalem NNCLR_SIMD=none -- $precision new-$precision
        [ "$(vectors old-$precision)" = "cpu none" ]
        same_content old-$precision new-$precision
    done
}

@test "with AVX2 and no AVX-512: likewise, and vectors are used" {
    grep -q avx2 /proc/cpuinfo || skip "no AVX2 here to compare with"
    for precision in f32 bf16; do
        on_cpu Haswell $precision old-$precision
        train env OPENBLAS_CORETYPE=Haswell NNCLR_SIMD=avx2 -- $precision new-$precision
        [ "$(vectors old-$precision)" = "cpu avx2" ]
        same_content old-$precision new-$precision
    done
}

@test "vectors that the CPU lacks are refused and not tried" {
    run -2 --separate-stderr qemu-x86_64 -cpu Haswell "$NNCLR_BIN/nnclr-pretrain" -q --engine amx --preset tiny --batch 20 --steps 1 -o run s.tar.zst
    [[ $stderr = *"engine amx needs a CPU with AMX-BF16"* ]]
    NNCLR_SIMD=avx512 run -2 --separate-stderr qemu-x86_64 -cpu Haswell "$NNCLR_BIN/nnclr-pretrain" -q --preset tiny --batch 20 --steps 1 -o run s.tar.zst
    [[ $stderr = *"NNCLR_SIMD=avx512"* ]]
    [ ! -e run ]
}

@test "pictures are packed and embedded on a CPU without AVX as on this one" {
    local old=(qemu-x86_64 -cpu Nehalem)
    train env OPENBLAS_CORETYPE=Nehalem NNCLR_SIMD=none -- f32 run
    "${old[@]}" "$NNCLR_BIN/nnclr-prep" -q -o old.tar.zst "$(shapes 40)" 2>/dev/null
    nnclr-prep -q -o new.tar.zst "$(shapes 40)"
    cmp old.tar.zst new.tar.zst
    "${old[@]}" "$NNCLR_BIN/nnclr-embed" -q -m run/$CHECKPOINT -o old.emb new.tar.zst 2>/dev/null
    OPENBLAS_CORETYPE=Nehalem NNCLR_SIMD=none nnclr-embed -q -m run/$CHECKPOINT -o new.emb new.tar.zst
    cmp old.emb new.emb
}
