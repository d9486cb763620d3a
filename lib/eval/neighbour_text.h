/* An inspection on a terminal: a query's picture and those of its neighbours as half blocks, side
 * by side, wrapped to the terminal's width. */
#ifndef NNCLR_EVAL_NEIGHBOUR_TEXT_H
#define NNCLR_EVAL_NEIGHBOUR_TEXT_H

#include "base/strings.h"
#include "eval/inspection.h"
#include "io/shard.h"

/* Appends query i of the inspection for a terminal of `columns`. Below each picture are its class
 * (green: the query's, red: another) and cosine. Names are escaped and cut. */
bool nnclr_neighbour_text(const nnclr_inspection *inspection, int64_t i,
                          nnclr_shard_set *query_shards, nnclr_shard_set *bank_shards, int columns,
                          nnclr_buffer *out, nnclr_error *e);

#endif
