#include "base/sorted.h"

#include <stdlib.h>

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void nnclr_sort(int64_t *numbers, size_t count) {
    if (count > 1)
        qsort(numbers, count, sizeof *numbers, ascending);
}

size_t nnclr_lower_bound(const int64_t *sorted, size_t count, int64_t value) {
    size_t low = 0;
    while (count > 0) {
        size_t half = count / 2;
        if (sorted[low + half] < value) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low;
}
