/* Plans and packed weights of convolutions. */
#include "engine/cpu/conv.h"

#include <string.h>

#include "base/memory.h"

enum {
    MATRIX_BYTES = 384 << 10, /* of im2col: stays in L2 along with what GEMM packs */
    MOST_ROWS = 4096,
    SMALL_WEIGHTS = 1 << 20, /* bytes of a dW that stays in L2 */
    PARTIAL_BYTES = 16 << 20 /* of partial sums of dW */
};

/* Rows of a matrix `depth` wide. GEMM packs its `columns` of weights anew for each matrix, which
 * `columns / 4` rows make cheap. */
static int chunk_rows(int depth, int columns) {
    int rows = (int)((size_t)MATRIX_BYTES / ((size_t)depth * sizeof(real)));
    int least = columns / 4 < 64 ? 64 : columns / 4;
    if (rows < least)
        rows = least;
    return rows > MOST_ROWS ? MOST_ROWS : rows / 8 * 8;
}

/* Along one axis: which taps reach input pixels that leave residue r. The tap at output offset o
 * from pixel q * stride + r is r + pad - o * stride, so offsets rise as taps fall. */
static void residue_axis(const nnclr_conv *conv, int r, int *first_tap, int *count, int *offset) {
    int lowest = (r + conv->pad) % conv->stride;
    *count = lowest < conv->kernel ? (conv->kernel - 1 - lowest) / conv->stride + 1 : 0;
    *first_tap = lowest + (*count - 1) * conv->stride;
    *offset = *count ? (r + conv->pad - *first_tap) / conv->stride : 0;
}

static residue make_residue(const nnclr_conv_plan *base, int index, size_t packed) {
    const nnclr_conv *conv = &base->conv;
    nnclr_shape in = base->in, out = base->out;
    residue r = {.y = index / conv->stride, .x = index % conv->stride, .packed = packed};
    taps *t = &r.taps;
    residue_axis(conv, r.y, &r.tap_y, &t->tap_h, &t->top);
    residue_axis(conv, r.x, &r.tap_x, &t->tap_w, &t->left);
    t->grid_h = (in.h - r.y + conv->stride - 1) / conv->stride;
    t->grid_w = (in.w - r.x + conv->stride - 1) / conv->stride;
    t->step = 1;
    t->source_h = out.h;
    t->source_w = out.w;
    t->source_c = t->channels = conv->co;
    r.chunk = taps_depth(t) ? chunk_rows(taps_depth(t), conv->ci) : MOST_ROWS;
    return r;
}

static taps make_forward(const nnclr_conv_plan *base) {
    const nnclr_conv *conv = &base->conv;
    return (taps){.grid_h = base->out.h,
                  .grid_w = base->out.w,
                  .step = conv->stride,
                  .top = -conv->pad,
                  .left = -conv->pad,
                  .tap_h = conv->kernel,
                  .tap_w = conv->kernel,
                  .source_h = base->in.h,
                  .source_w = base->in.w,
                  .source_c = conv->ci,
                  .channels = conv->ci};
}

/* A dW that stays in L2 is summed whole for each part of the rows. A larger one is cut into
 * blocks of columns, so that few parts keep all workers busy. */
static void split_weights(CPU(plan) * plan) {
    const nnclr_conv *conv = &plan->base.conv;
    plan->by_tap = weight_reals(plan) * sizeof(real) > (size_t)SMALL_WEIGHTS;
    plan->block_channels = plan->by_tap && conv->ci > 256 ? 256 : conv->ci;
    int columns = plan->by_tap ? plan->block_channels : weight_columns(plan);
    plan->weight_chunk = chunk_rows(columns, 4 * 128);
}

int CPU(weight_blocks)(const CPU(plan) * plan) {
    const nnclr_conv *conv = &plan->base.conv;
    if (!plan->by_tap)
        return 1;
    return conv->kernel * conv->kernel *
           ((conv->ci + plan->block_channels - 1) / plan->block_channels);
}

/* There may be many small partial sums; for large ones there are blocks. */
static size_t most_parts(const CPU(plan) * plan) {
    size_t parts = MAX_PIECES / (size_t)CPU(weight_blocks)(plan);
    size_t fitting = (size_t)PARTIAL_BYTES / (weight_reals(plan) * sizeof(real));
    if (parts > fitting)
        parts = fitting;
    return parts < 1 ? 1 : parts;
}

pieces CPU(weight_parts)(const CPU(plan) * plan, size_t rows) {
    size_t most = most_parts(plan);
    return cut(rows, (rows + most - 1) / most, (size_t)plan->weight_chunk);
}

static size_t largest(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Both are rounded up to whole cache lines, so that what follows is aligned. */
static size_t whole_lines(size_t reals) {
    return (reals + 15) / 16 * 16;
}

static void size_workspace(const nnclr_engine *g, CPU(plan) * plan) {
    const nnclr_conv_plan *base = &plan->base;
    size_t matrix = (size_t)plan->forward_chunk * (size_t)weight_columns(plan);
    int block = plan->by_tap ? plan->block_channels : weight_columns(plan);
    matrix = largest(matrix, (size_t)plan->weight_chunk * (size_t)block);
    for (int i = 0; i < plan->residues; i++) {
        const residue *r = &plan->residue[i];
        size_t row = (size_t)taps_depth(&r->taps) + (size_t)base->conv.ci;
        matrix = largest(matrix, (size_t)r->chunk * row);
    }
    plan->matrix_reals = whole_lines(matrix);
    size_t sums = (size_t)base->out.groups * MAX_PIECES * 2 * (size_t)base->out.c * sizeof(double);
    size_t chunk = (size_t)plan->weight_chunk;
    size_t parts = (all_rows(base->out) + chunk - 1) / chunk;
    if (parts > most_parts(plan))
        parts = most_parts(plan);
    size_t partials = parts * weight_reals(plan) * sizeof(real);
    plan->base.workspace_bytes =
        (size_t)nnclr_pool_threads(g->pool) * plan->matrix_reals * sizeof(real) +
        largest(sums, partials);
}

nnclr_conv_plan *CPU(conv_plan)(nnclr_engine *g, const nnclr_conv *conv, nnclr_shape in,
                                nnclr_error *e) {
    if (!nnclr_conv_check(conv, in, e))
        return NULL;
    int residues = conv->stride * conv->stride;
    CPU(plan) *plan = nnclr_alloc_zero(1, sizeof *plan + (size_t)residues * sizeof(residue), e);
    if (!plan)
        return NULL;
    nnclr_conv_plan *base = &plan->base;
    base->conv = *conv;
    base->in = in;
    base->out = nnclr_conv_output(conv, in);
    plan->forward = make_forward(base);
    plan->forward_chunk = chunk_rows(weight_columns(plan), conv->co);
    split_weights(plan);
    plan->residues = residues;
    size_t packed = weight_reals(plan); /* of the forward form */
    for (int i = 0; i < residues; i++) {
        plan->residue[i] = make_residue(base, i, packed);
        packed += (size_t)taps_depth(&plan->residue[i].taps) * (size_t)conv->ci;
    }
    base->packed_bytes = packed * sizeof(real);
    size_workspace(g, plan);
    return base;
}

void CPU(conv_plan_free)(nnclr_engine *g, nnclr_conv_plan *plan) {
    (void)g;
    nnclr_free(plan);
}

typedef struct pack_call {
    const CPU(plan) * plan;
    const real *oihw;
    real *packed;
} pack_call;

/* The weights of one output channel: [kernel][kernel][ci] of the forward form, and its line
 * [ci] under each tap of each residue. */
static void pack_channel(void *context, int o, int worker) {
    (void)worker;
    const pack_call *call = context;
    const CPU(plan) *plan = call->plan;
    const nnclr_conv *conv = &plan->base.conv;
    size_t ci = (size_t)conv->ci, co = (size_t)conv->co, kernel = (size_t)conv->kernel;
    size_t area = kernel * kernel;
    const real *from = call->oihw + (size_t)o * ci * area;
    real *forward = call->packed + (size_t)o * area * ci;
    for (size_t tap = 0; tap < area; tap++)
        for (size_t i = 0; i < ci; i++)
            forward[tap * ci + i] = from[i * area + tap];
    for (int k = 0; k < plan->residues; k++) {
        const residue *r = &plan->residue[k];
        real *to = call->packed + r->packed + (size_t)o * ci;
        for (int a = 0; a < r->taps.tap_h; a++) {
            for (int b = 0; b < r->taps.tap_w; b++, to += co * ci) {
                int tap =
                    (r->tap_y - a * conv->stride) * conv->kernel + r->tap_x - b * conv->stride;
                memcpy(to, forward + (size_t)tap * ci, ci * sizeof(real));
            }
        }
    }
}

void CPU(conv_pack)(nnclr_engine *g, const nnclr_conv_plan *base, const void *oihw, void *packed) {
    pack_call call = {(const CPU(plan) *)base, oihw, packed};
    nnclr_pool_for(g->pool, base->conv.co, pack_channel, &call);
}
