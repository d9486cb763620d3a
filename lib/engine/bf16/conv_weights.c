/* Convolution backward-weights: sums over pictures and pixels. A product's k are the 32 pictures of
 * a spot, so x is transposed to [32 channels][32 pictures] and the pictures of dy are paired. */
#include "engine/bf16/conv.h"

#include <string.h>

enum {
    PART_BYTES = 1300 << 10,  /* of a dW that each part can have for itself, in L2 */
    PARTIAL_BYTES = 32 << 20, /* of all parts */
    MOST_PARTS = 32,
    PART_SPOTS = 128,     /* that make a part worth its dW */
    CHUNK_SPOTS = 48,     /* of dy between two visits of dW */
    PASS_BYTES = 32 << 20 /* of transposed pictures */
};

/* ---- plan ---- */

static int blocks_of_pictures(nnclr_shape s) {
    return s.groups * bf16_blocks(s.n);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Elements of a block of pictures in all channels. */
static size_t block_elements(nnclr_shape s) {
    return (size_t)s.h * (size_t)s.w * bf16_depth(s);
}

static size_t most_parts(const bf16_plan *plan) {
    size_t most = PARTIAL_BYTES / (plan->weights * sizeof(float));
    return most < MOST_PARTS ? most : MOST_PARTS;
}

pieces BF16(weight_parts)(const bf16_plan *plan, nnclr_shape out) {
    size_t rows = (size_t)blocks_of_pictures(out) * (size_t)out.h, most = most_parts(plan);
    size_t each = larger((rows + most - 1) / most, (size_t)(PART_SPOTS / out.w));
    each = larger(each, 1);
    return (pieces){rows, each, (int)((rows + each - 1) / each)};
}

size_t BF16(plan_weights)(bf16_plan *plan) {
    const nnclr_conv *conv = &plan->base.conv;
    nnclr_shape in = plan->base.in, out = plan->base.out;
    plan->weights =
        plan->packed_backward / VALUE_PARTS / bf16_taps(conv) * (size_t)bf16_steps(plan);
    plan->whole = plan->weights > PART_BYTES / sizeof(float);
    size_t scratch = 0, shared;
    if (plan->whole) {
        size_t block = block_elements(in) + block_elements(out);
        size_t most = PASS_BYTES / sizeof(bf16) / block, all = (size_t)blocks_of_pictures(in);
        plan->pass_blocks = (int)(most < 1 ? 1 : most < all ? most : all);
        plan->terms =
            larger(plan->terms, (size_t)plan->pass_blocks * (size_t)out.h * (size_t)out.w);
        shared = plan->weights * sizeof(float) + (size_t)plan->pass_blocks * block * sizeof(bf16);
    } else {
        plan->chunk_rows = CHUNK_SPOTS / out.w;
        if (plan->chunk_rows < 1)
            plan->chunk_rows = 1;
        if (plan->chunk_rows > out.h)
            plan->chunk_rows = out.h;
        plan->ring = (plan->chunk_rows - 1) * conv->stride + conv->kernel;
        size_t spots = (size_t)plan->chunk_rows * (size_t)out.w;
        plan->terms = larger(plan->terms, spots);
        scratch = ((size_t)plan->ring * (size_t)bf16_row_cells(plan) * bf16_depth(in) +
                   spots * bf16_depth(out)) *
                  sizeof(bf16); /* more than forward folds */
        shared = (size_t)BF16(weight_parts)(plan, out).count * plan->weights * sizeof(float);
    }
    plan->worker_bytes = (plan->terms * sizeof(tile_term) + 63) / 64 * 64 + scratch;
    return shared;
}

/* ---- what all share ---- */

typedef struct weights_call {
    const bf16_plan *plan;
    const tile_kernels *kernels;
    const nnclr_tensor *x, *dy;
    float *sums; /* [parts][ci / 32][co / 32][step][32][32] */
    pieces parts;
    float *dweights;
    bool add;
    void *workspace;
    /* whole: the pass, and its transposed pictures [c / 32][block of pictures][pixel] */
    int first_block, blocks;
    bf16 *x_tiles, *dy_tiles;
} weights_call;

static float *dw_tile(const weights_call *call, int part, int input, int output, int tap) {
    int outputs = bf16_blocks(call->plan->base.conv.co);
    size_t at = (size_t)(input * outputs + output) * (size_t)bf16_steps(call->plan) + (size_t)tap;
    return call->sums + (size_t)part * call->plan->weights + at * TILE;
}

/* Pictures in a block, counted over all groups. */
static int pictures_of(const weights_call *call, size_t block) {
    int n = call->x->shape.n;
    return bf16_within(n, (int)(block % (size_t)bf16_blocks(n)));
}

/* All channels of one spot, block after block `step` elements apart. */
static void rearrange(void (*kernel)(const bf16 *, bf16 *), const bf16 *from, int blocks, bf16 *to,
                      size_t step) {
    for (int i = 0; i < blocks; i++)
        kernel(from + (size_t)i * CELL, to + (size_t)i * step);
}

/* ---- small dW: parts ---- */

typedef struct part {
    tile_term *terms;
    bf16 *x, *dy; /* [c / 32][ring or chunk rows][w] */
    size_t x_step, dy_step;
    size_t block; /* of pictures, of which rows [.., next) of x are in the ring */
    int next;
} part;

/* A row of x, counted over all groups and blocks of pictures. */
static void transpose_row(const weights_call *call, size_t row, bf16 *to, size_t step) {
    nnclr_shape in = call->x->shape;
    if (call->plan->fold)
        BF16(fold_row)(call->plan, call->kernels, call->x, row, call->kernels->transpose, to);
    else
        for (size_t x = 0; x < (size_t)in.w; x++)
            rearrange(call->kernels->transpose, bf16_at(call->x, row * (size_t)in.w + x),
                      bf16_blocks(in.c), to + x * CELL, step);
}

/* Transposes what rows [row, row + rows) of dy, of one block of pictures, need. */
static void fill_chunk(const weights_call *call, part *p, size_t row, int rows) {
    const bf16_plan *plan = call->plan;
    const nnclr_conv *conv = &plan->base.conv;
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    size_t block = row / (size_t)out.h;
    int oy = (int)(row % (size_t)out.h);
    if (block != p->block) {
        p->block = block;
        p->next = 0;
    }
    int y = oy * conv->stride - conv->pad;
    int until = y + (rows - 1) * conv->stride + conv->kernel;
    for (y = y > p->next ? y : p->next; y < until && y < in.h; y++)
        transpose_row(call, block * (size_t)in.h + (size_t)y,
                      p->x + (size_t)(y % plan->ring * bf16_row_cells(plan)) * CELL, p->x_step);
    p->next = y;
    for (int i = 0; i < rows * out.w; i++)
        rearrange(call->kernels->pair, bf16_at(call->dy, row * (size_t)out.w + (size_t)i),
                  bf16_blocks(out.c), p->dy + (size_t)i * CELL, p->dy_step);
}

/* Steps of a row of the kernel. */
static int across(const bf16_plan *plan) {
    return plan->fold ? 1 : plan->base.conv.kernel;
}

static int chunk_terms(const weights_call *call, const part *p, int oy, int rows, int tap) {
    const bf16_plan *plan = call->plan;
    const nnclr_conv *conv = &plan->base.conv;
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    int width = bf16_row_cells(plan), count = 0;
    for (int i = 0; i < rows; i++) {
        int y = (oy + i) * conv->stride + tap / across(plan) - conv->pad;
        if (y < 0 || y >= in.h)
            continue;
        for (int ox = 0; ox < out.w; ox++) {
            int x = plan->fold ? ox : ox * conv->stride + tap % conv->kernel - conv->pad;
            if (x >= 0 && x < width)
                p->terms[count++] = (tile_term){(size_t)(y % plan->ring * width + x) * CELL,
                                                (size_t)(i * out.w + ox) * CELL};
        }
    }
    return count;
}

static void sum_chunk(const weights_call *call, const part *p, int index, int oy, int rows) {
    const nnclr_conv *conv = &call->plan->base.conv;
    int channels = bf16_row_channels(call->plan);
    int inputs = bf16_blocks(channels), outputs = bf16_blocks(conv->co);
    for (int tap = 0; tap < bf16_steps(call->plan); tap++) {
        int count = chunk_terms(call, p, oy, rows, tap);
        for (int input = 0; count > 0 && input < inputs; input++)
            for (int output = 0; output < outputs; output++) {
                const tile_product product = {.terms = p->terms,
                                              .count = count,
                                              .chunks = 1,
                                              .a = p->x + (size_t)input * p->x_step,
                                              .b = p->dy + (size_t)output * p->dy_step,
                                              .rows = bf16_within(channels, input),
                                              .columns = bf16_within(conv->co, output),
                                              .depth = pictures_of(call, p->block),
                                              .sums = dw_tile(call, index, input, output, tap),
                                              .add = true};
                call->kernels->multiply(&product);
            }
    }
}

static void sum_part(void *context, int index, int worker) {
    const weights_call *call = context;
    const bf16_plan *plan = call->plan;
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    part p = {.terms = (tile_term *)bf16_scratch(plan, call->workspace, worker),
              .x = bf16_scratch_cells(plan, call->workspace, worker),
              .x_step = (size_t)plan->ring * (size_t)bf16_row_cells(plan) * CELL,
              .dy_step = (size_t)plan->chunk_rows * (size_t)out.w * CELL,
              .block = SIZE_MAX};
    p.dy = p.x + p.x_step * (size_t)bf16_blocks(in.c);
    memset(call->sums + (size_t)index * plan->weights, 0, plan->weights * sizeof(float));
    size_t row = piece_begin(&call->parts, index), end = piece_end(&call->parts, index);
    call->kernels->begin();
    while (row < end) {
        size_t oy = row % (size_t)out.h, left = (size_t)out.h - oy, most = end - row;
        most = left < most ? left : most;
        int rows = most < (size_t)plan->chunk_rows ? (int)most : plan->chunk_rows;
        fill_chunk(call, &p, row, rows);
        sum_chunk(call, &p, index, (int)oy, rows);
        row += (size_t)rows;
    }
    call->kernels->end();
}

/* ---- large dW: all pictures of a pass ---- */

/* Row `row` of a block of pictures, where the tensor has one. */
static void rearrange_row(const weights_call *call, void (*kernel)(const bf16 *, bf16 *),
                          const nnclr_tensor *t, int block, int row, bf16 *tiles) {
    nnclr_shape s = t->shape;
    size_t from = ((size_t)(call->first_block + block) * (size_t)s.h + (size_t)row) * (size_t)s.w;
    size_t to = ((size_t)block * (size_t)s.h + (size_t)row) * (size_t)s.w;
    size_t step = (size_t)call->blocks * (size_t)s.h * (size_t)s.w * CELL;
    for (size_t x = 0; row < s.h && x < (size_t)s.w; x++)
        rearrange(kernel, bf16_at(t, from + x), bf16_blocks(s.c), tiles + (to + x) * CELL, step);
}

static void transpose_rows(void *context, int task, int worker) {
    (void)worker;
    const weights_call *call = context;
    int block = task % call->blocks, row = task / call->blocks;
    rearrange_row(call, call->kernels->transpose, call->x, block, row, call->x_tiles);
    rearrange_row(call, call->kernels->pair, call->dy, block, row, call->dy_tiles);
}

/* Those of blocks that are full, or of those that are not, as few pictures take less time. */
static int pass_terms(const weights_call *call, int tap, bool full, tile_term *terms) {
    const nnclr_conv *conv = &call->plan->base.conv;
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    int count = 0;
    for (int row = 0; row < call->blocks * out.h; row++) {
        int y = row % out.h * conv->stride + tap / conv->kernel - conv->pad;
        bool whole = pictures_of(call, (size_t)(call->first_block + row / out.h)) == BLOCK;
        if (y < 0 || y >= in.h || whole != full)
            continue;
        for (int ox = 0; ox < out.w; ox++) {
            int x = ox * conv->stride + tap % conv->kernel - conv->pad;
            if (x >= 0 && x < in.w)
                terms[count++] = (tile_term){(size_t)((row / out.h * in.h + y) * in.w + x) * CELL,
                                             (size_t)(row * out.w + ox) * CELL};
        }
    }
    return count;
}

static void sum_tiles(void *context, int task, int worker) {
    const weights_call *call = context;
    const nnclr_conv *conv = &call->plan->base.conv;
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    int outputs = bf16_blocks(conv->co), input = task / outputs, output = task % outputs;
    tile_term *terms = (tile_term *)bf16_scratch(call->plan, call->workspace, worker);
    tile_product product = {
        .terms = terms,
        .chunks = 1,
        .a = call->x_tiles + (size_t)(input * call->blocks * in.h) * (size_t)in.w * CELL,
        .b = call->dy_tiles + (size_t)(output * call->blocks * out.h) * (size_t)out.w * CELL,
        .rows = bf16_within(conv->ci, input),
        .columns = bf16_within(conv->co, output)};
    call->kernels->begin();
    for (int tap = 0; tap < (int)bf16_taps(conv); tap++) {
        product.sums = dw_tile(call, 0, input, output, tap);
        product.add = call->first_block > 0;
        product.count = pass_terms(call, tap, true, terms);
        product.depth = BLOCK;
        call->kernels->multiply(&product);
        product.add = true;
        product.count = pass_terms(call, tap, false, terms);
        product.depth = in.n % BLOCK;
        if (product.count > 0)
            call->kernels->multiply(&product);
    }
    call->kernels->end();
}

static void sum_whole(nnclr_engine *g, weights_call *call) {
    const bf16_plan *plan = call->plan;
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    int all = blocks_of_pictures(in), rows = in.h > out.h ? in.h : out.h;
    call->x_tiles = (bf16 *)(call->sums + plan->weights);
    call->dy_tiles = call->x_tiles + (size_t)plan->pass_blocks * block_elements(in);
    for (call->first_block = 0; call->first_block < all; call->first_block += call->blocks) {
        int left = all - call->first_block;
        call->blocks = left < plan->pass_blocks ? left : plan->pass_blocks;
        nnclr_pool_for(g->pool, call->blocks * rows, transpose_rows, call);
        nnclr_pool_for(g->pool, bf16_blocks(in.c) * bf16_blocks(out.c), sum_tiles, call);
    }
}

/* ---- to OIHW ---- */

static void fold_tiles(void *context, int task, int worker) {
    (void)worker;
    const weights_call *call = context;
    const nnclr_conv *conv = &call->plan->base.conv;
    int outputs = bf16_blocks(conv->co), input = task / outputs, output = task % outputs;
    int steps = bf16_steps(call->plan), channels = bf16_row_channels(call->plan);
    size_t taps = bf16_taps(conv), folded = taps / (size_t)steps;
    for (int step = 0; step < steps; step++) {
        float *tile = dw_tile(call, 0, input, output, step);
        for (int other = 1; other < call->parts.count; other++) {
            const float *more = dw_tile(call, other, input, output, step);
            for (int i = 0; i < TILE; i++)
                tile[i] += more[i];
        }
        for (int i = 0; i < bf16_within(channels, input); i++) {
            size_t c = (size_t)(input * BLOCK + i % conv->ci);
            size_t tap = (size_t)step * folded + (size_t)(i / conv->ci);
            float *to = call->dweights + ((size_t)(output * BLOCK * conv->ci) + c) * taps + tap;
            for (int o = 0; o < BLOCK && output * BLOCK + o < conv->co;
                 o++, to += (size_t)conv->ci * taps)
                *to = (call->add ? *to : 0) + tile[i * BLOCK + o];
        }
    }
}

void BF16(conv_backward_weights)(nnclr_engine *g, const nnclr_conv_plan *base,
                                 const nnclr_tensor *x, const nnclr_tensor *dy, void *dweights,
                                 bool add, void *workspace) {
    const bf16_plan *plan = (const bf16_plan *)base;
    weights_call call = {.plan = plan,
                         .kernels = bf16_kernels(g),
                         .x = x,
                         .dy = dy,
                         .sums = bf16_shared(g, plan, workspace),
                         .dweights = dweights,
                         .add = add,
                         .workspace = workspace,
                         .parts = {.count = 1}};
    if (plan->whole) {
        sum_whole(g, &call);
    } else {
        call.parts = BF16(weight_parts)(plan, dy->shape);
        nnclr_pool_for(g->pool, call.parts.count, sum_part, &call);
    }
    nnclr_pool_for(g->pool, bf16_blocks(x->shape.c) * bf16_blocks(dy->shape.c), fold_tiles, &call);
}
