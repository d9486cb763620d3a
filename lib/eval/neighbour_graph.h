/* The neighbour graph: the k nearest rows of a bank for every row of a set, which may be the bank
 * itself, exactly, when neither needs to fit into memory.
 *
 * The engine's search proposes a few rows more than k per block of the bank; those are measured
 * again in double. If a row that was not proposed might, within rounding, belong to the result, its
 * query is searched again by nnclr_nearest. So the result is nnclr_nearest's, to the bit, whatever
 * the blocks and the number of threads; it is only found sooner. */
#ifndef NNCLR_EVAL_NEIGHBOUR_GRAPH_H
#define NNCLR_EVAL_NEIGHBOUR_GRAPH_H

#include "eval/neighbours.h"
#include "eval/row_set.h"

/* out [queries->n][options->k], as nnclr_nearest fills it. Reads the bank once and the queries once
 * for each block of the bank. Memory: twice a block of either, and three numbers per query. *again
 * (may be NULL) becomes the number of queries that were searched twice.
 * Called from the thread that drives `engine`, whose reals are f32 or wider. */
bool nnclr_neighbour_graph(nnclr_engine *engine, const nnclr_row_source *bank,
                           const nnclr_row_source *queries, const nnclr_nearest_options *options,
                           nnclr_neighbour *out, int64_t *again, nnclr_error *e);

/* That of a row set: for each row that shows a picture, its k nearest among those of other records,
 * or of another set. The reports are made from it. The sets stay the caller's. */
typedef struct nnclr_row_graph {
    const nnclr_row_set *bank, *set; /* equal: rows of a row's own record are not its neighbours */
    int k;
    nnclr_neighbour *neighbours; /* [set->rows.n][k]; those of initial rows mean nothing */
} nnclr_row_graph;

/* Initial rows of the bank are never neighbours. Called from the thread that drives `engine`. */
bool nnclr_row_graph_make(nnclr_engine *engine, const nnclr_row_set *bank, const nnclr_row_set *set,
                          int k, const nnclr_progress *progress, nnclr_row_graph *out,
                          nnclr_error *e);
void nnclr_row_graph_free(nnclr_row_graph *made); /* a zeroed one is fine */

/* Neighbours of `row`, best first; after the last one, entries with row -1. */
static inline const nnclr_neighbour *nnclr_row_graph_of(const nnclr_row_graph *graph, int64_t row) {
    return graph->neighbours + row * graph->k;
}

#endif
