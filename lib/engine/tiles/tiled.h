/* Inside of the engines whose activations and packed weights are in tiles (tiles.h). Rows,
 * parameters and statistics are as the reference engine has them at f32, whose functions work on
 * them. */
#ifndef NNCLR_ENGINE_TILES_TILED_H
#define NNCLR_ENGINE_TILES_TILED_H

#include "engine/cpu/cpu.h"
#include "engine/tiles/tiles.h"

typedef struct tiled_state {
    CPU(state) cpu; /* first: the reference engine's functions find it in g->state */
    const tile_kernels *kernels;
    const tile_kernels *search; /* NULL: the search is the reference engine's */
} tiled_state;

static inline const tile_kernels *tiled_kernels(const nnclr_engine *g) {
    return ((const tiled_state *)g->state)->kernels;
}

/* Parts of `each` that `total` takes. */
static inline int tiled_blocks(int total, int each) {
    return (total + each - 1) / each;
}
/* How many of `total` are in a block. */
static inline int tiled_within(int total, int each, int block) {
    int left = total - block * each;
    return left < each ? left : each;
}

/* How a tensor lies in memory. A spot is one pixel of one block of pictures; its tiles, one for
 * each block of channels, are neighbours. */
typedef struct tiled {
    nnclr_shape shape;
    int pictures, stride; /* of a tile */
    int blocks;           /* of channels */
    int picture_blocks;   /* of a group */
    size_t spots;         /* of a group */
    size_t tile, spot;    /* bytes */
    unsigned char *place;
    const tile_kernels *kernels; /* that work on its tiles */
} tiled;

/* The stride of tiles of so many channels. */
static inline int tiled_stride(const tile_kernels *kernels, int channels) {
    int stride = kernels->least_stride;
    while (stride < BLOCK && stride < channels)
        stride *= 2;
    return stride;
}

/* Values of a tile. */
static inline int tiled_values(const tiled *t) {
    return t->pictures * t->stride;
}

static inline tiled tiled_shape(const tile_kernels *kernels, nnclr_shape s) {
    tiled t = {.shape = s, .pictures = kernels->pictures, .kernels = kernels};
    t.stride = tiled_stride(kernels, s.c);
    if (t.stride == 8 && kernels->narrow_kernels)
        t.kernels = kernels->narrow_kernels;
    t.blocks = tiled_blocks(s.c, t.stride);
    t.picture_blocks = tiled_blocks(s.n, t.pictures);
    t.spots = (size_t)t.picture_blocks * (size_t)s.h * (size_t)s.w;
    t.tile = (size_t)tiled_values(&t) * kernels->value_bytes;
    t.spot = (size_t)t.blocks * t.tile;
    return t;
}
static inline tiled tiled_tensor(const tile_kernels *kernels, const nnclr_tensor *tensor) {
    tiled t = tiled_shape(kernels, tensor->shape);
    t.place = tensor->place;
    return t;
}
/* The first tile of a spot, counted over all groups. */
static inline unsigned char *tiled_at(const tiled *t, size_t spot) {
    return t->place + spot * t->spot;
}
/* Channels in a block of them. */
static inline int tiled_channels(const tiled *t, int block) {
    return tiled_within(t->shape.c, t->stride, block);
}
/* Pictures in the block of a spot of a group. */
static inline int tiled_pictures(const tiled *t, size_t spot) {
    size_t pixels = (size_t)t->shape.h * (size_t)t->shape.w;
    return tiled_within(t->shape.n, t->pictures, (int)(spot / pixels));
}
/* At least 32 tiles make a piece of the spots of a group. */
static inline pieces tiled_cut(const tiled *t) {
    enum { LEAST_TILES = 32 };
    return cut(t->spots, t->blocks < LEAST_TILES ? (size_t)(LEAST_TILES / t->blocks) : 1, 1);
}

/* Whether kernels multiply as plain C does: asked of those for AMX when an engine is opened, for
 * virtual machines that offer it and do not keep it. */
bool nnclr_tiled_multiplies(const tile_kernels *kernels);

/* Whether this CPU has what kernels use. */
bool nnclr_tiled_runs(const tile_kernels *kernels);

/* Opens an engine whose table is set with certain kernels, of its values and on this CPU. */
bool nnclr_tiled_open_with(nnclr_engine *g, const tile_kernels *kernels, nnclr_error *e);

/* ---- entries of the table (cpu.h) ---- */

#define DECLARE_TILED(name) ENTRY_TYPE(name) nnclr_tiled_##name;
#define TILED_ROW(name)     .name = nnclr_tiled_##name,

ENTRIES_OF_ACTIVATIONS(DECLARE_TILED)
/* What it makes is for the reference engine's other entries. */
DECLARE_TILED(search_create)

#endif
