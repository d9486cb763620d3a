#!/usr/bin/env bats
load helpers

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# run/: six steps of 64 on 200 pictures, so that 384 of 512 rows of the support set show a picture.
make_run() {
    make_shard train 200
    if [ ! -d "$BATS_FILE_TMPDIR/run" ]; then
        nnclr-pretrain -q --preset tiny --steps 6 -o "$BATS_FILE_TMPDIR/run" train.tar.zst
    fi
    cp -r "$BATS_FILE_TMPDIR/run" run
    checkpoint=run/checkpoint.safetensors.zst
}

columns="query	rank	neighbour	cosine	age	query_label	neighbour_label	query_name	neighbour_name"

@test "the support set: table and summary" {
    make_run
    expect 0 nnclr-queue-inspect -k 5 -n 9 $checkpoint train.tar.zst
    [ "${lines[0]}" = "$columns" ]
    [ "${#lines[@]}" -eq 46 ]
    expect_message nnclr-queue-inspect "support set of 512 rows of 32 numbers: 25.0 % initial rows, "
    [[ $stderr == *" distinct records; 9 queries" ]]
    nnclr-prep --list-contents train.tar.zst | cut -f 1,3,4 >contents
    tail -n +2 <<<"$output" | awk -F '\t' '
        BEGIN { while ((getline < "contents") > 0) { class[$1] = $2; name[$1] = $3 } }
        $2 == 1 { last = 2 }
        $2 != (NR - 1) % 5 + 1 || $4 > last || $1 == $3 { print "order: " $0; bad = 1 }
        $6 != class[$1] || $8 != name[$1] { print "query: " $0; bad = 1 }
        $3 != "" && ($7 != class[$3] || $9 != name[$3] || $5 < 0 || $5 > 5) { print "known: " $0; bad = 1 }
        $3 == "" && ($5 $7 $9) != "" { print "initial: " $0; bad = 1 }
        { last = $4 }
        END { exit bad }'
}

@test "neighbours without the shards: no names, the same rest; -q is silent" {
    make_run
    nnclr-queue-inspect -q $checkpoint train.tar.zst | cut -f 1-7 >with
    expect 0 nnclr-queue-inspect -q $checkpoint
    [ -z "$stderr" ]
    diff with <(cut -f 1-7 <<<"$output")
    [ "$(tail -n +2 <<<"$output" | cut -f 8,9 | sort -u)" = "	" ]
}

@test "the seed draws other queries, the threads do not; --json says the same" {
    need python3
    make_run
    nnclr-queue-inspect -q -j 1 $checkpoint >a
    nnclr-queue-inspect -q -j 3 $checkpoint >b
    nnclr-queue-inspect -q --seed 1 $checkpoint >c
    cmp a b
    ! cmp -s a c
    nnclr-queue-inspect -q --json $checkpoint | python3 -c '
import json, sys
rows = json.load(sys.stdin)
lines = [line.rstrip("\n").split("\t") for line in open("a")]
assert len(rows) == len(lines) - 1
for row, line in zip(rows, lines[1:]):
    assert list(row) == lines[0]
    assert str(row["query"]) == line[0] and abs(row["cosine"] - float(line[3])) < 1e-6
    assert ("" if row["neighbour"] is None else str(row["neighbour"])) == line[2]
    assert row["query_name"] is None'
}

@test "an embedding file: the nearest by a plain computation" {
    need zstd
    need python3
    make_shard a 50
    nnclr-embed -q --pixels 8 -o a.emb a.tar.zst
    expect 0 nnclr-queue-inspect -k 3 -n 1000 a.emb
    [ "${#lines[@]}" -eq 151 ]
    expect_message nnclr-queue-inspect "50 rows of 192 numbers, 50 distinct records; 50 queries"
    echo "$output" >table
    zstdcat a.emb >plain
    python3 - <<'END'
import array, json
raw = open("plain", "rb").read()
size = int.from_bytes(raw[:8], "little")
start, end = json.loads(raw[8:8 + size])["embedding"]["data_offsets"]
flat = array.array("f", raw[8 + size + start:8 + size + end])
rows = [flat[i * 192:(i + 1) * 192] for i in range(50)]
dot = lambda a, b: sum(x * y for x, y in zip(a, b))
cosine = [[dot(a, b) / (dot(a, a) * dot(b, b)) ** .5 for b in rows] for a in rows]
seen = set()
for line in list(open("table"))[1:]:
    query, rank, neighbour, value = line.split("\t")[:4]
    query, rank, neighbour = int(query), int(rank), int(neighbour)
    best = sorted((j for j in range(50) if j != query), key=lambda j: (-cosine[query][j], j))
    assert neighbour == best[rank - 1], (query, rank)
    assert abs(float(value) - cosine[query][neighbour]) < 2e-6
    seen.add(query)
assert len(seen) == 50
END
    nnclr-queue-inspect -q -k 3 -n 1000 - <a.emb | cmp - table
}

@test "--query: rows of another file, which may find themselves" {
    make_run
    nnclr-embed -q -m $checkpoint --output projection -o p.emb train.tar.zst
    expect 0 nnclr-queue-inspect -k 2 -n 3 --query p.emb $checkpoint
    [ "${#lines[@]}" -eq 7 ]
    nnclr-queue-inspect -q -k 1 -n 20 --query p.emb p.emb | awk -F '\t' 'NR > 1 && ($1 != $3 || $4 != "1.000000")' >wrong
    [ ! -s wrong ]
    nnclr-embed -q -m $checkpoint -o f.emb train.tar.zst
    expect 1 nnclr-queue-inspect --query f.emb $checkpoint
    expect_message nnclr-queue-inspect "f.emb has rows of 64 numbers, but $checkpoint of 32"
}

@test "--sheet: a PNG whose size follows from queries and neighbours, the same each time" {
    need file
    make_run
    expect 0 nnclr-queue-inspect -q -k 4 -n 3 --sheet a.png $checkpoint train.tar.zst
    [[ $(file a.png) == *"PNG image data"* ]]
    nnclr-queue-inspect -q -k 4 -n 3 --sheet b.png $checkpoint train.tar.zst >/dev/null
    cmp a.png b.png
    nnclr-queue-inspect -q -k 6 -n 3 --sheet c.png $checkpoint train.tar.zst >/dev/null
    size() { file "$1" | sed -E 's/.* ([0-9]+) x ([0-9]+),.*/\1 \2/'; }
    read -r width height < <(size a.png)
    read -r wider same < <(size c.png)
    [ "$same" -eq "$height" ]
    [ $((wider - width)) -ge $((2 * 96)) ]
    nnclr-embed -q -m $checkpoint --output projection -o p.emb train.tar.zst
    expect 0 nnclr-queue-inspect -q --query p.emb --query-shard train.tar.zst --sheet d.png $checkpoint train.tar.zst
    [ -s d.png ]
}

@test "shards that are not those of the file are refused" {
    make_run
    make_shard other 20
    expect 2 nnclr-queue-inspect $checkpoint other.tar.zst
    expect_message nnclr-queue-inspect "the shards given (20 records) are not those that $checkpoint was made from (200 records)"
    nnclr-embed -q --pixels 8 -o a.emb train.tar.zst
    expect 2 nnclr-queue-inspect a.emb train.tar.zst other.tar.zst
    expect_message nnclr-queue-inspect "the shards given (220 records)"
}

@test "wrong usage, and what is not there yet: exit 2" {
    expect 2 nnclr-queue-inspect
    expect_message nnclr-queue-inspect "give a checkpoint or an embedding file"
    expect 2 nnclr-queue-inspect --sheet a.png x
    expect_message nnclr-queue-inspect "--sheet needs the pictures"
    expect 2 nnclr-queue-inspect --query-shard a x
    expect_message nnclr-queue-inspect "--query-shard goes with --query"
    expect 2 nnclr-queue-inspect --sheet a.png --query q x y
    expect_message nnclr-queue-inspect "give --query-shard SHARD"
    for option in --html=x --report=health --ansi; do
        expect 2 nnclr-queue-inspect $option x
        expect_message nnclr-queue-inspect "not offered yet"
    done
    for files in "- -" "--query - -" "--query x --query-shard - x -"; do
        expect 2 nnclr-queue-inspect $files
        expect_message nnclr-queue-inspect "only one of the files can be standard input"
    done
    expect 2 nnclr-queue-inspect -k 0 x
    expect_message nnclr-queue-inspect "-k: needs a whole number from 1"
}

@test "another kind of file, a cut one, a full disk: exit 1" {
    make_run
    expect 1 nnclr-queue-inspect train.tar.zst
    expect_message nnclr-queue-inspect "train.tar.zst: is a shard"
    size=$(stat -c %s $checkpoint)
    for bytes in 0 100 $((size / 2)) $((size - 1)); do
        head -c "$bytes" $checkpoint >cut.safetensors.zst
        expect 1 nnclr-queue-inspect cut.safetensors.zst
        expect_message nnclr-queue-inspect cut.safetensors.zst
    done
    nnclr-pretrain -q --preset tiny --method simclr --steps 1 -o simclr train.tar.zst 2>/dev/null &&
        { expect 1 nnclr-queue-inspect simclr/checkpoint.safetensors.zst
          expect_message nnclr-queue-inspect "this checkpoint has no support set"; }
    [ -c /dev/full ] || skip "no /dev/full"
    expect 1 nnclr-queue-inspect -q --sheet /dev/full $checkpoint train.tar.zst
    expect_message nnclr-queue-inspect "No space left on device"
    run bash -c "nnclr-queue-inspect -q $checkpoint 2>&1 >/dev/full"
    [ "$status" -eq 1 ]
}
