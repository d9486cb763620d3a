/* Speed of each distinct convolution of ResNet-18 with the 32x32 stem, and of the batch norms after
 * them.
 *
 *     bench_conv [THREADS [WIDTH [BATCH]]]
 *
 * prints milliseconds and GFLOP/s for two views of BATCH pictures (default 128), WIDTH (64) being
 * the channels of the first stage. Figures compare only within one run on a quiet machine. */
#include <stdio.h>
#include <stdlib.h>

#include "base/files.h"
#include "engine/engine.h"

typedef struct layer {
    const char *name;
    int ci, co; /* in multiples of the width; 0: the three colours */
    int kernel, stride, size;
    int times; /* in the network */
} layer;

static const layer layers[] = {
    {"stem", 0, 1, 3, 1, 32, 1},         {"layer1", 1, 1, 3, 1, 32, 4},
    {"layer2 first", 1, 2, 3, 2, 32, 1}, {"layer2 down", 1, 2, 1, 2, 32, 1},
    {"layer2", 2, 2, 3, 1, 16, 3},       {"layer3 first", 2, 4, 3, 2, 16, 1},
    {"layer3 down", 2, 4, 1, 2, 16, 1},  {"layer3", 4, 4, 3, 1, 8, 3},
    {"layer4 first", 4, 8, 3, 2, 8, 1},  {"layer4 down", 4, 8, 1, 2, 8, 1},
    {"layer4", 8, 8, 3, 1, 4, 3},
};

enum { LAYERS = sizeof layers / sizeof layers[0], CALLS = 6 };

static const char *const call_names[CALLS] = {"forward", "data",    "weights",
                                              "bn",      "bn back", "pack"};

enum { BLOCKS = 24 };

typedef struct bench {
    nnclr_engine g;
    float *blocks[BLOCKS];
    size_t bytes[BLOCKS];
    int count;
    nnclr_conv_plan *plan;
    nnclr_tensor x, y, dx, dy;
    void *packed, *weights, *dweights, *workspace, *sums;
    nnclr_batchnorm_call norm;
} bench;

static void die(const nnclr_error *e) {
    fprintf(stderr, "bench_conv: %s\n", e->message);
    exit(1);
}

static void *memory(bench *b, size_t bytes) {
    size_t count = bytes / sizeof(float);
    nnclr_error e = NNCLR_NO_ERROR;
    float *values = b->g.table->arena_create(&b->g, count * sizeof *values, &e);
    if (!values || b->count == BLOCKS)
        die(&e);
    b->blocks[b->count] = values;
    b->bytes[b->count++] = count * sizeof *values;
    unsigned state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) / (float)(1 << 24) - .5f;
    }
    return values;
}

static void *reals(bench *b, size_t count) {
    return memory(b, count * sizeof(float));
}

static nnclr_tensor tensor(bench *b, nnclr_shape s) {
    size_t bytes = b->g.table->tensor_bytes(&b->g, s, NNCLR_ACTIVATION);
    return (nnclr_tensor){s, NNCLR_ACTIVATION, memory(b, bytes)};
}

static void prepare(bench *b, const layer *l, int width, int batch) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_conv conv = {.ci = l->ci ? l->ci * width : 3,
                       .co = l->co * width,
                       .kernel = l->kernel,
                       .stride = l->stride,
                       .pad = l->kernel / 2};
    nnclr_shape in = {2, batch, l->size, l->size, conv.ci};
    b->plan = b->g.table->conv_plan(&b->g, &conv, in, &e);
    if (!b->plan)
        die(&e);
    size_t count = (size_t)conv.co * (size_t)(conv.ci * conv.kernel * conv.kernel);
    size_t c = (size_t)conv.co;
    b->x = tensor(b, in);
    b->dx = tensor(b, in);
    b->y = tensor(b, b->plan->out);
    b->dy = tensor(b, b->plan->out);
    b->weights = reals(b, count);
    b->dweights = reals(b, count);
    b->packed = memory(b, b->plan->packed_bytes);
    b->workspace = memory(b, b->plan->workspace_bytes);
    b->sums = memory(b, b->g.table->statistics_bytes(&b->g, 2, conv.co));
    b->norm = (nnclr_batchnorm_call){.main = {.x = &b->y,
                                              .gamma = reals(b, c),
                                              .beta = reals(b, c),
                                              .running_mean = reals(b, c),
                                              .running_var = reals(b, c),
                                              .sums = b->sums,
                                              .saved = reals(b, 8 * c),
                                              .n = b->y.shape.n,
                                              .slopes = reals(b, 8 * c),
                                              .dgamma = reals(b, c),
                                              .dbeta = reals(b, c),
                                              .dx = &b->dy},
                                     .relu = true,
                                     .y = &b->dy,
                                     .dy = &b->dy};
}

static void run(bench *b, int call) {
    const nnclr_engine_table *t = b->g.table;
    switch (call) {
    case 0:
        t->conv_forward(&b->g, b->plan, &b->x, b->packed, &b->y, b->sums, b->workspace);
        break;
    case 1:
        t->conv_backward_data(&b->g, b->plan, &b->dy, b->packed, &b->dx, false, b->workspace);
        break;
    case 2:
        t->conv_backward_weights(&b->g, b->plan, &b->x, &b->dy, b->dweights, false, b->workspace);
        break;
    case 3:
        t->batchnorm_train(&b->g, &b->norm);
        break;
    case 4:
        t->batchnorm_slopes(&b->g, &b->norm);
        t->batchnorm_backward(&b->g, &b->norm);
        break;
    default:
        t->conv_pack(&b->g, b->plan, b->weights, b->packed);
    }
}

/* The fastest of a few, in seconds. */
static double best_time(bench *b, int call) {
    double best = 1e9, spent = 0;
    run(b, call);
    for (int i = 0; i < 3 || (spent < .1 && i < 20); i++) {
        double start = nnclr_now();
        run(b, call);
        double seconds = nnclr_now() - start;
        spent += seconds;
        if (seconds < best)
            best = seconds;
    }
    return best;
}

static int argument(int argc, char **argv, int i, int otherwise) {
    int value = i < argc ? atoi(argv[i]) : otherwise;
    return value > 0 ? value : otherwise;
}

int main(int argc, char **argv) {
    nnclr_error e = NNCLR_NO_ERROR;
    int threads = argument(argc, argv, 1, nnclr_cpu_count());
    int width = argument(argc, argv, 2, 64), batch = argument(argc, argv, 3, 128);
    double total[CALLS] = {0};
    nnclr_pool *pool = nnclr_pool_create(threads, &e);
    if (!pool)
        die(&e);
    printf("%d threads, width %d, 2 x %d pictures: ms (GFLOP/s)\n%-13s", threads, width, batch, "");
    for (int call = 0; call < CALLS; call++)
        printf("%16s", call_names[call]);
    printf("\n");
    for (int i = 0; i < LAYERS; i++) {
        bench b = {.plan = NULL};
        if (!nnclr_engine_open(&b.g, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F32, pool, &e))
            die(&e);
        prepare(&b, &layers[i], width, batch);
        nnclr_conv conv = b.plan->conv;
        double products = 2.0 * batch * b.plan->out.h * b.plan->out.w * conv.co * conv.ci *
                          conv.kernel * conv.kernel;
        printf("%-13s", layers[i].name);
        for (int call = 0; call < CALLS; call++) {
            double seconds = best_time(&b, call);
            total[call] += seconds * layers[i].times;
            printf("%9.2f", 1e3 * seconds);
            if (call < 3)
                printf(" (%4.0f)", 2e-9 * products / seconds);
            else
                printf("%7s", "");
        }
        printf("\n");
        while (b.count-- > 0)
            b.g.table->arena_free(&b.g, b.blocks[b.count], b.bytes[b.count]);
        b.g.table->conv_plan_free(&b.g, b.plan);
        nnclr_engine_close(&b.g);
    }
    printf("%-13s", "network");
    double sum = 0;
    for (int call = 0; call < CALLS; call++) {
        printf("%9.2f%7s", 1e3 * total[call], "");
        sum += total[call];
    }
    printf("\n%.1f pictures/s\n", batch / sum);
    nnclr_pool_free(pool);
    return 0;
}
