/* Which rows have a large product with which query: a kernel of rows on the host, for neighbours,
 * for graphs and for the search of engines that are on the CPU, whatever engine trains. */
#ifndef NNCLR_ENGINE_SIFT_H
#define NNCLR_ENGINE_SIFT_H

#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/threads.h"

/* For each of n queries `take` is told of every one of `count` rows whose dot product with it is
 * not below floor[query], and perhaps of more. A product is within d roundings of |query| |row|.
 * `take` may raise floor[query]. It is called from any worker, for one query by one at a time, its
 * rows rising, with at most NNCLR_SIEVE_MOST of them. */
enum { NNCLR_SIEVE_MOST = 64 };
typedef struct nnclr_sieve {
    const void *queries, *rows; /* reals [n][d] and [count][d] */
    int n, count, d;
    const double *floor; /* [n] */
    void (*take)(void *context, int query, const int32_t *rows, const double *products, int hits);
    void *context;
    void *workspace; /* nnclr_sift_bytes, at a multiple of 64 */
} nnclr_sieve;

/* `real`, F32 or F64, is the type of queries and rows, and that of the sums. */
size_t nnclr_sift_bytes(const nnclr_pool *pool, nnclr_dtype real, int d);
/* Complete when it returns. An engine on the CPU has been opened: without vectors of ours its BLAS
 * multiplies. */
void nnclr_sift(nnclr_pool *pool, nnclr_dtype real, const nnclr_sieve *sieve);

#endif
