/* Products, linear layers, pooling, normalisation, cross-entropy and gathering against their
 * definitions in double. */
#include <limits.h>

#include "tests/unit/engine_fixture.h"

static void check_reals(fixture *f, const char *what, const void *place, const double *want,
                        size_t count) {
    double *got = host_reals(f, place, count);
    check_close(what, got, want, count, f->tolerance);
    free(got);
}

static void check_tensor(fixture *f, const char *what, const nnclr_tensor *t, const double *want) {
    double *got = host_tensor(f, t);
    check_close(what, got, want, shape_reals(t->shape), f->tolerance);
    free(got);
}

/* ---- products ---- */

static double *naive_gemm(bool ta, bool tb, int m, int n, int k, double alpha, const double *a,
                          const double *b, double beta, const double *c) {
    double *out = zero_reals((size_t)(m * n));
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int l = 0; l < k; l++)
                sum += a[ta ? l * m + i : i * k + l] * b[tb ? j * k + l : l * n + j];
            out[i * n + j] = alpha * sum + (beta != 0 ? beta * c[i * n + j] : 0);
        }
    return out;
}

static void gemm_in_all_forms(void) {
    const int sizes[][3] = {{1, 1, 1}, {5, 7, 3}, {70, 33, 129}, {200, 150, 20}, {2, 300, 64}};
    uint64_t seed = 1;
    for (int i = 0; i < 40; i++) {
        fixture f;
        fixture_open(&f, i % 2 ? NNCLR_PRECISION_F64 : NNCLR_PRECISION_F32, 2);
        const int *s = sizes[i / 8];
        int m = s[0], n = s[1], k = s[2];
        bool ta = i & 1, tb = i & 2, keep = i & 4;
        double *a = random_reals(&seed, (size_t)(m * k)), *b = random_reals(&seed, (size_t)(k * n));
        double *c = random_reals(&seed, (size_t)(m * n));
        double *want = naive_gemm(ta, tb, m, n, k, -1.5, a, b, keep ? .5 : 0, c);
        void *out = fixture_reals(&f, keep ? c : NULL, (size_t)(m * n));
        f.t->gemm(&f.g, ta, tb, m, n, k, -1.5, fixture_reals(&f, a, (size_t)(m * k)),
                  fixture_reals(&f, b, (size_t)(k * n)), keep ? .5 : 0, out);
        check_reals(&f, "c", out, want, (size_t)(m * n));
        free(a), free(b), free(c), free(want);
        fixture_close(&f);
    }
}

static void linear_layers(void) {
    uint64_t seed = 2;
    for (int i = 0; i < 8; i++) {
        fixture f;
        fixture_open(&f, i % 2 ? NNCLR_PRECISION_F64 : NNCLR_PRECISION_F32, 2);
        bool add = i & 2, biased = i & 4;
        const int rows = 2 * 37, in = 50, out = i < 4 ? 9 : 600;
        nnclr_shape sx = {2, 37, 1, 1, in}, sy = {2, 37, 1, 1, out};
        double *x = random_reals(&seed, (size_t)(rows * in));
        double *w = random_reals(&seed, (size_t)(out * in));
        double *b = random_reals(&seed, (size_t)out);
        double *dy = random_reals(&seed, (size_t)(rows * out));
        double *old = random_reals(&seed, (size_t)(rows * in + out * in + out));
        nnclr_tensor tx = fixture_tensor(&f, sx, x), ty = fixture_tensor(&f, sy, NULL);
        nnclr_tensor tdy = fixture_tensor(&f, sy, dy);
        nnclr_tensor tdx = fixture_tensor(&f, sx, add ? old : NULL);
        void *pw = fixture_reals(&f, w, (size_t)(out * in));
        void *pdw = fixture_reals(&f, add ? old : NULL, (size_t)(out * in));
        void *pdb = biased ? fixture_reals(&f, add ? old : NULL, (size_t)out) : NULL;
        f.t->linear_forward(&f.g, &tx, pw, biased ? fixture_reals(&f, b, (size_t)out) : NULL, &ty);
        f.t->linear_backward_data(&f.g, &tdy, pw, &tdx, add);
        f.t->linear_backward_weights(&f.g, &tx, &tdy, pdw, pdb, add);
        double *want = naive_gemm(false, true, rows, out, in, 1, x, w, 0, NULL);
        for (int k = 0; biased && k < rows * out; k++)
            want[k] += b[k % out];
        check_reals(&f, "y", ty.place, want, (size_t)(rows * out));
        free(want);
        want = naive_gemm(false, false, rows, in, out, 1, dy, w, add, old);
        check_reals(&f, "dx", tdx.place, want, (size_t)(rows * in));
        free(want);
        want = naive_gemm(true, false, out, in, rows, 1, dy, x, add, old);
        check_reals(&f, "dw", pdw, want, (size_t)(out * in));
        free(want);
        want = zero_reals((size_t)out);
        for (int k = 0; k < rows * out; k++)
            want[k % out] += dy[k];
        for (int k = 0; add && k < out; k++)
            want[k] += old[k];
        if (biased)
            check_reals(&f, "db", pdb, want, (size_t)out);
        free(want), free(x), free(w), free(b), free(dy), free(old);
        fixture_close(&f);
    }
}

/* ---- pooling ---- */

typedef struct window_maximum {
    double value;
    size_t at; /* its first place */
} window_maximum;

static window_maximum find_maximum(const double *x, nnclr_shape s, int n, int oy, int ox, int c) {
    window_maximum best = {-INFINITY, 0};
    for (int iy = 2 * oy - 1; iy <= 2 * oy + 1; iy++)
        for (int ix = 2 * ox - 1; ix <= 2 * ox + 1; ix++) {
            if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w)
                continue;
            size_t at = (size_t)(((n * s.h + iy) * s.w + ix) * s.c + c);
            if (x[at] > best.value)
                best = (window_maximum){x[at], at};
        }
    return best;
}

static void pooling(void) {
    const nnclr_shape shapes[] = {
        {2, 2, 8, 8, 5}, {1, 3, 7, 9, 3}, {2, 1, 1, 2, 4}, {1, 2, 5, 4, 600}};
    uint64_t seed = 3;
    for (int i = 0; i < 16; i++) {
        fixture f;
        fixture_open(&f, i & 4 ? NNCLR_PRECISION_F64 : NNCLR_PRECISION_F32, 2);
        bool add = i & 8;
        nnclr_shape in = shapes[i % 4], out = in, mean = in;
        out.h = (in.h - 1) / 2 + 1;
        out.w = (in.w - 1) / 2 + 1;
        mean.h = mean.w = 1;
        double *x = random_reals(&seed, shape_reals(in));
        for (size_t k = 0; k < shape_reals(in); k++)
            x[k] = round(x[k] * 2); /* many equal ones */
        double *dy = random_reals(&seed, shape_reals(out));
        double *dmean = random_reals(&seed, shape_reals(mean));
        double *old = random_reals(&seed, shape_reals(in));
        double *y = zero_reals(shape_reals(out)), *average = zero_reals(shape_reals(mean));
        double *dx = zero_reals(shape_reals(in)), *dx2 = zero_reals(shape_reals(in));
        for (size_t k = 0; k < shape_reals(in); k++) {
            size_t at = k / (shape_reals(in) / (size_t)(in.groups * in.n)) * (size_t)in.c +
                        k % (size_t)in.c;
            average[at] += x[k] / (in.h * in.w);
            dx2[k] = dmean[at] / (in.h * in.w) + (add ? old[k] : 0);
            dx[k] = add ? old[k] : 0;
        }
        for (size_t k = 0; k < shape_reals(out); k++) {
            int c = (int)k % out.c, pixel = (int)k / out.c;
            window_maximum m = find_maximum(x, in, pixel / (out.w * out.h), pixel / out.w % out.h,
                                            pixel % out.w, c);
            y[k] = m.value;
            dx[m.at] += dy[k];
        }
        nnclr_tensor tx = fixture_pictures(&f, in, x), ty = fixture_pictures(&f, out, NULL);
        nnclr_tensor tdy = fixture_pictures(&f, out, dy);
        nnclr_tensor tdx = fixture_pictures(&f, in, add ? old : NULL);
        nnclr_tensor tmean = fixture_tensor(&f, mean, NULL);
        nnclr_tensor tdmean = fixture_tensor(&f, mean, dmean);
        nnclr_tensor tdx2 = fixture_pictures(&f, in, add ? old : NULL);
        f.t->maxpool_forward(&f.g, &tx, &ty);
        f.t->maxpool_backward(&f.g, &tx, &tdy, &tdx, add);
        f.t->average_forward(&f.g, &tx, &tmean);
        f.t->average_backward(&f.g, &tdmean, &tdx2, add);
        check_tensor(&f, "maximum", &ty, y);
        check_tensor(&f, "dx of maximum", &tdx, dx);
        check_tensor(&f, "average", &tmean, average);
        check_tensor(&f, "dx of average", &tdx2, dx2);
        free(x), free(dy), free(dmean), free(old), free(y), free(average), free(dx), free(dx2);
        fixture_close(&f);
    }
}

/* ---- normalisation ---- */

static void l2norm_by_formula(void) {
    enum { ROWS = 30, WIDTH = 19 };
    uint64_t seed = 4;
    for (int i = 0; i < 4; i++) {
        fixture f;
        fixture_open(&f, i & 1 ? NNCLR_PRECISION_F64 : NNCLR_PRECISION_F32, 2);
        bool add = i & 2;
        nnclr_shape s = {2, ROWS / 2, 1, 1, WIDTH};
        double *x = random_reals(&seed, ROWS * WIDTH), *dy = random_reals(&seed, ROWS * WIDTH);
        double *old = random_reals(&seed, ROWS * WIDTH);
        double y[ROWS * WIDTH], dx[ROWS * WIDTH], norms[ROWS];
        for (int r = 0; r < ROWS; r++) {
            double *row = x + r * WIDTH, *drow = dy + r * WIDTH;
            norms[r] = sqrt(dot_product(row, row, WIDTH));
            double along = dot_product(row, drow, WIDTH) / norms[r] / norms[r];
            for (int k = 0; k < WIDTH; k++) {
                y[r * WIDTH + k] = row[k] / norms[r];
                dx[r * WIDTH + k] =
                    (drow[k] - row[k] * along) / norms[r] + (add ? old[r * WIDTH + k] : 0);
            }
        }
        nnclr_tensor tx = fixture_tensor(&f, s, x), ty = fixture_tensor(&f, s, NULL);
        nnclr_tensor tdy = fixture_tensor(&f, s, dy);
        nnclr_tensor tdx = fixture_tensor(&f, s, add ? old : NULL);
        void *pnorms = fixture_reals(&f, NULL, ROWS);
        f.t->l2norm_forward(&f.g, &tx, &ty, pnorms);
        f.t->l2norm_backward(&f.g, &ty, pnorms, &tdy, &tdx, add);
        check_reals(&f, "y", ty.place, y, ROWS * WIDTH);
        check_reals(&f, "norms", pnorms, norms, ROWS);
        check_reals(&f, "dx", tdx.place, dx, ROWS * WIDTH);
        free(x), free(dy), free(old);
        fixture_close(&f);
    }
}

/* A row of zeros is divided by 1e-12 and its gradient multiplied by 1e12. */
static void l2norm_of_nothing(void) {
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F32, 1);
    nnclr_shape s = {1, 1, 1, 1, 2};
    const double zeros[2] = {0, 0}, dy[2] = {1, -2}, want[2] = {1e12, -2e12}, norm = 1e-12;
    nnclr_tensor x = fixture_tensor(&f, s, zeros), y = fixture_tensor(&f, s, NULL);
    nnclr_tensor tdy = fixture_tensor(&f, s, dy), dx = fixture_tensor(&f, s, NULL);
    void *norms = fixture_reals(&f, NULL, 1);
    f.t->l2norm_forward(&f.g, &x, &y, norms);
    f.t->l2norm_backward(&f.g, &y, norms, &tdy, &dx, false);
    check_reals(&f, "y", y.place, zeros, 2);
    check_reals(&f, "norms", norms, &norm, 1);
    check_reals(&f, "dx", dx.place, want, 2);
    fixture_close(&f);
}

/* ---- cross-entropy ---- */

typedef struct entropy {
    int rows, columns, target, skip;
    double weight;
} entropy;

static double naive_entropy(entropy s, const double *logits, double *gradient, double *correct) {
    double loss = 0;
    *correct = 0;
    for (int i = 0; i < s.rows; i++) {
        const double *row = logits + i * s.columns;
        int skip = s.skip == INT_MIN ? -1 : i + s.skip, best = -1;
        double sum = 0;
        for (int j = 0; j < s.columns; j++) {
            if (j == skip)
                continue;
            sum += exp(row[j] - row[i + s.target]);
            if (best < 0 || row[j] > row[best])
                best = j;
        }
        loss += s.weight * log(sum) / s.rows;
        *correct += best == i + s.target;
        for (int j = 0; j < s.columns; j++)
            gradient[i * s.columns + j] =
                s.weight / s.rows *
                ((j == skip ? 0 : exp(row[j] - row[i + s.target]) / sum) - (j == i + s.target));
    }
    return loss;
}

/* The engine's gradient in `gradient`; loss and correct start from 1 and 2. */
static double compute_entropy(fixture *f, entropy s, const double *logits, double *gradient,
                              double *correct) {
    const double one = 1, two = 2;
    size_t count = (size_t)(s.rows * s.columns);
    nnclr_cross_entropy_call call = {.logits = fixture_reals(f, logits, count),
                                     .rows = s.rows,
                                     .columns = s.columns,
                                     .target = s.target,
                                     .skip = s.skip,
                                     .weight = s.weight,
                                     .loss = fixture_reals(f, &one, 1),
                                     .correct = correct ? fixture_reals(f, &two, 1) : NULL};
    f->t->cross_entropy(&f->g, &call);
    double loss;
    f->t->get(&f->g, call.loss, 1, NNCLR_F64, &loss);
    if (correct) {
        f->t->get(&f->g, call.correct, 1, NNCLR_F64, correct);
        *correct -= 2;
    }
    f->t->get(&f->g, call.logits, count, NNCLR_F64, gradient);
    return loss - 1;
}

static void cross_entropy_by_formula(void) {
    const entropy cases[] = {{5, 5, 0, INT_MIN, 1}, {40, 80, 40, 0, .5},   {40, 80, 0, 40, .25},
                             {30, 97, 11, 67, .5},  {1, 1, 0, INT_MIN, 1}, {20, 40, 3, 1, 2}};
    uint64_t seed = 5;
    for (int i = 0; i < 24; i++) {
        fixture f;
        fixture_open(&f, i & 1 ? NNCLR_PRECISION_F64 : NNCLR_PRECISION_F32, 2);
        entropy s = cases[i / 4];
        size_t count = (size_t)(s.rows * s.columns);
        double *logits = random_reals(&seed, count);
        for (size_t k = 0; k < count; k++)
            logits[k] = i & 2 ? round(logits[k]) : 8 * logits[k]; /* with equal ones, or wide */
        double *want = zero_reals(count), *got = zero_reals(count), correct, got_correct;
        double loss = naive_entropy(s, logits, want, &correct);
        CHECK_NEAR(compute_entropy(&f, s, logits, got, &got_correct), loss,
                   f.tolerance * (1 + loss));
        CHECK(got_correct == correct);
        check_close("gradient", got, want, count, f.tolerance);
        compute_entropy(&f, s, logits, got, NULL);
        check_close("gradient again", got, want, count, f.tolerance);
        free(logits), free(want), free(got);
        fixture_close(&f);
    }
}

static void cross_entropy_of_extremes(void) {
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F32, 1);
    const double logits[4] = {3000, -3000, 3000, 3000};
    double gradient[4], correct;
    double loss = compute_entropy(&f, (entropy){2, 2, 0, INT_MIN, 1}, logits, gradient, &correct);
    CHECK_NEAR(loss, log(2) / 2, 1e-6);
    CHECK(correct == 1); /* the second row's first of equals is not its target */
    const double want[4] = {0, 0, .25, -.25};
    check_close("gradient", gradient, want, 4, 1e-6);
    fixture_close(&f);
}

/* Row losses of the reference's golden similarity matrix NN1 p2 at three temperatures. */
static void golden_losses(void) {
    const double nn[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    const double p[9] = {.9, 0, .2, .5, 1, .3, .3, 0, 1};
    const double taus[3] = {.1, .2, .5}, want[3] = {.002406, .057686, .385139};
    for (int t = 0; t < 3; t++) {
        fixture f;
        fixture_open(&f, NNCLR_PRECISION_F64, 1);
        double logits[9], gradient[9];
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 3; k++)
                logits[3 * i + k] = dot_product(nn + 3 * i, p + 3 * k, 3) / taus[t] /
                                    sqrt(dot_product(p + 3 * k, p + 3 * k, 3));
        CHECK_NEAR(compute_entropy(&f, (entropy){3, 3, 0, INT_MIN, 1}, logits, gradient, NULL),
                   want[t], 5e-7);
        fixture_close(&f);
    }
}

/* ---- finite differences of the nonlinear ones ---- */

static double norm_loss(fixture *f, nnclr_shape s, const double *x, const double *dy,
                        double *gradient) {
    nnclr_tensor tx = fixture_tensor(f, s, x), ty = fixture_tensor(f, s, NULL);
    nnclr_tensor tdy = fixture_tensor(f, s, dy), tdx = fixture_tensor(f, s, NULL);
    void *norms = fixture_reals(f, NULL, (size_t)nnclr_shape_pictures(s));
    f->t->l2norm_forward(&f->g, &tx, &ty, norms);
    f->t->l2norm_backward(&f->g, &ty, norms, &tdy, &tdx, false);
    f->t->download(&f->g, &tdx, gradient);
    double *y = host_tensor(f, &ty), loss = dot_product(y, dy, shape_reals(s));
    free(y);
    return loss;
}

static void gradients_are_finite_differences(void) {
    enum { COUNT = 60 };
    const double step = 1e-5;
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F64, 1);
    uint64_t seed = 8;
    nnclr_shape s = {1, 5, 1, 1, COUNT / 5};
    entropy shape = {5, COUNT / 5, 4, 1, .5};
    double *x = random_reals(&seed, COUNT), *dy = random_reals(&seed, COUNT);
    double *along = random_reals(&seed, COUNT), gradient[COUNT], unused[COUNT];
    double *up = moved(x, step, along, COUNT), *down = moved(x, -step, along, COUNT);
    norm_loss(&f, s, x, dy, gradient);
    double slope =
        (norm_loss(&f, s, up, dy, unused) - norm_loss(&f, s, down, dy, unused)) / (2 * step);
    CHECK_NEAR(slope, dot_product(gradient, along, COUNT), 1e-8);
    compute_entropy(&f, shape, x, gradient, NULL);
    slope = (compute_entropy(&f, shape, up, unused, NULL) -
             compute_entropy(&f, shape, down, unused, NULL)) /
            (2 * step);
    CHECK_NEAR(slope, dot_product(gradient, along, COUNT), 1e-8);
    free(x), free(dy), free(along), free(up), free(down);
    fixture_close(&f);
}

/* ---- the rest ---- */

static void gather_rows(void) {
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F32, 2);
    const double table[6] = {1, 2, 3, 4, 5, 6}, want[6] = {5, 6, 0, 0, 1, 2};
    const int32_t picks[3] = {2, -1, 0};
    void *place = fixture_alloc(&f, sizeof picks), *y = fixture_reals(&f, NULL, 6);
    f.t->put_picks(&f.g, place, 3, picks);
    f.t->gather(&f.g, fixture_reals(&f, table, 6), 2, place, 3, y);
    check_reals(&f, "y", y, want, 6);
    fixture_close(&f);
}

static void squared_norms(void) {
    uint64_t seed = 6;
    const size_t counts[] = {0, 1, 7, 1000, 100003};
    for (int i = 0; i < 5; i++) {
        fixture f;
        fixture_open(&f, NNCLR_PRECISION_F64, 2);
        double *x = random_reals(&seed, counts[i]), want = dot_product(x, x, counts[i]);
        void *out = fixture_reals(&f, NULL, 1);
        f.t->squared_norm(&f.g, fixture_reals(&f, x, counts[i] ? counts[i] : 1), counts[i], out);
        check_reals(&f, "norm", out, &want, 1);
        free(x);
        fixture_close(&f);
    }
}

static void threads_change_no_bit(void) {
    enum { ROWS = 130, WIDTH = 300, ALL = ROWS * WIDTH };
    uint64_t seed = 7;
    double *x = random_reals(&seed, ALL), *gradient[2] = {zero_reals(ALL), zero_reals(ALL)};
    double *product[2] = {zero_reals(ROWS * ROWS), zero_reals(ROWS * ROWS)}, loss[2], norm[2];
    for (int threads = 1; threads <= 3; threads++) {
        int at = threads > 1;
        fixture f;
        fixture_open(&f, NNCLR_PRECISION_F32, threads);
        void *px = fixture_reals(&f, x, ALL), *c = fixture_reals(&f, NULL, ROWS * ROWS);
        void *pnorm = fixture_reals(&f, NULL, 1);
        f.t->gemm(&f.g, false, true, ROWS, ROWS, WIDTH, 1, px, px, 0, c);
        f.t->squared_norm(&f.g, px, ALL, pnorm);
        f.t->get(&f.g, c, ROWS * ROWS, NNCLR_F64, product[at]);
        f.t->get(&f.g, pnorm, 1, NNCLR_F64, &norm[at]);
        loss[at] = compute_entropy(&f, (entropy){ROWS, WIDTH, 3, 0, 1}, x, gradient[at], NULL);
        if (at) {
            CHECK(memcmp(product[0], product[1], ROWS * ROWS * sizeof(double)) == 0);
            CHECK(memcmp(gradient[0], gradient[1], ALL * sizeof(double)) == 0);
            CHECK(loss[0] == loss[1] && norm[0] == norm[1]);
        }
        fixture_close(&f);
    }
    free(x), free(gradient[0]), free(gradient[1]), free(product[0]), free(product[1]);
}

int main(void) {
    RUN(gemm_in_all_forms);
    RUN(linear_layers);
    RUN(pooling);
    RUN(l2norm_by_formula);
    RUN(l2norm_of_nothing);
    RUN(cross_entropy_by_formula);
    RUN(cross_entropy_of_extremes);
    RUN(golden_losses);
    RUN(gradients_are_finite_differences);
    RUN(gather_rows);
    RUN(squared_norms);
    RUN(threads_change_no_bit);
    return check_done();
}
