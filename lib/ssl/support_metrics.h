/* What the support set consists of and what was picked from it: a broken queue does not show in the
 * loss. `scratch` keeps its memory between calls. */
#ifndef NNCLR_SSL_SUPPORT_METRICS_H
#define NNCLR_SSL_SUPPORT_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strings.h"
#include "ssl/support_set.h"

/* Means over the queries; NAN: undefined. */
typedef struct nnclr_pick_metrics {
    double sim;      /* cosine of query and pick */
    double initial;  /* picks that are initial random rows */
    double self;     /* picks of the query's own record */
    double age;      /* steps since enqueued, over picks that are not initial rows */
    double distinct; /* distinct rows picked / queries */
    double acc;      /* picks of the query's label, over queries with a label */
    double agree;    /* pictures both of whose queries pick rows of one record / pictures */
} nnclr_pick_metrics;

/* `count` queries, each picture's in both halves, with their picked rows (-1: none, which is left
 * out) and cosines; `now` is the step that counts as age 0. */
bool nnclr_measure_picks(const nnclr_support_set *s, int count, const int32_t *pick,
                         const double *cosine, const int64_t *record, const int64_t *label,
                         int64_t now, nnclr_pick_metrics *out, nnclr_buffer *scratch,
                         nnclr_error *e);

/* Share of the records that have a row; mean share of rows with the query's label (NAN without
 * labels; initial rows and rows without a label count as misses). */
bool nnclr_measure_presence(const nnclr_support_set *s, int count, const int64_t *record,
                            const int64_t *label, double *present, double *chance,
                            nnclr_buffer *scratch, nnclr_error *e);

/* nnclr_rows_rank of the newest min(m, most) rows: the rank says in how many directions they
 * differ, the spread whether they do, being 1 if they point everywhere and 0 if all are the same.
 */
bool nnclr_measure_rank(const nnclr_support_set *s, int most, double *rank, double *spread,
                        nnclr_buffer *scratch, nnclr_error *e);

#endif
