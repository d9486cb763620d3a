# nnclr-views, what it makes as data for nnclr-pretrain (--views), and --init.
load helpers

SMALL="--preset tiny --size 16"
TINY="$SMALL $PLAIN --batch 8 --queue 20"

setup() {
    cd "$BATS_TEST_TMPDIR"
    make_shard s 40
}

views() { # [option...]
    nnclr-views $SMALL "$@"
}

tiny() { # [option...]
    nnclr-pretrain -q $TINY "$@"
}

header() { # FILE: the JSON of a tensor file
    local plain=$BATS_TEST_TMPDIR/header.$BASHPID
    zstdcat -f "$1" >"$plain"
    head -c $((8 + $(od -An -tu8 -N 8 "$plain"))) "$plain" | tail -c +9
    rm "$plain"
}

tensor() { # FILE NAME: the data of one tensor
    local plain=$BATS_TEST_TMPDIR/tensor.$BASHPID size span
    zstdcat -f "$1" >"$plain"
    size=$(od -An -tu8 -N 8 "$plain" | tr -d ' ')
    span=$(header "$plain" | jq -er --arg name "$2" '.[$name].data_offsets | "\(.[0]) \(.[1])"')
    head -c $((8 + size + ${span#* })) "$plain" | tail -c $((${span#* } - ${span% *}))
    rm "$plain"
}

integers() { od -An -v -w8 -td8 | tr -d ' ' | tr '\n' ' '; }

# ---- nnclr-views ----

@test "views: a tensor file that zstd knows, the same bytes for any -j, cache and output" {
    expect 0 views -q -o one.safetensors.zst s.tar.zst
    [ -z "$output$stderr" ]
    zstd -tq one.safetensors.zst
    views -q -j 1 --cache 0 -o two.safetensors.zst s.tar.zst
    views -q -j 7 s.tar.zst >three.safetensors.zst
    nnclr-views -q $SMALL - <s.tar.zst >four.safetensors.zst
    cmp one.safetensors.zst two.safetensors.zst
    cmp one.safetensors.zst three.safetensors.zst
    cmp one.safetensors.zst four.safetensors.zst
    views -q -o plain.safetensors s.tar.zst
    zstdcat one.safetensors.zst | cmp - plain.safetensors
    [ -z "$(find . -name '.*.*' -type f)" ]
}

@test "views: kind, shapes, and all records in order with their labels" {
    views -q -o v.safetensors s.tar.zst
    header v.safetensors | jq -e '.__metadata__["nnclr.kind"] == "views"
        and .view1 == {dtype: "F32", shape: [40, 16, 16, 3], data_offsets: .view1.data_offsets}
        and .view2.shape == .view1.shape and .record.shape == [40] and .label.dtype == "I64"
        and (.__metadata__["nnclr.classes"] | fromjson | length) == 10
        and (.__metadata__["nnclr.config"] | fromjson | .size == 16 and .epoch == 0 and .crop == [0.2, 1])'
    diff <(tensor v.safetensors record | integers) <(seq 0 39 | tr '\n' ' ')
    diff <(tensor v.safetensors label | integers) \
        <(nnclr-prep --list-contents s.tar.zst | tail -n +2 | cut -f 2 | tr '\n' ' ')
    differ <(tensor v.safetensors view1) <(tensor v.safetensors view2)
}

@test "views: -n spreads over the shards, and a view depends on its record alone" {
    views -q -o all.safetensors s.tar.zst
    views -q -n 4 -o few.safetensors s.tar.zst
    [ "$(tensor few.safetensors record | integers)" = "0 10 20 30 " ]
    local bytes=$((16 * 16 * 3 * 4)) name
    for name in view1 view2; do
        cmp <(tensor few.safetensors $name | tail -c +$((1 + 3 * bytes))) \
            <(head -c $bytes <(tensor all.safetensors $name | tail -c +$((1 + 30 * bytes))))
    done
    views -q -n 4000 -o more.safetensors s.tar.zst
    cmp all.safetensors more.safetensors
}

@test "views: seed, epoch and augmentation change the views" {
    local options n=0 i
    while read -r options; do
        n=$((n + 1))
        views -q $options -o $n.safetensors s.tar.zst
        for i in $(seq $((n - 1))); do
            differ <(tensor $i.safetensors view1) <(tensor $n.safetensors view1)
        done
    done <<'END'
--epoch 0
--epoch 1
--seed 1
--augment simclr
--crop 0.9,1
--preset cifar --size 16
END
}

@test "views: presets, ready-made augmentations and single options give what they say" {
    local options condition
    while IFS='|' read -r options condition; do
        nnclr-views -q -n 1 $options -o v.safetensors s.tar.zst
        header v.safetensors | jq -er '.__metadata__["nnclr.config"]' | jq -e "$condition" >/dev/null ||
            { echo "$options: not $condition"; return 1; }
    done <<'END'
|.size == 224 and .crop == [0.08, 1] and .blur == [1, 0.1] and .solarize == [0, 0.2]
|.flip == 0.5 and .gray == 0.2 and .jitter_p == 0.8 and .jitter_strength == [0.4, 0.4, 0.2, 0.1]
|.interpolation == "bicubic" and .blur_sigma == [0.1, 2] and .aspect[0] == 0.75
--size 64|.blur == [1, 0.1]
--size 63|.blur == [0, 0] and .solarize == [0, 0.2]
--blur 0.3,0.4 --size 32|.blur == [0.3, 0.4]
--preset cifar|.size == 32 and .blur == [0, 0] and .solarize == [0, 0.2] and (.mean[0] * 10000 | round) == 4914
--preset cifar --size 96|.blur == [0, 0]
--preset tiny|.crop == [0.2, 1] and .solarize == [0, 0] and .jitter_strength == [0.2, 0.2, 0.1, 0.05]
--augment simclr|.blur == [0.5, 0.5] and .solarize == [0, 0] and .jitter_strength == [0.8, 0.8, 0.8, 0.2]
--augment crop|.crop == [0.08, 1] and .flip == 0 and .jitter_p == 0 and .gray == 0 and .blur == [0, 0]
--augment none|.crop == [1, 1] and .aspect == [1, 1] and .flip == 0 and .jitter_p == 0
--flip 0.25 --augment none --solarize 0.1,1|.flip == 0.25 and .solarize == [0.1, 1] and .crop == [1, 1]
--preset tiny --augment byol|.crop == [0.08, 1] and .solarize == [0, 0.2] and .size == 32 and .blur == [0, 0]
--interpolation bilinear --augment byol|.interpolation == "bilinear" and .blur == [1, 0.1]
|.jitter == "torch"
--jitter tf --augment byol|.jitter == "tf" and .blur == [1, 0.1] and .jitter_strength == [0.4, 0.4, 0.2, 0.1]
--jitter-strength 0.8,0.7,0.6,0.5 --jitter-p 1 --gray 0|.jitter_strength == [0.8, 0.7, 0.6, 0.5] and .jitter_p == 1 and .gray == 0
END
}

@test "views: --jitter tf makes others, the same bytes for any -j" {
    views -q -o torch.safetensors s.tar.zst
    views -q --jitter torch -o named.safetensors s.tar.zst
    views -q --jitter tf --blur 1,1 -j 1 -o one.safetensors s.tar.zst
    views -q --jitter tf --blur 1,1 -j 7 --cache 0 -o seven.safetensors s.tar.zst
    cmp torch.safetensors named.safetensors
    cmp one.safetensors seven.safetensors
    differ <(tensor torch.safetensors view1) <(tensor one.safetensors view1)
    refuses 2 "--jitter" views --jitter pil -o out s.tar.zst
}

@test "views: without augmentation both are the picture itself" {
    nnclr-views -q --preset tiny --augment none --u8 -o v.safetensors s.tar.zst
    cmp <(tensor v.safetensors view1) <(tensor v.safetensors view2)
    zstdcat s.tar.zst | tar -xf - 000000001.png
    /usr/bin/python3 -c 'import PIL' 2>/dev/null || skip "no Pillow"
    /usr/bin/python3 -c 'import sys; from PIL import Image
sys.stdout.buffer.write(Image.open("000000001.png").convert("RGB").tobytes())' >pixels
    cmp <(head -c 3072 <(tensor v.safetensors view1 | tail -c +3073)) pixels
}

@test "views: --u8 is F32 rounded" {
    views -q -o f.safetensors s.tar.zst
    views -q --u8 -o b.safetensors s.tar.zst
    header b.safetensors | jq -e '.view1.dtype == "U8" and .view2.dtype == "U8"'
    for name in view1 view2; do
        tensor f.safetensors $name | od -An -v -w4 -tf4 | awk '{print int($1 * 255 + 0.5)}' >rounded
        tensor b.safetensors $name | od -An -v -w1 -tu1 | awk '{print $1}' >bytes
        [ "$(wc -l <rounded)" -eq $((40 * 16 * 16 * 3)) ]
        # A half may be printed to either side.
        paste rounded bytes | awk '$1 != $2 { n++ } END { exit n > 20 }'
    done
}

@test "views: --sheet draws a picture, alone or beside the file" {
    expect 0 views -q -n 3 --sheet a.png s.tar.zst
    [ -z "$output$stderr" ]
    views -q -n 3 --sheet b.png -o v.safetensors.zst s.tar.zst
    views -q -n 3 --sheet - s.tar.zst >c.png
    cmp a.png b.png
    cmp a.png c.png
    [[ $(file a.png) == *"PNG image data"* ]]
    header v.safetensors.zst | jq -e '.record.shape == [3]'
    views -q --sheet d.png s.tar.zst
    # 12 pictures of 128 pixels.
    [ "$(od -An -tu1 -j 20 -N 4 d.png | awk '{print $3 * 256 + $4}')" -gt 1536 ]
    views -q -n 3 --epoch 1 --sheet e.png s.tar.zst
    differ a.png e.png
}

@test "views: wrong usage and broken input" {
    refuses_each nnclr-views <<'END'
2||no input: give a shard
2|--size 4 -o out s.tar.zst|--size
2|--crop 0.9,0.5 -o out s.tar.zst|smallest area 0.9 is above its largest 0.5
2|--epoch -1 -o out s.tar.zst|--epoch
2|-n 0 -o out s.tar.zst|-n
2|--order random -o out s.tar.zst|needs record or training
2|--u8 --sheet out s.tar.zst|a sheet has no tensors
2|--batch 8 -o out s.tar.zst|no such option
1|-o out missing.tar.zst|missing.tar.zst
END
    [ ! -e out ]
    nnclr-embed -q --pixels 4 -o e.safetensors.zst s.tar.zst
    refuses 1 "e.safetensors.zst" views -o out e.safetensors.zst
    cp s.tar.zst flipped.tar.zst
    flip_bit flipped.tar.zst 20000
    expect 1 views -o out flipped.tar.zst
    [ ! -e out ]
    if command -v script >/dev/null; then
        [[ $(in_terminal "nnclr-views $SMALL s.tar.zst; echo status \$?") == *"status 2"* ]]
    fi
}

# ---- --views ----

@test "--views of an epoch in its order trains as that epoch from the shards does" {
    expect 0 tiny --epochs 1 -o shards s.tar.zst
    views -q --order training -o v.safetensors.zst s.tar.zst
    expect 0 tiny --epochs 1 --views v.safetensors.zst -o given
    diff <(timeless shards) <(timeless given)
    cmp <(tensor shards/$CHECKPOINT backbone.conv1.weight) <(tensor given/$CHECKPOINT backbone.conv1.weight)
    cmp <(tensor shards/$CHECKPOINT queue.embedding) <(tensor given/$CHECKPOINT queue.embedding)
    expect 0 tiny --epochs 1 --views - -o pipe <v.safetensors.zst
    cmp given/$CHECKPOINT pipe/$CHECKPOINT
    zstdcat v.safetensors.zst >v.safetensors
    expect 0 tiny -j 1 --epochs 1 --views v.safetensors -o plain
    cmp given/$CHECKPOINT plain/$CHECKPOINT
}

@test "--jitter tf trains on the views it shows, is recorded and goes on" {
    expect 0 tiny --epochs 1 --jitter tf -o shards s.tar.zst
    views -q --jitter tf --order training -o v.safetensors.zst s.tar.zst
    expect 0 tiny --epochs 1 --views v.safetensors.zst -o given
    diff <(timeless shards) <(timeless given)
    expect 0 tiny --epochs 1 -o torch s.tar.zst
    differ <(timeless shards) <(timeless torch)
    jq -e '.config.jitter == "tf"' shards/run.json >/dev/null
    jq -e '.config.jitter == "torch"' torch/run.json >/dev/null
    expect 75 tiny -j 1 --epochs 1 --jitter tf --max-time 0.001s -o run s.tar.zst
    until [ -e run/DONE ]; do
        nnclr-pretrain -q --resume --max-time 0.001s -o run || [ $? -eq 75 ]
    done
    cmp shards/$CHECKPOINT run/$CHECKPOINT
}

@test "--views: the file's order in every epoch, the last partial batch dropped" {
    views -q -n 20 -o v.safetensors.zst s.tar.zst
    expect 0 tiny --epochs 2 --include-self --views v.safetensors.zst -o run
    # Two batches of 8 of the 20 rows, records 0, 2, 4, ...: a fixed spread, and all come back.
    [ "$(jq -c '[.step, .epoch]' run/metrics.jsonl | tr '\n' ' ')" = "[1,0] [2,0] [3,1] [4,1] " ]
    lines_say run '.[0].batch_spread == .[2].batch_spread and .[1].batch_spread == .[3].batch_spread'
    lines_say run '.[0].self_present == 0 and .[2].self_present == 1 and .[3].self_present == 1'
    [ "$(tensor run/$CHECKPOINT queue.record | od -An -v -w8 -td8 | sort -nu | tr -s ' \n' ' ')" = " $(seq -s ' ' 0 2 30) " ]
    jq -e --arg path "$PWD/v.safetensors.zst" '.views == [$path] and (has("shards") | not)
        and .data[0].kind == "views" and .records == 20' run/run.json
}

@test "--views: U8 and F32 of equal values train equally" {
    nnclr-prep -q -o r.tar.zst "$(shapes 40)"
    # Without augmentation the values of both are multiples of 1/255.
    nnclr-views -q --preset tiny --augment none -o f.safetensors.zst r.tar.zst
    nnclr-views -q --preset tiny --augment none --u8 -o b.safetensors.zst r.tar.zst
    for kind in f b; do
        expect 0 nnclr-pretrain -q --preset tiny --batch 8 --queue 20 --steps 3 --views $kind.safetensors.zst -o $kind
    done
    diff <(timeless f) <(timeless b)
}

@test "--views: a stopped run goes on bit for bit" {
    views -q -o v.safetensors.zst s.tar.zst
    expect 0 tiny --steps 13 --views v.safetensors.zst -o whole
    expect 75 tiny --steps 13 --max-time 0.001s --views v.safetensors.zst -o run
    local rounds=0
    until [ -e run/DONE ]; do
        rounds=$((rounds + 1))
        nnclr-pretrain -q --resume --max-time 0.001s -o run || [ $? -eq 75 ]
    done
    [ $rounds -ge 5 ]
    cmp whole/$CHECKPOINT run/$CHECKPOINT
    diff <(timeless whole) <(timeless run)
}

@test "--views: a stopped run on views of some records goes on, and its queue can be looked at" {
    views -q -n 10 -o v.safetensors.zst s.tar.zst
    expect 75 nnclr-pretrain -q --preset tiny --size 16 --batch 5 --queue 10 --steps 4 \
        --max-time 0.001s --views v.safetensors.zst -o run
    expect 0 nnclr-queue-inspect -q run/$CHECKPOINT
    expect 0 nnclr-pretrain -q --resume -o run
}

@test "--views: on --resume a moved file is named, a changed one refused" {
    views -q -o v.safetensors.zst s.tar.zst
    expect 0 tiny --steps 4 --views v.safetensors.zst -o whole
    expect 75 tiny --steps 4 --max-time 0.001s --views v.safetensors.zst -o run
    views -q --seed 1 -o other.safetensors.zst s.tar.zst
    mv v.safetensors.zst moved.safetensors.zst
    refuses 1 "v.safetensors.zst" nnclr-pretrain --resume -o run
    refuses 2 "views file 1 is not the one that the run was started with" nnclr-pretrain --resume -o run other.safetensors.zst
    refuses 1 "is a shard, not a tensor file" nnclr-pretrain --resume -o run s.tar.zst
    refuses 2 "one file of views" nnclr-pretrain --resume -o run moved.safetensors.zst moved.safetensors.zst
    expect 2 nnclr-pretrain --resume -o run --views moved.safetensors.zst
    expect 0 nnclr-pretrain -q --resume -o run moved.safetensors.zst
    cmp whole/$CHECKPOINT run/$CHECKPOINT
}

@test "--views: files of another kind, size or content" {
    views -q -o v.safetensors.zst s.tar.zst
    nnclr-embed -q --pixels 4 -o e.safetensors.zst s.tar.zst
    head -c 60000 v.safetensors.zst >cut.safetensors.zst
    zstdcat v.safetensors.zst >plain.safetensors
    # A value of the last picture becomes NaN.
    cp plain.safetensors nan.safetensors
    printf '\xff\xff\xff\x7f' | dd of=nan.safetensors bs=1 seek=$(($(stat -c %s plain.safetensors) - 4)) conv=notrunc status=none
    sed 's/"view2"/"view3"/' plain.safetensors >named.safetensors
    refuses_each tiny --steps 5 --force -o run <<'END'
1|--views s.tar.zst|s.tar.zst: is a shard, not a tensor file
1|--views e.safetensors.zst|is an embedding file, not a views file
1|--views cut.safetensors.zst|cut.safetensors.zst
1|--views missing|missing
1|--views named.safetensors|holds no tensor "view2"
1|--views nan.safetensors|view2 of row 39 holds the number nan: views lie in [0,1]
2|--views v.safetensors.zst --size 32|the views of v.safetensors.zst are 16 pixels wide, not 32: give --size 16
2|--views v.safetensors.zst s.tar.zst|--views replaces the shards
2|--views v.safetensors.zst --crop 0.5,1|--crop: the views of --views are taken as they are
2|--views v.safetensors.zst --cache 1M|--cache: the views of --views are taken as they are
2|--views v.safetensors.zst --batch 41 --queue 80|a batch of 41 is larger than the data, which has 40 pictures
2|--views - --init -|standard input can be given only once
END
}

# ---- --init ----

@test "--init: a checkpoint's backbone, heads and queue start a run at step 0" {
    expect 0 tiny --steps 7 -o old s.tar.zst
    expect 0 nnclr-pretrain $TINY --steps 1 --save-every 1steps --keep 2 --lr 0 --seed 5 --init old/$CHECKPOINT -o new s.tar.zst
    [[ $stderr == *"backbone taken, projector taken, predictor taken, queue taken"* ]]
    local start=new/checkpoint-0000.safetensors.zst name
    [ "$(step_of $start)" = 0 ]
    for name in backbone.conv1.weight backbone.layer4.1.bn2.running_var backbone.bn1.num_batches_tracked \
        backbone.layer2.0.downsample.0.weight projector.0.weight predictor.3.bias queue.embedding \
        queue.record queue.label queue.cursor; do
        cmp <(tensor old/$CHECKPOINT $name) <(tensor $start $name)
    done
    # With a rate of 0 no weight moves, but running statistics do.
    cmp <(tensor old/$CHECKPOINT backbone.conv1.weight) <(tensor new/$CHECKPOINT backbone.conv1.weight)
    differ <(tensor old/$CHECKPOINT backbone.bn1.running_var) <(tensor new/$CHECKPOINT backbone.bn1.running_var)
    # Momentum starts anew, and the rows of the queue are as old as the run.
    [ "$(tensor $start optim.momentum.backbone.conv1.weight | tr -d '\0' | wc -c)" = 0 ]
    [ "$(tensor old/$CHECKPOINT optim.momentum.backbone.conv1.weight | tr -d '\0' | wc -c)" -gt 0 ]
    [ "$(tensor $start queue.step | od -An -v -w8 -td8 | tr -d ' ' | sort -u)" = 0 ]
    jq -e '.nn_initial == 0 and .nn_age == 1' new/metrics.jsonl
    jq -e --arg path "$PWD/old/$CHECKPOINT" '.init == $path' new/run.json
}

@test "--init: a plain file, and a run that goes on, bit for bit" {
    expect 0 tiny --steps 2 -o old s.tar.zst
    zstdcat old/$CHECKPOINT >old.safetensors
    expect 0 tiny --steps 6 --init old/$CHECKPOINT -o packed s.tar.zst
    expect 0 tiny --steps 6 --init old.safetensors -o plain s.tar.zst
    cmp packed/$CHECKPOINT plain/$CHECKPOINT
    expect 75 tiny --steps 6 --max-time 0.001s --init old.safetensors -o run s.tar.zst
    rm old.safetensors
    expect 0 nnclr-pretrain -q --resume -o run
    cmp packed/$CHECKPOINT run/$CHECKPOINT
    jq -e --arg path "$PWD/old.safetensors" '.init == $path' run/run.json
    expect 0 tiny --steps 6 -o fresh s.tar.zst
    differ fresh/$CHECKPOINT packed/$CHECKPOINT
}

@test "--init: names without \"backbone.\" are torchvision's" {
    expect 0 tiny --steps 2 -o old s.tar.zst
    nnclr-export -q -o bare.safetensors old
    expect 0 tiny --steps 1 --save-every 1steps --keep 2 --init bare.safetensors -o new s.tar.zst
    cmp <(tensor old/$CHECKPOINT backbone.layer3.0.conv1.weight) \
        <(tensor new/checkpoint-0000.safetensors.zst backbone.layer3.0.conv1.weight)
}

@test "--init: what does not fit stays random, a backbone must fit" {
    expect 0 tiny --steps 2 -o old s.tar.zst
    expect 0 nnclr-pretrain $TINY --proj 64,64,48 --steps 1 --init old/$CHECKPOINT -o head s.tar.zst
    [[ $stderr == *"backbone taken, projector has another shape in the file, predictor has another shape in the file, queue has another shape in the file"* ]]
    expect 0 nnclr-pretrain $TINY --queue 30 --pred none --steps 1 --init old/$CHECKPOINT -o queue s.tar.zst
    [[ $stderr == *"backbone taken, projector taken, queue has another shape in the file"* ]]
    expect 0 nnclr-pretrain -q --preset tiny --size 16 --batch 8 --method simclr --steps 1 -o simclr s.tar.zst
    expect 0 nnclr-pretrain $TINY --steps 1 --init simclr/$CHECKPOINT -o back s.tar.zst
    [[ $stderr == *"projector taken, predictor is not in the file, queue is not in the file"* ]]
    expect 0 tiny --arch resnet34 --steps 1 -o deep s.tar.zst
    nnclr-embed -q --pixels 4 -o e.safetensors.zst s.tar.zst
    refuses_each tiny --steps 5 --force -o run s.tar.zst <<END
2|--arch resnet34 --init old/$CHECKPOINT|there is no tensor backbone.layer1.2.conv1.weight, of shape [8,8,3,3]; its backbone is not that of this run: give --arch resnet18 --width 0.125 --stem cifar
2|--width 0.25 --init old/$CHECKPOINT|tensor backbone.conv1.weight has shape [8,3,3,3], but this network has [16,3,3,3]; its backbone
2|--init deep/$CHECKPOINT|tensor backbone.layer1.2.conv1.weight has no place in this network; its backbone is not that of this run: give --arch resnet34
1|--init e.safetensors.zst|is an embedding file, not a checkpoint file
1|--init s.tar.zst|is a shard, not a tensor file
1|--init missing|missing
END
}

@test "--init: the rows of a queue of other data show no picture of these" {
    make_shard t 60
    expect 0 tiny --steps 7 -o old t.tar.zst
    expect 0 nnclr-pretrain $TINY --steps 1 --save-every 1steps --keep 2 --init old/$CHECKPOINT -o new s.tar.zst
    [[ $stderr == *"queue taken (its rows come from other data)"* ]]
    local start=new/checkpoint-0000.safetensors.zst
    cmp <(tensor old/$CHECKPOINT queue.embedding) <(tensor $start queue.embedding)
    [ "$(tensor $start queue.record | od -An -v -w8 -td8 | tr -d ' ' | sort -u)" = -1 ]
    [ "$(tensor $start queue.label | od -An -v -w8 -td8 | tr -d ' ' | sort -u)" = -1 ]
}

@test "--init: rows of a queue of other data are not excluded, before a resume or after it" {
    # The same pictures under the same numbers, in other bytes: each row is its query's nearest.
    nnclr-prep -q --pixels -o t.tar.zst "$(shapes 40)"
    local still="--queue 200 --augment none --lr 0"
    expect 0 tiny $still --epochs 4 -o old t.tar.zst
    local options="$still --steps 4 --exclude-self --init old/$CHECKPOINT"
    expect 0 tiny $options -o whole s.tar.zst
    expect 75 tiny $options --max-time 0.001s -o run s.tar.zst
    expect 0 nnclr-pretrain -q --resume -o run
    cmp whole/$CHECKPOINT run/$CHECKPOINT
    # The first neighbours are those of a run that excludes nothing.
    expect 0 tiny ${options/--exclude-self/} -o all s.tar.zst
    diff <(jq .nn_sim whole/metrics.jsonl | sed -n 1p) <(jq .nn_sim all/metrics.jsonl | sed -n 1p)
}
