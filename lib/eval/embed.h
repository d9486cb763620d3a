/* Pictures -> rows: the output of a network's cut for each record's evaluation view, or the view's
 * own pixels. Rows come in record order and depend on the picture alone, not on the threads. */
#ifndef NNCLR_EVAL_EMBED_H
#define NNCLR_EVAL_EMBED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/communicator.h"
#include "image/loader.h"
#include "io/shard.h"
#include "net/parameters.h"
#include "train/config.h"

/* Takes `count` rows [count][d] of the records from `first` on; false stops the run. With several
 * ranks these share out the batches, and each gets all rows; what fails on one fails on all. */
typedef struct nnclr_row_sink {
    bool (*put)(void *context, int64_t first, int64_t count, const float *rows, nnclr_error *e);
    void *context;
    nnclr_communicator *ranks; /* NULL: it is alone */
} nnclr_row_sink;

/* The evaluation view that a run of this configuration is judged on: its size, mean, std and
 * interpolation; stretched with the 32x32 stem or below size 64. */
nnclr_evaluation_options nnclr_embed_view(const nnclr_config *config, int threads);

/* A network in evaluation mode, planned once for any number of passes over shards. */
typedef struct nnclr_embedder nnclr_embedder;
/* Up to the value `cut`, d = its channels. `parameters` stay the caller's and outlive the result.
 */
nnclr_embedder *nnclr_embedder_create(nnclr_parameters *parameters, int cut,
                                      const nnclr_evaluation_options *view, nnclr_error *e);
void nnclr_embedder_free(nnclr_embedder *embedder); /* NULL is fine */
size_t nnclr_embedder_bytes(const nnclr_embedder *embedder);
/* With the weights as they are now; otherwise as nnclr_embed_network. */
bool nnclr_embedder_run(nnclr_embedder *embedder, nnclr_shard_set *set, const nnclr_row_sink *sink,
                        nnclr_error *e);

/* For views that the caller has made: rows [n][d] of `views` [n][size][size][3], normalised, n at
 * most the batch; with the weights as they were when last packed. */
void nnclr_embedder_pack(nnclr_embedder *embedder);
bool nnclr_embedder_rows(nnclr_embedder *embedder, const float *views, int n, float *rows,
                         nnclr_error *e);

/* Runs the network of `parameters` in evaluation mode up to the value `cut` and yields it, d = its
 * channels. A row that is not finite is a numeric error that names its record. Called from the
 * thread that drives the parameters' engine. */
bool nnclr_embed_network(nnclr_parameters *parameters, int cut, nnclr_shard_set *set,
                         const nnclr_evaluation_options *view, const nnclr_row_sink *sink,
                         nnclr_error *e);

/* size x size x 3 pixels in [0,1], stretched, minus the mean over all the picture's numbers:
 * d = 3 * size * size. The row of a flat picture is zeros. */
bool nnclr_embed_pixels(nnclr_shard_set *set, int size, nnclr_filter filter, int threads,
                        const nnclr_row_sink *sink, nnclr_error *e);

#endif
