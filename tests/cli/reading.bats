#!/usr/bin/env bats
# What must not change while reading becomes faster.
load helpers

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# Made by the plain loops that came before the fast ones. Other kinds of CPU may differ in last bits,
# which would show here and there in rounded values.
@test "the views of CIFAR's pictures keep their bytes" {
    need_data cifar10/cifar10-12k.tar
    need zstd
    [ "$(uname -m)" = x86_64 ] || skip "the sums are of x86-64"
    nnclr-prep -q --root cifar10/test -o a.tar.zst "$NNCLR_TEST_DATA/cifar10/cifar10-12k.tar"
    while read -r sum options; do
        # the header in front of the views says how they were made
        [ "$(nnclr-views -q $options --size 32 --u8 -o - a.tar.zst | zstdcat |
            tail -c $((2000 * 2 * 32 * 32 * 3)) | sha256sum | cut -d ' ' -f 1)" = "$sum" ]
    done <<'END'
da7d5109a965b519e6050b8c620676d598329723cf68115cea8bc783b8d3d3f0 --preset cifar
333f6051f77e56a69c41e51d8676664072c882828b092067a2d1032612e6e59e --preset tiny --interpolation bilinear
END
}
