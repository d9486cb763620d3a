/* Pictures that occur twice, in one set of rows or in two. Which of them are the same bytes is a
 * fact, whatever the rows say; the rows tell which others are near copies, or mirrored ones
 * (near_rows.h). */
#ifndef NNCLR_EVAL_DUPLICATES_H
#define NNCLR_EVAL_DUPLICATES_H

#include "eval/near_rows.h"

typedef enum nnclr_sameness {
    NNCLR_SAME_BYTES,
    NNCLR_SAME_NEAR,
    NNCLR_SAME_MIRRORED
} nnclr_sameness;
const char *nnclr_sameness_name(nnclr_sameness sameness); /* "bytes", "near", "mirrored" */

typedef struct nnclr_duplicate {
    int64_t group; /* from 0 */
    int64_t row;
    nnclr_neighbour twin; /* the group's first row; for the first row, the one most like it */
    nnclr_sameness same;  /* what the row and its twin have in common */
    bool surplus;         /* an earlier picture of the group has the same label */
} nnclr_duplicate;

typedef struct nnclr_duplicate_report {
    nnclr_duplicate *rows;    /* by group */
    size_t count, same_bytes; /* same_bytes: how many of them, which come first, are the same bytes
                                 as their twin */
    int64_t groups, byte_groups; /* the same for groups */
    size_t surplus; /* pictures that could go: surplus ones; in leaks, those of the bank */
    bool bytes_known;
} nnclr_duplicate_report;

/* If the rows do not tell for certain, as those of a support set do not, bytes of equal size and
 * checksum are read from the shards. */
typedef struct nnclr_copy_options {
    double threshold;                       /* the least cosine of near copies */
    nnclr_shard_set *shards, *query_shards; /* NULL: not at hand */
    const nnclr_progress *progress;         /* NULL: nobody watches */
} nnclr_copy_options;

/* First groups of pictures of the same bytes, by their first row; then groups of near copies, those
 * with the largest cosine first. Only the first picture of those that are the same bytes is
 * compared with others. Within a group the lowest row comes first, and all others are near to it,
 * the nearest first; so keeping the first picture of each group leaves no near copies. Rows that
 * show no picture do not count. Called from the thread that drives the pool's work. */
bool nnclr_report_duplicates(nnclr_pool *pool, const nnclr_row_set *set,
                             const nnclr_copy_options *options, nnclr_duplicate_report *out,
                             nnclr_error *e);

/* Rows of `queries` whose picture the bank has: first those of the same bytes, then by cosine, the
 * largest first. `group` is 0. */
bool nnclr_report_leaks(nnclr_pool *pool, const nnclr_row_set *bank, const nnclr_row_set *queries,
                        const nnclr_copy_options *options, nnclr_duplicate_report *out,
                        nnclr_error *e);

void nnclr_duplicate_report_free(nnclr_duplicate_report *report); /* a zeroed one is fine */

#endif
