#include "net/memory_plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { ALIGNMENT = 64 };

static int by_size_then_index(const void *a, const void *b) {
    const nnclr_interval *p = *(nnclr_interval *const *)a, *q = *(nnclr_interval *const *)b;
    if (p->bytes != q->bytes)
        return p->bytes < q->bytes ? 1 : -1;
    return (p > q) - (p < q);
}

static bool meet(const nnclr_interval *a, const nnclr_interval *b) {
    return a->first <= b->last && b->first <= a->last;
}

static size_t aligned(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The lowest offset where `block` overlaps none of the placed blocks that live when it does;
 * `placed` is sorted by offset. */
static size_t lowest_offset(nnclr_interval *const *placed, size_t count,
                            const nnclr_interval *block) {
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        if (!meet(placed[i], block))
            continue;
        if (placed[i]->offset >= offset + aligned(block->bytes))
            break;
        size_t end = placed[i]->offset + aligned(placed[i]->bytes);
        offset = end > offset ? end : offset;
    }
    return offset;
}

static void insert_by_offset(nnclr_interval **placed, size_t count, nnclr_interval *block) {
    size_t at = count;
    while (at > 0 && placed[at - 1]->offset > block->offset)
        at--;
    memmove(&placed[at + 1], &placed[at], (count - at) * sizeof *placed);
    placed[at] = block;
}

bool nnclr_memory_plan(nnclr_interval *intervals, size_t count, size_t *total, nnclr_error *e) {
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        assert(intervals[i].first <= intervals[i].last);
        if (!nnclr_size_add(sum, intervals[i].bytes, &sum) || !nnclr_size_add(sum, ALIGNMENT, &sum))
            return nnclr_fail(e, NNCLR_ERROR_LIMIT,
                              "the network needs more memory than there can be");
    }
    nnclr_interval **order = nnclr_alloc(count, 2 * sizeof *order, e);
    if (!order)
        return false;
    nnclr_interval **placed = order + count;
    for (size_t i = 0; i < count; i++)
        order[i] = &intervals[i];
    qsort(order, count, sizeof *order, by_size_then_index);

    *total = 0;
    for (size_t i = 0; i < count; i++) {
        nnclr_interval *block = order[i];
        block->offset = block->bytes > 0 ? lowest_offset(placed, i, block) : 0;
        insert_by_offset(placed, i, block);
        size_t end = block->offset + aligned(block->bytes);
        *total = end > *total ? end : *total;
    }
    nnclr_free(order);
    return true;
}
