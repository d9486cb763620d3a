#!/usr/bin/env bats
# What nnclr-views writes is what the operators of torchvision and Pillow, or those of --jitter tf
# as they are defined, make of the same pictures with the same parameters.
load helpers

setup() {
    need_python numpy,PIL,torch,torchvision
    cd "$BATS_TEST_TMPDIR"
}

# Makes 40 pictures' views with each line of options and compares them: a line of $output for each
# says how far apart they are.
compare() { # SHARD <options
    local options files=()
    mkdir pictures
    zstdcat "$1" | tar -C pictures -xf -
    while read -r options; do
        files+=("${#files[@]}.safetensors")
        nnclr-views -q -n 40 $options -o "${files[-1]}" "$1"
    done
    expect 0 "$python" "$NNCLR_ROOT/tests/reference/views_torch.py" pictures "${files[@]}"
    [ "$(grep -c '^80 views, ' <<<"$output")" = ${#files[@]} ]
}

@test "views of drawn pictures are torchvision's, or those of the definition" {
    make_shard s 40
    compare s.tar.zst <<'END'
--preset tiny
--preset cifar --augment byol --size 64 --blur 1,0.5 --seed 3
--preset tiny --jitter tf
END
}

@test "views of CIFAR pictures are torchvision's, for each ready-made augmentation" {
    need_data cifar10/cifar10-12k.tar
    nnclr-prep -q --root cifar10/test -o c.tar.zst "$NNCLR_TEST_DATA/cifar10/cifar10-12k.tar"
    compare c.tar.zst <<'END'
--preset cifar
--size 80 --epoch 2
--preset cifar --augment simclr --interpolation bilinear --blur 1,1 --solarize 0.5,0.5 --seed 123456789012345
--preset cifar --augment crop --crop 0.3,0.9
--preset cifar --augment none
--preset cifar --jitter tf --seed 9
--jitter tf --size 64 --blur 1,1 --interpolation bilinear
END
    [[ ${lines[0]} == *" blur 0 "* && ${lines[2]} == *" blur 80 "* && ${lines[6]} == *" blur 80 "* ]]
    [[ ${lines[4]} == "80 views, flip 0 jitter 0 gray 0 blur 0 solarize 0: "* ]]
}
