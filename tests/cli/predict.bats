#!/usr/bin/env bats
# nnclr-predict: names that other programs' figures agree with.
load helpers

# run: a network; tuned: the same with a classifier; train, test: shards; train.emb, test.emb.
setup() {
    cd "$BATS_TEST_TMPDIR"
    make_shard train 40
    make_shard test 20
    if [ ! -d "$BATS_FILE_TMPDIR/tuned" ]; then
        nnclr-pretrain -q $TINY --steps 2 -o "$BATS_FILE_TMPDIR/run" train.tar.zst
        nnclr-finetune -q -m "$BATS_FILE_TMPDIR/run" --epochs 2 --batch 20 --test test.tar.zst -o "$BATS_FILE_TMPDIR/tuned" \
            train.tar.zst >"$BATS_FILE_TMPDIR/judged"
        nnclr-embed -q -m "$BATS_FILE_TMPDIR/run" -o "$BATS_FILE_TMPDIR/train.emb" train.tar.zst
        nnclr-embed -q -m "$BATS_FILE_TMPDIR/run" -o "$BATS_FILE_TMPDIR/test.emb" test.tar.zst
    fi
    cp -r "$BATS_FILE_TMPDIR"/{run,tuned,judged,train.emb,test.emb} .
}

columns="name	class	score	second	second_score	third	third_score	rejected"

@test "a classifier names pictures as nnclr-lineval does, whatever its rows were made of" {
    nnclr-embed -q --pixels 4 -o train.px train.tar.zst
    nnclr-embed -q --pixels 4 -o test.px test.tar.zst
    nnclr-embed -q -m run --layer projection --size 12 -o train.proj train.tar.zst
    nnclr-embed -q -m run --layer projection --size 12 -o test.proj test.tar.zst
    for kind in emb px proj; do
        for solver in lbfgs sgd; do
            nnclr-lineval -q --methods linear --solver $solver --predictions told -o k train.$kind test.$kind >/dev/null
            network=-mrun
            [ $kind != px ] || network=
            expect 0 nnclr-predict -q $network k test.tar.zst
            [ "${lines[0]}" = "$columns" ]
            awk -F '\t' 'NR == FNR { name[FNR] = $1; class[FNR] = $3; score[FNR] = $4; next }
                FNR > 1 && (name[FNR] != $1 || class[FNR] != $2 || (score[FNR] - $3) ^ 2 > 4e-12) { print; bad = 1 }
                END { exit bad || FNR != 21 }' told - <<<"$output"
        done
    done
    nnclr-lineval -q --augment -m run --epochs 2 --predictions told -o k train.tar.zst test.tar.zst >/dev/null
    nnclr-predict -q -m run k test.tar.zst | cut -f 1,2 | sed 1d | diff - <(cut -f 1,3 told | sed 1d)
}

@test "a fine-tuned network is as often right as nnclr-finetune said; a folder is as good as its shard" {
    expect 0 nnclr-predict tuned test.tar.zst
    expect_message nnclr-predict "20 pictures named, 0 rejected"
    right=$(awk -F '\t' 'NR > 1 { n++; split($1, part, "/"); right += part[1] == $2 } END { printf "%.6f", right / n }' <<<"$output")
    [ "$right" = "$(sed 1d judged | cut -f 2)" ]
    diff <(nnclr-predict -q tuned "$(shapes 20)") - <<<"$output"
    diff <(nnclr-predict -q -j 1 tuned/$CHECKPOINT - <test.tar.zst) - <<<"$output"
    # shares of all classes, the best first
    awk -F '\t' 'NR == 1 { next } $3 < $5 || $5 < $7 || $7 <= 0 || $3 + $5 + $7 > 1.000002 || $2 == $4 || $4 == $6 { print; bad = 1 }
        END { exit bad }' <<<"$output"
    name=$(sed -n 2p <<<"$output" | cut -f 1)
    diff <(nnclr-predict -q tuned "$(shapes 20)/$name" | sed 1d | cut -f 2-) <(sed -n 2p <<<"$output" | cut -f 2-)
}

@test "--least: what is not sure has no class; the rest are labels for nnclr-prep" {
    need jq
    nnclr-predict -q tuned test.tar.zst >all
    least=$(sed 1d all | cut -f 3 | sort -g | awk 'NR == 8 { low = $1 } NR == 9 { print (low + $1) / 2 }')
    expect 0 nnclr-predict --least "$least" tuned test.tar.zst
    expect_message nnclr-predict "12 pictures named, 8 rejected"
    # the class of a rejected one is in the last column
    diff all <(awk -F '\t' -v OFS='\t' 'NR > 1 && $8 != "" { if ($2 != "" || $3 >= '"$least"') exit 1; $2 = $8; $8 = "" } { print }' <<<"$output")
    nnclr-predict -q --json --least "$least" tuned test.tar.zst |
        jq -r '.[] | [.name, .class, .rejected] | map(. // "") | @tsv' | diff - <(sed 1d <<<"$output" | cut -f 1,2,8)
    echo "$output" >names
    folder=$(shapes 20)
    nnclr-prep -q --relabel names -o named.tar.zst "$folder"
    nnclr-prep --list-contents named.tar.zst | awk -F '\t' 'NR == FNR { class[$1] = $2; next }
        FNR > 1 { split($4, part, "/"); if ($3 != (class[$4] ? class[$4] : part[1])) { print; bad = 1 } } END { exit bad }' names -
}

@test "two classes: there is no third" {
    printf '%s\n' disc/0000.jpg:2 disc/0001.png:2 star/0000.jpg:0 star/0001.png:0 | tr : '\t' >list
    nnclr-prep -q --list list -o two.tar.zst "$(shapes 20)"
    nnclr-embed -q --pixels 2 -o two.px two.tar.zst
    nnclr-lineval -q --methods linear --epochs 1 -o k two.px two.px >/dev/null
    # 1 is a class that no picture has
    expect 0 nnclr-predict -q k two.tar.zst
    [ "$(sed 1d <<<"$output" | awk -F '\t' '{ print $2 "\n" $4 "\n" $6 }' | sort -u | paste -sd ' ')" = "0 1 2" ]
    sed -i 's/\t2$/\t1/' list
    nnclr-prep -q --list list "$(shapes 20)" | nnclr-embed -q --pixels 2 -o two.px -
    nnclr-lineval -q --methods linear --epochs 1 -o k two.px two.px >/dev/null
    expect 0 nnclr-predict -q k two.tar.zst
    [ "$(sed 1d <<<"$output" | cut -f 6,7 | sort -u)" = "	" ]
}

@test "what cannot name pictures is refused with the reason" {
    nnclr-lineval -q --methods linear --epochs 1 -o k train.emb test.emb >/dev/null
    nnclr-pretrain -q $TINY --width 0.25 --steps 1 -o other train.tar.zst
    nnclr-export -o weights.safetensors tuned
    refuses_each nnclr-predict <<END
2||no model: give a RUN of nnclr-finetune
2|tuned|no pictures: give some after tuned
1|run test.tar.zst|run/checkpoint.safetensors.zst: a network without a classifier: nnclr-finetune trains it with one
1|weights.safetensors test.tar.zst|weights that name no classes: give a RUN of nnclr-finetune
1|train.emb test.tar.zst|train.emb: is an embedding file, not a checkpoint file
1|train.tar.zst test.tar.zst|is a shard, not a tensor file
1|nowhere test.tar.zst|nowhere: No such file
1|tuned nowhere|nowhere: No such file
2|k test.tar.zst|pictures need the network that made the rows of k: give -m CHECKPOINT
2|-m run tuned test.tar.zst|tuned/checkpoint.safetensors.zst: this is a whole network: leave -m out
1|-m other k test.tar.zst|other/checkpoint.safetensors.zst: the rows of k were made with another network: its "width" differs
2|--least 2 tuned test.tar.zst|--least: needs a number from 0 to 1
2|- -|standard input can be given only once
END
    mkdir odd
    cp "$(shapes 20)"/disc/* odd
    head -c 100 odd/0000.jpg >odd/cut.jpg
    expect 3 nnclr-predict -q tuned odd
    [ "${#lines[@]}" -eq 3 ]
    [[ $stderr == *"cut.jpg: "* ]]
}

@test "a classifier that no score can be computed from is refused" {
    need python3
    nnclr-embed -q --pixels 2 -o a.px train.tar.zst
    nnclr-lineval -q --methods linear --epochs 1 -o k.safetensors a.px a.px >/dev/null
    expect 0 nnclr-predict -q k.safetensors test.tar.zst
    while IFS='|' read -r change text; do
        python3 - "$change" <<'END'
import struct, sys
from tensors import load, store
about, tensors = load("k.safetensors")
tensors = {name: list(tensor) for name, tensor in tensors.items()}
def put(name, at, value):
    data = tensors[name][2]
    tensors[name][2] = data[:4 * at] + struct.pack("<f", value) + data[4 * at + 4:]
exec(sys.argv[1])
store("bad.safetensors", about, tensors)
END
        refuses 1 "bad.safetensors: $text" nnclr-predict bad.safetensors test.tar.zst
    done <<'END'
put("scale", 3, 0)|a weight, mean or scale is not a number that it can have
put("weight", 14, float("nan"))|a weight, mean or scale is not a number that it can have
tensors["bias"] = ["F32", [5], bytes(20)]|tensor "bias" is
del tensors["mean"]|holds no tensor "mean"
about["nnclr.classes"] = '["a"]'|nnclr.classes does not name its 10 classes
about["nnclr.classes"] = '[1,2,3,4,5,6,7,8,9,10]'|nnclr.classes does not name its 10 classes
del about["nnclr.config"]|its metadata has no nnclr.config
about["nnclr.config"] = '{}'|does not say how its rows were made
about["nnclr.config"] = '{"embedding":{"output":"pixels","size":3}}'|rows of 12 numbers are not 3 x 3 pixels
END
}
