/* Products of tiles of floats with fused multiply-adds.
 *
 *                               b: the 32 columns of one k, 2 or 4 vectors
 *     a: one value of a row     sum: 8 rows of 32 columns with AVX-512, 16 vectors,
 *     and k, spread over        or 6 rows of 16 with AVX2, 12 of 16
 *     a vector
 *
 * A run of six tiles of each side, 36 KB, stays near L1 while one group of rows after another
 * passes over it with its sums in registers; these go into the tile of sums once a run. So each
 * tile is read from L2 about once, and a long sum is made of short ones, whose errors are smaller.
 * Lanes are columns: vectors of any width give the same bits. Rows, columns and k that are zeros
 * anyway take no time.
 */
#ifndef NNCLR_ENGINE_TILES_KERNELS_MULTIPLY_FLOATS_H
#define NNCLR_ENGINE_TILES_KERNELS_MULTIPLY_FLOATS_H

#include "engine/cpu/simd/vectors.h"
#include "engine/tiles/kernels/lanes.h"

enum { RUN_TILES = 6, MOST_ROWS = 16, MOST_SIDES = 2 };

static void begin(void) {}

static void end(void) {}

typedef struct run {
    const float *a[RUN_TILES], *b[RUN_TILES];
    int depth[RUN_TILES];
    int count;
    float *sums;
    bool add;
} run;

/* Rows [row, row + rows) under `sides` vectors from a column on. */
INLINE void multiply_rows(const run *r, int row, int column, int rows, int sides, bool turned) {
    const int along = turned ? 1 : BLOCK, deep = turned ? BLOCK : 1;
    vector acc[MOST_ROWS][MOST_SIDES];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int side = 0; side < sides; side++)
            acc[i][side] = zero_vector();
    for (int tile = 0; tile < r->count; tile++) {
        const float *a = r->a[tile] + row * along, *b = r->b[tile] + column;
        for (int k = 0; k < r->depth[tile]; k++, a += deep, b += BLOCK) {
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
    float *sums = r->sums + row * BLOCK + column;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int side = 0; side < sides; side++) {
            float *to = sums + i * BLOCK + side * NNCLR_SIMD_LANES;
            store(to, r->add ? add_vectors(load(to), acc[i][side]) : acc[i][side]);
        }
}

INLINE void multiply_run(const run *r, int rows, int columns, bool turned) {
#if NNCLR_SIMD_LANES == 16
    if (columns > LANES)
        for (int row = 0; row < rows; row += 8)
            multiply_rows(r, row, 0, 8, 2, turned);
    else
        for (int row = 0; row < rows; row += 16)
            multiply_rows(r, row, 0, 16, 1, turned);
#else
    /* 16 rows are 6 + 6 + 4, 32 are 4 * 6 + 2 * 4. */
    const int sixes = rows <= 16 ? 12 : 24;
    for (int column = 0; column < columns; column += 2 * LANES) {
        for (int row = 0; row < sixes && row < rows; row += 6)
            multiply_rows(r, row, column, 6, 2, turned);
        for (int row = sixes; row < rows; row += 4)
            multiply_rows(r, row, column, 4, 2, turned);
    }
#endif
}

static void end_run(const tile_product *p, run *r) {
    if (p->turned)
        multiply_run(r, p->rows, p->columns, true);
    else
        multiply_run(r, p->rows, p->columns, false);
    r->add = true;
    r->count = 0;
}

static void multiply(const tile_product *p) {
    run r = {.sums = p->sums, .add = p->add};
    for (int i = 0; i < p->count; i++) {
        const float *a = tile_at(p->a, p->terms[i].a), *b = tile_at(p->b, p->terms[i].b);
        for (int chunk = 0; chunk < p->chunks; chunk++, a += TILE, b += SQUARE) {
            r.a[r.count] = a;
            r.b[r.count] = b;
            r.depth[r.count++] = chunk < p->chunks - 1 ? BLOCK : p->depth;
            if (r.count == RUN_TILES)
                end_run(p, &r);
        }
    }
    if (r.count > 0 || !r.add)
        end_run(p, &r);
}

#endif
