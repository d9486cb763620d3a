/* Batch norm, pooling and the moves of tensors on tiles against their formulas in double, with each
 * kind of kernels that this CPU has. */
#include "engine/tiles/bf16.h"
#include "tests/unit/batchnorm_problem.h"
#include "tests/unit/bf16_kinds.h"

static void make_short(double *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = rounded(values[i]);
}

/* What is stored in tiles is rounded; sums of it are no further off. */
static void check_part(const char *kind, int part, const double *got, const double *want,
                       size_t count) {
    char what[60];
    snprintf(what, sizeof what, "%s: %s", kind, part_names[part]);
    double largest = 0;
    bool picture = part < 2 || part >= 10;
    for (size_t i = 0; i < count; i++)
        largest = fabs(want[i]) > largest ? fabs(want[i]) : largest;
    double loss = 1e-4; /* of float sums */
    for (size_t i = 0; i < count; i++)
        CHECK_SAYS(fabs(got[i] - want[i]) <=
                       (picture ? value_unit * fabs(want[i]) : 0) + loss * (largest + 1e-30),
                   "%s[%zu] = %.17g, not %.17g", what, i, got[i], want[i]);
}

static void batchnorm_agrees_with_the_formulas(void) {
    const nnclr_shape shapes[] = {{2, 3, 4, 5, 7},     {1, 33, 3, 3, 16}, {3, 40, 2, 2, 33},
                                  {2, 9, 1, 1, 1030},  {1, 40, 9, 7, 1},  {2, 63, 5, 4, 64},
                                  {1, 32, 2, 1, 1100}, {2, 3, 11, 1, 300}};
    for (int i = 0; i < 48; i++) {
        problem p = make_problem(shapes[i % 8], (branch)(i % 3), i / 3 % 2, (uint64_t)i);
        p.add_residual = i / 6 % 2;
        p.in_place = i / 12 % 2;
        p.add_parameters = i / 3 % 4 == 1;
        p.repeated = i % 7 == 2;
        p.in_parts = i % 3 != i / 8 % 3;
        double *pictures[] = {p.x[0], p.x[1], p.residual, p.dy, p.old_dresidual};
        for (int k = 0; k < 5; k++)
            make_short(pictures[k], shape_reals(p.shape));
        results want = reference(&p);
        bf16_kind kind;
        if (kind_at(i % KINDS, &kind)) {
            fixture f;
            open_kind(&f, &kind, 2);
            results got = compute(&f, &p);
            double **wanted[PARTS], **parts[PARTS];
            list_parts(&want, wanted);
            list_parts(&got, parts);
            for (int k = 0; k < PARTS; k++)
                if (*parts[k])
                    check_part(kind.name, k, *parts[k], *wanted[k], part_size(&p, k));
            free_results(&got);
            fixture_close(&f);
        }
        free_results(&want);
        free_problem(&p);
    }
}

static void batchnorm_has_the_same_bits_for_all_kinds_and_threads(void) {
    problem p = make_problem((nnclr_shape){2, 45, 9, 11, 70}, SECOND, true, 5);
    results first = {0};
    bool any = false;
    for (int i = 0; i < KINDS * 3; i++) {
        bf16_kind kind;
        if (!kind_at(i / 3, &kind))
            continue;
        fixture f;
        open_kind(&f, &kind, i % 3 + 1);
        results r = compute(&f, &p);
        fixture_close(&f);
        if (!any) {
            first = r;
            any = true;
            continue;
        }
        double **a[PARTS], **b[PARTS];
        list_parts(&first, a);
        list_parts(&r, b);
        for (int k = 0; k < PARTS; k++)
            if (*a[k])
                CHECK_SAYS(memcmp(*a[k], *b[k], part_size(&p, k) * sizeof(double)) == 0,
                           "%s differs with %s and %d threads", part_names[k], kind.name,
                           i % 3 + 1);
        free_results(&r);
    }
    free_results(&first);
    free_problem(&p);
}

/* ---- pooling ---- */

typedef struct pooling {
    nnclr_shape in, out, mean;
    double *x, *dy, *dmean, *old;
    double *y, *average, *dx, *dx2; /* by the definition */
} pooling;

static void pool_pixel(pooling *p, size_t n, int oy, int ox, int c) {
    size_t w = (size_t)p->in.w, channels = (size_t)p->in.c, best = SIZE_MAX;
    for (int iy = 2 * oy - 1; iy <= 2 * oy + 1; iy++)
        for (int ix = 2 * ox - 1; ix <= 2 * ox + 1; ix++) {
            if (iy < 0 || iy >= p->in.h || ix < 0 || ix >= p->in.w)
                continue;
            size_t at =
                ((n * (size_t)p->in.h + (size_t)iy) * w + (size_t)ix) * channels + (size_t)c;
            if (best == SIZE_MAX || p->x[at] > p->x[best])
                best = at;
        }
    size_t to = ((n * (size_t)p->out.h + (size_t)oy) * (size_t)p->out.w + (size_t)ox) * channels +
                (size_t)c;
    p->y[to] = p->x[best];
    p->dx[best] += p->dy[to];
}

static pooling make_pooling(nnclr_shape in, bool add, uint64_t seed) {
    pooling p = {.in = in, .out = in, .mean = {in.groups, in.n, 1, 1, in.c}};
    p.out.h = (in.h + 1) / 2;
    p.out.w = (in.w + 1) / 2;
    size_t reals = shape_reals(in), row = (size_t)(in.h * in.w * in.c);
    p.x = random_reals(&seed, reals);
    p.dy = random_reals(&seed, shape_reals(p.out));
    p.dmean = random_reals(&seed, shape_reals(p.mean));
    p.old = random_reals(&seed, reals);
    for (size_t i = 0; i < reals; i++)
        p.x[i] = round(4 * p.x[i]) / 4; /* many equal ones */
    make_short(p.dy, shape_reals(p.out));
    make_short(p.old, reals);
    p.y = zero_reals(shape_reals(p.out));
    p.average = zero_reals(shape_reals(p.mean));
    p.dx = zero_reals(reals);
    p.dx2 = zero_reals(reals);
    for (size_t i = 0; i < reals; i++) {
        size_t at = i / row * (size_t)in.c + i % (size_t)in.c;
        p.average[at] += p.x[i] / (in.h * in.w);
        p.dx[i] = add ? p.old[i] : 0;
        p.dx2[i] = p.dx[i] + p.dmean[at] / (in.h * in.w);
    }
    for (int n = 0; n < in.groups * in.n; n++)
        for (int oy = 0; oy < p.out.h; oy++)
            for (int ox = 0; ox < p.out.w; ox++)
                for (int c = 0; c < in.c; c++)
                    pool_pixel(&p, (size_t)n, oy, ox, c);
    return p;
}

static void free_pooling(pooling *p) {
    free(p->x), free(p->dy), free(p->dmean), free(p->old);
    free(p->y), free(p->average), free(p->dx), free(p->dx2);
}

/* A gradient is rounded after each of up to four additions. */
static void pooling_agrees_with_the_definition(void) {
    const nnclr_shape shapes[] = {{2, 3, 7, 6, 5}, {1, 33, 4, 9, 40}, {2, 32, 5, 5, 64}};
    for (int i = 0; i < 6; i++) {
        bool add = i % 2;
        pooling p = make_pooling(shapes[i / 2], add, (uint64_t)i);
        bf16_kind kind;
        fastest_kind(&kind);
        fixture f;
        open_kind(&f, &kind, 2);
        nnclr_tensor x = fixture_pictures(&f, p.in, p.x), dy = fixture_pictures(&f, p.out, p.dy);
        nnclr_tensor y = fixture_pictures(&f, p.out, NULL);
        nnclr_tensor dx = fixture_pictures(&f, p.in, add ? p.old : NULL);
        nnclr_tensor dx2 = fixture_pictures(&f, p.in, add ? p.old : NULL);
        nnclr_tensor mean = fixture_tensor(&f, p.mean, NULL);
        nnclr_tensor dmean = fixture_tensor(&f, p.mean, p.dmean);
        f.t->maxpool_forward(&f.g, &x, &y);
        f.t->maxpool_backward(&f.g, &x, &dy, &dx, add);
        f.t->average_forward(&f.g, &x, &mean);
        f.t->average_backward(&f.g, &dmean, &dx2, add);
        double *got[] = {host_tensor(&f, &y), host_tensor(&f, &dx), host_tensor(&f, &mean),
                         host_tensor(&f, &dx2)};
        check_close("y", got[0], p.y, shape_reals(p.out), 0);
        check_close("dx", got[1], p.dx, shape_reals(p.in), 2 * value_unit);
        check_close("average", got[2], p.average, shape_reals(p.mean), 1e-6);
        check_close("dx of average", got[3], p.dx2, shape_reals(p.in), value_unit);
        for (int k = 0; k < 4; k++)
            free(got[k]);
        fixture_close(&f);
        free_pooling(&p);
    }
}

/* ---- moves ---- */

static void pictures_come_back_rounded(void) {
    const nnclr_shape shapes[] = {{2, 33, 3, 2, 5}, {1, 64, 1, 1, 70}, {3, 1, 2, 2, 32}};
    for (int i = 0; i < 3; i++) {
        fixture f;
        bf16_kind kind;
        fastest_kind(&kind);
        open_kind(&f, &kind, 2);
        uint64_t seed = (uint64_t)i;
        size_t count = shape_reals(shapes[i]);
        double *values = random_reals(&seed, count);
        for (size_t k = 0; k < count; k++)
            values[k] = (double)(float)(values[k] / 3);
        values[0] = INFINITY;
        values[1] = 3.4e38; /* above the largest of bfloat16 */
        values[2] = 1e-30;
        nnclr_tensor t = fixture_pictures(&f, shapes[i], values);
        double *back = host_tensor(&f, &t);
        for (size_t k = 2; k < count; k++)
            CHECK_SAYS(back[k] == rounded(values[k]), "%g, not %g", back[k], rounded(values[k]));
        for (size_t k = 0; k < 2; k++)
            CHECK(back[k] == INFINITY);
        free(back), free(values);
        fixture_close(&f);
    }
}

/* Any float, in sums that are stored: all exponents with fractions at and beside the ties. */
static void kinds_round_alike(void) {
    bf16_kind kind;
    const tile_kernels *plain = &nnclr_tiles_bf16_portable;
    static float sums[SQUARE];
    static bf16 want[SQUARE], got[SQUARE];
    for (int i = AVX2; i < KINDS; i++) {
        if (!kind_at(i, &kind))
            continue;
        const tile_kernels *kernels = kernels_of_kind(&kind);
        for (uint32_t high = 0; high < 0x10000; high += SQUARE / 8) {
            for (uint32_t k = 0; k < SQUARE; k++) {
                const uint32_t low[8] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x80, 0x4321};
                uint32_t bits = (high + k / 8) << 16 | low[k % 8];
                memcpy(&sums[k], &bits, sizeof bits);
            }
            plain->store(sums, BLOCK, 32, 32, false, want, NULL, NULL);
            kernels->store(sums, BLOCK, 32, 32, false, got, NULL, NULL);
            for (int k = 0; k < SQUARE; k++)
                CHECK_SAYS(got[k] == want[k], "%s: %a gives %04x, plain C %04x", kind.name,
                           (double)sums[k % SQUARE], got[k], want[k]);
        }
    }
}

/* Through all that touches pictures: a batch that diverges is seen. */
static void nan_stays_nan(void) {
    bf16_kind kind;
    for (int k = 0; k < KINDS; k++) {
        if (!kind_at(k, &kind))
            continue;
        fixture f;
        open_kind(&f, &kind, 1);
        problem p = make_problem((nnclr_shape){1, 2, 2, 2, 3}, RESIDUAL, true, 1);
        p.residual[4] = NAN;
        p.dy[7] = NAN;
        results r = compute(&f, &p);
        CHECK(isnan(r.y[4]));
        CHECK(isnan(r.dbeta[0][1]) || r.y[7] <= 0); /* 7 is of channel 1 */
        free_results(&r);
        free_problem(&p);
        fixture_close(&f);
    }
}

int main(void) {
    RUN(every_kind_runs_here);
    RUN(batchnorm_agrees_with_the_formulas);
    RUN(batchnorm_has_the_same_bits_for_all_kinds_and_threads);
    RUN(pooling_agrees_with_the_definition);
    RUN(pictures_come_back_rounded);
    RUN(kinds_round_alike);
    RUN(nan_stays_nan);
    return check_done();
}
