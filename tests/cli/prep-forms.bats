#!/usr/bin/env bats
# What nnclr-prep stores of a picture, in which order, and what it makes of odd folders and archives.
load helpers

# Pictures as people have them: JPEG files upright, turned, progressive and small, and a PNG.
photos() {
    local folder=$BATS_FILE_TMPDIR/photos
    if [ ! -d "$folder" ]; then
        "$python" - "$folder.part" <<'END'
import os, sys
import numpy
from PIL import Image
folder = sys.argv[1]
for name, size, options in (("a/1.jpg", (600, 400), {"quality": 90}),
                            ("a/2.jpg", (400, 600), {"quality": 95, "subsampling": 0}),
                            ("b/3.jpg", (600, 250), {"quality": 90, "progressive": True}),
                            ("b/4.png", (300, 400), {}),
                            ("b/5.jpg", (90, 70), {"quality": 85})):
    w, h = size
    y, x = numpy.mgrid[0:h, 0:w]
    planes = [128 + 60 * numpy.sin(x / 30 + y / 50 + c) + 40 * numpy.sin(x * y / 3000) for c in range(3)]
    picture = Image.fromarray(numpy.clip(numpy.stack(planes, -1), 0, 255).astype(numpy.uint8))
    os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
    if name == "a/1.jpg":
        exif = Image.Exif()
        exif[0x0112] = 6
        options = dict(options, exif=exif.tobytes())
    picture.save(os.path.join(folder, name), **options)
END
        mv "$folder.part" "$folder"
    fi
    echo "$folder"
}

unpack() { # SHARD FOLDER
    rm -rf "$2"
    mkdir "$2"
    zstdcat "$1" | tar -xf - -C "$2"
}

@test "--size: the shorter side becomes N, as Pillow shrinks it; smaller pictures keep their bytes" {
    need zstd
    need_python numpy,PIL
    folder=$(photos)
    expect 0 nnclr-prep --size 100 -o a.tar.zst "$folder"
    nnclr-prep --list-contents a.tar.zst | tail -n +2 | cut -f 4-7 >got
    printf '%s\n' $'a/1.jpg\t100\t150\tjpg' $'a/2.jpg\t100\t150\tjpg' $'b/3.jpg\t240\t100\tjpg' \
        $'b/4.png\t100\t133\tjpg' $'b/5.jpg\t90\t70\tjpg' | diff - got
    nnclr-prep -q -j 1 --size 100 -o b.tar.zst "$folder"
    cmp a.tar.zst b.tar.zst
    unpack a.tar.zst out
    cmp out/000000004.jpg "$folder/b/5.jpg"
    near_pillow() { # FOLDER NAME...
        "$python" - "$@" <<'END'
import sys
import numpy
from PIL import Image, ImageOps
for i, name in enumerate(sys.argv[2:]):
    whole = ImageOps.exif_transpose(Image.open(sys.argv[1] + "/" + name)).convert("RGB")
    got = Image.open("out/%09d.jpg" % i)
    assert got.getexif().get(0x0112, 1) == 1
    must = whole.resize(got.size, Image.BICUBIC)
    far = numpy.asarray(got).astype(float) - numpy.asarray(must)
    print(name, numpy.sqrt((far ** 2).mean()), abs(far.mean()))
    assert numpy.sqrt((far ** 2).mean()) < 2.5 and abs(far.mean()) < 0.3, name
END
    }
    near_pillow "$folder" a/1.jpg a/2.jpg b/3.jpg b/4.png
    # a little more than half of the first two: they are decoded to half their sides
    expect 0 nnclr-prep -q --size 133 -o c.tar.zst "$folder"
    unpack c.tar.zst out
    near_pillow "$folder" a/1.jpg a/2.jpg b/3.jpg b/4.png
}

@test "--pixels: what Pillow decodes, upright" {
    need zstd
    need_python numpy,PIL
    folder=$(photos)
    expect 0 nnclr-prep -q --pixels -o a.tar.zst "$folder"
    unpack a.tar.zst out
    "$python" - "$folder" <<'END'
import sys
import numpy
from PIL import Image, ImageOps
for i, name in enumerate(("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.png", "b/5.jpg")):
    whole = ImageOps.exif_transpose(Image.open(sys.argv[1] + "/" + name)).convert("RGB")
    got = Image.open("out/%09d.ppm" % i)
    assert (numpy.asarray(got) == numpy.asarray(whole)).all(), name
END
    nnclr-prep --list-contents a.tar.zst | tail -n +2 | cut -f 5-8 >got
    printf '%s\n' $'400\t600\tppm\t720015' $'400\t600\tppm\t720015' $'600\t250\tppm\t450015' \
        $'300\t400\tppm\t360015' $'90\t70\tppm\t18913' | diff - got
    expect 0 nnclr-prep -q --pixels --size 50 -o b.tar.zst "$folder"
    nnclr-prep --list-contents b.tar.zst | tail -n +2 | cut -f 5-7 >got
    printf '%s\n' $'50\t75\tppm' $'50\t75\tppm' $'120\t50\tppm' $'50\t66\tppm' $'64\t50\tppm' |
        diff - got
}

@test "views of stored pixels are the same as those of the files" {
    folder=$(shapes 20)
    nnclr-prep -q -o a.tar.zst "$folder"
    nnclr-prep -q --pixels -o b.tar.zst "$folder"
    # the header differs with the data, the views must not
    nnclr-views -q --preset tiny --u8 -o - a.tar.zst | zstdcat | tail -c 100000 >a
    nnclr-views -q --preset tiny --u8 -o - b.tar.zst | zstdcat | tail -c 100000 >b
    [ "$(stat -c %s a)" -eq 100000 ]
    cmp a b
}

# The record numbers in the order in which they are stored.
stored_order() { # SHARD
    zstdcat "$1" | tar -tf - | sed -nE 's/^0*([0-9]+)\.json$/\1/p'
}

@test "--order random: stored in another order, with the numbers, labels and bytes of the sorted one" {
    need zstd
    mkdir in
    cp -r "$(shapes 200)/"* in
    head -c 300 in/star/0000.jpg >in/ring/0000a.jpg # is left out
    expect 3 nnclr-prep -q -o sorted.tar.zst in
    expect 3 nnclr-prep --order random -o random.tar.zst in
    [[ ${stderr_lines[0]} == 'nnclr-prep: ring/0000a.jpg: truncated JPEG'* ]]
    [[ ${stderr_lines[1]} == *'pictures: 200 packed, 1 left out; '* ]]
    [ "${#stderr_lines[@]}" -eq 2 ]
    nnclr-prep --list-contents sorted.tar.zst >sorted
    nnclr-prep --list-contents random.tar.zst | diff sorted -
    stored_order random.tar.zst >order
    run -1 sort -nc order
    sort -n order | cmp - <(seq 0 199)
    unpack sorted.tar.zst one
    unpack random.tar.zst two
    diff -r one two

    expect 0 nnclr-prep -q -j 1 --skip-bad --order random -o again.tar.zst in
    cmp random.tar.zst again.tar.zst
    expect 0 nnclr-prep -q --skip-bad --order random --seed 1 -o other.tar.zst in
    nnclr-prep --list-contents other.tar.zst | diff sorted -
    differ <(stored_order other.tar.zst) order
    # A view depends on the record, not on where it is stored.
    nnclr-views -q --preset tiny -n 5 --u8 -o - sorted.tar.zst | zstdcat | tail -c 30000 >a
    nnclr-views -q --preset tiny -n 5 --u8 -o - random.tar.zst | zstdcat | tail -c 30000 >b
    cmp a b
}

@test "--order random in a split set: all pictures, mixed over the files" {
    need zstd
    folder=$(shapes 200)
    expect 0 nnclr-prep -q --order random --shard-size 100K -o p "$folder"
    [ -e p-000001.tar.zst ]
    nnclr-prep -q -o sorted.tar.zst "$folder"
    nnclr-prep --list-contents p-*.tar.zst | cut -f 2-8 | sort >got
    nnclr-prep --list-contents sorted.tar.zst | cut -f 2-8 | sort | diff - got
    [ "$(nnclr-prep --list-contents p-000000.tar.zst | tail -n +2 | cut -f 2 | sort -u | wc -l)" -gt 5 ]
    stored_order p-000000.tar.zst | sort -nc
}

@test "a random order of pictures none of which can be read: exit 1" {
    mkdir in out
    echo no >in/a.jpg
    expect 1 nnclr-prep --order random -o out/a.tar.zst in
    [[ ${stderr_lines[1]} == *'none of the 1 files is a picture that can be read' ]]
    expect_files out
}

@test "--size, --pixels and --seed are checked" {
    refuses 2 --size nnclr-prep --size 0 -o a.tar.zst .
    refuses 2 '--seed goes with --order random' nnclr-prep --seed 3 -o a.tar.zst .
    refuses 2 --order nnclr-prep --order upside -o a.tar.zst .
    make_shard b 20
    for option in '--size 3' --pixels '--order random' '--seed 3'; do
        refuses 2 'does not go with --list-contents' nnclr-prep --list-contents $option b.tar.zst
    done
}

@test "a folder is read in the order of torchvision's ImageFolder" {
    need_python torchvision
    folder=$(shapes 20)
    mkdir -p in/b/deep/er in/b-/x in/B in/É $'in/a\tb' in/b/deep-er in/link.d
    for name in b/z.jpg b/A.jpg b/deep/1.jpg b/deep/er/2.jpg b/deep-er/0.jpg b-/x/y.jpg B/1.jpg B/10.jpg \
        B/2.jpg É/é.jpg É/e.jpg $'a\tb/new\nline.jpg' $'a\tb/blank s.jpg' $'B/\xc3\xbc.jpg' link.d/5.jpg; do
        cp "$folder/star/0000.jpg" "in/$name"
    done
    ln -s b in/followed
    ln -s ../b/deep in/b-/also
    nnclr-prep -q -o a.tar.zst in
    nnclr-prep --list-contents --json a.tar.zst >table
    "$python" - <<'END'
import json, os
from torchvision.datasets import ImageFolder
must = ImageFolder("in")
def undo(text):
    return text.replace("\\t", "\t").replace("\\n", "\n")
rows = json.load(open("table"))
got = [(undo(row["name"]), row["label"]) for row in rows]
want = [(os.path.relpath(path, "in"), label) for path, label in must.samples]
assert got == want, (got, want)
assert {row["label"]: undo(row["class"]) for row in rows} == {l: c for c, l in must.class_to_idx.items()}
assert len(got) == 15 + 5 + 2
END
}

@test "link loops, dangling links, FIFOs, sockets and folders named like pictures do not stop it" {
    need python3
    folder=$(shapes 20)
    mkdir -p in/star/folder.jpg in/ring
    cp "$folder/star/0000.jpg" in/star
    cp "$folder/ring/0001.png" in/ring
    ln -s .. in/star/up
    ln -s ../ring in/ring/self
    ln -s loop.jpg in/star/loop.jpg
    ln -s nowhere in/star/dangling.jpg
    mkfifo in/star/fifo.jpg
    (cd in/star && python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket.jpg")')
    expect 3 timeout 200 nnclr-prep -o a.tar.zst in
    [ "${#stderr_lines[@]}" -eq 5 ]
    [[ $stderr == *'star/loop.jpg: Too many levels of symbolic links'* ]]
    [[ $stderr == *'star/dangling.jpg: No such file or directory'* ]]
    [[ $stderr == *'star/fifo.jpg: not a regular file'* ]]
    [[ $stderr == *'star/socket.jpg: '* ]]
    nnclr-prep --list-contents a.tar.zst | tail -n +2 | cut -f 3,4 >got
    printf 'ring\tring/0001.png\nstar\tstar/0000.jpg\n' | diff - got
    # named in a list: the same
    printf 'star/%s\n' 0000.jpg folder.jpg fifo.jpg dangling.jpg up >list
    expect 3 timeout 200 nnclr-prep --list list -o b.tar.zst in
    [ "${#stderr_lines[@]}" -eq 5 ]
    [[ $stderr == *'star/folder.jpg: not a regular file'* ]]
}

@test "a file that may not be read is left out, a folder is an error" {
    [ "$(id -u)" -ne 0 ] || need setpriv
    as_other() { # the superuser may read everything
        if [ "$(id -u)" -eq 0 ]; then
            setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
        else
            "$@"
        fi
    }
    folder=$(shapes 20)
    # where another user may come
    place=$(mktemp -d)
    chmod 755 "$place"
    cd "$place"
    mkdir -p in/star in/ring
    cp "$folder/star/0000.jpg" "$folder/star/0001.png" in/star
    cp "$folder/ring/0000.jpg" in/ring
    cp "$NNCLR_BIN/nnclr-prep" prep
    chmod 000 in/star/0001.png
    as_other test -r in/star/0000.jpg || skip "another user cannot read here"
    run --separate-stderr as_other bash -c './prep in | cat >/dev/null; exit ${PIPESTATUS[0]}'
    [ "$status" -eq 3 ]
    [[ $stderr == *'star/0001.png: Permission denied'* ]]
    chmod 000 in/ring
    run --separate-stderr as_other bash -c './prep in | cat >/dev/null; exit ${PIPESTATUS[0]}'
    [ "$status" -eq 1 ]
    expect_message nnclr-prep 'in/ring: Permission denied'
    cd /
    rm -rf "$place"
}

@test "a list may name a path with tabs and other bytes; a label follows the last tab" {
    folder=$(shapes 20)
    mkdir in
    cp "$folder/star/0000.jpg" $'in/two\ttabs \xfe.jpg'
    cp "$folder/star/0000.jpg" in/plain.jpg
    printf 'two\ttabs \xfe.jpg\tstars\nplain.jpg\tother things\n' >list
    expect 0 nnclr-prep -q --list list -o a.tar.zst in
    nnclr-prep --list-contents a.tar.zst | tail -n +2 | cut -f 1-4 >got
    printf '%s\n' $'0\t1\tstars\ttwo\\ttabs \\xfe.jpg' $'1\t0\tother things\tplain.jpg' | diff - got
    nnclr-prep -q --list <(printf '%s\t7\n' "$PWD/in/plain.jpg") -o b.tar.zst
    [ "$(nnclr-prep --list-contents b.tar.zst | tail -n 1 | cut -f 2)" = 7 ]
}

@test "truncated archives are errors, whatever packed them" {
    folder=$(shapes 20)
    tar -C "$folder" -cf a.tar .
    mkdir out
    for packer in gzip bzip2 xz zstd; do
        command -v $packer >/dev/null || continue
        $packer <a.tar >a.packed
        size=$(stat -c %s a.packed)
        for cut in 1 9 $((size / 2)); do
            head -c $((size - cut)) a.packed >./cut
            refuses 1 'cut: ' nnclr-prep -o out/a.tar.zst cut
        done
        refuses 1 'standard input: ' nnclr-prep -o out/a.tar.zst - <./cut
    done
    for size in 1700 5000 $(($(stat -c %s a.tar) - 10240)); do
        head -c "$size" a.tar >./cut
        refuses 1 'cut: ' nnclr-prep -o out/a.tar.zst cut
    done
    expect_files out
}
