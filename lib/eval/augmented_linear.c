#include "eval/augmented_linear.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "eval/embed.h"
#include "eval/labelled_rows.h"

enum { BATCHES_AHEAD = 2 };

typedef struct trainer {
    const nnclr_augmented_options *options;
    const nnclr_evaluation_options *view;
    nnclr_engine *engine;
    nnclr_shard_set *set;
    const int64_t *label;
    nnclr_classifier *classifier;
    uint32_t *records; /* [count]: those with a label */
    size_t count;
    nnclr_embedder *embedder;
    int d;
    float *rows, *scratch; /* [view->batch][d], [d + 1] */
    nnclr_softmax *softmax;
    double *weights; /* [classes][d + 1] */
    nnclr_softmax_sgd *sgd;
} trainer;

/* ---- opening ---- */

static bool choose_records(trainer *t, nnclr_error *e) {
    const size_t n = nnclr_shard_set_count(t->set);
    if (n > UINT32_MAX)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%zu records are above the limit of %u", n,
                          UINT32_MAX);
    t->records = nnclr_alloc(n, sizeof *t->records, e);
    for (size_t i = 0; t->records && i < n; i++)
        if (t->label[i] >= 0)
            t->records[t->count++] = (uint32_t)i;
    if (!t->records)
        return false;
    return t->count > 0 || nnclr_fail(e, NNCLR_ERROR_INPUT,
                                      "no picture of TRAIN has a label, so nothing can be learnt");
}

static bool allocate(trainer *t, nnclr_parameters *parameters, int cut, int classes,
                     nnclr_error *e) {
    const size_t columns = (size_t)t->d + 1;
    nnclr_softmax_sgd_options sgd = t->options->sgd;
    sgd.rows = (int64_t)t->count;
    return nnclr_classifier_create(t->classifier, classes, t->d, e) &&
           (t->embedder = nnclr_embedder_create(parameters, cut, t->view, e)) &&
           (t->rows = nnclr_alloc((size_t)t->view->batch, (size_t)t->d * sizeof *t->rows, e)) &&
           (t->scratch = nnclr_alloc(columns, sizeof *t->scratch, e)) &&
           (t->softmax = nnclr_softmax_create(t->engine, (int)columns, classes, e)) &&
           (t->weights = nnclr_alloc_zero((size_t)classes, columns * sizeof *t->weights, e)) &&
           (t->sgd = nnclr_softmax_sgd_create(t->engine, t->softmax, t->weights, (int)columns,
                                              classes, &sgd, e));
}

static void free_trainer(trainer *t) {
    nnclr_softmax_sgd_free(t->sgd);
    nnclr_free(t->weights);
    nnclr_softmax_free(t->softmax);
    nnclr_free(t->scratch);
    nnclr_free(t->rows);
    nnclr_embedder_free(t->embedder);
    nnclr_free(t->records);
}

/* ---- standardisation ---- */

typedef struct measurement {
    nnclr_moments moments;
    const int64_t *label;
    const nnclr_progress *progress;
    int64_t total;
} measurement;

static bool measure_rows(void *context, int64_t first, int64_t count, const float *rows,
                         nnclr_error *e) {
    measurement *m = context;
    for (int64_t i = 0; i < count; i++)
        if (m->label[first + i] >= 0)
            nnclr_moments_add(&m->moments, rows + i * m->moments.d);
    return nnclr_progress_tell(m->progress, "pictures", first + count, m->total, NULL, e);
}

static bool standardize(trainer *t, nnclr_error *e) {
    measurement m = {.label = t->label,
                     .progress = t->options->progress,
                     .total = (int64_t)nnclr_shard_set_count(t->set)};
    const nnclr_row_sink sink = {.put = measure_rows, .context = &m};
    bool ok = nnclr_moments_begin(&m.moments, t->d, e) &&
              nnclr_embedder_run(t->embedder, t->set, &sink, e);
    if (ok)
        nnclr_moments_standardize(&m.moments, t->classifier);
    nnclr_moments_free(&m.moments);
    return ok;
}

/* ---- learning ---- */

static bool take_batch(trainer *t, const nnclr_batch *batch, nnclr_error *e) {
    if (!nnclr_embedder_rows(t->embedder, batch->views, batch->n, t->rows, e))
        return false;
    for (int i = 0; i < batch->n; i++) {
        const int64_t record = batch->record[i];
        if (!nnclr_classifier_put(t->classifier, t->engine, t->rows + (size_t)i * (size_t)t->d,
                                  t->scratch, nnclr_softmax_sgd_place(t->sgd), "TRAIN ", record,
                                  e) ||
            !nnclr_softmax_sgd_take(t->sgd, t->label[record], e))
            return false;
    }
    return true;
}

/* Views pass through the network in batches of its own, from which the batches of SGD are
 * collected, since the features do not depend on the classifier. */
static nnclr_loader *open_loader(const trainer *t, nnclr_error *e) {
    const nnclr_augmented_options *o = t->options;
    const size_t batch = nnclr_min((size_t)t->view->batch, t->count);
    const nnclr_loader_options options = {
        .augment = o->augment,
        .batch = (int)batch,
        .seed = o->seed,
        .steps = o->sgd.epochs * (int64_t)nnclr_pieces(t->count, batch),
        .threads = t->view->threads,
        .ahead = BATCHES_AHEAD,
        .single = true,
        .records = t->records,
        .record_count = t->count,
    };
    return nnclr_loader_open(t->set, &options, e);
}

/* The loss is that of the last step. */
static bool tell_views(const trainer *t, int64_t views, int64_t total, nnclr_error *e) {
    char note[60];
    snprintf(note, sizeof note, "loss %.4f", nnclr_softmax_sgd_state_of(t->sgd).batch_loss);
    return nnclr_progress_tell(t->options->progress, "views", views, total, note, e);
}

static bool learn(trainer *t, nnclr_error *e) {
    const nnclr_augmented_options *o = t->options;
    const int64_t total = o->sgd.epochs * (int64_t)t->count;
    int64_t views = 0;
    nnclr_error loading = NNCLR_NO_ERROR;
    const nnclr_batch *batch;
    nnclr_loader *loader = open_loader(t, e);
    if (!loader)
        return false;
    nnclr_embedder_pack(t->embedder);
    bool ok = true;
    while (ok && (batch = nnclr_loader_next(loader, &loading))) {
        views += batch->n;
        ok = take_batch(t, batch, e) && tell_views(t, views, total, e);
    }
    if (ok && loading.code != NNCLR_OK) {
        *e = loading;
        ok = false;
    }
    nnclr_loader_close(loader);
    return ok;
}

bool nnclr_augmented_train(nnclr_parameters *parameters, int cut,
                           const nnclr_evaluation_options *view, nnclr_shard_set *train,
                           const int64_t *label, int classes,
                           const nnclr_augmented_options *options, nnclr_classifier *classifier,
                           nnclr_linear_fit *fit, nnclr_error *e) {
    trainer t = {.options = options,
                 .view = view,
                 .engine = parameters->engine,
                 .set = train,
                 .label = label,
                 .classifier = classifier,
                 .d = nnclr_network_value(parameters->net, (size_t)cut)->c};
    *classifier = (nnclr_classifier){0};
    if (classes > NNCLR_LINEAR_CLASSES)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%d classes are above the limit of %d", classes,
                          NNCLR_LINEAR_CLASSES);
    bool ok = choose_records(&t, e) && allocate(&t, parameters, cut, classes, e) &&
              (!options->standardize || standardize(&t, e)) && learn(&t, e);
    if (ok) {
        const nnclr_softmax_sgd_state state = nnclr_softmax_sgd_state_of(t.sgd);
        *fit = (nnclr_linear_fit){.rows = (int64_t)t.count,
                                  .loss = state.epoch_loss,
                                  .objective = state.epoch_loss,
                                  .steps = state.steps};
        nnclr_softmax_keep(t.weights, classifier);
    } else {
        nnclr_classifier_free(classifier);
    }
    free_trainer(&t);
    return ok;
}

/* ---- judging ---- */

typedef struct judge {
    nnclr_engine *engine;
    const nnclr_classifier *classifier;
    const int64_t *label;
    nnclr_prediction *predictions;
    const nnclr_progress *progress;
    int64_t total;
} judge;

static bool judge_rows(void *context, int64_t first, int64_t count, const float *rows,
                       nnclr_error *e) {
    const judge *j = context;
    const nnclr_row_source source = nnclr_rows_in_memory(rows, count, j->classifier->d);
    return nnclr_linear_predict(j->engine, j->classifier, &source, j->label + first,
                                j->predictions + first, e) &&
           nnclr_progress_tell(j->progress, "pictures", first + count, j->total, NULL, e);
}

bool nnclr_augmented_predict(nnclr_parameters *parameters, int cut,
                             const nnclr_evaluation_options *view, nnclr_shard_set *test,
                             const int64_t *label, const nnclr_classifier *classifier,
                             const nnclr_progress *progress, nnclr_prediction *predictions,
                             nnclr_error *e) {
    judge j = {.engine = parameters->engine,
               .classifier = classifier,
               .label = label,
               .predictions = predictions,
               .progress = progress,
               .total = (int64_t)nnclr_shard_set_count(test)};
    const nnclr_row_sink sink = {.put = judge_rows, .context = &j};
    return nnclr_embed_network(parameters, cut, test, view, &sink, e);
}
