/* Sorted arrays of whole numbers. */
#ifndef NNCLR_BASE_SORTED_H
#define NNCLR_BASE_SORTED_H

#include <stddef.h>
#include <stdint.h>

void nnclr_sort(int64_t *numbers, size_t count); /* ascending */

/* Sorts the numbers, and says how many different ones there are. */
size_t nnclr_count_different(int64_t *numbers, size_t count);

/* Index of the first of the ascending numbers that is not below `value`; `count`: all are. */
size_t nnclr_lower_bound(const int64_t *sorted, size_t count, int64_t value);

#endif
