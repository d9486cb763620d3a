/* Products of rows with queries in registers, from which only large ones are let out: what the
 * sieve of the cpu engine (nnclr_sieve) and its kernels agree on.
 *
 * A tile is `queries` queries times `rows` rows. Both are packed with their numbers side by side,
 * [number][query] and [number][row]: a query's number is spread over a vector and multiplied with
 * those of the rows. Long rows go through in pieces of SIFT_DEPTH numbers, between which the sums
 * stay in memory. A product is one chain of fused multiply-adds from the first number to the last,
 * so kernels of all widths give the same bits, and equal rows get equal ones wherever they are. */
#ifndef NNCLR_ENGINE_CPU_SIMD_SIFT_H
#define NNCLR_ENGINE_CPU_SIMD_SIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIFT_DEPTH = 512, SIFT_MOST_QUERIES = 8, SIFT_MOST_ROWS = 48 };

typedef struct sift_tile {
    const float *queries, *rows; /* packed, `depth` numbers of each */
    int depth;
    bool add;  /* the sums go on; otherwise they begin at 0 */
    bool last; /* no piece follows: hits are wanted */
    float
        *sums; /* [queries][rows]; after the last piece only those of queries with a hit are set */
    const float *floor; /* [queries] */
    uint64_t *hits;     /* [queries]: bit i: the product with row i is not below the floor */
} sift_tile;

typedef struct sift_kernels {
    int queries, rows; /* of a tile */
    /* packed [depth][width] = the first `depth` numbers of `count` rows that are `pitch` apart, and
     * zeros after those rows. */
    void (*pack)(const float *rows, size_t pitch, int count, int depth, int width, float *packed);
    void (*multiply)(const sift_tile *tile);
} sift_kernels;

extern const sift_kernels nnclr_sift_avx2, nnclr_sift_avx512; /* x86-64 only */

#endif
