#!/usr/bin/env bats
# make install, uninstall and dist: what is there afterwards, and that it works from there.
load helpers

setup_file() {
    export STAGE=$BATS_FILE_TMPDIR/stage
    command -v make >/dev/null || return 0
    # The programs that are tested, into a stage.
    build=$(dirname "$(readlink -f "$NNCLR_BIN/nnclr-prep")")
    mkdir "$STAGE"
    export MPI=
    [ ! -e "$build/nnclr-mpi.so" ] || MPI=1
    make -s -C "$NNCLR_ROOT" OUT="$build" MPI=$MPI install DESTDIR="$STAGE" PREFIX=/opt/nnclr 3>&-
}

setup() {
    need make
    cd "$BATS_TEST_TMPDIR"
    INSTALLED=$STAGE/opt/nnclr
    # Only what is installed, and the system's own.
    PATH=$INSTALLED/bin:$(tr ':' '\n' <<<"$PATH" | grep -vxF "$NNCLR_BIN" | paste -sd :)
}

sources() { # the programs, by their sources
    basename -a "$NNCLR_ROOT"/cmd/nnclr-*.c | sed 's/\.c$//'
}

@test "every program, page, example and completion is there, and nothing else" {
    {
        for program in $(sources); do
            echo "bin/$program"
            echo "share/man/man1/$program.1"
            echo "share/bash-completion/completions/$program"
            echo "share/zsh/site-functions/_$program"
            echo "share/fish/vendor_completions.d/$program.fish"
        done
        echo libexec/nnclr/make-shapes
        [ -z "$MPI" ] || echo lib/nnclr/nnclr-mpi.so
        for page in "$NNCLR_ROOT"/man/*.[57]; do
            echo "share/man/man${page##*.}/$(basename "$page")"
        done
        (cd "$NNCLR_ROOT" && find README.md CHANGELOG.md LICENSE examples -type f ! -name '*.c' -printf 'share/doc/nnclr/%p\n')
    } | sort >want
    (cd "$INSTALLED" && find . -type f -printf '%P\n') | sort | diff want -
    [ -z "$(find "$STAGE" ! -type d ! -type f)" ]
    # Readable for all, and only programs can be executed.
    [ -z "$(find "$STAGE" -type f ! -perm 644 ! -perm 755)" ]
    diff <(cd "$INSTALLED" && find . -type f -perm 755 -printf '%P\n' | sort) \
        <({ sources | sed 's|^|bin/|'; echo libexec/nnclr/make-shapes; [ -z "$MPI" ] || echo lib/nnclr/nnclr-mpi.so; printf 'share/doc/nnclr/examples/%s\n' cluster/hosts.sh shapes/run.sh; } | sort)
}

# With build/ first in PATH, as the README offers it, make would take build/cc for the compiler.
@test "no folder in build/ has the name of a tool" {
    for folder in "$NNCLR_ROOT"/build/*/; do
        [ -z "$(type -P "$(basename "$folder")")" ]
    done
}

@test "installed programs work without the folder they were built in" {
    for program in $(sources); do
        [ "$(command -v "$program")" = "$INSTALLED/bin/$program" ]
        expect 0 "$program" --version
    done
    "$INSTALLED/libexec/nnclr/make-shapes" --count 2 --test 0 --size 24 pictures >/dev/null
    nnclr-prep -q -o a.tar.zst pictures/train
    nnclr-embed -q --pixels 4 -o a.emb a.tar.zst
    [ "$(nnclr-queue-inspect -q -k 2 -n 3 a.emb a.tar.zst | wc -l)" -eq 7 ]
}

@test "installed pages are found by man" {
    need man
    for page in "$NNCLR_ROOT"/man/*.[157]; do
        name=$(basename "$page")
        [ "$(MANPATH=$INSTALLED/share/man man -w "${name##*.}" "${name%.*}")" = "$INSTALLED/share/man/man${name##*.}/$name" ]
    done
}

# bats test_tags=long
@test "installed examples find the installed programs and work in the current folder" {
    examples=$INSTALLED/share/doc/nnclr/examples
    chmod -R a-w "$examples"
    "$INSTALLED/libexec/nnclr/make-shapes" --count 8 --test 0 --size 32 pictures >/dev/null
    expect 0 make -s -f "$examples/folder-of-photos/Makefile" PHOTOS=pictures/train EPOCHS=1 QUERIES=3
    [ -s folder-of-photos/neighbours.png ]
    expect 0 make -s -f "$examples/ablations/Makefile" COUNT=8 TEST_COUNT=3 EPOCHS=1 OPTIONS='--batch 32' SEEDS=1 CELLS=base
    [ -s ablations/table.tsv ]
    expect 0 make -n -f "$examples/cifar10/Makefile" CIFAR10=pictures
    [[ $output == *"$(realpath "$INSTALLED/bin")/nnclr-prep --root"*"-o $PWD/cifar10/train.tar.zst"* ]]
    # A run this short proves nothing, and says so at its end.
    expect 1 env EPOCHS=1 COUNT=8 TEST=3 "$examples/shapes/run.sh" "$INSTALLED/bin" shapes
    [[ $output == *'trained, NNCLR'* ]]
    [ -s shapes/queue.png ]
    chmod -R u+w "$examples"
}

@test "bash finds the installed completions by itself" {
    library=/usr/share/bash-completion/bash_completion
    [ -r "$library" ] || skip "no bash-completion"
    run -0 env XDG_DATA_DIRS="$INSTALLED/share" bash -c ". $library; _completion_loader nnclr-embed; complete -p nnclr-embed"
    [ "$output" = 'complete -o default -F _nnclr_embed nnclr-embed' ]
}

@test "uninstall removes what install put there and nothing else" {
    make -s -C "$NNCLR_ROOT" OUT="$(dirname "$(readlink -f "$NNCLR_BIN/nnclr-prep")")" install DESTDIR="$PWD/my stage" 3>&-
    prefix='my stage/usr/local'
    [ -x "$prefix/bin/nnclr-prep" ]
    echo mine | tee "$prefix/bin/nnclr" "$prefix/share/man/man1/mine.1" >"$prefix/share/doc/nnclr/examples/notes"
    make -s -C "$NNCLR_ROOT" uninstall DESTDIR="$PWD/my stage"
    diff <(find 'my stage' -type f | sort) <(printf "$prefix/%s\n" bin/nnclr share/doc/nnclr/examples/notes share/man/man1/mine.1)
    [ ! -e "$prefix/libexec/nnclr" ]
    rm "$prefix/share/doc/nnclr/examples/notes"
    make -s -C "$NNCLR_ROOT" uninstall DESTDIR="$PWD/my stage"
    [ ! -e "$prefix/share/doc/nnclr" ]
}

# The archive of these files, also of what is not committed yet: $archive, made in a clone that has the
# umask and the file dates given.
make_dist() { # FOLDER UMASK DATE
    git -C "$NNCLR_ROOT" rev-parse HEAD >/dev/null 2>&1 || skip "not a git repository"
    git clone -q "$NNCLR_ROOT" "$1"
    (cd "$NNCLR_ROOT" && git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$OLDPWD/$1")
    git -C "$1" add -A
    find "$1" -type f -not -path '*/.git/*' -exec touch -d "$3" {} +
    [ "$2" = 022 ] || chmod -R go-rwx "$1"
    (umask "$2" && make -s -C "$1" dist 3>&-)
    version=$(nnclr-prep --version | cut -d ' ' -f 2)
    archive=$1/build/nnclr-$version.tar.gz
}

@test "dist: equal bytes whatever the umask, clock and folder" {
    need git
    make_dist one 077 yesterday
    LC_ALL=C.UTF-8 make_dist two 022 now
    cmp one/"${archive#two/}" "$archive"
    [ -z "$(tar -tf "$archive" | grep -v "^nnclr-$version/")" ]
}

# bats test_tags=long
@test "dist builds and installs without git" {
    need git
    make_dist one 022 now
    mkdir empty bin
    tar -xf "$archive" -C empty
    printf '#!/bin/sh\nexit 1\n' >bin/git
    chmod +x bin/git
    rm -rf one
    PATH=$PWD/bin:$PATH make -s -j2 -C empty/nnclr-$version CC="${CC:-cc}" CFLAGS=-O0 install DESTDIR="$PWD/stage" 3>&-
    diff <(cd "$INSTALLED" && find . -type f | sort) <(cd stage/usr/local && find . -type f | sort)
    [ "$(stage/usr/local/bin/nnclr-prep --version)" = "nnclr-prep $version" ]
    run make -s -C empty/nnclr-$version dist 3>&-
    [ "$status" -ne 0 ]
    [[ $output == *'dist: this is not a git repository'* ]]
}
