#!/usr/bin/env bats
load helpers

teardown() {
    if mountpoint -q "$BATS_TEST_TMPDIR/small"; then
        umount "$BATS_TEST_TMPDIR/small"
    fi
}

# The names of the records in their order.
names() { # SHARD...
    nnclr-prep --list-contents "$@" | tail -n +2 | cut -f 4
}

@test "the same bytes for any number of threads" {
    folder=$(shapes 200)
    for j in 1 2 7; do
        expect 0 nnclr-prep -q -j "$j" -o "$j.tar.zst" "$folder"
    done
    cmp 1.tar.zst 2.tar.zst
    cmp 1.tar.zst 7.tar.zst
}

@test "ends with a note of what was packed; -q is silent" {
    folder=$(shapes 20)
    bytes=$(cat "$folder"/*/* | wc -c)
    expect 0 nnclr-prep -o a.tar.zst "$folder"
    [ -z "$output" ]
    expect_message nnclr-prep "pictures: 20 packed, 0 left out; classes: 10; bytes: $bytes"
    expect 0 nnclr-prep -q -o b.tar.zst "$folder"
    [ -z "$stderr" ]
}

@test "zstd, tar, file and Python read the shard, and find the original bytes" {
    need zstd
    need file
    need python3
    make_shard a 20
    zstd -qt a.tar.zst
    [[ $(file a.tar.zst) == *"Zstandard compressed data"* ]]
    mkdir out
    zstdcat a.tar.zst | tar -xf - -C out
    tar --zstd -tf a.tar.zst >/dev/null
    [ "$(ls out/*.jpg | wc -l)" -eq 10 ]
    [ "$(ls out/*.png | wc -l)" -eq 10 ]
    [ "$(cat out/000000019.cls)" = 9 ]
    folder=$(shapes 20)
    cmp out/000000000.jpg "$folder/bars/0000.jpg"
    cmp out/000000019.png "$folder/triangle/0001.png"
    zstdcat a.tar.zst >a.tar
    python3 - "$folder" <<'END'
import json, os, sys, tarfile
folder = sys.argv[1]
tar = tarfile.open("a.tar")
members = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
classes = sorted(os.listdir(folder))
files = [(c, f) for c in classes for f in sorted(os.listdir(os.path.join(folder, c)))]
for i, (c, f) in enumerate(files):
    key = "%09d" % i
    assert members[key + f[-4:]] == open(os.path.join(folder, c, f), "rb").read(), key
    assert int(members[key + ".cls"]) == classes.index(c), key
    about = json.loads(members[key + ".json"])
    assert (about["width"], about["height"]) == (32, 32), key
    assert c + "/" + f in json.dumps(about), key
assert json.loads(members["__nnclr__/shard"])["classes"] == classes
assert len(members) == 3 * len(files) + 2
END
}

@test "--list-contents: a table with the facts of the files" {
    make_shard a 20
    expect 0 nnclr-prep --list-contents a.tar.zst
    [ -z "$stderr" ]
    [ "${#lines[@]}" -eq 21 ]
    [ "${lines[0]}" = $'record\tlabel\tclass\tname\twidth\theight\tcodec\tbytes' ]
    folder=$(shapes 20)
    [ "${lines[1]}" = $'0\t0\tbars\tbars/0000.jpg\t32\t32\tjpg\t'"$(stat -c %s "$folder/bars/0000.jpg")" ]
    [ "${lines[20]}" = $'19\t9\ttriangle\ttriangle/0001.png\t32\t32\tpng\t'"$(stat -c %s "$folder/triangle/0001.png")" ]
}

@test "--list-contents --json says the same as the table" {
    need python3
    make_shard a 20
    nnclr-prep --list-contents a.tar.zst >table
    nnclr-prep --list-contents --json a.tar.zst >table.json
    python3 - <<'END'
import csv, json
table = list(csv.DictReader(open("table"), delimiter="\t", quoting=csv.QUOTE_NONE))
rows = json.load(open("table.json"))
assert len(rows) == 20 and isinstance(rows[0]["record"], int)
assert [{k: str(v) for k, v in row.items()} for row in rows] == table
END
}

@test "a pipe in and a pipe out give the shard of the folder" {
    folder=$(shapes 20)
    nnclr-prep -q -o folder.tar.zst "$folder"
    mkdir ./- # "-" does not mean it
    tar -C "$folder" -cf - . | nnclr-prep -q - | cat >pipe.tar.zst
    cmp folder.tar.zst pipe.tar.zst
    nnclr-prep --list-contents - <pipe.tar.zst >from-pipe
    nnclr-prep --list-contents folder.tar.zst | cmp - from-pipe
}

@test "a tar of any order and compression gives the shard of the folder" {
    need zstd
    folder=$(shapes 20)
    nnclr-prep -q -o folder.tar.zst "$folder"
    (cd "$folder" && find . -type f | sort -r) >reversed
    tar -C "$folder" -cf a.tar -T reversed
    gzip -k a.tar
    zstd -q a.tar -o a.tar.zst
    xz -k a.tar
    for archive in a.tar a.tar.gz a.tar.zst a.tar.xz; do
        nnclr-prep -q -o packed.tar.zst "$archive"
        cmp folder.tar.zst packed.tar.zst
    done
}

@test "--root takes one part, of a folder and of a tar alike" {
    folder=$(shapes 20)
    mkdir -p all/part
    cp -r "$folder" all/part/train
    mkdir -p all/part/test/other
    cp "$folder/disc/0000.jpg" all/part/test/other/x.jpg
    tar -cf all.tar all
    nnclr-prep -q -o whole.tar.zst "$folder"
    nnclr-prep -q --root part/train -o folder.tar.zst all
    nnclr-prep -q --root all/part/train -o tar.tar.zst all.tar
    cmp whole.tar.zst folder.tar.zst
    cmp whole.tar.zst tar.tar.zst
    refuses 1 'part/nothing' nnclr-prep -o none.tar.zst --root part/nothing all
    [ ! -e none.tar.zst ]
}

@test "--list: the named files, with the named labels, in their order or sorted" {
    folder=$(shapes 20)
    printf 'star/0001.png\tbig\ndisc/0000.jpg\tsmall\nstar/0000.jpg\tbig\n' >list
    nnclr-prep -q --list list -o a.tar.zst "$folder"
    nnclr-prep --list-contents a.tar.zst | tail -n +2 | cut -f 3,4 | sort >got
    printf 'big\tstar/0000.jpg\nbig\tstar/0001.png\nsmall\tdisc/0000.jpg\n' | cmp - got
    sed "s|^|$folder/|" list | nnclr-prep -q --list - >b.tar.zst
    [ "$(names b.tar.zst | wc -l)" -eq 3 ]
}

@test "several inputs: classes are united" {
    folder=$(shapes 20)
    mkdir one two
    cp -r "$folder/star" "$folder/disc" one
    cp -r "$folder/ring" "$folder/disc" two
    nnclr-prep -q -o a.tar.zst one two
    nnclr-prep --list-contents a.tar.zst | tail -n +2 | cut -f 2,3 | sort | uniq -c | tr -s ' ' >got
    printf ' 4 0\tdisc\n 2 1\tring\n 2 2\tstar\n' | cmp - got
}

@test "--shard-size: files no larger than that, which as a set hold the same records" {
    folder=$(shapes 200)
    nnclr-prep -q -o whole.tar.zst "$folder"
    mkdir split
    nnclr-prep -q --shard-size 100K -o split/p "$folder"
    [ -e split/p-000000.tar.zst ]
    [ -e split/p-000001.tar.zst ]
    for file in split/*; do
        [ "$(stat -c %s "$file")" -le 102400 ]
    done
    nnclr-prep --list-contents whole.tar.zst >whole
    nnclr-prep --list-contents split/* | cmp - whole
    nnclr-prep -q -j 1 --shard-size 100K -o split-p "$folder"
    cmp split-p-000001.tar.zst split/p-000001.tar.zst
    refuses 2 '-o PREFIX' nnclr-prep --shard-size 100K "$folder"
}

@test "a concatenation is a shard" {
    make_shard a 20
    cat a.tar.zst a.tar.zst >b.tar.zst
    nnclr-prep --list-contents a.tar.zst a.tar.zst >two
    nnclr-prep --list-contents b.tar.zst | cmp - two
    [ "$(wc -l <two)" -eq 41 ]
}

@test "a flat folder has no labels" {
    folder=$(shapes 20)
    mkdir flat
    cp "$folder/star/"* flat
    nnclr-prep -q -o a.tar.zst flat
    expect 0 nnclr-prep --list-contents a.tar.zst
    [[ ${lines[1]} == $'0\t\t\t0000.jpg\t32\t32\tjpg\t'* ]]
    expect 0 nnclr-prep --list-contents --json a.tar.zst
    [[ $output =~ '"label":'\ ?'null,' ]]
}

@test "names with blanks, tabs, newlines and other bytes survive" {
    folder=$(shapes 20)
    mkdir -p 'in/a class'
    cp "$folder/star/0000.jpg" $'in/a class/tab\tnew\nline.jpg'
    cp "$folder/star/0000.jpg" $'in/a class/\xff\xfe.jpg'
    cp "$folder/star/0000.jpg" 'in/a class/bücher.jpg'
    nnclr-prep -q -o a.tar.zst in
    expect 0 nnclr-prep --list-contents a.tar.zst
    [ "${#lines[@]}" -eq 4 ]
    [[ $output == *'a class/tab\tnew\nline.jpg'* ]]
    [[ $output == *'a class/\xff\xfe.jpg'* ]]
    [[ $output == *'a class/bücher.jpg'* ]]
    nnclr-prep --list-contents --json a.tar.zst | python3 -c 'import json, sys; assert len(json.load(sys.stdin)) == 3'
}

@test "real pictures: --root on the tar, sizes and classes" {
    need_data cifar10/cifar10-12k.tar
    expect 0 nnclr-prep --root cifar10/test -o a.tar.zst "$NNCLR_TEST_DATA/cifar10/cifar10-12k.tar"
    expect_message nnclr-prep 'pictures: 2000 packed, 0 left out; classes: 10; bytes: '
    nnclr-prep --list-contents a.tar.zst | tail -n +2 | cut -f 3,5,6,7 | sort | uniq -c | tr -s ' ' >got
    for class in airplane automobile bird cat deer dog frog horse ship truck; do
        printf ' 200 %s\t32\t32\tjpg\n' "$class"
    done | cmp - got
}

@test "odd pictures are packed and broken ones named, as the manifest says" {
    need_data odd-images/MANIFEST.tsv
    expect 3 nnclr-prep -o a.tar.zst "$NNCLR_TEST_DATA/odd-images"
    names a.tar.zst >packed
    # file, expect, size after EXIF
    tail -n +2 "$NNCLR_TEST_DATA/odd-images/MANIFEST.tsv" | cut -f 1,3,8,9 >manifest
    while IFS=$'\t' read -r file expected _; do
        if grep -qxF -- "$file" packed; then
            [ "$expected" != reject ] || { echo "packed: $file"; return 1; }
        else
            [ "$expected" != decode ] || { echo "left out: $file"; return 1; }
            [[ $stderr == *"nnclr-prep: $file: "* ]] || { echo "not named: $file"; return 1; }
        fi
    done <manifest
    # those that must be refused, and what their reason says
    reasons=0
    while IFS='|' read -r file reason; do
        [[ $stderr == *"nnclr-prep: broken/$file: $reason"* ]] || { echo "$file: $reason"; return 1; }
        reasons=$((reasons + 1))
    done <<'END'
zero.jpg|empty file
zero.png|empty file
sig_only.png|truncated PNG (8 bytes end within its header)
soi_only.jpg|truncated JPEG (2 bytes end within its header)
garbage.jpg|not a JPEG, PNG or PPM
garbage.png|not a JPEG, PNG or PPM
text.jpg|not a JPEG, PNG or PPM
html.png|an HTML page, not a JPEG, PNG or PPM
huge_dims.png|2147483647 x 2147483647 pixels, a side over the limit of 65535
claims_big.png|60000 x 60000 pixels, over the limit of 178956970 in all
zero_width.png|unreadable PNG (0 x 10 pixels)
zero_height.jpg|unreadable JPEG (Empty JPEG image
bad_huffman.jpg|unreadable JPEG (Bogus Huffman table definition
no_sof.jpg|unreadable JPEG (Invalid JPEG file structure: SOS before SOF
sof_12bit.jpg|unreadable JPEG (Unsupported JPEG data precision 12
END
    [ "$(cut -f 2 manifest | grep -c reject)" -eq "$reasons" ]
    nnclr-prep --list-contents a.tar.zst | cut -f 4,5,6 | grep ^odd/ | sort >sizes
    [ "$(wc -l <sizes)" -eq 58 ]
    awk -F '\t' '$2 == "decode" { print $1 "\t" $3 "\t" $4 }' manifest | grep ^odd/ | sort | diff - sizes
}

@test "a class of which no picture can be read is not counted" {
    folder=$(shapes 20)
    mkdir -p in/films
    cp -r "$folder/star" in
    printf '\0\0\0\030ftypqt  ' >in/films/a.mov
    expect 3 nnclr-prep -o a.tar.zst in
    [ "${stderr_lines[0]}" = "nnclr-prep: films/a.mov: a video, not a JPEG, PNG or PPM" ]
    [[ ${stderr_lines[1]} == *'pictures: 2 packed, 1 left out; classes: 1; '* ]]
}

@test "--skip-bad, --strict and the default with a broken picture" {
    folder=$(shapes 20)
    mkdir in out
    cp -r "$folder/star" in
    head -c 300 "$folder/star/0000.jpg" >in/star/cut.jpg
    expect 3 nnclr-prep -o out/a.tar.zst in
    [[ ${stderr_lines[0]} == "nnclr-prep: star/cut.jpg: truncated JPEG ("* ]]
    [[ ${stderr_lines[1]} == *'pictures: 2 packed, 1 left out; classes: 1; '* ]]
    expect 0 nnclr-prep -q --skip-bad -o out/b.tar.zst in
    expect_message nnclr-prep 'star/cut.jpg: truncated JPEG'
    cmp out/a.tar.zst out/b.tar.zst
    refuses 1 'star/cut.jpg: truncated JPEG' nnclr-prep --strict -o out/c.tar.zst in
    expect_files out a.tar.zst b.tar.zst
    expect 2 nnclr-prep --strict --skip-bad -o out/c.tar.zst in
}

@test "an empty folder, a missing one, and files that are not pictures: exit 1, no file" {
    mkdir empty bad out
    echo 'no picture' >bad/a.jpg
    : >bad/b.png
    refuses 1 empty nnclr-prep -o out/a.tar.zst empty
    refuses 1 missing nnclr-prep -o out/a.tar.zst missing
    expect 1 nnclr-prep -o out/a.tar.zst bad
    [ "${#stderr_lines[@]}" -eq 3 ]
    [[ $stderr == *'a.jpg: not a JPEG, PNG'* ]]
    refuses 1 a.jpg nnclr-prep -o out/a.tar.zst bad/a.jpg
    expect_files out
}

@test "what is not a regular file is left out and does not block" {
    folder=$(shapes 20)
    mkdir -p in/star/folder.jpg
    cp "$folder/star/0000.jpg" in/star
    mkfifo in/star/fifo.jpg
    ln -s nowhere in/star/dangling.jpg
    expect 3 timeout 200 nnclr-prep -o a.tar.zst in
    [[ $stderr == *'star/fifo.jpg: '* && $stderr == *'star/dangling.jpg: '* ]]
    [ "$(names a.tar.zst)" = star/0000.jpg ]
}

@test "what is not an input is refused with the reason: a shard, standard input twice" {
    make_shard a 20
    refuses 1 'a.tar.zst: is a shard, not an archive of pictures' nnclr-prep -o b.tar.zst a.tar.zst
    refuses 2 'standard input can be given only once' nnclr-prep -o b.tar.zst - - </dev/null
    [ ! -e b.tar.zst ]
}

@test "a picture as input is one record without label" {
    folder=$(shapes 20)
    printf 'P6\n1 1\n255\nabc' >dot.ppm
    expect 0 nnclr-prep -q -o a.tar.zst "$folder/star/0001.png" dot.ppm
    expect 0 nnclr-prep --list-contents a.tar.zst
    [[ ${lines[1]} == $'0\t\t\t0001.png\t32\t32\tpng\t'* ]]
    [ "${lines[2]}" = $'1\t\t\tdot.ppm\t1\t1\tppm\t14' ]
}

@test "--list with numbers: these are the labels" {
    folder=$(shapes 20)
    printf 'star/0001.png\t2\nstar/0000.jpg\ndisc/0000.jpg\t0\n' >list
    nnclr-prep -q --list list -o a.tar.zst "$folder"
    nnclr-prep --list-contents a.tar.zst | tail -n +2 | cut -f 2-4 >got
    printf '2\t2\tstar/0001.png\n\t\tstar/0000.jpg\n0\t0\tdisc/0000.jpg\n' | cmp - got
}

@test "a small file system that fills up: nothing is left on it" {
    mkdir small
    mount -t tmpfs -o size=64k tmpfs small 2>/dev/null || skip "cannot mount a tmpfs here"
    refuses 1 'No space left on device' nnclr-prep -o small/a.tar.zst "$(shapes 200)"
    expect_files small
}

@test "a shard is not written to a terminal" {
    need script
    folder=$(shapes 20)
    run in_terminal "nnclr-prep '$folder'"
    [ "$status" -eq 2 ]
    [[ $output == *'standard output is a terminal'* ]]
    [[ $output != *'(B/'* ]]
}

@test "a signal leaves no half-written file" {
    mkdir in out
    for i in $(seq 15); do
        cp -r "$(shapes 200)" "in/$i"
    done
    for signal in TERM INT; do
        # python resets the handlers: a shell starts background jobs with SIGINT ignored
        run python3 - "$signal" <<'END'
import os, signal, subprocess, sys, time
number = getattr(signal, "SIG" + sys.argv[1])
child = subprocess.Popen(["nnclr-prep", "-q", "-j1", "-o", "out/a.tar.zst", "in"],
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
def writes(): # into a file that has no name yet, or a hidden one
    folder = "/proc/%d/fd/" % child.pid
    try:
        return any(os.readlink(folder + fd).startswith(os.getcwd() + "/out/")
                   for fd in os.listdir(folder))
    except OSError:
        return False
while child.poll() is None and not writes():
    time.sleep(0.001)
child.send_signal(number)
sys.exit(0 if child.wait() == -number else 1)
END
        [ "$status" -eq 0 ]
        expect_files out
    done
}

# Compares a shard with CIFAR's files, FORMAT 10 or 100: every pixel, every label, in their order.
compare_with_cifar() { # FORMAT SHARD FILE...
    zstdcat "$2" >compared.tar
    "$python" - "$1" "${@:3}" <<'END'
import io, sys, tarfile
import numpy
from PIL import Image
size = {"10": 3073, "100": 3074}[sys.argv[1]]
raw = b"".join(open(name, "rb").read() for name in sys.argv[2:])
tar = tarfile.open("compared.tar")
members = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
count = len(raw) // size
assert len(members) == 3 * count + 2
for i in range(count):
    record = raw[i * size:(i + 1) * size]
    planes = numpy.frombuffer(record[-3072:], numpy.uint8).reshape(3, 32, 32)
    stored = numpy.asarray(Image.open(io.BytesIO(members["%09d.png" % i])))
    assert (stored == planes.transpose(1, 2, 0)).all(), i
    assert int(members["%09d.cls" % i]) == record[-3073], i
END
}

@test "CIFAR-10 as published: files, folder and archive give the pictures and labels, in order" {
    need zstd
    need_python numpy,PIL
    cifar10_binary cifar-10-binary.tar.gz 12 7
    tar -xzf cifar-10-binary.tar.gz
    bin=cifar-10-batches-bin
    expect 0 nnclr-prep --root train -o a.tar.zst cifar-10-binary.tar.gz
    expect_message nnclr-prep 'pictures: 60 packed, 0 left out; classes: 10; '
    compare_with_cifar 10 a.tar.zst $bin/data_batch_?.bin
    expect 0 nnclr-prep --list-contents a.tar.zst
    [[ ${lines[1]} == $'0\t0\tairplane\tcifar-10-batches-bin/data_batch_1.bin/000000\t32\t32\tpng\t'* ]]
    [[ ${lines[60]} == $'59\t1\tautomobile\tcifar-10-batches-bin/data_batch_5.bin/000011\t32\t32\tpng\t'* ]]
    nnclr-prep -q --root $bin/train - <cifar-10-binary.tar.gz >b.tar.zst
    nnclr-prep -q --root train -o c.tar.zst $bin
    nnclr-prep -q $bin/data_batch_?.bin >d.tar.zst
    cmp b.tar.zst c.tar.zst
    cmp b.tar.zst d.tar.zst

    nnclr-prep -q --root $bin/test_batch.bin -o t.tar.zst cifar-10-binary.tar.gz
    compare_with_cifar 10 t.tar.zst $bin/test_batch.bin
    nnclr-prep -q -o u.tar.zst $bin/test_batch.bin
    cmp t.tar.zst u.tar.zst

    expect 0 nnclr-prep -o all.tar.zst $bin
    [[ ${stderr_lines[0]} == 'nnclr-prep: training and test pictures are taken together; nnclr-prep --root train '* ]]
    compare_with_cifar 10 all.tar.zst $bin/data_batch_?.bin $bin/test_batch.bin
}

@test "what nnclr-views shows of a CIFAR file are its pixels" {
    need zstd
    need_python numpy
    cifar10_binary cifar-10-binary.tar.gz 1 9
    nnclr-prep -q --root test cifar-10-binary.tar.gz | nnclr-views -q --augment none --size 32 -o v.safetensors -
    tar -xzf cifar-10-binary.tar.gz
    "$python" - <<'END'
import numpy
from tensors import load
tensors = {name: t.array for name, t in load("v.safetensors")[1].items()}
bin = numpy.fromfile("cifar-10-batches-bin/test_batch.bin", numpy.uint8).reshape(9, 3073)
want = bin[:, 1:].reshape(9, 3, 32, 32).transpose(0, 2, 3, 1)
order, view = tensors["record"], tensors["view1"]
scale = 255 if view.dtype == numpy.float32 else 1
assert (numpy.rint(view * scale) == want[order]).all()
assert (tensors["label"] == bin[order, 0]).all()
END
}

@test "CIFAR files that are cut, empty or of another kind: one sentence, exit 1, no file" {
    cifar10_binary cifar-10-binary.tar.gz 2 2
    tar -xzf cifar-10-binary.tar.gz
    head -c 6000 cifar-10-batches-bin/test_batch.bin >cut.bin
    expect 1 nnclr-prep -o a.tar.zst cut.bin
    expect_message nnclr-prep 'cut.bin: 6000 bytes are not a whole number of pictures of CIFAR-10 (3073 bytes each) or CIFAR-100 (3074)'
    : >empty.bin
    refuses 1 'empty.bin: is empty' nnclr-prep -o a.tar.zst empty.bin
    head -c 3073 </dev/zero | tr '\0' '\12' >label.bin
    refuses 1 'label.bin: picture 0 has label 10, but labels of CIFAR-10 are 0 to 9' nnclr-prep -o a.tar.zst label.bin
    cp cut.bin cifar-10-batches-bin/data_batch_3.bin
    tar -cf bad.tar cifar-10-batches-bin
    for input in cifar-10-batches-bin bad.tar; do
        refuses 1 'data_batch_3.bin: 6000 bytes are not a whole number' nnclr-prep --root train -o a.tar.zst $input
    done
    head -c $(($(stat -c %s cifar-10-binary.tar.gz) / 2)) cifar-10-binary.tar.gz >cut.tar.gz
    refuses 1 'cut.tar.gz: ' nnclr-prep --root train -o a.tar.zst cut.tar.gz
    [ ! -e a.tar.zst ]
}

@test "options and operands may be mixed; -- ends the options" {
    folder=$(shapes 20)
    cp -r "$folder" ./-in
    expect 0 nnclr-prep "$folder" -qj2 -oa.tar.zst
    expect 0 nnclr-prep --output=b.tar.zst -q -- -in
    cmp a.tar.zst b.tar.zst
}

@test "options that do not go together are refused" {
    make_shard a 20
    refuses 2 '--root does not go with --list-contents' nnclr-prep --list-contents --root x a.tar.zst
    refuses 2 '--json goes with --list-contents' nnclr-prep --json -o b.tar.zst .
}

@test "an output in a folder that is not there: exit 1" {
    refuses 1 missing nnclr-prep -o missing/a.tar.zst "$(shapes 20)"
}
