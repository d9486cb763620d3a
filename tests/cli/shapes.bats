#!/usr/bin/env bats
# examples/shapes: the pictures that the demo and these tests are made of.
load helpers

@test "equal options give equal files, another seed gives others" {
    "$NNCLR_SHAPES" --count 3 --test 2 --size 24 --seed 5 a
    "$NNCLR_SHAPES" --count 3 --test 2 --size 24 --seed 5 b
    "$NNCLR_SHAPES" --count 3 --test 2 --size 24 --seed 6 c
    diff -r a b
    for file in a/*/*/*; do
        differ "$file" "c/${file#a/}"
    done
}

@test "ten classes, JPEG and PNG, as many pictures and as large as asked for, none twice" {
    "$NNCLR_SHAPES" --count 4 --test 2 --size 40 a
    for part in train:4 test:2; do
        nnclr-prep -q --strict -o a.tar.zst "a/${part%:*}"
        nnclr-prep --list-contents a.tar.zst | tail -n +2 >table
        [ "$(cut -f 3 table | sort | uniq -c | awk '{ print $1 }' | uniq -c | tr -s ' ')" = " 10 ${part#*:}" ]
        [ "$(cut -f 5,6,7 table | sort | uniq -c | tr -s ' ')" = " $((10 * ${part#*:} / 2)) 40"$'\t40\tjpg\n'" $((10 * ${part#*:} / 2)) 40"$'\t40\tpng' ]
    done
    [ -z "$(sha256sum a/*/*/* | cut -d ' ' -f 1 | sort | uniq -d)" ]
}

@test "wrong usage: exit 2 and the options" {
    for arguments in '' '--count' '--count 0 a' '--nonsense 3 a' '--size x a' 'a b'; do
        run --separate-stderr "$NNCLR_SHAPES" $arguments
        [ "$status" -eq 2 ]
        [[ $stderr == *'usage: make-shapes'* ]]
    done
    [ ! -e a ]
    expect 1 "$NNCLR_SHAPES" /dev/null/a
    expect_message make-shapes /dev/null/a
}
