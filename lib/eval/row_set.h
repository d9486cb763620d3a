/* Rows to look at: the support set of a checkpoint, an embedding file, or rows that were made of
 * pictures (picture_rows.h), behind one interface. One thread uses a row set. */
#ifndef NNCLR_EVAL_ROW_SET_H
#define NNCLR_EVAL_ROW_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/embedding.h"
#include "eval/neighbours.h"
#include "image/image.h"
#include "train/checkpoint.h"

typedef struct nnclr_row_set {
    const char *path; /* of the file, as nnclr_tensor_reader_path has it */
    nnclr_row_source rows;
    const int64_t *record; /* [n]; -1: an initial random row of a support set */
    const int64_t *label;  /* [n], index into classes; -1: none */
    const int64_t *step;   /* [n]; -1: initial; NULL: not a support set */
    int64_t newest;        /* largest step; -1: none */
    char *const *classes;
    size_t class_count;
    char *const *names; /* [n]; NULL: not known */
    /* Size and zlib's checksum of the picture's bytes [n]; NULL: not known. */
    const int64_t *bytes, *crc32;
    int pixels;             /* N: rows of N x N x 3 pixels, minus their mean; 0: a network's */
    const nnclr_json *data; /* identity of the shards that `record` counts in; NULL: not known */

    /* what the fields above point into */
    nnclr_embedding embedding;
    nnclr_checkpoint_info info;
    nnclr_tensor_reader *reader; /* of a checkpoint */
    void *owned[6]; /* embedding, record, label, step or class names; then bytes, crc32 */
} nnclr_row_set;

/* PATH may be a RUN. A checkpoint without a support set and a file of another kind are refused.
 * *set must not move while it is open. */
bool nnclr_row_set_open(nnclr_row_set *set, const char *path, nnclr_error *e);
void nnclr_row_set_close(nnclr_row_set *set); /* a zeroed one is fine */

/* False, on all ranks, if these do not have the same rows, records and labels. */
bool nnclr_row_set_is_alike(const nnclr_row_set *set, nnclr_communicator *ranks, nnclr_error *e);

/* If the set does not know its pictures' bytes, as a support set does not, it learns them from the
 * shards that its records count in. */
bool nnclr_row_set_learn_bytes(nnclr_row_set *set, const nnclr_shard_set *shards, nnclr_error *e);

static inline bool nnclr_row_set_is_labelled(const nnclr_row_set *set) {
    return set->class_count > 0;
}
/* The row's class; NULL: not known. */
const char *nnclr_row_set_class(const nnclr_row_set *set, int64_t row);

/* The picture's name: an embedding file has its names, those of a support set are in the shards
 * (NULL: not at hand). NULL: not known. */
const char *nnclr_row_set_name(const nnclr_row_set *set, const nnclr_shard_set *shards,
                               int64_t row);

/* Refuses a record that is not among those of the shards. */
bool nnclr_check_record(const nnclr_shard_set *shards, int64_t record, nnclr_error *e);
/* Decodes a record's picture; errors name the record. */
bool nnclr_record_picture(nnclr_shard_set *shards, int64_t record, nnclr_image *image,
                          nnclr_error *e);

/* Steps between the set's newest row and this one; -1: initial, or not a support set. */
int64_t nnclr_row_set_age(const nnclr_row_set *set, int64_t row);

typedef struct nnclr_row_summary {
    int64_t initial;  /* rows that are initial */
    int64_t distinct; /* records among the others */
} nnclr_row_summary;
bool nnclr_row_set_summary(const nnclr_row_set *set, nnclr_row_summary *out, nnclr_error *e);

/* Queries and their neighbours: a sample of rows, and for each the nearest rows of a bank. The sets
 * stay the caller's. */
typedef struct nnclr_inspection {
    const nnclr_row_set *bank, *queries; /* equal: the bank was asked about itself */
    int64_t count;
    int64_t *query; /* [count]: rows of `queries` */
    int k;
    nnclr_neighbour *neighbours; /* [count][k] */
} nnclr_inspection;

/* Finds the k nearest bank rows of min(count, all) rows of `queries` that are not initial and,
 * unless `chosen` [queries rows] is NULL, chosen: all in the order of their rows, or as many drawn
 * from (seed, NNCLR_DRAW_SAMPLE). If `queries` is `bank`, rows of the query's own record are not
 * its neighbours. Called from the thread that drives the pool's work. */
bool nnclr_inspect(nnclr_pool *pool, const nnclr_row_set *bank, const nnclr_row_set *queries,
                   const bool *chosen, int64_t count, int k, uint64_t seed,
                   const nnclr_progress *progress, nnclr_inspection *out, nnclr_error *e);
void nnclr_inspection_free(nnclr_inspection *inspection); /* a zeroed one is fine */

#endif
