/* What nnclr-queue-inspect has open: the rows, the shards they come from, the engine. */
#ifndef NNCLR_CMD_INSPECTOR_H
#define NNCLR_CMD_INSPECTOR_H

#include "cmd/cli.h"
#include "eval/duplicates.h"
#include "eval/graph_reports.h"
#include "eval/health.h"
#include "eval/row_set.h"
#include "io/shard.h"

typedef struct settings {
    int64_t k, queries, seed;
    double threshold, temperature;
    const char *query, *query_shard, *query_record, *query_name;
    const char *prefix;
    const char *model; /* what the rows were made with, for pictures as queries */
    bool query_is_pictures;
    const char *sheet, *html, *map, *metrics;
    double perplexity; /* of the map, */
    int64_t map_rows;  /* which has at most so many rows */
    int report;        /* of inspect_tables.h; -1: none */
    bool json, ansi, table, runs, watch;
} settings;

typedef struct inspector {
    nnclr_cli *cli;
    const settings *settings;
    nnclr_row_set bank, asking;             /* asking: --query's */
    nnclr_shard_set *shards, *query_shards; /* query_shards may be `shards` */
    nnclr_pool *pool;
    nnclr_engine oracle;     /* of nnclr_measure_health: f64 */
    nnclr_progress progress; /* on the terminal; a signal ends the work */
    bool watched;            /* signals are caught */
} inspector;

/* What the queries are drawn from: --query's rows, or the rows searched. */
static inline const nnclr_row_set *inspector_asking(const inspector *x) {
    return x->settings->query ? &x->asking : &x->bank;
}

/* Opens everything that the settings and operands name; close it in any case. */
bool inspector_open(inspector *x, nnclr_cli *cli, const settings *s, nnclr_error *e);
void inspector_close(inspector *x);

/* The file's name and the folder it is in, which tells one run's checkpoint from another's. */
const char *inspector_title(const inspector *x);

/* Takes the progress line off the terminal, before something else is printed. */
void inspector_progress_end(inspector *x);

/* Someone who asks for a picture or a page at a terminal does not want the table there too. */
bool inspector_wants_table(const settings *s);

/* The queries that the settings choose, and their neighbours. */
bool inspector_ask(inspector *x, nnclr_inspection *out, nnclr_error *e);

#endif
