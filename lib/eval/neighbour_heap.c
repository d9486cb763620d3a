#include "eval/neighbour_heap.h"

#include "base/wide.h"

enum { LANES = 16 };

static NNCLR_WIDE double dot(const float *a, const float *b, int d) {
    double lane[LANES] = {0}, sum = 0;
    int i = 0;
    for (; i + LANES <= d; i += LANES)
        for (int j = 0; j < LANES; j++)
            lane[j] += (double)a[i + j] * (double)b[i + j];
    for (; i < d; i++)
        sum += (double)a[i] * (double)b[i];
    for (int j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

double nnclr_row_dot(const float *a, const float *b, int d) {
    return dot(a, b, d);
}
