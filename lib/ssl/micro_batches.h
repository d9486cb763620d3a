/* The backbone of a step in micro-batches, so that a batch trains in the memory of a smaller one.
 *
 *   forward    for each micro-batch: backbone, keeping only the pooled features
 *   (caller)   heads, loss and support set on the whole batch, back to the features' gradient
 *   backward   for each micro-batch: backbone once more, then backwards from its share of it
 *
 * The gradient is exact for a network whose backbone normalises each micro-batch of each view by
 * itself; the price is a second forward pass. Running statistics are those of the whole batch: each
 * micro-batch of the first pass joins a pool, and the last updates them once for each view, view 1
 * then view 2. One thread drives it. */
#ifndef NNCLR_SSL_MICRO_BATCHES_H
#define NNCLR_SSL_MICRO_BATCHES_H

#include <stdbool.h>

#include "net/execution.h"

typedef struct nnclr_micro_batches nnclr_micro_batches;

/* For pictures [views][n], `size` of each view at a time; `size` divides n. `parameters` is the
 * caller's, opened for training, and outlives the result. The network has a value "features". */
nnclr_micro_batches *nnclr_micro_batches_create(nnclr_parameters *parameters, int views, int n,
                                                int size, nnclr_error *e);
void nnclr_micro_batches_free(nnclr_micro_batches *m); /* NULL is fine */

/* As nnclr_execution_pack: after the parameters changed. */
void nnclr_micro_batches_pack(nnclr_micro_batches *m);

/* Host NHWC f32 [views][n][h][w][3] to rows [views * n][c]: `features`, a tensor of the caller's.
 */
void nnclr_micro_batches_forward(nnclr_micro_batches *m, const float *pictures,
                                 const nnclr_tensor *features);
/* From the loss's gradient with respect to the features of the same pictures: overwrites the
 * gradients of the backbone's parameters. */
void nnclr_micro_batches_backward(nnclr_micro_batches *m, const float *pictures,
                                  const nnclr_tensor *gradient);

size_t nnclr_micro_batches_bytes(const nnclr_micro_batches *m); /* planned engine memory */
/* The memory plan of one micro-batch, as nnclr_execution_print_plan. */
bool nnclr_micro_batches_print_plan(const nnclr_micro_batches *m, nnclr_buffer *out,
                                    nnclr_error *e);

#endif
