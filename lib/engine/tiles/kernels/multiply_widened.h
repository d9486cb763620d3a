/* Products of tiles of bfloat16 with fused multiply-adds of floats, for CPUs without an instruction
 * for them, or with one that is slower: half as fast on Intel's.
 *
 *                               b: 16 columns of one pair of k, 32 bit each, split in two vectors
 *     a: one value, widened     sum: 8 rows of 32 columns with AVX-512, 16 vectors,
 *     before, spread            or 6 rows of 16 with AVX2, 12 of 16
 *
 * A run of tiles of a, once widened into L1, meets those of b, which are split in registers, for
 * one group of rows after another. The odd members of the pairs come first, and each sum is one
 * chain: since products of two bfloat16 are exact in float, that gives the bits of VDPBF16PS. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_MULTIPLY_WIDENED_H
#define NNCLR_ENGINE_TILES_KERNELS_MULTIPLY_WIDENED_H

#include "engine/cpu/simd/vectors.h"
#include "engine/tiles/kernels/lanes.h"

enum { RUN_TILES = 4, MOST_ROWS = 16, MOST_SIDES = 2 };

static void begin(void) {}

static void end(void) {}

typedef struct run {
    _Alignas(64) float a[RUN_TILES][TILE]; /* of each row those with odd k, then those with even */
    const element *b[RUN_TILES];
    int pairs[RUN_TILES];
    int count;
    float *sums;
    bool add;
} run;

/* The members of pairs with odd, with even k. */
INLINE vector odd_members(vector pairs) {
#if NNCLR_SIMD_LANES == 16
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(pairs), _mm512_set1_epi32((int)0xffff0000)));
#else
    return _mm256_castsi256_ps(
        _mm256_and_si256(_mm256_castps_si256(pairs), _mm256_set1_epi32((int)0xffff0000)));
#endif
}
INLINE vector even_members(vector pairs) {
#if NNCLR_SIMD_LANES == 16
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(pairs), 16));
#else
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(pairs), 16));
#endif
}

/* 16 or 8 pairs of a column on, in a tile b. */
INLINE vector pairs_at(const element *b, int k, int column) {
    return load(
        (const float *)(const void *)(b + column / 16 * (TILE / 2) + k * BLOCK + column % 16 * 2));
}

INLINE void multiply_rows(const run *r, int row, int column, int rows, int sides) {
    vector acc[MOST_ROWS][MOST_SIDES];
    float *sums = r->sums + row * BLOCK + column;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int side = 0; side < sides; side++)
            acc[i][side] = r->add ? load(sums + i * BLOCK + side * LANES) : zero_vector();
    for (int tile = 0; tile < r->count; tile++) {
        const float *a = r->a[tile] + row * BLOCK;
        for (int k = 0; k < r->pairs[tile]; k++, a++) {
            vector odd[MOST_SIDES], even[MOST_SIDES];
#pragma GCC unroll 2
            for (int side = 0; side < sides; side++) {
                vector pairs = pairs_at(r->b[tile], k, column + side * LANES);
                odd[side] = odd_members(pairs);
                even[side] = even_members(pairs);
            }
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
                const vector value = spread(a + i * BLOCK);
#pragma GCC unroll 2
                for (int side = 0; side < sides; side++)
                    acc[i][side] = multiply_add(value, odd[side], acc[i][side]);
            }
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
                const vector value = spread(a + i * BLOCK + PAIRS);
#pragma GCC unroll 2
                for (int side = 0; side < sides; side++)
                    acc[i][side] = multiply_add(value, even[side], acc[i][side]);
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int side = 0; side < sides; side++)
            store(sums + i * BLOCK + side * LANES, acc[i][side]);
}

static void end_run(const tile_product *p, run *r) {
#if NNCLR_SIMD_LANES == 16
    if (p->columns > LANES)
        for (int row = 0; row < p->rows; row += 8)
            multiply_rows(r, row, 0, 8, 2);
    else
        for (int row = 0; row < p->rows; row += 16)
            multiply_rows(r, row, 0, 16, 1);
#else
    enum { SIXES = 24 }; /* 32 rows are 4 * 6 + 2 * 4 */
    for (int column = 0; column < p->columns; column += 2 * LANES) {
        for (int row = 0; row < SIXES && row < p->rows; row += 6)
            multiply_rows(r, row, column, 6, 2);
        for (int row = SIXES; row < p->rows; row += 4)
            multiply_rows(r, row, column, 4, 2);
    }
#endif
    r->add = true;
    r->count = 0;
}

INLINE void widen_pairs(const element *from, float *to) {
    for (int row = 0; row < TILE; row += BLOCK)
        for (int i = 0; i < PAIRS; i += LANES) {
            vector pairs = load((const float *)(const void *)(from + row + 2 * i));
            store(to + row + i, odd_members(pairs));
            store(to + row + PAIRS + i, even_members(pairs));
        }
}

static void multiply(const tile_product *p) {
    run r;
    r.count = 0;
    r.sums = p->sums;
    r.add = p->add;
    for (int i = 0; i < p->count; i++) {
        const element *a = tile_at(p->a, p->terms[i].a), *b = tile_at(p->b, p->terms[i].b);
        for (int chunk = 0; chunk < p->chunks; chunk++, a += TILE, b += SQUARE) {
            widen_pairs(a, r.a[r.count]);
            r.b[r.count] = b;
            r.pairs[r.count++] = chunk < p->chunks - 1 ? BLOCK / 2 : (p->depth + 1) / 2;
            if (r.count == RUN_TILES)
                end_run(p, &r);
        }
    }
    if (r.count > 0 || !r.add)
        end_run(p, &r);
}

#endif
