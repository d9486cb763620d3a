/* Batch norm with what surrounds it, pooling, and the moves of pictures, of every engine. */
#include "engine/tiles/bf16.h"
#include "tests/unit/engine_ops.h"

/* ---- batch norm ---- */

typedef struct norm_call {
    nnclr_tensor x[2], dx[2], residual, y, dy, dresidual;
    nnclr_batchnorm bn[2];
    nnclr_batchnorm_call call;
} norm_call;

/* Must not move: the call points into it. */
static void make_call(fixture *f, const batchnorm_problem *p, norm_call *c) {
    const size_t channels = (size_t)p->shape.c;
    const size_t bytes = f->t->statistics_bytes(&f->g, p->shape.groups, p->shape.c);
    c->y = fixture_kind(f, p->shape, p->kind, NULL);
    c->dy = fixture_kind(f, p->shape, p->kind, p->dy);
    c->residual = fixture_kind(f, p->shape, p->kind, p->residual);
    c->dresidual = fixture_kind(f, p->shape, p->kind, p->add_residual ? p->dresidual : NULL);
    for (int k = 0; k < (p->rest == SECOND ? 2 : 1); k++) {
        c->x[k] = fixture_kind(f, p->shape, p->kind, p->x[k]);
        c->dx[k] = k == 0 && p->in_place ? c->dy : fixture_kind(f, p->shape, p->kind, NULL);
        c->bn[k] = (nnclr_batchnorm){.x = &c->x[k],
                                     .gamma = fixture_reals(f, p->gamma[k], channels),
                                     .beta = fixture_reals(f, p->beta[k], channels),
                                     .running_mean = fixture_reals(f, p->mean[k], channels),
                                     .running_var = fixture_reals(f, p->var[k], channels),
                                     .sums = fixture_alloc(f, bytes),
                                     .saved = fixture_alloc(f, bytes),
                                     .n = p->shape.n,
                                     .slopes = fixture_alloc(f, bytes),
                                     .dgamma = fixture_reals(f, p->dgamma, channels),
                                     .dbeta = fixture_reals(f, p->dbeta, channels),
                                     .add_parameters = p->add_parameters,
                                     .dx = &c->dx[k]};
    }
    c->call = (nnclr_batchnorm_call){.main = c->bn[0],
                                     .residual = p->rest == RESIDUAL ? &c->residual : NULL,
                                     .second = p->rest == SECOND ? &c->bn[1] : NULL,
                                     .relu = p->relu,
                                     .y = &c->y,
                                     .dy = &c->dy,
                                     .dresidual = p->rest == RESIDUAL ? &c->dresidual : NULL,
                                     .add_residual = p->add_residual};
}

/* Pictures [first, first + n) of each group as a tensor of their own. */
static nnclr_tensor part_of(fixture *f, const batchnorm_problem *p, int k, int first, int n) {
    nnclr_shape part = p->shape;
    part.n = n;
    const size_t picture = shape_reals(p->shape) / (size_t)nnclr_shape_pictures(p->shape);
    double *reals = zero_reals(shape_reals(part));
    for (int group = 0; group < part.groups; group++)
        memcpy(reals + (size_t)(group * n) * picture,
               p->x[k] + (size_t)(group * p->shape.n + first) * picture,
               (size_t)n * picture * sizeof *reals);
    nnclr_tensor x = fixture_kind(f, part, p->kind, reals);
    free(reals);
    return x;
}

/* The running statistics of main or second, by parts of the batch, the last pictures first. */
static void train_in_parts(fixture *f, const batchnorm_problem *p, int k, nnclr_batchnorm bn) {
    bn.pool = fixture_alloc(f, f->t->statistics_bytes(&f->g, p->shape.groups, p->shape.c));
    for (int size = 1; bn.pooled < p->shape.n; bn.pooled += size++) {
        if (size > p->shape.n - bn.pooled)
            size = p->shape.n - bn.pooled;
        nnclr_tensor x = part_of(f, p, k, p->shape.n - bn.pooled - size, size);
        nnclr_tensor y = fixture_kind(f, x.shape, p->kind, NULL);
        bn.x = &x;
        bn.n = size;
        const nnclr_batchnorm_call call = {.main = bn, .y = &y};
        f->t->batchnorm_sums(&f->g, &x, bn.sums);
        f->t->batchnorm_train(&f->g, &call);
        if (bn.pooled + size == p->shape.n)
            f->t->batchnorm_running(&f->g, &call);
    }
}

static void compute_batchnorm(fixture *f, const test_engine *row, const batchnorm_problem *p,
                              results *got) {
    static const char *const names[2][5] = {{"mean", "var", "dgamma", "dbeta", "dx"},
                                            {"mean 2", "var 2", "dgamma 2", "dbeta 2", "dx 2"}};
    const int branches = p->rest == SECOND ? 2 : 1;
    const size_t channels = (size_t)p->shape.c;
    norm_call c = {0};
    make_call(f, p, &c);
    f->t->batchnorm_evaluate(&f->g, &c.call);
    take_tensor(f, row, got, "evaluated", &c.y);
    for (int k = 0; k < branches && p->in_parts && !p->repeated; k++)
        train_in_parts(f, p, k, c.bn[k]);
    for (int k = 0; k < branches; k++)
        f->t->batchnorm_sums(&f->g, &c.x[k], c.bn[k].sums);
    f->t->batchnorm_train(&f->g, &c.call);
    if (!p->repeated && !p->in_parts)
        f->t->batchnorm_running(&f->g, &c.call);
    take_tensor(f, row, got, "y", &c.y);
    f->t->batchnorm_slopes(&f->g, &c.call);
    f->t->batchnorm_backward(&f->g, &c.call);
    for (int k = 0; k < branches; k++) {
        take_reals(f, got, names[k][0], c.bn[k].running_mean, channels);
        take_reals(f, got, names[k][1], c.bn[k].running_var, channels);
        take_reals(f, got, names[k][2], c.bn[k].dgamma, channels);
        take_reals(f, got, names[k][3], c.bn[k].dbeta, channels);
        take_tensor(f, row, got, names[k][4], &c.dx[k]);
    }
    if (p->rest == RESIDUAL)
        take_tensor(f, row, got, "dresidual", &c.dresidual);
}

static void run_batchnorm(fixture *f, const test_engine *row, int problem, results *r) {
    batchnorm_problem p = make_batchnorm(problem);
    if (row)
        compute_batchnorm(f, row, &p, r);
    else
        define_batchnorm(&p, r);
    free_batchnorm(&p);
}

static const operation batchnorm = {"batch norm", NORM_PROBLEMS, 1, 10, run_batchnorm, NULL};

/* A mean far above the deviation: sums of squares in float would lose all of the variance. */
TEST(large_means_keep_their_variance) {
    fixture f;
    for (int parts = 0; parts < 2; parts++) {
        batchnorm_problem p = make_batchnorm(10);
        results want = {0};
        CHECK(p.rest == NO_REST);
        p.relu = p.repeated = false;
        p.in_parts = parts;
        for (size_t i = 0; i < shape_reals(p.shape); i++)
            p.x[0][i] += 2000;
        define_batchnorm(&p, &want);
        FOR_EACH_ENGINE(row, f, 1) {
            const result *y = &want.part[1], *var = &want.part[3];
            results got = {0};
            if (row->stored > 0)
                continue;
            compute_batchnorm(&f, row, &p, &got);
            CHECK_TEXT(var->name, "var");
            check_close("y", got.part[1].values, y->values, y->count, 1e-3);
            check_close("var", got.part[3].values, var->values, var->count, 1e-6);
            free_results(&got);
        }
        free_results(&want);
        free_batchnorm(&p);
    }
}

static void add_up(double *a, double *b, size_t count) {
    for (size_t i = 0; i < count; i++)
        a[i] = b[i] = a[i] + b[i];
}

static void add_statistics(fixture *f, void *a, void *b, size_t count) {
    double *of_a = zero_reals(count), *of_b = zero_reals(count);
    f->t->get_statistics(&f->g, a, count, of_a);
    f->t->get_statistics(&f->g, b, count, of_b);
    add_up(of_a, of_b, count);
    f->t->put_statistics(&f->g, a, count, of_a);
    f->t->put_statistics(&f->g, b, count, of_b);
    free(of_a), free(of_b);
}

static void check_share(fixture *f, const test_engine *row, const nnclr_tensor *share,
                        const result *whole, int first) {
    const size_t at = (size_t)first * shape_reals(share->shape) / (size_t)share->shape.n;
    result want = *whole,
           got = {whole->name, host_tensor(f, share), shape_reals(share->shape), true};
    want.values += at;
    want.count = got.count;
    check_part("a share", row, &got, &want, false, 10);
    free(got.values);
}

/* Two workers with a part of a batch each, who add their sums and slopes to each other's, have what
 * one has with all of it; each has its own part of the parameters' gradients. */
static void check_shares(fixture *f, const test_engine *row) {
    enum { N = 6 };
    static const int first[2] = {0, 2}, size[2] = {2, 4};
    batchnorm_problem p = make_batchnorm(1);
    const size_t picture = shape_reals(p.shape) / (size_t)nnclr_shape_pictures(p.shape);
    const size_t c = (size_t)p.shape.c;
    norm_call share[2] = {0};
    results want = {0};
    CHECK(p.rest == NO_REST);
    p.shape.groups = 1;
    p.shape.n = N;
    p.relu = true;
    p.in_place = p.add_parameters = p.repeated = p.in_parts = false;
    define_batchnorm(&p, &want);
    for (int i = 0; i < 2; i++) {
        batchnorm_problem part = p;
        part.shape.n = size[i];
        part.x[0] += (size_t)first[i] * picture;
        part.dy += (size_t)first[i] * picture;
        make_call(f, &part, &share[i]);
        share[i].call.main.n = N;
        f->t->batchnorm_sums(&f->g, &share[i].x[0], share[i].call.main.sums);
    }
    add_statistics(f, share[0].call.main.sums, share[1].call.main.sums, 2 * c);
    for (int i = 0; i < 2; i++) {
        f->t->batchnorm_train(&f->g, &share[i].call);
        f->t->batchnorm_running(&f->g, &share[i].call);
        f->t->batchnorm_slopes(&f->g, &share[i].call);
    }
    add_statistics(f, share[0].call.main.slopes, share[1].call.main.slopes, 2 * c);
    double *dgamma[2], *dbeta[2];
    for (int i = 0; i < 2; i++) {
        nnclr_batchnorm *bn = &share[i].call.main;
        results got = {0};
        f->t->batchnorm_backward(&f->g, &share[i].call);
        check_share(f, row, &share[i].y, &want.part[1], first[i]);
        check_share(f, row, &share[i].dx[0], &want.part[6], first[i]);
        take_reals(f, &got, "mean", bn->running_mean, c);
        take_reals(f, &got, "var", bn->running_var, c);
        for (int k = 0; k < 2; k++)
            check_part("a share", row, &got.part[k], &want.part[2 + k], false, 10);
        free_results(&got);
        dgamma[i] = host_reals(f, bn->dgamma, c);
        dbeta[i] = host_reals(f, bn->dbeta, c);
    }
    add_up(dgamma[0], dgamma[1], c);
    add_up(dbeta[0], dbeta[1], c);
    check_close("dgamma", dgamma[0], want.part[4].values, c, 10 * row->sums);
    check_close("dbeta", dbeta[0], want.part[5].values, c, 10 * row->sums);
    for (int i = 0; i < 2; i++)
        free(dgamma[i]), free(dbeta[i]);
    free_results(&want);
    free_batchnorm(&p);
}

TEST(shares_make_the_whole) {
    fixture f;
    FOR_EACH_ENGINE(row, f, 2)
    check_shares(&f, row);
}

TEST(batchnorm_agrees_with_the_formulas) {
    check_agreement(&batchnorm);
}

TEST(threads_and_kernels_change_no_bit) {
    check_threads(&batchnorm);
}

/* Through all that touches pictures: a batch that diverges is seen. */
TEST(nan_stays_nan) {
    batchnorm_problem p = make_batchnorm(2);
    fixture f;
    CHECK(p.rest == RESIDUAL && p.relu);
    p.residual[4] = NAN;
    p.dy[p.shape.c + 1] = NAN;
    FOR_EACH_ENGINE(row, f, 1) {
        results got = {0};
        compute_batchnorm(&f, row, &p, &got);
        CHECK_TEXT(got.part[5].name, "dbeta");
        CHECK(isnan(got.part[1].values[4]));
        CHECK(isnan(got.part[5].values[1]) || got.part[1].values[p.shape.c + 1] <= 0);
        free_results(&got);
    }
    free_batchnorm(&p);
}

/* ---- pooling ---- */

static void run_maxpool(fixture *f, const test_engine *row, int problem, results *r) {
    pool_problem p = make_pool(problem);
    if (row) {
        nnclr_tensor x = fixture_pictures(f, p.in, p.x), dy = fixture_pictures(f, p.out, p.dy);
        nnclr_tensor y = fixture_pictures(f, p.out, NULL);
        nnclr_tensor dx = fixture_pictures(f, p.in, p.add ? p.dx : NULL);
        f->t->maxpool_forward(&f->g, &x, &y);
        f->t->maxpool_backward(&f->g, &x, &dy, &dx, p.add);
        take_tensor(f, row, r, "y", &y);
        take_tensor(f, row, r, "dx", &dx);
    } else {
        define_maxpool(&p, r);
    }
    free_pool(&p);
}

static void run_average(fixture *f, const test_engine *row, int problem, results *r) {
    pool_problem p = make_pool(problem);
    if (row) {
        nnclr_tensor x = fixture_pictures(f, p.in, p.x), y = fixture_rows(f, p.mean, NULL);
        nnclr_tensor dy = fixture_rows(f, p.mean, p.dmean);
        nnclr_tensor dx = fixture_pictures(f, p.in, p.add ? p.dx : NULL);
        f->t->average_forward(&f->g, &x, &y);
        f->t->average_backward(&f->g, &dy, &dx, p.add);
        take_tensor(f, row, r, "y", &y);
        take_tensor(f, row, r, "dx", &dx);
    } else {
        define_average(&p, r);
    }
    free_pool(&p);
}

TEST(pooling_agrees_with_the_definition) {
    check_operation(&(operation){"maximum", POOL_PROBLEMS, 1, 0, run_maxpool, NULL});
    check_operation(&(operation){"average", POOL_PROBLEMS, 1, 1, run_average, NULL});
}

/* ---- moves ---- */

TEST(pictures_come_back_as_they_are_held) {
    static const nnclr_shape shapes[] = {{2, 33, 3, 2, 5}, {1, 64, 1, 1, 70}, {3, 1, 2, 2, 32}};
    static const union {
        uint32_t bits;
        float value;
    } full = {0x7fffffff}; /* a NaN that would overflow if it were rounded */
    fixture f;
    FOR_EACH_ENGINE(row, f, 2)
    for (int i = 0; i < 3; i++) {
        uint64_t seed = (uint64_t)i;
        results got = {0};
        double *values = random_reals(&seed, shape_reals(shapes[i]));
        for (size_t k = 0; k < shape_reals(shapes[i]); k++)
            values[k] = (double)(float)(values[k] / 3);
        values[0] = INFINITY;
        values[1] = (double)3.4e38f; /* above the largest of bfloat16 */
        values[2] = (double)1e-30f;
        values[3] = (double)full.value;
        values[4] = 1 + 0x1p-8; /* between two of bfloat16: goes to the even one */
        nnclr_tensor t = fixture_pictures(&f, shapes[i], values);
        take_tensor(&f, row, &got, "pictures", &t);
        CHECK(isnan(got.part[0].values[3]));
        values[3] = got.part[0].values[3] = 0;
        check_part("moves", row, &got.part[0],
                   &(result){"pictures", values, got.part[0].count, true}, true, 0);
        free(values);
        free_results(&got);
    }
}

/* Any float, in sums that are stored: all exponents with fractions at and beside the ties. */
TEST(kernels_round_alike) {
    const tile_kernels *plain = &nnclr_tiles_bf16_portable;
    static float sums[SQUARE];
    static bf16 want[SQUARE], got[SQUARE];
    for (const test_engine *row = engines; row < engines + ENGINES; row++)
        for (uint32_t high = 0; has_short_tiles(row) && has_kernels(row) && high < 0x10000;
             high += SQUARE / 8) {
            for (uint32_t k = 0; k < SQUARE; k++) {
                static const uint32_t low[8] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x80, 0x4321};
                const uint32_t bits = (high + k / 8) << 16 | low[k % 8];
                memcpy(&sums[k], &bits, sizeof bits);
            }
            plain->store(sums, BLOCK, 32, 32, false, want, NULL, NULL);
            row->kernels->store(sums, BLOCK, 32, 32, false, got, NULL, NULL);
            for (int k = 0; k < SQUARE; k++)
                CHECK_SAYS(got[k] == want[k], "%s: %a gives %04x, plain C %04x", row->name,
                           (double)sums[k], got[k], want[k]);
        }
}

TEST(every_engine_runs_here) {
    skip_for_absent_engines();
}

int main(void) {
    return check_all();
}
