/* Products of tiles with AVX512-BF16, or in plain C as that does them.
 *
 *                 b: 16 pairs of columns | 16 pairs of columns      one pair of k: 2 vectors
 *     a: a pair   sum: 16 columns        | 16 columns               8 rows: 16 vectors of sums
 *     spread over a vector
 *
 * Eight rows of both halves, or sixteen of one if 16 columns are enough, stay in registers from
 * the first term to the last: sixteen chains of products, which is what the latency of two units
 * asks for. a is read once, b, which stays in L1 or L2, once for each group of rows. Rows, columns
 * and k that are zeros anyway take no time. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_MULTIPLY_VECTORS_H
#define NNCLR_ENGINE_TILES_KERNELS_MULTIPLY_VECTORS_H

#include "engine/tiles/kernels/lanes.h"

static void begin(void) {}

static void end(void) {}

#ifdef __AVX512BF16__

typedef __m512 sum_lanes;

/* acc += the products of column pairs b with one row's pair, spread over the vector. */
INLINE sum_lanes multiply_pair(sum_lanes acc, const element *row, const element *b) {
    int32_t pair;
    memcpy(&pair, row, sizeof pair);
    return _mm512_dpbf16_ps(acc, (__m512bh)_mm512_loadu_si512(b),
                            (__m512bh)_mm512_set1_epi32(pair));
}

#else

typedef lanes sum_lanes;

/* As VDPBF16PS does: the odd members of the pairs first. Products are exact. */
INLINE sum_lanes multiply_pair(sum_lanes acc, const element *row, const element *b) {
    words pairs;
    uint32_t pair;
    memcpy(&pairs, b, sizeof pairs);
    memcpy(&pair, row, sizeof pair);
    words spread = pair - (words){0};
    acc += (lanes)(pairs & 0xffff0000) * (lanes)(spread & 0xffff0000);
    return acc + (lanes)(pairs << 16) * (lanes)(spread << 16);
}

#endif

enum { MOST_ROWS = 16 };

/* The products of one pair of k. */
INLINE void multiply_pairs(sum_lanes acc[MOST_ROWS][HALVES], const element *a, const element *b,
                           int rows, int sides) {
    for (int row = 0; row < rows; row++)
        for (int half = 0; half < sides; half++)
            acc[row][half] = multiply_pair(acc[row][half], a + row * BLOCK, b + half * (TILE / 2));
}

/* Rows [first, first + rows). */
INLINE void multiply_rows(const tile_product *p, int first, int rows, int sides) {
    sum_lanes acc[MOST_ROWS][HALVES];
    float *sums = p->sums + first * BLOCK;
    for (int row = 0; row < rows; row++)
        for (int half = 0; half < sides; half++)
            acc[row][half] =
                p->add ? (sum_lanes)get(sums + row * BLOCK + half * LANES) : (sum_lanes)(lanes){0};
    for (int i = 0; i < p->count; i++) {
        const element *a = (const element *)tile_at(p->a, p->terms[i].a) + first * BLOCK;
        const element *b = tile_at(p->b, p->terms[i].b);
        for (int chunk = 1; chunk < p->chunks; chunk++, a += TILE, b += SQUARE)
            for (int k = 0; k < PAIRS; k++)
                multiply_pairs(acc, a + 2 * k, b + k * BLOCK, rows, sides);
        for (int k = 0; 2 * k < p->depth; k++)
            multiply_pairs(acc, a + 2 * k, b + k * BLOCK, rows, sides);
    }
    for (int row = 0; row < rows; row++)
        for (int half = 0; half < sides; half++)
            keep(sums + row * BLOCK + half * LANES, (lanes)acc[row][half]);
}

static void multiply(const tile_product *p) {
    if (p->columns > LANES)
        for (int row = 0; row < p->rows; row += 8)
            multiply_rows(p, row, 8, 2);
    else
        for (int row = 0; row < p->rows; row += 16)
            multiply_rows(p, row, 16, 1);
}

#endif
