/* A network that reads z and p straight from its input, so that the method's whole step can be
 * compared with numbers computed elsewhere: a picture is 1 x 1 with 2d channels, z before p. */
#ifndef NNCLR_TESTS_GOLDEN_METHOD_H
#define NNCLR_TESTS_GOLDEN_METHOD_H

#include "ssl/method.h"
#include "tests/unit/engine_fixture.h"

typedef struct golden {
    fixture f;
    nnclr_network *net;
    nnclr_parameters parameters;
    nnclr_pass pass;
    nnclr_communicator communicator;
    nnclr_support_set support;
    nnclr_method *method;
    nnclr_error e;
} golden;

enum { GOLDEN_N = 3, GOLDEN_D = 3, GOLDEN_M = 4 };

static const double golden_queue[GOLDEN_M][GOLDEN_D] = {
    {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {.6, .8, 0}};
/* [view][i]: z, then p. */
static const float golden_views[2][GOLDEN_N][2 * GOLDEN_D] = {
    {{2, .2f, 0, 1, .1f, .3f}, {.3f, 3, 1, .2f, 1, 0}, {0, 1, 2, 0, .4f, 1}},
    {{1, .3f, 0, .9f, 0, .2f}, {1, 1, .2f, .5f, 1, .3f}, {.1f, .2f, 1, .3f, 0, 1}},
};
static const int64_t golden_record[GOLDEN_N] = {10, 11, 12}, golden_label[GOLDEN_N] = {0, 1, 0};

/* A linear operator that takes d of the 2d features. */
static inline int golden_select(golden *g, int features, const char *name, const char *mark) {
    int value = nnclr_add_linear(g->net, features, name, GOLDEN_D, false, &g->e);
    CHECK_SAYS(value >= 0 && nnclr_network_mark(g->net, mark, value, &g->e), "%s", g->e.message);
    return value;
}

static inline void golden_unit(golden *g, int value, const char *name) {
    int unit = nnclr_add_l2norm(g->net, value, name, &g->e);
    CHECK_SAYS(unit >= 0 && nnclr_network_mark(g->net, name, unit, &g->e), "%s", g->e.message);
}

static inline void golden_weights(golden *g, size_t segment, int first) {
    double weights[GOLDEN_D][2 * GOLDEN_D] = {{0}};
    const nnclr_segment *s = &nnclr_network_segments(g->net)[segment];
    CHECK(s->count == sizeof weights / sizeof(double));
    for (int i = 0; i < GOLDEN_D; i++)
        weights[i][first + i] = 1;
    g->f.t->put(&g->f.g, nnclr_real_at(&g->f.g, g->parameters.weights, s->offset), s->count,
                NNCLR_F64, weights);
}

/* For n of the rows as `communicator` shares them out. Without a predictor the loss is made of
 * z. */
static inline void golden_open_share(golden *g, nnclr_precision precision, nnclr_recipe recipe,
                                     bool predictor, nnclr_communicator communicator, int n) {
    *g = (golden){.communicator = communicator};
    fixture_open(&g->f, precision, 1);
    CHECK(g->net = nnclr_network_create(1, 1, 2 * GOLDEN_D, &g->e));
    int features = nnclr_add_average(g->net, 0, "average", &g->e);
    CHECK(features >= 0 && nnclr_network_mark(g->net, "features", features, &g->e));
    golden_unit(g, golden_select(g, features, "z", "projection"), "projection_unit");
    if (predictor)
        golden_unit(g, golden_select(g, features, "p", "prediction"), "prediction_unit");
    CHECK(nnclr_parameters_create(&g->parameters, g->net, &g->f.g, true, &g->e));
    golden_weights(g, 0, 0);
    if (predictor)
        golden_weights(g, 1, GOLDEN_D);
    CHECK_SAYS(nnclr_pass_create(&g->pass, &g->parameters, 2, n, 0, &g->e), "%s", g->e.message);
    nnclr_pass_pack(&g->pass);

    static const int64_t none[GOLDEN_M] = {-1, -1, -1, -1};
    CHECK(nnclr_support_set_create(&g->support, &g->f.g, GOLDEN_M, GOLDEN_D, 0, &g->e));
    CHECK(nnclr_support_set_restore(&g->support, NNCLR_F64, golden_queue, none, none, none, 0,
                                    &g->e));
    const nnclr_method_parts parts = {
        .pass = &g->pass,
        .communicator = &g->communicator,
        .support = recipe.queue > 0 ? &g->support : NULL,
    };
    g->method = nnclr_method_create(&recipe, &parts, &g->e);
    CHECK_SAYS(g->method, "%s", g->e.message);
}

static inline void golden_open(golden *g, nnclr_precision precision, nnclr_recipe recipe,
                               bool predictor) {
    golden_open_share(g, precision, recipe, predictor, nnclr_communicator_self(), GOLDEN_N);
}

static inline nnclr_method_batch golden_batch(int64_t step) {
    return (nnclr_method_batch){&golden_views[0][0][0], golden_record, golden_label, step};
}

static inline double golden_loss(golden *g) {
    nnclr_method_batch batch = golden_batch(1);
    CHECK_SAYS(nnclr_method_compute(g->method, &batch, &g->e), "%s", g->e.message);
    return nnclr_method_loss(g->method);
}

static inline void golden_close(golden *g) {
    nnclr_method_free(g->method);
    nnclr_support_set_free(&g->support);
    nnclr_pass_free(&g->pass);
    nnclr_parameters_free(&g->parameters);
    nnclr_network_free(g->net);
    fixture_close(&g->f);
}

static const nnclr_method_options golden_options = {
    .positive = NNCLR_POSITIVE_NN,
    .negatives = NNCLR_NEGATIVES_ALL,
    .temperature = 0.1,
    .queue = GOLDEN_M,
    .loss = NNCLR_LOSS_ROW,
    .swap = true,
    .neighbours = 1,
    .enqueue = NNCLR_ENQUEUE_VIEW1,
};

static inline nnclr_recipe nnclr(const nnclr_method_options *options) {
    return nnclr_method_nnclr.recipe(options);
}

static inline nnclr_recipe simclr(const nnclr_method_options *options) {
    return nnclr_method_simclr.recipe(options);
}

#endif
