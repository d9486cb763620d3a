#include "tests/bench/machine_limit.h"

#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "engine/tiles/bf16.h"
#include "engine/tiles/tiles.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { ROUNDS = 15, WORK = 1 << 25 /* vectors that a task multiplies in a round */ };

typedef struct measure {
    const tile_kernels *kernels; /* NULL: fused multiply-adds */
    const char *vectors;
    int terms, chunks, calls;
    bf16 *a, *b;  /* all workers' tiles */
    float *sums;  /* a tile each, or 16 reals */
    double flops; /* of a task */
} measure;

/* ---- fused multiply-adds ---- */

enum { CHAINS = 16, SHORT_CHAINS = 12 };

#ifdef __x86_64__

__attribute__((target("avx512f"))) static void fused_avx512(float *out, int rounds) {
    __m512 sum[CHAINS], x = _mm512_set1_ps(.5f), y = _mm512_loadu_ps(out);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (int round = 0; round < rounds; round++)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], x, y);
    for (int i = 1; i < CHAINS; i++)
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    _mm512_storeu_ps(out, sum[0]);
}

/* 8 lanes; twelve chains leave registers for the factors. */
__attribute__((target("avx2,fma"))) static void fused_avx2(float *out, int rounds) {
    __m256 sum[SHORT_CHAINS], x = _mm256_set1_ps(.5f), y = _mm256_loadu_ps(out);
#pragma GCC unroll 12
    for (int i = 0; i < SHORT_CHAINS; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (int round = 0; round < rounds; round++)
#pragma GCC unroll 12
        for (int i = 0; i < SHORT_CHAINS; i++)
            sum[i] = _mm256_fmadd_ps(sum[i], x, y);
    for (int i = 1; i < SHORT_CHAINS; i++)
        sum[0] = _mm256_add_ps(sum[0], sum[i]);
    _mm256_storeu_ps(out, sum[0]);
}

#endif

/* What a compiler makes of products and sums without being told about the CPU. */
static void plain(float *out, int rounds) {
    float sum[CHAINS][4], y[4];
    memcpy(y, out, sizeof y);
    memset(sum, 0, sizeof sum);
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < CHAINS; i++)
            for (int lane = 0; lane < 4; lane++)
                sum[i][lane] = sum[i][lane] * .5f + y[lane];
    for (int i = 0; i < CHAINS; i++)
        for (int lane = 0; lane < 4; lane++)
            out[lane] += sum[i][lane];
}

/* Returns the operations that it took. */
static double fuse(const char *vectors, float *out) {
    enum { TIMES = WORK / CHAINS };
#ifdef __x86_64__
    if (vectors && strcmp(vectors, "avx512") == 0) {
        fused_avx512(out, TIMES);
        return 2.0 * 16 * CHAINS * TIMES;
    }
    if (vectors && strcmp(vectors, "avx2") == 0) {
        fused_avx2(out, TIMES);
        return 2.0 * 8 * SHORT_CHAINS * TIMES;
    }
#endif
    plain(out, TIMES);
    return 2.0 * 4 * CHAINS * TIMES;
}

/* ---- tiles ---- */

static void multiply_tiles(const measure *m, int worker) {
    tile_term terms[BLOCK];
    const size_t side = (size_t)m->terms * (size_t)m->chunks * SQUARE;
    for (int i = 0; i < m->terms; i++)
        terms[i].a = terms[i].b = (size_t)i * (size_t)m->chunks * SQUARE * sizeof(bf16);
    const tile_product product = {.terms = terms,
                                  .count = m->terms,
                                  .chunks = m->chunks,
                                  .a = m->a + (size_t)worker * side,
                                  .b = m->b + (size_t)worker * side,
                                  .rows = BLOCK,
                                  .columns = BLOCK,
                                  .depth = BLOCK,
                                  .a_stride = BLOCK,
                                  .b_stride = BLOCK,
                                  .sums = m->sums + (size_t)worker * SQUARE};
    m->kernels->begin();
    for (int call = 0; call < m->calls; call++)
        m->kernels->multiply(&product);
    m->kernels->end();
}

static void work(void *context, int task, int worker) {
    (void)worker;
    const measure *m = context;
    if (m->kernels)
        multiply_tiles(m, task);
    else
        fuse(m->vectors, m->sums + (size_t)task * SQUARE);
}

/* ---- */

static const tile_kernels *kernels_of(const nnclr_engine *g) {
    bool tiles = strcmp(g->table->precision, "bf16") == 0;
#ifdef __x86_64__
    if (strcmp(g->table->name, "amx") == 0)
        return &nnclr_tiles_bf16_amx;
    if (tiles && g->vectors && strcmp(g->vectors, "avx512-bf16") == 0)
        return &nnclr_tiles_bf16_avx512bf16;
#endif
    return tiles && !g->vectors ? &nnclr_tiles_bf16_portable : NULL;
}

/* The best of some rounds: disturbances can only slow it down. */
static double best_rate(measure *m, nnclr_pool *pool) {
    double best = 0;
    const int threads = nnclr_pool_threads(pool);
    for (int round = 0; round < ROUNDS; round++) {
        double start = nnclr_now();
        nnclr_pool_for(pool, threads, work, m);
        double rate = 1e-9 * threads * m->flops / (nnclr_now() - start);
        if (rate > best)
            best = rate;
    }
    return best;
}

static void fill(bf16 *to, size_t count) {
    for (size_t i = 0; i < count; i++)
        to[i] = (bf16)(0x3f00 + i * 7 % 97); /* from 0.5 to 0.88 */
}

bool machine_limit(const nnclr_engine *g, double *gflops, nnclr_error *e) {
    static const struct {
        int terms, chunks; /* 32 KB of a and b, and 288 KB */
    } sizes[] = {{1, 8}, {9, 8}};
    const size_t workers = (size_t)nnclr_pool_threads(g->pool), most = 9 * 8;
    measure m = {.kernels = kernels_of(g), .vectors = g->vectors};
    m.a = nnclr_alloc(workers * most, SQUARE * sizeof *m.a, e);
    m.b = nnclr_alloc(workers * most, SQUARE * sizeof *m.b, e);
    m.sums = nnclr_alloc_zero(workers, SQUARE * sizeof *m.sums, e);
    bool ok = m.a && m.b && m.sums;
    *gflops = 0;
    /* Not of zeros, and what is halved with 1 added stays near 2. */
    for (size_t i = 0; ok && i < workers * SQUARE; i++)
        m.sums[i] = 1;
    if (ok) {
        fill(m.a, workers * most * SQUARE);
        fill(m.b, workers * most * SQUARE);
    }
    for (size_t i = 0; ok && i < sizeof sizes / sizeof *sizes; i++) {
        m.terms = sizes[i].terms;
        m.chunks = sizes[i].chunks;
        const int products = m.terms * m.chunks;
        if (m.kernels) {
            m.calls = WORK / (BLOCK * BLOCK * products);
            m.flops = 2.0 * SQUARE * BLOCK * products * m.calls;
        } else {
            m.flops = fuse(m.vectors, m.sums);
        }
        double rate = best_rate(&m, g->pool);
        if (rate > *gflops)
            *gflops = rate;
    }
    nnclr_free(m.sums);
    nnclr_free(m.b);
    nnclr_free(m.a);
    return ok;
}
