/* Convolutions of every engine; and of those on tiles, what only they have. */
#include "engine/tiles/conv.h"
#include "tests/unit/engine_ops.h"

/* The sums that came with y, by the running statistics that are made of them: mean and unbiased
 * variance of what is stored, a tenth of a group's after nine tenths of what was there. */
static void check_sums(fixture *f, const nnclr_tensor *y, void *sums) {
    const size_t c = (size_t)y->shape.c, groups = (size_t)y->shape.groups;
    const size_t rows = shape_reals(y->shape) / c / groups;
    double *values = host_tensor(f, y), *zeros = zero_reals(c);
    void *running = fixture_reals(f, zeros, c), *variances = fixture_reals(f, zeros, c);
    const nnclr_batchnorm_call call = {.main = {.x = y,
                                                .running_mean = running,
                                                .running_var = variances,
                                                .sums = sums,
                                                .n = y->shape.n}};
    f->t->batchnorm_running(&f->g, &call);
    double *mean = host_reals(f, running, c), *var = host_reals(f, variances, c);
    for (size_t k = 0; k < c; k++) {
        double want[2] = {0, 0}, scale = 1e-30;
        for (size_t group = 0; group < groups; group++) {
            const moments m = moments_of(values + group * rows * c + k, rows, c);
            want[0] = 0.9 * want[0] + 0.1 * m.mean;
            want[1] = 0.9 * want[1] + 0.1 * m.variance * (double)rows / fmax((double)rows - 1, 1);
            scale = fmax(scale, fabs(m.mean) + sqrt(m.variance));
        }
        CHECK_NEAR(mean[k], want[0], 1e-7 * scale);
        CHECK_NEAR(var[k], want[1], 2e-7 * scale * scale + 1e-30);
    }
    free(mean), free(var), free(values), free(zeros);
}

static void compute_conv(fixture *f, const test_engine *row, const conv_problem *p, results *got) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_engine *g = &f->g;
    nnclr_shape in = p->in;
    in.n = p->planned;
    nnclr_conv_plan *plan = f->t->conv_plan(g, &p->conv, in, &e);
    CHECK_SAYS(plan, "%s", e.message);
    CHECK(plan->out.h == p->out.h && plan->out.w == p->out.w && plan->out.c == p->out.c &&
          plan->out.n == p->planned);
    void *packed = fixture_alloc(f, plan->packed_bytes);
    void *workspace = fixture_alloc(f, plan->workspace_bytes);
    void *sums = fixture_alloc(f, f->t->statistics_bytes(g, p->out.groups, p->out.c));
    void *dw = fixture_reals(f, p->dw, p->weights);
    nnclr_tensor x = fixture_pictures(f, p->in, p->x), dy = fixture_pictures(f, p->out, p->dy);
    nnclr_tensor y = fixture_pictures(f, p->out, NULL), dx = fixture_pictures(f, p->in, p->dx);
    f->t->conv_pack(g, plan, fixture_reals(f, p->w, p->weights), packed);
    f->t->conv_forward(g, plan, &x, packed, &y, sums, workspace);
    f->t->conv_backward_data(g, plan, &dy, packed, &dx, p->add, workspace);
    f->t->conv_backward_weights(g, plan, &x, &dy, dw, p->add, workspace);
    f->t->conv_plan_free(g, plan);
    take_tensor(f, row, got, "y", &y);
    take_tensor(f, row, got, "dx", &dx);
    take_reals(f, got, "dw", dw, p->weights);
    check_sums(f, &y, sums);
}

static void run_conv(fixture *f, const test_engine *row, int problem, results *r) {
    conv_problem p = make_conv(problem);
    fixture first;
    r->exact = p.exact;
    if (row) {
        compute_conv(f, row, &p, r);
    } else if (conv_work(&p) < 1e7) {
        define_conv(&p, r);
    } else { /* by the first engine, which smaller problems hold to the definition */
        CHECK(open_engine(&first, &engines[0], 2));
        compute_conv(&first, &engines[0], &p, r);
        fixture_close(&first);
    }
    free_conv(&p);
}

static double work_of(int problem) {
    const conv_problem p = conv_at(problem);
    return conv_work(&p);
}

static const operation convolution = {"convolution", CONV_CASES + CONV_DRAWN, CONV_CUT, 1, run_conv,
                                      work_of};

TEST(agrees_with_the_definition) {
    check_agreement(&convolution);
}

TEST(threads_and_kernels_change_no_bit) {
    check_threads(&convolution);
}

TEST(impossible_shapes_are_refused) {
    static const conv_case cases[] = {
        {{3, 8, 7, 1, 0}, {1, 1, 6, 9, 3}},         /* kernel larger than the picture */
        {{3, 8, 3, 0, 1}, {1, 1, 6, 6, 3}},         /* no stride */
        {{4, 8, 3, 1, 1}, {1, 1, 6, 6, 3}},         /* other channels */
        {{3, 8, 3, 1, 3}, {1, 1, 6, 6, 3}},         /* whole windows of padding */
        {{3, 8, 3, 1, 1}, {2, 70000, 300, 300, 3}}, /* more pixels than an int counts */
        {{1 << 19, 8, 200, 1, 1}, {1, 1, 300, 300, 1 << 19}},
    };
    fixture f;
    FOR_EACH_ENGINE(row, f, 1) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            nnclr_error e = NNCLR_NO_ERROR;
            CHECK(!f.t->conv_plan(&f.g, &cases[i].conv, cases[i].in, &e));
            CHECK(e.code != NNCLR_OK && e.message[0]);
        }
    }
}

/* One pixel of one picture that is not a number is in those of the result whose taps reach it. */
static void check_spread(fixture *f, const test_engine *row, nnclr_conv conv, int at) {
    conv_problem p = size_conv((conv_case){conv, {1, 3, 5, 7, 3}});
    const int picture = p.in.n - 1, y = at / p.in.w, x = at % p.in.w;
    nnclr_error e = NNCLR_NO_ERROR;
    draw_conv_operands(&p, 3);
    p.x[(picture * p.in.h * p.in.w + at) * p.in.c] = NAN;
    nnclr_conv_plan *plan = f->t->conv_plan(&f->g, &conv, p.in, &e);
    CHECK_SAYS(plan, "%s", e.message);
    void *packed = fixture_alloc(f, plan->packed_bytes);
    nnclr_tensor from = fixture_pictures(f, p.in, p.x), to = fixture_pictures(f, p.out, NULL);
    f->t->conv_pack(&f->g, plan, fixture_reals(f, p.w, p.weights), packed);
    f->t->conv_forward(&f->g, plan, &from, packed, &to, NULL,
                       fixture_alloc(f, plan->workspace_bytes));
    f->t->conv_plan_free(&f->g, plan);
    double *values = host_tensor(f, &to);
    for (size_t i = 0; i < shape_reals(p.out); i++) {
        const int pixel = (int)i / p.out.c, n = pixel / p.out.w / p.out.h;
        const int ky = y - pixel / p.out.w % p.out.h * conv.stride + conv.pad;
        const int kx = x - pixel % p.out.w * conv.stride + conv.pad;
        const bool reached =
            n == picture && ky >= 0 && ky < conv.kernel && kx >= 0 && kx < conv.kernel;
        CHECK_SAYS(!isfinite(values[i]) == reached, "%s: y[%zu] = %g", row->name, i, values[i]);
    }
    free(values);
    free_conv(&p);
}

TEST(what_is_no_number_stays_under_its_taps) {
    fixture f;
    FOR_EACH_ENGINE(row, f, 2)
    for (int at = 0; at < 35; at += 17) {
        check_spread(&f, row, (nnclr_conv){3, 32, 3, 1, 1}, at);
        check_spread(&f, row, (nnclr_conv){3, 16, 7, 2, 3}, at);
    }
}

/* ---- tiles ---- */

/* If channels or pictures do not fit, nothing is folded. */
TEST(narrow_rows_are_folded) {
    static const nnclr_conv wide[] = {{11, 4, 3, 1, 1}, {5, 4, 7, 2, 3},   {1, 4, 33, 1, 0},
                                      {3, 4, 1, 1, 0},  {64, 64, 3, 1, 1}, {3, 4096, 3, 1, 1}};
    static const nnclr_conv narrow[] = {{3, 16, 3, 1, 1},  {3, 40, 7, 2, 3},  {1, 7, 5, 1, 2},
                                        {16, 20, 2, 1, 1}, {1, 3, 32, 1, 31}, {3, 8, 10, 3, 9}};
    for (int i = 0; i < 6; i++) {
        CHECK(!nnclr_tiled_folds(&nnclr_tiles_bf16_portable, &wide[i]));
        CHECK(nnclr_tiled_folds(&nnclr_tiles_bf16_portable, &narrow[i]));
    }
}

static bool drops_a_product;

static void multiply_less(const tile_product *p) {
    nnclr_tiles_bf16_portable.multiply(p);
    p->sums[SQUARE - 1] += drops_a_product ? 1.0f : 0.0f;
}

/* As an engine on AMX is asked before it is opened. */
TEST(kernels_that_multiply_wrongly_are_told) {
    for (const test_engine *row = engines; row < engines + ENGINES; row++)
        CHECK(!has_short_tiles(row) || !has_kernels(row) || nnclr_tiled_multiplies(row->kernels));
    tile_kernels other = nnclr_tiles_bf16_portable;
    other.multiply = multiply_less;
    CHECK(nnclr_tiled_multiplies(&other));
    drops_a_product = true;
    CHECK(!nnclr_tiled_multiplies(&other));
}

TEST(every_engine_runs_here) {
    skip_for_absent_engines();
}

int main(void) {
    return check_all();
}
