/* What backward-weights takes of cells of floats, as they are: products of pictures walk along the
 * columns of `a` (tile_product.turned), and the k of `b` are not in pairs. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_REARRANGE_FLOATS_H
#define NNCLR_ENGINE_TILES_KERNELS_REARRANGE_FLOATS_H

#include "engine/cpu/simd/vectors.h"
#include "engine/tiles/kernels/lanes.h"

static void transpose(const element *from, element *to) {
    memcpy(to, from, TILE * sizeof *to);
}

static void pair(const element *from, element *to) {
    memcpy(to, from, TILE * sizeof *to);
}

/* Vectors where they belong, with the lanes of others masked. */
static void slide(element *cell, const element *pixel, int channels, int end) {
    const int moved = end - channels;
    for (int row = 0; row < TILE; row += BLOCK)
        for (int at = 0; at < BLOCK; at += NNCLR_SIMD_LANES) {
            vector v = load_between(cell + row + channels, at, 0, moved);
            if (pixel)
                v = either_vector(v, load_between(pixel + row - moved, at, moved, end));
            store(cell + row + at, v);
        }
}

#endif
