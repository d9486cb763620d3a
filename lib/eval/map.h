/* The map of a row set: its rows, or a sample of them, in the plane so that neighbours lie
 * together. nnclr-queue-inspect(1) says how to read one. */
#ifndef NNCLR_EVAL_MAP_H
#define NNCLR_EVAL_MAP_H

#include "eval/groups.h"
#include "eval/row_set.h"

typedef struct nnclr_map_options {
    double perplexity; /* how many neighbours a row has in effect; three times as many are sought */
    int64_t most;      /* rows, >= 1; more are drawn from */
    uint64_t seed;     /* of that sample and of what principal components begin with */
    const nnclr_progress *progress;
} nnclr_map_options;

typedef struct nnclr_map {
    int64_t count; /* of rows that are on it; shown: that could be */
    int64_t shown;
    int64_t *row;      /* [count], ascending */
    double *place;     /* [count][2]: t-SNE of the exact neighbour graph among these rows */
    double *principal; /* [count][2]: along the two directions in which unit rows differ most */
    double explained;  /* share of the unit rows' variance along these */
    double perplexity; /* less than asked for if there are few rows */
    double *doubt;     /* [count]: of nnclr_report_labels, 0 unless listed there; NAN without a
                          label. Made by nnclr_map_judge. */
    double divergence; /* of nnclr_tsne_divergence */
} nnclr_map;

/* A set without a row that shows a picture is refused. The places' coordinates are unlike on CPUs
 * of another kind, as rounding is; never for another number of threads. Called from the thread that
 * drives the pool's work. */
bool nnclr_map_make(nnclr_pool *pool, const nnclr_row_set *set, const nnclr_map_options *options,
                    nnclr_map *out, nnclr_error *e);
void nnclr_map_free(nnclr_map *map); /* a zeroed one is fine */

/* Takes the doubts of a report on the same set. */
bool nnclr_map_judge(nnclr_map *map, const nnclr_row_set *set, const nnclr_label_report *labels,
                     nnclr_error *e);

/* What the rows of a map are coloured by: their classes or, if they have no labels, their groups.
 * The most frequent ones have colours of their own. */
enum { NNCLR_MAP_COLORS = 16 };
extern const uint8_t nnclr_map_colors[NNCLR_MAP_COLORS + 1][3]; /* the last: of all others */

typedef struct nnclr_map_key {
    int64_t kind; /* label, or number of a group */
    int64_t rows; /* on the map */
} nnclr_map_key;

typedef struct nnclr_map_legend {
    nnclr_map_key keys[NNCLR_MAP_COLORS]; /* the most frequent first, then by kind */
    int count;
    int64_t others; /* rows of other kinds, or of none */
    int *color;     /* [rows of the map]: into nnclr_map_colors */
} nnclr_map_legend;

bool nnclr_map_legend_make(const nnclr_map *map, const int64_t *kind, nnclr_map_legend *out,
                           nnclr_error *e);
void nnclr_map_legend_free(nnclr_map_legend *legend); /* a zeroed one is fine */

/* The two leading principal components of rows [n][d], which lose their mean: the rows' coordinates
 * out [n][2] along them. Each has the sign that makes its largest coordinate positive. Returns the
 * share of the variance in *explained, NAN if there is none. */
bool nnclr_principal_plane(nnclr_pool *pool, float *rows, int n, int d, uint64_t seed, double *out,
                           double *explained, nnclr_error *e);

#endif
