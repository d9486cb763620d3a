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

static nnclr_json *describe(const nnclr_row_set *set, nnclr_error *e) {
    const char *text = set->embedding.config;
    return set->step ? describe_queue(&set->info, e)
           : text    ? nnclr_json_parse(text, strlen(text), "nnclr.config", e)
                     : nnclr_json_object(e);
}

/* What nnclr-embed may have been told to show the network instead of what its file says. Weights
 * without a configuration have no heads, and those of a preset stand in for them, since a
 * configuration without is refused. */
static bool take_view(nnclr_frozen_network *n, const nnclr_json *told, nnclr_error *e) {
    static const char *const keys[] = {"size", "interpolation", "mean", "std"};
    const bool headless = n->foreign && !n->weights.told;
    nnclr_config *config = &n->config;
    if (headless)
        config->model.projector = nnclr_config_preset(NNCLR_PRESET_IMAGENET).model.projector;
    nnclr_buffer text = {0};
    nnclr_json *whole = nnclr_config_to_json(config, e), *copy = NULL;
    bool ok = whole && nnclr_json_print(told, false, &text, e) &&
              (copy = nnclr_json_parse((char *)text.data, text.size, "nnclr.config", e)) != NULL;
    for (size_t i = 0; ok && i < sizeof keys / sizeof *keys; i++)
        if (nnclr_json_get(copy, keys[i]))
            ok = nnclr_json_put(whole, keys[i], nnclr_json_take(copy, keys[i]), e);
    ok = ok && nnclr_config_from_json(whole, config, e);
    if (headless)
        config->model.projector.count = 0;
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

static bool check_network(const nnclr_frozen_network *n, const nnclr_row_recipe *how,
                          const char *cut, nnclr_error *e) {
    const char *differs;
    nnclr_json *made = nnclr_frozen_network_describe(n, cut, e);
    bool ok = made && is_network(how->told, made, &differs, e);
    if (ok && differs)
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT,
                        "%s: the rows of %s were made with another network: its \"%s\" differs",
                        nnclr_tensor_reader_path(n->reader), how->path, differs);
    nnclr_json_free(made);
    return ok;
}

/* ---- rows ---- */

static bool run_network(const nnclr_row_recipe *how, const char *cut, nnclr_shard_set *pictures,
                        const nnclr_row_sink *sink, nnclr_error *e) {
    nnclr_frozen_network n = {0};
    bool untrained = false, ok = false;
    nnclr_json_bool(nnclr_json_get(how->told, "untrained"), &untrained);
    if (!nnclr_frozen_network_open(&n, how->model, how->prefix, e) || !take_view(&n, how->told, e))
        goto done;
    n.choice = NNCLR_ENGINE_AUTO;
    if (!nnclr_frozen_network_load(&n, untrained, how->threads, e) ||
        !check_network(&n, how, cut, e))
        goto done;
    const int value = nnclr_network_find(n.list, cut);
    if (value < 0 || nnclr_network_value(n.list, (size_t)value)->c != how->d) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: this network makes no rows like those of %s",
                   nnclr_tensor_reader_path(n.reader), how->path);
        goto done;
    }
    const nnclr_evaluation_options view = nnclr_embed_view(&n.config, how->threads);
    ok = nnclr_embed_network(&n.parameters, value, pictures, &view, sink, e);
done:
    nnclr_frozen_network_close(&n);
    return ok;
}

static bool take_pixels(const nnclr_row_recipe *how, nnclr_shard_set *pictures,
                        const nnclr_row_sink *sink, nnclr_error *e) {
    int64_t size = 0;
    if (how->model)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "the rows of %s are pixels, not a network's: leave -m out", how->path);
    if (!nnclr_json_get_int(how->told, "size", 1, 1 << 10, &size, e))
        return nnclr_fail_at(e, "%s", how->path);
    if (3 * size * size != how->d)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: rows of %d numbers are not %lld x %lld pixels",
                          how->path, how->d, (long long)size, (long long)size);
    return nnclr_embed_pixels(pictures, (int)size, NNCLR_BICUBIC, how->threads, sink, e);
}

bool nnclr_make_rows(const nnclr_row_recipe *how, nnclr_shard_set *pictures,
                     const nnclr_row_sink *sink, nnclr_error *e) {
    const char *output = nnclr_json_string(nnclr_json_get(how->told, "output"));
    if (!output)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: does not say how its rows were made, so pictures cannot be compared "
                          "with them",
                          how->path);
    if (strcmp(output, "pixels") == 0)
        return take_pixels(how, pictures, sink, e);
    return how->model ? run_network(how, output, pictures, sink, e)
                      : nnclr_fail(e, NNCLR_ERROR_USAGE,
                                   "pictures need the network that made the rows of %s: give -m "
                                   "CHECKPOINT",
                                   how->path);
}

/* ---- a set of them ---- */

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
                               const nnclr_row_set *like, const char *model, const char *prefix,
                               int threads, const nnclr_progress *progress, nnclr_error *e) {
    const size_t n = nnclr_shard_set_count(pictures);
    filling f = {.d = like->rows.d, .total = (int64_t)n, .progress = progress};
    *set = (nnclr_row_set){.path = path, .newest = -1, .pixels = like->pixels};
    int64_t *record = nnclr_alloc(n, sizeof *record, e);
    int64_t *label = nnclr_shard_set_labels(pictures, e);
    char **names = copy_classes(pictures, e);
    f.rows = nnclr_alloc(n, (size_t)f.d * sizeof *f.rows, e);
    void *owned[] = {f.rows, record, label, names};
    memcpy(set->owned, owned, sizeof owned);
    nnclr_json *told = describe(like, e);
    const nnclr_row_sink sink = {.put = put_rows, .context = &f};
    const bool own = like->step && !nnclr_is_standard(like->path);
    const nnclr_row_recipe how = {.path = like->path,
                                  .told = told,
                                  .d = f.d,
                                  .model = !model && own ? like->path : model,
                                  .prefix = prefix,
                                  .threads = threads};
    const bool ok =
        f.rows && record && label && names && told && nnclr_make_rows(&how, pictures, &sink, e);
    nnclr_json_free(told);
    if (!ok) {
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
