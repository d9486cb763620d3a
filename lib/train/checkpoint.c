#include "train/checkpoint.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "train/checkpoint_layout.h"
#include "train/objective.h"
#include "train/schedule.h"
#include "train/training_data.h"

enum { CHUNK = 1 << 18 }; /* reals that pass through host memory at a time */

/* ---- metadata ---- */

bool nnclr_checkpoint_put_number(nnclr_json *metadata, const char *key, int64_t value,
                                 nnclr_error *e) {
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    return nnclr_json_put_string(metadata, key, text, e);
}

bool nnclr_checkpoint_put_config(nnclr_json *metadata, const nnclr_config *config, nnclr_error *e) {
    nnclr_json *json = nnclr_config_to_json(config, e);
    bool ok = json && nnclr_json_put_text(metadata, "nnclr.config", json, e);
    nnclr_json_free(json);
    return ok;
}

int64_t nnclr_identity_records(const nnclr_json *identity) {
    int64_t sum = 0;
    for (size_t i = 0; i < nnclr_json_count(identity); i++) {
        int64_t records;
        nnclr_error ignored = NNCLR_NO_ERROR;
        if (nnclr_json_get_int(nnclr_json_at(identity, i), "records", 0, INT_MAX, &records,
                               &ignored))
            sum += records;
    }
    return sum;
}

static nnclr_json *make_metadata(const nnclr_checkpoint_info *info, nnclr_error *e) {
    nnclr_json *metadata = nnclr_json_object(e);
    int64_t records = info->records ? info->records : nnclr_identity_records(info->identity);
    int64_t steps_per_epoch = records / info->config.batch;
    steps_per_epoch = nnclr_max(steps_per_epoch, 1);
    return nnclr_json_if(
        metadata && nnclr_checkpoint_put_number(metadata, "nnclr.step", info->step, e) &&
            nnclr_checkpoint_put_number(metadata, "nnclr.total_steps", info->total_steps, e) &&
            nnclr_checkpoint_put_number(metadata, "nnclr.epoch", info->step / steps_per_epoch, e) &&
            nnclr_checkpoint_put_number(metadata, "nnclr.position", info->step % steps_per_epoch,
                                        e) &&
            nnclr_checkpoint_put_number(metadata, "nnclr.seed", (int64_t)info->config.data_seed,
                                        e) &&
            nnclr_json_put_string(metadata, "nnclr.engine", info->engine, e) &&
            nnclr_json_put_string(metadata, "nnclr.precision", info->precision, e) &&
            nnclr_checkpoint_put_config(metadata, &info->config, e) &&
            nnclr_json_put_text(metadata, "nnclr.data", info->identity, e) &&
            nnclr_json_put_texts(metadata, "nnclr.classes", (const char *const *)info->classes,
                                 info->class_count, e),
        metadata);
}

static const char *need(const nnclr_tensor_reader *reader, const char *key, nnclr_error *e) {
    const char *text = nnclr_tensor_reader_metadata(reader, key);
    if (!text)
        nnclr_fail(e, NNCLR_ERROR_INPUT, "the checkpoint's metadata has no %s", key);
    return text;
}

static bool read_number(const nnclr_tensor_reader *reader, const char *key, int64_t high,
                        int64_t *out, nnclr_error *e) {
    const char *text = need(reader, key, e);
    if (!text)
        return false;
    return nnclr_parse_int(text, 0, high, out) ||
           nnclr_fail(e, NNCLR_ERROR_INPUT,
                      "%s of the checkpoint is not a number from 0 to %" PRId64, key, high);
}

static bool read_name(const nnclr_tensor_reader *reader, const char *key, char out[16],
                      nnclr_error *e) {
    const char *text = need(reader, key, e);
    if (!text)
        return false;
    if (strlen(text) >= 16)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s of the checkpoint is too long", key);
    strcpy(out, text);
    return true;
}

static nnclr_json *read_json(const nnclr_tensor_reader *reader, const char *key, nnclr_error *e) {
    const char *text = need(reader, key, e);
    return text ? nnclr_json_parse(text, strlen(text), key, e) : NULL;
}

static bool read_config(const nnclr_tensor_reader *reader, nnclr_config *config, nnclr_error *e) {
    nnclr_json *json = read_json(reader, "nnclr.config", e);
    bool ok = json && nnclr_config_from_json(json, config, e);
    nnclr_json_free(json);
    return ok;
}

static bool read_classes(const nnclr_tensor_reader *reader, nnclr_checkpoint_info *info,
                         nnclr_error *e) {
    nnclr_json *array = read_json(reader, "nnclr.classes", e);
    bool ok = false;
    if (!array)
        return false;
    if (!nnclr_json_is_array(array)) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "nnclr.classes of the checkpoint is not an array");
        goto exit;
    }
    size_t count = nnclr_json_count(array);
    info->classes = nnclr_alloc_zero(count, sizeof *info->classes, e);
    if (!info->classes)
        goto exit;
    for (; info->class_count < count; info->class_count++) {
        const char *name = nnclr_json_string(nnclr_json_at(array, info->class_count));
        if (!name) {
            nnclr_fail(e, NNCLR_ERROR_INPUT, "a class of the checkpoint has no name");
            goto exit;
        }
        if (!(info->classes[info->class_count] = nnclr_strdup(name, e)))
            goto exit;
    }
    ok = true;

exit:
    nnclr_json_free(array);
    return ok;
}

/* A support set of a size that nnclr.config does not say is refused before one is made. */
static bool check_queue_shape(const nnclr_tensor_reader *reader, const nnclr_config *config,
                              nnclr_error *e) {
    const nnclr_tensor_info *info = nnclr_tensor_reader_find(reader, "queue.embedding");
    const nnclr_layers *projector = &config->model.projector;
    if (nnclr_objective_recipe(config).queue == 0)
        return true;
    if (!info || info->rank != 2 || info->dims[0] != config->method.queue ||
        info->dims[1] != projector->width[projector->count - 1])
        return nnclr_fail(
            e, NNCLR_ERROR_INPUT,
            "there is no tensor queue.embedding of shape [%d,%d], which its nnclr.config asks for",
            config->method.queue, projector->width[projector->count - 1]);
    return true;
}

static bool read_metadata(const nnclr_tensor_reader *reader, nnclr_checkpoint_info *info,
                          nnclr_error *e) {
    if (!nnclr_tensor_reader_expect(reader, "checkpoint", e))
        return false;
    if (!read_number(reader, "nnclr.total_steps", NNCLR_MOST_STEPS, &info->total_steps, e) ||
        !read_number(reader, "nnclr.step", info->total_steps, &info->step, e) ||
        !read_name(reader, "nnclr.engine", info->engine, e) ||
        !read_name(reader, "nnclr.precision", info->precision, e) ||
        !read_config(reader, &info->config, e) || !check_queue_shape(reader, &info->config, e) ||
        !read_classes(reader, info, e) || !(info->identity = read_json(reader, "nnclr.data", e)))
        return nnclr_fail_at(e, "%s", nnclr_tensor_reader_path(reader));
    info->real = strcmp(info->precision, "f64") == 0 ? NNCLR_F64 : NNCLR_F32;
    return true;
}

bool nnclr_checkpoint_read_info(const nnclr_tensor_reader *reader, nnclr_checkpoint_info *info,
                                nnclr_error *e) {
    *info = (nnclr_checkpoint_info){0};
    if (read_metadata(reader, info, e))
        return true;
    nnclr_checkpoint_info_free(info);
    return false;
}

nnclr_tensor_reader *nnclr_checkpoint_open(const char *path, nnclr_checkpoint_info *info,
                                           nnclr_error *e) {
    nnclr_tensor_reader *reader = nnclr_tensor_reader_open(path, e);
    *info = (nnclr_checkpoint_info){0};
    if (!reader || nnclr_checkpoint_read_info(reader, info, e))
        return reader;
    nnclr_tensor_reader_close(reader);
    return NULL;
}

void nnclr_checkpoint_info_free(nnclr_checkpoint_info *info) {
    nnclr_json_free(info->identity);
    for (size_t i = 0; i < info->class_count; i++)
        nnclr_free(info->classes[i]);
    nnclr_free(info->classes);
    *info = (nnclr_checkpoint_info){0};
}

/* ---- loading ---- */

/* The tensor for that entry. Reals may have either width. */
static const nnclr_tensor_info *find_fitting(const nnclr_tensor_reader *reader,
                                             const nnclr_layout_entry *entry, nnclr_error *e) {
    const char *path = nnclr_tensor_reader_path(reader);
    const nnclr_tensor_info *info = nnclr_tensor_reader_find(reader, entry->name);
    if (!info) {
        nnclr_fail(e, NNCLR_ERROR_INPUT,
                   "%s: there is no tensor %s, which its nnclr.config asks for", path, entry->name);
        return NULL;
    }
    if (nnclr_layout_fits(entry, info))
        return info;
    bool integer = entry->dtype == NNCLR_I64;
    if (integer ? info->dtype != NNCLR_I64 : info->dtype != NNCLR_F32 && info->dtype != NNCLR_F64) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: tensor %s is %s, not %s", path, entry->name,
                   nnclr_dtype_name(info->dtype), integer ? "I64" : "F32 or F64");
        return NULL;
    }
    char is[160], should[160];
    nnclr_print_shape(info->rank, info->dims, is, sizeof is);
    nnclr_print_shape(entry->rank, entry->dims, should, sizeof should);
    nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: tensor %s has shape %s, but its nnclr.config asks for %s",
               path, entry->name, is, should);
    return NULL;
}

/* Refuses tensors that the network does not have although their first component is one of its own:
 * a deeper network than nnclr.config says. */
static bool refuse_foreign(const nnclr_tensor_reader *reader, const nnclr_layout *layout,
                           nnclr_error *e) {
    for (size_t i = 0; i < nnclr_tensor_reader_count(reader); i++) {
        const char *name = nnclr_tensor_reader_info(reader, i)->name, *dot = strchr(name, '.');
        size_t first = dot ? (size_t)(dot - name) + 1 : 0;
        bool ours = false, known = false;
        for (size_t j = 0; dot && j < layout->count && !known; j++) {
            ours = ours || strncmp(layout->entries[j].name, name, first) == 0;
            known = strcmp(layout->entries[j].name, name) == 0;
        }
        if (ours && !known)
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "%s: tensor %s has no place in the network of its nnclr.config",
                              nnclr_tensor_reader_path(reader), name);
    }
    return true;
}

static bool check_layout(const nnclr_tensor_reader *reader, const nnclr_layout *layout,
                         nnclr_error *e) {
    bool ok = refuse_foreign(reader, layout, e);
    for (size_t i = 0; ok && i < layout->count; i++)
        ok = find_fitting(reader, &layout->entries[i], e) != NULL;
    return ok;
}

static unsigned parts_of(const nnclr_parameters *p) {
    return (p->velocity ? NNCLR_WITH_MOMENTUM : 0u) | (p->target ? NNCLR_WITH_TARGET : 0u);
}

bool nnclr_checkpoint_check(const nnclr_tensor_reader *reader, const nnclr_network *net,
                            unsigned parts, nnclr_error *e) {
    nnclr_layout layout;
    if (!nnclr_layout_make(net, NNCLR_F32, parts, NULL, &layout, e))
        return false;
    bool ok = check_layout(reader, &layout, e);
    nnclr_layout_free(&layout);
    return ok;
}

bool nnclr_checkpoint_load_parameters(nnclr_tensor_reader *reader, nnclr_parameters *p,
                                      nnclr_error *e) {
    nnclr_layout layout;
    if (!nnclr_layout_make(p->net, p->engine->table->real, parts_of(p), NULL, &layout, e))
        return false;
    bool ok = check_layout(reader, &layout, e);
    for (size_t i = 0; ok && i < layout.count; i++) {
        const nnclr_tensor_info *info = nnclr_tensor_reader_find(reader, layout.entries[i].name);
        ok = nnclr_checkpoint_load_entry(reader, info, &layout.entries[i], p, e);
    }
    nnclr_layout_free(&layout);
    return ok;
}

bool nnclr_checkpoint_check_rows(const char *path, const nnclr_checkpoint_info *told, int64_t rows,
                                 const int64_t *record, const int64_t *label, const int64_t *step,
                                 nnclr_error *e) {
    /* Records of a file of views have the numbers of its source, and its classes may have no names.
     */
    const int64_t none = INT64_MAX;
    bool views = told && nnclr_identity_is_views(told->identity);
    int64_t records = told && !views ? nnclr_identity_records(told->identity) : none;
    int64_t classes = told && (!views || told->class_count > 0) ? (int64_t)told->class_count : none;
    const struct {
        const char *name;
        const int64_t *value;
        int64_t end;
        const char *why;
    } columns[] = {
        {"record", record, records, "pictures"},
        {"label", label, classes, "classes"},
        {"step", step, told ? told->step + 1 : none, "steps from 0 on"},
    };
    for (int64_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
            int64_t x = columns[i].value[row];
            if (x < -1 || x >= columns[i].end)
                return nnclr_fail(e, NNCLR_ERROR_INPUT,
                                  "%s: queue.%s of row %" PRId64 " is %" PRId64 ", of %" PRId64
                                  " %s",
                                  path, columns[i].name, row, x, columns[i].end, columns[i].why);
        }
        if ((record[row] < 0) != (step[row] < 0) || (label[row] >= 0 && record[row] < 0))
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "%s: row %" PRId64 " of the queue contradicts itself (record %" PRId64
                              ", label %" PRId64 ", step %" PRId64 ")",
                              path, row, record[row], label[row], step[row]);
    }
    return true;
}

static bool check_queue(const nnclr_tensor_reader *reader, const nnclr_support_set *s,
                        nnclr_dtype type, const void *embedding, int64_t cursor, nnclr_error *e) {
    const char *path = nnclr_tensor_reader_path(reader);
    if (cursor < 0 || cursor >= s->m)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: queue.cursor is %" PRId64 ", not a row of %d",
                          path, cursor, s->m);
    for (int row = 0; row < s->m; row++) {
        double squares = 0;
        for (int j = 0; j < s->d; j++) {
            size_t at = (size_t)row * (size_t)s->d + (size_t)j;
            double x = type == NNCLR_F64 ? ((const double *)embedding)[at]
                                         : (double)((const float *)embedding)[at];
            squares += x * x;
        }
        /* A projection of zeros, which blank pictures may have, has no direction and stays zero. */
        if (squares != 0 && !(fabs(squares - 1) < 1e-3))
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "%s: row %d of queue.embedding is not a unit vector", path, row);
    }
    return true;
}

bool nnclr_checkpoint_load_support_set(nnclr_tensor_reader *reader,
                                       const nnclr_checkpoint_info *told, nnclr_support_set *s,
                                       nnclr_error *e) {
    bool ok = false;
    const int64_t rows[2] = {s->m, s->d};
    int64_t *columns[3] = {NULL, NULL, NULL}, *cursor = NULL;
    static const char *const names[3] = {"queue.record", "queue.label", "queue.step"};
    nnclr_layout_entry entry = {.slot = NNCLR_SLOT_QUEUE_EMBEDDING,
                                .name = "queue.embedding",
                                .dtype = NNCLR_F32,
                                .rank = 2,
                                .dims = {s->m, s->d}};
    const nnclr_tensor_info *info = find_fitting(reader, &entry, e);
    void *embedding =
        info ? nnclr_tensor_reader_load(reader, entry.name, info->dtype, 2, rows, NULL, e) : NULL;
    if (!embedding)
        return false;
    for (int i = 0; i < 3; i++)
        if (!(columns[i] = nnclr_tensor_reader_load(reader, names[i], NNCLR_I64, 1, rows, NULL, e)))
            goto exit;
    cursor = nnclr_tensor_reader_load(reader, "queue.cursor", NNCLR_I64, 0, NULL, NULL, e);
    ok = cursor && check_queue(reader, s, info->dtype, embedding, *cursor, e) &&
         nnclr_checkpoint_check_rows(nnclr_tensor_reader_path(reader), told, s->m, columns[0],
                                     columns[1], columns[2], e) &&
         nnclr_support_set_restore(s, info->dtype, embedding, columns[0], columns[1], columns[2],
                                   (int)*cursor, e);

exit:
    nnclr_free(cursor);
    for (int i = 0; i < 3; i++)
        nnclr_free(columns[i]);
    nnclr_free(embedding);
    return ok;
}

/* ---- writing ---- */

/* No training that works comes near the first; far beyond it the squares of a layer's sums exceed
 * float's range, and the next step's loss would not be finite. Statistics hold such squares. */
static const double largest_weight = 1e9, largest_statistic = 1e18;

static bool are_sound(nnclr_dtype type, const void *reals, size_t count, double largest) {
    for (size_t i = 0; i < count; i++) {
        double x =
            type == NNCLR_F64 ? ((const double *)reals)[i] : (double)((const float *)reals)[i];
        if (!(fabs(x) <= largest)) /* NAN too */
            return false;
    }
    return true;
}

static bool write_reals(nnclr_tensor_writer *writer, const nnclr_layout_entry *entry,
                        nnclr_engine *engine, const void *place, size_t count, void *chunk,
                        nnclr_error *e) {
    nnclr_dtype real = engine->table->real;
    double largest = entry->slot == NNCLR_SLOT_STATISTIC ? largest_statistic : largest_weight;
    for (size_t done = 0; done < count;) {
        size_t part = nnclr_min(count - done, CHUNK);
        engine->table->get(engine, nnclr_real_at(engine, place, done), part, real, chunk);
        if (!are_sound(real, chunk, part, largest))
            return nnclr_fail(e, NNCLR_ERROR_NUMERIC,
                              "tensor %s holds a number that is not finite, or far too large",
                              entry->name);
        if (!nnclr_tensor_writer_put(writer, chunk, part * nnclr_real_bytes(engine), e))
            return false;
        done += part;
    }
    return true;
}

static bool write_entry(nnclr_tensor_writer *writer, const nnclr_layout_entry *entry,
                        const nnclr_parameters *p, const nnclr_support_set *s, void *chunk,
                        nnclr_error *e) {
    nnclr_tensor_info info = nnclr_layout_info(entry);
    size_t count = (size_t)nnclr_tensor_elements(&info);
    int64_t cursor;
    switch (entry->slot) {
    case NNCLR_SLOT_WEIGHT:
    case NNCLR_SLOT_STATISTIC:
    case NNCLR_SLOT_MOMENTUM:
    case NNCLR_SLOT_TARGET:
        return write_reals(writer, entry, p->engine, nnclr_layout_place(entry, p), count, chunk, e);
    case NNCLR_SLOT_BATCHES:
        return nnclr_tensor_writer_put(writer, &p->batches, sizeof p->batches, e);
    case NNCLR_SLOT_QUEUE_EMBEDDING:
        return write_reals(writer, entry, p->engine,
                           p->engine->table->search_rows(p->engine, s->search), count, chunk, e);
    case NNCLR_SLOT_QUEUE_RECORD:
        return nnclr_tensor_writer_put(writer, s->record, count * sizeof *s->record, e);
    case NNCLR_SLOT_QUEUE_LABEL:
        return nnclr_tensor_writer_put(writer, s->label, count * sizeof *s->label, e);
    case NNCLR_SLOT_QUEUE_STEP:
        return nnclr_tensor_writer_put(writer, s->step, count * sizeof *s->step, e);
    case NNCLR_SLOT_QUEUE_CURSOR:
        break;
    }
    cursor = s->cursor;
    return nnclr_tensor_writer_put(writer, &cursor, sizeof cursor, e);
}

static nnclr_tensor_writer *open_writer(const char *path, const char *program,
                                        const nnclr_checkpoint_info *info,
                                        const nnclr_layout *layout, nnclr_error *e) {
    nnclr_tensor_writer *writer = NULL;
    nnclr_tensor_info *infos = nnclr_alloc(layout->count, sizeof *infos, e);
    nnclr_json *metadata = infos ? make_metadata(info, e) : NULL;
    if (metadata) {
        for (size_t i = 0; i < layout->count; i++)
            infos[i] = nnclr_layout_info(&layout->entries[i]);
        writer = nnclr_tensor_writer_open(path, "checkpoint", program, metadata, infos,
                                          layout->count, e);
    }
    nnclr_json_free(metadata);
    nnclr_free(infos);
    return writer;
}

bool nnclr_checkpoint_write(const char *path, const char *program,
                            const nnclr_checkpoint_info *info, const nnclr_parameters *p,
                            const nnclr_support_set *s, nnclr_error *e) {
    nnclr_layout layout;
    if (!nnclr_layout_make(p->net, p->engine->table->real, parts_of(p), s, &layout, e))
        return false;
    bool ok = false;
    void *chunk = nnclr_alloc(CHUNK, sizeof(double), e);
    nnclr_tensor_writer *writer = chunk ? open_writer(path, program, info, &layout, e) : NULL;
    if (!writer)
        goto exit;
    ok = true;
    for (size_t i = 0; ok && i < layout.count; i++)
        ok = write_entry(writer, &layout.entries[i], p, s, chunk, e);
    ok = ok && p->engine->table->sync(p->engine, e);
    if (ok)
        ok = nnclr_tensor_writer_commit(writer, e);
    else
        nnclr_tensor_writer_abandon(writer);

exit:
    nnclr_free(chunk);
    nnclr_layout_free(&layout);
    return ok;
}
