/* Batch norm with what surrounds it: residual, second batch norm, ReLU. Each pass over memory does
 * all it can; coefficients and sums of a stripe of channels stay in L1. */
#include "engine/cpu/batchnorm.h"

#include <string.h>

static const double epsilon = 1e-5, keep = 0.9;

/* At least 16,384 reals make a piece. */
static pieces cut_rows(size_t rows, int c) {
    return cut(rows, c < 16384 ? (size_t)(16384 / c) : 1, 1);
}

/* ---- sums of a stripe, piece by piece ---- */

enum { MOST_SUMS = 3 };

typedef double lane_sums[MOST_SUMS][MAX_LANES];

typedef struct reduction {
    const nnclr_batchnorm_call *call; /* NULL: sum and sum of squares of x */
    const real *x;
    real mean[2][MAX_LANES]; /* backward: of main and second */
    size_t first;            /* row of the group */
    int c;
    stripe stripe;
    pieces pieces;
    lane_sums *partials; /* [pieces] */
} reduction;

CPU_WIDE static void sum_lanes(const real *x, int lanes, double *restrict sum,
                               double *restrict squares) {
    for (int i = 0; i < lanes; i++) {
        double v = (double)x[i];
        sum[i] += v;
        squares[i] += v * v;
    }
}

/* Four rows at once: sums are loaded and stored once. */
CPU_WIDE static void sum_four(const real *x, size_t step, int lanes, double *restrict sum,
                              double *restrict squares) {
    const real *y = x + step, *z = y + step, *w = z + step;
    for (int i = 0; i < lanes; i++) {
        double a = (double)x[i], b = (double)y[i], c = (double)z[i], d = (double)w[i];
        sum[i] += (a + b) + (c + d);
        squares[i] += (a * a + b * b) + (c * c + d * d);
    }
}

static void sum_rows(const real *x, size_t rows, int c, const stripe *s, double *sum,
                     double *squares) {
    size_t repeat = (size_t)s->repeat, width = (size_t)c, row = 0;
    x += s->first;
    for (; row + 4 * repeat <= rows; row += 4 * repeat)
        sum_four(x + row * width, repeat * width, s->channels * s->repeat, sum, squares);
    for (; row < rows; row += repeat)
        sum_lanes(x + row * width, stripe_lanes(s, row, rows), sum, squares);
}

void CPU(add_sums)(const real *x, size_t rows, int c, double *sums) {
    for (int index = 0; index < stripe_count(c); index++) {
        stripe s = stripe_at(c, index);
        double sum[MAX_LANES] = {0}, squares[MAX_LANES] = {0};
        sum_rows(x, rows, c, &s, sum, squares);
        for (int i = 0; i < s.channels * s.repeat; i++) {
            sums[s.first + i % s.channels] += sum[i];
            sums[c + s.first + i % s.channels] += squares[i];
        }
    }
}

/* The gradient after the ReLU. */
CPU_WIDE static void mask_lanes(const real *restrict dy, const real *restrict y, int lanes,
                                real *restrict dz) {
    for (int i = 0; i < lanes; i++)
        dz[i] = y[i] > 0 ? dy[i] : 0;
}

static void find_dz(const nnclr_batchnorm_call *call, size_t at, int lanes, real *dz) {
    const real *dy = (const real *)call->dy->place + at;
    if (call->relu)
        mask_lanes(dy, (const real *)call->y->place + at, lanes, dz);
    else
        memcpy(dz, dy, (size_t)lanes * sizeof *dz);
}

CPU_WIDE static void sum_gradient(const real *restrict dz, const real *restrict x,
                                  const real *restrict mean, int lanes, double *restrict product) {
    for (int i = 0; i < lanes; i++)
        product[i] += (double)(dz[i] * (x[i] - mean[i]));
}

CPU_WIDE static void sum_plain(const real *restrict dz, int lanes, double *restrict sum) {
    for (int i = 0; i < lanes; i++)
        sum[i] += (double)dz[i];
}

static void sum_gradients(const reduction *r, size_t begin, size_t end, lane_sums *sums) {
    const nnclr_batchnorm_call *call = r->call;
    const real *x = call->main.x->place;
    const real *second = call->second ? call->second->x->place : NULL;
    real dz[MAX_LANES];
    for (size_t row = begin; row < end; row += (size_t)r->stripe.repeat) {
        size_t at = row * (size_t)r->c + (size_t)r->stripe.first;
        int lanes = stripe_lanes(&r->stripe, row, end);
        find_dz(call, at, lanes, dz);
        sum_plain(dz, lanes, (*sums)[0]);
        sum_gradient(dz, x + at, r->mean[0], lanes, (*sums)[1]);
        if (second)
            sum_gradient(dz, second + at, r->mean[1], lanes, (*sums)[2]);
    }
}

static void reduce_piece(void *context, int piece, int worker) {
    (void)worker;
    const reduction *r = context;
    lane_sums *sums = &r->partials[piece];
    memset(sums, 0, sizeof *sums);
    size_t begin = r->first + piece_begin(&r->pieces, piece);
    size_t end = r->first + piece_end(&r->pieces, piece);
    if (r->call)
        sum_gradients(r, begin, end, sums);
    else
        sum_rows(r->x + begin * (size_t)r->c, end - begin, r->c, &r->stripe, (*sums)[0],
                 (*sums)[1]);
}

/* Totals of each channel of the stripe: pieces in order, then the lanes of a channel in order. */
static void reduce(nnclr_engine *g, reduction *r, lane_sums *total) {
    r->partials = (lane_sums *)((CPU(state) *)g->state)->partials;
    nnclr_pool_for(g->pool, r->pieces.count, reduce_piece, r);
    memset(total, 0, sizeof *total);
    int channels = r->stripe.channels, lanes = channels * r->stripe.repeat;
    for (int k = 0; k < MOST_SUMS; k++) {
        for (int piece = 0; piece < r->pieces.count; piece++)
            for (int i = 0; i < lanes; i++)
                (*total)[k][i] += r->partials[piece][k][i];
        for (int i = channels; i < lanes; i++)
            (*total)[k][i % channels] += (*total)[k][i];
    }
}

void CPU(batchnorm_sums)(nnclr_engine *g, const nnclr_tensor *x, void *sums) {
    int c = x->shape.c;
    size_t rows = group_rows(x->shape);
    reduction r = {.x = x->place, .c = c, .pieces = cut_rows(rows, c)};
    lane_sums total;
    for (int group = 0; group < x->shape.groups; group++) {
        double *out = (double *)sums + (size_t)group * 2 * (size_t)c;
        r.first = (size_t)group * rows;
        for (int index = 0; index < stripe_count(c); index++) {
            r.stripe = stripe_at(c, index);
            reduce(g, &r, &total);
            size_t bytes = (size_t)r.stripe.channels * sizeof *out;
            memcpy(out + r.stripe.first, total[0], bytes);
            memcpy(out + c + r.stripe.first, total[1], bytes);
        }
    }
}

/* ---- forward ---- */

/* Mean and variance of `count` numbers join a pool of `before` others (Chan, Golub and LeVeque
 * 1983). */
static void join_pool(double before, double count, double mean, double variance, double *pool_mean,
                      double *pool_squares) {
    if (before == 0) {
        *pool_mean = mean;
        *pool_squares = 0;
    }
    double total = before + count, apart = mean - *pool_mean;
    *pool_mean += apart * count / total;
    *pool_squares += variance * count + apart * apart * before * count / total;
}

/* Numbers of a channel in a group of so many pictures. */
static double count_of(const nnclr_batchnorm *bn, int pictures) {
    return pictures * ((double)bn->x->shape.h * (double)bn->x->shape.w);
}

static double variance_of(double squares, double count, double mean) {
    double variance = squares / count - mean * mean;
    return variance < 0 ? 0 : variance;
}

void CPU(finish_statistics)(const nnclr_batchnorm *bn) {
    size_t c = (size_t)bn->x->shape.c, groups = (size_t)bn->x->shape.groups;
    double count = count_of(bn, bn->n), before = count_of(bn, bn->pooled);
    for (size_t group = 0; group < groups; group++) {
        const double *sums = (const double *)bn->sums + group * 2 * c;
        double *saved = (double *)bn->saved + group * 2 * c;
        double *pool = bn->pool ? (double *)bn->pool + group * 2 * c : NULL;
        for (size_t i = 0; i < c; i++) {
            double mean = sums[i] / count, variance = variance_of(sums[c + i], count, mean);
            saved[i] = mean;
            saved[c + i] = 1 / sqrt(variance + epsilon);
            if (pool)
                join_pool(before, count, mean, variance, &pool[i], &pool[c + i]);
        }
    }
}

static void update_running(const nnclr_batchnorm *bn) {
    size_t c = (size_t)bn->x->shape.c, groups = (size_t)bn->x->shape.groups;
    double count = count_of(bn, bn->pool ? bn->n + bn->pooled : bn->n);
    double unbiased = count > 1 ? count / (count - 1) : 1;
    real *running_mean = bn->running_mean, *running_var = bn->running_var;
    for (size_t group = 0; group < groups; group++) {
        const double *from = (const double *)(bn->pool ? bn->pool : bn->sums) + group * 2 * c;
        for (size_t i = 0; i < c; i++) {
            double mean = bn->pool ? from[i] : from[i] / count;
            double variance =
                bn->pool ? from[c + i] / count : variance_of(from[c + i], count, mean);
            running_mean[i] = (real)(keep * (double)running_mean[i] + (1 - keep) * mean);
            running_var[i] =
                (real)(keep * (double)running_var[i] + (1 - keep) * variance * unbiased);
        }
    }
}

void CPU(batchnorm_running)(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    (void)g;
    update_running(&call->main);
    if (call->second)
        update_running(call->second);
}

void CPU(fill_affine)(const nnclr_batchnorm *bn, bool running, int group, const stripe *s,
                      affine *a) {
    const real *gamma = bn->gamma, *beta = bn->beta;
    const real *running_mean = bn->running_mean, *running_var = bn->running_var;
    int c = bn->x->shape.c;
    const double *saved =
        running ? NULL : (const double *)bn->saved + (size_t)group * 2 * (size_t)c;
    for (int i = 0; i < s->channels; i++) {
        int k = s->first + i;
        double mean = running ? (double)running_mean[k] : saved[k];
        double inverse = running ? 1 / sqrt((double)running_var[k] + epsilon) : saved[c + k];
        double scale = (double)gamma[k] * inverse;
        a->scale[i] = (real)scale;
        a->shift[i] = (real)((double)beta[k] - mean * scale);
    }
    stripe_spread(s, a->scale);
    stripe_spread(s, a->shift);
}

CPU_WIDE static void normalise(const real *x, const affine *a, int lanes, real *y) {
    for (int i = 0; i < lanes; i++)
        y[i] = x[i] * a->scale[i] + a->shift[i];
}

CPU_WIDE static void add_normalised(const real *x, const affine *a, int lanes, real *y) {
    for (int i = 0; i < lanes; i++)
        y[i] += x[i] * a->scale[i] + a->shift[i];
}

CPU_WIDE static void add_lanes(const real *x, int lanes, real *y) {
    for (int i = 0; i < lanes; i++)
        y[i] += x[i];
}

/* Keeps a NaN. */
CPU_WIDE static void rectify(real *y, int lanes) {
    for (int i = 0; i < lanes; i++)
        y[i] = y[i] < 0 ? 0 : y[i];
}

typedef struct forward_pass {
    const nnclr_batchnorm_call *call;
    bool running;
    size_t rows;
    pieces pieces;
} forward_pass;

static void forward_stripe(const forward_pass *pass, int group, const stripe *s, size_t begin,
                           size_t end) {
    const nnclr_batchnorm_call *call = pass->call;
    const real *x = call->main.x->place;
    const real *residual = call->residual ? call->residual->place : NULL;
    const real *second = call->second ? call->second->x->place : NULL;
    affine main, other;
    CPU(fill_affine)(&call->main, pass->running, group, s, &main);
    if (second)
        CPU(fill_affine)(call->second, pass->running, group, s, &other);
    for (size_t row = begin; row < end; row += (size_t)s->repeat) {
        size_t at = row * (size_t)call->y->shape.c + (size_t)s->first;
        real *y = (real *)call->y->place + at;
        int lanes = stripe_lanes(s, row, end);
        normalise(x + at, &main, lanes, y);
        if (residual)
            add_lanes(residual + at, lanes, y);
        if (second)
            add_normalised(second + at, &other, lanes, y);
        if (call->relu)
            rectify(y, lanes);
    }
}

static void forward_piece(void *context, int task, int worker) {
    (void)worker;
    const forward_pass *pass = context;
    int c = pass->call->y->shape.c;
    int group = task / pass->pieces.count, piece = task % pass->pieces.count;
    size_t first = (size_t)group * pass->rows;
    for (int index = 0; index < stripe_count(c); index++) {
        stripe s = stripe_at(c, index);
        forward_stripe(pass, group, &s, first + piece_begin(&pass->pieces, piece),
                       first + piece_end(&pass->pieces, piece));
    }
}

static void forward(nnclr_engine *g, const nnclr_batchnorm_call *call, bool running) {
    nnclr_shape shape = call->y->shape;
    size_t rows = group_rows(shape);
    forward_pass pass = {call, running, rows, cut_rows(rows, shape.c)};
    nnclr_pool_for(g->pool, shape.groups * pass.pieces.count, forward_piece, &pass);
}

void CPU(batchnorm_train)(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    CPU(finish_statistics)(&call->main);
    if (call->second)
        CPU(finish_statistics)(call->second);
    forward(g, call, false);
}

void CPU(batchnorm_evaluate)(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    forward(g, call, true);
}

/* ---- backward ---- */

typedef struct backward_pass {
    const nnclr_batchnorm_call *call;
    size_t first;
    int c;
    stripe stripe;
    pieces pieces;
    gradient main, second;
} backward_pass;

CPU_WIDE static void input_gradient(const real *restrict dz, const real *restrict x,
                                    const gradient *restrict a, int lanes, real *restrict dx) {
    for (int i = 0; i < lanes; i++)
        dx[i] = a->scale[i] * dz[i] + (a->slope[i] * (x[i] - a->mean[i]) + a->shift[i]);
}

static void backward_piece(void *context, int piece, int worker) {
    (void)worker;
    const backward_pass *pass = context;
    const nnclr_batchnorm_call *call = pass->call;
    const nnclr_batchnorm *second = call->second;
    size_t end = pass->first + piece_end(&pass->pieces, piece);
    size_t row = pass->first + piece_begin(&pass->pieces, piece);
    real dz[MAX_LANES];
    for (; row < end; row += (size_t)pass->stripe.repeat) {
        size_t at = row * (size_t)pass->c + (size_t)pass->stripe.first;
        int lanes = stripe_lanes(&pass->stripe, row, end);
        find_dz(call, at, lanes, dz);
        input_gradient(dz, (const real *)call->main.x->place + at, &pass->main, lanes,
                       (real *)call->main.dx->place + at);
        if (second)
            input_gradient(dz, (const real *)second->x->place + at, &pass->second, lanes,
                           (real *)second->dx->place + at);
        if (!call->dresidual)
            continue;
        real *dresidual = (real *)call->dresidual->place + at;
        if (call->add_residual)
            add_lanes(dz, lanes, dresidual);
        else
            memcpy(dresidual, dz, (size_t)lanes * sizeof *dz);
    }
}

void CPU(fill_means)(const nnclr_batchnorm *bn, int group, const stripe *s, real *mean) {
    const double *saved = (const double *)bn->saved + (size_t)group * 2 * (size_t)bn->x->shape.c;
    for (int i = 0; i < s->channels; i++)
        mean[i] = (real)saved[s->first + i];
    stripe_spread(s, mean);
}

/* Where the slopes of a stripe are: sums of dz, and c further on of dz (x - mean). */
static double *slopes_of(const nnclr_batchnorm *bn, int group, const stripe *s) {
    return (double *)bn->slopes + (size_t)group * 2 * (size_t)bn->x->shape.c + s->first;
}

void CPU(finish_slopes)(const nnclr_batchnorm *bn, int group, const stripe *s, const double *sum,
                        const double *product) {
    size_t c = (size_t)bn->x->shape.c;
    double *slopes = slopes_of(bn, group, s);
    const double *inverses = (const double *)bn->saved + ((size_t)group * 2 + 1) * c;
    real *dgamma = bn->dgamma, *dbeta = bn->dbeta;
    bool add = group > 0 || bn->add_parameters;
    for (int i = 0; i < s->channels; i++) {
        int k = s->first + i;
        slopes[i] = sum[i];
        slopes[c + (size_t)i] = product[i];
        dgamma[k] = (real)((add ? (double)dgamma[k] : 0) + product[i] * inverses[k]);
        dbeta[k] = (real)((add ? (double)dbeta[k] : 0) + sum[i]);
    }
}

void CPU(fill_gradient)(const nnclr_batchnorm *bn, int group, const stripe *s, gradient *out) {
    nnclr_shape shape = bn->x->shape;
    size_t c = (size_t)shape.c;
    double count = (double)bn->n * (double)shape.h * (double)shape.w;
    const double *inverses = (const double *)bn->saved + ((size_t)group * 2 + 1) * c,
                 *slopes = slopes_of(bn, group, s);
    const real *gamma = bn->gamma;
    for (int i = 0; i < s->channels; i++) {
        int k = s->first + i;
        double inverse = inverses[k], scale = (double)gamma[k] * inverse;
        double along = slopes[c + (size_t)i] * inverse; /* sum of dz xhat */
        out->scale[i] = (real)scale;
        out->slope[i] = (real)(-scale * inverse * along / count);
        out->shift[i] = (real)(-scale * slopes[i] / count);
    }
    stripe_spread(s, out->scale);
    stripe_spread(s, out->slope);
    stripe_spread(s, out->shift);
    CPU(fill_means)(bn, group, s, out->mean);
}

void CPU(batchnorm_slopes)(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    nnclr_shape shape = call->main.x->shape;
    size_t rows = group_rows(shape);
    reduction r = {.call = call, .c = shape.c, .pieces = cut_rows(rows, shape.c)};
    lane_sums total;
    for (int group = 0; group < shape.groups; group++) {
        r.first = (size_t)group * rows;
        for (int index = 0; index < stripe_count(shape.c); index++) {
            stripe s = r.stripe = stripe_at(shape.c, index);
            CPU(fill_means)(&call->main, group, &s, r.mean[0]);
            if (call->second)
                CPU(fill_means)(call->second, group, &s, r.mean[1]);
            reduce(g, &r, &total);
            CPU(finish_slopes)(&call->main, group, &s, total[0], total[1]);
            if (call->second)
                CPU(finish_slopes)(call->second, group, &s, total[0], total[2]);
        }
    }
}

void CPU(batchnorm_backward)(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    nnclr_shape shape = call->main.x->shape;
    size_t rows = group_rows(shape);
    backward_pass pass = {.call = call, .c = shape.c, .pieces = cut_rows(rows, shape.c)};
    for (int group = 0; group < shape.groups; group++) {
        pass.first = (size_t)group * rows;
        for (int index = 0; index < stripe_count(shape.c); index++) {
            pass.stripe = stripe_at(shape.c, index);
            CPU(fill_gradient)(&call->main, group, &pass.stripe, &pass.main);
            if (call->second)
                CPU(fill_gradient)(call->second, group, &pass.stripe, &pass.second);
            nnclr_pool_for(g->pool, pass.pieces.count, backward_piece, &pass);
        }
    }
}
