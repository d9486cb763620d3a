/* How much memory a run would hold, known before any of it is taken. */
#ifndef NNCLR_TRAIN_RUN_MEMORY_H
#define NNCLR_TRAIN_RUN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/engine.h"
#include "train/config.h"

/* Batches of views that the loader of a run keeps ready. */
enum { NNCLR_BATCHES_AHEAD = 2 };

/* The least number of bytes that training by this configuration on `records` pictures takes:
 * weights, the planned memory of the network, views, support set, similarities. Without the data's
 * cache. */
bool nnclr_run_memory(const nnclr_config *config, size_t records, nnclr_engine *engine,
                      size_t *bytes, nnclr_error *e);

/* A run that does not fit into `available` bytes is refused (NNCLR_ERROR_MEMORY). The message says
 * what would fit: the largest micro-batch that divides the batch, and the first preset, if there is
 * one. */
bool nnclr_run_fits(const nnclr_config *config, size_t records, nnclr_engine *engine,
                    size_t available, nnclr_error *e);

#endif
