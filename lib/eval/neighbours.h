/* The nearest rows of a bank by cosine, exactly, for banks that need not fit into memory.
 *
 * The sieve (engine/sift.h) on unit rows only proposes: every row that its rounding could still
 * lift into the k best is computed again in double, and only those cosines are compared. So the
 * result is that of a plain double computation over all rows, whatever the block sizes or the
 * number of threads. A row of zeros, as --pixels makes from a flat picture, has cosine 1 with other
 * rows of zeros and 0 with all others. */
#ifndef NNCLR_EVAL_NEIGHBOURS_H
#define NNCLR_EVAL_NEIGHBOURS_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"
#include "base/threads.h"
#include "engine/communicator.h"

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
    nnclr_communicator *ranks;      /* that share the queries out; NULL: it is alone */
} nnclr_nearest_options;

/* out [n][k], for each of `n` queries [n][d] the candidates with the largest cosine, best first,
 * equal ones by the lower row; after the last candidate {0, -1}. The bank is read once, front to
 * back. Memory: a copy of the queries, 16 k + 600 bytes for each, two bank blocks, 8 MiB, and for
 * each thread the sieve's workspace, about 5 MiB. A row that is not finite is refused. Called from
 * the thread that drives the pool's work, by each rank for itself. */
bool nnclr_nearest(nnclr_pool *pool, const nnclr_row_source *bank, const float *queries, int64_t n,
                   const nnclr_nearest_options *options, nnclr_neighbour *out, nnclr_error *e);

/* The same for queries that need not fit into memory: they are read in chunks of `chunk` rows at
 * most (0: about 128 MiB with what a search needs), and for each the bank is read once. `take` is
 * handed the neighbours [count][k] of the queries [first, first + count).
 *
 * Of several ranks, who must have the same rows and options, each searches for one chunk of a round
 * and hands all of the round to `take`; what fails on one fails on all after that round. */
typedef void (*nnclr_neighbours_take)(void *context, int64_t first, int64_t count,
                                      const nnclr_neighbour *neighbours);
bool nnclr_nearest_each(nnclr_pool *pool, const nnclr_row_source *bank,
                        const nnclr_row_source *queries, const nnclr_nearest_options *options,
                        int64_t chunk, nnclr_neighbours_take take, void *context, nnclr_error *e);

/* ---- rows in double ---- */

/* a . b in double, its partial sums in an order that depends on d alone. */
double nnclr_row_dot(const float *a, const float *b, int d);

/* Refuses row `row` of `what`, "TRAIN " (or "": nothing more is said), as not finite. */
static inline bool nnclr_refuse_row(const char *what, int64_t row, nnclr_error *e) {
    return nnclr_fail(e, NNCLR_ERROR_INPUT, "%srow %lld holds a number that is not finite", what,
                      (long long)row);
}

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

#endif
