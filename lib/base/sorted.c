#include "base/sorted.h"

/* Lets numbers[i] sink in the heap of `count`, whose other branches are in order. */
static void sink(int64_t *numbers, size_t i, size_t count) {
    int64_t number = numbers[i];
    for (size_t child; (child = 2 * i + 1) < count; i = child) {
        child += child + 1 < count && numbers[child + 1] > numbers[child];
        if (numbers[child] <= number)
            break;
        numbers[i] = numbers[child];
    }
    numbers[i] = number;
}

/* By a heap, in place: qsort takes memory each time, and this is called in training steps. */
void nnclr_sort(int64_t *numbers, size_t count) {
    for (size_t i = count / 2; i-- > 0;)
        sink(numbers, i, count);
    for (size_t end = count; end-- > 1;) {
        int64_t most = numbers[0];
        numbers[0] = numbers[end];
        numbers[end] = most;
        sink(numbers, 0, end);
    }
}

size_t nnclr_count_different(int64_t *numbers, size_t count) {
    size_t different = 0;
    nnclr_sort(numbers, count);
    for (size_t i = 0; i < count; i++)
        different += i == 0 || numbers[i] != numbers[i - 1];
    return different;
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
