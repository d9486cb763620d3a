/* ResNet-18 and -50 with heads against torchvision in double precision: outputs, every gradient and
 * every running statistic of one training pass over two views. */
#include "base/memory.h"
#include "base/rng.h"
#include "net/execution.h"
#include "net/model.h"
#include "tests/unit/check.h"

typedef struct summary {
    const char *name;
    double norm, dot; /* with uniform draws, one stream for each tensor */
} summary;

#include "tests/reference/resnet_gradients.inc"

enum { N = 4 };

static void fill_uniform(double *values, size_t count, uint64_t seed, uint64_t record) {
    nnclr_rng rng = nnclr_rng_at(seed, NNCLR_DRAW_SAMPLE, 0, record, 0);
    for (size_t i = 0; i < count; i++)
        values[i] = nnclr_rng_uniform(&rng, -1, 1);
}

static void compare(const summary *want, const double *values, size_t count, uint64_t record) {
    nnclr_rng rng = nnclr_rng_at(9, NNCLR_DRAW_SAMPLE, 0, record, 0);
    double squares = 0, dot = 0;
    for (size_t i = 0; i < count; i++) {
        squares += values[i] * values[i];
        dot += values[i] * nnclr_rng_uniform(&rng, -1, 1);
    }
    /* a gradient that is zero but for rounding has no digits to compare */
    double tolerance = 1e-8 * want->norm + 1e-11;
    CHECK_SAYS(fabs(sqrt(squares) - want->norm) <= tolerance, "%s: norm %.15g, torch says %.15g",
               want->name, sqrt(squares), want->norm);
    CHECK_SAYS(fabs(dot - want->dot) <= tolerance, "%s: projection %.15g, torch says %.15g",
               want->name, dot, want->dot);
}

static void compare_segments(const summary *want, const nnclr_segment *segments, size_t count,
                             const double *values) {
    for (size_t i = 0; i < count; i++) {
        CHECK_TEXT(segments[i].name, want[i].name);
        compare(&want[i], values + segments[i].offset, segments[i].count, i);
    }
}

static void feed(nnclr_engine *g, nnclr_execution *x, int size, double *scratch) {
    nnclr_error e = NNCLR_NO_ERROR;
    size_t count = (size_t)(2 * N * size * size * 3);
    float *pictures = nnclr_alloc(count, sizeof *pictures, &e);
    CHECK(pictures);
    fill_uniform(scratch, count, 3, 0);
    for (size_t i = 0; i < count; i++)
        pictures[i] = (float)scratch[i];
    nnclr_execution_input(x, pictures, N);
    CHECK(g->table->sync(g, &e));
    nnclr_free(pictures);
}

static void compare_pass(nnclr_parameters *p, nnclr_execution *x, const summary *want,
                         size_t want_count, double *scratch) {
    nnclr_engine *g = p->engine;
    const nnclr_network *net = p->net;
    size_t parameters = nnclr_network_segment_count(net),
           statistics = nnclr_network_statistic_segment_count(net);
    CHECK(want_count == 2 + parameters + statistics);
    int last = nnclr_network_find(net, "prediction_unit");
    nnclr_execution_forward(x, 0, last);
    for (size_t i = 0; i < 2; i++) {
        const nnclr_tensor *rows = nnclr_execution_tensor(x, nnclr_network_find(net, want[i].name));
        g->table->download(g, rows, scratch);
        compare(&want[i], scratch, (size_t)(2 * N * rows->shape.c), 0);
    }
    const nnclr_tensor *gradient = nnclr_execution_gradient(x, last);
    size_t count = (size_t)(2 * N * gradient->shape.c);
    fill_uniform(scratch, count, 8, 0);
    g->table->put(g, gradient->place, count, NNCLR_F64, scratch);
    nnclr_execution_seed(x, last);
    nnclr_execution_backward(x, last, 0);
    g->table->get(g, p->gradients, nnclr_network_parameter_count(net), NNCLR_F64, scratch);
    compare_segments(want + 2, nnclr_network_segments(net), parameters, scratch);
    g->table->get(g, p->statistics, nnclr_network_statistic_count(net), NNCLR_F64, scratch);
    compare_segments(want + 2 + parameters, nnclr_network_statistic_segments(net), statistics,
                     scratch);
}

static void check_model(nnclr_arch arch, nnclr_stem stem, int size, const summary *want,
                        size_t want_count) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_model_spec spec = {.arch = arch,
                             .width = 1,
                             .stem = stem,
                             .size = size,
                             .projector = {3, {48, 40, 32}},
                             .predictor = {1, {56}}};
    nnclr_pool *pool = nnclr_pool_create(2, &e);
    CHECK_SAYS(pool, "%s", e.message);
    nnclr_engine g;
    CHECK(nnclr_engine_open(&g, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F64, pool, &e));
    nnclr_network *net = nnclr_model_build(&spec, &e);
    CHECK_SAYS(net, "%s", e.message);
    nnclr_parameters p;
    CHECK(nnclr_parameters_create(&p, net, &g, true, &e));
    CHECK(nnclr_parameters_initialize(&p, 5, &e));
    nnclr_execution *x = nnclr_execution_create(&p, NNCLR_TRAINING, 2, N, -1, &e);
    CHECK_SAYS(x, "%s", e.message);
    double *scratch = nnclr_alloc(nnclr_network_parameter_count(net), sizeof *scratch, &e);
    CHECK(scratch);
    nnclr_execution_pack(x);
    feed(&g, x, size, scratch);
    compare_pass(&p, x, want, want_count, scratch);
    nnclr_free(scratch);
    nnclr_execution_free(x);
    nnclr_parameters_free(&p);
    nnclr_network_free(net);
    nnclr_engine_close(&g);
    nnclr_pool_free(pool);
}

static void resnet18_agrees_with_torch(void) {
    check_model(NNCLR_RESNET18, NNCLR_STEM_CIFAR, 16, resnet18, sizeof resnet18 / sizeof *resnet18);
}

static void resnet50_agrees_with_torch(void) {
    check_model(NNCLR_RESNET50, NNCLR_STEM_IMAGENET, 64, resnet50,
                sizeof resnet50 / sizeof *resnet50);
}

int main(void) {
    RUN(resnet18_agrees_with_torch);
    RUN(resnet50_agrees_with_torch);
    return check_done();
}
