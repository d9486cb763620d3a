#include "base/memory.h"
#include "base/numbers.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/available_memory.h"

bool nnclr_size_mul(size_t a, size_t b, size_t *out) {
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

bool nnclr_size_add(size_t a, size_t b, size_t *out) {
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

static void *out_of_memory(size_t count, size_t size, nnclr_error *e) {
    nnclr_fail(e, NNCLR_ERROR_MEMORY, "out of memory: %zu x %zu bytes asked for", count, size);
    return NULL;
}

void *nnclr_alloc(size_t count, size_t size, nnclr_error *e) {
    size_t bytes;
    if (!nnclr_size_mul(count, size, &bytes) || bytes > PTRDIFF_MAX)
        return out_of_memory(count, size, e);
    void *memory = malloc(bytes ? bytes : 1);
    return memory ? memory : out_of_memory(count, size, e);
}

void *nnclr_alloc_zero(size_t count, size_t size, nnclr_error *e) {
    size_t bytes;
    if (!nnclr_size_mul(count, size, &bytes) || bytes > PTRDIFF_MAX)
        return out_of_memory(count, size, e);
    void *memory = calloc(bytes ? bytes : 1, 1);
    return memory ? memory : out_of_memory(count, size, e);
}

bool nnclr_reserve(void *array, size_t *capacity, size_t need, size_t size, nnclr_error *e) {
    if (need <= *capacity)
        return true;
    size_t wanted = *capacity + *capacity / 2;
    wanted = nnclr_max(wanted, need);
    wanted = nnclr_max(wanted, 16);
    size_t bytes;
    if (!nnclr_size_mul(wanted, size, &bytes) || bytes > PTRDIFF_MAX)
        return out_of_memory(wanted, size, e) != NULL;

    void *old;
    memcpy(&old, array, sizeof old); /* the caller's pointer may have any object type */
    void *grown = realloc(old, bytes);
    if (!grown)
        return out_of_memory(wanted, size, e) != NULL;
    memcpy(array, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}

void nnclr_free(void *memory) {
    free(memory);
}

enum { HUGE_PAGE = 2 << 20, CACHE_LINE = 64, LARGE_BLOCK = 16 << 20 };

/* Bytes that are really asked for: aligned_alloc wants a multiple of the alignment. */
static bool block_size(size_t bytes, size_t *alignment, size_t *rounded) {
    *alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : CACHE_LINE;
    if (!nnclr_size_add(bytes ? bytes : 1, *alignment - 1, rounded))
        return false;
    *rounded -= *rounded % *alignment;
    return *rounded <= PTRDIFF_MAX;
}

void *nnclr_block_alloc(size_t bytes, nnclr_error *e) {
    size_t alignment, rounded;
    if (!block_size(bytes, &alignment, &rounded))
        return out_of_memory(1, bytes, e);
    /* Linux promises more than it has and kills whoever uses it; a block is used whole, and so are
     * those that were made before, so this is the sum of all. */
    size_t available = rounded >= LARGE_BLOCK ? nnclr_memory_available() : SIZE_MAX;
    if (rounded > available) {
        nnclr_fail(e, NNCLR_ERROR_MEMORY,
                   "out of memory: a block of %zu MiB is needed on top of %zu MiB in use already, "
                   "and %zu MiB are available",
                   rounded >> 20, nnclr_memory_held() >> 20, available >> 20);
        return NULL;
    }
    void *block = aligned_alloc(alignment, rounded);
    if (!block)
        return out_of_memory(1, bytes, e);
    if (alignment == HUGE_PAGE)
        (void)madvise(block, rounded, MADV_HUGEPAGE); /* advice: a kernel without it is fine */
    memset(block, 0, rounded);
    return block;
}

void nnclr_block_free(void *block, size_t bytes) {
    (void)bytes;
    free(block);
}

char *nnclr_strdup(const char *text, nnclr_error *e) {
    size_t size = strlen(text) + 1;
    char *copy = nnclr_alloc(size, 1, e);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}
