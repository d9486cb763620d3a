#include "train/checkpoint_layout.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

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

/* torch's num_batches_tracked, one beside each running mean. */
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

bool nnclr_layout_make(const nnclr_network *net, nnclr_dtype real, bool momentum,
                       const nnclr_support_set *s, nnclr_layout *layout, nnclr_error *e) {
    enum { QUEUE_TENSORS = 5 };
    const nnclr_segment *weights = nnclr_network_segments(net);
    const nnclr_segment *statistics = nnclr_network_statistic_segments(net);
    size_t weight_count = nnclr_network_segment_count(net);
    size_t statistic_count = nnclr_network_statistic_segment_count(net);
    *layout = (nnclr_layout){0};
    layout->entries = nnclr_alloc(2 * weight_count + 2 * statistic_count + QUEUE_TENSORS,
                                  sizeof *layout->entries, e);
    if (!layout->entries)
        return false;
    append_segments(layout, NNCLR_SLOT_WEIGHT, real, "", weights, weight_count);
    append_segments(layout, NNCLR_SLOT_STATISTIC, real, "", statistics, statistic_count);
    append_batches(layout, statistics, statistic_count);
    if (momentum)
        append_segments(layout, NNCLR_SLOT_MOMENTUM, real, "optim.momentum.", weights,
                        weight_count);
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
