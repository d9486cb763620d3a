/* What the kernels are called with. nnclr_launch_NAME(stream, blocks, call) starts as many blocks;
 * on the host the stream is the engine's pool, and the work is done when it returns. Reals are
 * floats, statistics doubles; `rows` are those of a group: pictures times pixels. */
#ifndef NNCLR_ENGINE_CUDA_CALLS_H
#define NNCLR_ENGINE_CUDA_CALLS_H

#include <stddef.h>
#include <stdint.h>

enum {
    LANES = 256,   /* of a block, and its threads on a GPU */
    SPAN = 4096,   /* items that a block of a plain loop takes */
    CHANNELS = 32, /* next to each other, of a block that sums by channel */
    MOST_PICKS = 64
};

/* Activations, in the type they are stored in. */
typedef struct values {
    void *at; /* NULL: there is none */
    int bf16;
} values;

/* ---- moves (moves.c) ---- */

/* to[i] = from[i], rounded if it must be */
typedef struct convert_call {
    values from, to;
    size_t count;
} convert_call;

/* OIHW reals -> [o][y][x][i] */
typedef struct pack_call {
    const float *oihw;
    values packed;
    int ci, area; /* taps */
    size_t count;
} pack_call;

/* and back: OIHW reals, overwritten or added to */
typedef struct unpack_call {
    const float *packed;
    float *oihw;
    int ci, area, add;
    size_t count;
} unpack_call;

/* ---- batch norm (batchnorm.c) ---- */

/* How the rows of each group are cut: by CHANNELS and by pieces of `each` rows. */
typedef struct cuts {
    size_t rows, each;
    int groups, c, tiles, pieces;
} cuts;

/* partials [groups][pieces][2][c]: sums, and sums of squares. Blocks: groups * pieces * tiles. */
typedef struct norm_sums_call {
    values x;
    cuts cut;
    double *partials;
} norm_sums_call;

/* out [groups][wide] = sum over pieces of partials [groups][pieces][wide]; spans of all `out` */
typedef struct norm_fold_call {
    const double *partials;
    double *out;
    int groups, pieces, wide;
} norm_fold_call;

/* Of one batch norm: from the statistics, affine [groups][2][c] (scale and shift, for y = x scale +
 * shift) and, unless they are the running ones, saved and the pool. Spans of groups * c. */
typedef struct norm_prepare_call {
    const float *gamma, *beta, *running_mean, *running_var;
    const double *sums; /* NULL: the running statistics */
    double *saved, *pool;
    double count, before; /* numbers of a channel, and those that the pool has */
    float *affine;
    int groups, c;
} norm_prepare_call;

/* y = relu?( x scale + shift + rest ). Blocks: groups * pieces. */
typedef struct norm_apply_call {
    values x, rest, y;
    const float *affine, *rest_affine; /* rest_affine NULL: the rest is added as it is */
    cuts cut;
    int relu;
} norm_apply_call;

/* Spans of c; group after group. */
typedef struct norm_running_call {
    const double *from; /* the pool, or sums */
    int pooled;
    double count;
    float *running_mean, *running_var;
    int groups, c;
} norm_running_call;

/* partials [groups][pieces][3][c]: sums of dz, dz (x - mean), dz (second x - its mean) */
typedef struct norm_slopes_call {
    values dy, y, x, second; /* y NULL: no ReLU */
    const double *saved, *second_saved;
    cuts cut;
    double *partials;
} norm_slopes_call;

/* Slopes, dgamma and dbeta of one batch norm from sums [groups][3][c]; `which` of their products.
 * Spans of c. */
typedef struct norm_finish_call {
    const double *sums, *saved;
    double *slopes;
    float *dgamma, *dbeta;
    int groups, c, which, add;
} norm_finish_call;

/* gradient [groups][4][c]: scale, slope, shift, mean for dx = scale dz + slope (x - mean) + shift.
 * Spans of groups * c. */
typedef struct norm_gradient_call {
    const float *gamma;
    const double *slopes, *saved;
    double count;
    float *gradient;
    int groups, c;
} norm_gradient_call;

/* Blocks: groups * pieces. */
typedef struct norm_backward_call {
    values dy, y, x, dx, second, second_dx, dresidual;
    const float *gradient, *second_gradient;
    cuts cut;
    int add_residual;
} norm_backward_call;

/* ---- pooling (pool.c) ---- */

/* Spans of the values of y, or backward of dx. */
typedef struct maxpool_call {
    values x, y; /* backward: y is its gradient */
    values dx;
    int h, w, c, out_h, out_w, add;
    size_t count;
} maxpool_call;
typedef maxpool_call maxpool_back_call;

/* Spans of the means, or backward of dx. */
typedef struct average_call {
    values x;
    float *mean;
    int pixels, c, add;
    size_t count;
} average_call;
typedef average_call average_back_call;

/* ---- rows (rows.c): a block for each row if nothing else is said ---- */

typedef struct l2norm_call {
    const float *x;
    float *out, *norms;
    int width;
} l2norm_call;

/* dx = `out`, of y, its gradient and the norms */
typedef struct l2norm_back_call {
    const float *y, *dy, *norms;
    float *out;
    int width, add;
} l2norm_back_call;

/* y [rows][c] += bias [c]; spans */
typedef struct add_bias_call {
    float *y;
    const float *bias;
    int c;
    size_t count;
} add_bias_call;

/* out [c] (+)= column sums; a block for CHANNELS columns */
typedef struct sum_columns_call {
    const float *x;
    float *out;
    size_t rows;
    int c, add;
} sum_columns_call;

/* losses and hits: doubles [rows] */
typedef struct entropy_call {
    float *logits;
    int columns, rows, target, skip, skips, decoupled;
    double weight;
    double *losses, *hits;
} entropy_call;

typedef struct decorrelate_call {
    float *matrix;
    int d;
    double weight, off_diagonal;
    double *losses;
} decorrelate_call;

/* out += scale * sum of parts, or without `add` out = it; one block */
typedef struct total_call {
    const double *parts;
    int count, add;
    double scale;
    float *out;
} total_call;

typedef struct pick_call {
    const float *table, *weights;
    const int32_t *picks;
    float *y;
    int d, k, add;
} pick_call;

/* parts: one double for each span */
typedef struct multiply_call {
    const float *x, *y;
    size_t count;
    double *parts;
} multiply_call;

typedef struct blend_call {
    float *y;
    const float *x;
    double keep, take;
    size_t count;
} blend_call;

/* ---- search (search.c) ---- */

/* A piece of the rows joins the lists of the best, for which its products say which rows to score.
 * A block for each query. */
typedef struct select_call {
    const float *products;        /* [queries][columns] */
    const float *queries, *rows;  /* [d]; all rows */
    const int64_t *query_numbers; /* NULL: none is excluded */
    const int64_t *row_numbers;
    float *scores; /* [queries][k] */
    int32_t *picks;
    int first, columns, d, k, begins, ends;
} select_call;

/* ---- optimiser (update.c) ---- */

typedef struct update_segment {
    size_t first_part, parts;
    int decays, adapts;
} update_segment;

/* A block's part of a segment. */
typedef struct update_part {
    size_t begin, end;
    int segment;
} update_part;

typedef struct update_call {
    float *w, *v;
    const float *g;
    const update_segment *segments;
    const update_part *parts;
    double *squares; /* [parts][2]: of w, and of g + decay w, or of g alone */
    float *rates;    /* [segments][2]: gain and decay */
    int segment_count;
    double lr, decay, trust;
    float momentum;
    int adaptive, of_sum, solo; /* which ratio */
    int rate_inside, nesterov;
} update_call;
/* A block for each part; spans of the segments; a block for each part. */
typedef update_call update_norms_call, update_rates_call, update_step_call;

/* ---- their launchers ---- */

#ifdef __cplusplus
#define LAUNCHER(name) extern "C" void nnclr_launch_##name(void *, int, const name##_call *);
#else
#define LAUNCHER(name) void nnclr_launch_##name(void *stream, int blocks, const name##_call *call);
#endif

LAUNCHER(convert)
LAUNCHER(pack)
LAUNCHER(unpack)
LAUNCHER(norm_sums)
LAUNCHER(norm_fold)
LAUNCHER(norm_prepare)
LAUNCHER(norm_apply)
LAUNCHER(norm_running)
LAUNCHER(norm_slopes)
LAUNCHER(norm_finish)
LAUNCHER(norm_gradient)
LAUNCHER(norm_backward)
LAUNCHER(maxpool)
LAUNCHER(maxpool_back)
LAUNCHER(average)
LAUNCHER(average_back)
LAUNCHER(l2norm)
LAUNCHER(l2norm_back)
LAUNCHER(add_bias)
LAUNCHER(sum_columns)
LAUNCHER(entropy)
LAUNCHER(decorrelate)
LAUNCHER(total)
LAUNCHER(pick)
LAUNCHER(multiply)
LAUNCHER(blend)
LAUNCHER(select)
LAUNCHER(update_norms)
LAUNCHER(update_rates)
LAUNCHER(update_step)

#endif
