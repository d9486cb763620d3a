#!/usr/bin/env bats
# Every command that the README and the manual pages show is run, in their order, in a folder that
# holds what a reader has: pictures. Commands are the lines of README blocks that open with ```sh,
# and the lines "$ command" of manual pages.
load helpers

setup_file() {
    export EXAMPLES=$BATS_FILE_TMPDIR/examples
    mkdir -p "$EXAMPLES"
    "$NNCLR_SHAPES" --count 10 --test 4 --size 32 --seed 3 "$EXAMPLES/pictures" >/dev/null
    mv "$EXAMPLES/pictures/train" "$EXAMPLES/photos"
    mv "$EXAMPLES/pictures/test" "$EXAMPLES/test-photos"
    rmdir "$EXAMPLES/pictures"
    tar -C "$EXAMPLES" -cf "$EXAMPLES/photos.tar" photos
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

@test "manual pages: every command works" {
    command -v mandoc >/dev/null || skip "no mandoc"
    for page in "$NNCLR_ROOT"/man/*.[157]; do
        man_commands "$page" >"$BATS_TEST_TMPDIR/commands"
        if [ ! -s "$BATS_TEST_TMPDIR/commands" ]; then
            echo "$page shows no command"
            return 1
        fi
        echo "== $page"
        run_commands "$(basename "$page")" <"$BATS_TEST_TMPDIR/commands"
    done
}

@test "README names every program and every page exists" {
    for program in "$NNCLR_ROOT"/cmd/nnclr-*.c; do
        name=$(basename "$program" .c)
        grep -q "\`$name\`" "$NNCLR_ROOT/README.md"
        [ -f "$NNCLR_ROOT/man/$name.1" ]
    done
}
