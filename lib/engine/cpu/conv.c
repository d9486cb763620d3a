/* Convolution forward and backward-data: matrices of pixels under taps, times weights. */
#include "engine/cpu/conv.h"

#include <string.h>

/* ---- forward ---- */

typedef struct forward_call {
    const CPU(plan) * plan;
    const real *x, *weights;
    real *y;
    double *partials; /* [groups][pieces][2][co], NULL: no sums wanted */
    void *workspace;
    size_t rows; /* of a group */
    pieces pieces;
} forward_call;

static void forward_piece(void *context, int task, int worker) {
    const forward_call *call = context;
    const CPU(plan) *plan = call->plan;
    int group = task / call->pieces.count, piece = task % call->pieces.count;
    int co = plan->base.conv.co, depth = weight_columns(plan), stride;
    size_t first = (size_t)group * call->rows;
    size_t end = first + piece_end(&call->pieces, piece);
    real *matrix = worker_matrix(plan, call->workspace, worker);
    double *sums = NULL;
    if (call->partials) {
        sums = call->partials + (size_t)task * 2 * (size_t)co;
        memset(sums, 0, 2 * (size_t)co * sizeof *sums);
    }
    for (size_t at = first + piece_begin(&call->pieces, piece); at < end;) {
        size_t left = end - at, chunk = (size_t)plan->forward_chunk;
        size_t count = left < chunk ? left : chunk;
        const real *a = CPU(im2col)(&plan->forward, call->x, at, count, matrix, &stride);
        real *y = call->y + at * (size_t)co;
        gemm_block(false, true, (int)count, co, depth, 1, a, stride, call->weights, depth, 0, y,
                   co);
        if (sums)
            CPU(add_sums)(y, count, co, sums);
        at += count;
    }
}

void CPU(fold_sums)(const double *partials, int groups, int count, int c, double *sums) {
    size_t width = 2 * (size_t)c;
    for (int group = 0; group < groups; group++, sums += width, partials += width) {
        memcpy(sums, partials, width * sizeof *sums);
        for (int i = 1; i < count; i++) {
            partials += width;
            for (size_t k = 0; k < width; k++)
                sums[k] += partials[k];
        }
    }
}

void CPU(conv_forward)(nnclr_engine *g, const nnclr_conv_plan *base, const nnclr_tensor *x,
                       const void *packed, const nnclr_tensor *y, void *sums, void *workspace) {
    const CPU(plan) *plan = (const CPU(plan) *)base;
    size_t rows = group_rows(y->shape), unit = (size_t)plan->forward_chunk;
    forward_call call = {.plan = plan,
                         .x = x->place,
                         .weights = packed,
                         .y = y->place,
                         .partials = sums ? shared_workspace(g, plan, workspace) : NULL,
                         .workspace = workspace,
                         .rows = rows,
                         .pieces = cut(rows, unit, unit)};
    int groups = y->shape.groups;
    nnclr_pool_for(g->pool, groups * call.pieces.count, forward_piece, &call);
    if (sums)
        CPU(fold_sums)(call.partials, groups, call.pieces.count, base->conv.co, sums);
}

/* ---- backward-data ---- */

typedef struct backward_call {
    const CPU(plan) * plan;
    const residue *residue;
    const real *dy, *packed;
    real *dx;
    bool add;
    void *workspace;
    pieces pieces;
} backward_call;

/* Puts rows of gradients, or zeros if `from` is NULL, where their pixels are in dx. */
static void scatter(const backward_call *call, size_t first, size_t count, const real *from) {
    const nnclr_conv_plan *base = &call->plan->base;
    const residue *r = call->residue;
    size_t grid_w = (size_t)r->taps.grid_w, grid = (size_t)r->taps.grid_h * grid_w;
    size_t ci = (size_t)base->conv.ci, stride = (size_t)base->conv.stride;
    for (size_t row = first; row < first + count; row++) {
        size_t y = row % grid / grid_w * stride + (size_t)r->y;
        size_t x = row % grid_w * stride + (size_t)r->x;
        real *to = call->dx + ((row / grid * (size_t)base->in.h + y) * (size_t)base->in.w + x) * ci;
        if (!from) {
            memset(to, 0, ci * sizeof *to);
            continue;
        }
        const real *gradient = from + (row - first) * ci;
        if (!call->add) {
            memcpy(to, gradient, ci * sizeof *to);
        } else {
            for (size_t i = 0; i < ci; i++)
                to[i] += gradient[i];
        }
    }
}

static void backward_piece(void *context, int task, int worker) {
    const backward_call *call = context;
    const CPU(plan) *plan = call->plan;
    const residue *r = call->residue;
    int ci = plan->base.conv.ci, depth = taps_depth(&r->taps), stride;
    bool in_place = plan->base.conv.stride == 1;
    real *matrix = worker_matrix(plan, call->workspace, worker);
    real *tile = matrix + (size_t)r->chunk * (size_t)depth;
    size_t end = piece_end(&call->pieces, task);
    for (size_t at = piece_begin(&call->pieces, task); at < end;) {
        size_t left = end - at, count = left < (size_t)r->chunk ? left : (size_t)r->chunk;
        if (depth == 0) {
            scatter(call, at, count, NULL);
        } else {
            const real *a = CPU(im2col)(&r->taps, call->dy, at, count, matrix, &stride);
            real *to = in_place ? call->dx + at * (size_t)ci : tile;
            real beta = in_place && call->add ? 1 : 0;
            gemm_block(false, false, (int)count, ci, depth, 1, a, stride, call->packed + r->packed,
                       ci, beta, to, ci);
            if (!in_place)
                scatter(call, at, count, tile);
        }
        at += count;
    }
}

void CPU(conv_backward_data)(nnclr_engine *g, const nnclr_conv_plan *base, const nnclr_tensor *dy,
                             const void *packed, const nnclr_tensor *dx, bool add,
                             void *workspace) {
    const CPU(plan) *plan = (const CPU(plan) *)base;
    backward_call call = {.plan = plan,
                          .dy = dy->place,
                          .packed = packed,
                          .dx = dx->place,
                          .add = add,
                          .workspace = workspace};
    size_t pictures = (size_t)nnclr_shape_pictures(dx->shape);
    for (int i = 0; i < plan->residues; i++) {
        call.residue = &plan->residue[i];
        if (taps_depth(&call.residue->taps) == 0 && add)
            continue;
        size_t unit = (size_t)call.residue->chunk;
        call.pieces = cut(taps_rows(&call.residue->taps, pictures), unit, unit);
        nnclr_pool_for(g->pool, call.pieces.count, backward_piece, &call);
    }
}
