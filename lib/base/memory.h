/* Checked allocation and size arithmetic. Everything from here is freed with nnclr_free. */
#ifndef NNCLR_BASE_MEMORY_H
#define NNCLR_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* *out = a*b or a+b; false (and *out untouched) on overflow. */
bool nnclr_size_mul(size_t a, size_t b, size_t *out);
bool nnclr_size_add(size_t a, size_t b, size_t *out);

/* `count` elements of `size` bytes. A request of 0 bytes yields a pointer that can be freed.
 * NULL with *e set when memory is short or the product overflows. */
void *nnclr_alloc(size_t count, size_t size, nnclr_error *e);
void *nnclr_alloc_zero(size_t count, size_t size, nnclr_error *e);

/* Grows the array *array (NULL at first) of elements of `size` bytes to hold at least `need`
 * elements, geometrically; *capacity is updated. On failure both are as they were. `array` is the
 * address of the caller's pointer. */
bool nnclr_reserve(void *array, size_t *capacity, size_t need, size_t size, nnclr_error *e);

void nnclr_free(void *memory);

/* Large blocks, zeroed, aligned to 2 MiB if they are that large and to 64 bytes otherwise, advised
 * to use huge pages: clearing small pages is expensive on virtual machines. Freed with
 * nnclr_block_free and the same size. */
void *nnclr_block_alloc(size_t bytes, nnclr_error *e);
void nnclr_block_free(void *block, size_t bytes);

/* A NUL-terminated copy. */
char *nnclr_strdup(const char *text, nnclr_error *e);

#endif
