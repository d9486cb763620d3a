#include "eval/picture_rows.h"

#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "eval/embed.h"
#include "eval/frozen_network.h"

/* ---- how the other rows were made ---- */

/* As nnclr-embed would have recorded it of a support set. */
static nnclr_json *describe_queue(const nnclr_checkpoint_info *info, nnclr_error *e) {
    nnclr_json *told = nnclr_config_to_json(&info->config, e);
    return nnclr_json_if(told && nnclr_json_put_string(told, "output", "projection", e) &&
                             nnclr_json_put_int(told, "step", info->step, e),
                         told);
}

static nnclr_json *describe(const nnclr_row_set *like, nnclr_error *e) {
    const char *text = like->embedding.config;
    nnclr_json *told = like->step ? describe_queue(&like->info, e)
                       : text     ? nnclr_json_parse(text, strlen(text), "nnclr.config", e)
                                  : nnclr_json_object(e);
    if (told && !nnclr_json_string(nnclr_json_get(told, "output"))) {
        nnclr_fail(e, NNCLR_ERROR_INPUT,
                   "%s does not say how its rows were made: give --query rows, not pictures",
                   like->path);
        nnclr_json_free(told);
        return NULL;
    }
    return told;
}

/* What nnclr-embed may have been told to show the network instead of what its file says. */
static bool take_view(nnclr_config *config, const nnclr_json *told, nnclr_error *e) {
    static const char *const keys[] = {"size", "interpolation", "mean", "std"};
    nnclr_buffer text = {0};
    nnclr_json *whole = nnclr_config_to_json(config, e), *copy = NULL;
    bool ok = whole && nnclr_json_print(told, false, &text, e) &&
              (copy = nnclr_json_parse((char *)text.data, text.size, "nnclr.config", e)) != NULL;
    for (size_t i = 0; ok && i < sizeof keys / sizeof *keys; i++)
        if (nnclr_json_get(copy, keys[i]))
            ok = nnclr_json_put(whole, keys[i], nnclr_json_take(copy, keys[i]), e);
    ok = ok && nnclr_config_from_json(whole, config, e);
    nnclr_json_free(copy);
    nnclr_json_free(whole);
    nnclr_buffer_free(&text);
    return ok;
}

/* The arithmetic may be another one. */
static bool is_network(const nnclr_json *told, const nnclr_json *made, const char **differs,
                       nnclr_error *e) {
    nnclr_buffer one = {0}, other = {0};
    void *iterator = NULL;
    bool ok = true;
    const char *key;
    *differs = NULL;
    for (const nnclr_json *value;
         ok && !*differs && (value = nnclr_json_each(told, &iterator, &key)) != NULL;) {
        const nnclr_json *here = nnclr_json_get(made, key);
        one.size = other.size = 0;
        if (strcmp(key, "engine") == 0 || strcmp(key, "precision") == 0)
            continue;
        ok = nnclr_json_print(value, false, &one, e) &&
             (!here || nnclr_json_print(here, false, &other, e));
        if (ok && here && strcmp((char *)one.data, (char *)other.data) != 0)
            *differs = key;
    }
    nnclr_buffer_free(&other);
    nnclr_buffer_free(&one);
    return ok;
}

static bool check_network(const nnclr_frozen_network *n, const char *cut, const nnclr_json *told,
                          const nnclr_row_set *like, nnclr_error *e) {
    const char *differs;
    nnclr_json *made = nnclr_frozen_network_describe(n, cut, e);
    bool ok = made && is_network(told, made, &differs, e);
    if (ok && differs)
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT,
                        "%s: the rows of %s were made with another network: its \"%s\" differs",
                        nnclr_tensor_reader_path(n->reader), like->path, differs);
    nnclr_json_free(made);
    return ok;
}

/* ---- rows ---- */

typedef struct filling {
    float *rows;
    int d;
    int64_t total;
    const nnclr_progress *progress;
} filling;

static bool put_rows(void *context, int64_t first, int64_t count, const float *rows,
                     nnclr_error *e) {
    const filling *f = context;
    memcpy(f->rows + first * f->d, rows, (size_t)(count * f->d) * sizeof *rows);
    return nnclr_progress_tell(f->progress, "pictures", first + count, f->total, NULL, e);
}

static bool run_network(nnclr_shard_set *pictures, const nnclr_row_set *like, const char *model,
                        int threads, const nnclr_row_sink *sink, nnclr_error *e) {
    nnclr_frozen_network n = {0};
    bool untrained = false;
    nnclr_json *told = describe(like, e);
    bool ok =
        told && nnclr_frozen_network_open(&n, model, NULL, e) && take_view(&n.config, told, e);
    if (ok) {
        const char *cut = nnclr_json_string(nnclr_json_get(told, "output"));
        nnclr_json_bool(nnclr_json_get(told, "untrained"), &untrained);
        n.choice = NNCLR_ENGINE_AUTO;
        ok = nnclr_frozen_network_load(&n, untrained, threads, e) &&
             check_network(&n, cut, told, like, e);
        const int value = ok ? nnclr_network_find(n.list, cut) : -1;
        const nnclr_evaluation_options view = nnclr_embed_view(&n.config, threads);
        if (ok && (value < 0 || nnclr_network_value(n.list, (size_t)value)->c != like->rows.d))
            ok = nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: this network makes no rows like those of %s",
                            nnclr_tensor_reader_path(n.reader), like->path);
        ok = ok && nnclr_embed_network(&n.parameters, value, pictures, &view, sink, e);
    }
    nnclr_frozen_network_close(&n);
    nnclr_json_free(told);
    return ok;
}

static bool make_rows(nnclr_shard_set *pictures, const nnclr_row_set *like, const char *model,
                      int threads, const nnclr_row_sink *sink, nnclr_error *e) {
    if (like->pixels)
        return !model ? nnclr_embed_pixels(pictures, like->pixels, NNCLR_BICUBIC, threads, sink, e)
                      : nnclr_fail(e, NNCLR_ERROR_USAGE,
                                   "the rows of %s are pixels, not a network's: leave -m out",
                                   like->path);
    if (!model && like->step && !nnclr_is_standard(like->path))
        model = like->path;
    return model ? run_network(pictures, like, model, threads, sink, e)
                 : nnclr_fail(e, NNCLR_ERROR_USAGE,
                              "pictures as --query need the network that made the rows of %s: give "
                              "-m CHECKPOINT",
                              like->path);
}

/* The names of classes in label order, in one block. */
static char **copy_classes(const nnclr_shard_set *pictures, nnclr_error *e) {
    const size_t count = nnclr_shard_set_class_count(pictures);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += sizeof(char *) + strlen(nnclr_shard_set_class(pictures, i)) + 1;
    char **names = nnclr_alloc(bytes, 1, e);
    char *at = (char *)(names + count);
    for (size_t i = 0; names && i < count; i++) {
        names[i] = at;
        at = stpcpy(at, nnclr_shard_set_class(pictures, i)) + 1;
    }
    return names;
}

bool nnclr_row_set_of_pictures(nnclr_row_set *set, const char *path, nnclr_shard_set *pictures,
                               const nnclr_row_set *like, const char *model, int threads,
                               const nnclr_progress *progress, nnclr_error *e) {
    const size_t n = nnclr_shard_set_count(pictures);
    filling f = {.d = like->rows.d, .total = (int64_t)n, .progress = progress};
    *set = (nnclr_row_set){.path = path, .newest = -1, .pixels = like->pixels};
    int64_t *record = nnclr_alloc(n, sizeof *record, e);
    int64_t *label = nnclr_shard_set_labels(pictures, e);
    char **names = copy_classes(pictures, e);
    f.rows = nnclr_alloc(n, (size_t)f.d * sizeof *f.rows, e);
    void *owned[] = {f.rows, record, label, names};
    memcpy(set->owned, owned, sizeof owned);
    const nnclr_row_sink sink = {.put = put_rows, .context = &f};
    if (!f.rows || !record || !label || !names ||
        !make_rows(pictures, like, model, threads, &sink, e)) {
        nnclr_row_set_close(set);
        return false;
    }
    for (size_t i = 0; i < n; i++)
        record[i] = (int64_t)i;
    set->rows = nnclr_rows_in_memory(f.rows, (int64_t)n, f.d);
    set->record = record;
    set->label = label;
    set->classes = names;
    set->class_count = nnclr_shard_set_class_count(pictures);
    return true;
}
