# The methods that NNCLR is compared with: each trains, goes on where it was stopped, leaves in its
# checkpoint and metrics what it has, and refuses options that say nothing to it.
load helpers

setup() {
    need zstd
    cd "$BATS_TEST_TMPDIR"
    make_shard s 40
}

compared() { # METHOD [option...]
    nnclr-pretrain -q --preset tiny --size 8 --batch 8 --method "$@"
}

# However often a run was stopped, it ends with the same bytes, with a support set and a slow copy
# of the network or without.
check_method() { # NAME QUEUED TARGET METHOD [option...]
    local name=$1 queued=$2 target=$3
    shift 3
    expect 0 compared "$@" --steps 6 -o "$name" s.tar.zst
    expect 75 compared "$@" --steps 6 --max-time 0.001s -o "$name-cut" s.tar.zst
    expect 75 nnclr-pretrain -q --resume --max-time 0.001s -o "$name-cut"
    expect 0 nnclr-pretrain -q --resume -o "$name-cut"
    cmp "$name/$CHECKPOINT" "$name-cut/$CHECKPOINT"
    diff <(timeless "$name") <(timeless "$name-cut")
    zstdcat "$name/$CHECKPOINT" >whole
    [ "$(grep -aco queue.embedding whole)" = "$queued" ]
    [ "$(grep -aco optim.target.backbone.conv1.weight whole)" = "$target" ]
    lines_say "$name" "all((.nn_sim == null) == ($queued == 0) and (.z_rank == null) == ($queued == 0) and
        .contrast_acc >= 0 and .contrast_acc <= 1 and .loss != null and .p_std > 0)"
}

@test "simsiam trains and resumes, with neighbours or without" {
    check_method view 0 0 simsiam
    check_method nn 1 0 simsiam --positive nn --queue 20 --neighbours 3 --view-weight 0.5,0
    lines_say view 'all(.loss >= -1 and .loss <= 1)'
    [ "$(jq -c '.config | [.method, .positive]' view/run.json)" = '["simsiam","view"]' ]
}

@test "byol trains and resumes with a slow copy, with neighbours or without" {
    check_method view 0 1 byol
    check_method nn 1 1 byol --positive nn --queue 20 --target-momentum 0.9
    check_method still 0 0 byol --target-momentum 0
    lines_say view 'all(.loss >= 0 and .loss <= 8)'
    [ "$(jq -c '.config | [.method, .positive, .target_momentum]' view/run.json)" = '["byol","view",0.996]' ]
}

@test "barlow trains and resumes, with the weight that it is given" {
    check_method usual 0 0 barlow
    check_method other 0 0 barlow --off-diagonal 0.01 --micro-batch 4
    [ "$(jq -c '.config | [.method, .pred, .off_diagonal]' usual/run.json)" = '["barlow",[],null]' ]
    [ "$(jq -c '.config | [.method, .pred, .off_diagonal]' other/run.json)" = '["barlow",[],0.01]' ]
    lines_say usual 'all(.loss >= 0)'
    differ <(timeless usual) <(timeless other)
}

@test "options that say nothing to a method are refused" {
    refuses_each nnclr-pretrain -q --preset tiny --size 8 --batch 8 -o run s.tar.zst <<'END'
2|--method simsiam --pred none|without a predictor
2|--method simsiam --queue 20|--queue: this method has a support set only with --positive nn
2|--method simsiam --soft 3|--soft: this method has a support set only
2|--method simsiam --view-weight 0.5|--view-weight: this method has a support set only
2|--method simsiam --positive nn --queue 7|smaller than a batch of 8
2|--method simsiam --positive nn --queue-frozen --enqueue both|--enqueue: nothing enters a frozen support set
2|--method simsiam --temperature 0.1|--temperature: the loss of this method is a cosine
2|--method simsiam --positive nn --temperature 0.1|--temperature: the loss of this method is a cosine
2|--method simsiam --decoupled|--decoupled: the loss of this method is a cosine
2|--method simsiam --loss row|--loss: the loss of this method is a cosine
2|--method simsiam --negatives all|--negatives: the loss of this method is a cosine
2|--method byol --pred none|without a predictor
2|--method byol --queue 20|--queue: this method has a support set only with --positive nn
2|--method byol --temperature 0.1|--temperature: the loss of this method is a cosine
2|--method barlow --pred 64|barlow has no predictor: give --pred none
2|--method barlow --queue 20|--queue: --method barlow has no support set
2|--method barlow --positive nn|--positive: --method barlow has no support set
2|--method barlow --target-momentum 0.9|--target-momentum: --method barlow has no support set
2|--method barlow --temperature 0.1|--temperature: --method barlow compares dimensions of z
2|--method barlow --swap off|--swap: --method barlow compares dimensions of z
2|--method byol --off-diagonal 1|--off-diagonal: it weighs correlations
2|--off-diagonal 1|--off-diagonal: it weighs correlations
2|--method simclr --off-diagonal 1|--off-diagonal: it weighs correlations
END
}
