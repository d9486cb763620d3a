/* A network that reads z and p straight from its input, so that the method's whole step can be
 * compared with numbers computed elsewhere: a picture is 1 x 1 with 2d channels, z before p. */
#ifndef NNCLR_TESTS_GOLDEN_METHOD_H
#define NNCLR_TESTS_GOLDEN_METHOD_H

#include "tests/unit/step_fixture.h"

typedef stack golden;

enum { GOLDEN_N = 3, GOLDEN_D = 3, GOLDEN_M = 4 };

static const double golden_queue[GOLDEN_M][GOLDEN_D] = {
    {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {.6, .8, 0}};
/* [view][i]: z, then p. */
static const float golden_views[2][GOLDEN_N][2 * GOLDEN_D] = {
    {{2, .2f, 0, 1, .1f, .3f}, {.3f, 3, 1, .2f, 1, 0}, {0, 1, 2, 0, .4f, 1}},
    {{1, .3f, 0, .9f, 0, .2f}, {1, 1, .2f, .5f, 1, .3f}, {.1f, .2f, 1, .3f, 0, 1}},
};
static const int64_t golden_record[GOLDEN_N] = {10, 11, 12}, golden_label[GOLDEN_N] = {0, 1, 0};

/* A linear operator that takes d of the 2d features, and its rows normalised. */
static inline bool golden_head(nnclr_network *net, int features, const char *name, const char *mark,
                               const char *unit_mark, nnclr_error *e) {
    const int value = nnclr_add_linear(net, features, name, GOLDEN_D, false, e);
    const int unit = nnclr_add_l2norm(net, value, unit_mark, e);
    return unit >= 0 && nnclr_network_mark(net, mark, value, e) &&
           nnclr_network_mark(net, unit_mark, unit, e);
}

static inline nnclr_network *golden_without_predictor(const nnclr_model_spec *spec,
                                                      nnclr_error *e) {
    (void)spec;
    nnclr_network *net = nnclr_network_create(1, 1, 2 * GOLDEN_D, e);
    CHECK_SAYS(net, "%s", e->message);
    const int features = nnclr_add_average(net, 0, "average", e);
    CHECK_SAYS(nnclr_network_mark(net, "features", features, e) &&
                   golden_head(net, features, "z", "projection", "projection_unit", e),
               "%s", e->message);
    return net;
}

static inline nnclr_network *golden_with_predictor(const nnclr_model_spec *spec, nnclr_error *e) {
    nnclr_network *net = golden_without_predictor(spec, e);
    CHECK_SAYS(golden_head(net, nnclr_network_find(net, "features"), "p", "prediction",
                           "prediction_unit", e),
               "%s", e->message);
    return net;
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
                                     bool predictor, nnclr_communicator *communicator, int n) {
    static const int64_t none[GOLDEN_M] = {-1, -1, -1, -1};
    open_step(g,
              &(step_options){.precision = precision,
                              .threads = 1,
                              .build = predictor ? golden_with_predictor : golden_without_predictor,
                              .n = n,
                              .recipe = &recipe,
                              .m = GOLDEN_M,
                              .d = GOLDEN_D,
                              .communicator = communicator});
    golden_weights(g, 0, 0);
    if (predictor)
        golden_weights(g, 1, GOLDEN_D);
    nnclr_pass_pack(&g->pass);
    CHECK(nnclr_support_set_restore(&g->support, NNCLR_F64, golden_queue, none, none, none, 0,
                                    &g->e));
}

static inline void golden_open(golden *g, nnclr_precision precision, nnclr_recipe recipe,
                               bool predictor) {
    golden_open_share(g, precision, recipe, predictor, NULL, GOLDEN_N);
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
    close_step(g);
}

static const nnclr_method_options golden_options = {
    .positive = NNCLR_POSITIVE_NN,
    .negatives = NNCLR_NEGATIVES_ALL,
    .temperature = 0.1,
    .off_diagonal = 0.0051,
    .queue = GOLDEN_M,
    .loss = NNCLR_LOSS_ROW,
    .swap = true,
    .neighbours = 1,
    .enqueue = NNCLR_ENQUEUE_VIEW1,
};

static inline nnclr_recipe nnclr(const nnclr_method_options *options) {
    return nnclr_method_nnclr.recipe(options, true);
}

static inline nnclr_recipe simclr(const nnclr_method_options *options) {
    return nnclr_method_simclr.recipe(options, false);
}
static inline nnclr_recipe simsiam(const nnclr_method_options *options) {
    return nnclr_method_simsiam.recipe(options, true);
}
static inline nnclr_recipe barlow(const nnclr_method_options *options) {
    return nnclr_method_barlow.recipe(options, false);
}
static inline nnclr_recipe byol(const nnclr_method_options *options) {
    return nnclr_method_byol.recipe(options, true);
}

#endif
