/* Shards, or views made before -> batches of normalised views, ahead of time by threads of its own.
 *
 * The order of an epoch is the exact permutation of (seed, epoch), unless a window is asked for;
 * the last partial batch is dropped unless `single` (and not `whole`). Step s (from 0) is batch s %
 * (records / batch) of epoch s / (records / batch), so a loader can start at any step and yields
 * there what an uninterrupted one would. Given views keep the order of their file in every epoch.
 */
#ifndef NNCLR_IMAGE_LOADER_H
#define NNCLR_IMAGE_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "image/augment.h"
#include "image/views_file.h"
#include "io/shard.h"

typedef struct nnclr_loader nnclr_loader;

typedef struct nnclr_loader_options {
    nnclr_augment augment;
    int batch; /* records a batch; at most those of an epoch */
    /* Of each batch, the records from slice_first on, slice_count of them, as they are in the
     * whole: a rank's share. slice_count 0: all of it. */
    int slice_first, slice_count;
    uint64_t seed;      /* of order and augmentation */
    int64_t first_step; /* >= 0 */
    int64_t steps;      /* batches to yield */
    int threads;        /* producers, >= 1 */
    int ahead;          /* batches in memory besides the one taken, >= 1 */
    size_t window; /* frames that an epoch's records are drawn from; 0: all, see epoch_order.h */
    /* For a classifier, which learns from one view of each record that has a label: view 1 alone,
     * and the last batch of an epoch is smaller instead of dropped, unless `whole`. */
    bool single, whole;
    /* [record_count] what an epoch consists of, in the permutation of (seed, epoch) over these; the
     * caller's; NULL: all records. Not with a window, nor of given views. */
    const uint32_t *records;
    size_t record_count;
    /* The records in their order, each as its evaluation view, `stretch` as
     * nnclr_augment_evaluation has it: nothing is drawn. With `single`. */
    bool evaluation, stretch;
} nnclr_loader_options;

/* One batch; valid until the next call. s = size. */
typedef struct nnclr_batch {
    const float *views;    /* [2][n][s][s][3], or if `single` [n][s][s][3]; normalised */
    const int64_t *record; /* [n] */
    const int64_t *label;  /* [n]; -1: none */
    int64_t step;
    uint32_t epoch;
    int n; /* of the slice; fewer in the last batch of an epoch if `single` (and not `whole`) */
} nnclr_batch;

/* The set stays the caller's and must outlive the loader. */
nnclr_loader *nnclr_loader_open(nnclr_shard_set *set, const nnclr_loader_options *options,
                                nnclr_error *e);
/* The same from views as they are; only size, mean and std of options.augment count. */
nnclr_loader *nnclr_loader_open_views(nnclr_views *views, const nnclr_loader_options *options,
                                      nnclr_error *e);
/* NULL with *e set on failure (a record that does not decode names itself), and again on every call
 * after it; NULL with *e left alone after the last step. */
const nnclr_batch *nnclr_loader_next(nnclr_loader *loader, nnclr_error *e);
void nnclr_loader_close(nnclr_loader *loader); /* NULL is fine */

/* What evaluation views are like, and how many pass at a time. */
typedef struct nnclr_evaluation_options {
    int size;
    bool stretch;
    nnclr_filter filter;
    float mean[3], std[3];
    int batch, threads, ahead;
    int share, shares; /* only batches share, share + shares, ...; shares 0: all of them */
} nnclr_evaluation_options;

/* Evaluation views of all records, once, for embedding: batches of at most `batch`, the last one
 * smaller. Step s of a share is batch s * shares + share; all shares have as many steps, so the
 * last batch of some may be empty. */
nnclr_loader *nnclr_loader_open_evaluation(nnclr_shard_set *set,
                                           const nnclr_evaluation_options *options, nnclr_error *e);

#endif
