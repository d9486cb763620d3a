#include "eval/linear.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "eval/label_draw.h"
#include "eval/labelled_rows.h"
#include "eval/lbfgs.h"
#include "eval/softmax.h"
#include "eval/softmax_sgd.h"

enum { ITERATIONS = 2000, CHOOSING_ITERATIONS = 200 };

/* How far above the optimum L-BFGS may end. The objective is strongly convex in the weights: at a
 * gradient g it is at most |g|^2 / (4 lambda) above its minimum. Lambdas are compared by shares of
 * right answers, which needs less. */
static const double objective_gap = 1e-5, choosing_gap = 1e-3;

const nnclr_lambdas nnclr_usual_lambdas = {3, {1e-2, 1e-3, 1e-4}};

typedef struct trainer {
    nnclr_engine *engine;
    const nnclr_linear_options *options;
    int classes;
    nnclr_labelled_rows data;
    nnclr_softmax *softmax;
    size_t size; /* of the weights [classes][columns], the last column being the bias */
    double *weights;
    /* of the objective that L-BFGS sees */
    int64_t fit_rows; /* the first rows of `data` */
    double lambda;
    int64_t looks; /* how often it was computed */
} trainer;

/* ---- SGD ---- */

static bool tell_step(const trainer *t, const nnclr_softmax_sgd *sgd, nnclr_error *e) {
    const nnclr_linear_options *o = t->options;
    const nnclr_softmax_sgd_state state = nnclr_softmax_sgd_state_of(sgd);
    const int64_t batch = nnclr_min(o->batch, t->data.n);
    char note[60];
    snprintf(note, sizeof note, "loss %.4f", state.batch_loss);
    return nnclr_progress_tell(o->progress, "steps", state.steps,
                               nnclr_pieces(t->data.n, batch) * o->epochs, note, e);
}

static bool descend_epoch(const trainer *t, nnclr_softmax_sgd *sgd, const uint32_t *order,
                          nnclr_error *e) {
    const size_t columns = (size_t)t->data.columns;
    int64_t steps = nnclr_softmax_sgd_state_of(sgd).steps;
    for (int64_t i = 0; i < t->data.n; i++) {
        const uint32_t row = order[i];
        t->engine->table->copy(t->engine, nnclr_softmax_sgd_place(sgd),
                               nnclr_real_at(t->engine, t->data.rows, row * columns),
                               columns * nnclr_real_bytes(t->engine));
        if (!nnclr_softmax_sgd_take(sgd, t->data.label[row], e))
            return false;
        if (nnclr_softmax_sgd_state_of(sgd).steps > steps && !tell_step(t, sgd, e))
            return false;
        steps = nnclr_softmax_sgd_state_of(sgd).steps;
    }
    return true;
}

static bool descend(trainer *t, nnclr_linear_fit *fit, nnclr_error *e) {
    const nnclr_linear_options *o = t->options;
    const int64_t n = t->data.n;
    const nnclr_softmax_sgd_options how = {.rows = n,
                                           .epochs = o->epochs,
                                           .batch = o->batch,
                                           .lr = o->lr,
                                           .weight_decay = o->weight_decay};
    if (n > UINT32_MAX)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%lld rows are above the limit of %u", (long long)n,
                          UINT32_MAX);
    uint32_t *order = nnclr_alloc((size_t)n, sizeof *order, e);
    nnclr_softmax_sgd *sgd = nnclr_softmax_sgd_create(t->engine, t->softmax, t->weights,
                                                      t->data.columns, t->classes, &how, e);
    bool ok = order && sgd;
    for (int epoch = 0; ok && epoch < o->epochs; epoch++) {
        nnclr_permutation(o->seed, NNCLR_DRAW_ORDER, (uint32_t)epoch, (uint32_t)n, order);
        ok = descend_epoch(t, sgd, order, e);
    }
    if (ok)
        fit->steps = nnclr_softmax_sgd_state_of(sgd).steps;
    nnclr_softmax_sgd_free(sgd);
    nnclr_free(order);
    return ok && nnclr_softmax_loss(t->softmax, t->data.rows, t->data.label, n, t->weights,
                                    &fit->loss, NULL, e);
}

/* ---- L-BFGS ---- */

/* Progress within one evaluation over all rows. How many there will be is not known. */
static bool tell_look(void *context, const char *unit, int64_t done, int64_t total,
                      const char *note) {
    const trainer *t = context;
    nnclr_error unused = NNCLR_NO_ERROR;
    char text[60];
    (void)unit, (void)done, (void)total, (void)note;
    snprintf(text, sizeof text, "lambda %g", t->lambda);
    return nnclr_progress_tell(t->options->progress, "evaluations", t->looks, 0, text, &unused);
}

/* |weight|^2 without the bias; with a gradient, adds that of lambda |weight|^2. */
static double penalise(const trainer *t, const double *weights, double *gradient) {
    const size_t columns = (size_t)t->data.columns;
    double sum = 0;
    for (size_t i = 0; i < t->size; i++) {
        if (i % columns == columns - 1)
            continue;
        sum += weights[i] * weights[i];
        if (gradient)
            gradient[i] += 2 * t->lambda * weights[i];
    }
    return sum;
}

static bool objective(void *context, const double *weights, double *value, double *gradient,
                      nnclr_error *e) {
    trainer *t = context;
    t->looks++;
    if (!nnclr_softmax_loss(t->softmax, t->data.rows, t->data.label, t->fit_rows, weights, value,
                            gradient, e))
        return false;
    *value += t->lambda * penalise(t, weights, gradient);
    return true;
}

static bool minimise(trainer *t, int64_t rows, double lambda, double gap, int iterations,
                     nnclr_linear_fit *fit, nnclr_error *e) {
    const nnclr_lbfgs_options options = {.iterations = iterations,
                                         .gradient_norm = sqrt(4 * lambda * gap)};
    nnclr_lbfgs_result result;
    t->fit_rows = rows;
    t->lambda = lambda;
    if (!nnclr_lbfgs(objective, t, t->size, t->weights, &options, &result, e))
        return false;
    fit->lambda = lambda;
    fit->objective = result.value;
    fit->gap = result.gradient_norm * result.gradient_norm / (4 * lambda);
    fit->steps = result.iterations;
    fit->loss = result.value - lambda * penalise(t, t->weights, NULL);
    return true;
}

typedef struct judgement {
    const int64_t *label;
    int classes;
    bool *right; /* [rows] */
} judgement;

static void judge(void *context, int64_t row, const double *probability) {
    const judgement *j = context;
    j->right[row] = nnclr_prediction_place(probability, j->classes, j->label[row]) == 0;
}

/* How many of the rows after the first `fit_rows` are predicted correctly, and their loss. */
static bool score(trainer *t, int64_t fit_rows, int64_t *right, double *loss, nnclr_error *e) {
    const int64_t n = t->data.n - fit_rows;
    const void *rows =
        nnclr_real_at(t->engine, t->data.rows, (size_t)fit_rows * (size_t)t->data.columns);
    judgement j = {.label = t->data.label + fit_rows,
                   .classes = t->classes,
                   .right = nnclr_alloc((size_t)n, sizeof *j.right, e)};
    bool ok = j.right && nnclr_softmax_each(t->softmax, rows, n, t->weights, judge, &j, e) &&
              nnclr_softmax_loss(t->softmax, rows, j.label, n, t->weights, loss, NULL, e);
    *right = 0;
    for (int64_t i = 0; ok && i < n; i++)
        *right += j.right[i];
    nnclr_free(j.right);
    return ok;
}

/* The index of the best. Each fit starts from the one before, which is close. */
static bool choose_lambda(trainer *t, int64_t fit_rows, int *chosen, nnclr_error *e) {
    const nnclr_lambdas *lambdas = &t->options->lambdas;
    int64_t best = -1;
    double best_loss = INFINITY;
    for (int i = 0; i < lambdas->count; i++) {
        nnclr_linear_fit fit;
        int64_t right;
        double loss;
        if (!minimise(t, fit_rows, lambdas->value[i], choosing_gap, CHOOSING_ITERATIONS, &fit, e) ||
            !score(t, fit_rows, &right, &loss, e))
            return false;
        if (right > best || (right == best && loss < best_loss)) {
            best = right;
            best_loss = loss;
            *chosen = i;
        }
    }
    return true;
}

static bool optimise(trainer *t, int64_t held_out, nnclr_linear_fit *fit, nnclr_error *e) {
    const nnclr_lambdas *lambdas = &t->options->lambdas;
    const nnclr_progress looks = {.tell = tell_look, .context = t};
    int chosen = 0;
    nnclr_softmax_watch(t->softmax, &looks);
    bool ok = true;
    if (lambdas->count > 1) {
        ok = choose_lambda(t, t->data.n - held_out, &chosen, e);
        fit->end = chosen == 0 ? 1 : chosen == lambdas->count - 1 ? -1 : 0;
    }
    ok = ok && minimise(t, t->data.n, lambdas->value[chosen], objective_gap, ITERATIONS, fit, e);
    nnclr_softmax_watch(t->softmax, NULL);
    return ok;
}

/* ---- both ---- */

/* Which rows lambda is chosen on: none if it is given or not needed. */
static bool hold_out(const nnclr_linear_options *o, const int64_t *label, int64_t n, int classes,
                     bool *marks, int64_t *count, nnclr_error *e) {
    *count = 0;
    memset(marks, 0, (size_t)n * sizeof *marks);
    if (o->solver != NNCLR_SOLVER_LBFGS || o->lambdas.count == 1)
        return true;
    if (!nnclr_label_hold_out(label, n, classes, o->seed, marks, count, e))
        return false;
    return *count > 0 ||
           nnclr_fail(
               e, NNCLR_ERROR_INPUT,
               "no class of TRAIN has two labelled rows to choose lambda with: give --lambda");
}

static int64_t count_labelled(const int64_t *label, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += label[i] >= 0;
    return count;
}

bool nnclr_linear_train(nnclr_engine *engine, const nnclr_row_source *train,
                        const int64_t *train_label, int classes,
                        const nnclr_linear_options *options, nnclr_classifier *classifier,
                        nnclr_linear_fit *fit, nnclr_error *e) {
    trainer t = {.engine = engine, .options = options, .classes = classes};
    const bool lbfgs = options->solver == NNCLR_SOLVER_LBFGS;
    int64_t held_out;
    *fit = (nnclr_linear_fit){.rows = count_labelled(train_label, train->n)};
    if (fit->rows == 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "no row of TRAIN has a label, so nothing can be learnt");
    if (classes > NNCLR_LINEAR_CLASSES)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%d classes are above the limit of %d", classes,
                          NNCLR_LINEAR_CLASSES);
    bool *last = nnclr_alloc((size_t)train->n, sizeof *last, e);
    bool ok = nnclr_classifier_create(classifier, classes, train->d, e) && last &&
              hold_out(options, train_label, train->n, classes, last, &held_out, e);
    if (ok && (options->standardize || lbfgs))
        ok = nnclr_classifier_standardize(classifier, train, train_label, e);
    ok = ok && nnclr_labelled_rows_load(&t.data, engine, train, train_label, last, classifier, e);
    if (ok) {
        t.size = (size_t)classes * (size_t)t.data.columns;
        t.softmax = nnclr_softmax_create(engine, t.data.columns, classes, e);
        t.weights = nnclr_alloc_zero(t.size, sizeof *t.weights, e);
    }
    ok = ok && t.softmax && t.weights &&
         (lbfgs ? optimise(&t, held_out, fit, e) : descend(&t, fit, e));
    if (ok)
        nnclr_softmax_keep(t.weights, classifier);
    else
        nnclr_classifier_free(classifier);
    if (!lbfgs)
        fit->objective = fit->loss;
    nnclr_free(t.weights);
    nnclr_softmax_free(t.softmax);
    nnclr_labelled_rows_free(&t.data);
    nnclr_free(last);
    return ok;
}

/* ---- prediction ---- */

enum { BLOCK_BYTES = 16 << 20 };

typedef struct predictor {
    nnclr_engine *engine;
    const nnclr_classifier *classifier;
    const int64_t *label;
    nnclr_prediction *predictions;
    nnclr_softmax *softmax;
    size_t columns;
    double *weights;       /* [classes][columns] */
    int64_t block, first;  /* rows at a time, and the first of these */
    float *rows, *scratch; /* [block][d], [columns] */
    void *place;           /* reals [block][columns] */
    size_t bytes;
} predictor;

/* The weights as softmax.h takes them, the bias after the others. */
static bool join_weights(predictor *p, nnclr_error *e) {
    const nnclr_classifier *classifier = p->classifier;
    p->weights = nnclr_alloc((size_t)classifier->classes, p->columns * sizeof *p->weights, e);
    for (int c = 0; p->weights && c < classifier->classes; c++) {
        double *row = p->weights + (size_t)c * p->columns;
        for (int j = 0; j < classifier->d; j++)
            row[j] = classifier->weight[(size_t)c * (size_t)classifier->d + (size_t)j];
        row[classifier->d] = classifier->bias[c];
    }
    return p->weights;
}

static bool allocate(predictor *p, int64_t n, nnclr_error *e) {
    const size_t row = p->columns * sizeof(float);
    p->block = BLOCK_BYTES / (int64_t)row;
    p->block = nnclr_clamp(p->block, 1, n);
    p->bytes = (size_t)p->block * p->columns * nnclr_real_bytes(p->engine);
    return join_weights(p, e) && (p->rows = nnclr_alloc((size_t)p->block, row, e)) &&
           (p->scratch = nnclr_alloc(p->columns, sizeof *p->scratch, e)) &&
           (p->softmax =
                nnclr_softmax_create(p->engine, (int)p->columns, p->classifier->classes, e)) &&
           (p->place = p->engine->table->arena_create(p->engine, p->bytes, e));
}

static void take(void *context, int64_t row, const double *probability) {
    const predictor *p = context;
    const int64_t i = p->first + row;
    p->predictions[i] = nnclr_predict(probability, p->classifier->classes, p->label[i]);
}

static bool predict_block(predictor *p, const nnclr_row_source *test, nnclr_error *e) {
    const int64_t count = nnclr_min(test->n - p->first, p->block);
    if (!test->read(test, p->first, count, p->rows, e))
        return false;
    for (int64_t i = 0; i < count; i++)
        if (!nnclr_classifier_put(p->classifier, p->engine, p->rows + i * test->d, p->scratch,
                                  nnclr_real_at(p->engine, p->place, (size_t)i * p->columns),
                                  "TEST ", p->first + i, e))
            return false;
    return nnclr_softmax_each(p->softmax, p->place, count, p->weights, take, p, e);
}

bool nnclr_linear_predict(nnclr_engine *engine, const nnclr_classifier *classifier,
                          const nnclr_row_source *test, const int64_t *test_label,
                          nnclr_prediction *predictions, nnclr_error *e) {
    predictor p = {.engine = engine,
                   .classifier = classifier,
                   .label = test_label,
                   .predictions = predictions,
                   .columns = (size_t)classifier->d + 1};
    bool ok = allocate(&p, test->n, e);
    for (; ok && p.first < test->n; p.first += p.block)
        ok = predict_block(&p, test, e);
    if (p.place)
        engine->table->arena_free(engine, p.place, p.bytes);
    nnclr_softmax_free(p.softmax);
    nnclr_free(p.scratch);
    nnclr_free(p.rows);
    nnclr_free(p.weights);
    return ok;
}
