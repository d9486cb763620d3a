/* The neighbour graph of a row set: for each row that shows a picture, its k nearest among those of
 * other records, or of another set. The reports are made from it. */
#ifndef NNCLR_EVAL_ROW_GRAPH_H
#define NNCLR_EVAL_ROW_GRAPH_H

#include "eval/row_set.h"

/* The sets stay the caller's. */
typedef struct nnclr_row_graph {
    const nnclr_row_set *bank, *set; /* equal: rows of a row's own record are not its neighbours */
    int k;
    nnclr_neighbour *neighbours; /* [set->rows.n][k]; those of initial rows mean nothing */
} nnclr_row_graph;

/* Initial rows of the bank are never neighbours. Called from the thread that drives `engine`. */
bool nnclr_row_graph_make(nnclr_engine *engine, const nnclr_row_set *bank, const nnclr_row_set *set,
                          int k, const nnclr_progress *progress, nnclr_row_graph *out,
                          nnclr_error *e);
void nnclr_row_graph_free(nnclr_row_graph *graph); /* a zeroed one is fine */

/* Neighbours of `row`, best first; after the last one, entries with row -1. */
static inline const nnclr_neighbour *nnclr_row_graph_of(const nnclr_row_graph *graph, int64_t row) {
    return graph->neighbours + row * graph->k;
}

#endif
