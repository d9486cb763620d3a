#include "eval/class_test.h"

#include <string.h>

#include "base/memory.h"
#include "eval/embed.h"
#include "ssl/classification.h"

enum { TOP = 5 };

struct nnclr_class_test {
    nnclr_shard_set *set;
    const nnclr_shard_set *train;
    int64_t *label; /* [records], of the classes of train; -1: none */
    int class_count;
    nnclr_embedder *embedder;
    double *scores;              /* [2][class_count]: logits and probabilities of one picture */
    nnclr_class_result *classes; /* [class_count] */
    int64_t n, first, five;
    double loss; /* sum */
    const nnclr_progress *progress;
};

static bool find_labels(nnclr_class_test *t, const char *path, nnclr_error *e) {
    int64_t labelled = 0;
    t->label = nnclr_shard_set_labels(t->set, e);
    if (!t->label || !nnclr_shard_set_map_labels(t->set, path, t->train, "the training set",
                                                 NNCLR_ERROR_USAGE, t->label, e))
        return false;
    for (size_t i = 0; i < nnclr_shard_set_count(t->set); i++)
        labelled += t->label[i] >= 0;
    return labelled > 0 ||
           nnclr_fail(e, NNCLR_ERROR_USAGE,
                      "%s: its pictures have no labels to judge a classifier by: give a shard that "
                      "nnclr-prep made of one folder for each class",
                      path);
}

nnclr_class_test *nnclr_class_test_open(nnclr_probe_data data, const nnclr_shard_set *train,
                                        nnclr_error *e) {
    nnclr_class_test *t = nnclr_alloc_zero(1, sizeof *t, e);
    if (!t) {
        nnclr_shard_set_close(data.set);
        return NULL;
    }
    t->train = train;
    t->set = data.set;
    if (find_labels(t, data.path, e))
        return t;
    nnclr_class_test_close(t);
    return NULL;
}

void nnclr_class_test_close(nnclr_class_test *t) {
    if (!t)
        return;
    nnclr_free(t->classes);
    nnclr_free(t->scores);
    nnclr_embedder_free(t->embedder);
    nnclr_free(t->label);
    nnclr_shard_set_close(t->set);
    nnclr_free(t);
}

bool nnclr_class_test_plan(nnclr_class_test *t, nnclr_parameters *parameters,
                           const nnclr_config *config, int threads, nnclr_error *e) {
    const nnclr_evaluation_options view = nnclr_embed_view(config, threads);
    const int logits = nnclr_network_find(parameters->net, "logits");
    t->class_count = nnclr_network_value(parameters->net, (size_t)logits)->c;
    t->scores = nnclr_alloc((size_t)t->class_count, 2 * sizeof *t->scores, e);
    t->classes = nnclr_alloc((size_t)t->class_count, sizeof *t->classes, e);
    if (t->scores && t->classes)
        t->embedder = nnclr_embedder_create(parameters, logits, &view, e);
    return t->embedder != NULL;
}

static void judge(nnclr_class_test *t, const float *logits, int64_t label) {
    double *row = t->scores, *probability = t->scores + t->class_count;
    for (int k = 0; k < t->class_count; k++)
        row[k] = (double)logits[k];
    const int64_t place = nnclr_prediction_place(row, t->class_count, label);
    t->loss += nnclr_label_loss(row, t->class_count, label, probability);
    t->n++;
    t->first += place == 0;
    t->five += place < TOP;
    t->classes[label].n++;
    t->classes[label].correct += place == 0;
}

static bool put_rows(void *context, int64_t first, int64_t count, const float *rows,
                     nnclr_error *e) {
    nnclr_class_test *t = context;
    for (int64_t i = 0; i < count; i++)
        if (t->label[first + i] >= 0)
            judge(t, rows + i * t->class_count, t->label[first + i]);
    return nnclr_progress_tell(t->progress, "pictures", first + count,
                               (int64_t)nnclr_shard_set_count(t->set), NULL, e);
}

bool nnclr_class_test_run(nnclr_class_test *t, const nnclr_progress *progress,
                          nnclr_class_test_result *result, nnclr_error *e) {
    const nnclr_row_sink sink = {.put = put_rows, .context = t};
    t->progress = progress;
    t->n = t->first = t->five = 0;
    t->loss = 0;
    memset(t->classes, 0, (size_t)t->class_count * sizeof *t->classes);
    if (!nnclr_embedder_run(t->embedder, t->set, &sink, e))
        return false;
    const double n = (double)t->n;
    *result = (nnclr_class_test_result){
        .accuracy = {.n = t->n, .top1 = (double)t->first / n, .top5 = (double)t->five / n},
        .loss = t->loss / n,
        .classes = t->classes,
    };
    return true;
}
