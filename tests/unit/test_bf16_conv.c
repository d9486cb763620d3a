/* Convolutions on tiles against their definition in double, with each kind of kernels that this CPU
 * has. */
#include "engine/tiles/conv.h"
#include "tests/unit/bf16_kinds.h"
#include "tests/unit/conv_problem.h"

/* Operands that are held exactly. */
static void make_short(double *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = rounded(values[i] * (1 + (double)i / 4096));
}

/* Whole numbers up to 6: all products and sums are exact, and so are old values. */
static void make_whole(double *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = round(3 * values[i]);
}

static void each_operand(problem *p, void (*make)(double *, size_t)) {
    make(p->x, shape_reals(p->in));
    make(p->w, weight_count(&p->conv));
    make(p->dy, shape_reals(p->out));
    make(p->old_dx, shape_reals(p->in));
    make(p->old_dw, weight_count(&p->conv));
}

/* The same with all operands made positive: what each result is the sum of. */
static results magnitudes(const problem *p, bool add) {
    problem positive = make_problem(p->conv, p->in, 0);
    double *to[] = {positive.x, positive.w, positive.dy, positive.old_dx, positive.old_dw};
    const double *from[] = {p->x, p->w, p->dy, p->old_dx, p->old_dw};
    const size_t counts[] = {shape_reals(p->in), weight_count(&p->conv), shape_reals(p->out),
                             shape_reals(p->in), weight_count(&p->conv)};
    for (int k = 0; k < 5; k++)
        for (size_t i = 0; i < counts[k]; i++)
            to[k][i] = fabs(from[k][i]);
    results r = reference(&positive, add);
    free_problem(&positive);
    return r;
}

/* What products and float sums lose of the magnitudes, and what rounding does where values are
 * stored. */
static void check_part(const char *what, const double *got, const double *want,
                       const double *magnitude, double loss, double unit, size_t count) {
    for (size_t i = 0; i < count; i++)
        CHECK_SAYS(fabs(got[i] - want[i]) <= unit * fabs(want[i]) + loss * magnitude[i],
                   "%s[%zu] = %.17g, not %.17g", what, i, got[i], want[i]);
}

static void sums_of(const problem *p, const double *y, double *sums) {
    size_t c = (size_t)p->out.c, group = shape_reals(p->out) / (size_t)p->out.groups;
    for (size_t i = 0; i < shape_reals(p->out); i++) {
        sums[i / group * 2 * c + i % c] += y[i];
        sums[(i / group * 2 + 1) * c + i % c] += y[i] * y[i];
    }
}

static void check_problem(const bf16_kind *kind, const problem *p, bool add, int planned) {
    fixture f;
    open_kind(&f, kind, 2);
    results want = reference(p, add), size = magnitudes(p, add);
    results got = compute(&f, p, add, planned);
    size_t statistics = (size_t)(p->out.groups * 2 * p->out.c);
    double *sums = zero_reals(statistics);
    char what[200];
    snprintf(what, sizeof what, "%s: %dx%d s%d p%d, %d to %d channels on %dx%dx%dx%d: ", kind->name,
             p->conv.kernel, p->conv.kernel, p->conv.stride, p->conv.pad, p->conv.ci, p->conv.co,
             p->in.groups, p->in.n, p->in.h, p->in.w);
    size_t end = strlen(what);
    strcpy(what + end, "y");
    check_part(what, got.y, want.y, size.y, 2e-6, value_unit, shape_reals(p->out));
    strcpy(what + end, "dx");
    check_part(what, got.dx, want.dx, size.dx, 2e-6, value_unit, shape_reals(p->in));
    strcpy(what + end, "dw");
    check_part(what, got.dw, want.dw, size.dw, 2e-6, 0, weight_count(&p->conv));
    strcpy(what + end, "sums");
    sums_of(p, got.y, sums); /* of the rounded values */
    check_close(what, got.sums, sums, statistics, 1e-5);
    free(sums);
    free_results(&want), free_results(&size), free_results(&got);
    fixture_close(&f);
}

/* Plain C takes long for large problems, emulation for all but small ones. */
static bool worth_while(const bf16_kind *kind, const problem *p) {
    int blocks = (p->in.n + 31) / 32 * p->in.groups, channels = (p->in.c + 31) / 32;
    int64_t tiles = (int64_t)blocks * p->out.h * p->out.w * channels * ((p->out.c + 31) / 32) *
                    p->conv.kernel * p->conv.kernel;
    return tiles < (kind->emulated ? 8000 : strcmp(kind->name, "none") == 0 ? 100000 : 100000000);
}

static problem draw_problem(const bf16_kind *kind, int pictures, uint64_t *seed) {
    const int kernels[] = {1, 2, 3, 7};
    for (;;) {
        int kernel = kernels[random_int(seed, 0, 3)], groups = random_int(seed, 1, 2);
        nnclr_conv conv = {.ci = random_int(seed, 1, 70),
                           .co = random_int(seed, 1, 70),
                           .kernel = kernel,
                           .stride = random_int(seed, 1, 3),
                           .pad = random_int(seed, 0, kernel - 1)};
        nnclr_shape in = {groups, pictures, random_int(seed, kernel, 9),
                          random_int(seed, kernel, 9), conv.ci};
        problem p = make_problem(conv, in, *seed);
        if (worth_while(kind, &p))
            return p;
        free_problem(&p);
    }
}

/* Each kind meets each number of pictures, with old values to add to and without. */
static void agrees_with_the_definition(void) {
    const int pictures[] = {1, 3, 32, 33, 63};
    uint64_t seed = 1;
    bf16_kind kind;
    for (int k = 0; k < KINDS; k++)
        for (int i = 0; kind_at(k, &kind) && i < 10; i++) {
            problem p = draw_problem(&kind, pictures[i % 5], &seed);
            each_operand(&p, make_short);
            check_problem(&kind, &p, i / 5, p.in.n + (random_int(&seed, 0, 2) == 0 ? 40 : 0));
            free_problem(&p);
        }
}

/* Few channels, whose rows are folded: stems, all of a cell's k, odd sizes, kernels wider than
 * pictures, rows and pixels between the taps, several groups. */
static const struct {
    nnclr_conv conv;
    nnclr_shape in;
} fold_cases[] = {
    {{3, 16, 3, 1, 1}, {1, 33, 8, 8, 3}},   {{3, 40, 7, 2, 3}, {2, 5, 13, 12, 3}},
    {{1, 7, 5, 1, 2}, {1, 32, 5, 7, 1}},    {{2, 33, 3, 2, 0}, {2, 33, 7, 5, 2}},
    {{4, 64, 3, 3, 1}, {1, 9, 9, 10, 4}},   {{3, 5, 7, 1, 3}, {3, 4, 2, 3, 3}},
    {{16, 20, 2, 1, 1}, {1, 34, 4, 5, 16}}, {{1, 3, 32, 1, 31}, {1, 2, 3, 2, 1}},
    {{10, 70, 3, 1, 2}, {1, 3, 6, 4, 10}},  {{3, 9, 2, 5, 1}, {2, 3, 17, 16, 3}},
    {{3, 8, 10, 3, 9}, {1, 3, 30, 70, 3}},
};
enum { FOLD_CASES = sizeof fold_cases / sizeof fold_cases[0] };

static void folded_rows_agree_with_the_definition(void) {
    bf16_kind kind;
    for (int i = 0; i < FOLD_CASES; i++)
        for (int k = 0; k < KINDS; k++) {
            problem p = make_problem(fold_cases[i].conv, fold_cases[i].in, (uint64_t)i);
            CHECK(nnclr_tiled_folds(&nnclr_tiles_bf16_portable, &p.conv));
            each_operand(&p, make_short);
            if (kind_at(k, &kind) && worth_while(&kind, &p))
                check_problem(&kind, &p, i % 2, p.in.n + (i + k) % 2 * 40);
            free_problem(&p);
        }
}

/* If channels or pictures do not fit, nothing is folded. */
static void wide_rows_are_not_folded(void) {
    const nnclr_conv convs[] = {{11, 4, 3, 1, 1}, {5, 4, 7, 2, 3},   {1, 4, 33, 1, 0},
                                {3, 4, 1, 1, 0},  {64, 64, 3, 1, 1}, {3, 4096, 3, 1, 1}};
    for (size_t i = 0; i < sizeof convs / sizeof convs[0]; i++)
        CHECK(!nnclr_tiled_folds(&nnclr_tiles_bf16_portable, &convs[i]));
}

/* One pixel of one picture that is not a number is in those of the result whose taps reach it. */
static void check_spread(const bf16_kind *kind, const nnclr_conv *conv, nnclr_shape in, int at) {
    problem p = make_problem(*conv, in, 3);
    each_operand(&p, make_short);
    int picture = in.n - 1, y = at / in.w, x = at % in.w;
    p.x[(((size_t)picture * (size_t)in.h + (size_t)y) * (size_t)in.w + (size_t)x) * (size_t)in.c] =
        NAN;
    fixture f;
    open_kind(&f, kind, 2);
    results r = compute(&f, &p, false, in.n);
    for (size_t i = 0; i < shape_reals(p.out); i++) {
        int pixel = (int)(i / (size_t)p.out.c), ox = pixel % p.out.w;
        int oy = pixel / p.out.w % p.out.h, n = pixel / p.out.w / p.out.h;
        int ky = y - oy * conv->stride + conv->pad, kx = x - ox * conv->stride + conv->pad;
        bool reached = n == picture && ky >= 0 && ky < conv->kernel && kx >= 0 && kx < conv->kernel;
        CHECK_SAYS(!isfinite(r.y[i]) == reached, "%s: y[%zu] = %g", kind->name, i, r.y[i]);
    }
    free_results(&r);
    fixture_close(&f);
    free_problem(&p);
}

static void what_is_no_number_stays_under_its_taps(void) {
    bf16_kind kind;
    for (int k = 0; k < KINDS; k++)
        for (int at = 0; kind_at(k, &kind) && at < 35; at += 17) {
            check_spread(&kind, &(nnclr_conv){3, 32, 3, 1, 1}, (nnclr_shape){1, 3, 5, 7, 3}, at);
            check_spread(&kind, &(nnclr_conv){3, 16, 7, 2, 3}, (nnclr_shape){1, 3, 5, 7, 3}, at);
        }
}

/* Long rows, several parts, weights that all pictures are transposed for, several passes. */
static const struct {
    nnclr_conv conv;
    nnclr_shape in;
} cut_cases[] = {
    {{64, 64, 3, 1, 1}, {2, 33, 16, 16, 64}},    {{32, 64, 3, 2, 1}, {1, 40, 17, 16, 32}},
    {{3, 33, 7, 2, 3}, {2, 35, 40, 36, 3}},      {{3, 16, 3, 1, 1}, {1, 33, 32, 32, 3}},
    {{200, 190, 3, 1, 1}, {1, 33, 4, 4, 200}},   {{230, 290, 3, 2, 1}, {2, 31, 6, 5, 230}},
    {{640, 610, 1, 1, 0}, {1, 5, 3, 3, 640}},    {{3, 33, 7, 2, 3}, {1, 9, 60, 60, 3}},
    {{480, 480, 3, 2, 1}, {1, 2, 32, 32, 480}},  {{8, 6, 1, 2, 0}, {2, 6, 41, 40, 8}},
    {{600, 600, 2, 1, 1}, {1, 70, 16, 16, 600}},
};
enum { CUT_CASES = sizeof cut_cases / sizeof cut_cases[0], LARGE_CASE = 8 };

static void check_equal(const bf16_kind *kind, const problem *p, const results *got,
                        const results *want) {
    char what[40];
    snprintf(what, sizeof what, "%s: y", kind->name);
    for (size_t i = 0; i < shape_reals(p->out); i++)
        CHECK_SAYS(got->y[i] == rounded(want->y[i]), "%s[%zu]", what, i);
    for (size_t i = 0; i < shape_reals(p->in); i++)
        CHECK_SAYS(got->dx[i] == rounded(want->dx[i]), "%s: dx[%zu]", kind->name, i);
    for (size_t i = 0; i < weight_count(&p->conv); i++)
        CHECK_SAYS(got->dw[i] == want->dw[i], "%s: dw[%zu]", kind->name, i);
}

/* If products and sums are whole numbers, the bits are those of the engine cpu at f32, rounded
 * where values are stored in bfloat16. */
static void check_whole_numbers(int begin, int end) {
    for (int i = begin; i < end; i++) {
        problem p = make_problem(cut_cases[i].conv, cut_cases[i].in, (uint64_t)i);
        each_operand(&p, make_whole);
        fixture f;
        fixture_open(&f, NNCLR_PRECISION_F32, 2);
        results want = compute(&f, &p, i % 2, p.in.n);
        fixture_close(&f);
        bf16_kind kind;
        for (int k = 0; k < KINDS; k++) {
            if (!kind_at(k, &kind) || !worth_while(&kind, &p))
                continue;
            open_kind(&f, &kind, 2);
            results got = compute(&f, &p, i % 2, p.in.n);
            check_equal(&kind, &p, &got, &want);
            free_results(&got);
            fixture_close(&f);
        }
        free_results(&want);
        free_problem(&p);
    }
}

static void whole_numbers_are_those_of_the_cpu_engine(void) {
    check_whole_numbers(0, LARGE_CASE);
}

static void whole_numbers_of_large_problems_are_too(void) {
    check_whole_numbers(LARGE_CASE, CUT_CASES);
}

static void is_plain_c_bit_for_bit(const bf16_kind *vectors) {
    bf16_kind plain;
    CHECK(kind_at(PORTABLE, &plain));
    for (int i = 0; i < 6; i++) {
        problem p = make_problem(cut_cases[i].conv, cut_cases[i].in, (uint64_t)i);
        each_operand(&p, make_short);
        fixture f;
        open_kind(&f, &plain, 2);
        results a = compute(&f, &p, i % 2, p.in.n);
        fixture_close(&f);
        open_kind(&f, vectors, 2);
        results b = compute(&f, &p, i % 2, p.in.n);
        fixture_close(&f);
        CHECK_SAYS(memcmp(a.y, b.y, shape_reals(p.out) * 8) == 0, "%s, case %d", vectors->name, i);
        CHECK(memcmp(a.dx, b.dx, shape_reals(p.in) * 8) == 0);
        CHECK(memcmp(a.dw, b.dw, weight_count(&p.conv) * 8) == 0);
        free_results(&a), free_results(&b);
        free_problem(&p);
    }
}

/* Plain C adds in the order that is documented for VDPBF16PS, and so do fused multiply-adds. */
static void vectors_are_plain_c_bit_for_bit(void) {
    bf16_kind vectors;
    int kinds = 0;
    for (int k = AVX2; k <= AVX512BF16; k++)
        if (kind_at(k, &vectors)) {
            is_plain_c_bit_for_bit(&vectors);
            kinds++;
        }
    if (kinds == 0)
        SKIP("no vectors here that bfloat16 has kernels for");
}

static void threads_change_no_bit(void) {
    const int threads[] = {1, 2, 3, 5};
    for (int i = 0; i < 6; i++) {
        problem p = make_problem(cut_cases[i].conv, cut_cases[i].in, 7);
        results first = {NULL, NULL, NULL, NULL};
        bf16_kind kind;
        for (int k = 0; k < 4; k++) {
            fixture f;
            fastest_kind(&kind);
            open_kind(&f, &kind, threads[k]);
            results r = compute(&f, &p, true, p.in.n);
            fixture_close(&f);
            if (k == 0) {
                first = r;
                continue;
            }
            CHECK(memcmp(r.y, first.y, shape_reals(p.out) * 8) == 0);
            CHECK(memcmp(r.sums, first.sums, (size_t)(p.out.groups * 2 * p.out.c) * 8) == 0);
            CHECK(memcmp(r.dx, first.dx, shape_reals(p.in) * 8) == 0);
            CHECK(memcmp(r.dw, first.dw, weight_count(&p.conv) * 8) == 0);
            free_results(&r);
        }
        free_results(&first);
        free_problem(&p);
    }
}

static bool drops_a_product;

static void multiply_less(const tile_product *p) {
    nnclr_tiles_bf16_portable.multiply(p);
    p->sums[SQUARE - 1] += drops_a_product ? 1.0f : 0.0f;
}

/* As an engine on AMX is asked before it is opened. */
static void kernels_that_multiply_wrongly_are_told(void) {
    bf16_kind kind;
    for (int k = 0; k < KINDS; k++)
        CHECK(!kind_at(k, &kind) || nnclr_tiled_multiplies(kernels_of_kind(&kind)));
    tile_kernels other = nnclr_tiles_bf16_portable;
    other.multiply = multiply_less;
    CHECK(nnclr_tiled_multiplies(&other));
    drops_a_product = true;
    CHECK(!nnclr_tiled_multiplies(&other));
}

int main(void) {
    RUN(every_kind_runs_here);
    RUN(kernels_that_multiply_wrongly_are_told);
    RUN(agrees_with_the_definition);
    RUN(folded_rows_agree_with_the_definition);
    RUN(wide_rows_are_not_folded);
    RUN(what_is_no_number_stays_under_its_taps);
    RUN(whole_numbers_are_those_of_the_cpu_engine);
    RUN_LONG(whole_numbers_of_large_problems_are_too);
    RUN(vectors_are_plain_c_bit_for_bit);
    RUN(threads_change_no_bit);
    return check_done();
}
