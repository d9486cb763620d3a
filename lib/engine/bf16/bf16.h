/* Inside of the engines at bf16: activations and packed weights in bfloat16, tile by tile
 * (tiles.h); rows, parameters and statistics as the reference engine has them at f32, whose
 * functions work on them. */
#ifndef NNCLR_ENGINE_BF16_BF16_H
#define NNCLR_ENGINE_BF16_BF16_H

#include "engine/bf16/tiles.h"
#include "engine/cpu/cpu.h"

typedef struct bf16_state {
    CPU(state) cpu; /* first: the reference engine's functions find it in g->state */
    const tile_kernels *kernels;
} bf16_state;

static inline const tile_kernels *bf16_kernels(const nnclr_engine *g) {
    return ((const bf16_state *)g->state)->kernels;
}

/* Blocks of 32 pictures or channels. */
static inline int bf16_blocks(int count) {
    return (count + BLOCK - 1) / BLOCK;
}

/* A spot is one pixel of one block of pictures; its tiles, one for each block of channels, are
 * neighbours. Spots of a group: */
static inline size_t bf16_spots(nnclr_shape s) {
    return (size_t)bf16_blocks(s.n) * (size_t)s.h * (size_t)s.w;
}
/* Values of a spot. */
static inline size_t bf16_depth(nnclr_shape s) {
    return (size_t)bf16_blocks(s.c) * TILE;
}
/* The first tile of a spot, counted over all groups. */
static inline bf16 *bf16_at(const nnclr_tensor *t, size_t spot) {
    return (bf16 *)t->place + spot * bf16_depth(t->shape);
}
/* Pictures in the block of a spot of a group. */
static inline int bf16_pictures(nnclr_shape s, size_t spot) {
    int left = s.n - (int)(spot / ((size_t)s.h * (size_t)s.w)) * BLOCK;
    return left < BLOCK ? left : BLOCK;
}

/* At least 32 tiles make a piece of the spots of a group. */
static inline pieces bf16_cut(nnclr_shape s) {
    int c = bf16_blocks(s.c);
    return cut(bf16_spots(s), c < BLOCK ? (size_t)(BLOCK / c) : 1, 1);
}

/* ---- entries of the table ---- */

nnclr_conv_plan *nnclr_bf16_conv_plan(nnclr_engine *g, const nnclr_conv *conv, nnclr_shape in,
                                      nnclr_error *e);
void nnclr_bf16_conv_plan_free(nnclr_engine *g, nnclr_conv_plan *plan);
void nnclr_bf16_conv_pack(nnclr_engine *g, const nnclr_conv_plan *plan, const void *oihw,
                          void *packed);
void nnclr_bf16_conv_forward(nnclr_engine *g, const nnclr_conv_plan *plan, const nnclr_tensor *x,
                             const void *packed, const nnclr_tensor *y, void *sums,
                             void *workspace);
void nnclr_bf16_conv_backward_data(nnclr_engine *g, const nnclr_conv_plan *plan,
                                   const nnclr_tensor *dy, const void *packed,
                                   const nnclr_tensor *dx, bool add, void *workspace);
void nnclr_bf16_conv_backward_weights(nnclr_engine *g, const nnclr_conv_plan *plan,
                                      const nnclr_tensor *x, const nnclr_tensor *dy, void *dweights,
                                      bool add, void *workspace);

void nnclr_bf16_batchnorm_sums(nnclr_engine *g, const nnclr_tensor *x, void *sums);
void nnclr_bf16_batchnorm_train(nnclr_engine *g, const nnclr_batchnorm_call *call);
void nnclr_bf16_batchnorm_evaluate(nnclr_engine *g, const nnclr_batchnorm_call *call);
void nnclr_bf16_batchnorm_backward(nnclr_engine *g, const nnclr_batchnorm_call *call);

void nnclr_bf16_maxpool_forward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y);
void nnclr_bf16_maxpool_backward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *dy,
                                 const nnclr_tensor *dx, bool add);
void nnclr_bf16_average_forward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y);
void nnclr_bf16_average_backward(nnclr_engine *g, const nnclr_tensor *dy, const nnclr_tensor *dx,
                                 bool add);

/* ---- one value ---- */

static inline float bf16_to_float(bf16 v) {
    union {
        uint32_t u;
        float f;
    } value = {.u = (uint32_t)v << 16};
    return value.f;
}

/* To the nearest, ties to even; a NaN stays one. */
static inline bf16 bf16_from_float(float v) {
    union {
        float f;
        uint32_t u;
    } value = {.f = v};
    if ((value.u & 0x7fffffff) > 0x7f800000)
        return (bf16)(value.u >> 16 | 0x40);
    return (bf16)((value.u + 0x7fff + (value.u >> 16 & 1)) >> 16);
}

#endif
