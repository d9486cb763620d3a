/* The exact neighbour graph of N random rows of D numbers: seconds on standard output, the rows
 * and the neighbours into files, for a peer to find the same.
 *
 * usage: bench_graph N D K ROWS_FILE NEIGHBOURS_FILE */
#include <stdio.h>
#include <stdlib.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "eval/neighbours.h"

static void fail(const char *why) {
    fprintf(stderr, "bench_graph: %s\n", why);
    exit(1);
}

static void write_file(const char *path, const void *bytes, size_t count, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, size, count, file) != count || fclose(file) != 0)
        fail("cannot write a file");
}

int main(int argc, char **argv) {
    nnclr_error e = NNCLR_NO_ERROR;
    if (argc != 6)
        fail("usage: bench_graph N D K ROWS_FILE NEIGHBOURS_FILE");
    const int64_t n = atoll(argv[1]);
    const int d = atoi(argv[2]), k = atoi(argv[3]);
    float *rows = nnclr_alloc((size_t)n, (size_t)d * sizeof *rows, &e);
    int64_t *record = nnclr_alloc((size_t)n, sizeof *record, &e);
    nnclr_neighbour *found = nnclr_alloc((size_t)n, (size_t)k * sizeof *found, &e);
    int64_t *neighbour = nnclr_alloc((size_t)n, (size_t)k * sizeof *neighbour, &e);
    if (!rows || !record || !found || !neighbour)
        fail(e.message);
    for (int64_t i = 0; i < n; i++) {
        nnclr_rng rng = nnclr_rng_at(1, NNCLR_DRAW_SAMPLE, 0, (uint64_t)i, 0);
        record[i] = i;
        for (int j = 0; j < d; j += 2) {
            double pair[2];
            nnclr_rng_normal2(&rng, pair);
            rows[i * d + j] = (float)pair[0];
            if (j + 1 < d)
                rows[i * d + j + 1] = (float)pair[1];
        }
    }
    write_file(argv[4], rows, (size_t)n * (size_t)d, sizeof *rows);

    nnclr_engine engine = {0};
    nnclr_pool *pool = nnclr_pool_create(nnclr_cpu_count(), &e);
    if (!pool || !nnclr_engine_open(&engine, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F32, pool, &e))
        fail(e.message);
    const nnclr_row_source source = nnclr_rows_in_memory(rows, n, d);
    const nnclr_nearest_options options = {.k = k, .bank_record = record, .exclude = record};
    double start = nnclr_now();
    if (!nnclr_nearest(pool, &source, rows, n, &options, found, &e))
        fail(e.message);
    printf("%.3f\n", nnclr_now() - start);
    for (int64_t i = 0; i < n * k; i++)
        neighbour[i] = found[i].row;
    write_file(argv[5], neighbour, (size_t)n * (size_t)k, sizeof *neighbour);
    nnclr_engine_close(&engine);
    nnclr_pool_free(pool);
    nnclr_free(neighbour);
    nnclr_free(found);
    nnclr_free(record);
    nnclr_free(rows);
    return 0;
}
