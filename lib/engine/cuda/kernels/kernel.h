/* One source, two machines: nvcc compiles a kernel for a GPU, any C compiler for the host, where a
 * block has one thread and blocks are tasks of the engine's pool.
 *
 * So a kernel is written in phases between barriers, each a loop over lanes (EACH): what a lane
 * leaves for the next phase is in shared memory, and a loop's bounds do not depend on how many
 * threads there are. Then one thread, which takes all lanes in turn, is as good as LANES of them,
 * and gives the same sums. Sources are in the language that C and C++ share. */
#ifndef NNCLR_ENGINE_CUDA_KERNEL_H
#define NNCLR_ENGINE_CUDA_KERNEL_H

#include <math.h>
#include <string.h>

#include "engine/cuda/kernels/calls.h"

#ifdef __CUDACC__

#define DEVICE                    static __device__ __forceinline__
#define SHARED(type, name, count) __shared__ type name[count]
#define BARRIER()                 __syncthreads()
#define THREAD                    ((int)threadIdx.x)
#define THREADS                   ((int)blockDim.x)
#define BLOCK                     ((int)blockIdx.x)
/* The body follows; `p` is the call. */
#define KERNEL(name)                                                                               \
    static __global__ void name##_kernel(const name##_call p);                                     \
    extern "C" void nnclr_launch_##name(void *stream, int blocks, const name##_call *call) {       \
        name##_kernel<<<blocks, LANES, 0, (cudaStream_t)stream>>>(*call);                          \
    }                                                                                              \
    static __global__ void name##_kernel(const name##_call p)

#else

#include "base/threads.h"

#define DEVICE                    static inline
#define SHARED(type, name, count) type name[count]
#define BARRIER()                 ((void)0)
#define THREAD                    0
#define THREADS                   1
#define BLOCK                     block_
#define KERNEL(name)                                                                               \
    static void name##_kernel(const name##_call p, int block_);                                    \
    static void name##_task(void *context, int task, int worker) {                                 \
        (void)worker;                                                                              \
        name##_kernel(*(const name##_call *)context, task);                                        \
    }                                                                                              \
    void nnclr_launch_##name(void *stream, int blocks, const name##_call *call) {                  \
        name##_call copy = *call;                                                                  \
        nnclr_pool_for((nnclr_pool *)stream, blocks, name##_task, &copy);                          \
    }                                                                                              \
    static void name##_kernel(const name##_call p, __attribute__((unused)) int block_)

#endif

#define EACH(i, count) for (int i = THREAD; i < (count); i += THREADS)
/* The block's part of `count` items, of which it takes SPAN. */
#define EACH_OF_SPAN(i, count)                                                                     \
    for (size_t i = (size_t)BLOCK * SPAN + (size_t)THREAD,                                         \
                end_ = (count) < ((size_t)BLOCK + 1) * SPAN ? (count)                              \
                                                            : ((size_t)BLOCK + 1) * SPAN;          \
         i < end_; i += (size_t)THREADS)

/* ---- stored values ---- */

DEVICE float load(values v, size_t i) {
    float x;
    if (!v.bf16)
        return ((const float *)v.at)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)v.at)[i] << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* To the nearest, ties to even; a NaN stays one. */
DEVICE void store(values v, size_t i, float x) {
    uint32_t bits;
    if (!v.bf16) {
        ((float *)v.at)[i] = x;
        return;
    }
    memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    ((uint16_t *)v.at)[i] =
        (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16 | 0x40) : rounded);
}

/* ---- sums over the lanes of a block ---- */

/* sums [LANES] -> their total, in an order that is always the same. The barrier before it is the
 * caller's. All threads call it. */
DEVICE double add_lanes(double *sums) {
    for (int half = LANES / 2; half > 0; half /= 2) {
        EACH(i, half)
        sums[i] += sums[i + half];
        BARRIER();
    }
    const double total = sums[0];
    BARRIER();
    return total;
}

#endif
