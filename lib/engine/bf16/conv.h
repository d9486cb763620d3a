/* The plan of a convolution at bf16, for the files that compute with it. */
#ifndef NNCLR_ENGINE_BF16_CONV_H
#define NNCLR_ENGINE_BF16_CONV_H

#include "engine/bf16/bf16.h"

typedef struct bf16_plan {
    nnclr_conv_plan base;
    size_t packed_backward; /* elements before the form of backward-data */
    size_t terms;           /* most of one product, in any call */
    /* Backward-weights. dW is kept as tiles [ci / 32][co / 32][tap][32 ci][32 co] of floats.
     * Small ones: each part of the rows of pictures has a dW and transposes what it needs, some
     * rows at a time. Large ones: all pictures of a pass are transposed first, then each task
     * sums some tiles over all of them. */
    bool whole;
    int chunk_rows;      /* of dy at a time; parts only */
    int ring;            /* rows of x that a part keeps transposed */
    int pass_blocks;     /* blocks of 32 pictures, over all groups, in a pass; whole only */
    size_t weights;      /* floats of a dW */
    size_t worker_bytes; /* scratch of one worker, at the start of the workspace */
} bf16_plan;

/* Taps of a kernel: also the most terms a product over taps has. */
static inline size_t bf16_taps(const nnclr_conv *conv) {
    return (size_t)conv->kernel * (size_t)conv->kernel;
}
static inline unsigned char *bf16_scratch(const bf16_plan *plan, void *workspace, int worker) {
    return (unsigned char *)workspace + plan->worker_bytes * (size_t)worker;
}
static inline void *bf16_shared(const nnclr_engine *g, const bf16_plan *plan, void *workspace) {
    return bf16_scratch(plan, workspace, nnclr_pool_threads(g->pool));
}

/* Sets what backward-weights needs of the plan; returns the bytes that it wants behind the scratch
 * of all workers, SIZE_MAX where they overflow. */
size_t BF16(plan_weights)(bf16_plan *plan);
/* Parts into which the rows of dy [groups * blocks of pictures * h] are cut. */
pieces BF16(weight_parts)(const bf16_plan *plan, nnclr_shape out);

#endif
