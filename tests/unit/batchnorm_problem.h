/* A batch norm with what surrounds it, on random operands: by the formulas in double, and through
 * an engine. */
#ifndef NNCLR_TESTS_BATCHNORM_PROBLEM_H
#define NNCLR_TESTS_BATCHNORM_PROBLEM_H

#include "tests/unit/engine_fixture.h"

typedef enum branch { NO_REST, RESIDUAL, SECOND } branch;

typedef struct problem {
    nnclr_shape shape;
    branch rest;
    bool relu, add_residual, in_place; /* in_place: dx is written over dy */
    bool add_parameters, repeated;     /* repeated: no running statistics */
    bool in_parts; /* running statistics see one picture, then two, then three, ... */
    double *x[2], *gamma[2], *beta[2], *mean[2], *var[2]; /* of main and second */
    double *residual, *dy, *old_dresidual, *old_dgamma, *old_dbeta;
} problem;

typedef struct results {
    double *y, *evaluated, *mean[2], *var[2], *dgamma[2], *dbeta[2], *dx[2], *dresidual;
} results;

enum { PARTS = 13 };

static inline void list_parts(results *r, double **parts[PARTS]) {
    double **all[PARTS] = {&r->y,      &r->evaluated, &r->mean[0],   &r->mean[1],  &r->var[0],
                           &r->var[1], &r->dgamma[0], &r->dgamma[1], &r->dbeta[0], &r->dbeta[1],
                           &r->dx[0],  &r->dx[1],     &r->dresidual};
    memcpy(parts, all, sizeof all);
}

static const char *const part_names[PARTS] = {"y",    "evaluated", "mean",     "mean2", "var",
                                              "var2", "dgamma",    "dgamma2",  "dbeta", "dbeta2",
                                              "dx",   "dx2",       "dresidual"};

static inline size_t part_size(const problem *p, int part) {
    bool picture = part < 2 || part >= 10;
    return picture ? shape_reals(p->shape) : (size_t)p->shape.c;
}

static inline void free_results(results *r) {
    double **parts[PARTS];
    list_parts(r, parts);
    for (int i = 0; i < PARTS; i++)
        free(*parts[i]);
}

static inline problem make_problem(nnclr_shape shape, branch rest, bool relu, uint64_t seed) {
    size_t count = shape_reals(shape), c = (size_t)shape.c;
    problem p = {.shape = shape, .rest = rest, .relu = relu};
    for (int k = 0; k < 2; k++) {
        p.x[k] = random_reals(&seed, count);
        for (size_t i = 0; i < count; i++)
            p.x[k][i] += (double)(i % c % 5); /* channels with means of their own */
        p.gamma[k] = random_reals(&seed, c);
        p.beta[k] = random_reals(&seed, c);
        p.mean[k] = random_reals(&seed, c);
        p.var[k] = random_reals(&seed, c);
        for (size_t i = 0; i < c; i++)
            p.var[k][i] = fabs(p.var[k][i]) + 0.5;
    }
    p.residual = random_reals(&seed, count);
    p.dy = random_reals(&seed, count);
    p.old_dresidual = random_reals(&seed, count);
    p.old_dgamma = random_reals(&seed, c);
    p.old_dbeta = random_reals(&seed, c);
    return p;
}

static inline void free_problem(problem *p) {
    for (int k = 0; k < 2; k++)
        free(p->x[k]), free(p->gamma[k]), free(p->beta[k]), free(p->mean[k]), free(p->var[k]);
    free(p->residual), free(p->dy), free(p->old_dresidual), free(p->old_dgamma), free(p->old_dbeta);
}

/* ---- the formulas ---- */

typedef struct moments {
    double mean, variance;
} moments;

static inline moments channel_moments(const problem *p, int k, int group, size_t channel) {
    size_t c = (size_t)p->shape.c, rows = shape_reals(p->shape) / c / (size_t)p->shape.groups;
    const double *x = p->x[k] + (size_t)group * rows * c + channel;
    double mean = 0, variance = 0;
    for (size_t i = 0; i < rows; i++)
        mean += x[i * c] / (double)rows;
    for (size_t i = 0; i < rows; i++)
        variance += (x[i * c] - mean) * (x[i * c] - mean) / (double)rows;
    return (moments){mean, variance};
}

static inline double rectified(double v, bool relu) {
    return relu && v < 0 ? 0 : v;
}

static inline results reference(const problem *p) {
    size_t c = (size_t)p->shape.c, count = shape_reals(p->shape);
    size_t rows = count / c / (size_t)p->shape.groups;
    int branches = p->rest == SECOND ? 2 : 1;
    results r = {0};
    double **parts[PARTS];
    list_parts(&r, parts);
    for (int i = 0; i < PARTS; i++)
        *parts[i] = zero_reals(part_size(p, i));
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < c; i++)
            r.mean[k][i] = p->mean[k][i], r.var[k][i] = p->var[k][i];
    for (int k = 0; k < branches && p->add_parameters; k++)
        for (size_t i = 0; i < c; i++)
            r.dgamma[k][i] = p->old_dgamma[i], r.dbeta[k][i] = p->old_dbeta[i];
    for (size_t sample = 0; sample < (size_t)(p->shape.groups * branches) * c; sample++) {
        int group = (int)(sample / c) % p->shape.groups, k = (int)(sample / c) / p->shape.groups;
        size_t i = sample % c, first = (size_t)group * rows * c + i;
        moments m = channel_moments(p, k, group, i);
        for (size_t at = first; at < first + rows * c; at += c) {
            r.y[at] +=
                (p->x[k][at] - m.mean) / sqrt(m.variance + 1e-5) * p->gamma[k][i] + p->beta[k][i];
            r.evaluated[at] +=
                (p->x[k][at] - p->mean[k][i]) / sqrt(p->var[k][i] + 1e-5) * p->gamma[k][i] +
                p->beta[k][i];
        }
    }
    for (size_t at = 0; at < count; at++) {
        if (p->rest == RESIDUAL)
            r.y[at] += p->residual[at], r.evaluated[at] += p->residual[at];
        r.y[at] = rectified(r.y[at], p->relu);
        r.evaluated[at] = rectified(r.evaluated[at], p->relu);
    }
    for (int group = 0; group < p->shape.groups; group++) {
        size_t first = (size_t)group * rows * c;
        for (int k = 0; k < branches; k++) {
            for (size_t i = 0; i < c; i++) {
                moments m = channel_moments(p, k, group, i);
                double n = (double)rows, unbiased = rows > 1 ? m.variance * n / (n - 1) : 0;
                double inverse = 1 / sqrt(m.variance + 1e-5), sum = 0, along = 0;
                if (!p->repeated) {
                    r.mean[k][i] = 0.9 * r.mean[k][i] + 0.1 * m.mean;
                    r.var[k][i] = 0.9 * r.var[k][i] + 0.1 * unbiased;
                }
                for (size_t at = first + i; at < first + rows * c; at += c) {
                    double dz = p->relu && r.y[at] <= 0 ? 0 : p->dy[at];
                    sum += dz;
                    along += dz * (p->x[k][at] - m.mean) * inverse;
                }
                r.dbeta[k][i] += sum;
                r.dgamma[k][i] += along;
                for (size_t at = first + i; at < first + rows * c; at += c) {
                    double dz = p->relu && r.y[at] <= 0 ? 0 : p->dy[at];
                    double normal = (p->x[k][at] - m.mean) * inverse;
                    r.dx[k][at] = p->gamma[k][i] * inverse * (dz - sum / n - normal * along / n);
                }
            }
        }
    }
    for (size_t at = 0; p->rest == RESIDUAL && at < count; at++)
        r.dresidual[at] = (p->relu && r.y[at] <= 0 ? 0 : p->dy[at]) +
                          (p->add_residual ? p->old_dresidual[at] : 0);
    return r;
}

/* ---- through the engine ---- */

static inline nnclr_batchnorm make_branch(fixture *f, const problem *p, int k, nnclr_tensor *x,
                                          nnclr_tensor *dx) {
    size_t c = (size_t)p->shape.c;
    size_t bytes = f->t->statistics_bytes(&f->g, p->shape.groups, p->shape.c);
    *x = fixture_tensor(f, p->shape, p->x[k]);
    return (nnclr_batchnorm){.x = x,
                             .gamma = fixture_reals(f, p->gamma[k], c),
                             .beta = fixture_reals(f, p->beta[k], c),
                             .running_mean = fixture_reals(f, p->mean[k], c),
                             .running_var = fixture_reals(f, p->var[k], c),
                             .sums = fixture_alloc(f, bytes),
                             .saved = fixture_alloc(f, bytes),
                             .n = p->shape.n,
                             .slopes = fixture_alloc(f, bytes),
                             .dgamma = fixture_reals(f, p->old_dgamma, c),
                             .dbeta = fixture_reals(f, p->old_dbeta, c),
                             .add_parameters = p->add_parameters,
                             .dx = dx};
}

/* Pictures [first, first + n) of each group as a tensor of their own. */
static inline nnclr_tensor part_of(fixture *f, const problem *p, int k, int first, int n) {
    nnclr_shape part = p->shape;
    part.n = n;
    size_t picture = shape_reals(p->shape) / (size_t)nnclr_shape_pictures(p->shape);
    double *reals = zero_reals(shape_reals(part));
    for (int group = 0; group < part.groups; group++)
        memcpy(reals + (size_t)(group * n) * picture,
               p->x[k] + (size_t)(group * p->shape.n + first) * picture,
               (size_t)n * picture * sizeof *reals);
    nnclr_tensor x = fixture_tensor(f, part, reals);
    free(reals);
    return x;
}

/* The running statistics of `bn` by parts of the batch, the last pictures first. */
static inline void train_in_parts(fixture *f, const problem *p, const nnclr_batchnorm bn[2]) {
    int branches = p->rest == SECOND ? 2 : 1;
    size_t bytes = f->t->statistics_bytes(&f->g, p->shape.groups, p->shape.c);
    void *pool[2] = {fixture_alloc(f, bytes), fixture_alloc(f, bytes)};
    for (int k = 0; k < branches; k++) /* left by a step before, which must not matter */
        f->t->copy(&f->g, pool[k], bn[k].sums, bytes);
    for (int done = 0, size = 1; done < p->shape.n; done += size++) {
        if (size > p->shape.n - done)
            size = p->shape.n - done;
        nnclr_tensor x[2];
        nnclr_batchnorm part[2] = {bn[0], bn[1]};
        for (int k = 0; k < branches; k++) {
            x[k] = part_of(f, p, k, p->shape.n - done - size, size);
            part[k].x = &x[k];
            part[k].pool = pool[k];
            part[k].pooled = done;
            part[k].saved = fixture_alloc(f, bytes);
            part[k].n = size;
            if (done + size < p->shape.n)
                part[k].running_mean = part[k].running_var = NULL;
            f->t->batchnorm_sums(&f->g, &x[k], part[k].sums);
        }
        nnclr_shape shape = x[0].shape;
        nnclr_tensor y = fixture_tensor(f, shape, NULL), zeros = fixture_tensor(f, shape, NULL);
        nnclr_batchnorm_call call = {.main = part[0],
                                     .residual = p->rest == RESIDUAL ? &zeros : NULL,
                                     .second = p->rest == SECOND ? &part[1] : NULL,
                                     .relu = p->relu,
                                     .y = &y};
        f->t->batchnorm_train(&f->g, &call);
    }
}

static inline results compute(fixture *f, const problem *p) {
    nnclr_engine *g = &f->g;
    size_t c = (size_t)p->shape.c;
    int branches = p->rest == SECOND ? 2 : 1;
    nnclr_tensor x[2], y = fixture_tensor(f, p->shape, NULL);
    nnclr_tensor residual = fixture_tensor(f, p->shape, p->residual);
    nnclr_tensor dy = fixture_tensor(f, p->shape, p->dy);
    nnclr_tensor dresidual = fixture_tensor(f, p->shape, p->add_residual ? p->old_dresidual : NULL);
    nnclr_tensor dx[2] = {p->in_place ? dy : fixture_tensor(f, p->shape, NULL),
                          fixture_tensor(f, p->shape, NULL)};
    nnclr_batchnorm bn[2] = {0};
    for (int k = 0; k < branches; k++)
        bn[k] = make_branch(f, p, k, &x[k], &dx[k]);
    nnclr_batchnorm_call call = {.main = bn[0],
                                 .residual = p->rest == RESIDUAL ? &residual : NULL,
                                 .second = p->rest == SECOND ? &bn[1] : NULL,
                                 .relu = p->relu,
                                 .y = &y,
                                 .dy = &dy,
                                 .dresidual = p->rest == RESIDUAL ? &dresidual : NULL,
                                 .add_residual = p->add_residual};
    results r = {0};
    f->t->batchnorm_evaluate(g, &call);
    r.evaluated = host_tensor(f, &y);
    if (p->in_parts && !p->repeated)
        train_in_parts(f, p, bn);
    for (int k = 0; k < branches; k++)
        f->t->batchnorm_sums(g, &x[k], bn[k].sums);
    nnclr_batchnorm_call train = call;
    nnclr_batchnorm second = bn[1];
    if (p->repeated || p->in_parts) {
        train.main.running_mean = train.main.running_var = NULL;
        second.running_mean = second.running_var = NULL;
        train.second = call.second ? &second : NULL;
    }
    f->t->batchnorm_train(g, &train);
    r.y = host_tensor(f, &y);
    f->t->batchnorm_slopes(g, &call);
    f->t->batchnorm_backward(g, &call);
    for (int k = 0; k < 2; k++) {
        bool there = k < branches;
        r.mean[k] = there ? host_reals(f, bn[k].running_mean, c) : NULL;
        r.var[k] = there ? host_reals(f, bn[k].running_var, c) : NULL;
        r.dgamma[k] = there ? host_reals(f, bn[k].dgamma, c) : NULL;
        r.dbeta[k] = there ? host_reals(f, bn[k].dbeta, c) : NULL;
        r.dx[k] = there ? host_tensor(f, &dx[k]) : NULL;
    }
    r.dresidual = p->rest == RESIDUAL ? host_tensor(f, &dresidual) : NULL;
    return r;
}

#endif
