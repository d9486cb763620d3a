#!/usr/bin/env python3
"""Makes the seeds in tests/fuzz/corpus: one small valid file or more of each kind that a fuzz target
reads, and some that are nearly valid. Pictures are made by a formula. What a fuzz run has found is
next to them under names that start with "found-", and stays.

    tests/fuzz/make_corpus.py       (needs Python with Pillow and NumPy, and zstd)
"""
import bz2
import gzip
import io
import json
import lzma
import pathlib
import struct
import subprocess
import tarfile
import zlib

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).parent / "corpus"


def put(target, name, content):
    folder = ROOT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


# ---- pictures ----

def picture(width, height, mode="RGB"):
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    pixels = (x * 37 + y * 101 + c * 59 + x * y * 7) % 256
    return Image.fromarray(pixels.astype("uint8")).convert(mode)


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def tiff(orientation, big=True):
    order = ">" if big else "<"
    return ((b"MM" if big else b"II") + struct.pack(order + "HIH", 42, 8, 2)
            + struct.pack(order + "HHIHH", 0x0100, 3, 1, 5, 0)
            + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0) + b"\0\0\0\0")


def arithmetic(jpeg):
    """Another start of frame: the same bytes are then decoded, to something else, arithmetically."""
    at = 2
    while jpeg[at + 1] not in (0xC0, 0xC2):
        at += 2 + struct.unpack(">H", jpeg[at + 2:at + 4])[0]
    return jpeg[:at + 1] + bytes([jpeg[at + 1] + 8 + (jpeg[at + 1] == 0xC0)]) + jpeg[at + 2:]


def make_pictures():
    plain = encoded(picture(19, 13), "JPEG", quality=60)
    progressive = encoded(picture(20, 20), "JPEG", quality=40, progressive=True)
    put("jpeg", "plain.jpg", plain)
    put("jpeg", "progressive.jpg", progressive)
    put("jpeg", "gray.jpg", encoded(picture(9, 8, "L"), "JPEG", quality=30))
    put("jpeg", "cmyk.jpg", encoded(picture(8, 9, "CMYK"), "JPEG", quality=30))
    put("jpeg", "turned.jpg", encoded(picture(8, 5), "JPEG", quality=20, exif=b"Exif\0\0" + tiff(6)))
    put("jpeg", "restarts.jpg", encoded(picture(40, 24), "JPEG", quality=20, restart_marker_blocks=1))
    put("jpeg", "arithmetic.jpg", arithmetic(plain))
    put("jpeg", "arithmetic-progressive.jpg", arithmetic(progressive))
    put("jpeg", "cut.jpg", plain[:-40])
    put("jpeg", "foreign.gif", b"GIF89a\1\0\1\0\0\0\0;")

    for mode in ("RGB", "RGBA", "L", "LA", "P", "1"):
        source = picture(7, 6, "L" if mode == "LA" else "RGB").convert(mode)
        put("png", mode.lower() + ".png", encoded(source, "PNG"))
    put("png", "deep.png", encoded(Image.fromarray((np.arange(30).reshape(5, 6) * 2000).astype("uint16")),
                                   "PNG"))
    put("png", "transparent.png", encoded(picture(7, 6, "P"), "PNG", transparency=3))
    put("png", "interlaced.png", interlaced(6, 5))
    turned = encoded(picture(5, 3), "PNG")
    put("png", "turned.png", turned[:33] + chunk(b"eXIf", tiff(8, False)) + chunk(b"tEXt", b"a\0b") + turned[33:])
    put("png", "cut.png", turned[:-20])

    put("ppm", "plain.ppm", encoded(picture(5, 4), "PPM"))
    put("ppm", "comment.ppm", b"P6 # a comment\n2\n1\t255\n" + bytes(range(6)))
    put("ppm", "deep.ppm", b"P6\n1 1\n65535\n" + bytes(6))
    for orientation in (1, 6, 9):
        put("exif", f"{orientation}-big", tiff(orientation))
        put("exif", f"{orientation}-little", tiff(orientation, False))


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def interlaced(width, height):
    """Adam7, which Pillow reads but does not write."""
    pixels = np.asarray(picture(width, height))
    rows = b""
    for x, y, step_x, step_y in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
                                 (1, 0, 2, 2), (0, 1, 1, 2)):
        part = pixels[y::step_y, x::step_x]
        if part.size:
            rows += b"".join(b"\0" + row.tobytes() for row in part)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


# ---- archives ----

def tar(members, form=tarfile.USTAR_FORMAT, end=True):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.LNKTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        size = archive.offset
    return out.getvalue()[:size + 1024 if end else size]


def zstd(content, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=content, stdout=subprocess.PIPE, check=True).stdout


def make_archives():
    jpeg = encoded(picture(4, 4), "JPEG", quality=10)
    members = [("photos/a/1.jpg", jpeg[:300]), ("./photos/b/2.jpg", b"P6\n1 1\n255\nabc"),
               ("photos/b/3.jpg", "photos/a/1.jpg"), ("photos/.hidden", b"x")]
    plain = tar(members)
    put("archive", "ustar.tar", plain)
    put("archive", "gnu.tar", tar(members + [("photos/c/" + "long/" * 30 + "x.jpg", b"y")], tarfile.GNU_FORMAT))
    put("archive", "pax.tar", tar([("photos/\u00e9/" + "long/" * 30 + "x.jpg", b"y")], tarfile.PAX_FORMAT))
    put("archive", "twice.tar", plain + tar([("photos/a/1.jpg", b"other")]))
    put("archive", "sparse.tar", sparse())
    put("archive", "plain.tar.gz", gzip.compress(plain, mtime=0))
    put("archive", "plain.tar.bz2", bz2.compress(plain))
    put("archive", "plain.tar.xz", lzma.compress(plain))
    put("archive", "plain.tar.zst", zstd(plain))
    put("archive", "empty.tar", bytes(1024))
    put("archive", "large.tar.gz", gzip.compress(tar(members + [("photos/large.jpg", bytes(70000))]), mtime=0))
    put("archive", "shard.tar", tar([("__nnclr__/shard", b"{}")]))
    put("archive", "picture.jpg", jpeg)
    put("archive", "cut.tar.zst", zstd(plain)[:-30])

    # kind, records, 1 + bytes too many, length of the part beside, that part, what fills the records
    ten = b"\n".join(b"c%d" % i for i in range(10)) + b"\n"
    put("pixels", "cifar10", bytes([0, 2, 1, len(ten)]) + ten + bytes([3]) * 7)
    put("pixels", "cifar10-numbers", bytes([0, 3, 1, 0]) + bytes([9, 0]))
    put("pixels", "cifar10-cut", bytes([0, 2, 0, 0]) + bytes([1]))
    put("pixels", "cifar100", bytes([1, 2, 1, 0]) + bytes([5]))
    put("pixels", "cifar100-label", bytes([1, 1, 1, 0]) + bytes([200]))
    put("pixels", "stl10", bytes([2, 2, 1, 2]) + bytes([1, 10]) + bytes(range(256)))
    put("pixels", "stl10-label", bytes([2, 1, 1, 1]) + bytes([11]) + bytes([7]))
    idx = bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 3, 3) + bytes(range(18))
    labels = bytes([0, 0, 8, 1]) + struct.pack(">I", 2) + bytes([4, 0])
    put("pixels", "idx", bytes([3, 0, 0, len(labels)]) + labels + idx)
    put("pixels", "idx-alone", bytes([3, 0, 0, 0]) + idx)
    put("pixels", "idx-huge", bytes([3, 0, 0, 0]) + bytes([0, 0, 8, 3]) + bytes([255] * 12) + bytes(9))
    put("list", "plain", "a/1.jpg\tcat\nb/2.jpg\tdog\nc.jpg\n")
    put("list", "numbers", "a\t3\nb\t0\r\nc\t12")
    put("list", "tables", "a\nb\tdog\nname\tsuggested\tsurplus\na\tcat\tno\nb\tcat\tyes\n\ncosine\tneighbour_name\tsame\n")
    put("list", "odd", b"\n\tcat\nx\t\na\tb\tc\n\xff\xfe\t1\n")


def sparse():
    """GNU tar's old sparse member: 10 bytes at offset 512 of 2000."""
    header = bytearray(512)
    header[0:6] = b"photos"
    header[6:10] = b"/s/x"
    header[100:108], header[124:136] = b"0000644\0", b"00000000012\0"
    header[136:148], header[156:157], header[257:265] = b"00000000000\0", b"S", b"ustar  \0"
    header[386:398], header[398:410] = b"00000001000\0", b"00000000012\0"
    header[483:495] = b"00000003720\0"
    header[148:156] = b" " * 8
    header[148:155] = b"%06o\0" % sum(header)
    return bytes(header) + b"0123456789".ljust(512, b"\0") + bytes(1024)


# ---- tensor files ----

DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "u1"}


def tensors(columns, metadata=None):
    """columns: name -> (dtype, values)"""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, values) in columns.items():
        values = np.asarray(values, DTYPES[dtype])
        header[name] = {"dtype": dtype, "shape": list(values.shape),
                        "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def about(kind, **more):
    return {"format": "pt", "nnclr.kind": kind, "nnclr.format": "1", "nnclr.program": "seed 1",
            **{"nnclr." + key: value for key, value in more.items()}}


CONFIG = {
    "arch": "resnet18", "width": 0.001, "stem": "cifar", "size": 8, "proj": [8, 4], "pred": [8],
    "jitter": "torch", "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "crop": [0.2, 1],
    "aspect": [0.75, 1.25], "flip": 0.5, "jitter_p": 0.8, "jitter_strength": [0.4, 0.4, 0.2, 0.1], "gray": 0.2,
    "blur": [0, 0], "blur_sigma": [0.1, 2], "solarize": [0, 0.2], "method": "nnclr", "positive": "nn",
    "negatives": "all", "temperature": 0.2, "queue": 4, "loss": "row", "swap": True, "neighbours": 1,
    "exclude_self": False, "enqueue": "view1", "queue_frozen": False, "batch": 4, "micro_batch": 2, "epochs": 2, "steps": 0,
    "warmup_epochs": 0.2, "warmup_steps": -1, "schedule": "cosine", "lr": 0.2, "lr_scale": "linear", "final_lr": 0,
    "optimizer": "lars", "lars": "byol", "momentum": 0.9, "weight_decay": 1e-6, "trust": 0.001, "init_seed": 0,
    "data_seed": 1,
}


def make_tensors():
    small = {"a": ("F32", [[1, 2], [3, 4]]), "b": ("I64", 7), "c": ("U8", [1, 2, 3]), "d": ("F32", np.zeros((0, 3)))}
    for target in ("tensor_header", "tensor_file"):
        put(target, "plain", tensors(small, {"format": "pt"}))
        put(target, "bare", tensors({"a": ("F64", [0.5])}))
        put(target, "none", tensors({}, about("views")))
        put(target, "cut", tensors(small)[:-9])
    document = tensors(small, about("views"))
    head = 8 + struct.unpack("<Q", document[:8])[0]
    put("tensor_file", "framed", sections((FRAME, document[:head]), (FRAME, document[head:head + 20]),
                                          (FRAME, document[head + 20:]), (TABLE, b"")))
    put("tensor_file", "stream", sections((FRAME, document[:50]), (SKIP, b"x"), (FRAME, document[50:])))
    put("tensor_file", "foreign.zst", sections((RAW, zstd(document, "--no-check"))))

    labels = {"record": ("I64", [0, 5]), "label": ("I64", [1, -1])}
    put("views", "floats", tensors({"view1": ("F32", np.linspace(0, 1, 24).reshape(2, 2, 2, 3)),
                                    "view2": ("F32", np.ones((2, 2, 2, 3))), **labels},
                                   about("views", classes='["ape","bee"]')))
    put("views", "bytes", tensors({"view1": ("U8", np.arange(6).reshape(2, 1, 1, 3)),
                                   "view2": ("U8", np.full((2, 1, 1, 3), 255)), **labels}, about("views")))
    rows = {"embedding": ("F32", [[1, 0, 2], [0.5, -1, 3]]), **labels, "name": ("U8", list(b"a.jpgb.jpg")),
            "name_end": ("I64", [5, 10])}
    said = {"config": "{}", "data": '[{"records":6,"crc32":7}]'}
    put("embedding", "plain", tensors(rows, about("embedding", classes='["ape","bee"]', **said)))
    put("embedding", "no-number", tensors({**rows, "embedding": ("F32", np.zeros((2, 0)))}, about("embedding")))
    put("embedding", "twice", tensors(rows, about("embedding", classes='["ape","ape"]', **said)))
    queue = {"queue.embedding": ("F32", [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0.6, 0.8, 0, 0]]),
             "queue.record": ("I64", [3, 1, -1, 2]), "queue.label": ("I64", [0, 1, -1, -1]),
             "queue.step": ("I64", [0, 0, -1, 1]), "queue.cursor": ("I64", 2)}
    weights = {"backbone.conv1.weight": ("F32", np.zeros((8, 3, 3, 3))), "backbone.bn1.weight": ("F32", np.ones(8))}
    facts = {"step": "3", "total_steps": "9", "engine": "cpu", "precision": "f32", "classes": '["ape","bee"]',
             "data": '[{"records":6,"crc32":7}]'}
    put("checkpoint", "nnclr", tensors({**weights, **queue}, about("checkpoint", config=json.dumps(CONFIG), **facts)))
    simclr = {**CONFIG, "method": "simclr", "pred": []}
    put("checkpoint", "simclr", tensors(weights, about("checkpoint", config=json.dumps(simclr), **facts)))
    doubles = {**queue, "queue.embedding": ("F64", queue["queue.embedding"][1])}
    put("checkpoint", "double", tensors(doubles, about("checkpoint", config=json.dumps(CONFIG),
                                                       **{**facts, "precision": "f64"})))
    convs = {f"{stage}.{block}.conv1.weight": ("F16", np.zeros((0, 8)))
             for stage in ("layer1", "layer2", "layer3", "layer4") for block in (0, 1)}
    bare = {**{name[9:]: t for name, t in weights.items()}, **convs, "fc.bias": ("F32", [1])}
    put("checkpoint", "weights", tensors(bare))
    named = {"module.encoder." + name: t for name, t in bare.items()}
    put("checkpoint", "weights-told", tensors(named, {"nnclr.config": json.dumps(CONFIG), "nnclr.step": "3"}))
    put("config", "nnclr", json.dumps(CONFIG))
    put("config", "simclr", json.dumps(simclr))
    put("config", "large", json.dumps({**CONFIG, "arch": "resnet152", "width": 64, "size": 16384, "proj": [131072] * 8,
                                       "steps": 10**15, "warmup_steps": 10**15, "lr": 1e30, "queue": 1 << 30}))


# ---- shards ----

RAW, FRAME, TAR, INDEX, SKIP, TABLE = range(6)  # support.h


def sections(*parts):
    return b"".join(bytes([kind]) + struct.pack("<H", len(content)) + content for kind, content in parts)


def index(lengths, labels, frames, offsets, contents, names):
    rows = len(lengths)
    ends = np.cumsum([len(name) for name in names])
    return tensors({"record": ("I64", range(rows)), "frame": ("I64", frames), "offset": ("I64", offsets),
                    "length": ("I64", lengths), "crc32": ("I64", [zlib.crc32(c) for c in contents]),
                    "label": ("I64", labels), "name_end": ("I64", ends), "width": ("I32", [1] * rows),
                    "height": ("I32", [1] * rows), "codec": ("U8", [2] * rows),
                    "name": ("U8", list(b"".join(names)))}, about("shard-index"))


def make_shards():
    pixel = b"P6\n1 1\n255\nabc"
    first = tar([("__nnclr__/shard", b'{"format":1,"classes":["ape","bee"],"program":"seed 1"}')], end=False)

    def record(number, name, label=None):
        key = f"{number:09d}"
        members = [(key + ".ppm", pixel)]
        if label is not None:
            members.append((key + ".cls", str(label).encode()))
        members.append((key + ".json", json.dumps({"name": name, "width": 1, "height": 1}).encode()))
        return tar(members, end=False)

    records = record(0, "a/x.ppm", 0) + record(1, "y.ppm")
    last = tar([("__nnclr__/end", b'{"records":2}')])
    names = [b"a/x.ppm", b"y.ppm"]
    document = index([len(pixel)] * 2, [0, -1], [1, 1], [512, 512 + 3 * 1024], [pixel] * 2, names)
    whole = ((TAR, first), (TAR, records), (TAR, last))
    one = record(0, "y.ppm")
    end_of_one = tar([("__nnclr__/end", b'{"records":1}')])
    index_of_one = index([len(pixel)], [-1], [1], [512], [pixel], names[1:])
    tail = ((INDEX, index_of_one), (TABLE, b""))
    put("shard", "indexed", sections(*whole, (INDEX, document), (TABLE, b"")))
    put("shard", "no-index", sections(*whole, (TABLE, b"")))
    put("shard", "no-table", sections((TAR, first), (TAR, one), (TAR, end_of_one)))
    put("shard", "cat", sections(*((TAR, first), (TAR, one), (TAR, end_of_one), *tail) * 2))
    put("shard", "anew.zst", sections((RAW, zstd(first + records + last))))
    put("shard", "plain.tar", sections((RAW, first + one + end_of_one)))
    put("shard", "no-end", sections((TAR, first), (TAR, one), (FRAME, b"x"), *tail))
    put("shard", "foreign-member", sections((TAR, first), (TAR, one),
                                            (TAR, tar([("other", b"x")], end=False) + end_of_one), *tail))
    end_of_none = tar([("__nnclr__/end", b'{"records":0}')])
    put("shard", "no-record", sections((TAR, first), (TAR, end_of_none), (INDEX, index([], [], [], [], [], [])),
                                       (TABLE, b"")))
    put("shard", "label", sections((TAR, first), (TAR, one), (TAR, end_of_one),
                                   (INDEX, index([len(pixel)], [2], [1], [512], [pixel], names[1:])), (TABLE, b"")))
    put("shard", "tensors", sections((FRAME, tensors({}, about("embedding"))), (FRAME, b"x"), (SKIP, b""),
                                     (TABLE, b"")))
    put("shard", "tar", sections((FRAME, tar([("a", b"b")])), (FRAME, b"x"), (SKIP, b""), (TABLE, b"")))
    put("shard_tar", "plain.tar", first + records + last)
    old = [tar([(f"__nnclr__/{name}.json", text)], end=False) for name, text in
           (("shard", b'{"format":1,"classes":["ape","bee"]}'), ("end", b'{"records":2}'))]
    put("shard_tar", "old.tar", old[0] + records + old[1])
    put("shard", "old", sections((TAR, old[0]), (TAR, records), (TAR, old[1]), (INDEX, document), (TABLE, b"")))
    put("shard_tar", "twice.tar", (first + one + end_of_one) * 2)
    put("shard_tar", "gnu.tar", tar([("__nnclr__/shard", b'{"format":1,"classes":[]}'), ("other", b"x"),
                                     ("000000000.jpg", pixel), ("000000000.json", b'{"name":"?","name_hex":"ff41",'
                                      b'"width":1,"height":2}'), ("__nnclr__/end", b'{"records":1}')],
                                    tarfile.GNU_FORMAT))
    put("shard_index", "plain", document)
    put("shard_index", "turned", index([14, 14], [0, -1], [1, 1], [0, 9], [pixel] * 2, names)
        .replace(struct.pack("<qq", 0, 1), struct.pack("<qq", 1, 0), 1))
    packed = zstd(document, f"--stream-size={len(document)}")
    put("shard_index", "packed", struct.pack("<II", 0x184D2A5A, 8 + len(packed)) + b"NNCLRIDX" + packed)

    put("zstd", "frames", sections((FRAME, b"abc"), (FRAME, b"x" * 200), (SKIP, b"more"), (TABLE, b"")))
    put("zstd", "partial", sections((FRAME, b"abc"), (TABLE, b""), (FRAME, b"d"), (TABLE, b"")))
    put("zstd", "stream", sections((RAW, zstd(b"hello " * 30)), (RAW, zstd(b"", "--no-check"))))
    put("zstd", "cut", sections((RAW, zstd(bytes(range(200)))[:-7])))
    entry = struct.pack("<III", 16, 3, 0x51D8E999)
    put("zstd", "table", struct.pack("<II", 0x184D2A5E, 21) + entry + struct.pack("<IBI", 1, 0x80, 0x8F92EAB1))
    put("zstd", "table-unchecked", struct.pack("<II", 0x184D2A5E, 17) + entry[:8] + struct.pack("<IBI", 1, 0, 0x8F92EAB1))


# ---- runs and command lines ----

def make_texts():
    put("run_json", "shards", json.dumps({"program": "seed", "config": CONFIG, "shards": ["/a/b.tar.zst", "c"]}))
    put("run_json", "views", json.dumps({"views": ["/v.safetensors"], "init": "/i"}))
    put("run_json", "pipe", json.dumps({"shards": ["-"]}))
    put("run_json", "odd", json.dumps({"shards": [1, None], "views": []}))
    lines = [json.dumps({"step": step, "epoch": 0, "loss": 1.5, "nn_age": None}) for step in (1, 7, 8, 9)]
    put("metrics", "plain", "\n".join(lines) + "\n")
    put("metrics", "cut", "\n".join(lines)[:-5])
    put("metrics", "odd", b'{"step":7}\n\n[8]\n{"step":"9"}\n\x00{"step":9}\nnonsense\n{"step":1e3}\n')

    put("options", "usual", "--preset\ntiny\n-o\nrun\n--batch=32\n--queue\n2048\n--temperature\n0.1\nshard.tar.zst")
    put("options", "long", "--size=32\n--jitter=tf\n--augment\nsimclr\n--crop=0.2,1\n--jitter-strength\n0.4,0.4,0.2,0.1\n--mean="
                           "0.5,0.5,0.5\n--std\n1,1,1\n--blur\n0,1\n--solarize=0,0.2\n--proj=64,32\n--pred\nnone\n-o\nr\nx")
    put("options", "simclr", "--method=simclr\n--negatives\nopposite\n--swap=off\n--optimizer\nsgd\n-o\nr\na\nb")
    put("options", "run", "-qj2\n--steps=100\n--micro-batch=64\n--warmup\n10steps\n--save-every=1epoch\n--max-time\n90m\n--cache=2G\n"
                          "--seed\n3\n--lr-scale=sqrt\n--schedule\nconstant\n--keep=3\n-o\nr\n--\n-x")
    put("options", "resume", "--resume\n-o\nrun\n--keep\n2")
    put("options", "help", "--preset=cifar\n--help")
    put("options", "version", "-V")
    put("options", "views", "--views\nv\n--init=c\n--log-every=5\n-o\nr")
    for name, text in {"int": "-9223372036854775808", "bytes": "512K", "huge": "9007199254740993T", "real": "-1.5e-3",
                       "hex": "0x1p-3", "layers": "2048,2048,256", "none": "none", "triple": "0.4,0.4,0.2",
                       "quad": "1,2,3,-4", "seconds": "90s", "steps": "500steps", "epochs": "2.5epochs",
                       "text": "caf\u00e9\t\\\u009b\x7f"}.items():
        put("values", name, text)
    put("values", "bytes-of-all", bytes(range(256)))


make_pictures()
make_archives()
make_tensors()
make_shards()
make_texts()
