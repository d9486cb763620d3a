#include "eval/probe.h"

#include <string.h>

#include "base/memory.h"
#include "eval/embed.h"
#include "eval/knn.h"

/* The pictures of one shard: their labels, and the rows that the network makes from them. */
typedef struct side {
    const char *path; /* the caller's */
    nnclr_shard_set *set;
    int64_t n, labelled;
    int64_t *label; /* [n], of the bank's classes; -1: none */
    float *rows;    /* [n][d] */
    size_t rows_bytes;
} side;

struct nnclr_probe {
    side judged, bank; /* without a bank its set is NULL */
    int d;
    nnclr_embedder *embedder;
    nnclr_prediction *predictions; /* [judged.n] */
    nnclr_pool *pool;
};

/* ---- opening ---- */

static bool read_labels(side *s, nnclr_error *e) {
    s->n = (int64_t)nnclr_shard_set_count(s->set);
    s->label = nnclr_shard_set_labels(s->set, e);
    if (!s->label)
        return false;
    for (int64_t i = 0; i < s->n; i++)
        s->labelled += s->label[i] >= 0;
    return s->labelled > 0 ||
           nnclr_fail(e, NNCLR_ERROR_USAGE,
                      "%s: its pictures have no labels for a probe to judge by: give a shard that "
                      "nnclr-prep made of one folder for each class",
                      s->path);
}

nnclr_probe *nnclr_probe_open(nnclr_probe_data judged, nnclr_probe_data bank, nnclr_error *e) {
    nnclr_probe *p = nnclr_alloc_zero(1, sizeof *p, e);
    if (!p) {
        nnclr_shard_set_close(judged.set);
        nnclr_shard_set_close(bank.set);
        return NULL;
    }
    p->judged = (side){.path = judged.path, .set = judged.set};
    p->bank = (side){.path = bank.path, .set = bank.set};
    if (!read_labels(&p->judged, e))
        goto fail;
    if (bank.set && (!read_labels(&p->bank, e) ||
                     !nnclr_shard_set_map_labels(judged.set, judged.path, bank.set, bank.path,
                                                 NNCLR_ERROR_USAGE, p->judged.label, e)))
        goto fail;
    if (!bank.set && p->judged.labelled < 2) {
        nnclr_fail(e, NNCLR_ERROR_USAGE,
                   "%s: there is only one picture with a label, and none to compare it with: give "
                   "more, or --probe-bank",
                   judged.path);
        goto fail;
    }
    return p;
fail:
    nnclr_probe_close(p);
    return NULL;
}

int64_t nnclr_probe_bank(const nnclr_probe *p) {
    return p->bank.set ? p->bank.labelled : p->judged.labelled;
}

static void close_side(side *s) {
    if (s->rows)
        nnclr_block_free(s->rows, s->rows_bytes);
    nnclr_free(s->label);
    nnclr_shard_set_close(s->set);
}

void nnclr_probe_close(nnclr_probe *p) {
    if (!p)
        return;
    nnclr_free(p->predictions);
    nnclr_embedder_free(p->embedder);
    close_side(&p->judged);
    close_side(&p->bank);
    nnclr_free(p);
}

/* ---- planning ---- */

static bool plan_rows(side *s, int d, nnclr_error *e) {
    if (!nnclr_size_mul((size_t)s->n, (size_t)d * sizeof *s->rows, &s->rows_bytes))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: %lld rows of %d numbers are too many", s->path,
                          (long long)s->n, d);
    s->rows = nnclr_block_alloc(s->rows_bytes, e);
    return s->rows || nnclr_fail_at(e, "the features of %s", s->path);
}

bool nnclr_probe_plan(nnclr_probe *p, nnclr_parameters *parameters, const nnclr_config *config,
                      int threads, nnclr_error *e) {
    const nnclr_evaluation_options view = nnclr_embed_view(config, threads);
    const int cut = nnclr_network_find(parameters->net, "features");
    p->pool = parameters->engine->pool;
    p->d = nnclr_network_value(parameters->net, (size_t)cut)->c;
    p->embedder = nnclr_embedder_create(parameters, cut, &view, e);
    return p->embedder && plan_rows(&p->judged, p->d, e) &&
           (!p->bank.set || plan_rows(&p->bank, p->d, e)) &&
           (p->predictions = nnclr_alloc((size_t)p->judged.n, sizeof *p->predictions, e));
}

size_t nnclr_probe_bytes(const nnclr_probe *p) {
    return nnclr_embedder_bytes(p->embedder) + p->judged.rows_bytes + p->bank.rows_bytes +
           (size_t)p->judged.n * sizeof *p->predictions;
}

/* ---- running ---- */

typedef struct target {
    side *side;
    int d;
    const nnclr_progress *progress;
} target;

static bool put_rows(void *context, int64_t first, int64_t count, const float *rows,
                     nnclr_error *e) {
    target *t = context;
    memcpy(t->side->rows + first * t->d, rows, (size_t)count * (size_t)t->d * sizeof *rows);
    return nnclr_progress_tell(t->progress, "pictures", first + count,
                               (int64_t)nnclr_shard_set_count(t->side->set), NULL, e);
}

static bool embed(nnclr_probe *p, side *s, const nnclr_progress *progress, nnclr_error *e) {
    target t = {.side = s, .d = p->d, .progress = progress};
    const nnclr_row_sink sink = {.put = put_rows, .context = &t};
    return nnclr_embedder_run(p->embedder, s->set, &sink, e);
}

bool nnclr_probe_run(nnclr_probe *p, const nnclr_progress *progress, nnclr_accuracy *accuracy,
                     nnclr_error *e) {
    side *bank = p->bank.set ? &p->bank : &p->judged;
    if ((p->bank.set && !embed(p, &p->bank, progress, e)) || !embed(p, &p->judged, progress, e))
        return false;
    const nnclr_knn_options options = {.k = NNCLR_KNN_K,
                                       .temperature = NNCLR_KNN_TEMPERATURE,
                                       .leave_one_out = bank == &p->judged,
                                       .progress = progress};
    const nnclr_row_source train = nnclr_rows_in_memory(bank->rows, bank->n, p->d),
                           test = nnclr_rows_in_memory(p->judged.rows, p->judged.n, p->d);
    if (!nnclr_knn_predict(p->pool, &train, bank->label, &test, p->judged.label,
                           (int64_t)nnclr_shard_set_class_count(bank->set), &options,
                           p->predictions, e))
        return false;
    *accuracy = nnclr_prediction_accuracy(p->predictions, p->judged.n);
    return true;
}
