/* What making views costs one core.
 *
 *     bench_views SIZE ROUNDS SHARD
 *
 * makes two views of every picture of the shard, as pre-training does, ROUNDS times, and prints the
 * pictures per second of processor time in each round, one per line. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/strings.h"
#include "image/loader.h"
#include "tests/unit/byol_augment.h"

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool run(int size, int rounds, const char *path, nnclr_error *e) {
    nnclr_shard_set *set = nnclr_shard_set_open(&path, 1, 1 << 30, e);
    if (!set)
        return false;
    int batch = (int)(nnclr_shard_set_count(set) < 32 ? nnclr_shard_set_count(set) : 32);
    int64_t steps = (int64_t)nnclr_shard_set_count(set) / batch;
    nnclr_loader_options options = {.augment = byol_augment(size),
                                    .batch = batch,
                                    .seed = 1,
                                    .steps = (rounds + 1) * steps,
                                    .threads = 1,
                                    .ahead = 1};
    nnclr_loader *loader = nnclr_loader_open(set, &options, e);
    bool ok = loader != NULL;
    for (int round = 0; ok && round <= rounds; round++) {
        double start = processor_seconds();
        for (int64_t step = 0; ok && step < steps; step++)
            ok = nnclr_loader_next(loader, e) != NULL;
        if (ok && round > 0) /* the first fills the cache and touches the memory */
            printf("%.1f\n", (double)(steps * batch) / (processor_seconds() - start));
    }
    nnclr_loader_close(loader);
    nnclr_shard_set_close(set);
    return ok;
}

int main(int argc, char **argv) {
    int64_t size, rounds;
    if (argc != 4 || !nnclr_parse_int(argv[1], 1, 4096, &size) ||
        !nnclr_parse_int(argv[2], 1, 1000, &rounds)) {
        fprintf(stderr, "usage: bench_views SIZE ROUNDS SHARD\n");
        return 2;
    }
    nnclr_error e = NNCLR_NO_ERROR;
    if (run((int)size, (int)rounds, argv[3], &e))
        return 0;
    fprintf(stderr, "bench_views: %s\n", e.message);
    return 1;
}
