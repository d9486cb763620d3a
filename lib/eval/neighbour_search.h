/* One search in memory, which neighbours.c makes and neighbour_rounds.c repeats. */
#ifndef NNCLR_EVAL_NEIGHBOUR_SEARCH_H
#define NNCLR_EVAL_NEIGHBOUR_SEARCH_H

#include "eval/neighbours.h"

/* Which of all queries these are; progress is told for `ranks` ranks that are equally far. */
typedef struct nnclr_query_range {
    int64_t first, count, all;
    int ranks;
} nnclr_query_range;

/* nnclr_nearest for the queries of a range, which are at `queries`. */
bool nnclr_nearest_of(nnclr_pool *pool, const nnclr_row_source *bank, const float *queries,
                      const nnclr_query_range *range, const nnclr_nearest_options *options,
                      nnclr_neighbour *out, nnclr_error *e);

#endif
