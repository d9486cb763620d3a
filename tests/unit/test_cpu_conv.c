/* Convolutions of engine cpu against their definition in double, over random shapes. */
#include "engine/simd.h"
#include "tests/unit/conv_problem.h"

static void check_problem(nnclr_precision precision, const problem *p, bool add, int planned) {
    fixture f;
    fixture_open(&f, precision, 2);
    results want = reference(p, add), got = compute(&f, p, add, planned);
    char what[200];
    snprintf(what, sizeof what, "%dx%d s%d p%d, %d to %d channels on %dx%dx%dx%d", p->conv.kernel,
             p->conv.kernel, p->conv.stride, p->conv.pad, p->conv.ci, p->conv.co, p->in.groups,
             p->in.n, p->in.h, p->in.w);
    char name[220];
    snprintf(name, sizeof name, "%s: y", what);
    check_close(name, got.y, want.y, shape_reals(p->out), f.tolerance);
    snprintf(name, sizeof name, "%s: sums", what);
    check_close(name, got.sums, want.sums, (size_t)(p->out.groups * 2 * p->out.c), f.tolerance);
    snprintf(name, sizeof name, "%s: dx", what);
    check_close(name, got.dx, want.dx, shape_reals(p->in), f.tolerance);
    snprintf(name, sizeof name, "%s: dw", what);
    check_close(name, got.dw, want.dw, weight_count(&p->conv), f.tolerance);
    free_results(&want);
    free_results(&got);
    fixture_close(&f);
}

static void agrees_with_the_definition(void) {
    const int kernels[] = {1, 2, 3, 7};
    uint64_t seed = 1;
    for (int i = 0; i < 60; i++) {
        int kernel = kernels[random_int(&seed, 0, 3)];
        nnclr_conv conv = {.ci = random_int(&seed, 1, 21),
                           .co = random_int(&seed, 1, 21),
                           .kernel = kernel,
                           .stride = random_int(&seed, 1, 3),
                           .pad = random_int(&seed, 0, kernel - 1)};
        nnclr_shape in = {random_int(&seed, 1, 3), random_int(&seed, 1, 4),
                          random_int(&seed, kernel, 11), random_int(&seed, kernel, 11), conv.ci};
        problem p = make_problem(conv, in, (uint64_t)i);
        int planned = in.n + (i % 3 == 0 ? 5 : 0);
        check_problem(i % 2 ? NNCLR_PRECISION_F64 : NNCLR_PRECISION_F32, &p, i % 5 < 2, planned);
        free_problem(&p);
    }
}

/* Weights above 1 MB are cut by taps and channels, long rows into several parts and pieces. */
static void agrees_where_work_is_cut(void) {
    const struct {
        nnclr_conv conv;
        nnclr_shape in;
    } cases[] = {
        {{260, 120, 3, 1, 1}, {1, 3, 5, 5, 260}}, {{300, 130, 2, 2, 0}, {2, 2, 6, 6, 300}},
        {{530, 540, 1, 1, 0}, {1, 5, 4, 5, 530}}, {{3, 8, 3, 1, 1}, {2, 5, 40, 40, 3}},
        {{6, 5, 1, 2, 0}, {2, 6, 41, 40, 6}},     {{4, 6, 3, 2, 1}, {1, 14, 32, 32, 4}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        problem p = make_problem(cases[i].conv, cases[i].in, i);
        check_problem(NNCLR_PRECISION_F64, &p, i % 2, cases[i].in.n);
        check_problem(NNCLR_PRECISION_F32, &p, !(i % 2), cases[i].in.n);
        free_problem(&p);
    }
}

/* The bits of all results for 1, 2, 3 and 5 threads. */
static void threads_change_no_bit(void) {
    const nnclr_conv convs[] = {{5, 12, 3, 1, 1}, {5, 12, 3, 2, 1}, {5, 130, 1, 2, 0}};
    for (int i = 0; i < 3; i++) {
        problem p = make_problem(convs[i], (nnclr_shape){2, 9, 23, 24, 5}, 7);
        results first = {NULL, NULL, NULL, NULL};
        const int threads[] = {1, 2, 3, 5};
        for (int k = 0; k < 4; k++) {
            fixture f;
            fixture_open(&f, NNCLR_PRECISION_F32, threads[k]);
            results r = compute(&f, &p, true, p.in.n);
            if (k == 0) {
                first = r;
            } else {
                CHECK(memcmp(r.y, first.y, shape_reals(p.out) * 8) == 0);
                CHECK(memcmp(r.sums, first.sums, (size_t)(p.out.groups * 2 * p.out.c) * 8) == 0);
                CHECK(memcmp(r.dx, first.dx, shape_reals(p.in) * 8) == 0);
                CHECK(memcmp(r.dw, first.dw, weight_count(&p.conv) * 8) == 0);
                free_results(&r);
            }
            fixture_close(&f);
        }
        free_results(&first);
        free_problem(&p);
    }
}

/* ---- kernels for vectors of some CPUs ---- */

static void make_whole(double *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = round(3 * values[i]);
}

static void check_equal(const problem *p, const results *a, const results *b) {
    CHECK(memcmp(a->y, b->y, shape_reals(p->out) * 8) == 0);
    CHECK(memcmp(a->dx, b->dx, shape_reals(p->in) * 8) == 0);
    CHECK(memcmp(a->dw, b->dw, weight_count(&p->conv) * 8) == 0);
}

static results compute_with(const char *simd, const problem *p, bool add) {
    fixture f;
    CHECK(setenv("NNCLR_SIMD", simd, 1) == 0);
    fixture_open(&f, NNCLR_PRECISION_F32, 2);
    results r = compute(&f, p, add, p->in.n);
    fixture_close(&f);
    CHECK(unsetenv("NNCLR_SIMD") == 0);
    return r;
}

/* Pictures and channels around whole blocks and vectors, rows that are folded, tiles of 8, 16 and
 * 32 channels under each other, dW in all ways: small, in strips of wide rows; large, of many rows,
 * and of 1 x 1 in groups of blocks. */
static const struct {
    nnclr_conv conv;
    nnclr_shape in;
} wide_cases[] = {
    {{16, 16, 3, 1, 1}, {2, 3, 32, 32, 16}},   {{32, 64, 3, 2, 1}, {1, 2, 16, 16, 32}},
    {{64, 200, 1, 1, 0}, {1, 2, 14, 14, 64}},  {{24, 40, 3, 1, 1}, {1, 3, 7, 7, 24}},
    {{3, 64, 7, 2, 3}, {1, 1, 56, 56, 3}},     {{130, 17, 3, 1, 1}, {2, 2, 5, 9, 130}},
    {{8, 8, 3, 1, 1}, {1, 40, 4, 4, 8}},       {{9, 96, 1, 2, 0}, {1, 3, 28, 27, 9}},
    {{512, 80, 3, 1, 1}, {1, 9, 4, 4, 512}},   {{1, 1, 3, 3, 1}, {1, 2, 13, 1, 1}},
    {{40, 33, 2, 1, 1}, {1, 2, 3, 300, 40}},   {{64, 64, 3, 1, 1}, {2, 20, 24, 56, 64}},
    {{520, 680, 1, 1, 0}, {1, 17, 7, 9, 520}}, {{200, 180, 3, 2, 1}, {2, 33, 18, 22, 200}},
    {{8, 16, 3, 2, 1}, {2, 17, 9, 12, 8}},     {{16, 8, 3, 1, 1}, {1, 33, 6, 5, 16}},
    {{12, 40, 1, 2, 0}, {1, 16, 10, 10, 12}},  {{70, 7, 3, 1, 1}, {2, 5, 7, 8, 70}},
    {{3, 8, 3, 1, 1}, {2, 18, 12, 12, 3}},     {{8, 860, 7, 1, 3}, {1, 3, 6, 5, 8}},
};
enum { WIDE_CASES = sizeof wide_cases / sizeof wide_cases[0] };

static bool has(const char *simd) {
    return nnclr_simd_has(strcmp(simd, "avx512") == 0 ? NNCLR_SIMD_AVX512 : NNCLR_SIMD_AVX2);
}

/* If products and sums are whole numbers, all orders of summing give the same bits. */
static void whole_numbers_are_exact(void) {
    if (!has("avx2"))
        SKIP("no kernels for vectors of this CPU");
    for (size_t i = 0; i < WIDE_CASES; i++) {
        problem p = make_problem(wide_cases[i].conv, wide_cases[i].in, i);
        make_whole(p.x, shape_reals(p.in));
        make_whole(p.w, weight_count(&p.conv));
        make_whole(p.dy, shape_reals(p.out));
        make_whole(p.old_dx, shape_reals(p.in));
        make_whole(p.old_dw, weight_count(&p.conv));
        results want = compute_with("none", &p, i % 2);
        const char *const kinds[] = {"avx2", "avx512"};
        for (int k = 0; k < 2 && has(kinds[k]); k++) {
            results got = compute_with(kinds[k], &p, i % 2);
            check_equal(&p, &got, &want);
            free_results(&got);
        }
        free_results(&want);
        free_problem(&p);
    }
}

/* The same chains of fused multiply-adds for each result, whatever the vectors. */
static void vectors_of_all_widths_give_the_same_bits(void) {
    if (!has("avx512"))
        SKIP("no AVX-512 here to compare AVX2 with");
    int others = 0; /* than those of matrices: the kernels were at work */
    for (size_t i = 0; i < WIDE_CASES; i++) {
        problem p = make_problem(wide_cases[i].conv, wide_cases[i].in, i);
        results a = compute_with("avx2", &p, i % 2), b = compute_with("avx512", &p, i % 2),
                c = compute_with("none", &p, i % 2);
        check_equal(&p, &a, &b);
        others += memcmp(a.y, c.y, shape_reals(p.out) * 8) != 0 ||
                  memcmp(a.dw, c.dw, weight_count(&p.conv) * 8) != 0;
        check_close("y", a.y, c.y, shape_reals(p.out), 1e-5);
        check_close("dx", a.dx, c.dx, shape_reals(p.in), 1e-5);
        check_close("dw", a.dw, c.dw, weight_count(&p.conv), 1e-4);
        free_results(&a), free_results(&b), free_results(&c);
        free_problem(&p);
    }
    CHECK(others > 0);
}

static void what_the_cpu_lacks_is_refused(void) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_engine g;
    nnclr_pool *pool = nnclr_pool_create(1, &e);
    CHECK(pool && setenv("NNCLR_SIMD", "mmx", 1) == 0);
    bool opened = nnclr_engine_open(&g, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F32, pool, &e);
    CHECK(unsetenv("NNCLR_SIMD") == 0);
    if (!has("avx2"))
        SKIP("no kernels for vectors of this CPU");
    CHECK(!opened);
    CHECK_TEXT(e.message, "NNCLR_SIMD=mmx is none of avx512, avx2, none");
    nnclr_pool_free(pool);
}

/* With loss = sum of dy * y, which is linear in x and in w, steps of 1 are exact. */
static void gradients_are_finite_differences(void) {
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F64, 1);
    uint64_t seed = 3;
    problem p = make_problem((nnclr_conv){4, 7, 3, 2, 1}, (nnclr_shape){2, 3, 7, 6, 4}, 11);
    double *along_x = random_reals(&seed, shape_reals(p.in));
    double *along_w = random_reals(&seed, weight_count(&p.conv));
    double loss[2][2];
    results here = compute(&f, &p, false, p.in.n);
    for (int side = 0; side < 2; side++) {
        problem q = p;
        q.x = moved(p.x, side ? 1 : -1, along_x, shape_reals(p.in));
        results r = compute(&f, &q, false, p.in.n);
        loss[0][side] = dot_product(p.dy, r.y, shape_reals(p.out));
        free_results(&r);
        free(q.x);
        q = p;
        q.w = moved(p.w, side ? 1 : -1, along_w, weight_count(&p.conv));
        r = compute(&f, &q, false, p.in.n);
        loss[1][side] = dot_product(p.dy, r.y, shape_reals(p.out));
        free_results(&r);
        free(q.w);
    }
    CHECK_NEAR((loss[0][1] - loss[0][0]) / 2, dot_product(here.dx, along_x, shape_reals(p.in)),
               1e-9);
    CHECK_NEAR((loss[1][1] - loss[1][0]) / 2, dot_product(here.dw, along_w, weight_count(&p.conv)),
               1e-9);
    free_results(&here);
    free_problem(&p);
    free(along_x), free(along_w);
    fixture_close(&f);
}

static void impossible_shapes_are_refused(void) {
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F32, 1);
    const struct {
        nnclr_conv conv;
        nnclr_shape in;
    } cases[] = {
        {{3, 8, 7, 1, 0}, {1, 1, 6, 9, 3}},         /* kernel larger than the picture */
        {{3, 8, 3, 0, 1}, {1, 1, 6, 6, 3}},         /* no stride */
        {{4, 8, 3, 1, 1}, {1, 1, 6, 6, 3}},         /* other channels */
        {{3, 8, 3, 1, 3}, {1, 1, 6, 6, 3}},         /* whole windows of padding */
        {{3, 8, 3, 1, 1}, {2, 70000, 300, 300, 3}}, /* more pixels than an int counts */
        {{1 << 19, 8, 200, 1, 1}, {1, 1, 300, 300, 1 << 19}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nnclr_error e = NNCLR_NO_ERROR;
        CHECK(!f.t->conv_plan(&f.g, &cases[i].conv, cases[i].in, &e));
        CHECK(e.code != NNCLR_OK && e.message[0]);
    }
    fixture_close(&f);
}

int main(void) {
    RUN(agrees_with_the_definition);
    RUN(agrees_where_work_is_cut);
    RUN(threads_change_no_bit);
    RUN(whole_numbers_are_exact);
    RUN(vectors_of_all_widths_give_the_same_bits);
    RUN(what_the_cpu_lacks_is_refused);
    RUN(gradients_are_finite_differences);
    RUN(impossible_shapes_are_refused);
    return check_done();
}
