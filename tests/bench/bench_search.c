/* The search of the support set, 256 queries in 98,304 rows of 256, compared with OpenBLAS with all
 * threads (the matrix of products, and the largest of each of its rows), in turns. Medians in
 * milliseconds.
 *
 * usage: bench_search [ROUNDS] */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/threads.h"
#include "engine/engine.h"

enum { M = 98304, D = 256, N = 256, MOST_ROUNDS = 99 };

static void fail(const char *why) {
    fprintf(stderr, "bench_search: %s\n", why);
    exit(1);
}

static double now_ms(void) {
    return 1e3 * nnclr_now();
}

/* ---- rows ---- */

typedef struct rows_kind {
    const char *name;
    int centres;  /* 0: none */
    double noise; /* length of what is added to a centre of length 1 */
} rows_kind;

static void draw(float *row, uint32_t stream, uint64_t number, double scale) {
    nnclr_rng rng = nnclr_rng_at(1, NNCLR_DRAW_SAMPLE, stream, number, 0);
    for (int i = 0; i < D; i += 2) {
        double pair[2];
        nnclr_rng_normal2(&rng, pair);
        row[i] += (float)(scale * pair[0]);
        row[i + 1] += (float)(scale * pair[1]);
    }
}

static void normalise(float *row) {
    double squares = 0;
    for (int i = 0; i < D; i++)
        squares += (double)row[i] * (double)row[i];
    for (int i = 0; i < D; i++)
        row[i] = (float)((double)row[i] / sqrt(squares));
}

static void make_rows(const rows_kind *kind, uint32_t stream, int count, float *rows) {
    memset(rows, 0, (size_t)count * D * sizeof *rows);
    for (int i = 0; i < count; i++, rows += D) {
        if (kind->centres > 0) {
            draw(rows, 9, (uint64_t)(i * 7919 % kind->centres), 1);
            normalise(rows);
        }
        draw(rows, stream, (uint64_t)i, kind->noise / sqrt(D));
        normalise(rows);
    }
}

/* ---- searches ---- */

typedef struct ours {
    nnclr_engine g;
    nnclr_search *search;
    int32_t *picks;
    float *scores;
} ours;

static void open_ours(ours *o, nnclr_precision precision, nnclr_pool *pool, const float *rows) {
    nnclr_error e = NNCLR_NO_ERROR;
    if (!nnclr_engine_open(&o->g, NNCLR_ENGINE_AUTO, precision, pool, &e))
        fail(e.message);
    o->search = o->g.table->search_create(&o->g, M, D, &e);
    o->picks = nnclr_alloc(N, sizeof *o->picks, &e);
    o->scores = nnclr_alloc(N, sizeof *o->scores, &e);
    if (!o->search || !o->picks || !o->scores)
        fail(e.message);
    o->g.table->search_update(&o->g, o->search, 0, M, rows);
}

static double run_ours(ours *o, const float *queries) {
    double start = now_ms();
    o->g.table->search_nearest(&o->g, o->search, queries, N, 1, NULL, o->picks, o->scores);
    return now_ms() - start;
}

static void close_ours(ours *o) {
    o->g.table->search_free(&o->g, o->search);
    nnclr_engine_close(&o->g);
    nnclr_free(o->picks);
    nnclr_free(o->scores);
}

typedef struct peer {
    const float *queries, *rows;
    float *products;
    int32_t *picks;
} peer;

static void largest_of_row(void *context, int query, int worker) {
    (void)worker;
    const peer *p = context;
    const float *products = p->products + (size_t)query * M;
    p->picks[query] = (int32_t)cblas_isamax(M, products, 1);
}

/* By magnitude, for which BLAS has a function; the largest products here are positive. */
static double run_peer(const peer *p, nnclr_pool *pool) {
    double start = now_ms();
    openblas_set_num_threads(nnclr_pool_threads(pool));
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, N, M, D, 1, p->queries, D, p->rows, D, 0,
                p->products, M);
    openblas_set_num_threads(1);
    nnclr_pool_for(pool, N, largest_of_row, (void *)(uintptr_t)p);
    return now_ms() - start;
}

/* ---- medians ---- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return values[count / 2];
}

int main(int argc, char **argv) {
    const rows_kind kinds[] = {{"random", 0, 1},
                               {"100 clusters", 100, 0.7},
                               {"1 cluster", 1, 0.5},
                               {"1 tight cluster", 1, 0.02}};
    const int rounds = argc > 1 ? atoi(argv[1]) : 15;
    if (rounds < 1 || rounds > MOST_ROUNDS)
        fail("ROUNDS is from 1 to 99");
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_pool *pool = nnclr_pool_create(nnclr_cpu_count(), &e);
    float *rows = nnclr_block_alloc((size_t)M * D * sizeof *rows, &e);
    float *queries = nnclr_block_alloc((size_t)N * D * sizeof *queries, &e);
    float *products = nnclr_block_alloc((size_t)N * M * sizeof *products, &e);
    int32_t *picks = nnclr_alloc(N, sizeof *picks, &e);
    if (!pool || !rows || !queries || !products || !picks)
        fail(e.message);
    printf("rows\topenblas_ms\tf32_ms\tratio\tbf16_ms\tratio\tengine\n");
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        make_rows(&kinds[k], 2, M, rows);
        make_rows(&kinds[k], 3, N, queries);
        ours f32, bf16;
        open_ours(&f32, NNCLR_PRECISION_F32, pool, rows);
        open_ours(&bf16, NNCLR_PRECISION_BF16, pool, rows);
        const peer blas = {queries, rows, products, picks};
        double times[3][MOST_ROUNDS];
        for (int i = -1; i < rounds; i++) { /* the first warms up */
            int at = i < 0 ? 0 : i;
            times[0][at] = run_peer(&blas, pool);
            times[1][at] = run_ours(&f32, queries);
            times[2][at] = run_ours(&bf16, queries);
        }
        if (memcmp(f32.picks, bf16.picks, N * sizeof *picks) != 0)
            fail("the picks of f32 and bf16 differ");
        const double peer_ms = median(times[0], rounds), f32_ms = median(times[1], rounds),
                     bf16_ms = median(times[2], rounds);
        printf("%s\t%.1f\t%.1f\t%.2f\t%.1f\t%.2f\t%s %s\n", kinds[k].name, peer_ms, f32_ms,
               peer_ms / f32_ms, bf16_ms, peer_ms / bf16_ms, bf16.g.table->name,
               bf16.g.vectors ? bf16.g.vectors : "none");
        close_ours(&bf16);
        close_ours(&f32);
    }
    nnclr_free(picks);
    nnclr_block_free(products, (size_t)N * M * sizeof *products);
    nnclr_block_free(queries, (size_t)N * D * sizeof *queries);
    nnclr_block_free(rows, (size_t)M * D * sizeof *rows);
    nnclr_pool_free(pool);
    return 0;
}
