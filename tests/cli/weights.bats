#!/usr/bin/env bats
# Weights that are not a checkpoint: nnclr-embed -m and nnclr-pretrain --init.
load helpers

# The defaults for weights that say nothing about their pictures, at a size of 32.
IMAGENET="--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --interpolation bilinear"
SMALL="--preset tiny $PLAIN --batch 8 --queue 16 --steps 2 $IMAGENET"

setup() {
    cd "$BATS_TEST_TMPDIR"
    make_shard train 20
}

change() { # IN OUT CHANGE...
    python3 "$NNCLR_ROOT/tests/cli/weights.py" "$@"
}

# A trained run and its exported backbone, made once for each kind of network.
make_weights() { # NAME [option...]
    local made=$BATS_FILE_TMPDIR/$1
    if [ ! -e "$made.safetensors" ]; then
        nnclr-pretrain -q $SMALL "${@:2}" -o "$made-run" train.tar.zst
        mv "$made-run/checkpoint.safetensors.zst" "$made.zst"
        nnclr-embed -q -m "$made.zst" -o "$made.emb" train.tar.zst
        nnclr-export -o "$made.safetensors" "$made.zst"
    fi
    cp "$made.zst" checkpoint.zst
    cp "$made.emb" checkpoint.emb
    cp "$made.safetensors" exported.safetensors
}

# The rows of an embedding file, and their shape.
rows() { # EMBEDDING
    nnclr-export --format npy "$1"
}

@test "what nnclr-export wrote gives the checkpoint's own embedding, to the byte" {
    for options in "--width 0.15 --mean 0.5,0.4,0.3 --size 24" "--arch resnet50 --stem imagenet --interpolation bicubic"; do
        nnclr-pretrain -q $SMALL $options --force -o run train.tar.zst
        expect 0 nnclr-embed -q -m run/checkpoint.safetensors.zst -o a.emb train.tar.zst
        expect 0 nnclr-export -o b.safetensors run/checkpoint.safetensors.zst
        expect 0 nnclr-embed -q -m b.safetensors -o b.emb train.tar.zst
        cmp a.emb b.emb
        expect 0 nnclr-embed -q -m run/checkpoint.safetensors.zst --untrained -o a.emb train.tar.zst
        expect 0 nnclr-embed -q -m b.safetensors --untrained -o b.emb train.tar.zst
        cmp a.emb b.emb
        differ <(rows a.emb) <(nnclr-embed -m b.safetensors train.tar.zst | nnclr-export --format npy -)
    done
}

@test "without metadata the network follows from names and shapes; compressed, from a pipe, prefixed" {
    need python3
    need zstd
    for options in "" "--arch resnet34 --width 0.25 --stem imagenet" "--arch resnet50 --stem imagenet" "--arch resnet101 --stem imagenet" \
        "--arch resnet152 --stem imagenet"; do
        make_weights "known${options// /-}" $options
        change exported.safetensors plain.safetensors plain
        expect 0 nnclr-embed -q -m plain.safetensors --size 32 -o plain.emb train.tar.zst
        cmp <(rows checkpoint.emb) <(rows plain.emb)
    done
    make_weights known
    for prefix in module. backbone. module.encoder_q. some.thing_else.0.; do
        change exported.safetensors named.safetensors plain "prefix=$prefix" add=head.weight "add=${prefix}fc.bias" \
            "drop=${prefix}bn1.num_batches_tracked"
        [ $prefix != module. ] || change named.safetensors named.safetensors drop=head.weight
        expect 0 nnclr-embed -q -m named.safetensors -o named.emb train.tar.zst
        cmp <(rows checkpoint.emb) <(rows named.emb)
    done
    zstd -q named.safetensors
    nnclr-embed -q -m - train.tar.zst <named.safetensors.zst | nnclr-export --format npy - | cmp - <(rows checkpoint.emb)
}

@test "lightly's numbers and names: the same network, from both kinds of Sequential" {
    need python3
    make_weights known
    local changes
    for changes in children=4 "children=4 prefix=backbone." "children=4 prefix=module.student.backbone." \
        "rename=downsample:shortcut prefix=backbone." \
        "children=2 rename=downsample:shortcut prefix=backbone. add=projection_head.layers.0.weight"; do
        # shellcheck disable=SC2086
        change exported.safetensors named.safetensors plain $changes
        expect 0 nnclr-embed -q -m named.safetensors -o named.emb train.tar.zst
        cmp <(rows checkpoint.emb) <(rows named.emb)
    done
    change exported.safetensors plain.safetensors plain
    # shellcheck disable=SC2086
    expect 0 nnclr-pretrain -q $SMALL --init plain.safetensors -o wanted train.tar.zst
    # shellcheck disable=SC2086
    expect 0 nnclr-pretrain -q $SMALL --init named.safetensors -o got train.tar.zst
    cmp wanted/checkpoint.safetensors.zst got/checkpoint.safetensors.zst
}

@test "--prefix takes one of several networks, in every program that takes weights" {
    need python3
    make_weights known
    change exported.safetensors other.safetensors plain first=conv1.weight:7
    change exported.safetensors plain.safetensors plain
    change exported.safetensors both.safetensors plain prefix=encoder_q. copy=x. \
        rename=x.encoder_q.:encoder_k. first=encoder_k.conv1.weight:7
    expect 2 nnclr-embed -q -m both.safetensors -o x.emb train.tar.zst
    expect_message nnclr-embed "both.safetensors: it holds more than one network: give --prefix encoder_q. or --prefix encoder_k."
    # shellcheck disable=SC2086
    refuses 2 "both.safetensors: it holds more than one network" nnclr-pretrain -q $SMALL --init both.safetensors -o x train.tar.zst
    refuses 2 "both.safetensors: it holds more than one network" nnclr-finetune -q -m both.safetensors -o x train.tar.zst
    expect 2 nnclr-embed -q -m both.safetensors --prefix teacher -o x.emb train.tar.zst
    expect_message nnclr-embed 'both.safetensors: there is no ResNet below "teacher": give --prefix encoder_q. or --prefix encoder_k.'
    local prefix
    for prefix in encoder_q. encoder_q; do
        expect 0 nnclr-embed -q -m both.safetensors --prefix $prefix -o q.emb train.tar.zst
        cmp <(rows checkpoint.emb) <(rows q.emb)
    done
    nnclr-embed -q -m other.safetensors -o k.emb train.tar.zst
    expect 0 nnclr-embed -q -m both.safetensors --prefix encoder_k. -o got.emb train.tar.zst
    cmp <(rows k.emb) <(rows got.emb)
    differ <(rows k.emb) <(rows q.emb)
    # A network without a prefix is named by the empty text.
    change plain.safetensors nested.safetensors copy=inner.
    change nested.safetensors nested.safetensors first=inner.conv1.weight:7
    refuses 2 "give --prefix '' or --prefix inner." nnclr-embed -q -m nested.safetensors -o x.emb train.tar.zst

    for prefix in encoder_q encoder_k; do
        # shellcheck disable=SC2086
        expect 0 nnclr-pretrain -q $SMALL --init both.safetensors --prefix $prefix -o run-$prefix \
            train.tar.zst
        expect 0 nnclr-finetune -q -m both.safetensors --prefix $prefix --batch 10 --epochs 1 \
            -o tuned-$prefix train.tar.zst
        nnclr-lineval -q --augment -m both.safetensors --prefix $prefix --epochs 1 train.tar.zst \
            train.tar.zst | cut -f 2-5,7- >judged-$prefix
    done
    [ "$(jq -r .prefix run-encoder_q/run.json tuned-encoder_k/run.json | tr '\n' ' ')" = "encoder_q encoder_k " ]
    # shellcheck disable=SC2086
    expect 75 nnclr-pretrain -q $SMALL --max-time 0.0001s --init both.safetensors --prefix encoder_q -o again train.tar.zst
    expect 0 nnclr-pretrain -q --resume -o again
    [ "$(jq -r .prefix again/run.json)" = encoder_q ]
    # shellcheck disable=SC2086
    nnclr-pretrain -q $SMALL --force -o again train.tar.zst
    [ "$(jq -c '[.init, .prefix]' again/run.json)" = '[null,null]' ]
    # shellcheck disable=SC2086
    nnclr-pretrain -q $SMALL --init plain.safetensors -o run train.tar.zst
    nnclr-finetune -q -m plain.safetensors --batch 10 --epochs 1 -o tuned train.tar.zst
    nnclr-lineval -q --augment -m plain.safetensors --epochs 1 train.tar.zst train.tar.zst |
        cut -f 2-5,7- >judged
    for prefix in run tuned; do
        cmp $prefix/checkpoint.safetensors.zst $prefix-encoder_q/checkpoint.safetensors.zst
        differ $prefix/checkpoint.safetensors.zst $prefix-encoder_k/checkpoint.safetensors.zst
    done
    cmp judged judged-encoder_q

    refuses 2 'leave --prefix out' nnclr-embed -q -m checkpoint.zst --prefix backbone. -o x.emb train.tar.zst
    # shellcheck disable=SC2086
    refuses 2 '--prefix goes with --init' nnclr-pretrain -q $SMALL --prefix x. -o x train.tar.zst
    [ ! -e x.emb ]
}

@test "--prefix: for naming pictures and for asking about them, too" {
    need python3
    make_weights known
    change exported.safetensors other.safetensors plain first=conv1.weight:7
    change exported.safetensors both.safetensors plain prefix=encoder_q. copy=x. \
        rename=x.encoder_q.:encoder_k. first=encoder_k.conv1.weight:7
    change exported.safetensors plain.safetensors plain
    local network prefix
    for network in plain other; do
        nnclr-embed -q -m $network.safetensors --size 24 -o $network.emb train.tar.zst
        nnclr-lineval -q --methods linear --solver lbfgs -o $network.k $network.emb $network.emb >/dev/null
        nnclr-predict -q -m $network.safetensors $network.k train.tar.zst >$network.named
        nnclr-queue-inspect -q --query "$(shapes 20)" -m $network.safetensors $network.emb >$network.like
    done
    differ plain.named other.named
    differ plain.like other.like
    for prefix in plain:encoder_q other:encoder_k.; do
        network=${prefix%:*}
        expect 0 nnclr-predict -q -m both.safetensors --prefix ${prefix#*:} $network.k train.tar.zst
        cmp $network.named - <<<"$output"
        expect 0 nnclr-queue-inspect -q --query "$(shapes 20)" -m both.safetensors --prefix ${prefix#*:} $network.emb
        cmp $network.like - <<<"$output"
    done
    refuses 2 "it holds more than one network: give --prefix encoder_q. or --prefix encoder_k." \
        nnclr-predict -q -m both.safetensors plain.k train.tar.zst
    refuses 2 "it holds more than one network" nnclr-queue-inspect -q --query "$(shapes 20)" -m both.safetensors plain.emb
    refuses 2 "--prefix goes with -m" nnclr-predict --prefix x plain.k train.tar.zst
    refuses 2 "--prefix goes with -m" nnclr-queue-inspect --query train.tar.zst --prefix x plain.emb
}

@test "they become ONNX models: what nnclr-export wrote the checkpoint's own" {
    need python3
    make_weights known
    nnclr-export -o wanted.onnx checkpoint.zst
    nnclr-export -o got.onnx exported.safetensors
    cmp wanted.onnx got.onnx
    # Of any names, without metadata, and in other types: the same numbers.
    initializers() { # ONNX
        python3 - "$1" <<'PY'
import sys, hashlib
sys.argv, path = sys.argv[:1], sys.argv[1]
source = open(__import__("os").environ["NNCLR_ROOT"] + "/tests/cli/onnx.py").read()
exec(source[:source.index("tuned, run =")])
model = load_onnx(path)
print(len(model["nodes"]), sorted((n, dims, hashlib.sha1(data).hexdigest()) for n, (dims, data) in model["initializers"].items()))
print("nnclr.config" in model["metadata"], file=sys.stderr)
PY
    }
    initializers wanted.onnx >wanted 2>told
    change exported.safetensors lightly.safetensors plain children=4 prefix=backbone.
    change exported.safetensors both.safetensors plain prefix=encoder_q. copy=x. \
        rename=x.encoder_q.:encoder_k. first=encoder_k.conv1.weight:7
    nnclr-export -o lightly.onnx lightly.safetensors
    nnclr-export --prefix encoder_q -o q.onnx both.safetensors
    nnclr-export --prefix encoder_k -o k.onnx both.safetensors
    cmp wanted <(initializers lightly.onnx 2>>told)
    cmp wanted <(initializers q.onnx 2>/dev/null)
    differ wanted <(initializers k.onnx 2>/dev/null)
    [ "$(paste -sd ' ' told)" = "True False" ]
    refuses 2 "it holds more than one network" nnclr-export -o x.onnx both.safetensors
    refuses 2 "these are weights in this format already" nnclr-export -o x.safetensors lightly.safetensors
    refuses 2 "--prefix goes with weights for --format onnx" nnclr-export --prefix x -o x.npy checkpoint.emb
    refuses 2 "leave --prefix out" nnclr-export --prefix x -o x.onnx checkpoint.zst
    [ ! -e x.onnx ]
}

@test "its embedding says which network, and nothing about a method that it does not know" {
    need python3
    make_weights known
    change exported.safetensors plain.safetensors plain
    nnclr-embed -q -m plain.safetensors -o plain.safetensors.emb train.tar.zst
    python3 - <<'PY'
import json
from tensors import load
about = load("plain.safetensors.emb")[0]
config = json.loads(about["nnclr.config"])
assert config == {"arch": "resnet18", "width": 0.125, "stem": "cifar", "size": 32, "interpolation": "bilinear",
                  "mean": config["mean"], "std": config["std"], "evaluation_resize": 32, "evaluation_crop": 32,
                  "evaluation_stretch": True, "output": "features", "untrained": False, "engine": "cpu",
                  "precision": "f32"}, config
assert [round(x, 3) for x in config["mean"] + config["std"]] == [0.485, 0.456, 0.406, 0.229, 0.224, 0.225]
PY
}

@test "F64, F16 and BF16: the same numbers, and nearly those" {
    need python3
    make_weights known
    for type in F64:0 F16:2e-2 BF16:1e-1; do
        change exported.safetensors typed.safetensors plain "type=${type%:*}"
        expect 0 nnclr-embed -q -m typed.safetensors -o typed.emb train.tar.zst
        rows typed.emb >typed.npy
        rows checkpoint.emb >known.npy
        python3 - "${type#*:}" <<'PY'
import struct, sys
def load(path):
    data = open(path, "rb").read()[128:]
    return struct.unpack("<%df" % (len(data) // 4), data)
a, b = load("known.npy"), load("typed.npy")
furthest = max(abs(x - y) for x, y in zip(a, b)) / max(map(abs, a))
assert len(a) == len(b) == 20 * 64 and furthest <= float(sys.argv[1]), furthest
assert (furthest == 0) == (float(sys.argv[1]) == 0)
PY
    done
}

@test "--size, --mean, --std and --interpolation: in place of what the file says" {
    make_weights known
    expect 0 nnclr-embed -q -m checkpoint.zst -o said.emb --size 32 $IMAGENET train.tar.zst
    cmp checkpoint.emb said.emb
    for option in "--size 40" "--mean 0.5,0.456,0.406" "--std 0.2,0.224,0.225"; do
        expect 0 nnclr-embed -q -m checkpoint.zst -o other.emb $option train.tar.zst
        differ <(rows checkpoint.emb) <(rows other.emb)
    done
    expect 0 nnclr-embed -q -m checkpoint.zst -o linear.emb --size 24 train.tar.zst
    expect 0 nnclr-embed -q -m checkpoint.zst -o cubic.emb --size 24 --interpolation bicubic train.tar.zst
    differ <(rows linear.emb) <(rows cubic.emb)
    refuses 2 "--pixels has no network: leave --mean out" nnclr-embed --pixels 8 --mean 0,0,0 train.tar.zst
    refuses 2 "exported.safetensors has no projector" nnclr-embed -m exported.safetensors --layer projection -o x.emb train.tar.zst
    [ ! -e x.emb ]
}

@test "what is not such a ResNet: one sentence that names the tensor and the reason, from both programs" {
    need python3
    make_weights bottleneck --arch resnet50
    cp exported.safetensors deep.safetensors
    make_weights known
    while IFS='|' read -r from changes words; do
        change "$from.safetensors" odd.safetensors plain $changes
        refuses 1 "odd.safetensors: $words" nnclr-embed -q -m odd.safetensors -o x.emb train.tar.zst
        refuses 1 "odd.safetensors: $words" nnclr-pretrain -q $SMALL --init odd.safetensors -o new train.tar.zst
        rm -rf new
        [ ! -e x.emb ]
    done <<'TABLE'
exported|rename=conv1.weight:patch_embed.proj.weight|there is no tensor layer1.0.conv1.weight, below any prefix, nor 4.0.conv1.weight as lightly numbers it: these are not the weights of a ResNet under torchvision's names; its names begin with patch_embed., bn1., layer1., layer2., layer3., layer4.
exported|prefix=vit.blocks. drop=vit.blocks.layer1.0.conv1.weight|there is no tensor layer1.0.conv1.weight, below any prefix, nor 4.0.conv1.weight as lightly numbers it: these are not the weights of a ResNet under torchvision's names; its names begin with vit.
exported|prefix=encoder_q. drop=encoder_q.conv1.weight|there is no tensor encoder_q.conv1.weight, which a ResNet has
exported|children=4 prefix=backbone. drop=backbone.0.weight|there is no tensor backbone.0.weight, which a ResNet has
exported|children=4 prefix=backbone. drop=backbone.1.bias|there is no tensor backbone.1.bias, of shape [8]
exported|children=4 prefix=backbone. drop=backbone.7.1.bn2.running_var|there is no tensor backbone.7.1.bn2.running_var, of shape [64]
exported|rename=bn1.bias:bn1.beta|there is no tensor bn1.bias, of shape [8]
exported|drop=layer4.1.bn2.running_var|there is no tensor layer4.1.bn2.running_var, of shape [64]
exported|drop=layer4.1.conv1.weight|2, 2, 2 and 1 basic blocks below layer1 to layer4 are not a ResNet of depth 18
exported|drop=layer3.0.conv1.weight|there is no tensor layer3.0.conv1.weight, which a ResNet has
exported|shape=layer2.0.downsample.0.weight:16,8,3,3|tensor layer2.0.downsample.0.weight has shape [16,8,3,3], but this network has [16,8,1,1]
exported|shape=bn1.weight:9|tensor bn1.weight has shape [9], but this network has [8]
exported|shape=conv1.weight:8,3,5,5|tensor conv1.weight of shape [8,3,5,5]: the stem is neither 7x7 nor 3x3
exported|shape=conv1.weight:8,1,3,3|tensor conv1.weight of shape [8,1,3,3]: the stem is neither
exported|shape=conv1.weight:4104,3,3,3|tensor conv1.weight of shape [4104,3,3,3]: the width is not a multiple of 8 from 8 to 4096
exported|shape=conv1.weight:8|tensor conv1.weight of shape [8]: the stem
exported|drop=conv1.weight add=conv1.0.weight|tensor conv1.0.weight of shape [1]: a stem of several convolutions (timm's ResNet-D) is not supported
exported|add=layer1.0.se.fc1.weight|tensor layer1.0.se.fc1.weight has no place in this network
exported|add=attnpool.positional_embedding|tensor attnpool.positional_embedding has no place in this network
exported|first=layer1.0.conv1.weight:nan|tensor layer1.0.conv1.weight holds nan, which is not a finite number
exported|first=bn1.running_var:-1|tensor bn1.running_var holds -1, which is not a variance
deep|shape=layer1.0.conv2.weight:16,1,3,3|tensor layer1.0.conv2.weight of shape [16,1,3,3]: grouped convolutions (ResNeXt) are not supported
deep|shape=layer1.0.conv1.weight:16,8,1,1|tensor layer1.0.conv1.weight of shape [16,8,1,1]: a block wider or narrower than the stem (a wide ResNet)
TABLE
}

@test "a configuration in the metadata that is not one, or is of another network: exit 1" {
    make_weights known
    while IFS='|' read -r from to words; do
        LC_ALL=C sed "s/$from/$to/" exported.safetensors >odd.safetensors
        differ exported.safetensors odd.safetensors
        refuses 1 "odd.safetensors: $words" nnclr-embed -q -m odd.safetensors -o x.emb train.tar.zst
    done <<'TABLE'
\\"width\\":0.125|\\"width\\":64.00|tensor conv1.weight has shape [8,3,3,3], but this network has [4096,3,3,3]
resnet18\\"|resnet34\\"|there is no tensor layer1.2.conv1.weight
\\"size\\":32|\\"size\\":00|nnclr.config
"nnclr.step":"2"|"nnclr.step":"x"|nnclr.step is not a number
TABLE
}

@test "--init: the backbone is the file's, statistics too, and the heads are the seed's" {
    need python3
    need zstd
    make_weights known
    change exported.safetensors plain.safetensors plain add=fc.weight
    expect 0 nnclr-pretrain $SMALL --seed 5 --save-every 1steps --keep 3 --init plain.safetensors -o new train.tar.zst
    [[ $stderr == *"plain.safetensors: backbone taken, projector is not in the file, predictor is not in the file, queue is not in the file"* ]]
    expect 0 nnclr-pretrain -q $SMALL --seed 5 --save-every 1steps --keep 3 -o fresh train.tar.zst
    for run in new fresh; do
        zstdcat $run/checkpoint-0000.safetensors.zst >$run.safetensors
    done
    change new.safetensors backbone.safetensors cut=backbone.
    change exported.safetensors wanted.safetensors plain
    change same wanted.safetensors backbone.safetensors
    for head in projector. predictor. queue.; do
        # All of a network's batch norms count the same batches.
        change new.safetensors new-head.safetensors cut=$head without=.num_batches_tracked
        change fresh.safetensors fresh-head.safetensors cut=$head
        change same new-head.safetensors fresh-head.safetensors
    done
    change plain.safetensors half.safetensors type=F16
    expect 0 nnclr-pretrain -q $SMALL --init half.safetensors -o half train.tar.zst
    expect 2 nnclr-pretrain -q $SMALL --arch resnet34 --width 0.25 --init plain.safetensors -o other train.tar.zst
    expect_message nnclr-pretrain "plain.safetensors: tensor conv1.weight has shape [8,3,3,3], but this network has [16,3,3,3]; its backbone is not that of this run: give --arch resnet18 --width 0.125 --stem cifar"
}

@test "linear evaluation on augmented views passes the views through such weights too" {
    make_weights known
    nnclr-lineval --augment -m checkpoint.zst --epochs 1 train.tar.zst train.tar.zst | cut -f 1-5 >wanted
    expect 0 nnclr-lineval --augment -m exported.safetensors --epochs 1 train.tar.zst train.tar.zst
    diff wanted <(cut -f 1-5 <<<"$output")
}
