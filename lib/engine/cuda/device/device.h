/* What the files of a GPU share. */
#ifndef NNCLR_ENGINE_CUDA_DEVICE_H
#define NNCLR_ENGINE_CUDA_DEVICE_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "engine/cuda/machine.h"

struct cuda_machine {
    cudaStream_t stream;
    cublasLtHandle_t blas;
    cudnnHandle_t dnn;
    bool bf16;
    void *workspace;   /* of products */
    nnclr_error error; /* the first since the last sync */
};

/* Whether a call worked; otherwise the error is kept, with what was tried. */
bool nnclr_device_worked(cuda_machine *m, cudaError_t code, const char *what);
bool nnclr_device_blas_worked(cuda_machine *m, cublasStatus_t code, const char *what);
bool nnclr_device_dnn_worked(cuda_machine *m, cudnnStatus_t code, const char *what);

#endif
