/* The inside of a support set's search, for engines that have their own way of finding
 * candidates. */
#ifndef NNCLR_ENGINE_CPU_SEARCH_H
#define NNCLR_ENGINE_CPU_SEARCH_H

#include <stdatomic.h>

#include "engine/cpu/cpu.h"

enum { SEARCH_QUERIES = 256 }; /* taken at a time */

/* What hands out rows in the place of the sieve: scores are summed anew, so that the picks are the
 * same. */
typedef struct search_filter {
    /* Rows [first, first + count) of s->rows have changed. */
    void (*update)(nnclr_search *s, int first, int count);
    /* Before the parts of a search; false: the sieve is better this time. */
    bool (*begin)(nnclr_search *s);
    /* How far its product with any row can be from that row's score; not finite: it cannot tell. */
    real (*doubt)(const nnclr_search *s, const real *query);
    /* Hands out some of the rows s->rows[first ..], as sift.h says of nnclr_sieve, whose rows
     * these are; returns how many of them are done. May stop if too many rows are handed out;
     * *scored counts those that were scored. `first` is a multiple of 64. */
    int (*sift)(nnclr_search *s, const nnclr_sieve *sieve, int first, const int64_t *scored,
                int worker);
    void (*free)(nnclr_search *s);
} search_filter;

struct nnclr_search {
    int m, d;
    int tile_rows, tiles;
    int tiles_in_part, parts;
    real *rows; /* [tiles * tile_rows][d] */
    size_t rows_bytes;
    real *scratch; /* of the sieve: [workers][sift_reals] */
    size_t scratch_bytes;
    real *best_scores;                    /* [parts][SEARCH_QUERIES][most picks] */
    int32_t *best_picks;                  /* the same */
    _Atomic real reached[SEARCH_QUERIES]; /* the worst of a full list of any part done */
    const struct sift_kernels *kernels;   /* of the sieve */
    const search_filter *filter;          /* NULL: the sieve alone */
    void *packed;                         /* the filter's own */
};

#endif
