#!/usr/bin/env bats
load helpers

teardown() {
    [ ! -e going.pid ] || kill "$(cat going.pid)" || true
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
    differ a c
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
    python3 - <<'END'
from tensors import load
flat = load("a.emb")[1]["embedding"].values
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
    nnclr-embed -q -m $checkpoint --layer projection -o p.emb train.tar.zst
    expect 0 nnclr-queue-inspect -k 2 -n 3 --query p.emb $checkpoint
    [ "${#lines[@]}" -eq 7 ]
    nnclr-queue-inspect -q -k 1 -n 20 --query p.emb p.emb | awk -F '\t' 'NR > 1 && ($1 != $3 || $4 != "1.000000")' >wrong
    [ ! -s wrong ]
    nnclr-embed -q -m $checkpoint -o f.emb train.tar.zst
    refuses 1 "f.emb has rows of 64 numbers, but $checkpoint has rows of 32" nnclr-queue-inspect --query f.emb $checkpoint
}

@test "--sheet: a PNG whose size follows from queries and neighbours, the same each time" {
    need file
    make_run
    mkdir pages
    expect 0 nnclr-queue-inspect -q -k 4 -n 3 --sheet a.png $checkpoint train.tar.zst
    [[ $(file a.png) == *"PNG image data"* ]]
    nnclr-queue-inspect -q -k 4 -n 3 --sheet b.png $checkpoint train.tar.zst >/dev/null
    cmp a.png b.png
    nnclr-queue-inspect -q -k 6 -n 3 --sheet c.png $checkpoint train.tar.zst >/dev/null
    size() { file "$1" | sed -E 's/.* ([0-9]+) x ([0-9]+),.*/\1 \2/'; }
    read -r width height < <(size a.png)
    read -r wider same < <(size c.png)
    [ "$same" -eq "$height" ]
    [ $((wider - width)) -ge $((2 * 128)) ]
    expect 0 nnclr-queue-inspect -q -k 2 -n 90 --sheet pages/p.png $checkpoint train.tar.zst
    expect_files pages p-1.png p-2.png p-3.png
    read -r _ height < <(size pages/p-1.png)
    read -r _ same < <(size pages/p-2.png)
    read -r _ last < <(size pages/p-3.png)
    [ "$same" -eq "$height" ]
    [ "$last" -lt $((height / 3)) ]
    nnclr-embed -q -m $checkpoint --layer projection -o p.emb train.tar.zst
    expect 0 nnclr-queue-inspect -q --query p.emb --query-shard train.tar.zst --sheet d.png $checkpoint train.tar.zst
    [ -s d.png ]
}

@test "shards that are not those of the file are refused" {
    make_run
    make_shard other 20
    expect 2 nnclr-queue-inspect $checkpoint other.tar.zst
    expect_message nnclr-queue-inspect "the shards given (20 records) are not those that $checkpoint was made from (200 records)"
    nnclr-embed -q --pixels 8 -o a.emb train.tar.zst
    refuses 2 "the shards given (220 records)" nnclr-queue-inspect a.emb train.tar.zst other.tar.zst
}

@test "wrong usage: exit 2" {
    refuses 2 "give a checkpoint or an embedding file" nnclr-queue-inspect
    refuses 2 "--sheet needs the pictures" nnclr-queue-inspect --sheet a.png x
    refuses 2 "--query-shard goes with --query" nnclr-queue-inspect --query-shard a x
    refuses 2 "give --query-shard SHARD" nnclr-queue-inspect --sheet a.png --query q x y
    for pair in "--report=hubs --sheet=a.png:leave --report out" "--report=hubs --queries=3:it takes no queries" \
        "--report=leaks:give --query TEST" "--report=hubs --query=y:hubs takes no --query" "--report=x:--report"; do
        refuses 2 "${pair#*:}" nnclr-queue-inspect ${pair%%:*} x y
    done
    for files in "- -" "--query - -" "--query x --query-shard - x -"; do
        refuses 2 "standard input can be given only once" nnclr-queue-inspect $files
    done
    refuses 2 "-k: needs a whole number from 1" nnclr-queue-inspect -k 0 x
}

@test "another kind of file, a cut one: exit 1" {
    make_run
    refuses 1 "train.tar.zst: is a shard" nnclr-queue-inspect train.tar.zst
    size=$(stat -c %s $checkpoint)
    for bytes in 0 100 $((size / 2)) $((size - 1)); do
        head -c "$bytes" $checkpoint >cut.safetensors.zst
        refuses 1 cut.safetensors.zst nnclr-queue-inspect cut.safetensors.zst
    done
    nnclr-pretrain -q --preset tiny --method simclr --steps 1 -o simclr train.tar.zst
    refuses 1 "this checkpoint has no support set" nnclr-queue-inspect simclr/checkpoint.safetensors.zst
}

# planted.safetensors: 300 rows of 16 numbers in five clusters (classes c0 to c4). Rows 10+29i have
# another cluster's label (flipped), rows 5, 6 and 7 are there again at 205, 206 and 207.
# test.safetensors: 60 more rows, of which 3, 14 and 25 are in the first file at 33, 44 and 55.
make_planted() {
    need python3
    python3 - <<'END'
import itertools, json, random, struct
from tensors import store
def write(path, rows, labels, names):
    n, d = len(rows), len(rows[0])
    whole = lambda numbers: ("I64", [n], struct.pack("<%dq" % n, *numbers))
    text = "".join(names).encode()
    store(path, {"format": "pt", "nnclr.kind": "embedding", "nnclr.format": "1",
                 "nnclr.classes": json.dumps(["c%d" % c for c in range(5)])},
          {"embedding": ("F32", [n, d], b"".join(struct.pack("<%df" % d, *r) for r in rows)),
           "record": whole(range(n)), "label": whole(labels), "name": ("U8", [len(text)], text),
           "name_end": whole(itertools.accumulate(map(len, names)))})
draw = random.Random(1)
centre = [[draw.gauss(0, 1) for _ in range(16)] for _ in range(5)]
point = lambda c: [x + draw.gauss(0, .35) for x in centre[c]]
rows = [point(i % 5) for i in range(300)]
labels = [i % 5 for i in range(300)]
for i in range(10, 300, 29):
    labels[i] = (labels[i] + 2) % 5
for i in (5, 6, 7):
    rows[200 + i] = [x * 1.1 + 1e-3 * draw.gauss(0, 1) for x in rows[i]]
test = [point(i % 5) for i in range(60)]
for i in (3, 14, 25):
    test[i] = [x * .9 + 1e-3 * draw.gauss(0, 1) for x in rows[30 + i]]
write("planted.safetensors", rows, labels, ["a/%03d.jpg" % i for i in range(300)])
write("test.safetensors", test, [i % 5 for i in range(60)], ["t/%02d.jpg" % i for i in range(60)])
END
}

@test "--report duplicates, labels and leaks find what was planted" {
    make_planted
    expect 0 nnclr-queue-inspect --report duplicates --threshold 0.999 planted.safetensors
    expect_message nnclr-queue-inspect "groups of the same bytes: none; groups of near copies (cosine 0.999 or more): 3, of 6 rows; which of them are the same bytes is not known without the SHARDs; nnclr-prep --exclude would leave out 3"
    [ "${lines[0]}" = "group	row	record	label	name	twin	cosine	twin_name	same	surplus" ]
    [ "$(tail -n +2 <<<"$output" | cut -f 9 | uniq)" = near ]
    [ "$(tail -n +2 <<<"$output" | cut -f 10 | paste -sd ' ')" = "no yes no yes no yes" ]
    [ "$(tail -n +2 <<<"$output" | cut -f 1,3,6,8 | tr '\t\n' ' ;')" = \
        "1 7 207 a/207.jpg;1 207 7 a/007.jpg;2 6 206 a/206.jpg;2 206 6 a/006.jpg;3 5 205 a/205.jpg;3 205 5 a/005.jpg;" ]

    expect 0 nnclr-queue-inspect -k 10 --report labels planted.safetensors
    [ "${lines[0]}" = "doubt	row	record	label	name	suggested	share	suggested_share	neighbour	cosine	neighbour_name" ]
    [ "$(sed -n 2,11p <<<"$output" | cut -f 3 | sort -n | tr '\n' ' ')" = "10 39 68 97 126 155 184 213 242 271 " ]
    sed -n 2,11p <<<"$output" | awk -F '\t' '$6 != "c" $3 % 5 || $4 == $6 { print; bad = 1 } END { exit bad }'

    expect 0 nnclr-queue-inspect --report leaks --threshold 0.999 --query test.safetensors planted.safetensors
    expect_message nnclr-queue-inspect "0 of 60 queries are here byte for byte, and 3 more have a near copy, of cosine 0.999 or more; which of them are the same bytes is not known without the SHARDs; nnclr-prep --exclude would leave out 3 of what is here"
    [ "${lines[0]}" = "cosine	query	neighbour	query_label	neighbour_label	query_name	neighbour_name	same" ]
    [ "$(tail -n +2 <<<"$output" | cut -f 2,3,6,7 | sort -n | tr '\t\n' ' ;')" = \
        "3 33 t/03.jpg a/033.jpg;14 44 t/14.jpg a/044.jpg;25 55 t/25.jpg a/055.jpg;" ]
}

# Flat pictures have rows of zeros: only their bytes tell which of them are the same.
@test "flat pictures: the same bytes are duplicates and leaks, and rows of zeros vote for each other" {
    ppm() { printf 'P6\n8 8\n255\n'; awk -v v="$1" 'BEGIN { for (i = 0; i < 192; i++) printf "%c", v + i * '"${2:-0}"' }'; }
    mkdir -p gray train/noise train/flat test/flat
    for v in 0 15 30 45 60 90 120; do ppm $v >gray/$v.ppm; done
    cp gray/0.ppm gray/again.ppm
    nnclr-prep -q gray | nnclr-embed -q --pixels 16 -o gray.emb -
    expect 0 nnclr-queue-inspect --report duplicates gray.emb
    expect_message nnclr-queue-inspect "groups of the same bytes: 1, of 2 rows; groups of near copies (cosine 0.99 or more): none; nnclr-prep --exclude would leave out 1"
    diff <(tail -n +2 <<<"$output" | cut -f 1,5,8,9) <(printf '1\t0.ppm\tagain.ppm\tbytes\n1\tagain.ppm\t0.ppm\tbytes\n')
    expect 0 nnclr-queue-inspect --report leaks --query gray.emb gray.emb
    [ "$(tail -n +2 <<<"$output" | cut -f 6,7 | awk '$1 == $2' | wc -l)" -eq 7 ]
    [ "$(tail -n +2 <<<"$output" | cut -f 8 | uniq)" = bytes ]
    expect 0 nnclr-queue-inspect -q -k 1 --query-name again.ppm gray.emb
    [ "$(tail -n 1 <<<"$output" | cut -f 4)" = 1.000000 ]

    for i in 1 2 3; do
        ppm 1 0.$i >train/noise/$i.ppm
        ppm 0 >train/flat/$i.ppm
    done
    ppm 7 >test/flat/t.ppm
    nnclr-prep -q train | nnclr-embed -q --pixels 16 -o train.emb -
    nnclr-prep -q test | nnclr-embed -q --pixels 16 -o test.emb -
    expect 0 nnclr-lineval -q --methods knn --k 1 train.emb test.emb
    [ "$(tail -n 1 <<<"$output" | cut -f 1,2)" = "knn	1.000000" ]
}

@test "--report health, classes, hubs and outliers: tables that add up, -j changes nothing" {
    make_run
    need python3
    for report in health classes hubs duplicates outliers labels; do
        expect 0 nnclr-queue-inspect -q -j 1 -k 5 --report $report $checkpoint train.tar.zst
        echo "$output" >$report
        [ -z "$stderr" ]
        nnclr-queue-inspect -q -j 3 -k 5 --report $report $checkpoint train.tar.zst | cmp - $report
        nnclr-queue-inspect -q -k 5 --json --report $report $checkpoint train.tar.zst >$report.json
    done
    value() { awk -F '\t' -v m="$1" '$1 == m { print $3 }' health; }
    [ "$(head -n 1 health)" = "measure	part	value" ]
    [ "$(value rows)" = 512 ]
    [ "$(value initial)" = 0.250000 ]
    [ "$(value dimensions)" = 32 ]
    [ "$(value age | awk '{ n += $1 } END { print n }')" = 384 ]
    [ "$(value std | wc -l)" -eq 32 ]
    [ "$(awk -F '\t' '$1 == "age" { print $2; exit }' health)" = 0-0 ]
    awk -F '\t' -v rank="$(value effective_rank)" 'BEGIN { exit !(rank > 1 && rank < 32) }'
    python3 - <<'END'
import json
load = lambda name: json.load(open(name + ".json"))
shares = {}
for row in load("classes"):
    shares[row["class"]] = shares.get(row["class"], 0) + row["share"]
assert len(shares) == 10 and all(abs(s - 1) < 1e-6 for s in shares.values()), shares
hubs = load("hubs")
assert len(hubs) == 384 and sum(h["occurrences"] for h in hubs) == 5 * 384
assert [h["occurrences"] for h in hubs] == sorted((h["occurrences"] for h in hubs), reverse=True)
outliers = load("outliers")
assert len(outliers) == 384 and [o["distance"] for o in outliers] == sorted((o["distance"] for o in outliers), reverse=True)
assert all(o["record"] != o["neighbour"] for o in outliers)
END
}

@test "--report map and groups: what was planted, the same for any number of threads, and with --json" {
    make_planted
    expect 0 nnclr-queue-inspect -j 1 --report groups planted.safetensors
    echo "$output" >groups
    expect_message nnclr-queue-inspect " groups, the largest of "
    [ "$(head -n 1 groups)" = "group	size	rank	typical	row	record	label	name" ]
    [ "$(tail -n +2 groups | cut -f 5 | sort -n | uniq -c | wc -l)" -eq 300 ]
    # rows of cluster c are c, c + 5, ...: no group has rows of two
    awk -F '\t' 'NR > 1 { c = $5 % 5; if ($3 == 1) { of = c; last = $4 } if (c != of || $4 > last) { print; bad = 1 } last = $4 } END { exit bad }' groups
    awk -F '\t' 'NR > 1 { size[$1] = $2; rows[$1]++ } END { for (g in size) if (size[g] != rows[g]) exit 1 }' groups
    expect 0 nnclr-queue-inspect -j 1 --report map --perplexity 15 planted.safetensors
    echo "$output" >map
    expect_message nnclr-queue-inspect "300 of 300 rows on the map, perplexity 15; "
    [ "$(head -n 1 map)" = "x	y	row	record	label	name	group	doubt	age	pca_x	pca_y" ]
    [ "$(tail -n +2 map | awk -F '\t' '$3 != NR - 1 || $4 != $3 || $9 != ""' | wc -l)" -eq 0 ]
    [ "$(tail -n +2 map | awk -F '\t' '$8 > 0.3 { print $3 }' | paste -sd ' ')" = "10 39 68 97 126 155 184 213 242 271" ]
    diff <(tail -n +2 map | cut -f 3,7 | sort) <(tail -n +2 groups | awk -F '\t' '{ print $5 "\t" $1 }' | sort)
    # the nearest row on the map is of the same cluster
    awk -F '\t' 'NR > 1 { x[$3] = $1; y[$3] = $2 }
        END { for (i in x) { best = 1e9
                for (j in x) if (i != j && (d = (x[i] - x[j]) ^ 2 + (y[i] - y[j]) ^ 2) < best) { best = d; at = j }
                if (i % 5 != at % 5) bad++ }
              exit bad > 0 }' map
    nnclr-queue-inspect -q -j 3 --report map --perplexity 15 planted.safetensors | cmp - map
    nnclr-queue-inspect -q --json --report map --map-rows 40 - <planted.safetensors | jq -e 'length == 40 and .[0].group >= 1 and (map(.row) | . == (unique))'
    nnclr-queue-inspect -q --json --report groups planted.safetensors | jq -e 'length == 300 and .[0].group == 1'
}

@test "--map: a picture, with the pictures if the shards are there, the same each time" {
    make_shard a 50
    nnclr-embed -q --pixels 8 -o a.emb a.tar.zst
    expect 0 nnclr-queue-inspect --map dots.png a.emb
    expect_message nnclr-queue-inspect "drawn: 50 of 50 rows on the map"
    [ "${#lines[@]}" -eq 51 ]
    nnclr-queue-inspect -q --map a.png a.emb a.tar.zst >a.tsv
    nnclr-queue-inspect -q -j 1 --report map --map b.png a.emb a.tar.zst | cmp - a.tsv
    cmp a.png b.png
    differ a.png dots.png
    [ "$(head -c 8 dots.png | od -An -c | tr -d ' ')" = '211PNG\r\n032\n' ]
    script -qec "nnclr-queue-inspect --map a.png a.emb" /dev/null </dev/null >shown
    run -1 grep pca_x shown
    refuses 2 "--map draws --report map" nnclr-queue-inspect --report hubs --map a.png a.emb
    refuses 2 "leave --map out" nnclr-queue-inspect --map a.png --sheet b.png a.emb a.tar.zst
    refuses 2 "--map: the name of a picture ends in .png" nnclr-queue-inspect --map a.jpg a.emb
    refuses 2 "--perplexity" nnclr-queue-inspect --report map --perplexity 0 a.emb
}

@test "the map is as trustworthy as that of scikit-learn" {
    need_python sklearn
    make_planted
    nnclr-queue-inspect -q --json --report map planted.safetensors >map.json
    $python "$NNCLR_ROOT/tests/reference/map_sklearn.py" compare planted.safetensors map.json >held
    awk '{ value[$1] = $2 } END { exit !(value["map"] > value["sklearn"] - 0.02 && value["map"] > value["pca"] && value["pca_apart"] < 1e-5) }' held
}

@test "queries by record number and by name, even of a run that is still going on" {
    make_run
    make_shard a 50
    nnclr-embed -q --pixels 8 -o a.emb a.tar.zst
    expect 0 nnclr-queue-inspect -q -k 2 --query-record 41,7 a.emb
    [ "$(tail -n +2 <<<"$output" | cut -f 1 | uniq | tr '\n' ' ')" = "7 41 " ]
    name=$(nnclr-prep --list-contents a.tar.zst | awk -F '\t' '$1 == 30 { print $4 }')
    expect 0 nnclr-queue-inspect -q -k 2 --query-name "$name" a.emb
    [ "$(tail -n +2 <<<"$output" | cut -f 1 | uniq)" = 30 ]
    expect 0 nnclr-queue-inspect -q -k 1 --query-name "*/*" a.emb
    [ "${#lines[@]}" -eq 51 ]
    expect 0 nnclr-queue-inspect -q -k 1 -n 3 --query-name "*/*" a.emb
    [ "${#lines[@]}" -eq 4 ]
    refuses 2 "no row is of record 50" nnclr-queue-inspect --query-record 50 a.emb
    for list in '3,' ',3' x '3,-1'; do
        refuses 2 "is not a list of record numbers" nnclr-queue-inspect --query-record "$list" a.emb
    done
    refuses 2 "no row's picture is named \"nobody\"" nnclr-queue-inspect --query-name nobody a.emb
    refuses 2 "the names are in the shards, which are not given" nnclr-queue-inspect --query-name x $checkpoint
    timeout -s KILL 100 nnclr-pretrain -q --preset tiny --steps 100000 --log-every 1 --save-every 2steps -o going \
        train.tar.zst 3>&- &
    echo $! >going.pid
    for _ in $(seq 200); do
        if [ "$(wc -l 2>/dev/null <going/metrics.jsonl)" -ge 6 ]; then break; fi
        sleep 0.2
    done
    expect 0 nnclr-queue-inspect -n 2 going/checkpoint.safetensors.zst train.tar.zst
    [ "${#lines[@]}" -eq 17 ]
    expect 0 nnclr-queue-inspect --report health going/checkpoint.safetensors.zst
    [ ! -e going/DONE ]
}

@test "--query takes pictures, and has for them the rows that nnclr-embed makes" {
    make_run
    shapes=$(shapes 20)
    nnclr-prep -q -o t.tar.zst "$shapes"
    local bank options
    for bank in run:"-m run --layer projection" features.emb:"-m run" small.emb:"-m run --untrained --size 24 --mean .4,.4,.4" \
        pixels.emb:"--pixels 4"; do
        options=${bank#*:}
        bank=${bank%%:*}
        [ "$bank" = run ] || nnclr-embed -q $options -o "$bank" train.tar.zst
        nnclr-embed -q $options -o t.emb t.tar.zst
        model=-mrun
        [[ $options == -m* ]] || model=
        for query in "$shapes" t.tar.zst; do
            expect 0 nnclr-queue-inspect -k 3 --query "$query" $model "$bank"
            [ "$(wc -l <<<"$output")" -eq 61 ] # all of them
            diff <(nnclr-queue-inspect -q -k 3 -n 20 --query t.emb "$bank" | sort) <(sort <<<"$output")
        done
    done
    # the support set's own network needs no -m; one picture, and its page
    nnclr-queue-inspect -q -k 3 --query "$shapes" run >without
    nnclr-queue-inspect -q -k 3 -m run --query "$shapes" run | cmp without -
    expect 0 nnclr-queue-inspect -q -k 2 --query "$shapes/disc/0000.jpg" run train.tar.zst
    diff <(sed 1d <<<"$output" | cut -f 1-5) \
        <(awk -F '\t' '$8 == "disc/0000.jpg" { if ($2 < 3) print }' without | sed 's/^[0-9]*/0/' | cut -f 1-5)
    [ "$(sed 1d <<<"$output" | cut -f 8 | uniq)" = 0000.jpg ]
    nnclr-queue-inspect -q --query "$shapes/disc/0000.jpg" --html a.html --sheet a.png -m run features.emb train.tar.zst >/dev/null
    check_page a.html >held
    grep -qx "article 1" held
    [ -s a.png ]
    diff <(nnclr-queue-inspect -q --report leaks --threshold .5 --query t.emb pixels.emb) \
        <(nnclr-queue-inspect -q --report leaks --threshold .5 --query "$shapes" pixels.emb)
}

@test "--query of pictures without their network, or with another one, is refused" {
    make_run
    shapes=$(shapes 20)
    nnclr-embed -q -m run -o a.emb train.tar.zst
    nnclr-embed -q --pixels 4 -o p.emb train.tar.zst
    nnclr-pretrain -q --preset tiny --steps 1 -o other train.tar.zst
    asked() { # [option...] FILE
        nnclr-queue-inspect -q --query "$shapes" "$@"
    }
    refuses 2 "pictures need the network that made the rows of a.emb: give -m CHECKPOINT" asked a.emb
    refuses 2 "the rows of p.emb are pixels, not a network's: leave -m out" asked -m run p.emb
    refuses 1 "the rows of a.emb were made with another network: its \"" asked -m other a.emb
    refuses 1 "the rows of run/checkpoint.safetensors.zst were made with another network: its \"" asked -m other run
    refuses 2 "--query has the pictures itself: leave --query-shard out" asked --query-shard train.tar.zst p.emb
    refuses 2 "p.emb has rows already: leave -m out" nnclr-queue-inspect --query p.emb -m run p.emb
    refuses 2 "-m goes with --query" nnclr-queue-inspect -m run a.emb
    refuses 1 "nowhere: No such file" nnclr-queue-inspect --query nowhere -m run a.emb
    echo text >text
    refuses 1 "text: is neither a picture nor a tar archive" nnclr-queue-inspect --query text p.emb
}

# Prints what a page holds, and fails if it refers to anything outside itself or its tags do not match.
check_page() { # FILE
    need python3
    python3 - "$1" <<'END'
import re, sys
from html.parser import HTMLParser
VOID = {"meta", "link", "img", "br", "input", "wbr"}
class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.hrefs, self.count, self.attributes = [], set(), [], {}, set()
        self.pictures = set()
    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        box = re.fullmatch(r"box (p[0-9]+)", dict(attrs).get("class") or "")
        if box:
            self.count["picture"] = self.count.get("picture", 0) + 1
            self.pictures.add(box[1])
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("src", "href", "action", "srcset", "data"):
                assert value.startswith(("data:", "#")), (tag, name, value[:80])
            if name == "href" and value[0] == "#":
                self.hrefs.append(value[1:])
            if name == "id":
                assert value not in self.ids, value
                self.ids.add(value)
        if tag not in VOID:
            self.open.append(tag)
    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()
    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.getpos())
text = open(sys.argv[1], encoding="utf-8").read()
page = Page()
page.feed(text)
assert not page.open, page.open
assert set(page.hrefs) <= page.ids, (page.hrefs, page.ids)
assert not any(name.startswith("on") for name in page.attributes), page.attributes
assert "http://" not in text.replace("http-equiv", "") and "https://" not in text and "@import" not in text
stored = re.findall(r"(?m)^\.(p[0-9]+)\{background-image:url\(data:", text)
assert len(stored) == len(set(stored)) and set(stored) == page.pictures, (stored, page.pictures)
assert page.count["script"] == 1 and "Content-Security-Policy" in text
for key in ("article", "figure", "picture", "svg", "table", "details"):
    print(key, page.count.get(key, 0))
print("stored", len(stored))
print("ids", *sorted(i for i in page.ids if not re.fullmatch("q[0-9]+", i)))
END
}

@test "--html: one whole file that refers to nothing, the same each time" {
    make_run
    expect 0 nnclr-queue-inspect -q -k 5 -n 9 --html a.html $checkpoint train.tar.zst
    [ "${#lines[@]}" -eq 46 ]
    check_page a.html >held
    grep -qx "article 9" held
    grep -qx "ids classes curves duplicates labels neighbours outliers queries space" held
    [ "$(awk '$1 == "svg" { print $2 }' held)" -ge 5 ]
    nnclr-queue-inspect -q -j 1 -k 5 -n 9 --html b.html $checkpoint train.tar.zst >/dev/null
    cmp a.html b.html
    # the stored bytes of a query's picture
    record=$(cut -f 1 <<<"${lines[1]}")
    zstdcat train.tar.zst | tar -xO --wildcards "$(printf '%09d' "$record").[jp]*g" | base64 -w 0 >bytes
    [ "$(grep -oF -f bytes a.html | wc -l)" -eq 1 ]

    nnclr-embed -q --pixels 8 -o a.emb train.tar.zst
    nnclr-queue-inspect -q -n 3 --html e.html --metrics run/metrics.jsonl a.emb train.tar.zst >/dev/null
    check_page e.html >held
    grep -q "ids classes curves" held
    nnclr-queue-inspect -q -n 3 --html e.html a.emb train.tar.zst >/dev/null
    check_page e.html >held
    run -1 grep -w curves held
    make_shard test 20
    nnclr-embed -q --pixels 8 -o t.emb test.tar.zst
    nnclr-queue-inspect -q -n 3 --html e.html --query t.emb --query-shard test.tar.zst a.emb train.tar.zst >/dev/null
    check_page e.html >held
    grep -q "ids classes duplicates labels leaks neighbours" held
}

@test "--html: a damaged line of the metrics costs that line" {
    make_run
    sed -i '3s/.*/{"step":9223372036854775807,"loss":1e308}/; 4s/.$//' run/metrics.jsonl
    expect 0 nnclr-queue-inspect --html a.html $checkpoint train.tar.zst
    [[ $stderr == *"run/metrics.jsonl: 2 of 6 lines are damaged and left out"* ]]
    check_page a.html | grep curves
    grep -q "4 logged steps, up to step 6; across: steps. 2 damaged lines are left out" a.html
}

# The curves of a page: the keys of each chart, without their numbers.
curves() { # FILE
    sed -n 's|.*<figure><h3>\([^<]*\)</h3><figcaption>\(<span class="key.*\)</figcaption><svg.*|\1:\2|p' "$1" |
        sed 's/<b[^>]*>[^<]*<[/]b>//g; s/<[^>]*>//g; s/ *$//'
}

@test "--html: the curves that a run has" {
    make_run
    nnclr-queue-inspect -q --html a.html $checkpoint train.tar.zst >/dev/null
    curves a.html | grep -x "Do both views agree?:share"
    curves a.html | grep -x "Directions in use:z features"
    # a run of before, and one of a method without neighbours
    sed -i 's/"nn_agree":[^,]*,//; s/"h_rank":[^,]*,//' run/metrics.jsonl
    nnclr-queue-inspect -q --html a.html $checkpoint train.tar.zst >/dev/null
    curves a.html | grep -x "Directions in use:z"
    run -1 grep "Do both views agree" a.html
    nnclr-pretrain -q --preset tiny --size 8 --batch 8 --method simclr --steps 2 -o simclr train.tar.zst
    nnclr-embed -q --pixels 4 -o a.emb train.tar.zst
    nnclr-queue-inspect -q --html a.html --metrics simclr/metrics.jsonl a.emb train.tar.zst >/dev/null
    [ "$(curves a.html)" = "Loss:loss
Directions in use:features" ]
}

@test "--runs: the last metrics and the settings that differ, as table, JSON and page" {
    need jq
    make_shard train 40
    nnclr-pretrain -q $TINY --steps 6 --probe train.tar.zst -o a train.tar.zst
    nnclr-pretrain -q $TINY --steps 6 --temperature 0.3 --view-weight 1,0.5 --proj 32,16 -o 'b <b>' train.tar.zst
    nnclr-pretrain -q --preset tiny --size 8 --batch 8 --steps 3 --method simclr -o c train.tar.zst
    rm a/DONE a/checkpoint* # it might be going on
    echo '{"step":7' >>a/metrics.jsonl
    expect 0 nnclr-queue-inspect --runs a 'b <b>'
    [ -z "$stderr" ]
    [ "${lines[0]}" = "run	step	loss	nn_acc	nn_chance	nn_agree	nn_age	nn_self	self_present	nn_initial	z_rank	h_rank	probe_top1	test_top1	settings" ]
    [ "$(cut -f 1,2,15 <<<"$output" | sed 1d)" = "a	6	proj=64,64,32 temperature=0.2 view_weight=
b <b>	6	proj=32,16 temperature=0.3 view_weight=1,0.5" ]
    for run in a 'b <b>'; do
        key() { jq -Rr "fromjson? | .$1 // empty" "$run/metrics.jsonl" | tail -n 1; }
        awk -F '\t' -v run="$run" -v loss="$(key loss)" -v rank="$(key h_rank)" -v probe="$(key probe_top1)" '
            function near(x, y) { return (x - y) ^ 2 < 1e-12 }
            $1 == run { found = near($3, loss) && near($12, rank) && ($13 "" == "") == (probe == "") && near($13, probe) }
            END { exit !found }' <<<"$output"
    done
    nnclr-queue-inspect --runs --json a 'b <b>' c >three
    [ "$(jq -r '.[] | [.run, .settings.method, .settings.queue] | @csv' three | tr -d '"' | paste -sd ' ')" = "a,nnclr,20 b <b>,nnclr,20 c,simclr,512" ]
    [ "$(jq '.[2] | [.step, .nn_acc, .z_rank, (.settings | has("seed"))] | @csv' three)" = '"3,,,false"' ]
    nnclr-queue-inspect -q --runs --html r.html c a 'b <b>' >table
    [ "$(wc -l <table)" -eq 4 ]
    check_page r.html >held
    grep -qx "ids curves metrics settings" held
    [ "$(curves r.html | grep Directions)" = "Directions in use:c a b &lt;b&gt;" ]
    [ "$(curves r.html | grep agree)" = "Do both views agree?:a b &lt;b&gt;" ]
    grep -q "<tr><th>temperature</th><td class=\"num\">0.2</td><td class=\"num\">0.2</td><td class=\"num\">0.3</td></tr>" r.html
    grep -q 'class="run1 second" d="M' r.html
    refuses_each nnclr-queue-inspect --runs <<'END'
2||no input: give the RUNs
2|a a|a is given twice
2|a -k 3|--neighbours does not go with --runs
2|--sheet x.png a|--sheet does not go with --runs
1|train.tar.zst|train.tar.zst/run.json: Not a directory
1|a nowhere|nowhere/run.json: No such file
2|--html x.html 1 2 3 4 5 6 7 8 9|--html shows at most 8 runs, not 9
END
    echo '[]' >c/run.json
    refuses 1 "c/run.json: does not describe a run" nnclr-queue-inspect --runs a c
}

# Without colours.
plain() { sed 's/\x1b\[[0-9;]*[mKJA]//g'; }

@test "--runs --ansi: the curves, in 80 columns" {
    make_shard s 40
    nnclr-pretrain -q $TINY --steps 6 -o a s.tar.zst
    nnclr-pretrain -q --preset tiny --size 8 --batch 8 --steps 3 --method simclr -o b s.tar.zst
    expect 0 nnclr-queue-inspect --runs --ansi a
    [ -z "$stderr" ]
    plain <<<"$output" >one
    grep -q '^Loss  *Do neighbours share the class?' one
    [ "$(LC_ALL=C.UTF-8 sed 's/[^ -~]/x/g' one | awk '{ print length($0) }' | sort -nu | tail -n 1)" -le 80 ]
    expect 0 nnclr-queue-inspect --runs --ansi a b
    plain <<<"$output" >two
    [ "$(head -n 2 two | tr -d ' ' | paste -sd ' ')" = 'a b' ]
    refuses_each nnclr-queue-inspect --runs --ansi <<'END'
2|a --json|--ansi draws curves, not a table: leave --json out
END
}

@test "--watch: each line of the metrics, once, until the run ends" {
    need jq
    make_shard s 40
    start link:3:stop nnclr-pretrain -q -j 1 $TINY --proj 16,8 --pred 16 --steps 9 --save-every 1steps -o run s.tar.zst
    nnclr-queue-inspect --watch run >seen 3>&- &
    local watching=$!
    until [ "$(wc -l <seen)" -ge 2 ]; do sleep 0.02; done # a header, and the step before the stop
    [ "$(wc -l <seen)" -eq $(($(wc -l <run/metrics.jsonl) + 1)) ]
    # Ctrl-C ends another that watches, and the run goes on.
    nnclr-queue-inspect --watch run >other 3>&- &
    until [ -s other ]; do sleep 0.02; done
    kill -TERM $!
    run -143 wait $!
    send
    ends_with 0
    wait $watching
    cut -f 1,2 seen | tail -n +2 >told
    cmp told <(jq -r '"\(.step)\t\(.loss)"' run/metrics.jsonl | awk '{ printf "%d\t%.6f\n", $1, $2 }')
    [ "$(head -n 1 seen)" = "step	$(nnclr-queue-inspect --runs run | sed -n 1p | cut -f 3-14)" ]
}

@test "--watch: a run that is dead is said to be, and so is what is not a run" {
    make_shard s 40
    start link:5:stop nnclr-pretrain -q -j 1 $TINY --proj 16,8 --pred 16 --steps 9 --save-every 1steps -o run s.tar.zst
    kill -9 "$pid"
    ends_with 137
    expect 1 nnclr-queue-inspect --watch run
    expect_message nnclr-queue-inspect "run: was stopped at step $(wc -l <run/metrics.jsonl) and is not finished: --resume goes on"
    [ "${#lines[@]}" -eq $(($(wc -l <run/metrics.jsonl) + 1)) ]
    refuses_each nnclr-queue-inspect --watch <<'END'
2||--watch needs one RUN
2|run run|--watch needs one RUN
2|run --json|--json does not go with --watch
2|run --runs|--watch does not go with --runs
1|nowhere|nowhere/metrics.jsonl: No such file
END
}

@test "--watch: on a terminal the curves are drawn in one place" {
    make_shard s 40
    nnclr-pretrain -q $TINY --steps 6 -o run s.tar.zst
    export TERM=xterm
    in_terminal "stty rows 24 cols 80; nnclr-queue-inspect --watch run" >shown
    plain <shown | tr -d '\r' >picture
    [ "$(wc -l <picture)" -le 23 ]
    grep -q '^Loss  *Do neighbours share the class?' picture
    [ "$(tail -n 1 picture)" = "run: step 6 of 6, finished" ]

    start link:5:stop nnclr-pretrain -q -j 1 $TINY --proj 16,8 --pred 16 --steps 9 --force --save-every 1steps -o run s.tar.zst
    in_terminal "stty rows 24 cols 80; nnclr-queue-inspect --watch run" >shown 3>&- &
    local watching=$!
    until grep -qs 'of 9' shown; do sleep 0.02; done
    send
    ends_with 0
    wait $watching
    grep -qE $'\x1b\\[[0-9]+A' shown
    [ "$(plain <shown | tr -d '\r' | tail -n 1)" = "run: step 9 of 9, finished" ]
}

@test "--html: says where z has not opened" {
    make_shard s 40
    for share in 0 1,0.5; do
        nnclr-pretrain -q $TINY --proj 32,400 --view-weight $share --steps 20 -o run-$share s.tar.zst
        nnclr-queue-inspect -q --html $share.html run-$share s.tar.zst >/dev/null
    done
    grep -q '<li class="warn"><a[^>]*>Is the queue alive?</a><strong>Alive, but z has not opened</strong>.* At step 20: .* few of their 400 directions .*: try --view-weight 1,0.5 --pred none.</span>' 0.html
    grep -q '<li><a[^>]*>Is the queue alive?</a><strong>It is alive</strong>' 1,0.5.html
    # not before training would say so
    nnclr-pretrain -q $TINY --proj 32,400 --steps 3 -o early s.tar.zst
    nnclr-queue-inspect -q --html early.html early s.tar.zst >/dev/null
    grep -q '<strong>It is alive</strong>' early.html
}

@test "--html: what it cannot read or write is one sentence and no file" {
    make_run
    refuses 1 "nowhere" nnclr-queue-inspect --html a.html --metrics nowhere $checkpoint train.tar.zst
    [ ! -e a.html ]
    refuses 2 "--html needs the pictures" nnclr-queue-inspect --html a.html $checkpoint
    refuses 2 "standard output is for the table" nnclr-queue-inspect --html - $checkpoint train.tar.zst
    refuses 2 "--metrics goes with --html" nnclr-queue-inspect --metrics m $checkpoint
}

@test "--html: pictures too large for the page are stored smaller" {
    mkdir noise
    for i in 1 2 3 4; do
        { printf 'P6\n1960 1960\n255\n'; head -c $((3 * 1960 * 1960)) /dev/urandom; } >noise/$i.ppm
    done
    nnclr-prep -q noise -o noise.tar.zst
    nnclr-embed -q --pixels 8 -o noise.emb noise.tar.zst
    nnclr-queue-inspect -q -k 3 --html a.html noise.emb noise.tar.zst >/dev/null
    check_page a.html >held
    grep -qx "stored 4" held
    [ "$(stat -c %s a.html)" -lt 2000000 ]
    [ "$(grep -c '^\.p[0-9]*{background-image:url(data:image/jpeg' a.html)" -eq 4 ]
}

@test "--html: long sections are folded, classes no better than chance are red, each picture is there once" {
    make_shard all 600
    nnclr-embed -q --pixels 8 -o all.emb all.tar.zst
    expect 0 nnclr-queue-inspect -n 200 -k 5 --html a.html all.emb all.tar.zst
    [[ $stderr == *"nnclr-queue-inspect: wrote a.html: 200 queries, "*" pictures, "*" MB"* ]]
    check_page a.html >held
    grep -qx "article 200" held
    [ "$(awk '$1 == "picture" { print $2 }' held)" -ge 1200 ]
    [ "$(awk '$1 == "stored" { print $2 }' held)" -le 600 ]
    grep -q "<summary>176 more queries</summary>" a.html
    grep -q 'href="#q[0-9]*" title=' a.html
    run -1 grep -q 'class="num bad"' a.html

    # labels that have nothing to do with the pictures: every class is at chance
    nnclr-prep --list-contents all.tar.zst | awk -F '\t' 'NR > 1 { print $4 "\tc" (NR * 7919) % 97 % 4 }' >mixed
    nnclr-prep -q --list mixed -o mixed.tar.zst "$(shapes 600)"
    nnclr-embed -q --pixels 8 -o mixed.emb mixed.tar.zst
    nnclr-queue-inspect -q -n 9 --html b.html mixed.emb mixed.tar.zst >/dev/null
    grep -q '<li class="warn"><a href="#neighbours">.*No better than chance' b.html
    [ "$(grep -c 'class="num bad"' b.html)" -ge 2 ]
    expect 0 nnclr-queue-inspect --report labels mixed.emb
    expect_message nnclr-queue-inspect "votes against them than for them: too early to tell"
}

@test "--html and --sheet on a terminal: what was written, and the table only if asked for" {
    make_shard a 50
    nnclr-embed -q --pixels 8 -o a.emb a.tar.zst
    script -qec "nnclr-queue-inspect -n 2 --html a.html a.emb a.tar.zst" /dev/null </dev/null >shown
    grep -q "wrote a.html: 2 queries" shown
    run -1 grep "neighbour_label" shown
    script -qec "nnclr-queue-inspect -n 2 --sheet a.png --table a.emb a.tar.zst" /dev/null </dev/null >shown
    grep -q "wrote a.png: 2 queries" shown
    grep -q "neighbour_label" shown
}

# Pictures and classes whose names are meant to break out of the page or the terminal.
make_hostile() {
    folder=$(shapes 50)
    mkdir -p h/'"><img src=x onerror=console.error(1)>' h/'</script><script>console.error(2)<' h/$'\xff\x1b[31mred'
    i=0
    for class in h/*; do
        for file in $(find "$folder" -type f | sort | sed -n "$((i * 8 + 1)),$((i * 8 + 8))p"); do
            cp "$file" "$class/<svg onload=console.error(3)>&amp;\" x='$(basename "$file")"
        done
        i=$((i + 1))
    done
    nnclr-prep -q -o h.tar.zst h
    nnclr-embed -q --pixels 8 -o h.emb h.tar.zst
}

@test "--html and --ansi: hostile names stay text" {
    make_hostile
    expect 0 nnclr-queue-inspect -q -n 9 --html a.html h.emb h.tar.zst
    check_page a.html >held
    grep -qx "article 9" held
    run -1 grep -o "<img src=x.*" a.html
    grep -q "&lt;img src=x onerror=console.error(1)&gt;" a.html
    nnclr-queue-inspect -q -n 9 --ansi h.emb h.tar.zst >text
    grep -qF '\\xff\\x1b[31m' text
    run -1 grep $'\x1b\[31mred' text
}

# bats test_tags=long
@test "--html in a browser: no error, no request, the script works, and so does the page without it" {
    need chromium
    make_hostile
    nnclr-queue-inspect -q -n 9 --html a.html h.emb h.tar.zst >/dev/null
    browse() { # FILE: the document after its script ran, and on stderr what went to the console
        timeout 100 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" \
            --host-resolver-rules="MAP * ~NOTFOUND" --enable-logging=stderr --dump-dom "file://$PWD/$1" 3>&-
    }
    browse a.html >dom 2>log || skip "chromium does not run here"
    run -1 grep CONSOLE log
    grep -q '<output>[0-9]* pictures</output>' dom
    grep -q '<button type="button">Purity</button>' dom
    # a search keeps what shows such a picture, and a click enlarges one
    sed 's|</body>|<script>var s = document.querySelector(".find input"); s.value = "record 1"; s.dispatchEvent(new Event("input")); document.querySelector(".hit .box").click();</script></body>|' a.html >b.html
    browse b.html >dom 2>log
    run -1 grep CONSOLE log
    grep -q 'class="[^"]*pic[^"]* hit"' dom
    grep -q '<article [^>]*hidden=""' dom
    grep -q '<dialog class="view" open="">' dom
    # the console can be seen at all, and so can a request
    sed 's|</body>|<img src="http://nowhere.test/x.png"></body>|' a.html >b.html
    browse b.html >/dev/null 2>log
    grep -q "CONSOLE.*Content Security Policy" log
    sed 's|<script>|<noscript>|; s|</script></body>|</noscript></body>|' a.html >c.html
    browse c.html >dom 2>log
    [ "$(grep -c '<article' dom)" -eq 9 ]
    run -1 grep '<output>' dom
}

@test "--ansi: half blocks as wide as the terminal" {
    make_run
    expect 0 env COLUMNS=60 nnclr-queue-inspect -q -k 4 -n 2 --ansi $checkpoint train.tar.zst
    plain=$(sed 's/\x1b\[[0-9;]*m//g; s/▀/#/g' <<<"$output")
    # five pictures, three next to each other: 2 x (9 lines of blocks and 2 of text), and a blank line
    [ "$(grep -c '#' <<<"$plain")" -le 36 ]
    [ "$(awk '{ if (length($0) > m) m = length($0) } END { print m }' <<<"$plain")" -le 60 ]
    [ "$(grep -c 'record' <<<"$plain")" -eq 2 ]
    [ "$(grep -cE '0\.[0-9]{3}' <<<"$plain")" -ge 4 ]
    refuses 2 "--ansi needs the pictures" nnclr-queue-inspect --ansi $checkpoint
    refuses 2 "leave --json out" nnclr-queue-inspect --ansi --json $checkpoint train.tar.zst
}

@test "--html: says whether the data is clean only if the rows can tell" {
    folder=$(shapes 200)
    mkdir flat
    i=0
    for file in $(find "$folder" -type f | sort); do
        i=$((i + 1))
        cp "$file" flat/$i.${file##*.}
    done
    cp flat/7.* flat/copy.${file##*.}
    nnclr-prep -q -o flat.tar.zst flat
    nnclr-embed -q --pixels 16 -o flat.emb flat.tar.zst
    nnclr-queue-inspect -q -n 2 --threshold 0.9999 --html a.html flat.emb flat.tar.zst >/dev/null
    grep -q "<strong>1 group of the same bytes</strong>" a.html
    run -1 grep -q "oo early to tell" a.html
    nnclr-queue-inspect -q -n 2 --threshold 0.1 --html a.html flat.emb flat.tar.zst >/dev/null
    grep -q "<strong>1 group of the same bytes</strong>" a.html
    grep -q "Beyond that it is too early to tell" a.html
    rm flat/copy.*
    nnclr-prep -q -o flat.tar.zst flat
    nnclr-embed -q --pixels 16 -o flat.emb flat.tar.zst
    nnclr-queue-inspect -q -n 2 --threshold 0.1 --html a.html flat.emb flat.tar.zst >/dev/null
    grep -q "<strong>Too early to tell</strong>" a.html
    grep -Eq 'and [0-9]+ more</div>' a.html
    check_page a.html >/dev/null
}
