/* Candidates of a support set's search from products of bfloat16, in half the time of float's or
 * less. The rows are kept packed beside their floats, in the form of b, and queries become tiles:
 *
 *     rows     [m / 32][d / 32][2 halves of 32 rows][16 pairs of numbers][16 rows][2]
 *     queries  [n / 32][d / 32][32 queries][32 numbers]
 *
 * A block of rows, 16 KB if d is 256, stays in L1 while all queries pass by from L2, and is read
 * once from memory; of the 32 x 32 products in L1 only those not below their query's floor are
 * looked at. The search sums their scores anew (cpu/search.c), so the picks are those of float.
 *
 * With q' and r' for a query and a row rounded to bfloat16
 *
 *     q r - q' r' = (q - q') r + q' (r - r'),
 *
 * so by Cauchy and Schwarz they are at most |q - q'| |r| + |q'| |r - r'| apart, which are measured,
 * not bounded; the product's float sum adds d roundings of |q'| |r'|. If rows are so alike that
 * many are within that of the best, the sieve takes over. */
#include "engine/cpu/search.h"
#include "engine/tiles/bf16.h"
#include "engine/tiles/tiled.h"

#include <float.h>
#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"

enum {
    SCORED_SHARE = 64, /* one row of this many may be scored, */
    SCORED_FIRST = 8,  /* and this many for each query at the beginning; */
    REST = 15          /* otherwise this many searches begin without this sieve */
};

typedef struct packed_rows {
    const tile_kernels *kernels;
    int chunks;  /* of 32 numbers */
    bf16 *tiles; /* [blocks][chunks][32 x 32] */
    size_t tiles_bytes;
    float *length, *rest; /* [blocks]: the largest |r| and |r - r'| of a block's rows */
    double most_length, most_rest;
    bf16 *queries; /* [workers][SEARCH_QUERIES / 32][chunks][32 x 32] */
    atomic_int resting;
} packed_rows;

static int at_most(int a, int b) {
    return a < b ? a : b;
}

static size_t block_elements(const packed_rows *p) {
    return (size_t)p->chunks * SQUARE;
}

/* ---- rounding ---- */

CPU_WIDE static void round_numbers(const float *from, int count, bf16 *to) {
    for (int i = 0; i < count; i++)
        to[i] = bf16_from_float(from[i]);
}

/* Rows as tiles [chunks][32][32]. */
static void round_rows(const float *rows, int count, int d, bf16 *tiles) {
    for (int first = 0; first < d; first += BLOCK, tiles += SQUARE) {
        const int depth = at_most(BLOCK, d - first);
        if (count < BLOCK || depth < BLOCK)
            memset(tiles, 0, SQUARE * sizeof *tiles);
        for (int i = 0; i < count; i++)
            round_numbers(rows + (size_t)i * (size_t)d + first, depth, tiles + i * BLOCK);
    }
}

typedef struct lengths {
    double whole, rounded, rest;
} lengths;

CPU_WIDE static lengths measure(const float *row, int d) {
    float whole = 0, rounded = 0, rest = 0;
    for (int i = 0; i < d; i++) {
        const float v = row[i], r = bf16_to_float(bf16_from_float(v));
        whole += v * v;
        rounded += r * r;
        rest += (v - r) * (v - r);
    }
    /* Sums of d squares are within d roundings; what is too small for a square to be seen, or for
     * the CPU to multiply, is 1e-18 in length. */
    const double more = 1 + (d + 2) * (double)FLT_EPSILON, least = 1e-18 * sqrt(d);
    return (lengths){sqrt((double)whole) * more + least, sqrt((double)rounded) * more + least,
                     sqrt((double)rest) * more + least};
}

/* ---- rows ---- */

/* A row that is not finite has no bound: the search goes without this sieve while it is there. */
static void pack_block(nnclr_search *s, int block) {
    packed_rows *p = s->packed;
    const int first = block * BLOCK, count = at_most(BLOCK, s->m - first);
    const float *rows = s->rows + (size_t)first * (size_t)s->d;
    bf16 *to = p->tiles + (size_t)block * block_elements(p);
    float values[SQUARE];
    p->length[block] = p->rest[block] = 0;
    for (int i = 0; i < count; i++) {
        const lengths l = measure(rows + (size_t)i * (size_t)s->d, s->d);
        p->length[block] = isfinite(l.rounded) ? fmaxf(p->length[block], (float)l.whole) : INFINITY;
        p->rest[block] = fmaxf(p->rest[block], (float)l.rest);
    }
    for (int chunk = 0; chunk < p->chunks; chunk++, to += SQUARE) {
        const int at = chunk * BLOCK, depth = at_most(BLOCK, s->d - at);
        memset(values, 0, sizeof values);
        for (int i = 0; i < count; i++)
            for (int k = 0; k < depth; k++)
                values[k * BLOCK + i] = rows[(size_t)i * (size_t)s->d + at + k];
        p->kernels->pack(values, SQUARE, to);
    }
}

static void update(nnclr_search *s, int first, int count) {
    for (int block = first / BLOCK; block * BLOCK < first + count; block++)
        pack_block(s, block);
}

/* ---- queries ---- */

static bool begin(nnclr_search *s) {
    packed_rows *p = s->packed;
    p->most_length = p->most_rest = 0;
    for (int block = 0; block < tiled_blocks(s->m, BLOCK); block++) {
        p->most_length = fmax(p->most_length, (double)p->length[block]);
        p->most_rest = fmax(p->most_rest, (double)p->rest[block]);
    }
    const int resting = atomic_load(&p->resting);
    if (resting > 0)
        atomic_store(&p->resting, resting - 1);
    return resting == 0 && isfinite(p->most_length);
}

/* 1.001 for the rounding of these sums and of lengths to float. */
static float doubt(const nnclr_search *s, const float *query) {
    const packed_rows *p = s->packed;
    const lengths q = measure(query, s->d);
    const double unit = (double)FLT_EPSILON / 2, sums = 2.1 * (s->d + 2) * unit * 1.02;
    return (float)(1.001 * (q.rest * p->most_length + q.rounded * p->most_rest +
                            sums * q.whole * p->most_length));
}

/* The largest float that is not above x; a NaN stays one. */
static float float_below(double x) {
    const float near = (float)x;
    return (double)near > x ? nextafterf(near, -INFINITY) : near;
}

static void hand_out(const nnclr_sieve *sieve, int query, uint32_t hits, int first,
                     const float *products, float *floor) {
    int32_t row[BLOCK];
    double product[BLOCK];
    int count = 0;
    for (; hits; hits &= hits - 1) {
        const int i = __builtin_ctz(hits);
        row[count] = first + i;
        product[count++] = (double)products[i];
    }
    sieve->take(sieve->context, query, row, product, count);
    *floor = float_below(sieve->floor[query]);
}

/* All queries with a block of rows; `first` is the number of its first row in the sieve. */
static void sift_block(const packed_rows *p, const nnclr_sieve *sieve, const bf16 *queries,
                       const bf16 *rows, int first, float *floor) {
    const tile_term term = {0, 0};
    _Alignas(64) float products[SQUARE];
    uint32_t hits[BLOCK];
    tile_product product = {.terms = &term,
                            .count = 1,
                            .chunks = p->chunks,
                            .b = rows,
                            .columns = at_most(BLOCK, sieve->count - first),
                            .depth = tiled_within(sieve->d, BLOCK, p->chunks - 1),
                            .a_stride = BLOCK,
                            .b_stride = BLOCK,
                            .sums = products};
    const uint32_t there = product.columns == BLOCK ? UINT32_MAX : (1u << product.columns) - 1;
    for (int q = 0; q < sieve->n; q += BLOCK) {
        product.a = queries + (size_t)(q / BLOCK) * block_elements(p);
        product.rows = at_most(BLOCK, sieve->n - q);
        p->kernels->multiply(&product);
        if (!p->kernels->reach(products, product.rows, floor + q, hits))
            continue;
        for (int i = 0; i < product.rows; i++)
            if (hits[i] & there)
                hand_out(sieve, q + i, hits[i] & there, first, products + i * BLOCK, floor + q + i);
    }
}

static int sift(nnclr_search *s, const nnclr_sieve *sieve, int first, const int64_t *scored,
                int worker) {
    packed_rows *p = s->packed;
    const size_t d = (size_t)sieve->d;
    bf16 *queries = p->queries + (size_t)worker * (SEARCH_QUERIES / BLOCK) * block_elements(p);
    float floor[SEARCH_QUERIES];
    for (int q = 0; q < sieve->n; q += BLOCK)
        round_rows((const float *)sieve->queries + (size_t)q * d, at_most(BLOCK, sieve->n - q),
                   sieve->d, queries + (size_t)(q / BLOCK) * block_elements(p));
    for (int i = 0; i < sieve->n; i++)
        floor[i] = float_below(sieve->floor[i]);
    int done = 0;
    p->kernels->begin();
    while (done < sieve->count) {
        const bf16 *rows = p->tiles + (size_t)((first + done) / BLOCK) * block_elements(p);
        sift_block(p, sieve, queries, rows, done, floor);
        done = at_most(done + BLOCK, sieve->count);
        if (*scored > (int64_t)sieve->n * (SCORED_FIRST + done / SCORED_SHARE)) {
            atomic_store(&p->resting, REST);
            break;
        }
    }
    p->kernels->end();
    return done;
}

/* ---- the search ---- */

static void free_packed(nnclr_search *s) {
    packed_rows *p = s->packed;
    nnclr_free(p->queries);
    nnclr_free(p->rest);
    nnclr_free(p->length);
    if (p->tiles)
        nnclr_block_free(p->tiles, p->tiles_bytes);
    nnclr_free(p);
    s->packed = NULL;
}

static const search_filter bf16_filter = {
    .update = update, .begin = begin, .doubt = doubt, .sift = sift, .free = free_packed};

static bool create_packed(nnclr_engine *g, nnclr_search *s, nnclr_error *e) {
    packed_rows *p = s->packed = nnclr_alloc_zero(1, sizeof *p, e);
    if (!p)
        return false;
    s->filter = &bf16_filter;
    const size_t blocks = (size_t)tiled_blocks(s->m, BLOCK),
                 workers = (size_t)nnclr_pool_threads(g->pool);
    p->kernels = ((const tiled_state *)g->state)->search;
    p->chunks = tiled_blocks(s->d, BLOCK);
    if (!nnclr_size_mul(blocks * SQUARE * sizeof(bf16), (size_t)p->chunks, &p->tiles_bytes))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "a support set of %d rows of %d is too large", s->m,
                          s->d);
    p->tiles = nnclr_block_alloc(p->tiles_bytes, e);
    p->length = p->tiles ? nnclr_alloc_zero(blocks, sizeof *p->length, e) : NULL;
    p->rest = p->length ? nnclr_alloc_zero(blocks, sizeof *p->rest, e) : NULL;
    if (p->rest)
        p->queries = nnclr_alloc(workers * SEARCH_QUERIES / BLOCK,
                                 block_elements(p) * sizeof *p->queries, e);
    return p->queries != NULL;
}

nnclr_search *nnclr_tiled_search_create(nnclr_engine *g, int m, int d, nnclr_error *e) {
    nnclr_search *s = CPU(search_create)(g, m, d, e);
    if (!s || !((const tiled_state *)g->state)->search || create_packed(g, s, e))
        return s;
    CPU(search_free)(g, s);
    return NULL;
}
