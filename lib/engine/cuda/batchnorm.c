/* Batch norm: which kernels, over which pieces. */
#include "engine/cuda/parts.h"

/* Enough blocks for a GPU if there are rows enough; by the shape alone. */
static cuts cut_rows(nnclr_shape s) {
    enum { BLOCKS = 2048, LEAST = 64 };
    cuts cut = {.rows = cuda_rows(s),
                .groups = s.groups,
                .c = s.c,
                .tiles = cuda_blocks((size_t)s.c, CHANNELS)};
    const size_t pieces = BLOCKS / ((size_t)s.groups * (size_t)cut.tiles) + 1;
    cut.each = (cut.rows + pieces - 1) / pieces;
    cut.each = cut.each < LEAST ? LEAST : cut.each;
    cut.pieces = cuda_blocks(cut.rows, cut.each);
    return cut;
}

/* For passes that sum nothing. */
static cuts cut_values(nnclr_shape s) {
    cuts cut = {.rows = cuda_rows(s), .groups = s.groups, .c = s.c, .tiles = 1};
    cut.each = s.c < SPAN ? SPAN / (size_t)s.c : 1;
    cut.pieces = cuda_blocks(cut.rows, cut.each);
    return cut;
}

/* Numbers of a channel in a group of so many pictures. */
static double count_of(const nnclr_batchnorm *bn, int pictures) {
    return pictures * ((double)bn->x->shape.h * (double)bn->x->shape.w);
}

/* partials [groups][pieces][sums][c] -> out [groups][sums][c] */
static void fold(nnclr_engine *g, const cuts *cut, int sums, const double *partials, double *out) {
    const norm_fold_call call = {partials, out, cut->groups, cut->pieces, sums * cut->c};
    nnclr_launch_norm_fold(cuda_state_of(g)->stream,
                           cuda_spans((size_t)cut->groups * (size_t)call.wide), &call);
}

static size_t partial_count(const cuts *cut, int sums) {
    return (size_t)cut->groups * (size_t)cut->pieces * (size_t)sums * (size_t)cut->c;
}

void nnclr_cuda_batchnorm_sums(nnclr_engine *g, const nnclr_tensor *x, void *sums) {
    norm_sums_call call = {.x = cuda_values(g, x), .cut = cut_rows(x->shape)};
    call.partials = nnclr_cuda_scratch(g, partial_count(&call.cut, 2) * sizeof(double));
    if (!call.partials)
        return;
    nnclr_launch_norm_sums(cuda_state_of(g)->stream,
                           call.cut.groups * call.cut.pieces * call.cut.tiles, &call);
    fold(g, &call.cut, 2, call.partials, sums);
}

/* ---- forward ---- */

static void prepare(nnclr_engine *g, const nnclr_batchnorm *bn, bool running, float *affine) {
    const nnclr_shape s = bn->x->shape;
    const norm_prepare_call call = {.gamma = bn->gamma,
                                    .beta = bn->beta,
                                    .running_mean = bn->running_mean,
                                    .running_var = bn->running_var,
                                    .sums = running ? NULL : bn->sums,
                                    .saved = bn->saved,
                                    .pool = bn->pool,
                                    .count = count_of(bn, bn->n),
                                    .before = count_of(bn, bn->pooled),
                                    .affine = affine,
                                    .groups = s.groups,
                                    .c = s.c};
    nnclr_launch_norm_prepare(cuda_state_of(g)->stream, cuda_spans((size_t)s.groups * (size_t)s.c),
                              &call);
}

static void forward(nnclr_engine *g, const nnclr_batchnorm_call *call, bool running) {
    const nnclr_shape s = call->y->shape;
    const size_t coefficients = (size_t)s.groups * 2 * (size_t)s.c;
    float *affine = nnclr_cuda_scratch(g, 2 * coefficients * sizeof *affine);
    if (!affine)
        return;
    prepare(g, &call->main, running, affine);
    if (call->second)
        prepare(g, call->second, running, affine + coefficients);
    const norm_apply_call apply = {
        .x = cuda_values(g, call->main.x),
        .rest = cuda_values(g, call->second ? call->second->x : call->residual),
        .y = cuda_values(g, call->y),
        .affine = affine,
        .rest_affine = call->second ? affine + coefficients : NULL,
        .cut = cut_values(s),
        .relu = call->relu};
    nnclr_launch_norm_apply(cuda_state_of(g)->stream, s.groups * apply.cut.pieces, &apply);
}

void nnclr_cuda_batchnorm_train(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    forward(g, call, false);
}

void nnclr_cuda_batchnorm_evaluate(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    forward(g, call, true);
}

static void update_running(nnclr_engine *g, const nnclr_batchnorm *bn) {
    const nnclr_shape s = bn->x->shape;
    const norm_running_call call = {.from = bn->pool ? bn->pool : bn->sums,
                                    .pooled = bn->pool != NULL,
                                    .count = count_of(bn, bn->pool ? bn->n + bn->pooled : bn->n),
                                    .running_mean = bn->running_mean,
                                    .running_var = bn->running_var,
                                    .groups = s.groups,
                                    .c = s.c};
    nnclr_launch_norm_running(cuda_state_of(g)->stream, cuda_spans((size_t)s.c), &call);
}

void nnclr_cuda_batchnorm_running(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    update_running(g, &call->main);
    if (call->second)
        update_running(g, call->second);
}

/* ---- backward ---- */

/* What the ReLU let through is seen in y. */
static values mask_of(const nnclr_engine *g, const nnclr_batchnorm_call *call) {
    return cuda_values(g, call->relu ? call->y : NULL);
}

static void finish_slopes(nnclr_engine *g, const nnclr_batchnorm *bn, int which,
                          const double *sums) {
    const nnclr_shape s = bn->x->shape;
    const norm_finish_call call = {.sums = sums,
                                   .saved = bn->saved,
                                   .slopes = bn->slopes,
                                   .dgamma = bn->dgamma,
                                   .dbeta = bn->dbeta,
                                   .groups = s.groups,
                                   .c = s.c,
                                   .which = which,
                                   .add = bn->add_parameters};
    nnclr_launch_norm_finish(cuda_state_of(g)->stream, cuda_spans((size_t)s.c), &call);
}

void nnclr_cuda_batchnorm_slopes(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    const nnclr_shape s = call->main.x->shape;
    const nnclr_batchnorm *second = call->second;
    norm_slopes_call slopes = {.dy = cuda_values(g, call->dy),
                               .y = mask_of(g, call),
                               .x = cuda_values(g, call->main.x),
                               .second = cuda_values(g, second ? second->x : NULL),
                               .saved = call->main.saved,
                               .second_saved = second ? second->saved : NULL,
                               .cut = cut_rows(s)};
    const size_t partials = partial_count(&slopes.cut, 3),
                 totals = (size_t)s.groups * 3 * (size_t)s.c;
    slopes.partials = nnclr_cuda_scratch(g, (partials + totals) * sizeof(double));
    if (!slopes.partials)
        return;
    double *sums = slopes.partials + partials;
    nnclr_launch_norm_slopes(cuda_state_of(g)->stream,
                             slopes.cut.groups * slopes.cut.pieces * slopes.cut.tiles, &slopes);
    fold(g, &slopes.cut, 3, slopes.partials, sums);
    finish_slopes(g, &call->main, 1, sums);
    if (second)
        finish_slopes(g, second, 2, sums);
}

static void find_gradient(nnclr_engine *g, const nnclr_batchnorm *bn, float *gradient) {
    const nnclr_shape s = bn->x->shape;
    const norm_gradient_call call = {.gamma = bn->gamma,
                                     .slopes = bn->slopes,
                                     .saved = bn->saved,
                                     .count = count_of(bn, bn->n),
                                     .gradient = gradient,
                                     .groups = s.groups,
                                     .c = s.c};
    nnclr_launch_norm_gradient(cuda_state_of(g)->stream, cuda_spans((size_t)s.groups * (size_t)s.c),
                               &call);
}

void nnclr_cuda_batchnorm_backward(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    const nnclr_shape s = call->main.x->shape;
    const nnclr_batchnorm *second = call->second;
    const size_t coefficients = (size_t)s.groups * 4 * (size_t)s.c;
    float *gradient = nnclr_cuda_scratch(g, 2 * coefficients * sizeof *gradient);
    if (!gradient)
        return;
    find_gradient(g, &call->main, gradient);
    if (second)
        find_gradient(g, second, gradient + coefficients);
    const norm_backward_call backward = {.dy = cuda_values(g, call->dy),
                                         .y = mask_of(g, call),
                                         .x = cuda_values(g, call->main.x),
                                         .dx = cuda_values(g, call->main.dx),
                                         .second = cuda_values(g, second ? second->x : NULL),
                                         .second_dx = cuda_values(g, second ? second->dx : NULL),
                                         .dresidual = cuda_values(g, call->dresidual),
                                         .gradient = gradient,
                                         .second_gradient = gradient + coefficients,
                                         .cut = cut_values(s),
                                         .add_residual = call->add_residual};
    nnclr_launch_norm_backward(cuda_state_of(g)->stream, s.groups * backward.cut.pieces, &backward);
}
