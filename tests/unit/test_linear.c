/* Softmax regression: the objective's gradient by finite differences, SGD and the optimum against
 * PyTorch in float64, equal bits for any number of threads, and the class-balanced draws. */
#include "tests/unit/check.h"

#include "base/memory.h"
#include "base/rng.h"
#include "eval/label_draw.h"
#include "eval/lbfgs.h"
#include "eval/linear.h"
#include "eval/softmax.h"
#include "tests/reference/linear.inc"
#include "tests/unit/engine_fixture.h"

static nnclr_error e; /* of the call that is checked */

enum { ROWS = 120, D = 6, CLASSES = 4, SEED = 11, LABELLED = 108 };

typedef struct data {
    float rows[ROWS * D];
    int64_t label[ROWS];
} data;

/* As tests/reference/linear.py draws them. */
static void make(data *x) {
    for (int i = 0; i < ROWS; i++) {
        nnclr_rng rng = nnclr_rng_at(SEED, NNCLR_DRAW_SAMPLE, 0, (uint64_t)i, 0);
        x->label[i] = i % 10 == 9 ? -1 : i % CLASSES;
        for (int j = 0; j < D; j++)
            x->rows[i * D + j] =
                (float)(nnclr_rng_uniform(&rng, -1, 1) + (j == i % CLASSES ? 0.7 : 0));
    }
}

static const nnclr_linear_options sgd = {.solver = NNCLR_SOLVER_SGD,
                                         .seed = SEED,
                                         .epochs = 3,
                                         .batch = 32,
                                         .lr = 0.8,
                                         .weight_decay = 0.01};
static const nnclr_linear_options lbfgs = {
    .solver = NNCLR_SOLVER_LBFGS, .seed = SEED, .lambdas = {1, {1e-3}}};

static bool train(const data *x, const nnclr_linear_options *options, int threads,
                  nnclr_classifier *classifier, nnclr_linear_fit *fit) {
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F32, threads);
    const nnclr_row_source source = nnclr_rows_in_memory(x->rows, ROWS, D);
    bool ok = nnclr_linear_train(&f.g, &source, x->label, CLASSES, options, classifier, fit, &e);
    fixture_close(&f);
    return ok;
}

static void must_train(const data *x, const nnclr_linear_options *options, int threads,
                       nnclr_classifier *classifier, nnclr_linear_fit *fit) {
    CHECK_OK(train(x, options, threads, classifier, fit));
}

static void predict(const data *x, const nnclr_classifier *classifier, nnclr_prediction *out) {
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F32, 2);
    const nnclr_row_source source = nnclr_rows_in_memory(x->rows, ROWS, D);
    CHECK_OK(nnclr_linear_predict(&f.g, classifier, &source, x->label, out, &e));
    fixture_close(&f);
}

/* The objective of a classifier, plainly. */
static double plain_objective(const data *x, const nnclr_classifier *w, double lambda) {
    double loss = 0, squares = 0;
    for (int i = 0; i < ROWS; i++) {
        double logit[CLASSES], sum = 0;
        if (x->label[i] < 0)
            continue;
        for (int c = 0; c < CLASSES; c++) {
            logit[c] = w->bias[c];
            for (int j = 0; j < D; j++)
                logit[c] += (double)w->weight[c * D + j] *
                            ((double)x->rows[i * D + j] - w->mean[j]) / w->scale[j];
            sum += exp(logit[c]);
        }
        loss += log(sum) - logit[x->label[i]];
    }
    for (int i = 0; i < CLASSES * D; i++)
        squares += (double)w->weight[i] * w->weight[i];
    return loss / LABELLED + lambda * squares;
}

/* ---- the objective ---- */

/* More rows than a chunk, and a number that is not a multiple of it. */
TEST(gradient_is_that_of_the_loss) {
    enum { N = 2048 + 77, COLUMNS = 5, SIZE = CLASSES * COLUMNS };
    const double h = 1e-5;
    uint64_t state = 3;
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F64, 2);
    double *rows = random_reals(&state, N * COLUMNS), *weights = random_reals(&state, SIZE);
    double gradient[SIZE], above, below;
    int64_t *label = nnclr_alloc(N, sizeof *label, &e);
    CHECK(label);
    for (int i = 0; i < N; i++)
        label[i] = random_int(&state, 0, CLASSES - 1);
    const void *place = fixture_reals(&f, rows, N * COLUMNS);
    nnclr_softmax *s = nnclr_softmax_create(&f.g, COLUMNS, CLASSES, &e);
    CHECK_OK(s);
    CHECK_OK(nnclr_softmax_loss(s, place, label, N, weights, &above, gradient, &e));
    for (int i = 0; i < SIZE; i++) {
        const double keep = weights[i];
        weights[i] = keep + h;
        CHECK_OK(nnclr_softmax_loss(s, place, label, N, weights, &above, NULL, &e));
        weights[i] = keep - h;
        CHECK_OK(nnclr_softmax_loss(s, place, label, N, weights, &below, NULL, &e));
        weights[i] = keep;
        /* Logits are rounded to float, by about 1e-7 of 10. */
        CHECK_NEAR((above - below) / (2 * h), gradient[i], 2e-3);
    }
    nnclr_softmax_free(s);
    nnclr_free(label);
    free(weights);
    free(rows);
    fixture_close(&f);
}

/* ---- L-BFGS ---- */

/* Rosenbrock's valley, whose minimum is at (1, 1). */
static bool valley(void *context, const double *x, double *value, double *gradient,
                   nnclr_error *unused) {
    (void)unused;
    ++*(int *)context;
    const double a = 1 - x[0], b = x[1] - x[0] * x[0];
    *value = a * a + 100 * b * b;
    gradient[0] = -2 * a - 400 * x[0] * b;
    gradient[1] = 200 * b;
    return true;
}

TEST(lbfgs_finds_the_end_of_a_valley) {
    double x[] = {-1.2, 1};
    int calls = 0;
    nnclr_lbfgs_result result;
    const nnclr_lbfgs_options options = {.iterations = 200, .gradient_norm = 1e-9};
    CHECK_OK(nnclr_lbfgs(valley, &calls, 2, x, &options, &result, &e));
    CHECK_NEAR(x[0], 1, 1e-8);
    CHECK_NEAR(x[1], 1, 1e-8);
    CHECK(result.gradient_norm <= 1e-9 && result.iterations < 60 && calls < 100);
}

static bool broken(void *context, const double *x, double *value, double *gradient,
                   nnclr_error *unused) {
    (void)context, (void)unused;
    gradient[0] = *value = x[0] * NAN;
    return true;
}

TEST(lbfgs_refuses_what_is_not_finite) {
    double x = 1;
    nnclr_lbfgs_result result;
    const nnclr_lbfgs_options options = {.iterations = 9, .gradient_norm = 1e-9};
    CHECK_FAILS_AS(nnclr_lbfgs(broken, NULL, 1, &x, &options, &result, &e), NNCLR_ERROR_NUMERIC);
}

/* ---- both solvers against PyTorch ---- */

static void check_weights(const nnclr_classifier *w, const double *weight, const double *bias,
                          double tolerance) {
    for (int i = 0; i < CLASSES * D; i++)
        CHECK_NEAR(w->weight[i], weight[i], tolerance);
    for (int c = 0; c < CLASSES; c++)
        CHECK_NEAR(w->bias[c], bias[c], tolerance);
}

TEST(sgd_is_that_of_pytorch) {
    data x;
    nnclr_classifier w;
    nnclr_linear_fit fit;
    make(&x);
    must_train(&x, &sgd, 2, &w, &fit);
    CHECK(fit.rows == LABELLED && fit.steps == 12);
    CHECK_NEAR(fit.loss, sgd_value, 1e-6);
    check_weights(&w, sgd_weight, sgd_bias, 1e-6);
    for (int j = 0; j < D; j++)
        CHECK(w.mean[j] == 0 && w.scale[j] == 1);
    nnclr_classifier_free(&w);
}

TEST(lbfgs_reaches_the_optimum) {
    data x;
    nnclr_classifier w;
    nnclr_linear_fit fit;
    make(&x);
    must_train(&x, &lbfgs, 2, &w, &fit);
    CHECK(fit.rows == LABELLED);
    CHECK_NEAR(fit.objective, optimum_value, 1e-5);
    CHECK(fit.gap >= 0 && fit.gap <= 1e-5);
    CHECK_NEAR(plain_objective(&x, &w, lbfgs.lambdas.value[0]), fit.objective, 1e-6);
    CHECK(fit.objective > optimum_value - 1e-6 && fit.loss < fit.objective);
    /* 2 lambda is the least curvature: at most sqrt(1e-5 / lambda) away. */
    check_weights(&w, optimum_weight, optimum_bias, 0.1);
    nnclr_classifier_free(&w);
}

TEST(standardised_sgd_has_mean_and_deviation) {
    data x;
    nnclr_classifier w;
    nnclr_linear_fit fit;
    nnclr_linear_options options = sgd;
    options.standardize = true;
    make(&x);
    for (int i = 0; i < ROWS; i++) {
        x.rows[i * D] = 1e6f + (float)(i % 8); /* mean far above the deviation */
        x.rows[i * D + 1] = 7;                 /* constant */
    }
    must_train(&x, &options, 1, &w, &fit);
    double sum = 0, square = 0;
    for (int i = 0; i < ROWS; i++)
        if (x.label[i] >= 0) {
            sum += i % 8;
            square += (i % 8) * (i % 8);
        }
    const double mean = sum / LABELLED;
    CHECK_NEAR(w.mean[0], 1e6 + mean, 0.04);
    CHECK_NEAR(w.scale[0], sqrt(square / LABELLED - mean * mean), 1e-6);
    CHECK(w.mean[1] == 7 && w.scale[1] == 1);
    for (int c = 0; c < CLASSES; c++)
        CHECK(w.weight[c * D + 1] == 0);
    nnclr_classifier_free(&w);
}

typedef struct told {
    int64_t done, total;
    int calls, most;
} told;

static bool hear(void *context, const char *unit, int64_t done, int64_t total, const char *note) {
    told *t = context;
    (void)unit, (void)note;
    *t = (told){done, total, t->calls + 1, t->most};
    return t->calls < t->most;
}

TEST(both_solvers_tell_and_stop) {
    const nnclr_linear_options *const solvers[] = {&sgd, &lbfgs};
    data x;
    make(&x);
    for (int i = 0; i < 2; i++) {
        nnclr_classifier w;
        nnclr_linear_fit fit;
        told t = {.most = 10000};
        const nnclr_progress progress = {hear, &t};
        nnclr_linear_options options = *solvers[i];
        options.progress = &progress;
        must_train(&x, &options, 1, &w, &fit);
        nnclr_classifier_free(&w);
        if (options.solver == NNCLR_SOLVER_SGD)
            CHECK(t.done == fit.steps && t.total == fit.steps && t.calls == fit.steps);
        else
            CHECK(t.done > fit.steps && t.calls == t.done); /* one chunk an evaluation */
        t = (told){.most = 2};
        CHECK_FAILS_AS(train(&x, &options, 1, &w, &fit), NNCLR_ERROR_STOPPED);
        CHECK(t.calls == 2);
    }
}

/* ---- lambda ---- */

/* As the header says, by hand: fit on nine tenths, judge on the tenth. */
TEST(lambda_is_chosen_on_rows_that_were_held_out) {
    static const double lambdas[] = {1e-2, 1e-3, 1e-4};
    data x, rest;
    nnclr_classifier w;
    nnclr_linear_fit fit;
    nnclr_linear_options options = lbfgs;
    bool held_out[ROWS];
    int64_t count, best_right = -1;
    double best_loss = 0, best = 0;
    make(&x);
    for (int i = 0; i < ROWS; i++) /* noise, so that lambda matters */
        for (int j = 0; j < D; j++)
            x.rows[i * D + j] += (float)((i * 7 + j * 13) % 11) * 0.2f;
    CHECK_OK(nnclr_label_hold_out(x.label, ROWS, CLASSES, SEED, held_out, &count, &e));
    for (int l = 0; l < 3; l++) {
        nnclr_prediction p[ROWS];
        int64_t right = 0;
        double loss = 0;
        rest = x;
        for (int i = 0; i < ROWS; i++)
            rest.label[i] = held_out[i] ? -1 : x.label[i];
        options.lambdas = (nnclr_lambdas){1, {lambdas[l]}};
        must_train(&rest, &options, 1, &w, &fit);
        predict(&x, &w, p);
        for (int i = 0; i < ROWS; i++)
            right += held_out[i] && p[i].label == x.label[i];
        for (int i = 0; i < ROWS; i++) { /* the held-out rows alone */
            if (!held_out[i])
                continue;
            double sum = 0, logit[CLASSES];
            for (int c = 0; c < CLASSES; c++) {
                logit[c] = w.bias[c];
                for (int j = 0; j < D; j++)
                    logit[c] +=
                        (double)w.weight[c * D + j] * (x.rows[i * D + j] - w.mean[j]) / w.scale[j];
                sum += exp(logit[c]);
            }
            loss += log(sum) - logit[x.label[i]];
        }
        if (right > best_right || (right == best_right && loss < best_loss)) {
            best_right = right;
            best_loss = loss;
            best = lambdas[l];
        }
        nnclr_classifier_free(&w);
    }
    options.lambdas = nnclr_usual_lambdas;
    must_train(&x, &options, 1, &w, &fit);
    CHECK_NEAR(fit.lambda, best, 1e-12);
    CHECK(fit.end == (best == 1e-2 ? 1 : best == 1e-4 ? -1 : 0));
    CHECK(fit.rows == LABELLED); /* and the last fit is of all rows */
    CHECK_NEAR(plain_objective(&x, &w, fit.lambda), fit.objective, 1e-6);
    nnclr_classifier_free(&w);
}

/* The best value is reported to be at an end of what was tried, and no longer when that is
 * wider. */
TEST(a_choice_at_an_end_is_told) {
    data x;
    nnclr_classifier w;
    nnclr_linear_fit fit;
    nnclr_linear_options options = lbfgs;
    make(&x);
    options.lambdas = nnclr_usual_lambdas;
    must_train(&x, &options, 1, &w, &fit);
    nnclr_classifier_free(&w);
    const double best = fit.lambda;
    const struct {
        nnclr_lambdas lambdas;
        int end;
    } cases[] = {{{2, {best * 100, best}}, -1}, {{2, {best, best / 1e4}}, 1}, {{1, {best}}, 0}};
    for (int i = 0; i < 3; i++) {
        options.lambdas = cases[i].lambdas;
        must_train(&x, &options, 1, &w, &fit);
        CHECK(fit.lambda == best && fit.end == cases[i].end);
        nnclr_classifier_free(&w);
    }
}

TEST(one_row_a_class_leaves_nothing_to_hold_out) {
    data x;
    nnclr_classifier w;
    nnclr_linear_fit fit;
    nnclr_linear_options options = lbfgs;
    make(&x);
    for (int i = CLASSES; i < ROWS; i++)
        x.label[i] = -1;
    options.lambdas = nnclr_usual_lambdas;
    CHECK_FAILS_WITH(train(&x, &options, 1, &w, &fit),
                     "no class of TRAIN has two labelled rows to choose lambda with: give "
                     "--lambda");
    must_train(&x, &lbfgs, 1, &w, &fit);
    nnclr_classifier_free(&w);
}

/* ---- what holds for both ---- */

TEST(same_bits_for_any_number_of_threads) {
    data x;
    make(&x);
    nnclr_linear_options choosing = lbfgs;
    choosing.lambdas = nnclr_usual_lambdas;
    const nnclr_linear_options *const options[] = {&sgd, &lbfgs, &choosing};
    for (int i = 0; i < 3; i++) {
        nnclr_classifier one, many;
        nnclr_linear_fit fit;
        must_train(&x, options[i], 1, &one, &fit);
        for (int threads = 2; threads < 5; threads++) {
            must_train(&x, options[i], threads, &many, &fit);
            CHECK(memcmp(one.weight, many.weight, CLASSES * D * sizeof *one.weight) == 0);
            CHECK(memcmp(one.bias, many.bias, CLASSES * sizeof *one.bias) == 0);
            nnclr_classifier_free(&many);
        }
        nnclr_classifier_free(&one);
    }
}

TEST(predictions_are_those_of_the_classifier) {
    data x;
    nnclr_classifier w;
    nnclr_linear_fit fit;
    nnclr_prediction p[ROWS];
    make(&x);
    must_train(&x, &lbfgs, 2, &w, &fit);
    predict(&x, &w, p);
    for (int i = 0; i < ROWS; i++) {
        double score[CLASSES], sum = 0;
        int best = 0, place = 0;
        for (int c = 0; c < CLASSES; c++) {
            score[c] = w.bias[c];
            for (int j = 0; j < D; j++)
                score[c] +=
                    (double)w.weight[c * D + j] * (x.rows[i * D + j] - w.mean[j]) / w.scale[j];
            score[c] = exp(score[c]);
            sum += score[c];
            best = score[c] > score[best] ? c : best;
        }
        CHECK(p[i].label == best);
        CHECK_NEAR(p[i].score, score[best] / sum, 1e-5);
        for (int c = 0; x.label[i] >= 0 && c < CLASSES; c++)
            place += score[c] > score[x.label[i]];
        CHECK(p[i].place == (x.label[i] < 0 ? -1 : place));
    }
    nnclr_classifier_free(&w);
}

TEST(what_cannot_be_learnt_is_refused) {
    data x;
    nnclr_classifier w;
    nnclr_linear_fit fit;
    nnclr_linear_options wild = sgd;
    wild.lr = 1e30;
    wild.epochs = 50;
    make(&x);
    CHECK_FAILS(train(&x, &wild, 1, &w, &fit), "SGD diverges in epoch");
    CHECK(e.code == NNCLR_ERROR_NUMERIC);
    x.rows[17 * D + 3] = NAN;
    CHECK_FAILS_WITH(train(&x, &sgd, 1, &w, &fit),
                     "TRAIN row 17 holds a number that is not finite");
    CHECK_FAILS_WITH(train(&x, &lbfgs, 1, &w, &fit),
                     "TRAIN row 17 holds a number that is not finite");
    for (int i = 0; i < ROWS; i++)
        x.label[i] = -1;
    CHECK_FAILS_WITH(train(&x, &sgd, 1, &w, &fit),
                     "no row of TRAIN has a label, so nothing can be learnt");
}

/* ---- draws ---- */

/* Class 0 has 200 rows, 1 has 45, 2 has 3, 3 has none, 4 has one; 11 rows have no label. */
enum { DRAWN = 260, DRAW_CLASSES = 5 };
static void make_labels(int64_t *label) {
    static const int rows[] = {200, 45, 3, 0, 1};
    int used = 0;
    for (int i = 0; i < 11; i++)
        label[used++] = -1;
    for (int c = 0; c < DRAW_CLASSES; c++)
        for (int i = 0; i < rows[c]; i++)
            label[used++] = c;
    CHECK(used == DRAWN);
}

TEST(a_share_of_each_class_is_kept) {
    static const struct {
        double fraction;
        int kept[DRAW_CLASSES];
    } cases[] = {{0.01, {2, 1, 1, 0, 1}},
                 {0.1, {20, 5, 1, 0, 1}},
                 {0.5, {100, 23, 2, 0, 1}},
                 {1, {200, 45, 3, 0, 1}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t all[DRAWN], label[DRAWN], again[DRAWN], other[DRAWN];
        int kept[DRAW_CLASSES] = {0};
        make_labels(all);
        make_labels(label);
        make_labels(again);
        make_labels(other);
        CHECK_OK(nnclr_label_keep(label, DRAWN, DRAW_CLASSES, cases[i].fraction, 5, &e));
        CHECK_OK(nnclr_label_keep(again, DRAWN, DRAW_CLASSES, cases[i].fraction, 5, &e));
        CHECK_OK(nnclr_label_keep(other, DRAWN, DRAW_CLASSES, cases[i].fraction, 6, &e));
        for (int row = 0; row < DRAWN; row++) {
            CHECK(label[row] == -1 || label[row] == all[row]);
            if (label[row] >= 0)
                kept[label[row]]++;
        }
        for (int c = 0; c < DRAW_CLASSES; c++)
            CHECK_SAYS(kept[c] == cases[i].kept[c], "class %d: %d", c, kept[c]);
        CHECK(memcmp(label, again, sizeof label) == 0);
        CHECK((memcmp(label, other, sizeof label) == 0) == (cases[i].fraction == 1));
    }
}

TEST(a_tenth_is_held_out_never_the_only_row) {
    static const int wanted[] = {20, 5, 1, 0, 0};
    int64_t label[DRAWN], count;
    int drawn[DRAW_CLASSES] = {0};
    bool held_out[DRAWN];
    make_labels(label);
    CHECK_OK(nnclr_label_hold_out(label, DRAWN, DRAW_CLASSES, 5, held_out, &count, &e));
    for (int i = 0; i < DRAWN; i++)
        if (held_out[i]) {
            CHECK(label[i] >= 0);
            drawn[label[i]]++;
        }
    CHECK(count == 26);
    for (int c = 0; c < DRAW_CLASSES; c++)
        CHECK(drawn[c] == wanted[c]);
}

int main(void) {
    return check_all();
}
