#include "eval/namer.h"

#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "ssl/classification.h"

/* ---- what there is ---- */

static nnclr_json *read_json(const nnclr_namer *n, const char *key, nnclr_error *e) {
    const char *text = nnclr_tensor_reader_metadata(n->reader, key);
    nnclr_json *json = text ? nnclr_json_parse(text, strlen(text), key, e) : NULL;
    if (!text)
        nnclr_fail(e, NNCLR_ERROR_INPUT, "its metadata has no %s", key);
    return json;
}

static bool check_classes(const nnclr_namer *n, int classes, nnclr_error *e) {
    bool ok = nnclr_json_is_array(n->classes) && nnclr_json_count(n->classes) == (size_t)classes;
    for (int i = 0; ok && i < classes; i++)
        ok = nnclr_json_string(nnclr_json_at(n->classes, (size_t)i)) != NULL;
    return ok ||
           nnclr_fail(e, NNCLR_ERROR_INPUT, "nnclr.classes does not name its %d classes", classes);
}

static bool take_classifier(nnclr_namer *n, nnclr_error *e) {
    nnclr_json *config = read_json(n, "nnclr.config", e);
    if (!config)
        return false;
    n->told = nnclr_json_take(config, "embedding");
    n->recipe.d = n->classifier.d;
    nnclr_json_free(config);
    return (n->classes = read_json(n, "nnclr.classes", e)) &&
           check_classes(n, n->classifier.classes, e);
}

static bool open_classifier(nnclr_namer *n, nnclr_error *e) {
    return nnclr_classifier_read(n->reader, &n->classifier, e) &&
           (take_classifier(n, e) || nnclr_fail_at(e, "%s", n->recipe.path));
}

static bool take_network(nnclr_namer *n, const char *path, const nnclr_config *config,
                         nnclr_error *e) {
    const int classes = config->model.classes;
    if (classes == 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "a network without a classifier: nnclr-finetune trains it with one, and "
                          "nnclr-lineval -o keeps one for its embeddings");
    if (n->recipe.model)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "this is a whole network: leave -m out");
    if (nnclr_is_standard(path))
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "a network is read twice: give a file");
    n->recipe.model = path;
    n->recipe.d = classes;
    n->told = nnclr_config_to_json(config, e);
    return n->told && nnclr_json_put_string(n->told, "output", "logits", e) &&
           (n->classes = read_json(n, "nnclr.classes", e)) && check_classes(n, classes, e);
}

static bool open_network(nnclr_namer *n, const char *path, nnclr_error *e) {
    nnclr_checkpoint_info info = {0};
    bool ok = nnclr_tensor_reader_expect(n->reader, "checkpoint", e) &&
              nnclr_checkpoint_read_info(n->reader, &info, e);
    if (ok && !take_network(n, path, &info.config, e))
        ok = nnclr_fail_at(e, "%s", n->recipe.path);
    nnclr_checkpoint_info_free(&info);
    return ok;
}

bool nnclr_namer_open(nnclr_namer *n, const char *path, const char *network, const char *prefix,
                      int threads, nnclr_error *e) {
    *n = (nnclr_namer){.reader = nnclr_tensor_reader_open(path, e)};
    if (!n->reader)
        return false;
    n->recipe = (nnclr_row_recipe){.model = network, .prefix = prefix, .threads = threads};
    n->recipe.path = nnclr_tensor_reader_path(n->reader);
    const char *kind = nnclr_tensor_reader_metadata(n->reader, "nnclr.kind");
    if (!kind)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: weights that name no classes: give a RUN of nnclr-finetune, or a "
                          "classifier of nnclr-lineval -o",
                          n->recipe.path);
    if (!(strcmp(kind, "classifier") == 0 ? open_classifier(n, e) : open_network(n, path, e)))
        return false;
    n->recipe.told = n->told;
    n->scores = nnclr_alloc(nnclr_json_count(n->classes), sizeof *n->scores, e);
    return n->scores != NULL;
}

void nnclr_namer_close(nnclr_namer *n) {
    nnclr_free(n->scores);
    nnclr_classifier_free(&n->classifier);
    nnclr_json_free(n->told);
    nnclr_json_free(n->classes);
    nnclr_tensor_reader_close(n->reader);
    *n = (nnclr_namer){0};
}

const char *nnclr_namer_class(const nnclr_namer *n, int64_t label) {
    return label < 0 ? NULL : nnclr_json_string(nnclr_json_at(n->classes, (size_t)label));
}

/* ---- names ---- */

typedef struct naming {
    nnclr_namer *namer;
    int64_t total;
    const nnclr_progress *progress;
    nnclr_guess *guesses;
} naming;

static void guess(const double *scores, int64_t count, nnclr_guess *best) {
    for (int i = 0; i < NNCLR_GUESSES; i++)
        best[i] = (nnclr_guess){.label = -1, .score = -1};
    for (int64_t c = 0; c < count; c++) {
        nnclr_guess one = {.label = c, .score = scores[c]};
        for (int i = 0; i < NNCLR_GUESSES; i++)
            if (one.score > best[i].score) {
                const nnclr_guess worse = best[i];
                best[i] = one;
                one = worse;
            }
    }
}

static bool put_rows(void *context, int64_t first, int64_t count, const float *rows,
                     nnclr_error *e) {
    const naming *x = context;
    const nnclr_namer *n = x->namer;
    const int64_t classes = (int64_t)nnclr_json_count(n->classes);
    const int d = n->recipe.d;
    for (int64_t i = 0; i < count; i++) {
        if (n->classifier.d > 0)
            nnclr_classifier_score(&n->classifier, rows + i * d, n->scores);
        for (int c = 0; n->classifier.d == 0 && c < d; c++)
            n->scores[c] = (double)rows[i * d + c];
        nnclr_label_loss(n->scores, (int)classes, 0, n->scores); /* for the shares alone */
        guess(n->scores, classes, x->guesses + (first + i) * NNCLR_GUESSES);
    }
    return nnclr_progress_tell(x->progress, "pictures", first + count, x->total, NULL, e);
}

bool nnclr_namer_run(nnclr_namer *n, nnclr_shard_set *pictures, const nnclr_progress *progress,
                     nnclr_guess *guesses, nnclr_error *e) {
    naming x = {.namer = n,
                .total = (int64_t)nnclr_shard_set_count(pictures),
                .progress = progress,
                .guesses = guesses};
    const nnclr_row_sink sink = {.put = put_rows, .context = &x};
    return nnclr_make_rows(&n->recipe, pictures, &sink, e);
}
