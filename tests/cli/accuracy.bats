#!/usr/bin/env bats
# nnclr-lineval on rows made for it: compared with scikit-learn, with few labels, and larger than memory
# should be.
load helpers

setup() {
    cd "$BATS_TEST_TMPDIR"
    need_python numpy
}

# FILE of N rows of D numbers in CLASSES classes; each row of EVERY has no label.
make_rows() { # FILE N D CLASSES SEED [EVERY]
    $python "$NNCLR_ROOT/tests/reference/lineval_sklearn.py" make "$@"
}

sklearn() { # METHOD SETTINGS... TRAIN TEST [CLASSIFIER]
    $python "$NNCLR_ROOT/tests/reference/lineval_sklearn.py" "$@" predictions table
}

# Runs Python with numpy and embedding_file.
write_rows() {
    $python -c "
import numpy
from embedding_file import write
$1"
}

@test "kNN predicts as scikit-learn does" {
    need_python sklearn
    make_rows train.safetensors 3000 40 10 1
    make_rows test.safetensors 1000 40 10 2
    for settings in "200 0.1" "1 0.1" "20 0.02" "100000 0.5"; do
        nnclr-lineval -q --methods knn -k ${settings% *} --knn-temperature ${settings#* } \
            --predictions predictions train.safetensors test.safetensors >table
        sklearn knn $settings train.safetensors test.safetensors
    done
}

@test "L-BFGS ends within 1e-4 of scikit-learn's optimum, on features standardised as scikit-learn's are" {
    need_python sklearn
    make_rows train.safetensors 3000 40 10 1
    make_rows test.safetensors 1000 40 10 2
    for lambda in 0.01 0.001 0.0001; do
        nnclr-lineval -q --methods linear --solver lbfgs --lambda $lambda -o c.safetensors \
            --predictions predictions train.safetensors test.safetensors >table
        sklearn linear $lambda train.safetensors test.safetensors c.safetensors
    done
}

@test "rows without a label among others: not there in TRAIN, not counted in TEST, as in scikit-learn" {
    need_python sklearn
    make_rows train.safetensors 2000 30 6 1 3
    make_rows test.safetensors 600 30 6 2 7
    nnclr-lineval -q --methods knn --predictions predictions train.safetensors test.safetensors >table
    sklearn knn 200 0.1 train.safetensors test.safetensors
    nnclr-lineval -q --methods linear --solver lbfgs --lambda 0.001 -o c.safetensors \
        --predictions predictions train.safetensors test.safetensors >table
    sklearn linear 0.001 train.safetensors test.safetensors c.safetensors
}

# The file without its unlabelled rows gives the same, bit for bit, whatever the method.
@test "an unlabelled row of TRAIN changes nothing" {
    make_rows all.safetensors 900 20 5 1 4
    make_rows test.safetensors 100 20 5 2
    write_rows "
from embedding_file import read
tensors, names = read('all.safetensors')
used = tensors['label'] >= 0
write('used.safetensors', tensors['embedding'][used], tensors['label'][used], len(names))"
    for options in "--methods knn" "--methods linear --epochs 5" "--methods linear --epochs 5 --standardize" \
        "--methods linear --solver lbfgs" "--methods linear --solver lbfgs --lambda 0.01"; do
        for train in all used; do
            nnclr-lineval -q $options --predictions $train.tsv $train.safetensors test.safetensors >$train.table
        done
        cmp all.tsv used.tsv
        diff <(cut -f 1-5,7 all.table) <(cut -f 1-5,7 used.table)
    done
}

@test "accuracy counts only the labelled rows of TEST, and is null if there are none" {
    make_rows train.safetensors 900 20 5 1
    make_rows some.safetensors 100 20 5 2 2
    make_rows none.safetensors 100 20 5 2 1
    for options in "--methods knn" "--methods linear --epochs 5" "--methods linear --solver lbfgs" \
        "--methods knn --label-fraction 0.1" "--methods linear --solver lbfgs --label-fraction 0.1"; do
        nnclr-lineval -q $options --predictions answers train.safetensors some.safetensors >table
        right=$(awk -F '\t' 'NR > 1 && $2 != "" { n++; right += $2 == $3 } END { printf "%.6f\t%d", right / n, n }' answers)
        [ "$(sed -n 2p table | cut -f 2,5)" = "$right" ]
        [ "$(cut -f 5 <<<"$(sed -n 2p table)")" -eq 50 ]
        nnclr-lineval -q --json $options --predictions answers train.safetensors none.safetensors >table.json
        $python - <<'END'
import json
row, = json.load(open("table.json"))
assert row["top1"] is None and row["top5"] is None and row["n"] == 0, row
END
        [ "$(wc -l <answers)" -eq 101 ]
        [ "$(tail -n +2 answers | cut -f 3 | sort -u | wc -l)" -gt 1 ]
    done
}

@test "TRAIN without any label: each method says so" {
    make_rows none.safetensors 50 20 5 1 1
    make_rows test.safetensors 50 20 5 2
    for options in "" "--label-fraction 0.1" "--label-fraction 0.01"; do
        expect 1 nnclr-lineval --methods knn $options none.safetensors test.safetensors
        [ "$stderr" = "nnclr-lineval: no row of TRAIN has a label, so none can vote" ]
        for solver in sgd lbfgs; do
            expect 1 nnclr-lineval --methods linear --solver $solver $options -o c.safetensors none.safetensors test.safetensors
            [ "$stderr" = "nnclr-lineval: no row of TRAIN has a label, so nothing can be learnt" ]
            [ ! -e c.safetensors ]
        done
    done
}

# Every row has a direction of its own, so with all rows voting a row's score says whether it kept
# its label: its own vote is 22,026 times any other.
@test "--label-fraction draws of each class its share, by the seed, among the labelled rows" {
    write_rows "
label = numpy.repeat([0, 1, 2, 3, -1], [600, 300, 47, 2, 51])
label = label[numpy.random.default_rng(3).permutation(1000)]
write('train.safetensors', numpy.eye(1000, dtype='<f4'), label, 4)"
    for case in "0.1:60 30 5 1" "0.01:6 3 1 1" "0.5:300 150 24 1"; do
        for seed in 0 1; do
            nnclr-lineval -q --methods knn -k 1000 --label-fraction ${case%:*} --seed $seed \
                --predictions answers train.safetensors train.safetensors >table
            awk -F '\t' 'NR > 1 && $4 > 0.9' answers | cut -f 1,2 >kept-$seed
            [ "$(cut -f 2 kept-$seed | sort | uniq -c | awk '{ printf "%s%s", n++ ? " " : "", $1 }')" = "${case#*:}" ]
            [[ $(tail -n 1 table) == *" train=$(wc -l <kept-$seed) "* ]]
        done
        differ kept-0 kept-1
        nnclr-lineval -q --methods knn -k 1000 --label-fraction ${case%:*} --predictions again \
            train.safetensors train.safetensors >table
        diff <(awk -F '\t' 'NR > 1 && $4 > 0.9' again | cut -f 1,2) kept-0
        nnclr-lineval -q --methods linear --epochs 2 --label-fraction ${case%:*} train.safetensors train.safetensors >linear
        [[ $(tail -n 1 linear) == *" label_fraction=${case%:*} train=$(wc -l <kept-0) "* ]]
    done
}

@test "neither file is touched" {
    make_rows train.safetensors 300 20 5 1 4
    make_rows test.safetensors 100 20 5 2 4
    touch -d @1000000000 train.safetensors test.safetensors
    sha256sum train.safetensors test.safetensors >before
    stat -c '%n %Y %i %s' train.safetensors test.safetensors >facts
    nnclr-lineval -q --label-fraction 0.5 --predictions p -o c.safetensors --epochs 3 train.safetensors test.safetensors >table
    nnclr-lineval -q --solver lbfgs --confusion train.safetensors test.safetensors >table
    sha256sum -c before
    stat -c '%n %Y %i %s' train.safetensors test.safetensors | cmp - facts
}

@test "kNN predicts alike with vectors of all kinds, and for any number of threads" {
    make_rows train.safetensors 3000 600 10 1
    make_rows test.safetensors 700 600 10 2
    NNCLR_SIMD=none nnclr-lineval -q -j 1 --methods knn --predictions none train.safetensors test.safetensors >table
    for simd in avx2 avx512; do
        if ! NNCLR_SIMD=$simd nnclr-lineval -q -j 3 --methods knn --predictions $simd train.safetensors test.safetensors >table 2>words; then
            grep -q "this CPU has no such vectors" words
            continue
        fi
        cmp none $simd
    done
    NNCLR_SIMD=mmx expect 2 nnclr-lineval --methods knn train.safetensors test.safetensors
}

# 480 MB of rows, whichever of the two files they are in; nnclr-lineval(1) states the bound.
@test "kNN holds less than 280 MiB of rows" {
    [[ $NNCLR_BIN != *-address* ]] || skip "a sanitiser has memory of its own"
    write_rows "
base = numpy.random.default_rng(1).standard_normal((500, 2048), numpy.float32)
rows = numpy.empty((60000, 2048), numpy.float32)
for i in range(120):
    numpy.multiply(base, base[i], out=rows[500 * i:500 * i + 500])
write('large.safetensors', rows, numpy.arange(60000) % 10, 10)
write('small.safetensors', rows[::400].copy(), numpy.arange(150) % 10, 10)"
    for pair in "large small" "small large"; do
        $python - $pair <<'END'
import resource, subprocess, sys
subprocess.run(["nnclr-lineval", "-q", "-j", "2", "--methods", "knn", "-k", "20",
                sys.argv[1] + ".safetensors", sys.argv[2] + ".safetensors"], check=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(peak // 1024, "MiB")
assert peak < (280 + 2 * 5) * 1024 + 60150 * 100 // 1024
END
    done
    rm large.safetensors
}
