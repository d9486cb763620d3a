/* Batch norm with residual, second batch norm and ReLU: against the formulas in double, finite
 * differences, and for equal bits with any number of threads. */
#include "tests/unit/batchnorm_problem.h"

static void agrees_with_the_formulas(void) {
    const nnclr_shape shapes[] = {{2, 3, 4, 5, 7},    {1, 2, 3, 3, 16},  {3, 20, 2, 2, 33},
                                  {2, 9, 1, 1, 1030}, {1, 40, 9, 7, 1},  {2, 6, 16, 15, 20},
                                  {1, 2, 1, 1, 513},  {2, 3, 11, 1, 300}};
    for (int i = 0; i < 48; i++) {
        problem p = make_problem(shapes[i % 8], (branch)(i % 3), i / 3 % 2, (uint64_t)i);
        p.add_residual = i / 6 % 2;
        p.in_place = i / 12 % 2;
        p.add_parameters = i / 3 % 4 == 1;
        p.repeated = i % 7 == 2;
        p.in_parts = i % 3 != i / 8 % 3;
        bool exact = i % 5 != 0;
        fixture f;
        fixture_open(&f, exact ? NNCLR_PRECISION_F64 : NNCLR_PRECISION_F32, 2);
        results want = reference(&p), got = compute(&f, &p);
        double **wanted[PARTS], **parts[PARTS];
        list_parts(&want, wanted);
        list_parts(&got, parts);
        for (int k = 0; k < PARTS; k++)
            if (*parts[k])
                check_close(part_names[k], *parts[k], *wanted[k], part_size(&p, k),
                            exact ? 1e-10 : 1e-4);
        free_results(&want);
        free_results(&got);
        free_problem(&p);
        fixture_close(&f);
    }
}

static double loss(fixture *f, const problem *p) {
    results r = compute(f, p);
    double sum = dot_product(r.y, p->dy, shape_reals(p->shape));
    free_results(&r);
    return sum;
}

static void check_direction(fixture *f, problem *p, double **what, size_t count,
                            const double *gradient) {
    const double step = 1e-5;
    uint64_t seed = count;
    double *along = random_reals(&seed, count), *here = *what;
    double losses[2];
    for (int side = 0; side < 2; side++) {
        *what = moved(here, side ? step : -step, along, count);
        losses[side] = loss(f, p);
        free(*what);
    }
    *what = here;
    CHECK_NEAR((losses[1] - losses[0]) / (2 * step), dot_product(gradient, along, count), 1e-6);
    free(along);
}

static void gradients_are_finite_differences(void) {
    for (int relu = 0; relu < 2; relu++) {
        fixture f;
        fixture_open(&f, NNCLR_PRECISION_F64, 1);
        problem p = make_problem((nnclr_shape){2, 3, 3, 2, 5}, SECOND, relu, 21);
        results r = compute(&f, &p);
        for (int k = 0; k < 2; k++) {
            check_direction(&f, &p, &p.x[k], shape_reals(p.shape), r.dx[k]);
            check_direction(&f, &p, &p.gamma[k], 5, r.dgamma[k]);
            check_direction(&f, &p, &p.beta[k], 5, r.dbeta[k]);
        }
        free_results(&r);
        p.rest = RESIDUAL;
        r = compute(&f, &p);
        check_direction(&f, &p, &p.residual, shape_reals(p.shape), r.dresidual);
        free_results(&r);
        free_problem(&p);
        fixture_close(&f);
    }
}

static void threads_change_no_bit(void) {
    problem p = make_problem((nnclr_shape){2, 13, 27, 29, 20}, SECOND, true, 5);
    results first = {0};
    for (int threads = 1; threads <= 4; threads++) {
        fixture f;
        fixture_open(&f, NNCLR_PRECISION_F32, threads);
        results r = compute(&f, &p);
        fixture_close(&f);
        if (threads == 1) {
            first = r;
            continue;
        }
        double **a[PARTS], **b[PARTS];
        list_parts(&first, a);
        list_parts(&r, b);
        for (int k = 0; k < PARTS; k++)
            if (*a[k])
                CHECK_SAYS(memcmp(*a[k], *b[k], part_size(&p, k) * sizeof(double)) == 0,
                           "%s differs with %d threads", part_names[k], threads);
        free_results(&r);
    }
    free_results(&first);
    free_problem(&p);
}

/* A mean far above the deviation: sums of squares in float would lose all of the variance. */
static void large_means_keep_their_variance(void) {
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F32, 1);
    problem p = make_problem((nnclr_shape){1, 64, 4, 4, 3}, NO_REST, false, 9);
    for (size_t i = 0; i < shape_reals(p.shape); i++)
        p.x[0][i] = p.x[0][i] + 2000;
    results want = reference(&p), got = compute(&f, &p);
    check_close("y", got.y, want.y, shape_reals(p.shape), 1e-3);
    check_close("var", got.var[0], want.var[0], 3, 1e-6);
    free_results(&got);
    p.in_parts = true;
    got = compute(&f, &p);
    check_close("var of parts", got.var[0], want.var[0], 3, 1e-6);
    free_results(&want);
    free_results(&got);
    free_problem(&p);
    fixture_close(&f);
}

/* Statistics of the cpu engine are doubles in memory of the host. */
static void add_up(double *a, double *b, size_t count) {
    for (size_t i = 0; i < count; i++)
        a[i] = b[i] = a[i] + b[i];
}

/* Two workers with a part of a batch each, who add their sums and slopes to each other's, have what
 * one has with all of it; each has its own part of the parameters' gradients. */
static void shares_make_the_whole(void) {
    enum { C = 5, N = 6, PICTURE = 3 * 2 * C };
    static const int first[2] = {0, 2}, size[2] = {2, 4};
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F64, 1);
    problem p = make_problem((nnclr_shape){1, N, 3, 2, C}, NO_REST, true, 31);
    results whole = compute(&f, &p);
    nnclr_tensor x[2], y[2], dy[2], dx[2];
    nnclr_batchnorm_call call[2];
    for (int i = 0; i < 2; i++) {
        problem share = p;
        share.shape.n = size[i];
        share.x[0] += first[i] * PICTURE;
        y[i] = fixture_tensor(&f, share.shape, NULL);
        dy[i] = fixture_tensor(&f, share.shape, p.dy + first[i] * PICTURE);
        dx[i] = fixture_tensor(&f, share.shape, NULL);
        call[i] = (nnclr_batchnorm_call){.main = make_branch(&f, &share, 0, &x[i], &dx[i]),
                                         .relu = true,
                                         .y = &y[i],
                                         .dy = &dy[i]};
        call[i].main.n = N;
        f.t->batchnorm_sums(&f.g, &x[i], call[i].main.sums);
    }
    add_up(call[0].main.sums, call[1].main.sums, 2 * C);
    for (int i = 0; i < 2; i++) {
        f.t->batchnorm_train(&f.g, &call[i]);
        f.t->batchnorm_slopes(&f.g, &call[i]);
    }
    add_up(call[0].main.slopes, call[1].main.slopes, 2 * C);
    double *dgamma[2], *dbeta[2];
    for (int i = 0; i < 2; i++) {
        size_t at = (size_t)first[i] * PICTURE, count = (size_t)size[i] * PICTURE;
        f.t->batchnorm_backward(&f.g, &call[i]);
        check_close("y", y[i].place, whole.y + at, count, 1e-13);
        check_close("dx", dx[i].place, whole.dx[0] + at, count, 1e-13);
        check_close("mean", call[i].main.running_mean, whole.mean[0], C, 1e-13);
        check_close("var", call[i].main.running_var, whole.var[0], C, 1e-13);
        dgamma[i] = call[i].main.dgamma;
        dbeta[i] = call[i].main.dbeta;
    }
    add_up(dgamma[0], dgamma[1], C);
    add_up(dbeta[0], dbeta[1], C);
    check_close("dgamma", dgamma[0], whole.dgamma[0], C, 1e-13);
    check_close("dbeta", dbeta[0], whole.dbeta[0], C, 1e-13);
    free_results(&whole);
    free_problem(&p);
    fixture_close(&f);
}

int main(void) {
    RUN(agrees_with_the_formulas);
    RUN(gradients_are_finite_differences);
    RUN(threads_change_no_bit);
    RUN(large_means_keep_their_variance);
    RUN(shares_make_the_whole);
    return check_done();
}
