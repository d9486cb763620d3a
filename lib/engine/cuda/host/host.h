/* What the host's files share. */
#ifndef NNCLR_ENGINE_CUDA_HOST_H
#define NNCLR_ENGINE_CUDA_HOST_H

#include "engine/cuda/machine.h"

struct cuda_machine {
    nnclr_pool *pool;
    bool bf16;
    nnclr_error error; /* the first since the last sync */
};

#endif
