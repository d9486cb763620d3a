/* Products of tiles of floats with fused multiply-adds.
 *
 *                               b: the columns of one k, 1 to 4 vectors
 *     a: one value of a row     sum: 8 rows of 32 columns with AVX-512, 16 vectors,
 *     and k, spread over        or 6 rows of 16 with AVX2, 12 of 16
 *     a vector
 *
 * A run of six tiles of each side, or of as many narrow ones as are as large, 36 KB, stays near L1
 * while one group of rows after another passes over it with its sums in registers; these go into
 * the tile of sums once a run. So each tile is read from L2 about once, and a long sum is made of
 * short ones, whose errors are smaller. Lanes are columns: vectors of any width give the same bits.
 * Rows, columns and k that are zeros anyway take no time.
 */
#ifndef NNCLR_ENGINE_TILES_KERNELS_MULTIPLY_FLOATS_H
#define NNCLR_ENGINE_TILES_KERNELS_MULTIPLY_FLOATS_H

#include "engine/cpu/simd/vectors.h"
#include "engine/tiles/kernels/lanes.h"

enum { WIDE_TILES = 6, RUN_TILES = WIDE_TILES * BLOCK / 8, MOST_ROWS = 16, MOST_SIDES = 2 };

static void begin(void) {}

static void end(void) {}

typedef struct run {
    const float *a[RUN_TILES], *b[RUN_TILES];
    int depth[RUN_TILES];
    int count;
} run;

/* Rows [row, row + rows) under `sides` vectors from a column on. Rows of a are `along` values
 * apart, its k `deep`. */
INLINE void multiply_rows(const tile_product *p, const run *r, bool add, int row, int column,
                          int rows, int sides, int along, int deep) {
    const int across = p->b_stride;
    vector acc[MOST_ROWS][MOST_SIDES];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int side = 0; side < sides; side++)
            acc[i][side] = zero_vector();
    for (int tile = 0; tile < r->count; tile++) {
        const float *a = r->a[tile] + row * along, *b = r->b[tile] + column;
        for (int k = 0; k < r->depth[tile]; k++, a += deep, b += across) {
            vector line[MOST_SIDES];
#pragma GCC unroll 2
            for (int side = 0; side < sides; side++)
                line[side] = load(b + side * NNCLR_SIMD_LANES);
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
                const vector value = spread(a + i * along);
#pragma GCC unroll 2
                for (int side = 0; side < sides; side++)
                    acc[i][side] = multiply_add(value, line[side], acc[i][side]);
            }
        }
    }
    float *sums = p->sums + row * across + column;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int side = 0; side < sides; side++) {
            float *to = sums + i * across + side * NNCLR_SIMD_LANES;
            store(to, add ? add_vectors(load(to), acc[i][side]) : acc[i][side]);
        }
}

/* The rows of a tile, or if it is turned its columns, of which there are 8, 16 or 32. */
INLINE void multiply_run(const tile_product *p, const run *r, bool add, int along, int deep) {
    const int rows = p->rows, most = p->turned ? p->a_stride : PICTURES;
#if NNCLR_SIMD_LANES == 16
    if (p->columns > LANES)
        for (int row = 0; row < rows; row += 8)
            multiply_rows(p, r, add, row, 0, 8, 2, along, deep);
    else if (most == 8)
        multiply_rows(p, r, add, 0, 0, 8, 1, along, deep);
    else
        for (int row = 0; row < rows; row += 16)
            multiply_rows(p, r, add, row, 0, 16, 1, along, deep);
#else
    if (p->b_stride == LANES) {
        for (int row = 0; row < rows; row += 8)
            multiply_rows(p, r, add, row, 0, 8, 1, along, deep);
        return;
    }
    /* 8 rows are 4 + 4, 16 are 6 + 6 + 4, 32 are 4 * 6 + 2 * 4. */
    const int sixes = most == 8 ? 0 : rows <= 16 ? 12 : 24;
    for (int column = 0; column < p->columns; column += 2 * LANES) {
        for (int row = 0; row < sixes && row < rows; row += 6)
            multiply_rows(p, r, add, row, column, 6, 2, along, deep);
        for (int row = sixes; row < rows; row += 4)
            multiply_rows(p, r, add, row, column, 4, 2, along, deep);
    }
#endif
}

static void end_run(const tile_product *p, const run *r, bool add) {
    if (p->turned)
        multiply_run(p, r, add, 1, p->a_stride);
    else if (p->a_stride == 32)
        multiply_run(p, r, add, 32, 1);
    else if (p->a_stride == 16)
        multiply_run(p, r, add, 16, 1);
    else
        multiply_run(p, r, add, 8, 1);
}

static void multiply(const tile_product *p) {
    const int widest = p->a_stride > p->b_stride ? p->a_stride : p->b_stride;
    const int most = WIDE_TILES * BLOCK / widest;
    bool add = p->add;
    run r;
    r.count = 0;
    for (int i = 0; i < p->count; i++) {
        const float *a = tile_at(p->a, p->terms[i].a), *b = tile_at(p->b, p->terms[i].b);
        for (int chunk = 0; chunk < p->chunks; chunk++) {
            r.a[r.count] = a;
            r.b[r.count] = b;
            r.depth[r.count++] = chunk < p->chunks - 1 ? p->a_stride : p->depth;
            if (r.count == most) {
                end_run(p, &r, add);
                add = true;
                r.count = 0;
            }
            a += PICTURES * p->a_stride;
            b += p->a_stride * p->b_stride;
        }
    }
    if (r.count > 0 || !add)
        end_run(p, &r, add);
}

#endif
