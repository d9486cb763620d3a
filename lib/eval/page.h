/* One self-contained HTML page about a row set: is the queue alive, what does the network think is
 * similar, where is it wrong, is the data clean. It loads nothing over a network and can be read
 * without script; with it, queries and tables can be sorted and filtered. */
#ifndef NNCLR_EVAL_PAGE_H
#define NNCLR_EVAL_PAGE_H

#include "eval/metrics_history.h"
#include "eval/row_set.h"
#include "io/shard.h"

enum { NNCLR_PAGE_BYTES = 56 << 20 }; /* pictures are made smaller until the page stays below */

typedef struct nnclr_page_options {
    const char *title, *program;
    const char *query_path;                 /* NULL: the bank was asked about itself */
    const nnclr_history *history;           /* NULL: no curves */
    double threshold, temperature;          /* of nnclr_report_duplicates and _labels */
    uint64_t seed;                          /* of nnclr_measure_health */
    nnclr_engine *oracle;                   /* of nnclr_measure_health */
    nnclr_shard_set *query_shards, *shards; /* the pictures */
    const nnclr_progress *progress;         /* NULL: nobody watches */
} nnclr_page_options;

/* Appends the page of the inspection's bank and queries. *pictures (may be NULL) becomes the number
 * of pictures in it. Called from the thread that drives the engine. */
bool nnclr_page(const nnclr_inspection *inspection, const nnclr_page_options *options,
                nnclr_buffer *html, int *pictures, nnclr_error *e);

#endif
