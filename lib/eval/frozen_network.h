/* The network of a checkpoint on an engine of its own, for evaluation: it has no gradients and no
 * momentum, and whatever is run through it leaves parameters and running statistics as they are. */
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

typedef struct nnclr_frozen_network {
    nnclr_tensor_reader *checkpoint;
    nnclr_checkpoint_info info;
    nnclr_pool *pool;
    nnclr_engine engine;
    nnclr_network *list;
    nnclr_parameters parameters;
    bool untrained;
} nnclr_frozen_network;

/* PATH "-" is standard input. `untrained`: the same network at step 0. On failure, too, it is to be
 * closed. *n must not move while it is open; the thread that opens it drives its engine. */
bool nnclr_frozen_network_open(nnclr_frozen_network *n, const char *path, bool untrained,
                               int threads, nnclr_error *e);
void nnclr_frozen_network_close(nnclr_frozen_network *n); /* a zeroed one is fine */

/* The run's own configuration, and which network of that run at which cut; the caller's. */
nnclr_json *nnclr_frozen_network_describe(const nnclr_frozen_network *n, const char *cut,
                                          nnclr_error *e);

#endif
