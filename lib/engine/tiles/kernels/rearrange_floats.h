/* Tiles of floats are multiplied as they are: products of pictures walk along the columns of `a`
 * (tile_product.turned), and the k of `b` are not in pairs. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_REARRANGE_FLOATS_H
#define NNCLR_ENGINE_TILES_KERNELS_REARRANGE_FLOATS_H

#include "engine/cpu/simd/vectors.h"
#include "engine/tiles/kernels/lanes.h"

static void transpose(const void *from, void *to) {
    memcpy(to, from, TILE * sizeof(float));
}

static void pair(const void *from, void *to) {
    memcpy(to, from, TILE * sizeof(float));
}

/* Vectors where they belong, with the lanes of others masked. */
static void slide(void *to, const void *from, int channels, int end) {
    float *tile = to;
    const float *pixel = from;
    const int moved = end - channels;
    for (int row = 0; row < TILE; row += BLOCK)
        for (int at = 0; at < BLOCK; at += NNCLR_SIMD_LANES) {
            vector v = load_between(tile + row + channels, at, 0, moved);
            if (pixel)
                v = either_vector(v, load_between(pixel + row - moved, at, moved, end));
            store(tile + row + at, v);
        }
}

static const float *widen_tile(const void *tile, float *room) {
    (void)room;
    return tile;
}

static void narrow_tile(const float *values, void *tile) {
    memcpy(tile, values, TILE * sizeof(float));
}

static void pack(const float *values, void *b) {
    memcpy(b, values, SQUARE * sizeof(float));
}

#endif
