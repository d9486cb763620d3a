#include "eval/export.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"

enum { CHUNK = 1 << 20, NPY_ALIGNMENT = 64, NPY_PREFIX = 10, FLUSH = 1 << 16 };

static const char prefix[] = "backbone.";

static bool finish(nnclr_output *out, bool ok, nnclr_error *e) {
    if (ok)
        return nnclr_output_commit(out, e);
    nnclr_output_abandon(out);
    return false;
}

/* What is copied, and how much of it was. */
typedef struct copying {
    nnclr_output *out;
    const nnclr_progress *progress;
    size_t done, total; /* bytes */
} copying;

static bool tell(const copying *c, nnclr_error *e) {
    return nnclr_progress_tell(c->progress, "MB", (int64_t)(c->done / 1000000),
                               (int64_t)(c->total / 1000000), NULL, e);
}

/* All data of a tensor, in pieces; reals must be finite. */
static bool copy_tensor(nnclr_tensor_reader *reader, const nnclr_tensor_info *info, copying *to,
                        nnclr_error *e) {
    const size_t bytes = nnclr_tensor_bytes(info), width = nnclr_dtype_bytes(info->dtype);
    const bool real = info->dtype == NNCLR_F32 || info->dtype == NNCLR_F64;
    void *chunk = nnclr_alloc(CHUNK, 1, e);
    bool ok = chunk != NULL;
    for (size_t done = 0; ok && done < bytes;) {
        size_t part = nnclr_min(bytes - done, CHUNK);
        ok = nnclr_tensor_reader_read(reader, info, done, chunk, part, e) &&
             (!real || nnclr_check_reals(reader, info, info->dtype, chunk, part / width, e)) &&
             nnclr_output_write(to->out, chunk, part, e);
        done += part;
        to->done += part;
        ok = ok && tell(to, e);
    }
    nnclr_free(chunk);
    return ok;
}

/* ---- weights ---- */

static bool put_real(nnclr_json *metadata, const char *key, double x, nnclr_error *e) {
    char text[NNCLR_REAL_TEXT];
    nnclr_print_shortest(x, text);
    return nnclr_json_put_string(metadata, key, text, e);
}

static bool put_channels(nnclr_json *metadata, const char *key, const float x[3], nnclr_error *e) {
    char text[3 * NNCLR_REAL_TEXT], number[NNCLR_REAL_TEXT];
    for (size_t i = 0, used = 0; i < 3; i++) {
        nnclr_print_shortest(nnclr_shortest(x[i]), number);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? "," : "", number);
    }
    return nnclr_json_put_string(metadata, key, text, e);
}

/* How pictures are brought to the network's size, as the configuration describes it. */
static bool put_resize(nnclr_json *metadata, const nnclr_config *config, nnclr_error *e) {
    nnclr_json *json = nnclr_config_to_json(config, e);
    nnclr_buffer text = {0};
    int64_t resize, crop;
    bool stretch;
    const char *filter = NULL;
    bool ok = json && nnclr_json_get_int(json, "evaluation_resize", 1, INT32_MAX, &resize, e) &&
              nnclr_json_get_int(json, "evaluation_crop", 1, INT32_MAX, &crop, e) &&
              nnclr_json_get_bool(json, "evaluation_stretch", &stretch, e) &&
              (filter = nnclr_json_get_string(json, "interpolation", e)) != NULL;
    if (ok && stretch)
        ok = nnclr_buffer_printf(&text, e, "both sides to %" PRId64 ", %s, antialiased", resize,
                                 filter);
    else if (ok)
        ok = nnclr_buffer_printf(&text, e,
                                 "short side to %" PRId64 ", %s, antialiased; centre of %" PRId64,
                                 resize, filter, crop);
    ok = ok && nnclr_json_put_string(metadata, "resize", (const char *)text.data, e);
    nnclr_buffer_free(&text);
    nnclr_json_free(json);
    return ok;
}

/* Names of the rows of a classifier; a network without one has none. */
static bool put_classes(nnclr_json *metadata, const nnclr_checkpoint_info *info, nnclr_error *e) {
    if (info->config.model.classes == 0)
        return true;
    if (info->class_count != (size_t)info->config.model.classes)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "a classifier of %d classes, but the checkpoint names %zu",
                          info->config.model.classes, info->class_count);
    return nnclr_json_put_texts(metadata, "classes", (const char *const *)info->classes,
                                info->class_count, e);
}

/* Weights of other programs do not say how they were trained. */
static bool put_training(nnclr_json *metadata, const nnclr_checkpoint_info *info, nnclr_error *e) {
    return info->step < 0 || (nnclr_checkpoint_put_config(metadata, &info->config, e) &&
                              nnclr_checkpoint_put_number(metadata, "nnclr.step", info->step, e));
}

nnclr_json *nnclr_export_metadata(const nnclr_checkpoint_info *info, nnclr_error *e) {
    const nnclr_config *config = &info->config;
    const nnclr_model_spec *model = &config->model;
    nnclr_json *metadata = nnclr_json_object(e);
    return nnclr_json_if(
        metadata && nnclr_json_put_string(metadata, "arch", nnclr_arch_names[model->arch], e) &&
            put_real(metadata, "width", model->width, e) &&
            nnclr_json_put_string(metadata, "stem", nnclr_stem_names[model->stem], e) &&
            put_real(metadata, "size", model->size, e) && put_resize(metadata, config, e) &&
            put_channels(metadata, "mean", config->augment.mean, e) &&
            put_channels(metadata, "std", config->augment.std, e) &&
            put_classes(metadata, info, e) && put_training(metadata, info, e),
        metadata);
}

/* How the file will call a tensor; NULL: it is left out. */
static const char *exported_name(const nnclr_tensor_info *info) {
    if (strncmp(info->name, prefix, sizeof prefix - 1) == 0)
        return info->name + sizeof prefix - 1;
    return strncmp(info->name, "fc.", 3) == 0 ? info->name : NULL;
}

static bool check_network(const nnclr_tensor_reader *checkpoint, const nnclr_model_spec *model,
                          nnclr_error *e) {
    nnclr_network *net = nnclr_model_build(model, e);
    bool ok = net && nnclr_checkpoint_check(checkpoint, net, false, e);
    nnclr_network_free(net);
    return ok;
}

static bool write_header(const nnclr_tensor_reader *checkpoint, const nnclr_checkpoint_info *info,
                         nnclr_output *out, nnclr_error *e) {
    const size_t all = nnclr_tensor_reader_count(checkpoint);
    nnclr_buffer header = {0};
    nnclr_json *metadata = nnclr_export_metadata(info, e);
    nnclr_tensor_info *infos = nnclr_alloc(all, sizeof *infos, e);
    size_t count = 0;
    for (size_t i = 0; infos && i < all; i++) {
        const nnclr_tensor_info *tensor = nnclr_tensor_reader_info(checkpoint, i);
        const char *name = exported_name(tensor);
        if (name) {
            infos[count] = *tensor;
            infos[count++].name = name;
        }
    }
    bool ok = metadata && infos && nnclr_json_put_string(metadata, "format", "pt", e) &&
              nnclr_tensor_header_print(infos, count, metadata, &header, e) &&
              nnclr_output_write(out, header.data, header.size, e);
    nnclr_free(infos);
    nnclr_json_free(metadata);
    nnclr_buffer_free(&header);
    return ok;
}

bool nnclr_export_backbone(nnclr_tensor_reader *checkpoint, const nnclr_checkpoint_info *info,
                           const char *path, const nnclr_progress *progress, nnclr_error *e) {
    const size_t count = nnclr_tensor_reader_count(checkpoint);
    if (!check_network(checkpoint, &info->config.model, e))
        return false;
    nnclr_output *out = nnclr_output_open(path, e);
    if (!out)
        return false;
    copying to = {.out = out, .progress = progress};
    for (size_t i = 0; i < count; i++)
        if (exported_name(nnclr_tensor_reader_info(checkpoint, i)))
            to.total += nnclr_tensor_bytes(nnclr_tensor_reader_info(checkpoint, i));
    bool ok = write_header(checkpoint, info, out, e);
    for (size_t i = 0; ok && i < count; i++) {
        const nnclr_tensor_info *tensor = nnclr_tensor_reader_info(checkpoint, i);
        ok = !exported_name(tensor) || copy_tensor(checkpoint, tensor, &to, e);
    }
    return finish(out, ok, e);
}

/* ---- rows ---- */

bool nnclr_export_npy(const nnclr_embedding *embedding, const char *path,
                      const nnclr_progress *progress, nnclr_error *e) {
    const nnclr_tensor_info *rows = nnclr_tensor_reader_find(embedding->reader, "embedding");
    char header[4 * NPY_ALIGNMENT] = "\x93NUMPY\x01";
    char *dict = header + NPY_PREFIX;
    int used =
        snprintf(dict, sizeof header - NPY_PREFIX,
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRId64 ", %" PRId64 "), }",
                 rows->dims[0], rows->dims[1]);
    /* Spaces and a newline up to the next multiple: NumPy maps the data where it is aligned. */
    size_t size = (NPY_PREFIX + (size_t)used + NPY_ALIGNMENT) / NPY_ALIGNMENT * NPY_ALIGNMENT;
    memset(dict + used, ' ', size - NPY_PREFIX - (size_t)used);
    header[size - 1] = '\n';
    header[8] = (char)(size - NPY_PREFIX);
    header[9] = 0;
    nnclr_output *out = nnclr_output_open(path, e);
    if (!out)
        return false;
    copying to = {.out = out, .progress = progress, .total = nnclr_tensor_bytes(rows)};
    return finish(out,
                  nnclr_output_write(out, header, size, e) &&
                      copy_tensor(embedding->reader, rows, &to, e),
                  e);
}

static bool print_row(const nnclr_embedding *embedding, int64_t i, nnclr_buffer *text,
                      nnclr_error *e) {
    const char *label = embedding->label[i] < 0 ? "" : embedding->classes[embedding->label[i]];
    return nnclr_buffer_printf(text, e, "%" PRId64 "\t%" PRId64 "\t", embedding->record[i],
                               embedding->label[i]) &&
           nnclr_escape(text, label, strlen(label), e) && nnclr_buffer_append(text, "\t", 1, e) &&
           nnclr_escape(text, embedding->names[i], strlen(embedding->names[i]), e) &&
           nnclr_buffer_append(text, "\n", 1, e);
}

bool nnclr_export_tsv(const nnclr_embedding *embedding, const char *path,
                      const nnclr_progress *progress, nnclr_error *e) {
    nnclr_buffer text = {0};
    nnclr_output *out = nnclr_output_open(path, e);
    if (!out)
        return false;
    bool ok = nnclr_buffer_printf(&text, e, "record\tlabel\tclass\tname\n");
    for (int64_t i = 0; ok && i < (int64_t)embedding->rows.n; i++) {
        ok = print_row(embedding, i, &text, e);
        if (ok && text.size >= FLUSH) {
            ok = nnclr_output_write(out, text.data, text.size, e) &&
                 nnclr_progress_tell(progress, "rows", i + 1, embedding->rows.n, NULL, e);
            text.size = 0;
        }
    }
    ok = ok && nnclr_output_write(out, text.data, text.size, e);
    nnclr_buffer_free(&text);
    return finish(out, ok, e);
}
