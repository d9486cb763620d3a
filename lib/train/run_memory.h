/* What a run would hold of memory, known before any of it is taken. */
#ifndef NNCLR_TRAIN_RUN_MEMORY_H
#define NNCLR_TRAIN_RUN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/engine.h"
#include "train/config.h"

/* Batches of views that the loader of a run has ready. */
enum { NNCLR_BATCHES_AHEAD = 2 };

/* Bytes that training by this configuration on `records` pictures takes at least: weights, the
 * planned memory of the network, views, support set, similarities. Without the data's cache. */
bool nnclr_run_memory(const nnclr_config *config, size_t records, nnclr_engine *engine,
                      size_t *bytes, nnclr_error *e);

/* A run that `available` bytes do not hold is refused (NNCLR_ERROR_MEMORY), with what they would
 * hold: the largest micro-batch that divides the batch, and the first preset, as far as there is
 * one. */
bool nnclr_run_fits(const nnclr_config *config, size_t records, nnclr_engine *engine,
                    size_t available, nnclr_error *e);

#endif
