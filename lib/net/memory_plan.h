/* Places blocks with known lifetimes in one arena. */
#ifndef NNCLR_NET_MEMORY_PLAN_H
#define NNCLR_NET_MEMORY_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

typedef struct nnclr_interval {
    size_t bytes;    /* 0 is allowed */
    int first, last; /* moments in which the block is live, inclusive */
    size_t offset;   /* result, a multiple of 64 */
} nnclr_interval;

/* Largest first, each at the lowest offset where it overlaps no live block. *total is the arena's
 * size. Deterministic: ties by index. */
bool nnclr_memory_plan(nnclr_interval *intervals, size_t count, size_t *total, nnclr_error *e);

#endif
