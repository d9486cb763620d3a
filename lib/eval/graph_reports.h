/* What a neighbour graph says about a row set and its labels. Rows that show no picture do not
 * count; every list is the caller's (nnclr_free). nnclr-queue-inspect(1) defines the measures. */
#ifndef NNCLR_EVAL_GRAPH_REPORTS_H
#define NNCLR_EVAL_GRAPH_REPORTS_H

#include <stddef.h>

#include "eval/neighbours.h"
#include "eval/row_set.h"

/* The neighbour graph, from which all reports are made: for each row that shows a picture, its k
 * nearest, exactly, among those of other records, or of another set. The sets stay the caller's. */
typedef struct nnclr_row_graph {
    const nnclr_row_set *bank, *set; /* equal: rows of a row's own record are not its neighbours */
    int k;
    nnclr_neighbour *neighbours; /* [set->rows.n][k]; those of initial rows mean nothing */
} nnclr_row_graph;

/* Initial rows of the bank are never neighbours. With several `ranks` (NULL: it is alone), which
 * must have the same sets, these share the search out and each gets the whole graph; what fails on
 * one fails on all. Called from the thread that drives the pool's work. */
bool nnclr_row_graph_make(nnclr_pool *pool, nnclr_communicator *ranks, const nnclr_row_set *bank,
                          const nnclr_row_set *set, int k, const nnclr_progress *progress,
                          nnclr_row_graph *out, nnclr_error *e);
void nnclr_row_graph_free(nnclr_row_graph *graph); /* a zeroed one is fine */

/* Neighbours of `row`, best first; after the last one, entries with row -1. */
static inline const nnclr_neighbour *nnclr_row_graph_of(const nnclr_row_graph *graph, int64_t row) {
    return graph->neighbours + row * graph->k;
}

/* ---- classes: which classes a class has for neighbours ---- */

typedef struct nnclr_class_pair {
    int64_t label, neighbour_label;
    int64_t rows;  /* of `label` that have a labelled neighbour */
    double share;  /* of the labelled neighbours of these rows: mean over the rows */
    double chance; /* what `share` would be if neighbours were drawn from all rows with a label */
} nnclr_class_pair;

typedef struct nnclr_class_report {
    nnclr_class_pair *pairs; /* that occur, and (c, c) of every c with rows: by label, then share */
    size_t count;
    int64_t rows;          /* with a label that have a labelled neighbour; 0: nothing is known */
    double purity, chance; /* means over these rows; NAN without any */
} nnclr_class_report;

bool nnclr_report_classes(const nnclr_row_graph *graph, nnclr_class_report *out, nnclr_error *e);
void nnclr_class_report_free(nnclr_class_report *report);

/* ---- hubs and outliers: rows ranked by a number, the largest first, then by row ---- */

typedef struct nnclr_ranked_row {
    double value;
    int64_t row;
} nnclr_ranked_row;

typedef struct nnclr_ranking {
    nnclr_ranked_row *rows;
    size_t count;
    double mean, skewness; /* of the values; skewness NAN if all are equal */
} nnclr_ranking;

/* How often a row is among the k neighbours of others. */
bool nnclr_report_hubs(const nnclr_row_graph *graph, nnclr_ranking *out, nnclr_error *e);
/* Mean of 1 - cosine over a row's neighbours; rows without any are left out. */
bool nnclr_report_outliers(const nnclr_row_graph *graph, nnclr_ranking *out, nnclr_error *e);
void nnclr_ranking_free(nnclr_ranking *ranking);

/* ---- labels: rows whose neighbours disagree ---- */

typedef struct nnclr_label_doubt {
    int64_t row, suggested;        /* class of the largest vote */
    double share, suggested_share; /* of the votes for the row's own class and for that one */
    double doubt;                  /* suggested_share - share, > 0 */
    nnclr_neighbour witness;       /* the nearest neighbour of the suggested class */
} nnclr_label_doubt;

typedef struct nnclr_label_report {
    nnclr_label_doubt *doubts; /* the largest first; equal ones by the witness's cosine, then row */
    size_t count;
    int64_t rows; /* that have a label and a labelled neighbour */
} nnclr_label_report;

/* Neighbours vote as in kNN, with exp(cosine / temperature). */
bool nnclr_report_labels(const nnclr_row_graph *graph, double temperature, nnclr_label_report *out,
                         nnclr_error *e);
void nnclr_label_report_free(nnclr_label_report *report);

/* There are so many doubts that the rows, rather than the labels, are doubtful: it is too early to
 * judge the data by them. */
static inline bool nnclr_labels_unsure(const nnclr_label_report *report) {
    return (int64_t)report->count > report->rows / 4;
}

#endif
