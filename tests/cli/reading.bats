#!/usr/bin/env bats
# What must not change while reading becomes faster.
load helpers

# Made by the plain loops that came before the fast ones. Other kinds of CPU may differ in last bits,
# which would show here and there in rounded values.
@test "the views of CIFAR's pictures keep their bytes" {
    need_data cifar10/cifar10-12k.tar
    need zstd
    [ "$(uname -m)" = x86_64 ] || skip "the sums are of x86-64"
    nnclr-prep -q --root cifar10/test -o a.tar.zst "$NNCLR_TEST_DATA/cifar10/cifar10-12k.tar"
    while read -r sum options; do
        # the header before the views says how they were made
        [ "$(nnclr-views -q $options --size 32 --u8 -o - a.tar.zst | zstdcat |
            tail -c $((2000 * 2 * 32 * 32 * 3)) | sha256sum | cut -d ' ' -f 1)" = "$sum" ]
    done <<'END'
da7d5109a965b519e6050b8c620676d598329723cf68115cea8bc783b8d3d3f0 --preset cifar
333f6051f77e56a69c41e51d8676664072c882828b092067a2d1032612e6e59e --preset tiny --interpolation bilinear
END
}

@test "views in the order of a shuffle window train as the shards with that window do" {
    make_shard s 200
    options="--preset tiny --size 16"
    train() { # RUN [option...]
        local run=$1
        shift
        nnclr-pretrain $options --batch 8 --queue 20 --epochs 1 -q -o "$run" "$@"
    }
    train shards --shuffle-window 1 s.tar.zst
    nnclr-views $options -q --order training --shuffle-window 1 -o v.safetensors.zst s.tar.zst
    train given --views v.safetensors.zst
    diff <(timeless shards) <(timeless given)
    nnclr-views $options -q --order training -o v.safetensors.zst s.tar.zst
    train exact --views v.safetensors.zst
    differ <(timeless shards) <(timeless exact)
    refuses 2 '--shuffle-window goes with --order training' nnclr-views --shuffle-window 1 -o v s.tar.zst
}

# Vectors of any width round like single numbers.
@test "the loops for wide vectors and for none make the same pictures and views, bit for bit" {
    narrow=$(dirname "$(readlink -f "$NNCLR_BIN/nnclr-prep")")/narrow
    "$NNCLR_SHAPES" --count 3 --test 0 --size 203 pictures
    nnclr-prep -q --size 150 -o wide.tar.zst pictures/train
    "$narrow/nnclr-prep" -q --size 150 -o narrow.tar.zst pictures/train
    cmp wide.tar.zst narrow.tar.zst
    while read -r options; do
        nnclr-views -q $options -o wide.safetensors wide.tar.zst
        "$narrow/nnclr-views" -q $options -o narrow.safetensors wide.tar.zst
        cmp wide.safetensors narrow.safetensors || { echo "$options"; return 1; }
    done <<'END'
--preset imagenet --size 97 --jitter-p 1
--preset imagenet --size 97 --jitter tf --gray 0.5 --solarize 0.5,0.5
--preset imagenet --size 64 --interpolation bilinear
--preset cifar --size 33
END
}
