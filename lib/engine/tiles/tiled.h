/* Inside of the engines whose activations and packed weights are in tiles (tiles.h): of floats, or
 * of bfloat16. Rows, parameters and statistics are as the reference engine has them at f32, whose
 * functions work on them. Each source file here is compiled for both; TILED(name) keeps the sets of
 * external names apart. */
#ifndef NNCLR_ENGINE_TILES_TILED_H
#define NNCLR_ENGINE_TILES_TILED_H

#include "engine/cpu/cpu.h"
#include "engine/tiles/tiles.h"

#if NNCLR_TILE_PARTS == 0
#define TILED(name) nnclr_tiled_f32_##name
#else
#define TILED(name) nnclr_tiled_##name
#endif

typedef struct tiled_state {
    CPU(state) cpu; /* first: the reference engine's functions find it in g->state */
    const tile_kernels *kernels;
    const tile_kernels *search; /* NULL: the search is the reference engine's */
} tiled_state;

static inline const tile_kernels *tiled_kernels(const nnclr_engine *g) {
    return ((const tiled_state *)g->state)->kernels;
}

/* Blocks of channels, and of pictures. */
static inline int tiled_blocks(int channels) {
    return (channels + BLOCK - 1) / BLOCK;
}
static inline int tiled_picture_blocks(int n) {
    return (n + PICTURES - 1) / PICTURES;
}

/* A spot is one pixel of one block of pictures; its cells, one for each block of channels, are
 * neighbours. Spots of a group: */
static inline size_t tiled_spots(nnclr_shape s) {
    return (size_t)tiled_picture_blocks(s.n) * (size_t)s.h * (size_t)s.w;
}
/* Elements of a spot. */
static inline size_t tiled_depth(nnclr_shape s) {
    return (size_t)tiled_blocks(s.c) * TILE;
}
/* The first cell of a spot, counted over all groups. */
static inline element *tiled_at(const nnclr_tensor *t, size_t spot) {
    return (element *)t->place + spot * tiled_depth(t->shape);
}
/* How many of all channels are in a block, and how many of n pictures. */
static inline int tiled_within(int channels, int block) {
    int left = channels - block * BLOCK;
    return left < BLOCK ? left : BLOCK;
}
static inline int tiled_pictures_within(int n, int block) {
    int left = n - block * PICTURES;
    return left < PICTURES ? left : PICTURES;
}
/* Pictures in the block of a spot of a group. */
static inline int tiled_pictures(nnclr_shape s, size_t spot) {
    return tiled_pictures_within(s.n, (int)(spot / ((size_t)s.h * (size_t)s.w)));
}

/* At least 32 tiles make a piece of the spots of a group. */
static inline pieces tiled_cut(nnclr_shape s) {
    int c = tiled_blocks(s.c);
    return cut(tiled_spots(s), c < BLOCK ? (size_t)(BLOCK / c) : 1, 1);
}

/* Whether kernels multiply as plain C does: asked of those for AMX when an engine is opened, for
 * virtual machines that offer it and do not keep it. */
bool TILED(multiplies)(const tile_kernels *kernels);
/* The entry of both tables; what it made is for the reference engine's other entries. */
nnclr_search *nnclr_tiled_search_create(nnclr_engine *g, int m, int d, nnclr_error *e);

/* Whether this CPU has what kernels use. */
bool TILED(runs)(const tile_kernels *kernels);

/* Opens an engine whose table is set with certain kernels, which this CPU must have. */
bool TILED(open_with)(nnclr_engine *g, const tile_kernels *kernels, nnclr_error *e);

/* ---- entries of the table ---- */

nnclr_conv_plan *TILED(conv_plan)(nnclr_engine *g, const nnclr_conv *conv, nnclr_shape in,
                                  nnclr_error *e);
void TILED(conv_plan_free)(nnclr_engine *g, nnclr_conv_plan *plan);
void TILED(conv_pack)(nnclr_engine *g, const nnclr_conv_plan *plan, const void *oihw, void *packed);
void TILED(conv_forward)(nnclr_engine *g, const nnclr_conv_plan *plan, const nnclr_tensor *x,
                         const void *packed, const nnclr_tensor *y, void *sums, void *workspace);
void TILED(conv_backward_data)(nnclr_engine *g, const nnclr_conv_plan *plan, const nnclr_tensor *dy,
                               const void *packed, const nnclr_tensor *dx, bool add,
                               void *workspace);
void TILED(conv_backward_weights)(nnclr_engine *g, const nnclr_conv_plan *plan,
                                  const nnclr_tensor *x, const nnclr_tensor *dy, void *dweights,
                                  bool add, void *workspace);

void TILED(batchnorm_sums)(nnclr_engine *g, const nnclr_tensor *x, void *sums);
void TILED(batchnorm_train)(nnclr_engine *g, const nnclr_batchnorm_call *call);
void TILED(batchnorm_evaluate)(nnclr_engine *g, const nnclr_batchnorm_call *call);
void TILED(batchnorm_backward)(nnclr_engine *g, const nnclr_batchnorm_call *call);

void TILED(maxpool_forward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y);
void TILED(maxpool_backward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *dy,
                             const nnclr_tensor *dx, bool add);
void TILED(average_forward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y);
void TILED(average_backward)(nnclr_engine *g, const nnclr_tensor *dy, const nnclr_tensor *dx,
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
#if NNCLR_TILE_PARTS == 0
static inline float cell_value(const element *cell, int i) {
    return cell[i];
}
static inline void cell_put(element *cell, int i, float value) {
    cell[i] = value;
}
#else
static inline float cell_value(const element *cell, int i) {
    return bf16_to_float(cell[i]);
}
static inline void cell_put(element *cell, int i, float value) {
    cell[i] = bf16_from_float(value);
}
#endif

#endif
