/* Which tiles of two cells make their product. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_PARTS_H
#define NNCLR_ENGINE_TILES_KERNELS_PARTS_H

#include "engine/tiles/kernels/lanes.h"

/* Tiles of two cells that are multiplied, in an order in which each step changes one side. */
typedef struct tile_pair {
    int a, b;
} tile_pair;

#if NNCLR_TILE_PARTS == 3
static const tile_pair exact_pairs[] = {{2, 0}, {1, 0}, {0, 0}, {0, 2}, {0, 1}, {1, 1}};
static const tile_pair short_pairs[] = {{1, 0}, {0, 0}, {0, 1}};
#else
static const tile_pair exact_pairs[] = {{0, 0}}, short_pairs[] = {{0, 0}};
#endif
enum {
    EXACT_PAIRS = sizeof exact_pairs / sizeof *exact_pairs,
    SHORT_PAIRS = sizeof short_pairs / sizeof *short_pairs
};

/* Defined in the file that includes this. */
INLINE void multiply_product(const tile_product *p, const tile_pair *pairs, int pair_count);

static void multiply(const tile_product *p) {
    if (VALUE_PARTS == 1 || p->exact)
        multiply_product(p, exact_pairs, EXACT_PAIRS);
    else
        multiply_product(p, short_pairs, SHORT_PAIRS);
}

#endif
