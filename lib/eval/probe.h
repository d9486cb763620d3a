/* How well classes can be read off a network's features while it trains: kNN with nnclr-lineval's
 * defaults, of the pictures of one shard against those of another, the bank, or, without a bank, of
 * each picture against all others. Labels only judge; nothing in the network changes. */
#ifndef NNCLR_EVAL_PROBE_H
#define NNCLR_EVAL_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"
#include "eval/classifier.h"
#include "io/shard.h"
#include "net/parameters.h"
#include "train/config.h"

typedef struct nnclr_probe nnclr_probe;

/* Pictures that are open, and what messages call them, which outlives the probe. */
typedef struct nnclr_probe_data {
    const char *path;
    nnclr_shard_set *set; /* NULL: none */
} nnclr_probe_data;

/* Takes over both sets, even on failure. Refused: no labels, or a class among those judged that the
 * bank does not have. */
nnclr_probe *nnclr_probe_open(nnclr_probe_data judged, nnclr_probe_data bank, nnclr_error *e);
/* The number of labelled pictures that neighbours are taken from. */
int64_t nnclr_probe_bank(const nnclr_probe *probe);
void nnclr_probe_close(nnclr_probe *probe); /* NULL is fine */

/* Takes all memory that the network's passes and its rows need, for any number of runs.
 * `parameters` and `config` are the caller's and outlive the probe's runs. */
bool nnclr_probe_plan(nnclr_probe *probe, nnclr_parameters *parameters, const nnclr_config *config,
                      int threads, nnclr_error *e);
size_t nnclr_probe_bytes(const nnclr_probe *probe); /* of that */

/* Judges the parameters as they are now. `progress` counts pictures and rows, and may be NULL.
 * Called from the thread that drives the parameters' engine. */
bool nnclr_probe_run(nnclr_probe *probe, const nnclr_progress *progress, nnclr_accuracy *accuracy,
                     nnclr_error *e);

#endif
