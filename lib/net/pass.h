/* A training pass of a batch through a network, forward and backward: of the whole batch at once,
 * or so that it trains in the memory of a smaller one, with the backbone in micro-batches:
 *
 *   forward    for each micro-batch: backbone, keeping only the pooled features;
 *              then the heads, on the whole batch
 *   backward   the heads, down to the features' gradient;
 *              then for each micro-batch: backbone once more, and backwards from its share of it
 *
 * The gradient is exact for a network whose backbone normalises each micro-batch of each group by
 * itself; the price is a second forward pass. Running statistics are those of the whole batch: each
 * micro-batch of the first pass joins a pool, and the last updates them once for each group, in
 * order. One thread drives a pass. */
#ifndef NNCLR_NET_PASS_H
#define NNCLR_NET_PASS_H

#include "net/execution.h"

typedef struct nnclr_pass {
    nnclr_execution *execution; /* of the whole network; with a backbone, of what comes after it */
    nnclr_execution *backbone;  /* of a micro-batch, up to "features"; NULL: batches come whole */
    nnclr_parameters *parameters;
    int groups, n, micro_batch; /* pictures of a group: all of them, and at a time */
    int features;               /* value of the network */
    size_t row, picture;        /* of one picture: bytes of features, floats */
    float *pictures; /* [groups][micro_batch][picture]: a micro-batch, its groups side by side */
} nnclr_pass;

/* For pictures [groups][n], `micro_batch` of each group at a time, which divides n, and the network
 * has a value "features"; 0: all at once. `parameters` is the caller's and outlives the pass;
 * opened without gradients, it only goes forward, with batch statistics as in training. */
bool nnclr_pass_create(nnclr_pass *pass, nnclr_parameters *parameters, int groups, int n,
                       int micro_batch, nnclr_error *e);
void nnclr_pass_free(nnclr_pass *pass); /* a zeroed one is fine */
/* From now on n pictures are the share of one rank: batch norms are over all ranks' pictures, those
 * of a backbone in micro-batches over each micro-batch, as ever. */
void nnclr_pass_share(nnclr_pass *pass, nnclr_communicator *communicator);

/* Engine memory, in bytes: of the backbone (0 without micro-batches) and of the rest. */
typedef struct nnclr_pass_bytes {
    size_t backbone, rest;
    size_t forward; /* both, of one that only goes forward */
} nnclr_pass_bytes;
/* Of such a pass; none is made. */
bool nnclr_pass_measure(const nnclr_network *net, nnclr_engine *engine, int groups, int n,
                        int micro_batch, nnclr_pass_bytes *bytes, nnclr_error *e);

/* As nnclr_execution_pack: to be called after the parameters changed. */
void nnclr_pass_pack(nnclr_pass *pass);

/* Host NHWC f32 [groups][n][h][w][3] up to the value `to`, a mark after the backbone; running
 * statistics are updated. */
void nnclr_pass_forward(nnclr_pass *pass, const float *pictures, int to);
/* A value as of the last forward: a mark, "features" or after it. */
const nnclr_tensor *nnclr_pass_tensor(const nnclr_pass *pass, int value);
/* Its gradient, which the caller fills before the next backward: nnclr_execution_seed. */
const nnclr_tensor *nnclr_pass_seed(nnclr_pass *pass, int value);
/* From the seeded gradients of values up to `from`, given the same pictures: overwrites the
 * gradients of all parameters before `from`. */
void nnclr_pass_backward(nnclr_pass *pass, const float *pictures, int from);

/* Appends the memory plan of the backbone's pass, if there is one of its own, or of the rest:
 * nnclr_execution_print_plan. */
bool nnclr_pass_print_plan(const nnclr_pass *pass, bool backbone, nnclr_buffer *out,
                           nnclr_error *e);

#endif
