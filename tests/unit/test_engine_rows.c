/* Products, linear layers, what losses are made of and the optimiser's step, of every engine; and
 * the definitions themselves against numbers computed elsewhere. */
#include "tests/unit/engine_row_ops.h"

/* ---- products ---- */

enum { PRODUCTS = 40 };

static void run_product(fixture *f, const test_engine *row, int problem, results *r) {
    static const int sizes[][3] = {
        {130, 150, 300}, {5, 7, 3}, {70, 33, 129}, {200, 150, 20}, {1, 1, 1}};
    const int *s = sizes[problem / 8];
    const bool ta = problem & 1, tb = problem & 2, keep = problem & 4;
    uint64_t seed = (uint64_t)problem;
    const size_t m = (size_t)s[0], n = (size_t)s[1], k = (size_t)s[2];
    double *a = rough_reals(&seed, m * k), *b = rough_reals(&seed, k * n);
    double *c = rough_reals(&seed, m * n), beta = keep ? .5 : 0;
    if (row) {
        void *out = fixture_reals(f, keep ? c : NULL, m * n);
        f->t->gemm(&f->g, ta, tb, s[0], s[1], s[2], -1.5, fixture_reals(f, a, m * k),
                   fixture_reals(f, b, k * n), beta, out);
        take_reals(f, r, "c", out, m * n);
    } else {
        add_part(r, "c", product_of(ta, tb, s[0], s[1], s[2], -1.5, a, b, beta, c), m * n, false);
    }
    free(a), free(b), free(c);
}

static linear_problem make_linear(int problem) {
    uint64_t seed = (uint64_t)problem;
    linear_problem p = {.rows = 2 * 37,
                        .in = 50,
                        .out = problem < 4 ? 600 : 9,
                        .add = problem & 1,
                        .biased = problem & 2};
    const size_t rows = (size_t)p.rows, in = (size_t)p.in, out = (size_t)p.out;
    p.x = rough_reals(&seed, rows * in);
    p.w = rough_reals(&seed, out * in);
    p.b = rough_reals(&seed, out);
    p.dy = rough_reals(&seed, rows * out);
    p.dx = rough_reals(&seed, rows * in);
    p.dw = rough_reals(&seed, out * in);
    p.db = rough_reals(&seed, out);
    return p;
}

static void run_linear(fixture *f, const test_engine *row, int problem, results *r) {
    linear_problem p = make_linear(problem);
    const nnclr_shape in = {2, p.rows / 2, 1, 1, p.in}, out = {2, p.rows / 2, 1, 1, p.out};
    const size_t weights = (size_t)(p.in * p.out), biases = (size_t)p.out;
    if (row) {
        nnclr_tensor x = fixture_rows(f, in, p.x), y = fixture_rows(f, out, NULL);
        nnclr_tensor dy = fixture_rows(f, out, p.dy), dx = fixture_rows(f, in, p.add ? p.dx : NULL);
        void *w = fixture_reals(f, p.w, weights),
             *dw = fixture_reals(f, p.add ? p.dw : NULL, weights);
        void *b = fixture_reals(f, p.b, biases),
             *db = fixture_reals(f, p.add ? p.db : NULL, biases);
        f->t->linear_forward(&f->g, &x, w, p.biased ? b : NULL, &y);
        f->t->linear_backward_data(&f->g, &dy, w, &dx, p.add);
        f->t->linear_backward_weights(&f->g, &x, &dy, dw, p.biased ? db : NULL, p.add);
        take_tensor(f, row, r, "y", &y);
        take_tensor(f, row, r, "dx", &dx);
        take_reals(f, r, "dw", dw, weights);
        take_reals(f, r, "db", p.biased ? db : b, biases);
    } else {
        define_linear(&p, r);
        if (!p.biased)
            memcpy(r->part[3].values, p.b, biases * sizeof *p.b);
    }
    free(p.x), free(p.w), free(p.b), free(p.dy), free(p.dx), free(p.dw), free(p.db);
}

TEST(products_agree_with_the_definition) {
    check_operation(&(operation){"product", PRODUCTS, 4, 1, run_product, NULL});
    check_operation(&(operation){"linear", 8, 4, 1, run_linear, NULL});
}

/* ---- normalisation ---- */

enum { NORM_ROWS = 130, NORM_WIDTH = 79 };

/* Every fifth row is shorter than 1e-12, every tenth nothing. */
static void run_l2norm(fixture *f, const test_engine *row, int problem, results *r) {
    const nnclr_shape s = {2, NORM_ROWS / 2, 1, 1, NORM_WIDTH};
    const size_t count = shape_reals(s);
    uint64_t seed = (uint64_t)problem;
    const bool add = problem & 1, tiny = problem & 2;
    double *x = rough_reals(&seed, count), *dy = rough_reals(&seed, count);
    double *before = rough_reals(&seed, count);
    for (size_t i = 0; tiny && i < count; i++)
        x[i] *= i / NORM_WIDTH % 10 == 0 ? 0 : i / NORM_WIDTH % 5 == 0 ? 0x1p-46 : 1;
    if (row) {
        nnclr_tensor tx = fixture_rows(f, s, x), y = fixture_rows(f, s, NULL);
        nnclr_tensor tdy = fixture_rows(f, s, dy), dx = fixture_rows(f, s, add ? before : NULL);
        void *norms = fixture_reals(f, NULL, NORM_ROWS);
        f->t->l2norm_forward(&f->g, &tx, &y, norms);
        f->t->l2norm_backward(&f->g, &y, norms, &tdy, &dx, add);
        take_tensor(f, row, r, "y", &y);
        take_reals(f, r, "norms", norms, NORM_ROWS);
        take_tensor(f, row, r, "dx", &dx);
    } else {
        define_l2norm(NORM_ROWS, NORM_WIDTH, x, dy, add ? before : NULL, r);
    }
    if (tiny) /* the gradients of short rows are so large that nothing else would be compared */
        for (size_t i = 0; i < count; i++)
            r->part[2].values[i] *= i / NORM_WIDTH % 5 == 0 ? 1e-12 : 1;
    free(x), free(dy), free(before);
}

/* ---- cross-entropy ---- */

static const entropy entropies[] = {
    {130, 300, 3, 0, .5, false},  {40, 80, 40, 0, .5, false},   {40, 80, 0, 40, .25, false},
    {30, 97, 11, 67, .5, false},  {1, 1, 0, INT_MIN, 1, false}, {20, 40, 3, 1, 2, false},
    {5, 5, 0, INT_MIN, 1, false}, {30, 97, 11, 67, .5, true},   {2, 2, 0, INT_MIN, 1, true}};
enum { ENTROPIES = sizeof entropies / sizeof entropies[0] };

/* Logits with equal ones, or wide; often the target's is the largest, but for the one to skip. */
static void run_entropy(fixture *f, const test_engine *row, int problem, results *r) {
    const entropy s = entropies[problem % ENTROPIES];
    const size_t count = (size_t)(s.rows * s.columns);
    const double one = 1, two = 2;
    uint64_t seed = (uint64_t)problem;
    double *logits = rough_reals(&seed, count), correct = 0;
    for (size_t k = 0; k < count; k++) {
        const int i = (int)k / s.columns, j = (int)k % s.columns;
        logits[k] = problem / ENTROPIES % 2 ? round(logits[k]) : 8 * logits[k];
        logits[k] += i % 2 && j == i + s.target ? 20 : i % 3 && j == i + s.skip ? 40 : 0;
    }
    if (row) {
        const nnclr_cross_entropy_call call = {.logits = fixture_reals(f, logits, count),
                                               .rows = s.rows,
                                               .columns = s.columns,
                                               .target = s.target,
                                               .skip = s.skip,
                                               .decoupled = s.decoupled,
                                               .weight = s.weight,
                                               .loss = fixture_reals(f, &one, 1),
                                               .correct =
                                                   problem % 5 ? fixture_reals(f, &two, 1) : NULL};
        f->t->cross_entropy(&f->g, &call);
        take_reals(f, r, "loss", call.loss, 1);
        take_reals(f, r, "gradient", call.logits, count);
        if (call.correct)
            take_reals(f, r, "correct", call.correct, 1);
    } else {
        double *loss = add_part(r, "loss", zero_reals(1), 1, false);
        double *gradient = add_part(r, "gradient", zero_reals(count), count, false);
        *loss = 1 + define_entropy(s, logits, gradient, &correct);
        if (problem % 5)
            *add_part(r, "correct", zero_reals(1), 1, false) = 2 + correct;
    }
    free(logits);
}

TEST(rows_agree_with_the_formulas) {
    check_operation(&(operation){"l2norm", 4, 1, 1, run_l2norm, NULL});
    check_operation(&(operation){"cross-entropy", 4 * ENTROPIES, 1, 1, run_entropy, NULL});
}

/* sum_i (1 - C[i][i])^2 + share sum_{i != j} C[i][j]^2, and its slopes, `weight` times. */
static void run_decorrelation(fixture *f, const test_engine *row, int problem, results *r) {
    static const int widths[] = {150, 1, 2, 33};
    static const double shares[] = {.0051, 0, 1};
    const int d = widths[problem % 4];
    const size_t count = (size_t)d * (size_t)d;
    const double weight = 1.5, share = shares[problem / 4], one = 1;
    uint64_t seed = (uint64_t)problem;
    double *c = rough_reals(&seed, count);
    if (row) {
        const nnclr_decorrelation_call call = {.matrix = fixture_reals(f, c, count),
                                               .d = d,
                                               .weight = weight,
                                               .off_diagonal = share,
                                               .loss = fixture_reals(f, &one, 1)};
        f->t->decorrelation(&f->g, &call);
        take_reals(f, r, "loss", call.loss, 1);
        take_reals(f, r, "gradient", call.matrix, count);
    } else {
        double *loss = add_part(r, "loss", zero_reals(1), 1, false);
        double *gradient = add_part(r, "gradient", zero_reals(count), count, false);
        *loss = 1;
        for (size_t k = 0; k < count; k++) {
            const bool diagonal = k % (size_t)(d + 1) == 0;
            const double off = c[k] - (diagonal ? 1 : 0), times = weight * (diagonal ? 1 : share);
            *loss += times * off * off;
            gradient[k] = 2 * times * off;
        }
    }
    free(c);
}

TEST(correlations_are_compared_with_the_identity) {
    check_operation(&(operation){"decorrelation", 12, 1, 1, run_decorrelation, NULL});
}

/* Where only the largest of a row may be left of a softmax, decoupled or not: the second row's
 * first of equals is not its target. */
TEST(cross_entropy_of_extremes) {
    static const double logits[4] = {3000, -3000, 3000, 3000};
    static const double want[2][4] = {{0, 0, .25, -.25}, {-.5, .5, .5, -.5}};
    const double zero = 0;
    fixture f;
    FOR_EACH_ENGINE(row, f, 1)
    for (int decoupled = 0; decoupled < 2; decoupled++) {
        double loss, correct, gradient[4];
        const nnclr_cross_entropy_call call = {.logits = fixture_reals(&f, logits, 4),
                                               .rows = 2,
                                               .columns = 2,
                                               .skip = INT_MIN,
                                               .decoupled = decoupled,
                                               .weight = 1,
                                               .loss = fixture_reals(&f, &zero, 1),
                                               .correct = fixture_reals(&f, &zero, 1)};
        f.t->cross_entropy(&f.g, &call);
        f.t->get(&f.g, call.loss, 1, NNCLR_F64, &loss);
        f.t->get(&f.g, call.correct, 1, NNCLR_F64, &correct);
        f.t->get(&f.g, call.logits, 4, NNCLR_F64, gradient);
        CHECK_NEAR(loss, decoupled ? -3000 : log(2) / 2, 1e-6);
        CHECK(correct == 1);
        check_close("gradient", gradient, want[decoupled], 4, 1e-6);
    }
}

/* Row losses of the reference's golden similarity matrix NN1 p2 at three temperatures. */
TEST(golden_losses) {
    static const double p[9] = {.9, 0, .2, .5, 1, .3, .3, 0, 1};
    static const double taus[3] = {.1, .2, .5}, want[3] = {.002406, .057686, .385139};
    for (int t = 0; t < 3; t++) {
        double logits[9], gradient[9], correct; /* the neighbours are the axes */
        for (int i = 0; i < 9; i++)
            logits[i] = p[i % 3 * 3 + i / 3] / taus[t] / norm_of(p + i % 3 * 3, 3);
        CHECK_NEAR(
            define_entropy((entropy){3, 3, 0, INT_MIN, 1, false}, logits, gradient, &correct),
            want[t], 5e-7);
    }
}

/* ---- gathering and norms ---- */

/* Whole rows, weighted sums of several, and these added to what was there; some picks are -1. */
static void run_gather(fixture *f, const test_engine *row, int problem, results *r) {
    enum { ROWS = 40, D = 65 };
    const bool weighs = problem % 3 > 0, adds = problem % 3 > 1;
    const int n = problem < 3 ? 300 : 3, k = weighs ? 5 : 1;
    const size_t count = (size_t)n * D, picked = (size_t)(n * k);
    uint64_t seed = (uint64_t)problem;
    double *table = rough_reals(&seed, ROWS * D), *weights = rough_reals(&seed, picked),
           *before = rough_reals(&seed, count);
    int32_t *picks = malloc(picked * sizeof *picks);
    CHECK(picks);
    for (size_t i = 0; i < picked; i++)
        picks[i] = random_int(&seed, -1, ROWS - 1);
    if (row) {
        void *place = fixture_alloc(f, picked * sizeof *picks);
        f->t->put_picks(&f->g, place, picked, picks);
        const nnclr_gather_call call = {.table = fixture_reals(f, table, ROWS * D),
                                        .picks = place,
                                        .weights =
                                            weighs ? fixture_reals(f, weights, picked) : NULL,
                                        .d = D,
                                        .n = n,
                                        .k = k,
                                        .y = fixture_reals(f, adds ? before : NULL, count),
                                        .add = adds};
        f->t->gather(&f->g, &call);
        take_reals(f, r, "y", call.y, count);
    } else {
        double *y = add_part(r, "y", zero_reals(count), count, false);
        for (size_t i = 0; i < picked * D; i++) {
            const size_t pick = i / D, to = pick / (size_t)k * D + i % D;
            if (adds && pick % (size_t)k == 0)
                y[to] += before[to];
            if (picks[pick] >= 0)
                y[to] += (weighs ? weights[pick] : 1) * table[(size_t)picks[pick] * D + i % D];
        }
    }
    free(picks), free(before), free(weights), free(table);
}

TEST(rows_are_gathered) {
    check_operation(&(operation){"gather", 6, 3, 1, run_gather, NULL});
}

static void run_blend(fixture *f, const test_engine *row, int problem, results *r) {
    const size_t count = problem ? 3 : 50001;
    uint64_t seed = 8;
    double *x = rough_reals(&seed, count), *y = rough_reals(&seed, count);
    if (row) {
        void *place = fixture_reals(f, y, count);
        f->t->blend(&f->g, place, .75, fixture_reals(f, x, count), .2, count);
        take_reals(f, r, "y", place, count);
    } else {
        double *want = add_part(r, "y", zero_reals(count), count, false);
        for (size_t i = 0; i < count; i++)
            want[i] = .75 * y[i] + .2 * x[i];
    }
    free(x), free(y);
}

TEST(reals_are_blended) {
    check_operation(&(operation){"blend", 2, 1, 1, run_blend, NULL});
}

/* Of two arrays, and of each with itself. */
static void run_dot(fixture *f, const test_engine *row, int problem, results *r) {
    static const size_t counts[] = {100003, 0, 1, 7, 1000};
    const size_t count = counts[problem];
    uint64_t seed = 6;
    double *x = rough_reals(&seed, count + 1), *y = rough_reals(&seed, count + 1);
    if (row) {
        const void *at = fixture_reals(f, x, count + 1), *other = fixture_reals(f, y, count + 1);
        void *out = fixture_reals(f, NULL, 2);
        f->t->dot(&f->g, at, other, count, out);
        f->t->dot(&f->g, at, at, count, nnclr_real_at(&f->g, out, 1));
        take_reals(f, r, "products", out, 2);
    } else {
        double *products = add_part(r, "products", zero_reals(2), 2, false);
        products[0] = dot_product(x, y, count);
        products[1] = dot_product(x, x, count);
    }
    free(x), free(y);
}

TEST(reals_are_multiplied) {
    check_operation(&(operation){"dot product", 5, 1, 1, run_dot, NULL});
}

/* ---- the optimiser's step ---- */

static const nnclr_lars variants[4] = {NNCLR_LARS_SIMCLR, NNCLR_LARS_BYOL, NNCLR_LARS_LIGHTLY,
                                       NNCLR_LARS_SOLO};
enum { RULES = 6 }; /* LARS in all variants, SGD, and with Nesterov's momentum */

static nnclr_update_call update_call(int rule, const nnclr_segment *segments, size_t count) {
    return (nnclr_update_call){.optimizer = rule < 4 ? NNCLR_LARS : NNCLR_SGD,
                               .lars = rule < 4 ? variants[rule] : NNCLR_LARS_BYOL,
                               .momentum = .9,
                               .weight_decay = .01,
                               .trust = rule == 3 ? .02 : .001,
                               .nesterov = rule == 5,
                               .segments = segments,
                               .segment_count = count};
}

/* Three steps at rates of 0, as warm-up may begin with, and more: of parameters that neither decay
 * nor adapt, a long segment, one without a gradient and one of zeros. */
static void run_update(fixture *f, const test_engine *row, int problem, results *r) {
    enum { FIRST = 17, LONG = 100003, NONE = 5, ZERO = 9, COUNT = FIRST + LONG + NONE + ZERO };
    static const nnclr_segment segments[4] = {
        {.count = FIRST},
        {.offset = FIRST, .count = LONG, .decays = true, .adapts = true},
        {.offset = FIRST + LONG, .count = NONE, .decays = true, .adapts = true},
        {.offset = FIRST + LONG + NONE, .count = ZERO, .decays = true, .adapts = true}};
    static const double rates[3] = {0, .1, .2};
    nnclr_update_call call = update_call(problem, segments, 4);
    uint64_t seed = (uint64_t)problem;
    double *w = rough_reals(&seed, COUNT), *v = zero_reals(COUNT);
    memset(w + COUNT - ZERO, 0, ZERO * sizeof *w);
    if (row) {
        call.weights = fixture_reals(f, w, COUNT);
        call.velocity = fixture_reals(f, v, COUNT);
    }
    for (int step = 0; step < 3; step++) {
        double *g = rough_reals(&seed, COUNT);
        memset(g + FIRST + LONG, 0, NONE * sizeof *g);
        call.lr = rates[step];
        call.gradients = row ? fixture_reals(f, g, COUNT) : NULL;
        if (row)
            f->t->update(&f->g, &call);
        else
            define_update(&call, w, v, g);
        free(g);
    }
    if (row) {
        take_reals(f, r, "w", call.weights, COUNT);
        take_reals(f, r, "v", call.velocity, COUNT);
        free(w), free(v);
    } else {
        add_part(r, "w", w, COUNT, false);
        add_part(r, "v", v, COUNT, false);
    }
}

TEST(updates_agree_with_the_formulas) {
    check_operation(&(operation){"update", RULES, RULES, .1, run_update, NULL});
}

/* The formulas give the numbers of the reference, of LARS, and of torch.optim.SGD by hand. */
TEST(golden_updates) {
    static const double first[2] = {.6, .8}, second[2] = {.6, -.8};
    static const double want[RULES][2][2] = {
        {{2.9997, 3.9996}, {2.998791878, 4.000009806}},
        {{2.9997, 3.9996}, {2.998521878, 3.999649806}},
        {{2.9997, 3.9996}, {2.998560060, 3.999603744}},
        {{2.940000001, 3.920000001}, {2.773200002, 3.847075693}},
        {{3 - .1 * .63, 4 - .1 * .84},
         {2.937 - .2 * (.9 * .63 + .62937), 3.916 - .2 * (.9 * .84 - .76084)}},
        {{3 - .1 * 1.9 * .63, 4 - .1 * 1.9 * .84},
         {2.8803 - .2 * (.628803 + .9 * (.9 * .63 + .628803)),
          3.8404 - .2 * (-.761596 + .9 * (.9 * .84 - .761596))}}};
    static const nnclr_segment segment = {.count = 2, .decays = true, .adapts = true};
    for (int rule = 0; rule < RULES; rule++) {
        nnclr_update_call call = update_call(rule, &segment, 1);
        double w[2] = {3, 4}, v[2] = {0, 0};
        for (int k = 0; k < 2; k++) {
            call.lr = k ? .2 : .1;
            define_update(&call, w, v, k ? second : first);
            for (int j = 0; j < 2; j++)
                CHECK_SAYS(fabs(w[j] - want[rule][k][j]) < 6e-10, "rule %d, step %d: %.10g", rule,
                           k + 1, w[j]);
        }
    }
}

TEST(every_engine_runs_here) {
    skip_for_absent_engines();
}

int main(void) {
    return check_all();
}
