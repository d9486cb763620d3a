/* Groups of rows that are neighbours of each other more often than chance would have it, found
 * without labels: communities of the neighbour graph, by the method of Louvain (Blondel, Guillaume,
 * Lambiotte and Lefebvre 2008), in a fixed order. */
#ifndef NNCLR_EVAL_GROUPS_H
#define NNCLR_EVAL_GROUPS_H

#include "eval/graph_reports.h"

typedef struct nnclr_group_row {
    double typical; /* sum of the cosines of the row's links to rows of its own group */
    int64_t row;
} nnclr_group_row;

typedef struct nnclr_group {
    nnclr_group_row *rows; /* the most typical first, then by row */
    int64_t count;
    int64_t first; /* its lowest row */
} nnclr_group;

typedef struct nnclr_groups {
    nnclr_group *groups; /* the largest first, then by the lowest row */
    int64_t count;
    int64_t *of; /* [rows of the set]: number of the row's group; -1: shows no picture */
    nnclr_group_row *listed; /* what the groups' rows point into */
    double modularity;       /* Newman 2004; NAN if no two rows are linked */
} nnclr_groups;

/* A row is linked to each of its neighbours, twice if it is also theirs. The graph is that of one
 * set. */
bool nnclr_report_groups(const nnclr_row_graph *graph, nnclr_groups *out, nnclr_error *e);
void nnclr_groups_free(nnclr_groups *groups); /* a zeroed one is fine */

/* The modularity of any division: group [rows]. */
bool nnclr_modularity(const nnclr_row_graph *graph, const int64_t *group, double *out,
                      nnclr_error *e);

#endif
