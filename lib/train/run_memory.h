/* How much memory a run would hold, known before any of it is taken. */
#ifndef NNCLR_TRAIN_RUN_MEMORY_H
#define NNCLR_TRAIN_RUN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/engine.h"
#include "train/config.h"

/* Batches of views that the loader of a run keeps ready. */
enum { NNCLR_BATCHES_AHEAD = 2 };

/* Bytes that a run holds while it trains, in addition to the cache of the data. */
typedef struct nnclr_run_bytes {
    size_t weights, gradients, momentum, statistics;
    size_t backbone;    /* of micro-batches: 0 without */
    size_t activations; /* of the network, or of its heads: with their gradients, packed weights and
                           the engine's workspace */
    size_t target;      /* the slow copy's weights and pass: 0 without one */
    size_t method;      /* rows, similarities, picks */
    size_t support;     /* rows and their metadata */
    size_t views;       /* that the loader makes ahead */
} nnclr_run_bytes;

/* Those of each of `ranks` that train by this configuration on `records` pictures. */
bool nnclr_run_memory(const nnclr_config *config, int ranks, size_t records, nnclr_engine *engine,
                      nnclr_run_bytes *bytes, nnclr_error *e);
size_t nnclr_run_bytes_sum(const nnclr_run_bytes *bytes); /* SIZE_MAX: or more */

/* A run that does not fit into `available` bytes for each rank is refused (NNCLR_ERROR_MEMORY). The
 * message says what would fit: the largest micro-batch that divides a rank's share of the batch,
 * and the first preset, if there is one. */
bool nnclr_run_fits(const nnclr_config *config, int ranks, size_t records, nnclr_engine *engine,
                    size_t available, nnclr_error *e);

#endif
