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
    nnclr_shape in = plan->base.in, out = plan->base.out;
    size_t form, bytes, shared, all;
    plan->terms = tiled_taps(conv);
    plan->fold = TILED(folds)(conv);
    if (!nnclr_size_mul(tiled_taps(conv) * (size_t)tiled_blocks(in.c), (size_t)tiled_blocks(out.c),
                        &form) ||
        !nnclr_size_mul(form, SQUARE, &plan->packed_backward) ||
        !nnclr_size_mul(plan->packed_backward, 2 * sizeof(element), &plan->base.packed_bytes))
        return false;
    shared = TILED(plan_weights)(plan);
    bytes =
        (size_t)out.groups * MAX_PIECES * 2 * (size_t)tiled_blocks(out.c) * BLOCK * sizeof(double);
    if (shared < bytes)
        shared = bytes;
    if (!nnclr_size_mul(plan->worker_bytes, (size_t)nnclr_pool_threads(g->pool), &all) ||
        shared > SIZE_MAX - all)
        return false;
    plan->base.workspace_bytes = all + shared;
    return true;
}

nnclr_conv_plan *TILED(conv_plan)(nnclr_engine *g, const nnclr_conv *conv, nnclr_shape in,
                                  nnclr_error *e) {
    if (!CPU(conv_check)(conv, in, e))
        return NULL;
    tiled_plan *plan = nnclr_alloc_zero(1, sizeof *plan, e);
    if (!plan)
        return NULL;
    nnclr_conv_plan *base = &plan->base;
    base->conv = *conv;
    base->in = in;
    base->out = conv_output(conv, in);
    if (size_plan(g, plan))
        return base;
    nnclr_free(plan);
    nnclr_fail(e, NNCLR_ERROR_LIMIT, "a convolution of %d to %d channels is too large to plan",
               conv->ci, conv->co);
    return NULL;
}

void TILED(conv_plan_free)(nnclr_engine *g, nnclr_conv_plan *plan) {
    (void)g;
    nnclr_free(plan);
}

/* ---- packing ---- */

typedef struct pack_call {
    const tiled_plan *plan;
    const float *oihw;
    element *forward, *backward;
} pack_call;

/* Place of (k, column) in a tile b. */
static inline int in_tile_b(int k, int column) {
#if NNCLR_TILE_PARTS == 0
    return k * BLOCK + column;
#else
    return column / 16 * (SQUARE / 2) + k / 2 * BLOCK + column % 16 * 2 + k % 2;
#endif
}

/* All taps of one block of inputs and one of outputs: tiles [co / 32][tap][ci / 32], k inputs, of
 * the forward form, and [ci / 32][tap][co / 32], k outputs, of the backward form. Folded, forward
 * tiles are [co / 32][row of taps]. */
static void pack_block(void *context, int task, int worker) {
    (void)worker;
    const pack_call *call = context;
    const nnclr_conv *conv = &call->plan->base.conv;
    int inputs = tiled_blocks(conv->ci), outputs = tiled_blocks(conv->co);
    int input = task % inputs, output = task / inputs, taps = (int)tiled_taps(conv);
    int steps = tiled_steps(call->plan), folded = taps / steps;
    for (int tap = 0; tap < taps; tap++) {
        int first = tap % folded * conv->ci; /* k; 0 if nothing is folded */
        element *forward =
            call->forward +
            ((size_t)(output * steps + tap / folded) * (size_t)inputs + (size_t)input) * SQUARE;
        element *backward =
            call->backward +
            ((size_t)(input * taps + tap) * (size_t)outputs + (size_t)output) * SQUARE;
        if (first == 0)
            memset(forward, 0, SQUARE * sizeof *forward);
        memset(backward, 0, SQUARE * sizeof *backward);
        for (int o = 0; o < BLOCK && output * BLOCK + o < conv->co; o++) {
            size_t row = (size_t)(output * BLOCK + o) * (size_t)conv->ci;
            const float *from = call->oihw + (row + (size_t)(input * BLOCK)) * (size_t)taps + tap;
            for (int i = 0; i < BLOCK && input * BLOCK + i < conv->ci; i++, from += taps) {
                cell_put(forward, in_tile_b(first + i, o), *from);
                cell_put(backward, in_tile_b(o, i), *from);
            }
        }
    }
}

void TILED(conv_pack)(nnclr_engine *g, const nnclr_conv_plan *base, const void *oihw,
                      void *packed) {
    const tiled_plan *plan = (const tiled_plan *)base;
    pack_call call = {plan, oihw, packed, (element *)packed + plan->packed_backward};
    nnclr_pool_for(g->pool, tiled_blocks(base->conv.ci) * tiled_blocks(base->conv.co), pack_block,
                   &call);
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
    const nnclr_tensor *from, *to;
    const element *weights; /* [blocks of columns][tap][blocks of k] */
    bool add;
    double *partials; /* [groups][pieces][2][padded columns], NULL: no sums wanted */
    void *workspace;
    pieces pieces;
    size_t column_tiles; /* of weights, of a block of columns */
    int group;           /* blocks of columns whose weights stay in L2 */
} pass;

static int list_terms(const pass *p, int pixel, tile_term *terms) {
    const nnclr_conv *conv = &p->plan->base.conv;
    nnclr_shape from = p->from->shape, to = p->to->shape;
    size_t chunks = (size_t)tiled_blocks(from.c);
    int at_y = pixel / to.w, at_x = pixel % to.w, count = 0;
    for (int i = 0; i < conv->kernel; i++) {
        int y = p->backward ? source_backward(conv, at_y, i, from.h)
                            : source_forward(conv, at_y, i, from.h);
        for (int j = 0; y >= 0 && j < conv->kernel; j++) {
            int x = p->backward ? source_backward(conv, at_x, j, from.w)
                                : source_forward(conv, at_x, j, from.w);
            if (x >= 0)
                terms[count++] =
                    (tile_term){((size_t)y * (size_t)from.w + (size_t)x) * chunks * TILE,
                                ((size_t)i * (size_t)conv->kernel + (size_t)j) * chunks * SQUARE};
        }
    }
    return count;
}

/* Spots [begin, end) of a group in some blocks of columns. `cells`: scratch to fold in. */
static void convolve(const pass *p, int group, size_t begin, size_t end, int first, int last,
                     tile_term *terms, element *cells, double *sums) {
    nnclr_shape from = p->from->shape, to = p->to->shape;
    int chunks = tiled_blocks(from.c), columns = tiled_blocks(to.c);
    size_t pixels = (size_t)to.h * (size_t)to.w, source = (size_t)from.h * (size_t)from.w;
    size_t weights = p->column_tiles * SQUARE;
    tiled_folded folded = {.block = SIZE_MAX, .rows = cells};
    _Alignas(64) float tile[TILE];
    for (size_t spot = begin; spot < end; spot++) {
        const size_t a = (size_t)group * tiled_spots(from) + spot / pixels * source;
        tile_product product = {
            .terms = terms, .chunks = chunks, .rows = tiled_pictures(to, spot), .sums = tile};
        if (p->fold) {
            product.a = cells;
            product.depth = tiled_row_channels(p->plan);
            product.count = TILED(fold_terms)(p->plan, p->kernels, p->from, a / source,
                                              (int)(spot % pixels), &folded, terms);
        } else {
            product.a = tiled_at(p->from, a);
            product.depth = tiled_within(from.c, chunks - 1);
            product.count = list_terms(p, (int)(spot % pixels), terms);
        }
        if (product.count == 0 && p->add)
            continue;
        element *y = tiled_at(p->to, (size_t)group * tiled_spots(to) + spot);
        for (int block = first; block < last; block++) {
            double *total = sums ? sums + block * BLOCK : NULL;
            product.b = p->weights + (size_t)block * weights;
            product.columns = tiled_within(to.c, block);
            p->kernels->multiply(&product);
            p->kernels->store(tile, product.rows, product.columns, p->add, y + (size_t)block * TILE,
                              total, total ? total + columns * BLOCK : NULL);
        }
    }
}

static void convolve_piece(void *context, int task, int worker) {
    const pass *p = context;
    int group = task / p->pieces.count, piece = task % p->pieces.count;
    int columns = tiled_blocks(p->to->shape.c);
    tile_term *terms = (tile_term *)tiled_scratch(p->plan, p->workspace, worker);
    double *sums = NULL;
    if (p->partials) {
        sums = p->partials + (size_t)task * 2 * (size_t)columns * BLOCK;
        memset(sums, 0, 2 * (size_t)columns * BLOCK * sizeof *sums);
    }
    p->kernels->begin();
    for (int first = 0; first < columns; first += p->group) {
        int last = first + p->group < columns ? first + p->group : columns;
        convolve(p, group, piece_begin(&p->pieces, piece), piece_end(&p->pieces, piece), first,
                 last, terms, tiled_scratch_cells(p->plan, p->workspace, worker), sums);
    }
    p->kernels->end();
}

static void run_pass(nnclr_engine *g, pass *p) {
    const tiled_plan *plan = p->plan;
    size_t block;
    p->fold = plan->fold && !p->backward;
    p->column_tiles = (p->fold ? (size_t)tiled_steps(plan) : tiled_taps(&plan->base.conv)) *
                      (size_t)tiled_blocks(p->from->shape.c);
    block = p->column_tiles * SQUARE * sizeof(element);
    p->kernels = tiled_kernels(g);
    p->pieces = tiled_cut(p->to->shape);
    p->group = block < GROUP_BYTES ? (int)(GROUP_BYTES / block) : 1;
    nnclr_pool_for(g->pool, p->to->shape.groups * p->pieces.count, convolve_piece, p);
}

void TILED(conv_forward)(nnclr_engine *g, const nnclr_conv_plan *base, const nnclr_tensor *x,
                         const void *packed, const nnclr_tensor *y, void *sums, void *workspace) {
    const tiled_plan *plan = (const tiled_plan *)base;
    pass p = {.plan = plan,
              .from = x,
              .to = y,
              .weights = packed,
              .partials = sums ? tiled_shared(g, plan, workspace) : NULL,
              .workspace = workspace};
    run_pass(g, &p);
    size_t c = (size_t)y->shape.c, padded = (size_t)tiled_blocks(y->shape.c) * BLOCK;
    for (size_t group = 0; sums && group < (size_t)y->shape.groups; group++) {
        double *total = p.partials + group * (size_t)p.pieces.count * 2 * padded;
        double *to = (double *)sums + group * 2 * c;
        for (size_t i = 2 * padded; i < (size_t)p.pieces.count * 2 * padded; i++)
            total[i % (2 * padded)] += total[i];
        memcpy(to, total, c * sizeof *to);
        memcpy(to + c, total + padded, c * sizeof *to);
    }
}

void TILED(conv_backward_data)(nnclr_engine *g, const nnclr_conv_plan *base, const nnclr_tensor *dy,
                               const void *packed, const nnclr_tensor *dx, bool add,
                               void *workspace) {
    const tiled_plan *plan = (const tiled_plan *)base;
    pass p = {.plan = plan,
              .backward = true,
              .from = dy,
              .to = dx,
              .weights = (const element *)packed + plan->packed_backward,
              .add = add,
              .workspace = workspace};
    run_pass(g, &p);
}
