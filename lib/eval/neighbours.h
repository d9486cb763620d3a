/* The nearest rows of a bank by cosine, exactly, for banks that need not fit into memory.
 *
 * The engine's sieve on unit rows only proposes: every row that its rounding could still lift into
 * the k best is computed again in double, and only those cosines are compared. So the result is
 * that of a plain double computation over all rows, whatever the block sizes, the engine's
 * precision (f32 or better) or the number of threads. A row of zeros, as --pixels makes from a flat
 * picture, has cosine 1 with other rows of zeros and 0 with all others. */
#ifndef NNCLR_EVAL_NEIGHBOURS_H
#define NNCLR_EVAL_NEIGHBOURS_H

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

#endif
