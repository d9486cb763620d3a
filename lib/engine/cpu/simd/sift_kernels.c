/* Kernels of the sieve, compiled once for AVX2 with FMA and once for AVX-512 (NNCLR_SIMD_LANES
 * floats in a vector). sift.h has the picture. */
#include "engine/cpu/simd/sift.h"

#include "engine/cpu/simd/vectors.h"

#if NNCLR_SIMD_LANES == 16
#define KERNELS nnclr_sift_avx512
INLINE unsigned not_below(vector v, vector floor) {
    return _mm512_cmp_ps_mask(v, floor, _CMP_GE_OQ);
}
#else
#define KERNELS nnclr_sift_avx2
INLINE unsigned not_below(vector v, vector floor) {
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(v, floor, _CMP_GE_OQ));
}
#endif

enum { LANES = NNCLR_SIMD_LANES, VECTORS = 3, ROWS = VECTORS * LANES, QUERIES = LANES / 2 };

/* ---- packing ---- */

enum { SQUARE = 8 };

/* A square of numbers, transposed: pairs, fours, then halves of vectors change places. */
INLINE void transpose(const float *from, size_t pitch, float *to, size_t to_pitch) {
    __m256 a[SQUARE], b[SQUARE];
#pragma GCC unroll 8
    for (int i = 0; i < SQUARE; i++)
        a[i] = _mm256_loadu_ps(from + (size_t)i * pitch);
#pragma GCC unroll 4
    for (int i = 0; i < SQUARE; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < SQUARE; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], _MM_SHUFFLE(1, 0, 1, 0));
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], _MM_SHUFFLE(3, 2, 3, 2));
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], _MM_SHUFFLE(1, 0, 1, 0));
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], _MM_SHUFFLE(3, 2, 3, 2));
    }
#pragma GCC unroll 4
    for (int i = 0; i < SQUARE / 2; i++) {
        _mm256_storeu_ps(to + (size_t)i * to_pitch, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps(to + (size_t)(i + 4) * to_pitch,
                         _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}

static void pack(const float *rows, size_t pitch, int count, int depth, int width, float *packed) {
    for (int row = 0; row < width;) {
        const float *from = rows + (size_t)row * pitch;
        const bool square = row + SQUARE <= count && row + SQUARE <= width;
        int at = 0;
        for (; square && at + SQUARE <= depth; at += SQUARE)
            transpose(from + at, pitch, packed + (size_t)at * (size_t)width + row, (size_t)width);
        for (; at < depth; at++)
            for (int i = 0; i < (square ? SQUARE : 1); i++)
                packed[(size_t)at * (size_t)width + (size_t)(row + i)] =
                    row + i < count ? from[(size_t)i * pitch + (size_t)at] : 0;
        row += square ? SQUARE : 1;
    }
}

/* ---- products ---- */

INLINE void multiply_tile(const sift_tile *t, bool add, bool last) {
    vector sum[QUERIES][VECTORS];
    const float *query = t->queries, *row = t->rows;
#pragma GCC unroll 8
    for (int q = 0; q < QUERIES; q++)
#pragma GCC unroll 3
        for (int v = 0; v < VECTORS; v++)
            sum[q][v] = add ? load(t->sums + q * ROWS + v * LANES) : zero_vector();
    for (int i = 0; i < t->depth; i++, query += QUERIES, row += ROWS) {
        vector number[VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < VECTORS; v++)
            number[v] = load(row + v * LANES);
#pragma GCC unroll 8
        for (int q = 0; q < QUERIES; q++) {
            vector value = spread(query + q);
#pragma GCC unroll 3
            for (int v = 0; v < VECTORS; v++)
                sum[q][v] = multiply_add(value, number[v], sum[q][v]);
        }
    }
#pragma GCC unroll 8
    for (int q = 0; q < QUERIES; q++) {
        uint64_t hits = 0;
        if (last) {
            vector floor = spread(t->floor + q);
#pragma GCC unroll 3
            for (int v = 0; v < VECTORS; v++)
                hits |= (uint64_t)not_below(sum[q][v], floor) << (v * LANES);
            t->hits[q] = hits;
        }
        if (!last || hits) {
#pragma GCC unroll 3
            for (int v = 0; v < VECTORS; v++)
                store(t->sums + q * ROWS + v * LANES, sum[q][v]);
        }
    }
}

static void multiply(const sift_tile *t) {
    if (t->last && !t->add)
        multiply_tile(t, false, true);
    else if (t->last)
        multiply_tile(t, true, true);
    else if (!t->add)
        multiply_tile(t, false, false);
    else
        multiply_tile(t, true, false);
}

const sift_kernels KERNELS = {
    .queries = QUERIES,
    .rows = ROWS,
    .pack = pack,
    .multiply = multiply,
};
