/* Convolution backward-weights: sums over pictures and pixels. A product's k are the 32 pictures of
 * a spot, so x is transposed to [32 channels][32 pictures] and the pictures of dy are paired. Cells
 * of floats are multiplied as they are; what is said to be transposed below is then only copied,
 * and if dW is small not even that. */
#include "engine/tiles/conv.h"

#include <limits.h>
#include <string.h>

enum {
    PART_BYTES = 1300 << 10,  /* of a dW that each part can have for itself, in L2 */
    PARTIAL_BYTES = 32 << 20, /* of all parts */
    MOST_PARTS = 32,
    IN_PLACE = NNCLR_TILE_PARTS == 0,
    PART_SPOTS = IN_PLACE ? 64 : 128, /* that make a part worth its dW */
    CHUNK_SPOTS = IN_PLACE ? 96 : 48, /* of dy between two visits of dW */
    GROUP = 4,             /* blocks of ci and of co of a task, if dW is large and nothing copied */
    PASS_BYTES = 32 << 20, /* of transposed pictures */
    CLOSE_BYTES = 768 << 10 /* of them in L2 */
};

/* ---- plan ---- */

static int blocks_of_pictures(nnclr_shape s) {
    return s.groups * tiled_picture_blocks(s.n);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Elements of a block of pictures in all channels. */
static size_t block_elements(nnclr_shape s) {
    return (size_t)s.h * (size_t)s.w * tiled_depth(s);
}

static size_t most_parts(const tiled_plan *plan) {
    size_t most = PARTIAL_BYTES / (plan->weights * sizeof(float));
    return most < MOST_PARTS ? most : MOST_PARTS;
}

pieces TILED(weight_parts)(const tiled_plan *plan, nnclr_shape out) {
    size_t rows = (size_t)blocks_of_pictures(out) * (size_t)out.h;
    size_t most = plan->group < INT_MAX ? 1 : most_parts(plan);
    size_t each = larger((rows + most - 1) / most, (size_t)(PART_SPOTS / out.w));
    each = larger(each, 1);
    return (pieces){rows, each, (int)((rows + each - 1) / each)};
}

static int between(size_t value, int least, int most) {
    return value > (size_t)most ? most : value < (size_t)least ? least : (int)value;
}

/* How much of dy is multiplied between two visits of dW. What is read in place, under all taps, is
 * kept in L2: as much of a row, from the top of a picture to its bottom, as stays there until the
 * next row needs it again. */
static void plan_chunks(tiled_plan *plan) {
    const nnclr_conv *conv = &plan->base.conv;
    nnclr_shape in = plan->base.in, out = plan->base.out;
    int spots = CHUNK_SPOTS;
    if (IN_PLACE && !plan->fold) {
        size_t inputs = (size_t)between((size_t)tiled_blocks(in.c), 1, plan->group);
        size_t outputs = (size_t)between((size_t)tiled_blocks(out.c), 1, plan->group);
        size_t cells =
            inputs * (size_t)conv->kernel * (size_t)(conv->kernel > 1 ? conv->stride : 1);
        spots = between(CLOSE_BYTES / ((cells + outputs) * TILE * sizeof(element)), 8, CHUNK_SPOTS);
    }
    plan->chunk_rows = between((size_t)(spots / out.w), 1, out.h);
    plan->strip = IN_PLACE && !plan->fold && spots < out.w ? spots : out.w;
}

size_t TILED(plan_weights)(tiled_plan *plan) {
    const nnclr_conv *conv = &plan->base.conv;
    nnclr_shape in = plan->base.in, out = plan->base.out;
    plan->weights = plan->packed_backward / tiled_taps(conv) * (size_t)tiled_steps(plan);
    bool large = plan->weights > PART_BYTES / sizeof(float);
    plan->whole = large && !(IN_PLACE && conv->kernel == 1);
    plan->group = large && !plan->whole ? GROUP : INT_MAX;
    size_t scratch = 0, shared;
    if (plan->whole) {
        size_t block = block_elements(in) + block_elements(out);
        size_t most = PASS_BYTES / sizeof(element) / block, all = (size_t)blocks_of_pictures(in);
        plan->pass_blocks = (int)(most < 1 ? 1 : most < all ? most : all);
        plan->terms =
            larger(plan->terms, (size_t)plan->pass_blocks * (size_t)out.h * (size_t)out.w);
        shared =
            plan->weights * sizeof(float) + (size_t)plan->pass_blocks * block * sizeof(element);
    } else {
        plan_chunks(plan);
        plan->ring = (plan->chunk_rows - 1) * conv->stride + conv->kernel;
        size_t spots = (size_t)plan->chunk_rows * (size_t)out.w;
        plan->terms = larger(plan->terms, spots);
        if (!IN_PLACE || plan->fold)
            scratch = (size_t)plan->ring * (size_t)tiled_row_cells(plan) * tiled_depth(in);
        if (!IN_PLACE)
            scratch += spots * tiled_depth(out);
        scratch *= sizeof(element); /* if rows are folded, more than forward folds */
        shared = (size_t)TILED(weight_parts)(plan, out).count * plan->weights * sizeof(float);
    }
    plan->worker_bytes = (plan->terms * sizeof(tile_term) + 63) / 64 * 64 + scratch;
    return shared;
}

/* ---- what all share ---- */

typedef struct weights_call {
    const tiled_plan *plan;
    const tile_kernels *kernels;
    const nnclr_tensor *x, *dy;
    float *sums; /* [parts][ci / 32][co / 32][step][32][32] */
    pieces parts;
    float *dweights;
    bool add;
    void *workspace;
    /* whole: the pass, and its transposed pictures [c / 32][block of pictures][pixel] */
    int first_block, blocks;
    element *x_tiles, *dy_tiles;
} weights_call;

static float *dw_tile(const weights_call *call, int part, int input, int output, int tap) {
    int outputs = tiled_blocks(call->plan->base.conv.co);
    size_t at = (size_t)(input * outputs + output) * (size_t)tiled_steps(call->plan) + (size_t)tap;
    return call->sums + (size_t)part * call->plan->weights + at * SQUARE;
}

/* Pictures in a block, counted over all groups. */
static int pictures_of(const weights_call *call, size_t block) {
    int n = call->x->shape.n;
    return tiled_pictures_within(n, (int)(block % (size_t)tiled_picture_blocks(n)));
}

/* All channels of one spot, block after block `step` elements apart. */
static void rearrange(void (*kernel)(const element *, element *), const element *from, int blocks,
                      element *to, size_t step) {
    for (int i = 0; i < blocks; i++)
        kernel(from + (size_t)i * TILE, to + (size_t)i * step);
}

/* ---- small dW: parts ---- */

typedef struct part {
    tile_term *terms;
    element *x, *dy;        /* [c / 32][ring or chunk rows][w], or the tensors, from a row on */
    size_t x_step, dy_step; /* to the next block of channels, */
    size_t x_cell, dy_cell; /* to the next pixel */
    size_t block;           /* of pictures, of which rows [.., next) of x are in the ring */
    int next;
    int ring;                                          /* rows of x */
    int index, input, last_input, output, last_output; /* whose, and its blocks of ci and of co */
} part;

static bool x_in_place(const tiled_plan *plan) {
    return IN_PLACE && !plan->fold;
}

/* A row of x, counted over all groups and blocks of pictures. */
static void transpose_row(const weights_call *call, size_t row, element *to, size_t step) {
    nnclr_shape in = call->x->shape;
    if (call->plan->fold)
        TILED(fold_row)(call->plan, call->kernels, call->x, row, call->kernels->transpose, to);
    else
        for (size_t x = 0; x < (size_t)in.w; x++)
            rearrange(call->kernels->transpose, tiled_at(call->x, row * (size_t)in.w + x),
                      tiled_blocks(in.c), to + x * TILE, step);
}

/* What rows [row, row + rows) of dy, of one block of pictures, need: found, or transposed. */
static void fill_x(const weights_call *call, part *p, size_t row, int rows) {
    const tiled_plan *plan = call->plan;
    const nnclr_conv *conv = &plan->base.conv;
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    size_t block = row / (size_t)out.h;
    int oy = (int)(row % (size_t)out.h);
    if (block != p->block) {
        p->block = block;
        p->next = 0;
    }
    if (x_in_place(plan)) {
        p->x = tiled_at(call->x, block * (size_t)in.h * (size_t)in.w);
        return;
    }
    int y = oy * conv->stride - conv->pad;
    int until = y + (rows - 1) * conv->stride + conv->kernel;
    for (y = y > p->next ? y : p->next; y < until && y < in.h; y++)
        transpose_row(call, block * (size_t)in.h + (size_t)y,
                      p->x + (size_t)(y % p->ring * tiled_row_cells(plan)) * TILE, p->x_step);
    p->next = y;
}

static void fill_dy(const weights_call *call, part *p, size_t row, int rows) {
    nnclr_shape out = call->dy->shape;
    element *dy = tiled_at(call->dy, row * (size_t)out.w);
    if (IN_PLACE) {
        p->dy = dy;
        return;
    }
    for (int i = 0; i < rows * out.w; i++, dy += tiled_depth(out))
        rearrange(call->kernels->pair, dy, tiled_blocks(out.c), p->dy + (size_t)i * TILE,
                  p->dy_step);
}

/* Steps of a row of the kernel. */
static int across(const tiled_plan *plan) {
    return plan->fold ? 1 : plan->base.conv.kernel;
}

/* Rows of dy from oy on, their columns [ox, last). */
typedef struct chunk {
    int oy, rows, ox, last;
} chunk;

static int chunk_terms(const weights_call *call, const part *p, const chunk *c, int tap) {
    const tiled_plan *plan = call->plan;
    const nnclr_conv *conv = &plan->base.conv;
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    int width = tiled_row_cells(plan), count = 0;
    for (int i = 0; i < c->rows; i++) {
        int y = (c->oy + i) * conv->stride + tap / across(plan) - conv->pad;
        if (y < 0 || y >= in.h)
            continue;
        for (int ox = c->ox; ox < c->last; ox++) {
            int x = plan->fold ? ox : ox * conv->stride + tap % conv->kernel - conv->pad;
            if (x >= 0 && x < width)
                p->terms[count++] = (tile_term){(size_t)(y % p->ring * width + x) * p->x_cell,
                                                (size_t)(i * out.w + ox) * p->dy_cell};
        }
    }
    return count;
}

static void sum_chunk(const weights_call *call, const part *p, const chunk *c) {
    const nnclr_conv *conv = &call->plan->base.conv;
    int channels = tiled_row_channels(call->plan);
    for (int tap = 0; tap < tiled_steps(call->plan); tap++) {
        int count = chunk_terms(call, p, c, tap);
        for (int input = p->input; count > 0 && input < p->last_input; input++)
            for (int output = p->output; output < p->last_output; output++) {
                const tile_product product = {.terms = p->terms,
                                              .count = count,
                                              .chunks = 1,
                                              .a = p->x + (size_t)input * p->x_step,
                                              .b = p->dy + (size_t)output * p->dy_step,
                                              .rows = tiled_within(channels, input),
                                              .columns = tiled_within(conv->co, output),
                                              .depth = pictures_of(call, p->block),
                                              .sums = dw_tile(call, p->index, input, output, tap),
                                              .add = true,
                                              .turned = true};
                call->kernels->multiply(&product);
            }
    }
}

/* Rows [row, row + rows) of dy, of one block of pictures, strip by strip. */
static void sum_strips(const weights_call *call, part *p, size_t row, int rows) {
    nnclr_shape out = call->dy->shape;
    chunk c = {.rows = 1};
    fill_x(call, p, row, rows);
    for (c.ox = 0; c.ox < out.w; c.ox = c.last) {
        c.last = out.w - c.ox < call->plan->strip ? out.w : c.ox + call->plan->strip;
        for (int i = 0; i < rows; i++) {
            fill_dy(call, p, row + (size_t)i, 1);
            c.oy = (int)(row % (size_t)out.h) + i;
            sum_chunk(call, p, &c);
        }
    }
}

/* Groups of blocks among `blocks`. */
static int groups_of(const tiled_plan *plan, int blocks) {
    return plan->group < blocks ? (blocks + plan->group - 1) / plan->group : 1;
}

static void group_at(const tiled_plan *plan, int blocks, int group, int *first, int *last) {
    *first = group > 0 ? group * plan->group : 0;
    *last = blocks - *first < plan->group ? blocks : *first + plan->group;
}

static void sum_part(void *context, int task, int worker) {
    const weights_call *call = context;
    const tiled_plan *plan = call->plan;
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    int inputs = tiled_blocks(tiled_row_channels(plan)), outputs = tiled_blocks(out.c);
    int input_groups = groups_of(plan, inputs), output_groups = groups_of(plan, outputs);
    int group = task % (input_groups * output_groups);
    part p = {.terms = (tile_term *)tiled_scratch(plan, call->workspace, worker),
              .x = tiled_scratch_cells(plan, call->workspace, worker),
              .x_step = (size_t)plan->ring * (size_t)tiled_row_cells(plan) * TILE,
              .x_cell = TILE,
              .dy_step = (size_t)plan->chunk_rows * (size_t)out.w * TILE,
              .dy_cell = TILE,
              .block = SIZE_MAX,
              .ring = plan->ring,
              .index = task / (input_groups * output_groups)};
    group_at(plan, inputs, group / output_groups, &p.input, &p.last_input);
    group_at(plan, outputs, group % output_groups, &p.output, &p.last_output);
    if (!IN_PLACE) {
        p.dy = p.x + p.x_step * (size_t)tiled_blocks(in.c);
    } else {
        p.dy_step = TILE;
        p.dy_cell = tiled_depth(out);
    }
    if (x_in_place(plan)) {
        p.x_step = TILE;
        p.x_cell = tiled_depth(in);
        p.ring = in.h;
    }
    for (int input = p.input; input < p.last_input; input++)
        memset(dw_tile(call, p.index, input, p.output, 0), 0,
               (size_t)((p.last_output - p.output) * tiled_steps(plan)) * SQUARE * sizeof(float));
    size_t row = piece_begin(&call->parts, p.index), end = piece_end(&call->parts, p.index);
    call->kernels->begin();
    while (row < end) {
        size_t oy = row % (size_t)out.h, left = (size_t)out.h - oy, most = end - row;
        most = left < most ? left : most;
        if (plan->strip < out.w) {
            sum_strips(call, &p, row, (int)most);
            row += most;
            continue;
        }
        chunk c = {.oy = (int)oy, .rows = between(most, 0, plan->chunk_rows), .last = out.w};
        fill_x(call, &p, row, c.rows);
        fill_dy(call, &p, row, c.rows);
        sum_chunk(call, &p, &c);
        row += (size_t)c.rows;
    }
    call->kernels->end();
}

/* ---- large dW: all pictures of a pass ---- */

/* Row `row` of a block of pictures, if the tensor has one. */
static void rearrange_row(const weights_call *call, void (*kernel)(const element *, element *),
                          const nnclr_tensor *t, int block, int row, element *tiles) {
    nnclr_shape s = t->shape;
    size_t from = ((size_t)(call->first_block + block) * (size_t)s.h + (size_t)row) * (size_t)s.w;
    size_t to = ((size_t)block * (size_t)s.h + (size_t)row) * (size_t)s.w;
    size_t step = (size_t)call->blocks * (size_t)s.h * (size_t)s.w * TILE;
    for (size_t x = 0; row < s.h && x < (size_t)s.w; x++)
        rearrange(kernel, tiled_at(t, from + x), tiled_blocks(s.c), tiles + (to + x) * TILE, step);
}

static void transpose_rows(void *context, int task, int worker) {
    (void)worker;
    const weights_call *call = context;
    int block = task % call->blocks, row = task / call->blocks;
    rearrange_row(call, call->kernels->transpose, call->x, block, row, call->x_tiles);
    rearrange_row(call, call->kernels->pair, call->dy, block, row, call->dy_tiles);
}

/* Among rows [first, last) of dy those of blocks that are full, or of those that are not, because
 * few pictures take less time. */
static int pass_terms(const weights_call *call, int tap, int first, int last, bool full,
                      tile_term *terms) {
    const nnclr_conv *conv = &call->plan->base.conv;
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    int count = 0;
    for (int row = first; row < last; row++) {
        int y = row % out.h * conv->stride + tap / conv->kernel - conv->pad;
        bool whole = pictures_of(call, (size_t)(call->first_block + row / out.h)) == PICTURES;
        if (y < 0 || y >= in.h || whole != full)
            continue;
        for (int ox = 0; ox < out.w; ox++) {
            int x = ox * conv->stride + tap % conv->kernel - conv->pad;
            if (x >= 0 && x < in.w)
                terms[count++] = (tile_term){(size_t)((row / out.h * in.h + y) * in.w + x) * TILE,
                                             (size_t)(row * out.w + ox) * TILE};
        }
    }
    return count;
}

/* Rows of dy that stay in L2, with what they meet of x, from the first tap to the last. */
static int close_rows(const weights_call *call) {
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    size_t cells = (size_t)out.w + (size_t)in.h * (size_t)in.w / (size_t)out.h;
    size_t rows = CLOSE_BYTES / (cells * TILE * sizeof(element));
    return rows < 1 ? 1 : rows > INT_MAX ? INT_MAX : (int)rows;
}

static void sum_tiles(void *context, int task, int worker) {
    const weights_call *call = context;
    const nnclr_conv *conv = &call->plan->base.conv;
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    int outputs = tiled_blocks(conv->co), input = task / outputs, output = task % outputs;
    tile_term *terms = (tile_term *)tiled_scratch(call->plan, call->workspace, worker);
    tile_product product = {
        .terms = terms,
        .chunks = 1,
        .a = call->x_tiles + (size_t)(input * call->blocks * in.h) * (size_t)in.w * TILE,
        .b = call->dy_tiles + (size_t)(output * call->blocks * out.h) * (size_t)out.w * TILE,
        .rows = tiled_within(conv->ci, input),
        .columns = tiled_within(conv->co, output),
        .turned = true};
    call->kernels->begin();
    const int rows = call->blocks * out.h, step = close_rows(call);
    for (int first = 0, last; first < rows; first = last) {
        last = rows - first < step ? rows : first + step;
        for (int tap = 0; tap < (int)tiled_taps(conv); tap++) {
            product.sums = dw_tile(call, 0, input, output, tap);
            product.add = call->first_block > 0 || first > 0;
            product.count = pass_terms(call, tap, first, last, true, terms);
            product.depth = PICTURES;
            call->kernels->multiply(&product);
            product.add = true;
            product.count = pass_terms(call, tap, first, last, false, terms);
            product.depth = in.n % PICTURES;
            if (product.count > 0)
                call->kernels->multiply(&product);
        }
    }
    call->kernels->end();
}

static void sum_whole(nnclr_engine *g, weights_call *call) {
    const tiled_plan *plan = call->plan;
    nnclr_shape in = call->x->shape, out = call->dy->shape;
    int all = blocks_of_pictures(in), rows = in.h > out.h ? in.h : out.h;
    call->x_tiles = (element *)(call->sums + plan->weights);
    call->dy_tiles = call->x_tiles + (size_t)plan->pass_blocks * block_elements(in);
    for (call->first_block = 0; call->first_block < all; call->first_block += call->blocks) {
        int left = all - call->first_block;
        call->blocks = left < plan->pass_blocks ? left : plan->pass_blocks;
        nnclr_pool_for(g->pool, call->blocks * rows, transpose_rows, call);
        nnclr_pool_for(g->pool, tiled_blocks(in.c) * tiled_blocks(out.c), sum_tiles, call);
    }
}

/* ---- to OIHW ---- */

static void fold_tiles(void *context, int task, int worker) {
    (void)worker;
    const weights_call *call = context;
    const nnclr_conv *conv = &call->plan->base.conv;
    int outputs = tiled_blocks(conv->co), input = task / outputs, output = task % outputs;
    int steps = tiled_steps(call->plan), channels = tiled_row_channels(call->plan);
    size_t taps = tiled_taps(conv), folded = taps / (size_t)steps;
    for (int step = 0; step < steps; step++) {
        float *tile = dw_tile(call, 0, input, output, step);
        for (int other = 1; other < call->parts.count; other++) {
            const float *more = dw_tile(call, other, input, output, step);
            for (int i = 0; i < SQUARE; i++)
                tile[i] += more[i];
        }
        for (int i = 0; i < tiled_within(channels, input); i++) {
            size_t c = (size_t)(input * BLOCK + i % conv->ci);
            size_t tap = (size_t)step * folded + (size_t)(i / conv->ci);
            float *to = call->dweights + ((size_t)(output * BLOCK * conv->ci) + c) * taps + tap;
            for (int o = 0; o < BLOCK && output * BLOCK + o < conv->co;
                 o++, to += (size_t)conv->ci * taps)
                *to = (call->add ? *to : 0) + tile[i * BLOCK + o];
        }
    }
}

void TILED(conv_backward_weights)(nnclr_engine *g, const nnclr_conv_plan *base,
                                  const nnclr_tensor *x, const nnclr_tensor *dy, void *dweights,
                                  bool add, void *workspace) {
    const tiled_plan *plan = (const tiled_plan *)base;
    weights_call call = {.plan = plan,
                         .kernels = tiled_kernels(g),
                         .x = x,
                         .dy = dy,
                         .sums = tiled_shared(g, plan, workspace),
                         .dweights = dweights,
                         .add = add,
                         .workspace = workspace,
                         .parts = {.count = 1}};
    if (plan->whole) {
        sum_whole(g, &call);
    } else {
        call.parts = TILED(weight_parts)(plan, dy->shape);
        int groups = groups_of(plan, tiled_blocks(tiled_row_channels(plan))) *
                     groups_of(plan, tiled_blocks(dy->shape.c));
        nnclr_pool_for(g->pool, call.parts.count * groups, sum_part, &call);
    }
    nnclr_pool_for(g->pool, tiled_blocks(x->shape.c) * tiled_blocks(dy->shape.c), fold_tiles,
                   &call);
}
