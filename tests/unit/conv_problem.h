/* A convolution with random operands: by its definition in double, and through an engine. */
#ifndef NNCLR_TESTS_CONV_PROBLEM_H
#define NNCLR_TESTS_CONV_PROBLEM_H

#include "tests/unit/engine_fixture.h"

typedef struct problem {
    nnclr_conv conv;
    nnclr_shape in, out;
    double *x, *w, *dy, *old_dx, *old_dw;
} problem;

typedef struct results {
    double *y, *sums, *dx, *dw;
} results;

static inline size_t weight_count(const nnclr_conv *c) {
    return (size_t)(c->co * c->ci * c->kernel * c->kernel);
}

static inline problem make_problem(nnclr_conv conv, nnclr_shape in, uint64_t seed) {
    nnclr_shape out = in;
    out.h = (in.h + 2 * conv.pad - conv.kernel) / conv.stride + 1;
    out.w = (in.w + 2 * conv.pad - conv.kernel) / conv.stride + 1;
    out.c = conv.co;
    problem p = {.conv = conv, .in = in, .out = out};
    p.x = random_reals(&seed, shape_reals(in));
    p.w = random_reals(&seed, weight_count(&conv));
    p.dy = random_reals(&seed, shape_reals(out));
    p.old_dx = random_reals(&seed, shape_reals(in));
    p.old_dw = random_reals(&seed, weight_count(&conv));
    return p;
}

static inline void free_problem(problem *p) {
    free(p->x), free(p->w), free(p->dy), free(p->old_dx), free(p->old_dw);
}

static inline void free_results(results *r) {
    free(r->y), free(r->sums), free(r->dx), free(r->dw);
}

/* The definition: each product of an output pixel, an input pixel and a weight, once. */
static inline results reference(const problem *p, bool add) {
    nnclr_conv c = p->conv;
    nnclr_shape in = p->in, out = p->out;
    results r = {zero_reals(shape_reals(out)), zero_reals((size_t)(out.groups * 2 * out.c)),
                 zero_reals(shape_reals(in)), zero_reals(weight_count(&c))};
    for (size_t i = 0; add && i < shape_reals(in); i++)
        r.dx[i] = p->old_dx[i];
    for (size_t i = 0; add && i < weight_count(&c); i++)
        r.dw[i] = p->old_dw[i];
    for (int n = 0; n < out.groups * out.n; n++)
        for (int oy = 0; oy < out.h; oy++)
            for (int ox = 0; ox < out.w; ox++)
                for (int ky = 0; ky < c.kernel; ky++)
                    for (int kx = 0; kx < c.kernel; kx++) {
                        int iy = oy * c.stride + ky - c.pad, ix = ox * c.stride + kx - c.pad;
                        if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w)
                            continue;
                        for (int o = 0; o < c.co; o++)
                            for (int i = 0; i < c.ci; i++) {
                                int at_y = ((n * out.h + oy) * out.w + ox) * c.co + o;
                                int at_x = ((n * in.h + iy) * in.w + ix) * c.ci + i;
                                int at_w = ((o * c.ci + i) * c.kernel + ky) * c.kernel + kx;
                                r.y[at_y] += p->x[at_x] * p->w[at_w];
                                r.dx[at_x] += p->dy[at_y] * p->w[at_w];
                                r.dw[at_w] += p->dy[at_y] * p->x[at_x];
                            }
                    }
    for (size_t i = 0; i < shape_reals(out); i++) {
        size_t group = i / (shape_reals(out) / (size_t)out.groups), k = i % (size_t)out.c;
        r.sums[group * 2 * (size_t)out.c + k] += r.y[i];
        r.sums[(group * 2 + 1) * (size_t)out.c + k] += r.y[i] * r.y[i];
    }
    return r;
}

/* Through the engine, with a plan made for `planned` pictures per group. */
static inline results compute(fixture *f, const problem *p, bool add, int planned) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_engine *g = &f->g;
    nnclr_shape plan_in = p->in;
    plan_in.n = planned;
    nnclr_conv_plan *plan = f->t->conv_plan(g, &p->conv, plan_in, &e);
    CHECK_SAYS(plan, "%s", e.message);
    CHECK(plan->out.h == p->out.h && plan->out.w == p->out.w && plan->out.c == p->out.c &&
          plan->out.n == planned);
    void *packed = fixture_alloc(f, plan->packed_bytes);
    void *workspace = fixture_alloc(f, plan->workspace_bytes);
    memset(workspace, 0xff, plan->workspace_bytes);
    size_t sums_bytes = f->t->statistics_bytes(g, p->out.groups, p->out.c);
    CHECK(sums_bytes == (size_t)(p->out.groups * 2 * p->out.c) * sizeof(double));
    double *sums = fixture_alloc(f, sums_bytes);
    memset(sums, 0xff, sums_bytes);
    void *w = fixture_reals(f, p->w, weight_count(&p->conv));
    void *dw = fixture_reals(f, add ? p->old_dw : NULL, weight_count(&p->conv));
    nnclr_tensor x = fixture_pictures(f, p->in, p->x), dy = fixture_pictures(f, p->out, p->dy);
    nnclr_tensor y = fixture_pictures(f, p->out, NULL);
    nnclr_tensor dx = fixture_pictures(f, p->in, add ? p->old_dx : NULL);
    f->t->conv_pack(g, plan, w, packed);
    f->t->conv_forward(g, plan, &x, packed, &y, sums, workspace);
    f->t->conv_backward_data(g, plan, &dy, packed, &dx, add, workspace);
    f->t->conv_backward_weights(g, plan, &x, &dy, dw, add, workspace);
    results r = {.y = host_tensor(f, &y),
                 .sums = zero_reals((size_t)(p->out.groups * 2 * p->out.c)),
                 .dx = host_tensor(f, &dx),
                 .dw = host_reals(f, dw, weight_count(&p->conv))};
    memcpy(r.sums, sums, sums_bytes);
    f->t->conv_plan_free(g, plan);
    return r;
}

#endif
