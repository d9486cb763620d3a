#include "train/checkpoint_layout.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "train/checkpoint.h"

enum { CHUNK = 1 << 18 }; /* reals that pass through host memory at a time */

static const int64_t most_batches = (int64_t)1 << 60; /* so that counting further cannot overflow */

static nnclr_layout_entry *append(nnclr_layout *layout, nnclr_slot slot, nnclr_dtype dtype) {
    nnclr_layout_entry *entry = &layout->entries[layout->count++];
    *entry = (nnclr_layout_entry){.slot = slot, .dtype = dtype};
    return entry;
}

static void append_segments(nnclr_layout *layout, nnclr_slot slot, nnclr_dtype real,
                            const char *prefix, const nnclr_segment *segments, size_t count) {
    for (size_t i = 0; i < count; i++) {
        nnclr_layout_entry *entry = append(layout, slot, real);
        snprintf(entry->name, sizeof entry->name, "%s%s", prefix, segments[i].name);
        entry->offset = segments[i].offset;
        entry->rank = segments[i].rank;
        memcpy(entry->dims, segments[i].dims, sizeof entry->dims);
    }
}

/* torch's num_batches_tracked, one for each running mean. */
static void append_batches(nnclr_layout *layout, const nnclr_segment *segments, size_t count) {
    static const char suffix[] = ".running_mean";
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(segments[i].name), tail = sizeof suffix - 1;
        if (length < tail || strcmp(segments[i].name + length - tail, suffix) != 0)
            continue;
        nnclr_layout_entry *entry = append(layout, NNCLR_SLOT_BATCHES, NNCLR_I64);
        snprintf(entry->name, sizeof entry->name, "%.*s.num_batches_tracked", (int)(length - tail),
                 segments[i].name);
    }
}

static void append_queue(nnclr_layout *layout, nnclr_dtype real, const nnclr_support_set *s) {
    static const struct {
        nnclr_slot slot;
        const char *name;
        int rank;
    } tensors[] = {
        {NNCLR_SLOT_QUEUE_EMBEDDING, "queue.embedding", 2},
        {NNCLR_SLOT_QUEUE_RECORD, "queue.record", 1},
        {NNCLR_SLOT_QUEUE_LABEL, "queue.label", 1},
        {NNCLR_SLOT_QUEUE_STEP, "queue.step", 1},
        {NNCLR_SLOT_QUEUE_CURSOR, "queue.cursor", 0},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        bool embedding = tensors[i].slot == NNCLR_SLOT_QUEUE_EMBEDDING;
        nnclr_layout_entry *entry = append(layout, tensors[i].slot, embedding ? real : NNCLR_I64);
        snprintf(entry->name, sizeof entry->name, "%s", tensors[i].name);
        entry->rank = tensors[i].rank;
        entry->dims[0] = s->m;
        entry->dims[1] = s->d;
    }
}

bool nnclr_layout_make(const nnclr_network *net, nnclr_dtype real, unsigned parts,
                       const nnclr_support_set *s, nnclr_layout *layout, nnclr_error *e) {
    enum { QUEUE_TENSORS = 5 };
    const nnclr_segment *weights = nnclr_network_segments(net);
    const nnclr_segment *statistics = nnclr_network_statistic_segments(net);
    size_t weight_count = nnclr_network_segment_count(net);
    size_t statistic_count = nnclr_network_statistic_segment_count(net);
    *layout = (nnclr_layout){0};
    layout->entries = nnclr_alloc(3 * weight_count + 2 * statistic_count + QUEUE_TENSORS,
                                  sizeof *layout->entries, e);
    if (!layout->entries)
        return false;
    append_segments(layout, NNCLR_SLOT_WEIGHT, real, "", weights, weight_count);
    append_segments(layout, NNCLR_SLOT_STATISTIC, real, "", statistics, statistic_count);
    append_batches(layout, statistics, statistic_count);
    if (parts & NNCLR_WITH_MOMENTUM)
        append_segments(layout, NNCLR_SLOT_MOMENTUM, real, "optim.momentum.", weights,
                        weight_count);
    if (parts & NNCLR_WITH_TARGET)
        append_segments(layout, NNCLR_SLOT_TARGET, real, "optim.target.", weights, weight_count);
    if (s)
        append_queue(layout, real, s);
    return true;
}

void nnclr_layout_free(nnclr_layout *layout) {
    nnclr_free(layout->entries);
    *layout = (nnclr_layout){0};
}

nnclr_tensor_info nnclr_layout_info(const nnclr_layout_entry *entry) {
    nnclr_tensor_info info = {.name = entry->name, .dtype = entry->dtype, .rank = entry->rank};
    memcpy(info.dims, entry->dims, sizeof entry->dims);
    return info;
}

static bool type_fits(const nnclr_layout_entry *entry, nnclr_dtype type) {
    return entry->dtype == NNCLR_I64 ? type == NNCLR_I64 : type == NNCLR_F32 || type == NNCLR_F64;
}

bool nnclr_layout_fits(const nnclr_layout_entry *entry, const nnclr_tensor_info *info) {
    return type_fits(entry, info->dtype) && info->rank == entry->rank &&
           memcmp(info->dims, entry->dims, (size_t)entry->rank * sizeof *info->dims) == 0;
}

void nnclr_print_shape(int rank, const int64_t *dims, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? "," : "", dims[i]);
    if (used < size)
        snprintf(text + used, size - used, "]");
}

/* ---- loading ---- */

bool nnclr_check_reals(const nnclr_tensor_reader *reader, const nnclr_tensor_info *info,
                       nnclr_dtype real, const void *values, size_t count, nnclr_error *e) {
    static const char suffix[] = ".running_var";
    size_t size = strlen(info->name), tail = sizeof suffix - 1;
    bool variance = size > tail && strcmp(info->name + size - tail, suffix) == 0;
    for (size_t i = 0; i < count; i++) {
        double x =
            real == NNCLR_F64 ? ((const double *)values)[i] : (double)((const float *)values)[i];
        if (!isfinite(x) || (variance && x < 0))
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: tensor %s holds %g, %s",
                              nnclr_tensor_reader_path(reader), info->name, x,
                              isfinite(x) ? "which is not a variance"
                                          : "which is not a finite number");
    }
    return true;
}

/* Reals [count] from the file to an engine's place. */
static bool load_reals(nnclr_tensor_reader *reader, const nnclr_tensor_info *info,
                       nnclr_engine *engine, void *place, nnclr_error *e) {
    size_t count = (size_t)nnclr_tensor_elements(info), width = nnclr_dtype_bytes(info->dtype);
    nnclr_dtype real = info->dtype == NNCLR_F64 ? NNCLR_F64 : NNCLR_F32;
    size_t most = nnclr_min(count, CHUNK);
    void *chunk = nnclr_alloc(most, nnclr_dtype_bytes(real), e);
    bool ok = chunk != NULL;
    for (size_t done = 0; ok && done < count;) {
        size_t part = nnclr_min(count - done, most);
        ok = nnclr_tensor_reader_read(reader, info, done * width, chunk, part * width, e);
        if (ok && width == sizeof(uint16_t))
            nnclr_dtype_widen(info->dtype, chunk, part);
        ok = ok && nnclr_check_reals(reader, info, real, chunk, part, e);
        if (ok)
            engine->table->put(engine, nnclr_real_at(engine, place, done), part, real, chunk);
        done += part;
    }
    ok = ok && engine->table->sync(engine, e);
    nnclr_free(chunk);
    return ok;
}

void *nnclr_layout_place(const nnclr_layout_entry *entry, const nnclr_parameters *p) {
    void *flat = entry->slot == NNCLR_SLOT_WEIGHT      ? p->weights
                 : entry->slot == NNCLR_SLOT_STATISTIC ? p->statistics
                 : entry->slot == NNCLR_SLOT_TARGET    ? p->target
                                                       : p->velocity;
    return nnclr_real_at(p->engine, flat, entry->offset);
}

bool nnclr_checkpoint_load_entry(nnclr_tensor_reader *reader, const nnclr_tensor_info *info,
                                 const nnclr_layout_entry *entry, nnclr_parameters *p,
                                 nnclr_error *e) {
    if (entry->slot != NNCLR_SLOT_BATCHES)
        return load_reals(reader, info, p->engine, nnclr_layout_place(entry, p), e);
    if (!nnclr_tensor_reader_read(reader, info, 0, &p->batches, sizeof p->batches, e))
        return false;
    return (p->batches >= 0 && p->batches <= most_batches) ||
           nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: tensor %s is %" PRId64 ", not a count of batches",
                      nnclr_tensor_reader_path(reader), info->name, p->batches);
}
