# What the programs take: the folder of a run in place of its checkpoint.

load helpers

setup() {
    cd "$BATS_TEST_TMPDIR" || return
}

# $BATS_FILE_TMPDIR/run, of two steps on the shard $BATS_FILE_TMPDIR/s.tar.zst.
setup_file() {
    cd "$BATS_FILE_TMPDIR" || return
    nnclr-prep -q -o s.tar.zst "$(shapes 20)"
    nnclr-pretrain -q --preset tiny --size 16 --batch 10 --queue 16 --proj 16,8 --pred 16 \
        --steps 2 -o run s.tar.zst
}

@test "every program that takes a checkpoint takes its RUN" {
    local run=$BATS_FILE_TMPDIR/run shard=$BATS_FILE_TMPDIR/s.tar.zst model
    for model in "$run" "$run/checkpoint.safetensors.zst"; do
        rm -rf out
        mkdir out
        nnclr-embed -q -m "$model" -o out/rows.emb "$shard"
        nnclr-export -q -o out/backbone.safetensors "$model"
        nnclr-export -q -o out/backbone.onnx "$model"
        nnclr-queue-inspect -q --seed 3 "$model" >out/neighbours.tsv
        nnclr-queue-inspect -q --html out/page.html "$model" "$shard" >/dev/null
        nnclr-queue-inspect -q --query "$model" out/rows.emb 2>out/widths || [ $? -eq 1 ]
        nnclr-lineval -q --augment -m "$model" --epochs 1 "$shard" "$shard" |
            cut -f1-4 >out/accuracy.tsv
        nnclr-pretrain -q --preset tiny --size 16 --batch 10 --queue 16 --proj 16,8 --pred 16 \
            --steps 1 --init "$model" -o out/again "$shard"
        nnclr-finetune -q -m "$model" --batch 10 --epochs 1 -o out/tuned "$shard"
        (cd out && find . -name '*.json*' -delete -o -name .lock -delete -o -type f -print0 |
            sort -z | xargs -0 sha256sum) >"$(basename "$model").sums"
    done
    grep -q again/checkpoint run.sums
    sed -i '/widths/d' ./*.sums
    diff run.sums checkpoint.safetensors.zst.sums
    grep -q 'curve' out/page.html # the metrics beside the checkpoint
}

@test "a folder that is not a RUN, or has no checkpoint yet, is refused with one sentence" {
    mkdir -p here/photos here/young
    cd here || return
    echo '{}' >young/run.json
    local arguments
    for arguments in "nnclr-embed -o x -m FOLDER $BATS_FILE_TMPDIR/s.tar.zst" \
        "nnclr-export -o x.onnx FOLDER" "nnclr-queue-inspect FOLDER" \
        "nnclr-finetune -m FOLDER -o x $BATS_FILE_TMPDIR/s.tar.zst" \
        "nnclr-pretrain --preset tiny --init FOLDER -o x $BATS_FILE_TMPDIR/s.tar.zst"; do
        # shellcheck disable=SC2086
        expect 1 ${arguments//FOLDER/photos}
        expect_message "${arguments%% *}" 'photos: this folder is not a RUN: there is no checkpoint.safetensors.zst in it'
        # shellcheck disable=SC2086
        expect 1 ${arguments//FOLDER/young}
        expect_message "${arguments%% *}" 'young: this run has no checkpoint yet'
    done
    expect_files . photos young
}

@test "a checkpoint from a pipe shows its support set" {
    local run=$BATS_FILE_TMPDIR/run
    nnclr-queue-inspect -q "$run" >file.tsv
    nnclr-queue-inspect -q - <"$run/checkpoint.safetensors.zst" >file-in.tsv
    cat "$run/checkpoint.safetensors.zst" | nnclr-queue-inspect -q - >pipe.tsv
    cmp file.tsv file-in.tsv
    cmp file.tsv pipe.tsv
}
