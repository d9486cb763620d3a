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

/* out [queries->n][options->k], as nnclr_nearest fills it. Reads the bank once and the queries once
 * for each block of the bank. Memory: twice a block of either, and three numbers per query. *again
 * (may be NULL) becomes the number of queries that were searched twice.
 * Called from the thread that drives `engine`, whose reals are f32 or wider. */
bool nnclr_neighbour_graph(nnclr_engine *engine, const nnclr_row_source *bank,
                           const nnclr_row_source *queries, const nnclr_nearest_options *options,
                           nnclr_neighbour *out, int64_t *again, nnclr_error *e);

#endif
