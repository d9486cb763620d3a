/* What each operator on pictures means: its problems, and its definition in double. Those on rows
 * are in engine_row_ops.h. The test_engine_* programs put them through every engine
 * (engine_battery.h); that the gradients are the slopes of what is computed forward, test_execution
 * sees by differences and test_engine_steps by PyTorch's. */
#ifndef NNCLR_TESTS_ENGINE_OPS_H
#define NNCLR_TESTS_ENGINE_OPS_H

#include "tests/unit/engine_battery.h"

static inline size_t reals_in(nnclr_shape s, int c) {
    return (size_t)(s.groups * s.n) * (size_t)(s.h * s.w) * (size_t)c;
}

/* ---- convolution ---- */

typedef struct conv_case {
    nnclr_conv conv;
    nnclr_shape in;
} conv_case;

static const conv_case conv_cases[] = {
    /* several parts of dW, several pieces of pictures, stems, strides, one by one */
    {{5, 12, 3, 1, 1}, {2, 35, 11, 12, 5}},
    {{5, 70, 1, 2, 0}, {2, 33, 13, 12, 5}},
    {{32, 40, 3, 2, 1}, {1, 40, 9, 8, 32}},
    {{3, 33, 7, 2, 3}, {2, 35, 12, 14, 3}},
    {{64, 64, 3, 1, 1}, {2, 33, 6, 5, 64}},
    /* channels around vectors, blocks and their halves, few pictures */
    {{16, 16, 3, 1, 1}, {2, 3, 12, 12, 16}},
    {{8, 8, 3, 1, 1}, {1, 40, 4, 4, 8}},
    {{8, 16, 3, 2, 1}, {2, 17, 9, 12, 8}},
    {{16, 8, 3, 1, 1}, {1, 33, 6, 5, 16}},
    {{24, 40, 3, 1, 1}, {1, 3, 7, 7, 24}},
    {{12, 40, 1, 2, 0}, {1, 16, 10, 10, 12}},
    {{70, 7, 3, 1, 1}, {2, 5, 7, 8, 70}},
    {{9, 96, 1, 2, 0}, {1, 3, 28, 27, 9}},
    {{64, 200, 1, 1, 0}, {1, 2, 9, 9, 64}},
    {{130, 17, 3, 1, 1}, {2, 2, 5, 9, 130}},
    {{1, 1, 3, 3, 1}, {1, 2, 13, 1, 1}},
    {{8, 860, 7, 1, 3}, {1, 3, 6, 5, 8}},
    /* long rows */
    {{40, 33, 2, 1, 1}, {1, 2, 3, 300, 40}},
    {{3, 8, 3, 1, 1}, {2, 5, 40, 40, 3}},
    {{6, 5, 1, 2, 0}, {2, 6, 41, 40, 6}},
    {{4, 6, 3, 2, 1}, {1, 14, 32, 32, 4}},
    /* rows that are folded: all of a tile's k, kernels wider than the picture, taps far apart */
    {{3, 16, 3, 1, 1}, {1, 33, 8, 8, 3}},
    {{1, 7, 5, 1, 2}, {1, 32, 5, 7, 1}},
    {{2, 33, 3, 2, 0}, {2, 33, 7, 5, 2}},
    {{4, 64, 3, 3, 1}, {1, 9, 9, 10, 4}},
    {{3, 5, 7, 1, 3}, {3, 4, 2, 3, 3}},
    {{16, 20, 2, 1, 1}, {1, 34, 4, 5, 16}},
    {{1, 3, 32, 1, 31}, {1, 2, 3, 2, 1}},
    {{10, 70, 3, 1, 2}, {1, 3, 6, 4, 10}},
    {{3, 9, 2, 5, 1}, {2, 3, 17, 16, 3}},
    {{3, 8, 10, 3, 9}, {1, 3, 30, 40, 3}},
    /* weights that are cut by taps and channels, and pictures by passes */
    {{260, 120, 3, 1, 1}, {1, 3, 5, 5, 260}},
    {{300, 130, 2, 2, 0}, {2, 2, 6, 6, 300}},
    {{530, 540, 1, 1, 0}, {1, 5, 4, 5, 530}},
    {{520, 680, 1, 1, 0}, {1, 17, 7, 9, 520}},
    {{512, 80, 3, 1, 1}, {1, 9, 4, 4, 512}},
    {{200, 190, 3, 1, 1}, {1, 33, 4, 4, 200}},
    {{230, 290, 3, 2, 1}, {2, 31, 6, 5, 230}},
    {{200, 180, 3, 3, 1}, {2, 3, 48, 48, 200}},
    {{64, 64, 3, 1, 1}, {2, 5, 7, 56, 64}},
};
enum { CONV_CASES = sizeof conv_cases / sizeof conv_cases[0], CONV_CUT = 5, CONV_DRAWN = 40 };

typedef struct conv_problem {
    nnclr_conv conv;
    nnclr_shape in, out;
    int planned; /* pictures of a group that the plan is for */
    bool add, exact;
    size_t weights;
    double *x, *w, *dy, *dx, *dw; /* the last two: what is there before */
} conv_problem;

static inline double conv_work(const conv_problem *p) {
    return (double)p->weights * (double)reals_in(p->out, 1);
}

static inline conv_case draw_conv(uint64_t *seed) {
    static const int kernels[] = {1, 2, 3, 7}, pictures[] = {1, 2, 3, 4, 16, 17, 32, 33, 63};
    int kernel = kernels[random_int(seed, 0, 3)];
    nnclr_conv conv = {.ci = random_int(seed, 1, 70),
                       .co = random_int(seed, 1, 70),
                       .kernel = kernel,
                       .stride = random_int(seed, 1, 3),
                       .pad = random_int(seed, 0, kernel - 1)};
    return (conv_case){conv,
                       {random_int(seed, 1, 3), pictures[random_int(seed, 0, 8)],
                        random_int(seed, kernel, 11), random_int(seed, kernel, 11), conv.ci}};
}

static inline conv_problem size_conv(conv_case c) {
    conv_problem p = {.conv = c.conv, .in = c.in, .out = c.in, .planned = c.in.n};
    p.out.h = (p.in.h + 2 * p.conv.pad - p.conv.kernel) / p.conv.stride + 1;
    p.out.w = (p.in.w + 2 * p.conv.pad - p.conv.kernel) / p.conv.stride + 1;
    p.out.c = p.conv.co;
    p.weights = (size_t)(p.conv.co * p.conv.ci * p.conv.kernel * p.conv.kernel);
    return p;
}

/* Without its operands. */
static inline conv_problem conv_at(int problem) {
    uint64_t seed = (uint64_t)problem + 1;
    conv_problem p;
    if (problem < CONV_CASES)
        p = size_conv(conv_cases[problem]);
    else
        do
            p = size_conv(draw_conv(&seed));
        while (conv_work(&p) > 3e6);
    p.planned += problem % 4 == 3 ? 40 : 0;
    p.add = problem % 3 == 1;
    p.exact = problem >= CONV_CUT && problem % 2;
    return p;
}

static inline void draw_conv_operands(conv_problem *p, uint64_t seed) {
    double *(*draw)(uint64_t *, size_t) = p->exact ? whole_reals : rough_reals;
    p->x = draw(&seed, shape_reals(p->in));
    p->w = draw(&seed, p->weights);
    p->dy = draw(&seed, shape_reals(p->out));
    p->dx = p->add ? draw(&seed, shape_reals(p->in)) : NULL;
    p->dw = p->add ? draw(&seed, p->weights) : NULL;
}

static inline conv_problem make_conv(int problem) {
    conv_problem p = conv_at(problem);
    draw_conv_operands(&p, (uint64_t)problem);
    return p;
}

static inline void free_conv(conv_problem *p) {
    free(p->x), free(p->w), free(p->dy), free(p->dx), free(p->dw);
}

/* Each product of a pixel of the result, a pixel and a weight, once. */
static inline void define_conv(const conv_problem *p, results *want) {
    const nnclr_conv c = p->conv;
    const nnclr_shape in = p->in, out = p->out;
    double *y = add_part(want, "y", zero_reals(shape_reals(out)), shape_reals(out), true);
    double *dx = add_part(want, "dx",
                          p->add ? copy_reals(p->dx, shape_reals(in)) : zero_reals(shape_reals(in)),
                          shape_reals(in), true);
    double *dw =
        add_part(want, "dw", p->add ? copy_reals(p->dw, p->weights) : zero_reals(p->weights),
                 p->weights, false);
    const int taps = c.kernel * c.kernel;
    for (int at = 0; at < out.groups * out.n * out.h * out.w; at++)
        for (int tap = 0; tap < taps; tap++) {
            const int iy = at / out.w % out.h * c.stride + tap / c.kernel - c.pad;
            const int ix = at % out.w * c.stride + tap % c.kernel - c.pad;
            if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w)
                continue;
            const size_t from = (size_t)((at / out.w / out.h * in.h + iy) * in.w + ix);
            for (int o = 0; o < c.co; o++)
                for (int i = 0; i < c.ci; i++) {
                    const size_t to_y = (size_t)at * (size_t)c.co + (size_t)o;
                    const size_t to_x = from * (size_t)c.ci + (size_t)i;
                    const size_t to_w = (size_t)((o * c.ci + i) * taps + tap);
                    y[to_y] += p->x[to_x] * p->w[to_w];
                    dx[to_x] += p->dy[to_y] * p->w[to_w];
                    dw[to_w] += p->dy[to_y] * p->x[to_x];
                }
        }
}

/* ---- batch norm ---- */

typedef enum branch { NO_REST, RESIDUAL, SECOND } branch;

typedef struct batchnorm_problem {
    nnclr_shape shape;
    nnclr_kind kind;
    branch rest;
    bool relu, add_residual, add_parameters;
    bool in_place; /* dx is written over dy */
    bool repeated; /* no running statistics */
    bool in_parts; /* running statistics see one picture, then two, then three, ... */
    double *x[2], *gamma[2], *beta[2], *mean[2], *var[2]; /* of main and second */
    double *residual, *dy, *dresidual, *dgamma, *dbeta;   /* the last three: before */
} batchnorm_problem;

/* The first is cut; one with more channels than a stripe, rows, pictures in full tiles. */
static const nnclr_shape norm_shapes[] = {
    {2, 45, 9, 11, 70}, {2, 3, 4, 5, 7},    {1, 33, 3, 3, 16}, {3, 40, 2, 2, 33},
    {2, 9, 1, 1, 1030}, {1, 40, 9, 7, 1},   {2, 63, 5, 4, 64}, {1, 32, 2, 1, 1100},
    {2, 3, 11, 1, 300}, {2, 17, 16, 15, 8}, {1, 2, 1, 1, 513},
};
enum { NORM_SHAPES = sizeof norm_shapes / sizeof norm_shapes[0], NORM_PROBLEMS = 45 };

static inline batchnorm_problem make_batchnorm(int problem) {
    const nnclr_shape shape = norm_shapes[problem > 0 ? 1 + problem % (NORM_SHAPES - 1) : 0];
    const size_t count = shape_reals(shape), c = (size_t)shape.c;
    uint64_t seed = (uint64_t)problem;
    batchnorm_problem p = {.shape = shape,
                           .kind = shape.h == 1 && shape.w == 1 && problem % 2 ? NNCLR_ROWS
                                                                               : NNCLR_ACTIVATION,
                           .rest = (branch)((problem + 2) % 3),
                           .relu = problem / 3 % 2 == 0,
                           .add_residual = problem / 6 % 2,
                           .add_parameters = problem / 3 % 4 == 1,
                           .in_place = problem / 12 % 2,
                           .repeated = problem % 7 == 5,
                           .in_parts = problem % 3 != problem / 8 % 3};
    for (int k = 0; k < 2; k++) {
        p.x[k] = whole_reals(&seed, count);
        for (size_t i = 0; i < count; i++)
            p.x[k][i] += (double)(i % c % 5); /* channels with means of their own */
        p.gamma[k] = random_reals(&seed, c);
        p.beta[k] = random_reals(&seed, c);
        p.mean[k] = random_reals(&seed, c);
        p.var[k] = random_reals(&seed, c);
        for (size_t i = 0; i < c; i++)
            p.var[k][i] = fabs(p.var[k][i]) + 0.5;
        p.gamma[k][0] = p.beta[k][0] = 0; /* a ReLU lets no gradient of 0 through */
    }
    p.residual = whole_reals(&seed, count);
    p.dy = rough_reals(&seed, count);
    p.dresidual = whole_reals(&seed, count);
    p.dgamma = random_reals(&seed, c);
    p.dbeta = random_reals(&seed, c);
    return p;
}

static inline void free_batchnorm(batchnorm_problem *p) {
    for (int k = 0; k < 2; k++)
        free(p->x[k]), free(p->gamma[k]), free(p->beta[k]), free(p->mean[k]), free(p->var[k]);
    free(p->residual), free(p->dy), free(p->dresidual), free(p->dgamma), free(p->dbeta);
}

typedef struct moments {
    double mean, variance;
} moments;

/* Of `rows` numbers, `step` apart. */
static inline moments moments_of(const double *x, size_t rows, size_t step) {
    moments m = {0, 0};
    for (size_t i = 0; i < rows; i++)
        m.mean += x[i * step] / (double)rows;
    for (size_t i = 0; i < rows; i++)
        m.variance += (x[i * step] - m.mean) * (x[i * step] - m.mean) / (double)rows;
    return m;
}

/* y = relu?( (x - mean) / sqrt(variance + 1e-5) * gamma + beta + rest ), by group and channel */
static inline void define_batchnorm(const batchnorm_problem *p, results *want) {
    static const char *const names[2][5] = {{"mean", "var", "dgamma", "dbeta", "dx"},
                                            {"mean 2", "var 2", "dgamma 2", "dbeta 2", "dx 2"}};
    const size_t c = (size_t)p->shape.c, count = shape_reals(p->shape);
    const size_t rows = count / c / (size_t)p->shape.groups, groups = (size_t)p->shape.groups;
    const int branches = p->rest == SECOND ? 2 : 1;
    const bool stored = p->kind == NNCLR_ACTIVATION;
    double *still = add_part(want, "evaluated", zero_reals(count), count, stored);
    double *y = add_part(want, "y", zero_reals(count), count, stored), *dz = zero_reals(count);
    for (int k = 0; k < branches; k++)
        for (size_t at = 0; at < groups * c; at++) {
            const size_t i = at % c, first = at / c * rows * c + i;
            const moments m = moments_of(p->x[k] + first, rows, c);
            for (size_t to = first; to < first + rows * c; to += c) {
                y[to] += (p->x[k][to] - m.mean) / sqrt(m.variance + 1e-5) * p->gamma[k][i] +
                         p->beta[k][i];
                still[to] +=
                    (p->x[k][to] - p->mean[k][i]) / sqrt(p->var[k][i] + 1e-5) * p->gamma[k][i] +
                    p->beta[k][i];
            }
        }
    for (size_t at = 0; at < count; at++) {
        const double rest = p->rest == RESIDUAL ? p->residual[at] : 0;
        y[at] = p->relu ? fmax(y[at] + rest, 0) : y[at] + rest;
        still[at] = p->relu ? fmax(still[at] + rest, 0) : still[at] + rest;
        dz[at] = p->relu && y[at] <= 0 ? 0 : p->dy[at];
    }
    for (int k = 0; k < branches; k++) {
        double *mean = add_part(want, names[k][0], copy_reals(p->mean[k], c), c, false);
        double *var = add_part(want, names[k][1], copy_reals(p->var[k], c), c, false);
        double *dgamma = add_part(want, names[k][2], zero_reals(c), c, false);
        double *dbeta = add_part(want, names[k][3], zero_reals(c), c, false);
        double *dx = add_part(want, names[k][4], zero_reals(count), count, stored);
        for (size_t i = 0; p->add_parameters && i < c; i++)
            dgamma[i] = p->dgamma[i], dbeta[i] = p->dbeta[i];
        for (size_t at = 0; at < groups * c; at++) {
            const size_t i = at % c, first = at / c * rows * c + i;
            const moments m = moments_of(p->x[k] + first, rows, c);
            const double n = (double)rows, inverse = 1 / sqrt(m.variance + 1e-5);
            double sum = 0, along = 0;
            if (!p->repeated) { /* the groups one after another, with the unbiased variance */
                mean[i] = 0.9 * mean[i] + 0.1 * m.mean;
                var[i] = 0.9 * var[i] + 0.1 * m.variance * n / (n - 1);
            }
            for (size_t to = first; to < first + rows * c; to += c) {
                sum += dz[to];
                along += dz[to] * (p->x[k][to] - m.mean) * inverse;
            }
            dbeta[i] += sum;
            dgamma[i] += along;
            for (size_t to = first; to < first + rows * c; to += c)
                dx[to] = p->gamma[k][i] * inverse *
                         (dz[to] - sum / n - (p->x[k][to] - m.mean) * inverse * along / n);
        }
    }
    if (p->rest == RESIDUAL)
        add_part(want, "dresidual", moved(dz, p->add_residual, p->dresidual, count), count, stored);
    free(dz);
}

/* ---- pooling ---- */

typedef struct pool_problem {
    nnclr_shape in, out, mean;
    bool add;
    double *x, *dy, *dmean, *dx; /* dx: before */
} pool_problem;

enum { POOL_PROBLEMS = 14 };

static inline pool_problem make_pool(int problem) {
    static const nnclr_shape shapes[] = {{1, 33, 11, 9, 40}, {2, 2, 8, 8, 5},   {1, 3, 7, 9, 3},
                                         {2, 17, 1, 2, 16},  {1, 2, 5, 4, 600}, {2, 3, 7, 6, 8},
                                         {2, 32, 5, 5, 64}};
    const nnclr_shape in = shapes[problem % 7];
    uint64_t seed = (uint64_t)problem;
    pool_problem p = {
        .in = in, .out = in, .mean = {in.groups, in.n, 1, 1, in.c}, .add = problem >= 7};
    p.out.h = (in.h + 1) / 2;
    p.out.w = (in.w + 1) / 2;
    p.x = whole_reals(&seed, shape_reals(in));
    for (size_t i = 0; i < shape_reals(in); i++)
        p.x[i] = (double)(int)(2 * p.x[i]) / 2; /* many equal ones */
    p.dy = whole_reals(&seed, shape_reals(p.out));
    p.dmean = rough_reals(&seed, shape_reals(p.mean));
    p.dx = whole_reals(&seed, shape_reals(in));
    return p;
}

static inline void free_pool(pool_problem *p) {
    free(p->x), free(p->dy), free(p->dmean), free(p->dx);
}

/* The largest of 3 x 3 pixels around every other one: the gradient goes to the first of the largest
 * in row-major order. */
static inline void define_maxpool(const pool_problem *p, results *want) {
    const nnclr_shape in = p->in, out = p->out;
    double *y = add_part(want, "y", zero_reals(shape_reals(out)), shape_reals(out), true);
    double *dx = add_part(want, "dx", moved(p->dx, p->add - 1.0, p->dx, shape_reals(in)),
                          shape_reals(in), true);
    want->exact = true;
    for (int at = 0; at < (int)shape_reals(out); at++) {
        const int c = at % out.c, ox = at / out.c % out.w, oy = at / out.c / out.w % out.h;
        int best = -1;
        for (int tap = 0; tap < 9; tap++) {
            const int iy = 2 * oy + tap / 3 - 1, ix = 2 * ox + tap % 3 - 1;
            const int from = ((at / out.c / out.w / out.h * in.h + iy) * in.w + ix) * in.c + c;
            if (iy >= 0 && iy < in.h && ix >= 0 && ix < in.w &&
                (best < 0 || p->x[from] > p->x[best]))
                best = from;
        }
        y[at] = p->x[best];
        dx[best] += p->dy[at];
    }
}

/* The mean over the pixels of each picture and channel. */
static inline void define_average(const pool_problem *p, results *want) {
    const size_t count = shape_reals(p->in), c = (size_t)p->in.c;
    const size_t pixels = (size_t)(p->in.h * p->in.w);
    double *y = add_part(want, "y", zero_reals(shape_reals(p->mean)), shape_reals(p->mean), false);
    double *dx = add_part(want, "dx", zero_reals(count), count, true);
    for (size_t i = 0; i < count; i++) {
        const size_t at = i / (pixels * c) * c + i % c;
        y[at] += p->x[i] / (double)pixels;
        dx[i] = p->dmean[at] / (double)pixels + (p->add ? p->dx[i] : 0);
    }
}

#endif
