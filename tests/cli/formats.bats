#!/usr/bin/env bats
# Our files, read by readers written from nnclr-shard(5) and nnclr-tensor(5) alone.
load helpers

setup() {
    need zstd
    need python3
    cd "$BATS_TEST_TMPDIR"
    cat >formats.py <<'END'
import json, struct, subprocess
from tensors import names, parse, unzstd

def seek_table(data):
    """(offset, compressed, decompressed, checksum) of each frame that the table notes."""
    count, descriptor, magic = struct.unpack("<IBI", data[-9:])
    assert (descriptor, magic) == (0x80, 0x8F92EAB1)
    start = len(data) - 9 - 12 * count - 8
    assert struct.unpack("<II", data[start:start + 8]) == (0x184D2A5E, 12 * count + 9)
    frames, offset = [], 0
    for i in range(count):
        entry = struct.unpack_from("<III", data, start + 8 + 12 * i)
        frames.append((offset,) + entry)
        offset += entry[0]
    assert offset == start
    return frames

def frame(data, frames, i):
    offset, compressed, decompressed, checksum = frames[i]
    raw = data[offset:offset + compressed]
    assert struct.unpack("<I", raw[-4:])[0] == checksum
    content = unzstd(raw)
    assert len(content) == decompressed
    return content
END
}

@test "index and seek table lead to every picture of a shard" {
    make_shard a 200
    python3 - "$(shapes 200)" <<'END'
import json, os, sys, zlib
from formats import *
data = open("a.tar.zst", "rb").read()
frames = seek_table(data)
offset, size, decompressed, checksum = frames[-1]
assert (decompressed, checksum) == (0, 0x51D8E999)
assert struct.unpack("<II", data[offset:offset + 8]) == (0x184D2A5A, size - 8)
assert data[offset + 8:offset + 16] == b"NNCLRIDX"
metadata, index = parse(unzstd(data[offset + 16:offset + size]))
assert metadata["format"] == "pt" and metadata["nnclr.kind"] == "shard-index"
n = index["record"].shape[0]
assert n == 200 and sorted(index["record"].values) == list(range(n))
columns = {column: t.values for column, t in index.items() if t.shape == [n]}
first = frame(data, frames, 0)
assert first.startswith(b"__nnclr__/shard\0")
last = frame(data, frames, len(frames) - 2)
assert last.startswith(b"__nnclr__/end\0") and last.endswith(bytes(1024))
assert json.loads(last[512:1024].rstrip(b"\0")) == {"records": n}
classes = json.loads(first[512:].rstrip(b"\0"))["classes"]
contents = [frame(data, frames, i) for i in range(len(frames) - 1)]
assert all(len(c) >= 128 * 1024 for c in contents[1:-2])
for i, name in enumerate(names(index)):
    row = {column: values[i] for column, values in columns.items()}
    picture = contents[row["frame"]][row["offset"]:row["offset"] + row["length"]]
    assert picture == open(os.path.join(sys.argv[1], name), "rb").read(), name
    assert zlib.crc32(picture) == row["crc32"]
    assert classes[row["label"]] == name.split("/")[0]
    assert (row["width"], row["height"]) == (32, 32)
    assert name.endswith((".jpg", ".png")[row["codec"]])
END
}

@test "-o x.tar: a plain tar that is still a shard" {
    nnclr-prep -q -o a.tar.zst "$(shapes 200)"
    nnclr-prep -q -j1 -o a.tar "$(shapes 200)"
    nnclr-prep -q -j3 -o A.TAR "$(shapes 200)"
    zstdcat a.tar.zst | cmp - a.tar
    cmp A.TAR a.tar
    nnclr-prep --list-contents a.tar.zst >wanted
    nnclr-prep --list-contents a.tar | cmp - wanted
    nnclr-embed -q --pixels 4 -o a.emb a.tar.zst
    nnclr-embed -q --pixels 4 -o b.emb a.tar
    cmp a.emb b.emb # the same data by their identity too
    nnclr-prep -q --shard-size 256K -o part.tar "$(shapes 200)"
    [ -e part-000001.tar ]
    for part in part-*.tar; do
        tar tf "$part" >members
        [ "$(head -n 1 members)" = __nnclr__/shard ]
        [ "$(stat -c %s "$part")" -le 262144 ]
    done
    nnclr-prep --list-contents part-*.tar | cmp - wanted
    nnclr-prep -q --shard-size 256K -o whole.tar.zst "$(shapes 200)"
    expect_files . a.tar.zst a.tar A.TAR wanted a.emb b.emb part-*.tar whole-00000[0-9].tar.zst members formats.py
}

@test "-o: an ending that names another format is refused with the program that makes it" {
    mkdir empty
    cd empty
    while read -r program option name text; do
        refuses 2 "${option}: " "$program" "$option" "$name" input
        expect_message "$program" "$text"
    done <<'END'
nnclr-prep -o x.emb the name of a shard ends in .tar.zst or .tar, unlike x.emb; nnclr-embed writes such files
nnclr-prep -o x.npy the name of a shard ends in .tar.zst or .tar, unlike x.npy; nnclr-export makes one from embeddings
nnclr-prep --output x.tar.gz ends in .tar.zst or .tar, unlike x.tar.gz; none of these programs writes that format
nnclr-prep -o x.safetensors.zst nnclr-embed, nnclr-views and nnclr-lineval write such files
nnclr-prep -o x.zip none of these programs writes that format
nnclr-embed -o f.npy ends in .safetensors.zst, .safetensors or .emb, unlike f.npy; nnclr-export makes one from embeddings
nnclr-embed -o F.H5 none of these programs writes that format
nnclr-embed -o f.tsv nnclr-export makes one from embeddings
nnclr-embed -o f.tar nnclr-prep packs pictures into one
nnclr-views -o v.png nnclr-views --sheet and nnclr-queue-inspect --sheet draw one
nnclr-views --sheet v.jpg the name of a picture ends in .png, unlike v.jpg
nnclr-lineval -o c.onnx nnclr-export makes one from a checkpoint
nnclr-lineval --predictions p.csv the name of a table ends in .tsv, unlike p.csv
nnclr-export -o x.safetensors.zst the name of an export ends in .safetensors, .onnx, .npy, .tsv, .csv or .tfevents
nnclr-export -o x.pt none of these programs writes that format
nnclr-queue-inspect --sheet s.svg the name of a picture ends in .png
nnclr-queue-inspect --html s.pdf the name of a page ends in .html
nnclr-pretrain -o net.onnx RUN is a folder, unlike net.onnx; nnclr-export makes one from a checkpoint
nnclr-finetune -o net.pth RUN is a folder, unlike net.pth
END
    refuses 2 "--format onnx: x.npy is the name of another format" nnclr-export --format onnx -o x.npy input
    cd ..
    expect_files empty
}

@test "a shard of an older version, whose own members end in .json, reads the same" {
    make_shard a 20
    make_shard b 40
    python3 - <<'END'
from formats import *

def rename(content, name):
    """The same content with .json behind the name of its first member."""
    assert content.startswith(name + b"\0")
    header = bytearray(content[:512])
    header[len(name):len(name) + 5] = b".json"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content[512:]

data = open("a.tar.zst", "rb").read()
frames = seek_table(data)
old, entries = b"", b""
for i, (offset, size, decompressed, checksum) in enumerate(frames):
    raw = data[offset:offset + size]
    for at, name in ((0, b"__nnclr__/shard"), (len(frames) - 2, b"__nnclr__/end")):
        if i == at:
            content = rename(frame(data, frames, i), name)
            raw = subprocess.run(["zstd", "-c", "--stream-size=%d" % len(content)], input=content,
                                 stdout=subprocess.PIPE, check=True).stdout
            checksum, = struct.unpack("<I", raw[-4:])
    old += raw
    entries += struct.pack("<III", len(raw), decompressed, checksum)
table = entries + struct.pack("<IBI", len(frames), 0x80, 0x8F92EAB1)
open("old.tar.zst", "wb").write(old + struct.pack("<II", 0x184D2A5E, len(table)) + table)
END
    zstdcat old.tar.zst >old.tar
    tar tf old.tar | grep -x __nnclr__/shard.json
    cat old.tar.zst b.tar.zst old.tar.zst >joined.tar.zst
    nnclr-prep --list-contents a.tar.zst >alone
    nnclr-prep --list-contents a.tar.zst b.tar.zst a.tar.zst >both
    nnclr-prep --list-contents old.tar.zst | cmp - alone
    nnclr-prep --list-contents old.tar | cmp - alone
    nnclr-prep --list-contents joined.tar.zst | cmp - both
}

@test "zstdcat turns a tensor file into safetensors" {
    make_shard a 20
    nnclr-embed -q --pixels 4 -o e.safetensors.zst a.tar.zst
    nnclr-embed -q --pixels 4 -o e.safetensors a.tar.zst
    zstd -qt e.safetensors.zst
    zstdcat e.safetensors.zst | cmp - e.safetensors
    python3 - <<'END'
from formats import *
data, plain = open("e.safetensors.zst", "rb").read(), open("e.safetensors", "rb").read()
frames = seek_table(data)
header = frame(data, frames, 0)
assert len(header) == 8 + struct.unpack("<Q", header[:8])[0]
assert b"".join(frame(data, frames, i) for i in range(len(frames))) == plain
metadata, tensors = parse(plain)
assert metadata["format"] == "pt" and metadata["nnclr.kind"] == "embedding"
assert metadata["nnclr.format"] == "1" and metadata["nnclr.program"].startswith("nnclr")
assert tensors["embedding"][:2] == ("F32", [20, 48])
assert tensors["record"][:2] == ("I64", [20]) and tensors["record"].values == tuple(range(20))
classes = json.loads(metadata["nnclr.classes"])
for label, name in zip(tensors["label"].values, names(tensors)):
    assert name.startswith(classes[label] + "/")
END
}

# Readers that take names with a dot for records, as Hugging Face's datasets does, must meet only
# records there.
@test "a tar of pictures and labels is all that other readers of WebDataset see" {
    make_shard a 20
    zstdcat a.tar.zst >a.tar
    nnclr-prep --list-contents a.tar.zst | awk -F '\t' 'NR > 1 { printf "%09d %d %s\n", $1, $2, $7 }' >wanted
    python3 - <<'END' >seen
import re, tarfile
groups = {}
for member in tarfile.open("a.tar", "r|"):
    match = re.match(r"^((?:.*/|)[^.]+)[.]([^/]*)$", member.name)
    if match:
        groups.setdefault(match[1], []).append(match[2])
for key, kinds in groups.items():
    assert len(kinds) == 3 and kinds[1:] == ["cls", "json"], (key, kinds)
END
    if python3 -c 'import webdataset' 2>&-; then
        python3 - <<'END' | cmp - wanted
import webdataset
for row in webdataset.WebDataset("a.tar", shardshuffle=False):
    print(row["__key__"], int(row["cls"]), next(k for k in ("jpg", "png", "ppm") if k in row))
END
    fi
}

@test "Hugging Face's datasets reads an unpacked shard" {
    python3 -c 'import datasets' 2>&- || skip "no Python package datasets"
    nnclr-prep -q --pixels -o a.tar.zst "$(shapes 20)" # it wants all pictures to be of one kind
    zstdcat a.tar.zst >a.tar
    nnclr-prep --list-contents a.tar.zst | awk -F '\t' 'NR > 1 { printf "%09d %d\n", $1, $2 }' >wanted
    HF_HOME=$PWD HF_HUB_OFFLINE=1 python3 - <<'END' | cmp - wanted
import datasets
for row in datasets.load_dataset("webdataset", data_files={"train": "a.tar"}, split="train", streaming=True):
    print(row["__key__"], row["cls"])
END
}

@test "a shard stays one when it is joined, compressed anew, unpacked or piped" {
    make_shard a 20
    make_shard b 40
    nnclr-prep --list-contents a.tar.zst >alone
    nnclr-prep --list-contents a.tar.zst b.tar.zst >both
    cat a.tar.zst b.tar.zst >joined.tar.zst
    nnclr-prep --list-contents joined.tar.zst | cmp - both
    zstdcat joined.tar.zst >joined.tar
    nnclr-prep --list-contents joined.tar | cmp - both
    zstd -q -9 joined.tar -o again.tar.zst
    nnclr-prep --list-contents again.tar.zst | cmp - both
    cat again.tar.zst | nnclr-prep --list-contents - | cmp - both
    zstdcat a.tar.zst | nnclr-prep --list-contents - | cmp - alone
    mkfifo fifo
    cat a.tar.zst >fifo &
    nnclr-prep --list-contents fifo | cmp - alone
    refuses 1 "truncated" nnclr-prep --list-contents <(head -c 20000 <(zstdcat a.tar.zst))
}
