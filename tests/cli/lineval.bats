#!/usr/bin/env bats
load helpers

tab=$'\t'

# NAME.emb: pixels of a shard of COUNT pictures.
make_pixels() { # NAME COUNT
    make_shard "$1" "$2"
    nnclr-embed -q --pixels 16 -o "$1.emb" "$1.tar.zst"
}

# Every prediction, and both accuracies, are those of tests/reference/knn_numpy.py.
equals_numpy() { # K TEMPERATURE TRAIN TEST
    nnclr-lineval -q --methods knn -k "$1" --knn-temperature "$2" --predictions ours "$3" "$4" >table
    zstdcat "$3" >train.safetensors
    zstdcat "$4" >test.safetensors
    $python "$NNCLR_ROOT/tests/reference/knn_numpy.py" "$1" "$2" train.safetensors test.safetensors >theirs
    diff <(tail -n +2 ours | cut -f 1-3) <(head -n -1 theirs)
    diff <(tail -n 1 theirs) <(tail -n 1 table | cut -f 2,4 | tr '\t' ' ')
}

@test "predictions equal a plain NumPy computation, each of them" {
    need zstd
    need_python numpy
    make_pixels train 400
    make_pixels test 200
    for k in 1 7 200 10000; do
        equals_numpy "$k" 0.1 train.emb test.emb
    done
    equals_numpy 20 0.5 train.emb test.emb
}

@test "raw pixels of the CIFAR-10 part: 0.389 at k 200, 0.4125 at 20, as NumPy predicts" {
    need zstd
    need_data cifar10/cifar10-12k.tar
    need_python numpy
    for part in train test; do
        nnclr-prep -q --root cifar10/$part -o $part.tar.zst "$NNCLR_TEST_DATA/cifar10/cifar10-12k.tar"
        nnclr-embed -q --pixels 32 -o $part.emb $part.tar.zst
    done
    equals_numpy 200 0.1 train.emb test.emb
    [ "$(tail -n 1 table | cut -f 1,2,5)" = "knn	0.389000	2000" ]
    equals_numpy 20 0.1 train.emb test.emb
    [ "$(tail -n 1 table | cut -f 1,2,5)" = "knn	0.412500	2000" ]
}

@test "the table, its settings, and JSON" {
    make_pixels train 100
    make_pixels test 20
    expect 0 nnclr-lineval --methods knn -k 5 train.emb test.emb
    [ "${lines[0]}" = "method	top1	top1_se	top5	n	seconds	settings" ]
    [[ ${lines[1]} =~ ^knn${tab}[01]\.[0-9]{6}${tab}[01]\.[0-9]{6}${tab}[01]\.[0-9]{6}${tab}20${tab}[0-9.]+${tab}k=5\ temperature=0.1\ train=100\ d=768\ classes=10$ ]]
    [ -z "$stderr" ]
    accuracy=$(cut -f 2 <<<"${lines[1]}")
    need python3
    nnclr-lineval --json --methods knn -k 5 train.emb test.emb | python3 -c '
import json, sys
table = json.load(sys.stdin)
assert len(table) == 1 and table[0]["method"] == "knn" and table[0]["n"] == 20
p = table[0]["top1"]
assert abs(p - float(sys.argv[1])) < 1e-6 <= table[0]["top5"] <= 1
assert 0 < p < 1 and abs(table[0]["top1_se"] - (p * (1 - p) / 20) ** 0.5) < 1e-12
assert table[0]["settings"] == {"k": 5, "temperature": 0.1, "train": 100, "d": 768, "classes": 10}' "$accuracy"
    # A whole accuracy has no error, and none without labels.
    nnclr-lineval --methods knn -k 1 train.emb train.emb >table
    [ "$(tail -n 1 table | cut -f 2,3)" = $'1.000000\t0.000000' ]
}

@test "every row is its own nearest neighbour; results do not depend on -j or on pipes" {
    make_pixels train 100
    expect 0 nnclr-lineval --methods knn -k 1 train.emb train.emb
    [[ ${lines[1]} == "knn	1.000000	0.000000	1.000000	100	"* ]]
    for j in 1 2 3; do
        nnclr-lineval -j $j --methods knn -k 30 --predictions $j.tsv train.emb train.emb >/dev/null
    done
    cmp 1.tsv 2.tsv
    cmp 1.tsv 3.tsv
    nnclr-embed -q --pixels 16 train.tar.zst | nnclr-lineval --methods knn -k 30 --predictions pipe.tsv - train.emb >/dev/null
    cmp 1.tsv pipe.tsv
}

@test "--confusion counts every labelled row once, and agrees with --predictions" {
    make_pixels train 200
    make_pixels test 100
    expect 0 nnclr-lineval --methods knn -k 9 --confusion --predictions answers train.emb test.emb
    [ "${lines[0]}" = "method	label	predicted	n" ]
    [ "$(head -n 1 answers)" = "name	label	predicted	score" ]
    diff <(tail -n +2 <<<"$output" | cut -f 2-4) \
        <(tail -n +2 answers | cut -f 2,3 | sort | uniq -c | awk -v OFS='\t' '{ print $2, $3, $1 }')
}

# Predictions and accuracies of the classifier $1 on $2 are those that NumPy finds from its file.
classifier_equals_numpy() { # CLASSIFIER TEST; from nnclr-lineval: table, ours
    zstdcat "$2" >test.safetensors
    $python "$NNCLR_ROOT/tests/reference/linear_numpy.py" predict test.safetensors "$1" >theirs
    diff <(tail -n +2 ours | cut -f 1-3) <(head -n -1 theirs)
    diff <(tail -n 1 theirs) <(sed -n 2p table | cut -f 2,4 | tr '\t' ' ')
}

@test "linear: the kept classifier predicts what was reported, as NumPy computes it" {
    need zstd
    need_python numpy
    make_pixels train 400
    make_pixels test 200
    for options in "" "--standardize --epochs 20 --lr 0.5 --batch 64 --weight-decay 0.001" "--solver lbfgs"; do
        nnclr-lineval -q --methods linear $options --predictions ours -o c.safetensors train.emb test.emb >table
        classifier_equals_numpy c.safetensors test.emb
        cat table
        awk -F '\t' 'NR == 2 { good = $1 == "linear" && $2 > 0.1 && $4 >= $2 } END { exit !good }' table
    done
}

@test "lbfgs ends within 1e-4 of the optimum that NumPy finds, for each lambda" {
    need zstd
    need_python numpy
    make_shard train 400
    nnclr-embed -q --pixels 4 -o train.emb train.tar.zst
    zstdcat train.emb >train.safetensors
    for lambda in 0.01 0.001 0.0001; do
        expect 0 nnclr-lineval -v --methods linear --solver lbfgs --lambda $lambda -o c.safetensors train.emb train.emb
        told=$(sed -nE 's/.* objective ([0-9.]+) .*/\1/p' <<<"$stderr")
        $python "$NNCLR_ROOT/tests/reference/linear_numpy.py" optimum $lambda train.safetensors c.safetensors >values
        echo "lambda $lambda: told $told, kept and optimum $(cat values)"
        awk -v told="$told" '{ good = $1 - $2 < 1e-4 && $1 - $2 > -1e-9 && told - $1 < 2e-6 && $1 - told < 2e-6 } END { exit !good }' values
    done
}

@test "linear on raw pixels of the CIFAR-10 part; embeddings stay as they are" {
    need_data cifar10/cifar10-12k.tar
    for part in train test; do
        nnclr-prep -q --root cifar10/$part -o $part.tar.zst "$NNCLR_TEST_DATA/cifar10/cifar10-12k.tar"
        nnclr-embed -q --pixels 8 -o $part.emb $part.tar.zst
    done
    sha256sum train.emb test.emb >before
    nnclr-lineval -q --methods linear train.emb test.emb >table
    awk -F '\t' 'NR == 2 { good = $2 > 0.35 && $2 < 0.45 && $4 > 0.8 } END { exit !good }' table
    sha256sum -c before
}

@test "both methods by default, in the order of --methods; predictions are the first one's" {
    make_pixels train 100
    make_pixels test 50
    expect 0 nnclr-lineval -k 5 --predictions ours train.emb test.emb
    [ "${#lines[@]}" -eq 3 ]
    [[ ${lines[1]} =~ ^linear${tab}[01]\.[0-9]{6}${tab}[01]\.[0-9]{6}${tab}[01]\.[0-9]{6}${tab}50${tab}[0-9.]+${tab}solver=sgd\ epochs=90\ lr=0.1\ batch=256\ weight_decay=0\ standardize=no\ seed=0\ train=100\ d=768\ classes=10$ ]]
    [[ ${lines[2]} == knn* ]]
    [ -z "$stderr" ]
    nnclr-lineval --methods linear --predictions linear train.emb test.emb >/dev/null
    cmp ours linear
    expect 0 nnclr-lineval --methods knn,linear -k 5 --predictions ours train.emb test.emb
    [[ ${lines[1]} == knn* && ${lines[2]} == linear* ]]
    nnclr-lineval --methods knn -k 5 --predictions knn train.emb test.emb >/dev/null
    cmp ours knn
    expect 0 nnclr-lineval --confusion --predictions ours train.emb test.emb
    [ "$(awk -F '\t' 'NR > 1 { n[$1] += $4 } END { print n["linear"], n["knn"] }' <<<"$output")" = "50 50" ]
    diff <(grep ^linear <<<"$output" | cut -f 2-4) \
        <(tail -n +2 ours | cut -f 2,3 | sort | uniq -c | awk -v OFS='\t' '{ print $2, $3, $1 }')
}

@test "linear depends on --seed, not on -j; the same bytes each time" {
    make_pixels train 300
    for solver in sgd lbfgs; do
        for j in 1 2 3; do
            nnclr-lineval -q -j $j --methods linear --solver $solver --predictions $j.tsv -o $j.safetensors.zst train.emb train.emb >/dev/null
        done
        for j in 2 3; do
            cmp 1.tsv $j.tsv
            cmp 1.safetensors.zst $j.safetensors.zst
        done
    done
    nnclr-lineval -q --methods linear -o 0.safetensors train.emb train.emb >/dev/null
    nnclr-lineval -q --methods linear --seed 1 -o 1.safetensors train.emb train.emb >/dev/null
    differ 0.safetensors 1.safetensors
}

@test "--label-fraction: fewer labels, of each class, for both methods" {
    make_pixels train 200
    for F in 0.1:20 0.01:10 0.5:100; do
        expect 0 nnclr-lineval --label-fraction ${F%:*} -k 1000 train.emb train.emb
        [[ ${lines[1]} == *" label_fraction=${F%:*} train=${F#*:} d=768 classes=10" ]]
        [[ ${lines[2]} == *" label_fraction=${F%:*} train=${F#*:} d=768 classes=10" ]]
    done
    # With one neighbour a row that kept its label finds itself; others find it only now and then.
    expect 0 nnclr-lineval --methods knn -k 1 train.emb train.emb
    [[ ${lines[1]} == "knn	1.000000	"* ]]
    for seed in 1 2; do
        nnclr-lineval --label-fraction 0.1 --methods knn -k 1 --seed $seed --predictions $seed.tsv train.emb train.emb >table
        awk -F '\t' 'NR == 2 { good = $2 >= 0.1 && $2 < 1 } END { exit !good }' table
    done
    differ 1.tsv 2.tsv
    expect 2 nnclr-lineval --label-fraction 0 train.emb train.emb
    expect 2 nnclr-lineval --label-fraction 1.1 train.emb train.emb
}

@test "linear that diverges says so and keeps nothing" {
    make_pixels train 20
    refuses 1 "SGD diverges in epoch" nnclr-lineval --methods linear --lr 1e30 --weight-decay 1 -o c.safetensors train.emb train.emb
    [ ! -e c.safetensors ]
    [ -z "$output" ]
}

@test "lbfgs: a lambda chosen at an end of those tried is reported" {
    make_pixels train 400
    choice() { # LAMBDAS: what settings and message say
        expect 0 nnclr-lineval --methods linear --solver lbfgs --lambda "$1" train.emb train.emb
        sed -nE 's/.* lambda=([^ ]*) lambda_choice=([a-z]*) .*/\1 \2/p' <<<"$output"
    }
    # With its own rows as TEST; with so few, the most regular one is never the best at 1e6.
    [ "$(choice 0.001)" = "0.001 given" ]
    best=$(choice 1e6,1,0.1,0.01,0.001,0.0001,0.00001,1e-8)
    best=${best% *}
    [ "$(choice "$best,1e6")" = "$best smallest" ]
    expect 0 nnclr-lineval --methods linear --solver lbfgs --lambda "$best,1e6" train.emb train.emb
    expect_message nnclr-lineval "linear: of the lambdas tried the smallest, $best, was the best, and smaller ones were not tried: see --lambda $best,"
    expect 0 nnclr-lineval --methods linear --solver lbfgs --lambda "$best" train.emb train.emb
    [ -z "$stderr" ]
}

@test "options that would have no effect are refused" {
    refuses_each nnclr-lineval a b <<'END'
2|--methods svm|there is no method "svm": give linear, knn or linear,knn
2|--methods knn,|there is no method "": give linear, knn or linear,knn
2|--methods knn,knn|"knn" is given twice
2|--methods knn -o c|--output is for the method linear, which --methods leaves out
2|--methods knn --solver sgd|--solver is for the method linear, which --methods leaves out
2|--lambda 0.1|--lambda is not for --solver sgd
2|--solver lbfgs --lambda 1,x|--lambda: needs 1 to 16 numbers from 1e-08 to 1e+06, separated by commas, not "1,x"
2|--solver lbfgs --lambda 1,|--lambda: needs 1 to 16 numbers
2|--solver lbfgs --lambda 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17|--lambda: needs 1 to 16 numbers
2|--solver lbfgs --epochs 3|--epochs is not for --solver lbfgs
2|--solver newton|newton
2|-o -|--output: standard output is for the table: give a file
END
}

@test "wrong usage: exit 2" {
    refuses 2 "two embedding files are needed, TRAIN and TEST, not 1" nnclr-lineval --methods knn one
    refuses 2 "standard input can be given only once" nnclr-lineval --methods knn - -
    refuses 2 "--knn-temperature: needs a number from 0.002" nnclr-lineval --methods knn --knn-temperature 0 a b
    refuses 2 "--predictions: standard output is for the table" nnclr-lineval --methods knn --predictions - a b
}

@test "classes are matched by name; one that TRAIN does not have is refused" {
    folder=$(shapes 20)
    mkdir -p few/zebra more
    cp "$folder"/bars/* few/zebra
    cp -r "$folder"/bars "$folder"/triangle more
    for set in "$folder" few more; do
        nnclr-prep -q "$set" | nnclr-embed -q --pixels 8 -o "$(basename "$set").emb" -
    done
    mv train.emb all.emb
    expect 0 nnclr-lineval --methods knn -k 1 all.emb more.emb
    [[ ${lines[1]} == "knn	1.000000	0.000000	1.000000	4	"* ]]
    expect 1 nnclr-lineval --methods knn all.emb few.emb
    [ "$stderr" = 'nnclr-lineval: few.emb: the class "zebra" is not among the 10 of all.emb' ]
}

@test "rows without labels: TEST gives nulls, a TRAIN of only such rows teaches nothing" {
    make_pixels train 20
    nnclr-prep -q "$(shapes 20)/bars" | nnclr-embed -q --pixels 16 -o flat.emb -
    for method in knn linear; do
        expect 0 nnclr-lineval --methods $method --predictions answers train.emb flat.emb
        [[ ${lines[1]} == "$method				0	"* ]]
        [ "$(cut -f 2 answers | sort -u | tr '\n' ,)" = ",label," ]
        expect 0 nnclr-lineval --json --methods $method train.emb flat.emb
        [ "$(jq -c '.[0] | [.method, .top1, .top5, .n]' <<<"$output")" = "[\"$method\",null,null,0]" ]
        refuses 1 "no row of TRAIN has a label" nnclr-lineval --methods $method flat.emb flat.emb
    done
}

@test "files that do not fit together or are of another kind: exit 1" {
    make_pixels train 20
    nnclr-embed -q --pixels 8 -o small.emb train.tar.zst
    refuses 1 "small.emb has rows of 192 numbers, but train.emb has rows of 768" nnclr-lineval --methods knn train.emb small.emb
    refuses 1 "train.tar.zst: is a shard" nnclr-lineval --methods knn train.tar.zst train.emb
    refuses 1 nowhere nnclr-lineval --methods knn train.emb nowhere
}

@test "labels of one class: the accuracy is called worthless" {
    mkdir -p in/only
    cp "$(shapes 20)"/star/*.jpg in/only
    nnclr-prep -q -o s.tar.zst in
    nnclr-embed -q --pixels 8 -o s.emb s.tar.zst
    expect 0 nnclr-lineval --methods knn -k 1 s.emb s.emb
    expect_message nnclr-lineval "all labels of TRAIN are only: with one class"
}
