/* A network bound to an engine for one batch size: memory planned from lifetimes and allocated
 * once, then any number of forward and backward passes without an allocation. One thread drives it.
 */
#ifndef NNCLR_NET_EXECUTION_H
#define NNCLR_NET_EXECUTION_H

#include "base/strings.h"
#include "engine/communicator.h"
#include "net/network.h"
#include "net/parameters.h"

typedef struct nnclr_execution nnclr_execution;

typedef enum nnclr_mode {
    NNCLR_TRAINING,       /* batch statistics, activations kept for backward */
    NNCLR_TRAINING_PARTS, /* the same, for batches that may come in parts */
    NNCLR_FORWARD,        /* batch statistics, and nothing is kept */
    NNCLR_EVALUATION      /* running statistics; a value's memory is reused after its last reader */
} nnclr_mode;

/* For `groups` groups of at most n pictures. Ops [0, until) are planned, where `until` is the op
 * after the producer of `last` (a value; -1: the whole list). Parameters must outlive it. */
nnclr_execution *nnclr_execution_create(nnclr_parameters *parameters, nnclr_mode mode, int groups,
                                        int n, int last, nnclr_error *e);
/* The same for the ops after the producer of `first` only (0: all), whose tensor the caller fills
 * before forward(x, first, ...): heads on the pooled features of many micro-batches. */
nnclr_execution *nnclr_execution_create_range(nnclr_parameters *parameters, nnclr_mode mode,
                                              int groups, int n, int first, int last,
                                              nnclr_error *e);
void nnclr_execution_free(nnclr_execution *x); /* NULL is fine */

/* Bytes that such an execution would take; none is made. */
bool nnclr_execution_measure(const nnclr_network *net, nnclr_engine *engine, nnclr_mode mode,
                             int groups, int n, int first, int last, size_t *bytes, nnclr_error *e);

/* From now on n pictures are the share of one rank, and the batch of a batch norm is that of all.
 * Only the running statistics are so if the batch comes in parts. */
void nnclr_execution_share(nnclr_execution *x, nnclr_communicator *communicator);

/* Derives the packed weights; to be called after the parameters changed. */
void nnclr_execution_pack(nnclr_execution *x);

/* Host NHWC f32 [groups * n][h][w][3] into value 0. Evaluation may pass a smaller n. */
void nnclr_execution_input(nnclr_execution *x, const float *pictures, int n);

/* Runs the ops from the producer of the value after `from` up to the producer of `to`: (0, last)
 * is everything; (features, z) the projector. In training, running statistics are updated. */
void nnclr_execution_forward(nnclr_execution *x, int from, int to);

/* The same for one of the equal parts of a batch, which come in order (NNCLR_TRAINING_PARTS). Each
 * part is normalised by itself, but running statistics and the count of batches are updated once,
 * with the last: as by the whole batch. */
void nnclr_execution_forward_part(nnclr_execution *x, int from, int to, int part, int parts);

/* The same forward once more on a batch that running statistics have seen: they stay, and so does
 * the count of batches. Training only. */
void nnclr_execution_repeat(nnclr_execution *x, int from, int to);

/* Runs backwards from the producer of `from` down to (not including) the producer of `to` (0:
 * everything), given the gradients that the caller has written into nnclr_execution_gradient of
 * the values it named with nnclr_execution_seed since the last backward. Parameter gradients of
 * these ops are overwritten; an op that no gradient reaches is left out and its gradients are
 * zero. */
void nnclr_execution_backward(nnclr_execution *x, int from, int to);
/* Whether backwards from now on add to the gradients of parameters instead (at first not). */
void nnclr_execution_accumulate(nnclr_execution *x, bool accumulate);
/* Declares that the gradient tensor of `value` will be filled by the caller before backward, so
 * that gradients from its readers are added to it instead of overwriting it. Only marked values
 * can be seeded; a seed counts for the next backward. */
void nnclr_execution_seed(nnclr_execution *x, int value);

/* Views of planned memory, valid while `x` lives: a value's tensor (as of the last forward), and
 * its gradient. Marked values (nnclr_network_mark) and their gradients are never reused for
 * anything else, so they can be read after a pass and written before backward. */
const nnclr_tensor *nnclr_execution_tensor(nnclr_execution *x, int value);
const nnclr_tensor *nnclr_execution_gradient(nnclr_execution *x, int value);

size_t nnclr_execution_bytes(const nnclr_execution *x); /* planned, packed weights included */
/* Appends the memory plan as a table: value, bytes, offset, first and last op. */
bool nnclr_execution_print_plan(const nnclr_execution *x, nnclr_buffer *out, nnclr_error *e);

#endif
