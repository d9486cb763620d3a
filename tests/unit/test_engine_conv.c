/* Convolutions of every engine; and of those on tiles, what only they have. */
#include "engine/tiles/conv.h"
#include "tests/unit/engine_ops.h"

/* The sums that came with y, by the running statistics that are made of them: mean and unbiased
 * variance of what is stored. */
static void check_sums(fixture *f, const nnclr_tensor *y, void *sums) {
    const size_t c = (size_t)y->shape.c, rows = shape_reals(y->shape) / c;
    double *values = host_tensor(f, y), *zeros = zero_reals(c);
    nnclr_shape group = y->shape;
    group.groups = 1;
    for (int i = 0; i < y->shape.groups; i++) {
        const size_t first = (size_t)i * rows / (size_t)y->shape.groups, n = shape_reals(group) / c;
        const size_t bytes = f->t->tensor_bytes(&f->g, group, NNCLR_ACTIVATION);
        nnclr_tensor x = {group, NNCLR_ACTIVATION, (unsigned char *)y->place + (size_t)i * bytes};
        nnclr_tensor normal = fixture_pictures(f, group, NULL);
        const nnclr_batchnorm_call call = {
            .main = {.x = &x,
                     .gamma = fixture_reals(f, zeros, c),
                     .beta = fixture_reals(f, zeros, c),
                     .running_mean = fixture_reals(f, zeros, c),
                     .running_var = fixture_reals(f, zeros, c),
                     .sums = (unsigned char *)sums +
                             (size_t)i * f->t->statistics_bytes(&f->g, 1, y->shape.c),
                     .saved = fixture_alloc(f, f->t->statistics_bytes(&f->g, 1, y->shape.c)),
                     .n = group.n},
            .y = &normal};
        f->t->batchnorm_train(&f->g, &call);
        double *mean = host_reals(f, call.main.running_mean, c);
        double *var = host_reals(f, call.main.running_var, c);
        for (size_t k = 0; k < c; k++) {
            const moments m = moments_of(values + first * c + k, n, c);
            const double unbiased = n > 1 ? m.variance * (double)n / (double)(n - 1) : 0;
            const double scale = fabs(m.mean) + sqrt(m.variance);
            CHECK_NEAR(10 * mean[k], m.mean, 1e-6 * scale + 1e-30);
            CHECK_NEAR(10 * var[k], unbiased, 2e-6 * scale * scale + 1e-30);
        }
        free(mean), free(var);
    }
    free(values), free(zeros);
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

static void compute_number(fixture *f, const test_engine *row, int problem, results *got) {
    conv_problem p = make_conv(problem);
    compute_conv(f, row, &p, got);
    free_conv(&p);
}

static void define_conv(int problem, results *want) {
    conv_problem p = make_conv(problem);
    if (conv_work(&p) < 1e7) {
        define_conv_of(&p, want);
    } else {
        fixture f;
        CHECK(open_engine(&f, &engines[0], 2));
        compute_conv(&f, &engines[0], &p, want);
        fixture_close(&f);
    }
    want->exact = p.exact;
    free_conv(&p);
}

static double work_of(int problem) {
    const conv_problem p = conv_at(problem);
    return conv_work(&p);
}

static const operation convolution = {.name = "convolution",
                                      .problems = CONV_CASES + CONV_DRAWN,
                                      .cut = CONV_CUT,
                                      .slack = 1,
                                      .define = define_conv,
                                      .compute = compute_number,
                                      .work = work_of};

static void agrees_with_the_definition(void) {
    check_agreement(&convolution);
}

static void threads_and_kernels_change_no_bit(void) {
    check_threads(&convolution);
}

static void impossible_shapes_are_refused(void) {
    static const conv_case cases[] = {
        {{3, 8, 7, 1, 0}, {1, 1, 6, 9, 3}},         /* kernel larger than the picture */
        {{3, 8, 3, 0, 1}, {1, 1, 6, 6, 3}},         /* no stride */
        {{4, 8, 3, 1, 1}, {1, 1, 6, 6, 3}},         /* other channels */
        {{3, 8, 3, 1, 3}, {1, 1, 6, 6, 3}},         /* whole windows of padding */
        {{3, 8, 3, 1, 1}, {2, 70000, 300, 300, 3}}, /* more pixels than an int counts */
        {{1 << 19, 8, 200, 1, 1}, {1, 1, 300, 300, 1 << 19}},
    };
    fixture f;
    for (const test_engine *row = engines; row < engines + ENGINES; row++) {
        if (!open_engine(&f, row, 1))
            continue;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            nnclr_error e = NNCLR_NO_ERROR;
            CHECK(!f.t->conv_plan(&f.g, &cases[i].conv, cases[i].in, &e));
            CHECK(e.code != NNCLR_OK && e.message[0]);
        }
        fixture_close(&f);
    }
}

/* One pixel of one picture that is not a number is in those of the result whose taps reach it. */
static void check_spread(const test_engine *row, nnclr_conv conv, int at) {
    conv_problem p = size_conv((conv_case){conv, {1, 3, 5, 7, 3}});
    uint64_t seed = 3;
    p.x = rough_reals(&seed, shape_reals(p.in));
    p.w = rough_reals(&seed, p.weights);
    p.dy = rough_reals(&seed, shape_reals(p.out));
    const int picture = p.in.n - 1, y = at / p.in.w, x = at % p.in.w;
    p.x[(picture * p.in.h * p.in.w + at) * p.in.c] = NAN;
    fixture f;
    if (open_engine(&f, row, 2)) {
        nnclr_error e = NNCLR_NO_ERROR;
        nnclr_conv_plan *plan = f.t->conv_plan(&f.g, &conv, p.in, &e);
        CHECK_SAYS(plan, "%s", e.message);
        void *packed = fixture_alloc(&f, plan->packed_bytes);
        nnclr_tensor from = fixture_pictures(&f, p.in, p.x);
        nnclr_tensor to = fixture_pictures(&f, p.out, NULL);
        f.t->conv_pack(&f.g, plan, fixture_reals(&f, p.w, p.weights), packed);
        f.t->conv_forward(&f.g, plan, &from, packed, &to, NULL,
                          fixture_alloc(&f, plan->workspace_bytes));
        f.t->conv_plan_free(&f.g, plan);
        double *values = host_tensor(&f, &to);
        for (size_t i = 0; i < shape_reals(p.out); i++) {
            const int pixel = (int)i / p.out.c, n = pixel / p.out.w / p.out.h;
            const int ky = y - pixel / p.out.w % p.out.h * conv.stride + conv.pad;
            const int kx = x - pixel % p.out.w * conv.stride + conv.pad;
            const bool reached =
                n == picture && ky >= 0 && ky < conv.kernel && kx >= 0 && kx < conv.kernel;
            CHECK_SAYS(!isfinite(values[i]) == reached, "%s: y[%zu] = %g", row->name, i, values[i]);
        }
        free(values);
        fixture_close(&f);
    }
    free_conv(&p);
}

static void what_is_no_number_stays_under_its_taps(void) {
    for (const test_engine *row = engines; row < engines + ENGINES; row++)
        for (int at = 0; at < 35; at += 17) {
            check_spread(row, (nnclr_conv){3, 32, 3, 1, 1}, at);
            check_spread(row, (nnclr_conv){3, 16, 7, 2, 3}, at);
        }
}

/* ---- tiles ---- */

/* If channels or pictures do not fit, nothing is folded. */
static void narrow_rows_are_folded(void) {
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
static void kernels_that_multiply_wrongly_are_told(void) {
    for (const test_engine *row = engines; row < engines + ENGINES; row++)
        CHECK(row->stored == 0 || !has_kernels(row) || nnclr_tiled_multiplies(row->kernels));
    tile_kernels other = nnclr_tiles_bf16_portable;
    other.multiply = multiply_less;
    CHECK(nnclr_tiled_multiplies(&other));
    drops_a_product = true;
    CHECK(!nnclr_tiled_multiplies(&other));
}

int main(void) {
    RUN(every_engine_runs_here);
    RUN(agrees_with_the_definition);
    RUN(threads_and_kernels_change_no_bit);
    RUN(impossible_shapes_are_refused);
    RUN(what_is_no_number_stays_under_its_taps);
    RUN(narrow_rows_are_folded);
    RUN(kernels_that_multiply_wrongly_are_told);
    return check_done();
}
