/* The network of a checkpoint, or of weights without one (resnet_weights.h), on an engine of its
 * own, for evaluation: it has no gradients and no momentum, and nothing that is run through it
 * changes parameters or running statistics. */
#ifndef NNCLR_EVAL_FROZEN_NETWORK_H
#define NNCLR_EVAL_FROZEN_NETWORK_H

#include <stdbool.h>

#include "base/error.h"
#include "base/threads.h"
#include "engine/engine.h"
#include "io/json.h"
#include "io/tensor_file.h"
#include "net/parameters.h"
#include "train/checkpoint.h"
#include "train/resnet_weights.h"

typedef struct nnclr_frozen_network {
    nnclr_tensor_reader *reader;
    bool foreign;               /* weights, without heads */
    nnclr_checkpoint_info info; /* of a checkpoint */
    nnclr_weights_info weights; /* of weights */
    nnclr_config config;        /* of either */
    int64_t step;               /* steps of training; -1: not known */
    nnclr_engine_choice choice; /* what it will be loaded on: the engine cpu */
    nnclr_precision precision;  /* at f32 */
    nnclr_pool *pool;
    nnclr_engine engine;
    nnclr_network *list;
    nnclr_parameters parameters;
    bool untrained;
} nnclr_frozen_network;

/* Reads the file's description of itself; PATH "-" is standard input; `prefix` (NULL: none) as for
 * nnclr_weight_names_find. Size, interpolation, mean and std of n->config, the choice of engine and
 * its precision may then be changed. *n must be closed even on failure. */
bool nnclr_frozen_network_open(nnclr_frozen_network *n, const char *path, const char *prefix,
                               nnclr_error *e);
/* `untrained`: the same network at step 0. *n must not move from then on; the thread that loads it
 * drives its engine. */
bool nnclr_frozen_network_load(nnclr_frozen_network *n, bool untrained, int threads,
                               nnclr_error *e);
void nnclr_frozen_network_close(nnclr_frozen_network *n); /* a zeroed one is fine */

/* The configuration (for weights without one, only the network's and the pictures' part), and which
 * network of that run at which cut; owned by the caller. */
nnclr_json *nnclr_frozen_network_describe(const nnclr_frozen_network *n, const char *cut,
                                          nnclr_error *e);

#endif
