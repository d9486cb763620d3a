/* The engine for NVIDIA GPUs, at f32 and at bf16. Activations are NHWC in one type or the other;
 * rows, parameters, losses and the support set are floats, statistics doubles.
 *
 * What is not a kernel of ours is behind machine.h: with device/ it is a library of its own, which
 * is loaded if it is asked for; with host/ the tests run all the rest without a GPU. */
#ifndef NNCLR_ENGINE_CUDA_CUDA_H
#define NNCLR_ENGINE_CUDA_CUDA_H

#include "engine/engine.h"

extern const nnclr_engine_table nnclr_engine_cuda_f32, nnclr_engine_cuda_bf16;

/* What nnclr-cuda.so, which has this engine for GPUs, has under the name nnclr_cuda. */
enum { NNCLR_CUDA_TABLES = 2 };
typedef struct nnclr_cuda_plugin {
    size_t size; /* of a table */
    const nnclr_engine_table *tables[NNCLR_CUDA_TABLES];
} nnclr_cuda_plugin;

#endif
