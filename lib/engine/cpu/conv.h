/* The plan of a convolution, for the files that compute with it. */
#ifndef NNCLR_ENGINE_CPU_CONV_H
#define NNCLR_ENGINE_CPU_CONV_H

#include "engine/cpu/im2col.h"

/* Input pixels whose coordinates leave the same residues (y, x) after division by the stride see
 * the same kernel taps, so their gradient is a convolution of dy with step 1. */
typedef struct residue {
    int y, x;
    int tap_y, tap_x; /* kernel tap of the rectangle's first; the next is one stride lower */
    taps taps;        /* tap_h or tap_w is 0 if no output sees these pixels */
    size_t packed;    /* weights [tap_h][tap_w][co][ci] begin here, in reals */
    int chunk;        /* rows of one matrix */
} residue;

typedef struct CPU(plan) {
    nnclr_conv_plan base;
    taps forward;
    int forward_chunk;
    /* Backward-weights cuts the columns of dW [co][kernel][kernel][ci] into blocks: all of them, or
     * this many channels for each tap. */
    bool by_tap;
    int block_channels, weight_chunk;
    size_t matrix_reals; /* scratch of one worker, at the start of the workspace */
    int residues;        /* stride * stride */
    residue residue[];
} CPU(plan);

static inline int weight_columns(const CPU(plan) * plan) {
    return taps_depth(&plan->forward);
}
static inline size_t weight_reals(const CPU(plan) * plan) {
    return (size_t)plan->base.conv.co * (size_t)weight_columns(plan);
}

/* Scratch of a worker, and what comes after that of all workers. */
static inline real *worker_matrix(const CPU(plan) * plan, void *workspace, int worker) {
    return (real *)workspace + plan->matrix_reals * (size_t)worker;
}
static inline void *shared_workspace(const nnclr_engine *g, const CPU(plan) * plan,
                                     void *workspace) {
    return worker_matrix(plan, workspace, nnclr_pool_threads(g->pool));
}

/* How backward-weights cuts its columns, and the pictures' rows. */
int CPU(weight_blocks)(const CPU(plan) * plan);
pieces CPU(weight_parts)(const CPU(plan) * plan, size_t rows);

#endif
