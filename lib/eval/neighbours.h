/* The nearest rows of a bank by cosine, exactly, for banks that need not fit into memory.
 *
 * The engine's sieve on unit rows only proposes: every row that its rounding could still lift into
 * the k best is computed again in double, and only those cosines are compared. So the result is
 * that of a plain double computation over all rows, whatever the block sizes, the engine's
 * precision (f32 or better) or the number of threads. A row of zeros, as --pixels makes from a flat
 * picture, has cosine 1 with other rows of zeros and 0 with all others. */
#ifndef NNCLR_EVAL_NEIGHBOURS_H
#define NNCLR_EVAL_NEIGHBOURS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"
#include "engine/engine.h"

/* Rows of d f32 that are read in pieces; need not be unit vectors. */
typedef struct nnclr_row_source nnclr_row_source;
struct nnclr_row_source {
    int64_t n;
    int d;
    /* Puts rows [first, first + count) into `rows` [count][d]. */
    bool (*read)(const nnclr_row_source *source, int64_t first, int64_t count, float *rows,
                 nnclr_error *e);
    void *context; /* read's own */
};

/* Rows in memory [n][d]; they stay the caller's. */
nnclr_row_source nnclr_rows_in_memory(const float *rows, int64_t n, int d);

typedef struct nnclr_neighbour {
    double cosine;
    int64_t row; /* of the bank; -1: there are fewer than k candidates */
} nnclr_neighbour;

typedef struct nnclr_nearest_options {
    int k;                      /* >= 1, may exceed the bank */
    const bool *candidate;      /* [bank rows]; NULL: all are candidates */
    const int64_t *bank_record; /* [bank rows], with `exclude` */
    const int64_t *exclude;     /* [queries]: bank rows of this record (>= 0) are not candidates;
                                   NULL: none */
    int bank_block;             /* bank rows in memory at once; 0: about 64 MiB of them */
    int query_block;            /* queries that go through the sieve together; 0: very many */
    const nnclr_progress *progress; /* counts queries, in proportion to the pairs of query and bank
                                       row that were compared; may be NULL */
} nnclr_nearest_options;

/* out [n][k], for each of `n` queries [n][d] the candidates with the largest cosine, best first,
 * equal ones by the lower row; after the last candidate {0, -1}. The bank is read once, front to
 * back. Memory: a copy of the queries, 16 k + 600 bytes for each, two bank blocks, 8 MiB, and for
 * each thread the engine's workspace, about 5 MiB. A row that is not finite is refused. Called from
 * the thread that drives `engine`, whose pool it uses. */
bool nnclr_nearest(nnclr_engine *engine, const nnclr_row_source *bank, const float *queries,
                   int64_t n, const nnclr_nearest_options *options, nnclr_neighbour *out,
                   nnclr_error *e);

/* ---- what exact searches share: the order of neighbours, the heap of the best, and the cosine in
 * double that decides ---- */

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

#endif
