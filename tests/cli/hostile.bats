# Inputs made to do harm, and a system that is short of descriptors, room or a disk that reads: an
# answer in bounded time and memory, and no blame for a picture that is not at fault.
load helpers

# ---- the system is at fault, not a picture ----

@test "out of descriptors: exit 1 and no file; with as many as it takes, the whole shard" {
    local folder n made=no
    folder=$(shapes 20)
    nnclr-prep -q -o whole.tar.zst "$folder"
    for n in 5 6 7 8 20; do
        rm -f a.tar.zst
        run --separate-stderr bash -c "exec 3>&- 4>&-; ulimit -n $n; exec nnclr-prep -q -j2 --skip-bad -o a.tar.zst '$folder'"
        echo "$n descriptors: status $status: $stderr"
        if [ "$status" -eq 0 ]; then
            cmp a.tar.zst whole.tar.zst
            made=yes
        else
            [ "$status" -eq 1 ]
            expect_message nnclr-prep 'Too many open files (ulimit -n raises the limit)'
            [ ! -e a.tar.zst ]
        fi
    done
    [ $made = yes ]
}

@test "out of descriptors for what is packed or comes through a pipe: TMPDIR is not to blame" {
    local n input short=0
    make_shard s 20
    for input in "$(shapes 20)" -; do
        for n in 4 5 6 7 8 20; do
            run --separate-stderr bash -c "exec 3>&- 4>&-; cat s.tar.zst |
                (ulimit -n $n; exec nnclr-prep -q --list-contents '$input')"
            echo "$n descriptors: status $status: $stderr"
            [ "$status" -eq 1 ] || continue
            expect_message nnclr-prep 'Too many open files (ulimit -n raises the limit)'
            [[ $stderr != *TMPDIR* ]]
            short=$((short + 1))
        done
        [ "$status" -eq 0 ]
    done
    [ "$short" -ge 3 ]
}

@test "a set of many shards: the soft limit of descriptors is raised, and the hard one is named" {
    local n
    make_shard s 10
    for n in {100..199}; do ln s.tar.zst "s-$n.tar.zst"; done
    expect 0 bash -c 'ulimit -Sn 30; exec nnclr-prep -q --list-contents s-*.tar.zst'
    [ "${#lines[@]}" -eq 1001 ]
    expect 1 bash -c 'ulimit -n 30; exec nnclr-prep -q --list-contents s-*.tar.zst'
    expect_message nnclr-prep 'tar.zst: Too many open files (ulimit -n raises the limit)'
}

@test "a read that fails with an I/O error: exit 1 and no file, whichever read it is" {
    cp -r "$(shapes 20)" pictures
    local log=$PWD/log k
    NNCLR_INJECT_LOG=$log injected read:1000:EIO nnclr-prep -q -j1 -o whole.tar.zst pictures
    [ "$(grep -c ' read .*/pictures/' log)" -ge 20 ]
    for k in $(grep ' read .*/pictures/' log | cut -d' ' -f1 | sed -n '1p;2p;7p;$p'); do
        expect 1 injected "read:$k:EIO" nnclr-prep -q -j1 --skip-bad -o a.tar.zst pictures
        expect_message nnclr-prep ': Input/output error'
        [ ! -e a.tar.zst ]
    done
}

# ---- archives ----

@test "an archive that is empty is called empty, whatever packed it" {
    local name
    : >a.tar
    head -c 10240 /dev/zero >b.tar
    for name in a b; do
        gzip -k $name.tar
        bzip2 -k $name.tar
        xz -k $name.tar
        zstd -q $name.tar
    done
    for name in *.tar*; do
        refuses 1 "$name: is empty" nnclr-prep -o y.tar.zst $name
        run --separate-stderr bash -c "nnclr-prep -o y.tar.zst - <$name"
        [ "$status" -eq 1 ]
        expect_message nnclr-prep "standard input: is empty"
    done
    [ ! -e y.tar.zst ]
    mkdir -p c/.hidden
    : >c/.hidden/x.jpg
    tar -cf c.tar c
    refuses 1 'c.tar: no files there' nnclr-prep -o y.tar.zst c.tar
    echo text >c/notes.txt
    tar -cf c.tar c
    expect 1 nnclr-prep -o y.tar.zst c.tar
    [ "${stderr_lines[0]}" = 'nnclr-prep: c/notes.txt: not a JPEG, PNG or PPM' ]
    [[ ${stderr_lines[1]} == *'none of the 1 files is a picture'* ]]
}

@test "a film among the pictures costs neither room nor memory, in an archive or in a folder" {
    local picture memory=200000 # KiB; a sanitizer's shadow takes more
    (ulimit -v $memory && nnclr-prep --version) >/dev/null 2>&1 || memory=unlimited
    mkdir -p in/c
    cp -r "$(shapes 20)/." in
    truncate -s 200M in/c/film.mp4
    printf 'GIF89a' >in/c/b.gif
    truncate -s 200M in/c/b.gif
    tar -cf - -C in . | zstd -q >films.tar.zst
    export TMPDIR=$PWD/tmp
    mkdir tmp
    for picture in films.tar.zst in; do
        run --separate-stderr bash -c "ulimit -f 1000; ulimit -v $memory; exec nnclr-prep -j2 --skip-bad -o a.tar.zst $picture"
        echo "$picture: status $status: $stderr"
        [ "$status" -eq 0 ]
        [[ $stderr == *'c/b.gif: a GIF, not a JPEG, PNG or PPM'* ]]
        [[ $stderr == *'c/film.mp4: not a JPEG, PNG or PPM'* ]]
        [[ $stderr == *'20 packed, 2 left out'* ]]
    done
}

@test "a temporary folder without room is named, whatever is kept in it" {
    local folder spooled=0 command
    folder=$(shapes 200)
    tar -cf pictures.tar -C "$folder" .
    nnclr-prep -q -o s.tar.zst "$folder"
    zstdcat s.tar.zst | zstd -q >foreign.tar.zst
    mkdir tmp
    export TMPDIR=$PWD/tmp
    for command in 'nnclr-prep -o y.tar.zst pictures.tar' 'nnclr-prep --list-contents foreign.tar.zst' \
        "nnclr-prep --list-contents $folder"; do
        expect 1 injected write:1:ENOSPC:all $command
        [[ $stderr == *"$TMPDIR: a temporary file cannot be written there (set TMPDIR to a folder with room): No space left on device" ]]
        spooled=$((spooled + 1))
        TMPDIR=$PWD/missing expect 1 $command
        [[ $stderr == *"$PWD/missing: no temporary file can be made there (set TMPDIR to another folder): No such file or directory" ]]
    done
    [ $spooled -eq 3 ]
    expect_files tmp
}

# ---- names ----

@test "a zero byte in a name of an embedding file is refused" {
    make_shard s 20
    nnclr-embed -q --pixels 2 -o e.safetensors s.tar.zst
    local at
    at=$(grep -abo 'bars/0000' e.safetensors | sed -n 1p | cut -d: -f1)
    printf '\0' | dd of=e.safetensors bs=1 seek=$((at + 4)) conv=notrunc status=none
    refuses 1 'e.safetensors: the name of row 0 holds a zero byte' nnclr-queue-inspect -k 1 e.safetensors
}
