#!/usr/bin/python3
"""label_draw.py SEED FRACTION < LABELS: the records (counted from 0) that --label-fraction draws from
these, one per line: a class's first round(FRACTION n), at least one, in the order of a Fisher-Yates
permutation of the records with a label by Philox4x32-10 (key: seed; counter: purpose 6)."""

import math
import sys

MASK = 0xFFFFFFFF


def philox(seed):
    block = 0
    while True:
        c, k = [block, 0, 0, 6], [seed & MASK, seed >> 32]
        for _ in range(10):
            p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [q >> 32 ^ c[1] ^ k[0], q & MASK, p >> 32 ^ c[3] ^ k[1], p & MASK]
            k = [k[0] + 0x9E3779B9 & MASK, k[1] + 0xBB67AE85 & MASK]
        yield from c
        block += 1


def below(words, n):
    while True:
        value = next(words) << 32 | next(words)
        if value >= 2**64 % n:
            return value % n


seed, fraction = int(sys.argv[1]), float(sys.argv[2])
label = [int(line) for line in sys.stdin]
order, words = [i for i, c in enumerate(label) if c >= 0], philox(seed)
for i in range(len(order) - 1, 0, -1):
    j = below(words, i + 1)
    order[i], order[j] = order[j], order[i]
quota = {label[i]: max(1, math.floor(fraction * label.count(label[i]) + 0.5)) for i in order}
for record in order:
    if quota[label[record]] > 0:
        quota[label[record]] -= 1
        print(record)
