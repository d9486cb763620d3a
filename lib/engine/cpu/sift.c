/* Which rows have a large product with which query (engine/sift.h): if the CPU has
 * kernels of ours for float, without a matrix of products; otherwise by blocks of one. */
#include "engine/cpu/sift.h"

#include "engine/cpu/cpu.h"
#include "engine/cpu/simd/sift.h"
#include "engine/simd.h"

enum {
    KERNEL_QUERIES = 512,   /* packed at a time, for which rows are packed once, */
    KERNEL_REALS = 1 << 20, /* or fewer, if they are very long */
    MATRIX_QUERIES = 256,
    MATRIX_ROWS = 512,
    STRETCH = NNCLR_SIEVE_MOST,
    TASKS_A_WORKER = 4
};

static int at_most(int a, int b) {
    return a < b ? a : b;
}

typedef struct block {
    const nnclr_sieve *sieve;
    int first, n; /* of its queries */
    real *scratch;
} block;

static const real *row_at(const void *rows, int d, int row) {
    return (const real *)rows + (size_t)row * (size_t)d;
}

/* ---- by a matrix of products ---- */

static CPU_WIDE bool any_reaches(const real *products, int count, double floor) {
    int reaches = 0;
    for (int i = 0; i < count; i++)
        reaches |= (double)products[i] >= floor;
    return reaches != 0;
}

/* Products of one query with rows `first` and on. Most stretches hold nothing, which any_reaches
 * sees quickly. */
static void scan(const nnclr_sieve *s, int query, const real *products, int first, int count) {
    for (int from = 0; from < count; from += STRETCH) {
        const int until = from + at_most(STRETCH, count - from);
        const double floor = s->floor[query];
        double product[STRETCH];
        int32_t row[STRETCH];
        int hits = 0;
        if (!any_reaches(products + from, until - from, floor))
            continue;
        for (int i = from; i < until; i++)
            if ((double)products[i] >= floor) {
                row[hits] = first + i;
                product[hits++] = (double)products[i];
            }
        s->take(s->context, query, row, product, hits);
    }
}

static void sift_by_matrix(const block *b) {
    const nnclr_sieve *s = b->sieve;
    for (int first = 0; first < s->count; first += MATRIX_ROWS) {
        const int count = at_most(MATRIX_ROWS, s->count - first);
        gemm_block(false, true, b->n, count, s->d, 1, row_at(s->queries, s->d, b->first), s->d,
                   row_at(s->rows, s->d, first), s->d, 0, b->scratch, MATRIX_ROWS);
        for (int i = 0; i < b->n; i++)
            scan(s, b->first + i, b->scratch + (size_t)i * MATRIX_ROWS, first, count);
    }
}

/* ---- by kernels ---- */

/* Those of the width that NNCLR_SIMD stands for. Engines that convolve with it tell what is wrong
 * with it. */
const sift_kernels *CPU(sift_kernels)(void) {
#if HAS_SIMD
    nnclr_error wrong = NNCLR_NO_ERROR;
    nnclr_simd simd;
    if (nnclr_simd_choose(&simd, &wrong) && simd != NNCLR_SIMD_NONE)
        return simd == NNCLR_SIMD_AVX512 ? &nnclr_sift_avx512 : &nnclr_sift_avx2;
#endif
    return NULL;
}

#if HAS_SIMD
static int kernel_queries(int d) {
    const int queries = at_most(KERNEL_QUERIES, KERNEL_REALS / d);
    return queries < SIFT_MOST_QUERIES ? SIFT_MOST_QUERIES
                                       : queries / SIFT_MOST_QUERIES * SIFT_MOST_QUERIES;
}

/* Scratch for a block of queries. */
typedef struct kernel_scratch {
    float *rows;    /* packed: a piece of a tile's */
    float *sums;    /* [queries][rows of a tile] */
    float *queries; /* packed: [piece of d][tile of queries][depth][queries of a tile] */
    float *floor;   /* [queries], no larger than the sieve's */
} kernel_scratch;

static size_t kernel_reals(int d) {
    const size_t queries = (size_t)kernel_queries(d);
    return queries * (size_t)d + (size_t)SIFT_DEPTH * SIFT_MOST_ROWS + queries * SIFT_MOST_ROWS +
           queries;
}

static kernel_scratch kernel_parts(float *scratch, int d) {
    const size_t queries = (size_t)kernel_queries(d);
    kernel_scratch parts = {.rows = scratch};
    parts.sums = parts.rows + (size_t)SIFT_DEPTH * SIFT_MOST_ROWS;
    parts.queries = parts.sums + queries * SIFT_MOST_ROWS;
    parts.floor = parts.queries + queries * (size_t)d;
    return parts;
}

/* The largest float that is not above x; a NaN stays one. */
static float float_below(double x) {
    const float near = (float)x;
    return (double)near > x ? nextafterf(near, -INFINITY) : near;
}

static void hand_out(const nnclr_sieve *s, int query, uint64_t hits, int first, const float *sums,
                     float *floor) {
    int32_t row[SIFT_MOST_ROWS];
    double product[SIFT_MOST_ROWS];
    int count = 0;
    for (; hits; hits &= hits - 1) {
        const int i = __builtin_ctzll(hits);
        row[count] = first + i;
        product[count++] = (double)sums[i];
    }
    s->take(s->context, query, row, product, count);
    *floor = float_below(s->floor[query]);
}

/* A piece of all tiles of queries with that of the tile of rows `first` and on. */
static void multiply_piece(const sift_kernels *kernels, const block *b, kernel_scratch *scratch,
                           int first, int count, int from, int depth) {
    const nnclr_sieve *s = b->sieve;
    const int padded = (b->n + kernels->queries - 1) / kernels->queries * kernels->queries;
    const uint64_t there = (UINT64_C(1) << count) - 1;
    for (int q = 0; q < b->n; q += kernels->queries) {
        uint64_t hits[SIFT_MOST_QUERIES];
        const sift_tile tile = {.queries = scratch->queries + (size_t)from * (size_t)padded +
                                           (size_t)q * (size_t)depth,
                                .rows = scratch->rows,
                                .depth = depth,
                                .add = from > 0,
                                .last = from + depth == s->d,
                                .sums = scratch->sums + (size_t)q * (size_t)kernels->rows,
                                .floor = scratch->floor + q,
                                .hits = hits};
        kernels->multiply(&tile);
        for (int i = 0; tile.last && i < at_most(kernels->queries, b->n - q); i++)
            if (hits[i] & there)
                hand_out(s, b->first + q + i, hits[i] & there, first,
                         tile.sums + (size_t)i * (size_t)kernels->rows, scratch->floor + q + i);
    }
}

static void pack_queries(const sift_kernels *kernels, const block *b, kernel_scratch *scratch) {
    const nnclr_sieve *s = b->sieve;
    float *to = scratch->queries;
    for (int from = 0; from < s->d; from += SIFT_DEPTH) {
        const int depth = at_most(SIFT_DEPTH, s->d - from);
        for (int q = 0; q < b->n; q += kernels->queries) {
            kernels->pack(row_at(s->queries, s->d, b->first + q) + from, (size_t)s->d,
                          at_most(kernels->queries, b->n - q), depth, kernels->queries, to);
            to += (size_t)depth * (size_t)kernels->queries;
        }
    }
}

static void sift_by_kernels(const sift_kernels *kernels, const block *b) {
    const nnclr_sieve *s = b->sieve;
    kernel_scratch scratch = kernel_parts(b->scratch, s->d);
    for (int i = 0; i < b->n; i++)
        scratch.floor[i] = float_below(s->floor[b->first + i]);
    for (int i = b->n; i % kernels->queries; i++)
        scratch.floor[i] = INFINITY;
    pack_queries(kernels, b, &scratch);
    for (int first = 0; first < s->count; first += kernels->rows) {
        const int count = at_most(kernels->rows, s->count - first);
        for (int from = 0; from < s->d; from += SIFT_DEPTH) {
            const int depth = at_most(SIFT_DEPTH, s->d - from);
            kernels->pack(row_at(s->rows, s->d, first) + from, (size_t)s->d, count, depth,
                          kernels->rows, scratch.rows);
            multiply_piece(kernels, b, &scratch, first, count, from, depth);
        }
    }
}
#endif

/* ---- both ---- */

/* The most queries that go through at once, and the scratch that they need. */
static int block_queries(const sift_kernels *kernels, int d) {
#if HAS_SIMD
    if (kernels)
        return kernel_queries(d);
#endif
    (void)kernels, (void)d;
    return MATRIX_QUERIES;
}

/* A multiple of the vectors, as are all parts: a load must not need two cache lines. */
size_t CPU(sift_reals)(const sift_kernels *kernels, int d) {
#if HAS_SIMD
    if (kernels)
        return (kernel_reals(d) + 15) / 16 * 16;
#endif
    (void)kernels, (void)d;
    return (size_t)MATRIX_QUERIES * MATRIX_ROWS;
}

static void sift_block(const sift_kernels *kernels, const block *b) {
#if HAS_SIMD
    if (kernels) {
        sift_by_kernels(kernels, b);
        return;
    }
#endif
    (void)kernels;
    sift_by_matrix(b);
}

void CPU(sift_queries)(const sift_kernels *kernels, const nnclr_sieve *s, int first, int count,
                       real *scratch) {
    const int most = block_queries(kernels, s->d);
    for (int end = first + count; first < end; first += most) {
        const block b = {.sieve = s, .first = first, .n = at_most(most, end - first), scratch};
        sift_block(kernels, &b);
    }
}

typedef struct sift_call {
    const sift_kernels *kernels;
    const nnclr_sieve *sieve;
    int queries; /* of a task */
} sift_call;

static void sift_task(void *context, int task, int worker) {
    const sift_call *call = context;
    const nnclr_sieve *s = call->sieve;
    const int first = task * call->queries;
    CPU(sift_queries)
    (call->kernels, s, first, at_most(call->queries, s->n - first),
     (real *)s->workspace + (size_t)worker * CPU(sift_reals)(call->kernels, s->d));
}

size_t CPU(sift_bytes)(const nnclr_pool *pool, int d) {
    return (size_t)nnclr_pool_threads(pool) * CPU(sift_reals)(CPU(sift_kernels)(), d) *
           sizeof(real);
}

/* Queries are shared out as they come: what is handed out does not depend on how. */
void CPU(sift)(nnclr_pool *pool, const nnclr_sieve *s) {
    const sift_kernels *kernels = CPU(sift_kernels)();
    const int enough = TASKS_A_WORKER * nnclr_pool_threads(pool),
              most = block_queries(kernels, s->d);
    int each = (s->n + enough - 1) / enough;
    each = (each + SIFT_MOST_QUERIES - 1) / SIFT_MOST_QUERIES * SIFT_MOST_QUERIES;
    sift_call call = {.kernels = kernels, .sieve = s, .queries = at_most(each, most)};
    if (s->n > 0)
        nnclr_pool_for(pool, (s->n + call.queries - 1) / call.queries, sift_task, &call);
}
