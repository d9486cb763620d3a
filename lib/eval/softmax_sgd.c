#include "eval/softmax_sgd.h"

#include <math.h>

#include "base/memory.h"
#include "base/numbers.h"

static const double momentum = 0.9;

struct nnclr_softmax_sgd {
    nnclr_engine *engine;
    nnclr_softmax *softmax;
    nnclr_softmax_sgd_options options; /* its batch at most its rows */
    size_t columns, size;              /* of a row; of the weights */
    double *weights;                   /* the caller's */
    double *gradient, *velocity;       /* [size] */
    void *batch;                       /* reals [batch][columns] */
    size_t batch_bytes;
    int64_t *label;    /* [batch] */
    int64_t count;     /* rows in the batch */
    int64_t epoch_row; /* rows taken in this epoch */
    double total, sum; /* steps in all; of the losses of this epoch's rows */
    nnclr_softmax_sgd_state state;
};

static bool allocate(nnclr_softmax_sgd *s, nnclr_error *e) {
    const size_t batch = (size_t)s->options.batch;
    if (!nnclr_size_mul(batch, s->columns, &s->batch_bytes) ||
        !nnclr_size_mul(s->batch_bytes, nnclr_real_bytes(s->engine), &s->batch_bytes))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "batches of %d rows of %zu numbers are too large",
                          s->options.batch, s->columns);
    s->gradient = nnclr_alloc(s->size, sizeof *s->gradient, e);
    s->velocity = nnclr_alloc_zero(s->size, sizeof *s->velocity, e);
    s->label = nnclr_alloc(batch, sizeof *s->label, e);
    return s->gradient && s->velocity && s->label &&
           (s->batch = s->engine->table->arena_create(s->engine, s->batch_bytes, e));
}

nnclr_softmax_sgd *nnclr_softmax_sgd_create(nnclr_engine *engine, nnclr_softmax *softmax,
                                            double *weights, int columns, int classes,
                                            const nnclr_softmax_sgd_options *options,
                                            nnclr_error *e) {
    nnclr_softmax_sgd *s = nnclr_alloc_zero(1, sizeof *s, e);
    if (!s)
        return NULL;
    s->engine = engine;
    s->softmax = softmax;
    s->options = *options;
    if (s->options.batch > options->rows)
        s->options.batch = (int)options->rows;
    s->columns = (size_t)columns;
    s->size = (size_t)classes * s->columns;
    s->weights = weights;
    const int64_t batch = s->options.batch;
    s->total = (double)nnclr_pieces(options->rows, batch) * options->epochs;
    if (allocate(s, e))
        return s;
    nnclr_softmax_sgd_free(s);
    return NULL;
}

void nnclr_softmax_sgd_free(nnclr_softmax_sgd *s) {
    if (!s)
        return;
    if (s->batch)
        s->engine->table->arena_free(s->engine, s->batch, s->batch_bytes);
    nnclr_free(s->label);
    nnclr_free(s->velocity);
    nnclr_free(s->gradient);
    nnclr_free(s);
}

void *nnclr_softmax_sgd_place(nnclr_softmax_sgd *s) {
    return nnclr_real_at(s->engine, s->batch, (size_t)s->count * s->columns);
}

static void update(nnclr_softmax_sgd *s, double rate) {
    const double decay = s->options.weight_decay;
    for (size_t i = 0; i < s->size; i++) {
        const bool is_bias = i % s->columns == s->columns - 1;
        const double gradient = s->gradient[i] + (is_bias ? 0 : decay * s->weights[i]);
        s->velocity[i] = momentum * s->velocity[i] + gradient;
        s->weights[i] -= rate * s->velocity[i];
    }
}

static bool step(nnclr_softmax_sgd *s, nnclr_error *e) {
    static const double pi = 3.14159265358979323846;
    const double peak = s->options.lr * (double)s->options.batch / 256;
    double loss = 0;
    if (!nnclr_softmax_loss(s->softmax, s->batch, s->label, s->count, s->weights, &loss,
                            s->gradient, e))
        return false;
    if (!isfinite(loss))
        return nnclr_fail(e, NNCLR_ERROR_NUMERIC,
                          "SGD diverges in epoch %d: give a smaller --lr, or --standardize",
                          s->state.epochs + 1);
    update(s, peak * (1 + cos(pi * (double)s->state.steps / s->total)) / 2);
    s->sum += loss * (double)s->count;
    s->state.batch_loss = loss;
    s->state.steps++;
    s->count = 0;
    return true;
}

bool nnclr_softmax_sgd_take(nnclr_softmax_sgd *s, int64_t label, nnclr_error *e) {
    s->label[s->count++] = label;
    s->epoch_row++;
    const bool last = s->epoch_row == s->options.rows;
    if ((last || s->count == s->options.batch) && !step(s, e))
        return false;
    if (last) {
        s->state.epoch_loss = s->sum / (double)s->options.rows;
        s->state.epochs++;
        s->epoch_row = 0;
        s->sum = 0;
    }
    return true;
}

nnclr_softmax_sgd_state nnclr_softmax_sgd_state_of(const nnclr_softmax_sgd *s) {
    return s->state;
}

void nnclr_softmax_keep(const double *weights, nnclr_classifier *classifier) {
    for (int c = 0; c < classifier->classes; c++) {
        const double *row = weights + (size_t)c * ((size_t)classifier->d + 1);
        for (int j = 0; j < classifier->d; j++)
            classifier->weight[(size_t)c * (size_t)classifier->d + (size_t)j] = (float)row[j];
        classifier->bias[c] = (float)row[classifier->d];
    }
}
