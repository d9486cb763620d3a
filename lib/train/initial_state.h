/* What a new run starts from instead of random values: the weights of a checkpoint, or of another
 * tensor file with the same names, those of the backbone as in resnet_weights.h. */
#ifndef NNCLR_TRAIN_INITIAL_STATE_H
#define NNCLR_TRAIN_INITIAL_STATE_H

#include <stdbool.h>

#include "io/tensor_file.h"
#include "net/parameters.h"
#include "ssl/support_set.h"

typedef enum nnclr_taken {
    NNCLR_UNWANTED, /* the run has none */
    NNCLR_ABSENT,   /* the file has none */
    NNCLR_MISFIT,   /* the file's has another shape */
    NNCLR_TAKEN
} nnclr_taken;

typedef struct nnclr_initial_state {
    nnclr_taken projector, predictor, queue;
    bool foreign_rows; /* the queue is of other data: its rows show none of the run's pictures */
} nnclr_initial_state;

/* A safetensors file of kind "checkpoint", or without a kind, which holds a backbone below `prefix`
 * (as for nnclr_weight_names_find). */
nnclr_tensor_reader *nnclr_initial_state_open(const char *path, const char *prefix, nnclr_error *e);

/* Loads over what `p` and `s` (may be NULL) hold: the backbone with its running statistics, which
 * must fit, then the heads and the queue if they fit. Rows of the queue become as old as the start
 * of the run; unless they come from the data of `identity`, or from a file that does not name its
 * data, they lose their record and label. Momentum is not taken. */
bool nnclr_initial_state_load(nnclr_tensor_reader *reader, const char *prefix,
                              const nnclr_json *identity, nnclr_parameters *p, nnclr_support_set *s,
                              nnclr_initial_state *state, nnclr_error *e);

#endif
