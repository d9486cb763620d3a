"""Writes damaged copies of a shard or tensor file, one for each class of bytes and kind of damage.

    damage.py FILE FOLDER      FOLDER/CLASS for each: flip-*: one bit, cut-*: the end missing

A file is taken apart here by the zstd format (RFC 8878) and the seekable format, with nothing of the
programs under test. The names of copies that still hold all data begin with "whole-".
"""
import os
import struct
import sys

name, folder = sys.argv[1:]
data = open(name, "rb").read()
SEEK_TABLE, INDEX = 0x184D2A5E, 0x184D2A5A


def frame_end(at):
    """The end of the frame that starts there, and its magic number."""
    (magic,) = struct.unpack_from("<I", data, at)
    if magic & 0xFFFFFFF0 == 0x184D2A50:
        return at + 8 + struct.unpack_from("<I", data, at + 4)[0], magic
    assert magic == 0xFD2FB528
    descriptor = data[at + 4]
    single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    size = {0: single, 1: 2, 2: 4, 3: 8}[descriptor >> 6]
    at += 5 + (not single) + size
    last = False
    while not last:
        header = int.from_bytes(data[at:at + 3], "little")
        last, kind, length = header & 1, header >> 1 & 3, header >> 3
        at += 3 + (1 if kind == 1 else length)
    assert checksum
    return at + 4, magic


def put(label, content):
    with open(os.path.join(folder, label), "wb") as f:
        f.write(content)


def flip(label, at, bit=0, whole=""):
    put(whole + "flip-" + label, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:])


frames, at = [], 0
while at < len(data):
    end, magic = frame_end(at)
    frames.append((at, end, magic))
    at = end
assert at == len(data) and frames[-1][2] == SEEK_TABLE

contents = [f for f in frames if f[2] == 0xFD2FB528]
for label, (start, end, _) in (("first", contents[0]), ("middle", contents[len(contents) // 2]),
                               ("last", contents[-1])):
    flip(label + "-frame-magic", start)
    flip(label + "-frame-descriptor", start + 4, 5)
    flip(label + "-frame-content-size", start + 5 + (not data[start + 4] >> 5 & 1))
    flip(label + "-frame-block-header", start + 8, 3)
    flip(label + "-frame-body", (start + end) // 2)
    flip(label + "-frame-checksum", end - 1)
for start, end, magic in frames:
    if magic == INDEX:
        flip("index-skippable-magic", start, 1)
        flip("index-skippable-size", start + 4)
        flip("index-magic", start + 8)
        flip("index-frame-magic", start + 16)
        flip("index-body", (start + 16 + end) // 2)
        flip("index-checksum", end - 1)
start, end, _ = frames[-1]
flip("table-skippable-magic", start, 1)
flip("table-skippable-size", start + 4)
flip("table-first-size", start + 8)
flip("table-checksum", start + 16)
flip("table-count", end - 9)
flip("table-descriptor", end - 5, 7)
# A tensor file is whole without its table; a shard whose index has no table after it is not.
flip("table-magic", end - 1, whole="" if frames[-2][2] == INDEX else "whole-")

for i, (start, end, magic) in enumerate(frames):
    whole = "whole-" if start >= contents[-1][1] else ""
    put("%scut-before-frame-%d" % (whole, i), data[:start])
    # After the data, half of an index or a table is not a frame, which a reader may notice.
    put("cut-in-frame-%d" % i, data[:(start + end) // 2])
put("cut-last-byte", data[:-1])
put("longer-by-a-byte", data + b"\0")
