/* Inside of the engines whose activations and packed weights are bfloat16, tile by tile (tiles.h):
 * one at precision bf16, or at f32 three to a value. Rows, parameters and statistics are as the
 * reference engine has them at f32, whose functions work on them. Each source file here is compiled
 * for both; BF16(name) keeps the two sets of external names apart. */
#ifndef NNCLR_ENGINE_BF16_BF16_H
#define NNCLR_ENGINE_BF16_BF16_H

#include "engine/bf16/tiles.h"
#include "engine/cpu/cpu.h"

#if NNCLR_BF16_PARTS == 3
#define BF16(name) nnclr_bf16x3_##name
#else
#define BF16(name) nnclr_bf16_##name
#endif

typedef struct bf16_state {
    CPU(state) cpu; /* first: the reference engine's functions find it in g->state */
    const tile_kernels *kernels;
    const tile_kernels *search; /* of one part; NULL: the search is the reference engine's */
} bf16_state;

static inline const tile_kernels *bf16_kernels(const nnclr_engine *g) {
    return ((const bf16_state *)g->state)->kernels;
}

/* Blocks of 32 pictures or channels. */
static inline int bf16_blocks(int count) {
    return (count + BLOCK - 1) / BLOCK;
}

/* A spot is one pixel of one block of pictures; its cells, one for each block of channels, are
 * neighbours. Spots of a group: */
static inline size_t bf16_spots(nnclr_shape s) {
    return (size_t)bf16_blocks(s.n) * (size_t)s.h * (size_t)s.w;
}
/* Elements of a spot. */
static inline size_t bf16_depth(nnclr_shape s) {
    return (size_t)bf16_blocks(s.c) * CELL;
}
/* The first cell of a spot, counted over all groups. */
static inline bf16 *bf16_at(const nnclr_tensor *t, size_t spot) {
    return (bf16 *)t->place + spot * bf16_depth(t->shape);
}
/* Of `count` channels or pictures those in a block. */
static inline int bf16_within(int count, int block) {
    int left = count - block * BLOCK;
    return left < BLOCK ? left : BLOCK;
}
/* Pictures in the block of a spot of a group. */
static inline int bf16_pictures(nnclr_shape s, size_t spot) {
    return bf16_within(s.n, (int)(spot / ((size_t)s.h * (size_t)s.w)));
}

/* At least 32 tiles make a piece of the spots of a group. */
static inline pieces bf16_cut(nnclr_shape s) {
    int c = bf16_blocks(s.c);
    return cut(bf16_spots(s), c < BLOCK ? (size_t)(BLOCK / c) : 1, 1);
}

/* Whether kernels multiply as plain C does: asked of those for AMX when an engine is opened, for
 * virtual machines that offer it and do not keep it. */
bool BF16(multiplies)(const tile_kernels *kernels);
/* The entry of both tables; what it made is for the reference engine's other entries. */
nnclr_search *nnclr_bf16_search_create(nnclr_engine *g, int m, int d, nnclr_error *e);

/* Opens an engine whose table is set with certain kernels, which this CPU must have. */
bool BF16(open_with)(nnclr_engine *g, const tile_kernels *kernels, nnclr_error *e);

/* ---- entries of the table ---- */

nnclr_conv_plan *BF16(conv_plan)(nnclr_engine *g, const nnclr_conv *conv, nnclr_shape in,
                                 nnclr_error *e);
void BF16(conv_plan_free)(nnclr_engine *g, nnclr_conv_plan *plan);
void BF16(conv_pack)(nnclr_engine *g, const nnclr_conv_plan *plan, const void *oihw, void *packed);
void BF16(conv_forward)(nnclr_engine *g, const nnclr_conv_plan *plan, const nnclr_tensor *x,
                        const void *packed, const nnclr_tensor *y, void *sums, void *workspace);
void BF16(conv_backward_data)(nnclr_engine *g, const nnclr_conv_plan *plan, const nnclr_tensor *dy,
                              const void *packed, const nnclr_tensor *dx, bool add,
                              void *workspace);
void BF16(conv_backward_weights)(nnclr_engine *g, const nnclr_conv_plan *plan,
                                 const nnclr_tensor *x, const nnclr_tensor *dy, void *dweights,
                                 bool add, void *workspace);

void BF16(batchnorm_sums)(nnclr_engine *g, const nnclr_tensor *x, void *sums);
void BF16(batchnorm_train)(nnclr_engine *g, const nnclr_batchnorm_call *call);
void BF16(batchnorm_evaluate)(nnclr_engine *g, const nnclr_batchnorm_call *call);
void BF16(batchnorm_backward)(nnclr_engine *g, const nnclr_batchnorm_call *call);

void BF16(maxpool_forward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y);
void BF16(maxpool_backward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *dy,
                            const nnclr_tensor *dx, bool add);
void BF16(average_forward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y);
void BF16(average_backward)(nnclr_engine *g, const nnclr_tensor *dy, const nnclr_tensor *dx,
                            bool add);

/* ---- one value ---- */

static inline float bf16_to_float(bf16 v) {
    union {
        uint32_t u;
        float f;
    } value = {.u = (uint32_t)v << 16};
    return value.f;
}

/* To the nearest, ties to even; a NaN stays one. Without a branch, so that loops become vectors. */
static inline bf16 bf16_from_float(float v) {
    union {
        float f;
        uint32_t u;
    } value = {.f = v};
    uint32_t quiet = value.u >> 16 | 0x40;
    uint32_t rounded = (value.u + 0x7fff + (value.u >> 16 & 1)) >> 16;
    return (bf16)((value.u & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

/* Value i of the 1024 of a cell. */
static inline float cell_value(const bf16 *cell, int i) {
    float value = bf16_to_float(cell[(VALUE_PARTS - 1) * TILE + i]);
    for (int part = VALUE_PARTS - 2; part >= 0; part--)
        value = bf16_to_float(cell[part * TILE + i]) + value;
    return value;
}
static inline void cell_put(bf16 *cell, int i, float value) {
    for (int part = 0; part < VALUE_PARTS; part++) {
        cell[part * TILE + i] = bf16_from_float(value);
        value -= bf16_to_float(cell[part * TILE + i]);
    }
}

#endif
