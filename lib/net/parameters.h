/* The state of a network on an engine: weights, gradients and momentum, each one flat buffer of
 * reals laid out by the network's segment table, and the running statistics likewise. */
#ifndef NNCLR_NET_PARAMETERS_H
#define NNCLR_NET_PARAMETERS_H

#include <stdint.h>

#include "net/network.h"

typedef struct nnclr_parameters {
    const nnclr_network *net; /* the caller's, as is the engine */
    nnclr_engine *engine;
    void *weights;    /* reals [nnclr_network_parameter_count] */
    void *gradients;  /* the same; NULL if opened for evaluation */
    void *velocity;   /* momentum; NULL if opened for evaluation */
    void *target;     /* the weights of a slow copy of the network; NULL: there is none */
    void *statistics; /* reals [nnclr_network_statistic_count] */
    int64_t batches;  /* num_batches_tracked of every batch norm: batches trained on x groups */
    void *arena;
    size_t arena_bytes;
} nnclr_parameters;

/* All zero at first. `training`: with gradients and momentum. */
bool nnclr_parameters_create(nnclr_parameters *p, const nnclr_network *net, nnclr_engine *engine,
                             bool training, nnclr_error *e);
void nnclr_parameters_free(nnclr_parameters *p); /* a zeroed one is fine */

/* Initial values from `seed`, by segment (the record of NNCLR_DRAW_WEIGHTS is the segment's index):
 * convolutions N(0, 2 / (co * kh * kw)) (He et al. 2015, fan-out), linear weights
 * U(-1/sqrt(fan_in), 1/sqrt(fan_in)), biases 0, batch norm 1 and 0; running mean 0, variance 1,
 * batches 0, momentum 0. Draws in row-major order: normal2 pairs, or one float each. */
bool nnclr_parameters_initialize(nnclr_parameters *p, uint64_t seed, nnclr_error *e);
/* Adds a slow copy (He et al. 2020, "MoCo"), equal to the weights; */
bool nnclr_parameters_add_target(nnclr_parameters *p, nnclr_error *e);
/* and moves it after them: target = momentum * target + (1 - momentum) * weights. */
void nnclr_parameters_follow(nnclr_parameters *p, double momentum);

/* Sets the weights of the segments whose names start with `start` to 0. */
void nnclr_parameters_clear(nnclr_parameters *p, const char *start);

#endif
