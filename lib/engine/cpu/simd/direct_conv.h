/* The direct convolution (direct.h) behind the conv entries of the cpu engine at f32. Functions
 * take what the entries of the same name take; the plan is one of the engine's, and `direct` its
 * own. */
#ifndef NNCLR_ENGINE_CPU_SIMD_DIRECT_CONV_H
#define NNCLR_ENGINE_CPU_SIMD_DIRECT_CONV_H

#include "engine/cpu/conv.h"
#include "engine/cpu/simd/direct.h"

/* The kernels for this process: the widest that its CPU has, or those that the environment variable
 * NNCLR_SIMD names (avx512, avx2, none); *kernels is NULL for none. False where the CPU lacks what
 * was named. */
bool nnclr_direct_choose(const direct_kernels **kernels, nnclr_error *e);

/* Prepares a plan whose taps are made; sets its packed_bytes and workspace_bytes. NULL without
 * error where there are no kernels. */
bool nnclr_direct_create(const nnclr_engine *g, CPU(plan) * plan, nnclr_error *e);
void nnclr_direct_free(direct_conv *direct); /* NULL is fine */

void nnclr_direct_pack(nnclr_engine *g, const CPU(plan) * plan, const float *oihw, float *packed);
void nnclr_direct_forward(nnclr_engine *g, const CPU(plan) * plan, const nnclr_tensor *x,
                          const float *packed, const nnclr_tensor *y, double *sums,
                          void *workspace);
void nnclr_direct_backward_data(nnclr_engine *g, const CPU(plan) * plan, const nnclr_tensor *dy,
                                const float *packed, const nnclr_tensor *dx, bool add,
                                void *workspace);
void nnclr_direct_backward_weights(nnclr_engine *g, const CPU(plan) * plan, const nnclr_tensor *x,
                                   const nnclr_tensor *dy, float *dweights, bool add,
                                   void *workspace);

#endif
