/* Convolution forward and backward-data: for each spot of the result the tiles under its taps,
 * leaving out those outside the picture, times the weights of each tap. With few channels the row
 * of pixels under a row of taps is one tile (conv_fold.c). */
#include "engine/tiles/conv.h"

#include <string.h>

#include "base/memory.h"

enum { GROUP_BYTES = 384 << 10 }; /* of weights: stay in L2 while spots pass by */

/* ---- plan ---- */

static bool size_plan(nnclr_engine *g, tiled_plan *plan) {
    const nnclr_conv *conv = &plan->base.conv;
    tiled in = tiled_shape(plan->kernels, plan->base.in);
    tiled out = tiled_shape(plan->kernels, plan->base.out);
    size_t form, backward, bytes, shared, all;
    plan->terms = tiled_taps(conv);
    plan->fold = nnclr_tiled_folds(plan->kernels, conv);
    plan->steps = plan->fold ? conv->kernel : (int)plan->terms;
    plan->row_channels = plan->fold ? conv->ci * conv->kernel : conv->ci;
    plan->row_tiles = plan->fold ? out.shape.w : in.shape.w;
    plan->in_stride = in.stride;
    plan->out_stride = out.stride;
    plan->row_stride = plan->fold ? tiled_stride(plan->kernels, plan->row_channels) : in.stride;
    plan->square = (size_t)(plan->row_stride * out.stride);
    plan->weights = plan->square * plan->kernels->value_bytes;
    plan->weights_backward = (size_t)(in.stride * out.stride) * plan->kernels->value_bytes;
    if (!nnclr_size_mul((size_t)in.blocks, (size_t)out.blocks, &form) ||
        !nnclr_size_mul(form, (size_t)plan->steps * plan->weights, &plan->packed_backward) ||
        !nnclr_size_mul(form, tiled_taps(conv) * plan->weights_backward, &backward) ||
        backward > SIZE_MAX - plan->packed_backward)
        return false;
    plan->base.packed_bytes = plan->packed_backward + backward;
    shared = nnclr_tiled_plan_weights(plan);
    bytes = (size_t)out.shape.groups * MAX_PIECES * 2 * (size_t)(out.blocks * out.stride) *
            sizeof(double);
    if (shared < bytes)
        shared = bytes;
    if (!nnclr_size_mul(plan->worker_bytes, (size_t)nnclr_pool_threads(g->pool), &all) ||
        shared > SIZE_MAX - all)
        return false;
    plan->base.workspace_bytes = all + shared;
    return true;
}

nnclr_conv_plan *nnclr_tiled_conv_plan(nnclr_engine *g, const nnclr_conv *conv, nnclr_shape in,
                                       nnclr_error *e) {
    if (!nnclr_conv_check(conv, in, e))
        return NULL;
    tiled_plan *plan = nnclr_alloc_zero(1, sizeof *plan, e);
    if (!plan)
        return NULL;
    nnclr_conv_plan *base = &plan->base;
    base->conv = *conv;
    base->in = in;
    base->out = nnclr_conv_output(conv, in);
    plan->kernels = tiled_kernels(g);
    if (size_plan(g, plan))
        return base;
    nnclr_free(plan);
    nnclr_fail(e, NNCLR_ERROR_LIMIT, "a convolution of %d to %d channels is too large to plan",
               conv->ci, conv->co);
    return NULL;
}

void nnclr_tiled_conv_plan_free(nnclr_engine *g, nnclr_conv_plan *plan) {
    (void)g;
    nnclr_free(plan);
}

/* ---- packing ---- */

typedef struct pack_call {
    const tiled_plan *plan;
    const float *oihw;
    unsigned char *forward, *backward;
    int inputs, outputs; /* blocks */
} pack_call;

/* Adds one tap of a block of inputs and one of outputs to values [k][column]: k inputs, from
 * `first` on, or outputs. */
static void add_tap(const pack_call *call, int input, int output, int tap, int first, bool backward,
                    float *values) {
    const nnclr_conv *conv = &call->plan->base.conv;
    const int in = call->plan->in_stride, out = call->plan->out_stride;
    const size_t taps = tiled_taps(conv);
    for (int o = 0; o < tiled_within(conv->co, out, output); o++) {
        size_t row = (size_t)(output * out + o) * (size_t)conv->ci;
        const float *from = call->oihw + (row + (size_t)(input * in)) * taps + tap;
        for (int i = 0; i < tiled_within(conv->ci, in, input); i++, from += taps)
            values[backward ? o * in + i : (first + i) * out + o] = *from;
    }
}

/* All taps of one block of inputs and one of outputs: tiles [co / 32][tap][ci / 32], k inputs, of
 * the forward form, and [ci / 32][tap][co / 32], k outputs, of the backward form. Folded, forward
 * tiles are [co / 32][row of taps]. */
static void pack_block(void *context, int task, int worker) {
    (void)worker;
    const pack_call *call = context;
    const tiled_plan *plan = call->plan;
    int input = task % call->inputs, output = task / call->inputs;
    int taps = (int)tiled_taps(&plan->base.conv), folded = taps / plan->steps;
    float values[SQUARE];
    for (int step = 0; step < plan->steps; step++) {
        memset(values, 0, sizeof values);
        for (int i = 0; i < folded; i++)
            add_tap(call, input, output, step * folded + i, i * plan->base.conv.ci, false, values);
        size_t at = (size_t)(output * plan->steps + step) * (size_t)call->inputs + (size_t)input;
        plan->kernels->pack(values, (int)plan->square, call->forward + at * plan->weights);
    }
    for (int tap = 0; tap < taps; tap++) {
        memset(values, 0, sizeof values);
        add_tap(call, input, output, tap, 0, true, values);
        size_t at = (size_t)(input * taps + tap) * (size_t)call->outputs + (size_t)output;
        plan->kernels->pack(values, plan->in_stride * plan->out_stride,
                            call->backward + at * plan->weights_backward);
    }
}

void nnclr_tiled_conv_pack(nnclr_engine *g, const nnclr_conv_plan *base, const void *oihw,
                           void *packed) {
    const tiled_plan *plan = (const tiled_plan *)base;
    pack_call call = {plan,
                      oihw,
                      packed,
                      (unsigned char *)packed + plan->packed_backward,
                      tiled_blocks(base->conv.ci, plan->in_stride),
                      tiled_blocks(base->conv.co, plan->out_stride)};
    nnclr_pool_for(g->pool, call.inputs * call.outputs, pack_block, &call);
}

/* ---- the tiles under a pixel ---- */

/* Along one axis: the source pixel under a tap of a pixel, or -1. */
static inline int source_forward(const nnclr_conv *conv, int at, int tap, int size) {
    int from = at * conv->stride + tap - conv->pad;
    return from < size ? from : -1;
}
static inline int source_backward(const nnclr_conv *conv, int at, int tap, int size) {
    int from = at + conv->pad - tap;
    return from >= 0 && from % conv->stride == 0 && from / conv->stride < size ? from / conv->stride
                                                                               : -1;
}

typedef struct pass {
    const tiled_plan *plan;
    const tile_kernels *kernels;
    bool backward, fold;
    tiled from, to;
    const unsigned char *weights; /* [blocks of columns][tap][blocks of k] */
    bool add;
    double *partials; /* [groups][pieces][2][padded columns], NULL: no sums wanted */
    void *workspace;
    pieces pieces;
    size_t weights_bytes;  /* of a tile of weights, */
    size_t column_weights; /* bytes of the weights of a block of columns */
    int group;             /* blocks of columns whose weights stay in L2 */
    /* Pixels (first, last] of a row have the terms of the one before, `step` bytes further: like
     * `first`, they have all taps of a row in the picture. */
    int first, last;
    size_t step;
} pass;

static void find_repeats(pass *p) {
    const nnclr_conv *conv = &p->plan->base.conv;
    const int over = conv->kernel - 1 - conv->pad, width = p->from.shape.w;
    p->step = (size_t)(p->backward ? 1 : conv->stride) * p->from.spot;
    if (!p->backward) {
        p->first = (conv->pad + conv->stride - 1) / conv->stride;
        p->last = width > over ? (width - 1 - over) / conv->stride : 0;
    } else if (conv->stride == 1) {
        p->first = over > 0 ? over : 0;
        p->last = width - 1 - conv->pad;
    }
}

static int list_terms(const pass *p, int pixel, tile_term *terms) {
    const nnclr_conv *conv = &p->plan->base.conv;
    nnclr_shape from = p->from.shape, to = p->to.shape;
    const size_t tap = (size_t)p->from.blocks * p->weights_bytes;
    int at_y = pixel / to.w, at_x = pixel % to.w, count = 0;
    for (int i = 0; i < conv->kernel; i++) {
        int y = p->backward ? source_backward(conv, at_y, i, from.h)
                            : source_forward(conv, at_y, i, from.h);
        for (int j = 0; y >= 0 && j < conv->kernel; j++) {
            int x = p->backward ? source_backward(conv, at_x, j, from.w)
                                : source_forward(conv, at_x, j, from.w);
            if (x >= 0)
                terms[count++] = (tile_term){(size_t)(y * from.w + x) * p->from.spot,
                                             (size_t)(i * conv->kernel + j) * tap};
        }
    }
    return count;
}

/* Spots [begin, end) of a group in some blocks of columns. `tiles`: scratch to fold in. */
static void convolve(const pass *p, int group, size_t begin, size_t end, int first, int last,
                     tile_term *terms, unsigned char *tiles, double *sums) {
    const tiled *from = &p->from, *to = &p->to;
    const size_t pixels = (size_t)to->shape.h * (size_t)to->shape.w;
    const size_t source = (size_t)from->shape.h * (size_t)from->shape.w;
    tiled_folded folded = {.block = SIZE_MAX, .rows = tiles};
    _Alignas(64) float values[SQUARE];
    tile_product product = {.terms = terms,
                            .chunks = from->blocks,
                            .a = tiles,
                            .depth = p->plan->row_channels,
                            .a_stride = p->fold ? p->plan->row_stride : from->stride,
                            .b_stride = to->stride,
                            .sums = values};
    if (!p->fold)
        product.depth = tiled_channels(from, from->blocks - 1);
    for (size_t spot = begin; spot < end; spot++) {
        const size_t pictures = spot / pixels;
        const int pixel = (int)(spot - pictures * pixels), x = pixel % to->shape.w;
        const size_t a = (size_t)group * from->spots + pictures * source;
        product.rows = tiled_within(to->shape.n, to->pictures, (int)pictures);
        if (p->fold) {
            product.count =
                nnclr_tiled_fold_terms(p->plan, from, a / source, pixel, &folded, terms);
        } else if (spot > begin && x > p->first && x <= p->last) {
            product.a = (const unsigned char *)product.a + p->step;
        } else {
            product.a = tiled_at(from, a);
            product.count = list_terms(p, pixel, terms);
        }
        if (product.count == 0 && p->add)
            continue;
        unsigned char *y = tiled_at(to, (size_t)group * to->spots + spot);
        for (int block = first; block < last; block++) {
            double *total = sums ? sums + block * to->stride : NULL;
            product.b = p->weights + (size_t)block * p->column_weights;
            product.columns = tiled_channels(to, block);
            p->kernels->multiply(&product);
            p->kernels->store(values, to->stride, product.rows, product.columns, p->add,
                              y + (size_t)block * to->tile, total,
                              total ? total + to->blocks * to->stride : NULL);
        }
    }
}

static void convolve_piece(void *context, int task, int worker) {
    const pass *p = context;
    int group = task / p->pieces.count, piece = task % p->pieces.count;
    int blocks = p->to.blocks;
    tile_term *terms = (tile_term *)tiled_scratch(p->plan, p->workspace, worker);
    double *sums = NULL;
    if (p->partials) {
        size_t padded = (size_t)(blocks * p->to.stride);
        sums = p->partials + (size_t)task * 2 * padded;
        memset(sums, 0, 2 * padded * sizeof *sums);
    }
    p->kernels->begin();
    for (int first = 0; first < blocks; first += p->group) {
        int last = first + p->group < blocks ? first + p->group : blocks;
        convolve(p, group, piece_begin(&p->pieces, piece), piece_end(&p->pieces, piece), first,
                 last, terms, tiled_scratch_tiles(p->plan, p->workspace, worker), sums);
    }
    p->kernels->end();
}

static void run_pass(nnclr_engine *g, pass *p, const nnclr_tensor *from, const nnclr_tensor *to) {
    const tiled_plan *plan = p->plan;
    p->from = tiled_tensor(plan->kernels, from);
    p->to = tiled_tensor(plan->kernels, to);
    p->kernels = p->to.kernels;
    p->fold = plan->fold && !p->backward;
    size_t steps = p->fold ? (size_t)plan->steps : tiled_taps(&plan->base.conv);
    p->weights_bytes = p->backward ? plan->weights_backward : plan->weights;
    p->column_weights = steps * (size_t)p->from.blocks * p->weights_bytes;
    p->pieces = tiled_cut(&p->to);
    find_repeats(p);
    p->group = p->column_weights < GROUP_BYTES ? (int)(GROUP_BYTES / p->column_weights) : 1;
    nnclr_pool_for(g->pool, to->shape.groups * p->pieces.count, convolve_piece, p);
}

void nnclr_tiled_conv_forward(nnclr_engine *g, const nnclr_conv_plan *base, const nnclr_tensor *x,
                              const void *packed, const nnclr_tensor *y, void *sums,
                              void *workspace) {
    const tiled_plan *plan = (const tiled_plan *)base;
    pass p = {.plan = plan,
              .weights = packed,
              .partials = sums ? tiled_shared(g, plan, workspace) : NULL,
              .workspace = workspace};
    run_pass(g, &p, x, y);
    size_t c = (size_t)y->shape.c, padded = (size_t)(p.to.blocks * p.to.stride);
    for (size_t group = 0; sums && group < (size_t)y->shape.groups; group++) {
        double *total = p.partials + group * (size_t)p.pieces.count * 2 * padded;
        double *to = (double *)sums + group * 2 * c;
        for (size_t i = 2 * padded; i < (size_t)p.pieces.count * 2 * padded; i++)
            total[i % (2 * padded)] += total[i];
        memcpy(to, total, c * sizeof *to);
        memcpy(to + c, total + padded, c * sizeof *to);
    }
}

void nnclr_tiled_conv_backward_data(nnclr_engine *g, const nnclr_conv_plan *base,
                                    const nnclr_tensor *dy, const void *packed,
                                    const nnclr_tensor *dx, bool add, void *workspace) {
    const tiled_plan *plan = (const tiled_plan *)base;
    pass p = {.plan = plan,
              .backward = true,
              .weights = (const unsigned char *)packed + plan->packed_backward,
              .add = add,
              .workspace = workspace};
    run_pass(g, &p, dy, dx);
}
