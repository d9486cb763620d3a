/* Products and linear layers, normalisation, losses, gathering. */
#include <limits.h>

#include "engine/cuda/parts.h"

/* ---- products and linear layers ---- */

void nnclr_cuda_gemm(nnclr_engine *g, bool transpose_a, bool transpose_b, int m, int n, int k,
                     double alpha, const void *a, const void *b, double beta, void *c) {
    nnclr_machine_gemm(cuda_state_of(g)->machine, transpose_a, transpose_b, m, n, k, alpha, a, b,
                       beta, c);
}

void nnclr_cuda_linear_forward(nnclr_engine *g, const nnclr_tensor *x, const void *weight,
                               const void *bias, const nnclr_tensor *y) {
    nnclr_cuda_gemm(g, false, true, nnclr_shape_pictures(x->shape), y->shape.c, x->shape.c, 1,
                    x->place, weight, 0, y->place);
    if (!bias)
        return;
    const add_bias_call call = {y->place, bias, y->shape.c, cuda_count(y->shape)};
    nnclr_launch_add_bias(cuda_state_of(g)->stream, cuda_spans(call.count), &call);
}

void nnclr_cuda_linear_backward_data(nnclr_engine *g, const nnclr_tensor *dy, const void *weight,
                                     const nnclr_tensor *dx, bool add) {
    nnclr_cuda_gemm(g, false, false, nnclr_shape_pictures(dy->shape), dx->shape.c, dy->shape.c, 1,
                    dy->place, weight, add, dx->place);
}

void nnclr_cuda_linear_backward_weights(nnclr_engine *g, const nnclr_tensor *x,
                                        const nnclr_tensor *dy, void *dweight, void *dbias,
                                        bool add) {
    const int rows = nnclr_shape_pictures(x->shape), out = dy->shape.c;
    nnclr_cuda_gemm(g, true, false, out, x->shape.c, rows, 1, dy->place, x->place, add, dweight);
    if (!dbias)
        return;
    const sum_columns_call call = {dy->place, dbias, (size_t)rows, out, add};
    nnclr_launch_sum_columns(cuda_state_of(g)->stream, cuda_blocks((size_t)out, CHANNELS), &call);
}

/* ---- normalisation ---- */

void nnclr_cuda_l2norm_forward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y,
                               void *norms) {
    const l2norm_call call = {.x = x->place, .out = y->place, .norms = norms, .width = x->shape.c};
    nnclr_launch_l2norm(cuda_state_of(g)->stream, nnclr_shape_pictures(x->shape), &call);
}

void nnclr_cuda_l2norm_backward(nnclr_engine *g, const nnclr_tensor *y, const void *norms,
                                const nnclr_tensor *dy, const nnclr_tensor *dx, bool add) {
    const l2norm_back_call call = {.y = y->place,
                                   .dy = dy->place,
                                   .norms = norms,
                                   .out = dx->place,
                                   .width = y->shape.c,
                                   .add = add};
    nnclr_launch_l2norm_back(cuda_state_of(g)->stream, nnclr_shape_pictures(y->shape), &call);
}

/* ---- losses ---- */

static void add_up(nnclr_engine *g, const double *parts, int count, double scale, bool add,
                   void *out) {
    const total_call call = {parts, count, add, scale, out};
    nnclr_launch_total(cuda_state_of(g)->stream, 1, &call);
}

void nnclr_cuda_cross_entropy(nnclr_engine *g, const nnclr_cross_entropy_call *c) {
    double *losses = nnclr_cuda_scratch(g, 2 * (size_t)c->rows * sizeof *losses);
    if (!losses)
        return;
    double *hits = losses + c->rows;
    const entropy_call call = {.logits = c->logits,
                               .columns = c->columns,
                               .rows = c->rows,
                               .target = c->target,
                               .skip = c->skip,
                               .skips = c->skip != INT_MIN,
                               .decoupled = c->decoupled,
                               .weight = c->weight,
                               .losses = losses,
                               .hits = hits};
    nnclr_launch_entropy(cuda_state_of(g)->stream, c->rows, &call);
    add_up(g, losses, c->rows, c->weight / c->rows, true, c->loss);
    if (c->correct)
        add_up(g, hits, c->rows, 1, true, c->correct);
}

void nnclr_cuda_decorrelation(nnclr_engine *g, const nnclr_decorrelation_call *c) {
    double *losses = nnclr_cuda_scratch(g, (size_t)c->d * sizeof *losses);
    if (!losses)
        return;
    const decorrelate_call call = {c->matrix, c->d, c->weight, c->off_diagonal, losses};
    nnclr_launch_decorrelate(cuda_state_of(g)->stream, c->d, &call);
    add_up(g, losses, c->d, 1, true, c->loss);
}

/* ---- gathering, products, blends ---- */

void nnclr_cuda_gather(nnclr_engine *g, const nnclr_gather_call *c) {
    const pick_call call = {c->table, c->weights, c->picks, c->y, c->d, c->k, c->add};
    nnclr_launch_pick(cuda_state_of(g)->stream, c->n, &call);
}

void nnclr_cuda_dot(nnclr_engine *g, const void *x, const void *y, size_t count, void *out) {
    const int spans = cuda_spans(count);
    double *parts = nnclr_cuda_scratch(g, ((size_t)spans + 1) * sizeof *parts);
    if (!parts)
        return;
    const multiply_call call = {x, y, count, parts};
    nnclr_launch_multiply(cuda_state_of(g)->stream, spans, &call);
    add_up(g, parts, spans, 1, false, out);
}

void nnclr_cuda_blend(nnclr_engine *g, void *y, double keep, const void *x, double take,
                      size_t count) {
    const blend_call call = {y, x, keep, take, count};
    nnclr_launch_blend(cuda_state_of(g)->stream, cuda_spans(count), &call);
}
