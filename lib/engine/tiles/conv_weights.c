/* Convolution backward-weights: sums over pictures and pixels. A product's k are the pictures of a
 * spot, so x is transposed to [32 channels][32 pictures] and the pictures of dy are paired. Plain
 * tiles, of floats, are multiplied as they are; what is said to be transposed below is then only
 * copied, and if dW is small not even that. */
#include "engine/tiles/conv.h"

#include <limits.h>
#include <string.h>

enum {
    PART_BYTES = 1300 << 10,  /* of a dW that each part can have for itself, in L2 */
    PARTIAL_BYTES = 32 << 20, /* of all parts */
    MOST_PARTS = 32,
    PART_SPOTS = 128,       /* that make a part worth its dW, */
    PLAIN_PART_SPOTS = 64,  /* or of plain tiles */
    CHUNK_SPOTS = 48,       /* of dy between two visits of dW, */
    PLAIN_CHUNK_SPOTS = 96, /* or of plain tiles */
    GROUP = 4,             /* blocks of ci and of co of a task, if dW is large and nothing copied */
    PASS_BYTES = 32 << 20, /* of transposed pictures */
    CLOSE_BYTES = 768 << 10 /* of them in L2 */
};

/* ---- plan ---- */

static int blocks_of_pictures(const tiled *t) {
    return t->shape.groups * t->picture_blocks;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Bytes of a block of pictures in all channels. */
static size_t block_bytes(const tiled *t) {
    return (size_t)t->shape.h * (size_t)t->shape.w * t->spot;
}

static size_t most_parts(const tiled_plan *plan) {
    size_t most = PARTIAL_BYTES / (plan->gradients * sizeof(float));
    return most < MOST_PARTS ? most : MOST_PARTS;
}

pieces nnclr_tiled_weight_parts(const tiled_plan *plan, nnclr_shape out) {
    const tiled dy = tiled_shape(plan->kernels, out);
    const int worth = plan->kernels->plain ? PLAIN_PART_SPOTS : PART_SPOTS;
    size_t rows = (size_t)blocks_of_pictures(&dy) * (size_t)out.h;
    size_t most = plan->group < INT_MAX ? 1 : most_parts(plan);
    size_t each = larger((rows + most - 1) / most, (size_t)(worth / out.w));
    each = larger(each, 1);
    return (pieces){rows, each, (int)((rows + each - 1) / each)};
}

static int between(size_t value, int least, int most) {
    return value > (size_t)most ? most : value < (size_t)least ? least : (int)value;
}

static bool x_in_place(const tiled_plan *plan) {
    return plan->kernels->plain && !plan->fold;
}

/* How much of dy is multiplied between two visits of dW. What is read in place, under all taps, is
 * kept in L2: as much of a row, from the top of a picture to its bottom, as stays there until the
 * next row needs it again. */
static void plan_chunks(tiled_plan *plan, const tiled *x, const tiled *dy) {
    const nnclr_conv *conv = &plan->base.conv;
    nnclr_shape out = dy->shape;
    int spots = plan->kernels->plain ? PLAIN_CHUNK_SPOTS : CHUNK_SPOTS;
    if (x_in_place(plan)) {
        size_t inputs = (size_t)between((size_t)x->blocks, 1, plan->group);
        size_t outputs = (size_t)between((size_t)dy->blocks, 1, plan->group);
        size_t tiles =
            inputs * (size_t)conv->kernel * (size_t)(conv->kernel > 1 ? conv->stride : 1);
        spots = between(CLOSE_BYTES / (tiles * x->tile + outputs * dy->tile), 8, spots);
    }
    plan->chunk_rows = between((size_t)(spots / out.w), 1, out.h);
    plan->strip = x_in_place(plan) && spots < out.w ? spots : out.w;
}

size_t nnclr_tiled_plan_weights(tiled_plan *plan) {
    const nnclr_conv *conv = &plan->base.conv;
    const bool plain = plan->kernels->plain;
    const tiled x = tiled_shape(plan->kernels, plan->base.in);
    const tiled dy = tiled_shape(plan->kernels, plan->base.out);
    plan->gradients = (size_t)x.blocks * (size_t)dy.blocks * (size_t)plan->steps * plan->square;
    bool large = plan->gradients > PART_BYTES / sizeof(float);
    plan->whole = large && !(plain && conv->kernel == 1);
    plan->group = large && !plan->whole ? GROUP : INT_MAX;
    size_t scratch = 0, shared, width = (size_t)dy.shape.w;
    if (plan->whole) {
        size_t block = block_bytes(&x) + block_bytes(&dy);
        size_t most = PASS_BYTES / block, all = (size_t)blocks_of_pictures(&x);
        plan->pass_blocks = (int)(most < 1 ? 1 : most < all ? most : all);
        plan->terms = larger(plan->terms, (size_t)plan->pass_blocks * (size_t)dy.shape.h * width);
        shared = plan->gradients * sizeof(float) + (size_t)plan->pass_blocks * block;
    } else {
        plan_chunks(plan, &x, &dy);
        plan->ring = (plan->chunk_rows - 1) * conv->stride + conv->kernel;
        size_t spots = (size_t)plan->chunk_rows * width;
        plan->terms = larger(plan->terms, spots);
        if (!x_in_place(plan)) /* if rows are folded, more than forward folds */
            scratch =
                (size_t)plan->ring * (size_t)(plan->row_tiles * x.blocks) * tiled_row_bytes(plan);
        if (!plain)
            scratch += spots * dy.spot;
        shared = (size_t)nnclr_tiled_weight_parts(plan, dy.shape).count * plan->gradients *
                 sizeof(float);
    }
    plan->worker_bytes = tiled_terms_bytes(plan) + scratch;
    return shared;
}

/* ---- what all share ---- */

typedef struct weights_call {
    const tiled_plan *plan;
    const tile_kernels *kernels;
    tiled x, dy;
    float *sums; /* [parts][ci / 32][co / 32][step][32][32] */
    pieces parts;
    float *dweights;
    bool add;
    void *workspace;
    /* whole: the pass, and its transposed pictures [c / 32][block of pictures][pixel] */
    int first_block, blocks;
    unsigned char *x_tiles, *dy_tiles;
} weights_call;

static float *dw_tile(const weights_call *call, int part, int input, int output, int tap) {
    size_t at = (size_t)((input * call->dy.blocks + output) * call->plan->steps + tap);
    return call->sums + (size_t)part * call->plan->gradients + at * call->plan->square;
}

/* Pictures in a block, counted over all groups. */
static int pictures_of(const weights_call *call, size_t block) {
    const tiled *x = &call->x;
    return tiled_within(x->shape.n, x->pictures, (int)(block % (size_t)x->picture_blocks));
}

/* All channels of one spot, block after block `step` bytes apart; NULL: as they are. */
static void rearrange(void (*kernel)(const void *, void *), const tiled *t, size_t spot,
                      unsigned char *to, size_t step) {
    const unsigned char *from = tiled_at(t, spot);
    for (int i = 0; i < t->blocks; i++) {
        if (kernel)
            kernel(from + (size_t)i * t->tile, to + (size_t)i * step);
        else
            memcpy(to + (size_t)i * step, from + (size_t)i * t->tile, t->tile);
    }
}

/* ---- small dW: parts ---- */

typedef struct part {
    tile_term *terms;
    unsigned char *x, *dy;  /* [c / 32][ring or chunk rows][w], or the tensors, from a row on */
    size_t x_step, dy_step; /* bytes to the next block of channels, */
    size_t x_tile, dy_tile; /* to the next pixel */
    size_t block;           /* of pictures, of which rows [.., next) of x are in the ring */
    int next;
    int ring;                                          /* rows of x */
    int index, input, last_input, output, last_output; /* whose, and its blocks of ci and of co */
} part;

/* A row of x, counted over all groups and blocks of pictures. */
static void transpose_row(const weights_call *call, size_t row, unsigned char *to, size_t step) {
    const tiled *x = &call->x;
    const size_t width = (size_t)x->shape.w;
    if (call->plan->fold)
        nnclr_tiled_fold_row(call->plan, x, row, call->kernels->transpose, to);
    else
        for (size_t i = 0; i < width; i++)
            rearrange(call->kernels->transpose, x, row * width + i, to + i * x->tile, step);
}

/* What rows [row, row + rows) of dy, of one block of pictures, need: found, or transposed. */
static void fill_x(const weights_call *call, part *p, size_t row, int rows) {
    const tiled_plan *plan = call->plan;
    const nnclr_conv *conv = &plan->base.conv;
    nnclr_shape in = call->x.shape, out = call->dy.shape;
    size_t block = row / (size_t)out.h;
    int oy = (int)(row % (size_t)out.h);
    if (block != p->block) {
        p->block = block;
        p->next = 0;
    }
    if (x_in_place(plan)) {
        p->x = tiled_at(&call->x, block * (size_t)in.h * (size_t)in.w);
        return;
    }
    int y = oy * conv->stride - conv->pad;
    int until = y + (rows - 1) * conv->stride + conv->kernel;
    for (y = y > p->next ? y : p->next; y < until && y < in.h; y++)
        transpose_row(call, block * (size_t)in.h + (size_t)y,
                      p->x + (size_t)(y % p->ring * plan->row_tiles) * p->x_tile, p->x_step);
    p->next = y;
}

static void fill_dy(const weights_call *call, part *p, size_t row, int rows) {
    const tiled *dy = &call->dy;
    const size_t width = (size_t)dy->shape.w;
    if (call->kernels->plain) {
        p->dy = tiled_at(dy, row * width);
        return;
    }
    for (size_t i = 0; i < (size_t)rows * width; i++)
        rearrange(call->kernels->pair, dy, row * width + i, p->dy + i * dy->tile, p->dy_step);
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
    nnclr_shape in = call->x.shape, out = call->dy.shape;
    int width = plan->row_tiles, count = 0;
    for (int i = 0; i < c->rows; i++) {
        int y = (c->oy + i) * conv->stride + tap / across(plan) - conv->pad;
        if (y < 0 || y >= in.h)
            continue;
        for (int ox = c->ox; ox < c->last; ox++) {
            int x = plan->fold ? ox : ox * conv->stride + tap % conv->kernel - conv->pad;
            if (x >= 0 && x < width)
                p->terms[count++] = (tile_term){(size_t)(y % p->ring * width + x) * p->x_tile,
                                                (size_t)(i * out.w + ox) * p->dy_tile};
        }
    }
    return count;
}

static void sum_chunk(const weights_call *call, const part *p, const chunk *c) {
    const tiled_plan *plan = call->plan;
    for (int tap = 0; tap < plan->steps; tap++) {
        int count = chunk_terms(call, p, c, tap);
        for (int input = p->input; count > 0 && input < p->last_input; input++)
            for (int output = p->output; output < p->last_output; output++) {
                const tile_product product = {
                    .terms = p->terms,
                    .count = count,
                    .chunks = 1,
                    .a = p->x + (size_t)input * p->x_step,
                    .b = p->dy + (size_t)output * p->dy_step,
                    .rows = tiled_within(plan->row_channels, plan->row_stride, input),
                    .columns = tiled_channels(&call->dy, output),
                    .depth = pictures_of(call, p->block),
                    .a_stride = plan->row_stride,
                    .b_stride = plan->out_stride,
                    .sums = dw_tile(call, p->index, input, output, tap),
                    .add = true,
                    .turned = true};
                call->kernels->multiply(&product);
            }
    }
}

/* Rows [row, row + rows) of dy, of one block of pictures, strip by strip. */
static void sum_strips(const weights_call *call, part *p, size_t row, int rows) {
    nnclr_shape out = call->dy.shape;
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
    const tiled *x = &call->x, *dy = &call->dy;
    const size_t height = (size_t)dy->shape.h;
    int output_groups = groups_of(plan, dy->blocks);
    int groups = groups_of(plan, x->blocks) * output_groups, group = task % groups;
    part p = {.terms = (tile_term *)tiled_scratch(plan, call->workspace, worker),
              .x = tiled_scratch_tiles(plan, call->workspace, worker),
              .x_step = (size_t)(plan->ring * plan->row_tiles) * tiled_row_bytes(plan),
              .x_tile = tiled_row_bytes(plan),
              .dy_step = (size_t)(plan->chunk_rows * dy->shape.w) * dy->tile,
              .dy_tile = dy->tile,
              .block = SIZE_MAX,
              .ring = plan->ring,
              .index = task / groups};
    group_at(plan, x->blocks, group / output_groups, &p.input, &p.last_input);
    group_at(plan, dy->blocks, group % output_groups, &p.output, &p.last_output);
    p.dy = p.x + p.x_step * (size_t)x->blocks;
    if (call->kernels->plain) {
        p.dy_step = dy->tile;
        p.dy_tile = dy->spot;
    }
    if (x_in_place(plan)) {
        p.x_step = x->tile;
        p.x_tile = x->spot;
        p.ring = x->shape.h;
    }
    for (int input = p.input; input < p.last_input; input++)
        memset(dw_tile(call, p.index, input, p.output, 0), 0,
               (size_t)((p.last_output - p.output) * plan->steps) * plan->square * sizeof(float));
    size_t row = piece_begin(&call->parts, p.index), end = piece_end(&call->parts, p.index);
    call->kernels->begin();
    while (row < end) {
        size_t oy = row % height, left = height - oy, most = end - row;
        most = left < most ? left : most;
        if (plan->strip < dy->shape.w) {
            sum_strips(call, &p, row, (int)most);
            row += most;
            continue;
        }
        chunk c = {.oy = (int)oy, .rows = between(most, 0, plan->chunk_rows), .last = dy->shape.w};
        fill_x(call, &p, row, c.rows);
        fill_dy(call, &p, row, c.rows);
        sum_chunk(call, &p, &c);
        row += (size_t)c.rows;
    }
    call->kernels->end();
}

/* ---- large dW: all pictures of a pass ---- */

/* Row `row` of a block of pictures, if the tensor has one. */
static void rearrange_row(const weights_call *call, void (*kernel)(const void *, void *),
                          const tiled *t, int block, int row, unsigned char *tiles) {
    const size_t height = (size_t)t->shape.h, width = (size_t)t->shape.w;
    size_t from = ((size_t)(call->first_block + block) * height + (size_t)row) * width;
    size_t to = ((size_t)block * height + (size_t)row) * width;
    size_t step = (size_t)call->blocks * height * width * t->tile;
    for (size_t x = 0; row < t->shape.h && x < width; x++)
        rearrange(kernel, t, from + x, tiles + (to + x) * t->tile, step);
}

static void transpose_rows(void *context, int task, int worker) {
    (void)worker;
    const weights_call *call = context;
    int block = task % call->blocks, row = task / call->blocks;
    rearrange_row(call, call->kernels->transpose, &call->x, block, row, call->x_tiles);
    rearrange_row(call, call->kernels->pair, &call->dy, block, row, call->dy_tiles);
}

/* Among rows [first, last) of dy those of blocks that are full, or of those that are not, because
 * few pictures take less time. */
static int pass_terms(const weights_call *call, int tap, int first, int last, bool full,
                      tile_term *terms) {
    const nnclr_conv *conv = &call->plan->base.conv;
    nnclr_shape in = call->x.shape, out = call->dy.shape;
    int count = 0;
    for (int row = first; row < last; row++) {
        int y = row % out.h * conv->stride + tap / conv->kernel - conv->pad;
        size_t block = (size_t)(call->first_block + row / out.h);
        bool whole = pictures_of(call, block) == call->x.pictures;
        if (y < 0 || y >= in.h || whole != full)
            continue;
        for (int ox = 0; ox < out.w; ox++) {
            int x = ox * conv->stride + tap % conv->kernel - conv->pad;
            if (x >= 0 && x < in.w)
                terms[count++] =
                    (tile_term){(size_t)((row / out.h * in.h + y) * in.w + x) * call->x.tile,
                                (size_t)(row * out.w + ox) * call->dy.tile};
        }
    }
    return count;
}

/* Rows of dy that stay in L2, with what they meet of x, from the first tap to the last. */
static int close_rows(const weights_call *call) {
    nnclr_shape in = call->x.shape, out = call->dy.shape;
    size_t bytes =
        (size_t)out.w * call->dy.tile + (size_t)in.h * (size_t)in.w / (size_t)out.h * call->x.tile;
    size_t rows = CLOSE_BYTES / bytes;
    return rows < 1 ? 1 : rows > INT_MAX ? INT_MAX : (int)rows;
}

static void sum_tiles(void *context, int task, int worker) {
    const weights_call *call = context;
    const tiled *x = &call->x, *dy = &call->dy;
    int input = task / dy->blocks, output = task % dy->blocks;
    tile_term *terms = (tile_term *)tiled_scratch(call->plan, call->workspace, worker);
    tile_product product = {.terms = terms,
                            .chunks = 1,
                            .a = call->x_tiles + (size_t)(input * call->blocks * x->shape.h) *
                                                     (size_t)x->shape.w * x->tile,
                            .b = call->dy_tiles + (size_t)(output * call->blocks * dy->shape.h) *
                                                      (size_t)dy->shape.w * dy->tile,
                            .rows = tiled_channels(x, input),
                            .columns = tiled_channels(dy, output),
                            .a_stride = x->stride,
                            .b_stride = dy->stride,
                            .turned = true};
    call->kernels->begin();
    const int rows = call->blocks * dy->shape.h, step = close_rows(call);
    for (int first = 0, last; first < rows; first = last) {
        last = rows - first < step ? rows : first + step;
        for (int tap = 0; tap < call->plan->steps; tap++) {
            product.sums = dw_tile(call, 0, input, output, tap);
            product.add = call->first_block > 0 || first > 0;
            product.count = pass_terms(call, tap, first, last, true, terms);
            product.depth = x->pictures;
            call->kernels->multiply(&product);
            product.add = true;
            product.count = pass_terms(call, tap, first, last, false, terms);
            product.depth = x->shape.n % x->pictures;
            if (product.count > 0)
                call->kernels->multiply(&product);
        }
    }
    call->kernels->end();
}

static void sum_whole(nnclr_engine *g, weights_call *call) {
    const tiled *x = &call->x, *dy = &call->dy;
    int all = blocks_of_pictures(x), rows = x->shape.h > dy->shape.h ? x->shape.h : dy->shape.h;
    call->x_tiles = (unsigned char *)(call->sums + call->plan->gradients);
    call->dy_tiles = call->x_tiles + (size_t)call->plan->pass_blocks * block_bytes(x);
    for (call->first_block = 0; call->first_block < all; call->first_block += call->blocks) {
        int left = all - call->first_block;
        call->blocks = left < call->plan->pass_blocks ? left : call->plan->pass_blocks;
        nnclr_pool_for(g->pool, call->blocks * rows, transpose_rows, call);
        nnclr_pool_for(g->pool, x->blocks * dy->blocks, sum_tiles, call);
    }
}

/* ---- to OIHW ---- */

static void fold_tiles(void *context, int task, int worker) {
    (void)worker;
    const weights_call *call = context;
    const tiled_plan *plan = call->plan;
    const nnclr_conv *conv = &plan->base.conv;
    int input = task / call->dy.blocks, output = task % call->dy.blocks;
    size_t taps = tiled_taps(conv), folded = taps / (size_t)plan->steps;
    for (int step = 0; step < plan->steps; step++) {
        float *tile = dw_tile(call, 0, input, output, step);
        for (int other = 1; other < call->parts.count; other++) {
            const float *more = dw_tile(call, other, input, output, step);
            for (size_t i = 0; i < plan->square; i++)
                tile[i] += more[i];
        }
        for (int i = 0; i < tiled_within(plan->row_channels, plan->row_stride, input); i++) {
            size_t c = (size_t)(input * plan->in_stride + i % conv->ci);
            size_t tap = (size_t)step * folded + (size_t)(i / conv->ci);
            float *to = call->dweights +
                        ((size_t)(output * plan->out_stride) * (size_t)conv->ci + c) * taps + tap;
            for (int o = 0; o < tiled_channels(&call->dy, output);
                 o++, to += (size_t)conv->ci * taps)
                *to = (call->add ? *to : 0) + tile[i * plan->out_stride + o];
        }
    }
}

void nnclr_tiled_conv_backward_weights(nnclr_engine *g, const nnclr_conv_plan *base,
                                       const nnclr_tensor *x, const nnclr_tensor *dy,
                                       void *dweights, bool add, void *workspace) {
    const tiled_plan *plan = (const tiled_plan *)base;
    weights_call call = {.plan = plan,
                         .x = tiled_tensor(plan->kernels, x),
                         .dy = tiled_tensor(plan->kernels, dy),
                         .sums = tiled_shared(g, plan, workspace),
                         .dweights = dweights,
                         .add = add,
                         .workspace = workspace,
                         .parts = {.count = 1}};
    call.kernels = call.dy.kernels;
    if (plan->whole) {
        sum_whole(g, &call);
    } else {
        call.parts = nnclr_tiled_weight_parts(plan, dy->shape);
        int groups = groups_of(plan, call.x.blocks) * groups_of(plan, call.dy.blocks);
        nnclr_pool_for(g->pool, call.parts.count * groups, sum_part, &call);
    }
    nnclr_pool_for(g->pool, call.x.blocks * call.dy.blocks, fold_tiles, &call);
}
