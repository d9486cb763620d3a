/* Tiles of floats are multiplied as they are: products of pictures walk along the columns of `a`
 * (tile_product.turned), and the k of `b` are not in pairs. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_REARRANGE_FLOATS_H
#define NNCLR_ENGINE_TILES_KERNELS_REARRANGE_FLOATS_H

#include "engine/cpu/simd/vectors.h"
#include "engine/tiles/kernels/lanes.h"

/* Vectors where they belong, with the lanes of others masked. */
static void slide(void *to, int stride, const void *from, int pixel_stride, int channels, int end) {
    float *tile = to;
    const float *pixel = from;
    const int moved = end - channels;
    for (int row = 0; row < PICTURES; row++, tile += stride) {
        for (int at = 0; at < stride; at += NNCLR_SIMD_LANES) {
            vector v = load_between(tile + channels, at, 0, moved);
            if (pixel)
                v = either_vector(v, load_between(pixel - moved, at, moved, end));
            store(tile + at, v);
        }
        pixel = pixel ? pixel + pixel_stride : NULL;
    }
}

static const float *widen_tile(const void *tile, int count, float *room) {
    (void)count, (void)room;
    return tile;
}

static void narrow_tile(const float *values, int count, void *tile) {
    memcpy(tile, values, (size_t)count * sizeof *values);
}

static void pack(const float *values, int count, void *b) {
    memcpy(b, values, (size_t)count * sizeof *values);
}

#endif
