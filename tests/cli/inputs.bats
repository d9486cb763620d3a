# What the programs take: the folder of a run in place of its checkpoint; folders, tars and pictures
# in place of a shard.

load helpers

# $BATS_FILE_TMPDIR/run, two steps on the shard $BATS_FILE_TMPDIR/s.tar.zst.
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
            cut -f1-5 >out/accuracy.tsv
        nnclr-pretrain -q --preset tiny --size 16 --batch 10 --queue 16 --proj 16,8 --pred 16 \
            --steps 1 --init "$model" -o out/again "$shard"
        nnclr-finetune -q -m "$model" --batch 10 --epochs 1 -o out/tuned "$shard"
        (cd out && find . -name '*.json*' -delete -o -name .lock -delete -o -type f -print0 |
            sort -z | xargs -0 sha256sum) >"$(basename "$model").sums"
    done
    grep -q again/checkpoint run.sums
    sed -i '/widths/d' ./*.sums
    diff run.sums checkpoint.safetensors.zst.sums
    grep -q 'curve' out/page.html # the metrics next to the checkpoint
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

# ---- pictures in place of a shard ----

@test "pixels of a folder, a tar in any compression, a pipe and a FIFO are those of its shard" {
    local folder=$BATS_FILE_TMPDIR/shapes-20/train way
    export TMPDIR=$PWD/tmp
    mkdir tmp
    nnclr-embed -q --pixels 4 -o shard.emb "$BATS_FILE_TMPDIR/s.tar.zst"
    nnclr-embed --pixels 4 -o folder.emb "$folder" 2>said
    [ "$(cat said)" = "nnclr-embed: $folder: packing 20 pictures on the way; nnclr-prep keeps them" ]
    cmp shard.emb folder.emb
    tar -C "$folder" -cf t.tar .
    gzip -k t.tar
    zstd -q t.tar -o t.tzst
    for way in t.tar t.tar.gz t.tzst; do
        expect 0 nnclr-embed -q --pixels 4 -o tar.emb $way
        [ -z "$stderr" ]
        cmp shard.emb tar.emb
        cat $way | nnclr-embed -q --pixels 4 -o pipe.emb -
        cmp shard.emb pipe.emb
        nnclr-embed -q --pixels 4 -o redirected.emb - <$way
        cmp shard.emb redirected.emb
        mkfifo fifo
        cat $way >fifo &
        nnclr-embed -q --pixels 4 -o fifo.emb fifo
        cmp shard.emb fifo.emb
        rm fifo
    done
    cat "$BATS_FILE_TMPDIR/s.tar.zst" | nnclr-embed -q --pixels 4 -o pipe.emb -
    cmp shard.emb pipe.emb
    expect_files tmp
}

@test "neighbours that are not shards become one, as one call of nnclr-prep makes it" {
    local folder=$BATS_FILE_TMPDIR/shapes-20/train shard=$BATS_FILE_TMPDIR/s.tar.zst
    cp "$folder"/disc/0000.jpg a.jpg
    cp "$folder"/star/0000.jpg b.jpg
    nnclr-prep -q -o ab.tar.zst a.jpg b.jpg
    nnclr-prep -q -o fa.tar.zst "$folder" a.jpg
    nnclr-embed -q --pixels 4 -o wanted.emb ab.tar.zst "$shard" fa.tar.zst
    nnclr-embed --pixels 4 -o got.emb a.jpg b.jpg "$shard" "$folder" a.jpg 2>said
    cmp wanted.emb got.emb
    diff said - <<END
nnclr-embed: a.jpg and 1 more: packing 2 pictures on the way; nnclr-prep keeps them
nnclr-embed: $folder and 1 more: packing 21 pictures on the way; nnclr-prep keeps them
END
    nnclr-prep --list-contents "$folder" 2>/dev/null >packed.tsv
    nnclr-prep --list-contents "$shard" | cmp - packed.tsv
    refuses 2 'standard input can be given only once' nnclr-embed --pixels 4 -o x.emb - "$folder" - </dev/null
}

@test "every program takes a folder, and its data are the same again" {
    local folder=$BATS_FILE_TMPDIR/shapes-20/train shard=$BATS_FILE_TMPDIR/s.tar.zst
    local run=$BATS_FILE_TMPDIR/run
    local tiny="-q --preset tiny --size 16 --batch 10 --queue 16 --proj 16,8 --pred 16 --steps 3"
    nnclr-views -q --preset tiny -n 4 -o shard.views "$shard"
    nnclr-views -q --preset tiny -n 4 -o folder.views "$folder"
    cmp shard.views folder.views
    nnclr-queue-inspect -q --html shard.html "$run" "$shard" >shard.tsv
    nnclr-queue-inspect -q --html folder.html "$run" "$folder" >folder.tsv
    cmp shard.tsv folder.tsv
    cmp shard.html folder.html
    nnclr-embed -q -m "$run" -o q.emb "$folder"
    nnclr-queue-inspect -q --query q.emb --query-shard "$folder" --sheet sheet.png q.emb "$shard" \
        >/dev/null
    nnclr-lineval -q --augment -m "$run" --epochs 1 "$shard" "$shard" | cut -f1-5 >shard.tsv
    nnclr-lineval -q --augment -m "$run" --epochs 1 "$folder" "$folder" | cut -f1-5 >folder.tsv
    cmp shard.tsv folder.tsv
    nnclr-finetune -q -m "$run" --epochs 1 --batch 10 --test "$shard" -o tuned "$shard" |
        cut -f1-6 >shard.tsv
    nnclr-finetune -q -m "$run" --epochs 1 --batch 10 --test "$folder" -o tuned-2 "$folder" |
        cut -f1-6 >folder.tsv
    cmp shard.tsv folder.tsv
    cmp tuned/checkpoint.safetensors.zst tuned-2/checkpoint.safetensors.zst
    # Interrupted, and resumed without a word about where the data are.
    # shellcheck disable=SC2086
    nnclr-pretrain $tiny --probe "$shard" -o whole "$shard"
    # shellcheck disable=SC2086
    expect 75 nnclr-pretrain $tiny --probe "$folder" --probe-bank "$folder" --max-time 0.001s \
        -o cut "$folder"
    expect 0 nnclr-pretrain --resume -o cut
    [[ $stderr == *"$folder: packing 20 pictures on the way"* ]]
    cmp whole/checkpoint.safetensors.zst cut/checkpoint.safetensors.zst
}

@test "a run does not go on with a folder that has changed" {
    cp -r "$BATS_FILE_TMPDIR/shapes-20/train" photos
    expect 75 nnclr-pretrain -q --preset tiny --size 16 --batch 10 --queue 16 --proj 16,8 --pred 16 \
        --steps 3 --max-time 0.001s -o run photos
    rm photos/star/0000.jpg
    refuses 2 'shard 1 is not the one that the run was started with' nnclr-pretrain -q --resume -o run
}

@test "a picture that cannot be read is named once, left out, and makes exit 3" {
    cp -r "$BATS_FILE_TMPDIR/shapes-20/train" photos
    echo nothing >photos/disc/bad.jpg
    refuses 3 'disc/bad.jpg: not a JPEG, PNG or PPM' nnclr-embed -q --pixels 4 -o folder.emb photos
    nnclr-embed -q --pixels 4 -o shard.emb "$BATS_FILE_TMPDIR/s.tar.zst"
    cmp shard.emb folder.emb
    expect 3 nnclr-pretrain -q --preset tiny --size 16 --batch 10 --queue 16 --proj 16,8 --pred 16 \
        --steps 1 -o run photos
    expect_message nnclr-pretrain 'disc/bad.jpg: not a JPEG, PNG or PPM'
    [ -e run/DONE ]
    mkdir none
    echo nothing >none/bad.jpg
    expect 1 nnclr-embed -q --pixels 4 -o x.emb none
    [[ $stderr == *"none: none of the 1 files is a picture that can be read" ]]
    [ ! -e x.emb ]
    refuses 1 "run: is a RUN, not a folder of pictures" nnclr-prep -q -o x.tar run
    mkdir void
    expect 1 bash -c 'tar -cf - void | nnclr-prep -q -o x.tar -'
    expect_message nnclr-prep "standard input: no files there"
    [ ! -e x.tar ]
}

@test "what is neither a shard nor pictures is refused with the reason" {
    echo 'no pictures' >text
    : >empty
    mkdir void
    ln -s "$BATS_FILE_TMPDIR/run" run
    head -c 3000 "$BATS_FILE_TMPDIR/s.tar.zst" >./cut
    nnclr-embed -q --pixels 4 -o rows.emb "$BATS_FILE_TMPDIR/s.tar.zst"
    refuses_each nnclr-embed -q --pixels 4 -o x.emb <<'END'
1|text|text: is neither a picture nor a tar archive
1|empty|empty: is empty
1|void|void: no files there
1|cut|cut: truncated
1|rows.emb|rows.emb: is an embedding file, not a shard
1|missing|missing: No such file or directory
1|run|run: is a RUN, not a folder of pictures
END
    [ ! -e x.emb ]
}

@test "--resume of what is not there says so, and makes nothing" {
    local program
    for program in nnclr-pretrain nnclr-finetune; do
        refuses 2 "nowhere: there is no such RUN to resume" $program --resume -o nowhere
    done
    [ ! -e nowhere ]
}

@test "files that are left out for the same reason: the first five are named, and the rest counted" {
    local n
    mkdir pictures
    cp "$(find "$(shapes 10)" -type f | sed -n 1p)" pictures
    for n in 1 2 3 4 5 6 7 8; do printf 'GIF89a' >pictures/$n.gif; done
    : >pictures/empty
    for way in "nnclr-prep -q -o x.tar" "nnclr-embed -q --pixels 2 -o x.emb"; do
        # shellcheck disable=SC2086
        expect 3 $way pictures
        [ "${#stderr_lines[@]}" -eq 7 ]
        [ "$(grep -c 'gif: a GIF, not a JPEG, PNG or PPM$' <<<"$stderr")" -eq 5 ]
        [[ ${stderr_lines[6]} == *": 3 more: a GIF, not a JPEG, PNG or PPM (-v names each)" ]]
        # shellcheck disable=SC2086
        expect 3 ${way/-q/-v} pictures
        [ "$(grep -c 'gif: a GIF, not a JPEG, PNG or PPM$' <<<"$stderr")" -eq 8 ]
        [[ $stderr != *more:* ]]
    done
}
