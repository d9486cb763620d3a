/* Convolution backward-weights: dW [co][kernel][kernel][ci] = dy^T x matrix of taps. */
#include "engine/cpu/conv.h"

typedef struct weights_call {
    const CPU(plan) * plan;
    const real *x, *dy;
    real *partials; /* [parts][co][kernel][kernel][ci] */
    real *dweights;
    bool add;
    void *workspace;
    pieces parts;
    int blocks;
} weights_call;

/* The taps of a block of columns, and the first column. */
static taps block_taps(const CPU(plan) * plan, int block, size_t *column) {
    taps t = plan->forward;
    *column = 0;
    if (!plan->by_tap)
        return t;
    int area = t.tap_h * t.tap_w, tap = block % area, ci = t.source_c;
    t.top += tap / t.tap_w;
    t.left += tap % t.tap_w;
    t.tap_h = t.tap_w = 1;
    t.channel = block / area * plan->block_channels;
    t.channels = ci - t.channel < plan->block_channels ? ci - t.channel : plan->block_channels;
    *column = (size_t)tap * (size_t)ci + (size_t)t.channel;
    return t;
}

static void sum_block(void *context, int task, int worker) {
    const weights_call *call = context;
    const CPU(plan) *plan = call->plan;
    int part = task / call->blocks, co = plan->base.conv.co, stride;
    size_t column;
    taps t = block_taps(plan, task % call->blocks, &column);
    real *sum = call->partials + (size_t)part * weight_reals(plan) + column;
    real *matrix = worker_matrix(plan, call->workspace, worker);
    size_t begin = piece_begin(&call->parts, part), end = piece_end(&call->parts, part);
    for (size_t at = begin; at < end;) {
        size_t left = end - at, chunk = (size_t)plan->weight_chunk;
        size_t count = left < chunk ? left : chunk;
        const real *b = CPU(im2col)(&t, call->x, at, count, matrix, &stride);
        gemm_block(true, false, co, taps_depth(&t), (int)count, 1, call->dy + at * (size_t)co, co,
                   b, stride, at == begin ? 0 : 1, sum, weight_columns(plan));
        at += count;
    }
}

/* Adds the parts of one output channel in their order and turns [tap][ci] into [ci][tap]. */
static void fold_channel(void *context, int o, int worker) {
    (void)worker;
    const weights_call *call = context;
    const CPU(plan) *plan = call->plan;
    size_t ci = (size_t)plan->base.conv.ci, columns = (size_t)weight_columns(plan);
    size_t area = columns / ci;
    real *sum = call->partials + (size_t)o * columns;
    const real *part = sum;
    for (int i = 1; i < call->parts.count; i++) {
        part += weight_reals(plan);
        for (size_t k = 0; k < columns; k++)
            sum[k] += part[k];
    }
    real *to = call->dweights + (size_t)o * columns;
    for (size_t i = 0; i < ci; i++)
        for (size_t tap = 0; tap < area; tap++)
            to[i * area + tap] = (call->add ? to[i * area + tap] : 0) + sum[tap * ci + i];
}

void CPU(conv_backward_weights)(nnclr_engine *g, const nnclr_conv_plan *base, const nnclr_tensor *x,
                                const nnclr_tensor *dy, void *dweights, bool add, void *workspace) {
    const CPU(plan) *plan = (const CPU(plan) *)base;
    weights_call call = {.plan = plan,
                         .x = x->place,
                         .dy = dy->place,
                         .partials = shared_workspace(g, plan, workspace),
                         .dweights = dweights,
                         .add = add,
                         .workspace = workspace,
                         .parts = CPU(weight_parts)(plan, all_rows(dy->shape)),
                         .blocks = CPU(weight_blocks)(plan)};
    nnclr_pool_for(g->pool, call.blocks * call.parts.count, sum_block, &call);
    nnclr_pool_for(g->pool, base->conv.co, fold_channel, &call);
}
