/* Queries and their neighbours: a sample of rows, and for each the nearest rows of a bank. */
#ifndef NNCLR_EVAL_INSPECTION_H
#define NNCLR_EVAL_INSPECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/row_set.h"

/* The sets stay the caller's. */
typedef struct nnclr_inspection {
    const nnclr_row_set *bank, *queries; /* equal: the bank was asked about itself */
    int64_t count;
    int64_t *query; /* [count]: rows of `queries` */
    int k;
    nnclr_neighbour *neighbours; /* [count][k] */
} nnclr_inspection;

/* Finds the k nearest bank rows of min(count, all) rows of `queries` that are not initial and,
 * unless `chosen` [queries rows] is NULL, chosen: all in the order of their rows, or as many drawn
 * from (seed, NNCLR_DRAW_SAMPLE). If `queries` is `bank`, rows of the query's own record are not
 * its neighbours. Called from the thread that drives `engine`. */
bool nnclr_inspect(nnclr_engine *engine, const nnclr_row_set *bank, const nnclr_row_set *queries,
                   const bool *chosen, int64_t count, int k, uint64_t seed,
                   const nnclr_progress *progress, nnclr_inspection *out, nnclr_error *e);
void nnclr_inspection_free(nnclr_inspection *inspection); /* a zeroed one is fine */

#endif
