/* A contact sheet of an inspection: one line per query, its picture on the left and its neighbours
 * next to it, nearest first. */
#ifndef NNCLR_EVAL_NEIGHBOUR_SHEET_H
#define NNCLR_EVAL_NEIGHBOUR_SHEET_H

#include <stdbool.h>

#include "base/strings.h"
#include "eval/row_set.h"
#include "io/shard.h"

/* Fails with one sentence unless `shards` are the data that the records of `set` count in; `path`
 * is the file that `set` was read from. A set that does not say is taken on trust. */
bool nnclr_row_set_check_shards(const nnclr_row_set *set, const char *path,
                                const nnclr_shard_set *shards, nnclr_error *e);

enum { NNCLR_SHEET_QUERIES = 40 }; /* on a page */

/* Pages that the inspection takes, at least 1. */
int nnclr_neighbour_pages(const nnclr_inspection *inspection);

/* Appends a page (from 0) of the sheet as PNG. A neighbour's frame is green if its class is the
 * query's, red if it is another, gray for an initial row (which has no picture), absent if a label
 * is missing; below it are cosine, age and class, below the query its record, class and name.
 * Pictures of queries come from query_shards, those of neighbours from bank_shards. */
bool nnclr_neighbour_sheet(const nnclr_inspection *inspection, int page,
                           nnclr_shard_set *query_shards, nnclr_shard_set *bank_shards,
                           const char *title, const nnclr_progress *progress, nnclr_buffer *png,
                           nnclr_error *e);

#endif
