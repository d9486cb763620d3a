/* What exact searches share: the order of neighbours, the heap of the best, and the cosine in
 * double that decides. */
#ifndef NNCLR_EVAL_NEIGHBOUR_HEAP_H
#define NNCLR_EVAL_NEIGHBOUR_HEAP_H

#include <math.h>

#include "eval/neighbours.h"

/* a . b in double, its partial sums in an order that depends on d alone. */
double nnclr_row_dot(const float *a, const float *b, int d);

/* Norms of `count` rows, and the rows scaled to unit length; a row of zeros stays one. Returns the
 * first row that is not finite, or -1. */
static inline int nnclr_unit_rows(const float *rows, int count, int d, double *norm, float *unit) {
    for (int i = 0; i < count; i++) {
        const float *from = rows + (size_t)i * (size_t)d;
        float *to = unit + (size_t)i * (size_t)d;
        norm[i] = sqrt(nnclr_row_dot(from, from, d));
        if (!isfinite(norm[i]))
            return i;
        double scale = norm[i] > 0 ? 1 / norm[i] : 0;
        for (int j = 0; j < d; j++)
            to[j] = (float)(from[j] * scale);
    }
    return -1;
}

/* The cosine of two rows, from their product and norms. A row of zeros has no direction: it is like
 * other rows of zeros, and like nothing else. */
static inline double nnclr_cosine(double product, double a_norm, double b_norm) {
    if (a_norm > 0 && b_norm > 0)
        return product / (a_norm * b_norm);
    return a_norm == b_norm ? 1 : 0;
}

/* How far a product of unit rows in f32 can be from the true cosine: a dot product of d products
 * rounds at most d times, by 2^-24 of at most |a||b| = 1 each, and each unit number twice. */
static inline double nnclr_proposal_slack(int d) {
    return ldexp(1.01 * (d + 8), -24);
}

static inline bool nnclr_is_worse(nnclr_neighbour a, nnclr_neighbour b) {
    return a.cosine < b.cosine || (a.cosine == b.cosine && a.row > b.row);
}

/* Sinks heap[at] below its children until none of them is worse. */
static inline void nnclr_heap_sink(nnclr_neighbour *heap, int size, int at) {
    for (;;) {
        int child = 2 * at + 1;
        if (child >= size)
            return;
        if (child + 1 < size && nnclr_is_worse(heap[child + 1], heap[child]))
            child++;
        if (!nnclr_is_worse(heap[child], heap[at]))
            return;
        nnclr_neighbour swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
        at = child;
    }
}

/* Keeps the k best, the worst of them on top. */
static inline void nnclr_heap_push(nnclr_neighbour *heap, int *size, int k, nnclr_neighbour one) {
    if (*size == k) {
        if (nnclr_is_worse(heap[0], one)) {
            heap[0] = one;
            nnclr_heap_sink(heap, k, 0);
        }
        return;
    }
    int at = (*size)++;
    for (; at > 0 && nnclr_is_worse(one, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = one;
}

/* Heap -> best first; unfilled places are marked. */
static inline void nnclr_heap_sort(nnclr_neighbour *heap, int size, int k) {
    for (int left = size - 1; left > 0; left--) {
        nnclr_neighbour worst = heap[0];
        heap[0] = heap[left];
        heap[left] = worst;
        nnclr_heap_sink(heap, left, 0);
    }
    for (int i = size; i < k; i++)
        heap[i] = (nnclr_neighbour){.cosine = 0, .row = -1};
}

static inline bool nnclr_is_candidate(const nnclr_nearest_options *o, int64_t query, int64_t row) {
    if (o->candidate && !o->candidate[row])
        return false;
    return !o->exclude || o->exclude[query] < 0 || o->bank_record[row] != o->exclude[query];
}

#endif
