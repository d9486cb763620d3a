/* The plan of a convolution on tiles, for the files that compute with it. */
#ifndef NNCLR_ENGINE_TILES_CONV_H
#define NNCLR_ENGINE_TILES_CONV_H

#include "engine/tiles/tiled.h"

typedef struct tiled_plan {
    nnclr_conv_plan base;
    const tile_kernels *kernels;
    int row_stride, in_stride, out_stride; /* of tiles of x, folded if it is, of x, and of y */
    size_t weights, weights_backward;      /* bytes of a tile of packed weights */
    size_t packed_backward;                /* bytes before the form of backward-data */
    size_t terms;                          /* most of one product, in any call */
    bool fold;        /* forward and backward-weights work on folded rows (conv_fold.c) */
    int steps;        /* tiles of weights, forward, and of dW between two blocks of channels: one
                         for each tap, or folded for each row of taps */
    int row_channels; /* of a row of x, */
    int row_tiles;    /* and tiles in it */
    /* Backward-weights. dW is kept as tiles [ci / 32][co / 32][tap][32 ci][32 co] of floats, or of
     * the strides. Small ones: each part of the rows of pictures has a dW and transposes what it
     * needs, some rows at a time. Large ones: all pictures of a pass are transposed first, then
     * each task sums some tiles over all of them. Large ones of 1 x 1 and plain tiles are a single
     * part, in which each task has a group of tiles. */
    bool whole;
    int pass_blocks;     /* whole: blocks of pictures, over all groups, in a pass */
    int group;           /* parts: blocks of ci, and of co, of one task, */
    int chunk_rows;      /* rows of dy at a time, */
    int strip;           /* or this many columns of one, */
    int ring;            /* and rows of x that are kept transposed */
    size_t gradients;    /* floats of a dW, */
    size_t square;       /* and of a tile of it */
    size_t worker_bytes; /* scratch of one worker, at the start of the workspace */
} tiled_plan;

/* Taps of a kernel: also the most terms a product over taps has. */
static inline size_t tiled_taps(const nnclr_conv *conv) {
    return (size_t)conv->kernel * (size_t)conv->kernel;
}
static inline unsigned char *tiled_scratch(const tiled_plan *plan, void *workspace, int worker) {
    return (unsigned char *)workspace + plan->worker_bytes * (size_t)worker;
}
static inline void *tiled_shared(const nnclr_engine *g, const tiled_plan *plan, void *workspace) {
    return tiled_scratch(plan, workspace, nnclr_pool_threads(g->pool));
}

static inline size_t tiled_terms_bytes(const tiled_plan *plan) {
    return (plan->terms * sizeof(tile_term) + 63) / 64 * 64;
}
/* The tiles of a worker, after its terms. */
static inline unsigned char *tiled_scratch_tiles(const tiled_plan *plan, void *workspace,
                                                 int worker) {
    return tiled_scratch(plan, workspace, worker) + tiled_terms_bytes(plan);
}

/* Bytes of a tile of a row of x. */
static inline size_t tiled_row_bytes(const tiled_plan *plan) {
    return (size_t)(plan->kernels->pictures * plan->row_stride) * plan->kernels->value_bytes;
}

/* ---- folded rows: k is [column of the kernel][channel], so a term a row of the kernel ---- */

/* Whether a row of the kernel fits into the k of a tile. */
bool nnclr_tiled_folds(const tile_kernels *kernels, const nnclr_conv *conv);
/* A row of x, counted over all groups and blocks of pictures, as output width tiles, each of which
 * `keep` takes to `to`, NULL as it is. */
void nnclr_tiled_fold_row(const tiled_plan *plan, const tiled *x, size_t row,
                          void (*keep)(const void *, void *), unsigned char *to);
/* The last rows folded, [kernel][output width] tiles: those below `next` of a block of pictures. */
typedef struct tiled_folded {
    size_t block; /* SIZE_MAX: none yet */
    int next;
    unsigned char *rows;
} tiled_folded;
/* Folds what a pixel of the result needs and lists its terms, of folded->rows; pixels of a block
 * come in order. Returns how many. */
int nnclr_tiled_fold_terms(const tiled_plan *plan, const tiled *x, size_t block, int pixel,
                           tiled_folded *folded, tile_term *terms);

/* Sets what backward-weights needs of the plan; returns the bytes that it wants after the scratch
 * of all workers, SIZE_MAX if they overflow. */
size_t nnclr_tiled_plan_weights(tiled_plan *plan);
/* Parts into which the rows of dy [groups * blocks of pictures * h] are cut. */
pieces nnclr_tiled_weight_parts(const tiled_plan *plan, nnclr_shape out);

#endif
