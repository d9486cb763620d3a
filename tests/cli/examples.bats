#!/usr/bin/env bats
# Every command that the README and the manual pages show is run, in their order, in a folder that
# holds what a reader has: pictures. Commands are the lines of README blocks that open with ```sh,
# and the lines "$ command" of manual pages.
load helpers

setup_file() {
    export EXAMPLES=$BATS_FILE_TMPDIR/examples
    mkdir -p "$EXAMPLES"
    "$NNCLR_SHAPES" --count 7 --test 3 --size 32 --seed 3 "$EXAMPLES/pictures" >/dev/null
    mv "$EXAMPLES/pictures/train" "$EXAMPLES/photos"
    mv "$EXAMPLES/pictures/test" "$EXAMPLES/test-photos"
    rmdir "$EXAMPLES/pictures"
    tar -C "$EXAMPLES" -cf "$EXAMPLES/photos.tar" photos
    # What a reader downloads: a ResNet's weights, here those of a small one, and nothing else.
    (
        cd "$BATS_FILE_TMPDIR"
        nnclr-pretrain -q --preset tiny --stem imagenet --steps 1 --batch 16 -o other "$EXAMPLES/photos.tar"
        nnclr-export -o told.safetensors other
        python3 "$NNCLR_ROOT/tests/cli/weights.py" told.safetensors "$EXAMPLES/resnet50.safetensors" plain ||
            mv told.safetensors "$EXAMPLES/resnet50.safetensors"
    )
    BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR cifar10_binary "$EXAMPLES/cifar-10-binary.tar.gz" 2 2
}

# Runs the commands of standard input one by one in a fresh copy of the folder.
run_commands() { # name
    local folder=$EXAMPLES/../$1 count=0 line
    rm -rf "$folder"
    cp -r "$EXAMPLES" "$folder"
    cd "$folder"
    while IFS= read -r line; do
        echo "\$ $line"
        PATH=$NNCLR_BIN:$PATH bash -o pipefail -c "$line" </dev/null 3>&- || { echo "exit status $?"; return 1; }
        count=$((count + 1))
    done
    echo "$count commands"
    [ "$count" -gt 0 ]
}

man_commands() { # page: lines that start with "$ " in the rendered page, joined at trailing backslashes
    mandoc -T ascii "$1" | sed 's/.\x08//g' | sed -nE 's/^ *\$ (.*)/\1/p'
}

# head(1) closes the pipe early, which pipefail would report.
readme_commands() {
    sed -n '/^```sh$/,/^```$/{/^```/d;p}' "$NNCLR_ROOT/README.md" | sed -E 's/ +# .*//; s/\| head$/| sed -n 1,10p/'
}

@test "README: every command works" {
    readme_commands >"$BATS_TEST_TMPDIR/commands"
    run_commands readme <"$BATS_TEST_TMPDIR/commands"
}

# bats test_tags=long
@test "manual pages: every command works" {
    command -v mandoc >/dev/null || skip "no mandoc"
    for page in "$NNCLR_ROOT"/man/*.[15]; do
        man_commands "$page" >"$BATS_TEST_TMPDIR/commands"
        if [ ! -s "$BATS_TEST_TMPDIR/commands" ]; then
            echo "$page shows no command"
            return 1
        fi
        echo "== $page"
        run_commands "$(basename "$page")" <"$BATS_TEST_TMPDIR/commands"
    done
}

# The tutorial has more pictures, of four classes, which a short training run can learn.
# bats test_tags=long
@test "nnclr.7: every command works, and the tutorial finds what it plants" {
    need mandoc
    need jq
    EXAMPLES=$BATS_TEST_TMPDIR/pictures
    mkdir -p "$EXAMPLES/photos" "$EXAMPLES/test-photos"
    cp "$BATS_FILE_TMPDIR/examples/resnet50.safetensors" "$EXAMPLES"
    "$NNCLR_SHAPES" --count 100 --test 20 --size 32 --seed 3 "$EXAMPLES/all" >/dev/null
    for class in bars disc dots star; do
        mv "$EXAMPLES/all/train/$class" "$EXAMPLES/photos"
        mv "$EXAMPLES/all/test/$class" "$EXAMPLES/test-photos"
    done
    rm -r "$EXAMPLES/all"
    man_commands "$NNCLR_ROOT/man/nnclr.7" >"$BATS_TEST_TMPDIR/commands"
    run_commands tutorial <"$BATS_TEST_TMPDIR/commands"

    [ "$(tail -n +2 duplicates.tsv | cut -f 5 | sort | paste -sd ' ')" = \
        'bars/planted-twin.jpg disc/0000.jpg disc/planted-copy.jpg star/0000.jpg' ]
    [ "$(tail -n +2 leaks.tsv | cut -f 6,7)" = $'dots/0000.jpg\tdots/planted-leak.jpg' ]
    # near the top of the doubts
    line=$(grep -n $'\tdisc/planted-label.jpg\tstar\t' doubtful.tsv | cut -d : -f 1)
    echo "in line $line of $(wc -l <doubtful.tsv)"
    [ "$line" -le $(($(wc -l <doubtful.tsv) / 3)) ]
    # what was said about the accuracy: pixels, untrained and trained
    awk -F '\t' '$1 == "knn" { top1[FILENAME] = $2 } END { exit !(top1["trained.tsv"] > top1["pixels.tsv"] &&
        top1["pixels.tsv"] > top1["untrained.tsv"] && top1["trained.tsv"] > 0.7 && top1["untrained.tsv"] < 0.55) }' pixels.tsv untrained.tsv trained.tsv
    # the cleaned shard: without the planted ones, and one label put right
    nnclr-prep --list-contents clean.tar.zst | tail -n +2 | cut -f 3,4 >clean
    [ "$(wc -l <clean)" -eq 400 ]
    [ "$(grep planted clean)" = $'star\tdisc/planted-label.jpg' ]
    [ "$(wc -l <clean.tsv)" -eq 401 ]
}

@test "README names every program and every page exists" {
    for program in "$NNCLR_ROOT"/cmd/nnclr-*.c; do
        name=$(basename "$program" .c)
        grep -q "\`$name\`" "$NNCLR_ROOT/README.md"
        [ -f "$NNCLR_ROOT/man/$name.1" ]
    done
}
