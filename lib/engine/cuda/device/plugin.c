/* What lib/engine/engine.c finds in the library. */
#include "engine/cuda/cuda.h"

__attribute__((visibility("default"))) const nnclr_cuda_plugin nnclr_cuda = {
    .size = sizeof(nnclr_engine_table),
    .tables = {&nnclr_engine_cuda_bf16, &nnclr_engine_cuda_f32},
};
