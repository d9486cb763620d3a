/* What the engine asks of the machine: memory, moves, products of matrices and convolutions.
 * device/ is a GPU with CUDA, cuBLASLt and cuDNN, host/ the host. A program or library is linked
 * with one.
 *
 * Work is done in the order of the calls. What fails where nothing is returned is kept and said by
 * sync. */
#ifndef NNCLR_ENGINE_CUDA_MACHINE_H
#define NNCLR_ENGINE_CUDA_MACHINE_H

#include "engine/engine.h"

typedef struct cuda_machine cuda_machine;
typedef struct cuda_conv cuda_conv; /* a convolution that was planned */

/* `bf16`: the type of activations and packed weights. */
cuda_machine *nnclr_machine_open(nnclr_pool *pool, bool bf16, nnclr_error *e);
void nnclr_machine_close(cuda_machine *machine);
/* What kernels are launched on. */
void *nnclr_machine_stream(cuda_machine *machine);
bool nnclr_machine_sync(cuda_machine *machine, nnclr_error *e);
/* Keeps an error for sync, unless there is one. */
void nnclr_machine_fail(cuda_machine *machine, const nnclr_error *error);

void *nnclr_machine_alloc(cuda_machine *machine, size_t bytes, nnclr_error *e);
void nnclr_machine_release(cuda_machine *machine, void *place, size_t bytes);
void nnclr_machine_zero(cuda_machine *machine, void *place, size_t bytes);
void nnclr_machine_copy(cuda_machine *machine, void *to, const void *from, size_t bytes);
/* From the host, which may change `from` once it returns; and to it, waiting. */
void nnclr_machine_put(cuda_machine *machine, void *to, const void *from, size_t bytes);
void nnclr_machine_get(cuda_machine *machine, void *to, const void *from, size_t bytes);

/* C = alpha op(A) op(B) + beta C in float, row-major and dense. */
void nnclr_machine_gemm(cuda_machine *machine, bool transpose_a, bool transpose_b, int m, int n,
                        int k, double alpha, const float *a, const float *b, double beta, float *c);

/* Weights are [o][y][x][i] in the type of activations, their gradient the same in float. Calls may
 * be for fewer pictures than the plan. */
cuda_conv *nnclr_machine_conv_plan(cuda_machine *machine, const nnclr_conv_plan *plan,
                                   size_t *workspace_bytes, nnclr_error *e);
void nnclr_machine_conv_free(cuda_conv *conv);
void nnclr_machine_conv_forward(cuda_machine *machine, const cuda_conv *conv, int pictures,
                                const void *x, const void *weights, void *y, void *workspace);
void nnclr_machine_conv_backward_data(cuda_machine *machine, const cuda_conv *conv, int pictures,
                                      const void *dy, const void *weights, void *dx, bool add,
                                      void *workspace);
void nnclr_machine_conv_backward_weights(cuda_machine *machine, const cuda_conv *conv, int pictures,
                                         const void *x, const void *dy, float *dweights,
                                         void *workspace);

#endif
