/* Which rows are near copies of others: pairs of a large cosine, without looking at all pairs in
 * full. Sketches (row_space.h) tell which pairs may be near; those alone are measured, in double.
 * So the result does not depend on blocks or on the number of threads.
 *
 * Rows of pixels are also compared with mirrored ones. Rows of zeros are near nothing, and rows of
 * one record are not near copies of each other. */
#ifndef NNCLR_EVAL_NEAR_ROWS_H
#define NNCLR_EVAL_NEAR_ROWS_H

#include "base/progress.h"
#include "eval/row_set.h"

typedef struct nnclr_near {
    int64_t row; /* -1: none */
    double cosine;
    bool mirrored; /* the mirrored row is the one that is near */
} nnclr_near;

typedef struct nnclr_near_options {
    double threshold;               /* the least cosine */
    const nnclr_progress *progress; /* NULL: nobody watches */
    int block;                      /* rows of one block; 0: a suitable number */
} nnclr_near_options;

/* out [set->rows.n], groups of the rows with `candidate` [set->rows.n]: the rows in their order,
 * each becomes a member of the first leader that it is near (out[row].row is that leader's row), or
 * a leader itself (-1). So no two leaders are near, and each member is near its leader.
 * Memory: sketches of all candidates, about 400 bytes each, and three blocks of about 32 MiB.
 * Called from the thread that drives the pool's work. */
bool nnclr_near_groups(nnclr_pool *pool, const nnclr_row_set *set, const bool *candidate,
                       const nnclr_near_options *options, nnclr_near *out, nnclr_error *e);

/* out [queries->rows.n]: for each row with `candidate` [queries->rows.n], the nearest row of the
 * bank that shows a picture, if it is near; among equal ones, the lower row. The space is the
 * bank's. */
bool nnclr_near_leaks(nnclr_pool *pool, const nnclr_row_set *bank, const nnclr_row_set *queries,
                      const bool *candidate, const nnclr_near_options *options, nnclr_near *out,
                      nnclr_error *e);

#endif
