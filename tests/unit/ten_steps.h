/* A run of ten steps on fixed views with the library's parts, and the ways in which it can be
 * wrong: other options, or a step put together by hand. */
#ifndef NNCLR_TESTS_TEN_STEPS_H
#define NNCLR_TESTS_TEN_STEPS_H

#include "net/model.h"
#include "ssl/contrast.h"
#include "ssl/method.h"
#include "tests/unit/engine_fixture.h"
#include "tests/unit/support_rows.h"
#include "tests/unit/torch_summary.h"
#include "train/schedule.h"

enum { N = 16, VIEWS = 2, SIZE = 8, RECORDS = 48, STEPS = 10, M = 40, D = 64 };
enum { PICTURE = SIZE * SIZE * 3, PIXELS = VIEWS * N * PICTURE };
static const double temperature = 0.2;

typedef struct reference {
    const nnclr_method_type *method;
    uint64_t seed;
    const double *loss;     /* [STEPS] */
    const int32_t *picks;   /* [STEPS][VIEWS][N]; NULL for simclr, as the next */
    const summary *queue;   /* [STEPS] */
    const summary *updates; /* of every parameter, w10 - w0 */
    size_t update_count;
    const summary *running; /* of every running statistic */
    size_t running_count;
    const double *own, *own_tensors; /* how far PyTorch's f32 gradient is from its f64 one: whole,
                                        by step; each parameter's, the furthest of the steps */
} reference;

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- a run, and what can be wrong with it ---- */

typedef struct run run;

/* NULL, 0 and false: the method as it is. */
typedef struct variant {
    nnclr_network *(*build)(const nnclr_model_spec *spec, nnclr_error *e);
    void (*compute)(run *r);
    void (*enqueue)(run *r);
    void (*open)(fixture *f);
    nnclr_lars lars;
    int groups;
    bool columns, enqueue_first, no_momentum, adapt_all, decay_all;
} variant;

struct run {
    fixture f;
    const variant *variant;
    nnclr_network *net;
    nnclr_parameters parameters;
    nnclr_pass pass;
    nnclr_communicator communicator;
    nnclr_support_set support;
    nnclr_method *method;
    nnclr_plan plan;
    nnclr_segment segments[128];
    size_t segment_count, count; /* parameters: tensors, reals */
    float views[PIXELS];
    int64_t record[N], label[N], step; /* steps begun */
    int32_t picks[VIEWS * N];
    double loss;
    /* for a step put together by hand */
    void *positives, *logits, *scores, *found, *scalar;
    nnclr_error e;
};

static const variant right = {0};

static inline void plan_run(run *r) {
    nnclr_config config = nnclr_config_preset(NNCLR_PRESET_TINY);
    config.batch = N;
    config.steps = STEPS;
    config.warmup_steps = 2;
    config.lr = 2;
    config.lr_scale = NNCLR_SCALE_NONE;
    CHECK_SAYS(nnclr_plan_make(&config, RECORDS, &r->plan, &r->e), "%s", r->e.message);
}

static inline void list_segments(run *r) {
    const nnclr_segment *segments = nnclr_network_segments(r->net);
    r->segment_count = nnclr_network_segment_count(r->net);
    r->count = nnclr_network_parameter_count(r->net);
    CHECK(r->segment_count <= COUNT(r->segments));
    for (size_t i = 0; i < r->segment_count; i++) {
        r->segments[i] = segments[i];
        r->segments[i].adapts |= r->variant->adapt_all;
        r->segments[i].decays |= r->variant->decay_all;
    }
}

static inline void open_scratch(run *r) {
    size_t bytes = nnclr_real_bytes(&r->f.g);
    r->positives = fixture_alloc(&r->f, VIEWS * N * D * bytes);
    r->logits = fixture_alloc(&r->f, N * N * bytes);
    r->scores = fixture_alloc(&r->f, N * bytes);
    r->found = fixture_alloc(&r->f, N * sizeof(int32_t));
    r->scalar = fixture_alloc(&r->f, bytes);
}

/* `micro_batch` pictures of a view at a time; 0: all of them. */
static inline void open_run_in_parts(run *r, const reference *want, const variant *v,
                                     nnclr_precision precision, int micro_batch) {
    bool nnclr = want->method == &nnclr_method_nnclr;
    const nnclr_model_spec spec = {.arch = NNCLR_RESNET18,
                                   .width = 0.125,
                                   .stem = NNCLR_STEM_CIFAR,
                                   .size = SIZE,
                                   .projector = {3, {64, 64, D}},
                                   .predictor = {nnclr ? 1 : 0, {48}}};
    memset(r, 0, sizeof *r);
    r->variant = v;
    r->communicator = nnclr_communicator_self();
    if (v->open)
        v->open(&r->f);
    else
        fixture_open(&r->f, precision, 2);
    r->net = (v->build ? v->build : nnclr_model_build)(&spec, &r->e);
    CHECK_SAYS(r->net, "%s", r->e.message);
    CHECK(nnclr_parameters_create(&r->parameters, r->net, &r->f.g, true, &r->e));
    CHECK(nnclr_parameters_initialize(&r->parameters, want->seed, &r->e));
    int groups = v->groups ? v->groups : VIEWS;
    CHECK_SAYS(
        nnclr_pass_create(&r->pass, &r->parameters, groups, VIEWS * N / groups, micro_batch, &r->e),
        "%s", r->e.message);
    nnclr_pass_pack(&r->pass);
    CHECK(nnclr_support_set_create(&r->support, &r->f.g, M, D, want->seed, &r->e));
    const nnclr_method_options options = {.negatives = NNCLR_NEGATIVES_ALL,
                                          .temperature = temperature,
                                          .queue = M,
                                          .swap = true,
                                          .neighbours = 1};
    const nnclr_recipe recipe = want->method->recipe(&options);
    const nnclr_method_parts parts = {
        .pass = &r->pass, .communicator = &r->communicator, .support = nnclr ? &r->support : NULL};
    r->method = nnclr_method_create(&recipe, &parts, &r->e);
    CHECK_SAYS(r->method, "%s", r->e.message);
    plan_run(r);
    list_segments(r);
    open_scratch(r);
}

static inline void open_run(run *r, const reference *want, const variant *v,
                            nnclr_precision precision) {
    open_run_in_parts(r, want, v, precision, 0);
}

static inline void close_run(run *r) {
    nnclr_method_free(r->method);
    nnclr_support_set_free(&r->support);
    nnclr_pass_free(&r->pass);
    nnclr_parameters_free(&r->parameters);
    nnclr_network_free(r->net);
    fixture_close(&r->f);
}

/* ---- one step ---- */

static inline nnclr_method_batch batch_of(const run *r) {
    return (nnclr_method_batch){r->views, r->record, r->label, r->step};
}

/* Three parts of the record's own picture to one of noise. */
static inline void draw_views(run *r) {
    static double base[PICTURE], noise[PICTURE];
    for (int view = 0; view < VIEWS; view++)
        for (int i = 0; i < N; i++) {
            uint64_t record = (uint64_t)(r->step * N + i) % RECORDS;
            float *to = r->views + (view * N + i) * PICTURE;
            fill_uniform(base, PICTURE, 3, record, 0);
            fill_uniform(noise, PICTURE, 3, record, 1 + (uint32_t)view);
            for (int j = 0; j < PICTURE; j++)
                to[j] = (float)(0.75 * base[j] + 0.25 * noise[j]);
            r->record[i] = (int64_t)record;
            r->label[i] = -1;
        }
}

static inline void compute(run *r) {
    nnclr_method_batch batch = batch_of(r);
    CHECK_SAYS(nnclr_method_compute(r->method, &batch, &r->e), "%s", r->e.message);
    r->loss = nnclr_method_loss(r->method);
    const int32_t *picks = nnclr_method_picks(r->method);
    if (picks)
        memcpy(r->picks, picks, sizeof r->picks);
}

static inline void update(run *r) {
    const nnclr_update_call call = {
        .optimizer = NNCLR_LARS,
        .lars = r->variant->lars,
        .lr = nnclr_plan_rate(&r->plan, r->step - 1),
        .momentum = r->variant->no_momentum ? 0 : 0.9,
        .weight_decay = 0.01,
        .trust = 0.001,
        .segments = r->segments,
        .segment_count = r->segment_count,
        .weights = r->parameters.weights,
        .velocity = r->parameters.velocity,
        .gradients = r->parameters.gradients,
    };
    r->f.t->update(&r->f.g, &call);
    nnclr_pass_pack(&r->pass);
}

static inline void enqueue(run *r) {
    nnclr_method_batch batch = batch_of(r);
    CHECK_SAYS(nnclr_method_enqueue(r->method, &batch, &r->e), "%s", r->e.message);
}

static inline void begin_step(run *r) {
    draw_views(r);
    r->step++;
    (r->variant->compute ? r->variant->compute : compute)(r);
}

static inline void end_step(run *r) {
    update(r);
    (r->variant->enqueue ? r->variant->enqueue : enqueue)(r);
}

/* ---- one run in the state of another ---- */

static inline void take_reals(run *to, void *place, run *from, const void *source, size_t count) {
    double *values = host_reals(&from->f, source, count);
    to->f.t->put(&to->f.g, place, count, NNCLR_F64, values);
    free(values);
}

/* The state of `from`, rounded where `to` is less precise. */
static inline void take_state(run *to, run *from) {
    static double rows[M * D];
    const nnclr_support_set *s = &from->support;
    take_reals(to, to->parameters.weights, from, from->parameters.weights, from->count);
    take_reals(to, to->parameters.velocity, from, from->parameters.velocity, from->count);
    take_reals(to, to->parameters.statistics, from, from->parameters.statistics,
               nnclr_network_statistic_count(from->net));
    support_rows(s, rows);
    CHECK(nnclr_support_set_restore(&to->support, NNCLR_F64, rows, s->record, s->label, s->step,
                                    s->cursor, &to->e));
    nnclr_pass_pack(&to->pass);
}

/* ---- the same step by hand, so that it can be wrong ---- */

static inline void *value_rows(run *r, const char *name, int view) {
    int value = nnclr_network_find(r->net, name);
    return nnclr_real_at(&r->f.g, nnclr_pass_tensor(&r->pass, value)->place,
                         (size_t)(view * N * D));
}

static inline void *positives_of(run *r, int view) {
    return nnclr_real_at(&r->f.g, r->positives, (size_t)(view * N * D));
}

static inline void enqueue_rows(run *r, const void *rows) {
    CHECK_SAYS(nnclr_support_set_enqueue(&r->support, rows, N, r->record, r->label, r->step, &r->e),
               "%s", r->e.message);
}

static inline void find_positives(run *r, int view) {
    nnclr_engine *g = &r->f.g;
    nnclr_search *search = r->support.search;
    r->f.t->search_nearest(g, search, value_rows(r, "projection_unit", view), N, 1, NULL, r->found,
                           r->scores);
    r->f.t->get_picks(g, r->found, N, r->picks + view * N);
    r->f.t->gather(g, r->f.t->search_rows(g, search), D, r->found, N, positives_of(r, view));
}

/* Softmax along the rows of NN . p^T, or down its columns: along the rows of p^ . NN^T. */
static inline void add_term(run *r, int view, void *gradient) {
    nnclr_contrast_term term = {.n = N,
                                .d = D,
                                .column_count = N,
                                .skip = INT32_MIN,
                                .temperature = temperature,
                                .weight = 0.5,
                                .logits = r->logits,
                                .loss = r->scalar};
    void *predicted = value_rows(r, "prediction_unit", 1 - view);
    if (r->variant->columns) {
        term.rows = predicted;
        term.rows_gradient = gradient;
        term.columns = positives_of(r, view);
    } else {
        term.rows = positives_of(r, view);
        term.columns = predicted;
        term.columns_gradient = gradient;
    }
    nnclr_contrast(&r->f.g, &term);
}

/* From the predictions to their gradient, which is seeded. */
static inline void find_loss(run *r) {
    nnclr_engine *g = &r->f.g;
    int last = nnclr_network_find(r->net, "prediction_unit");
    size_t bytes = nnclr_real_bytes(g);
    void *gradient = nnclr_pass_seed(&r->pass, last)->place;
    r->f.t->zero(g, gradient, VIEWS * N * D * bytes);
    r->f.t->zero(g, r->scalar, bytes);
    if (r->variant->enqueue_first)
        enqueue_rows(r, value_rows(r, "projection_unit", 0));
    for (int view = 0; view < VIEWS; view++) {
        find_positives(r, view);
        add_term(r, view, nnclr_real_at(g, gradient, (size_t)((1 - view) * N * D)));
    }
    r->f.t->get(g, r->scalar, 1, NNCLR_F64, &r->loss);
}

static inline void compute_by_hand(run *r) {
    int last = nnclr_network_find(r->net, "prediction_unit");
    nnclr_pass_forward(&r->pass, r->views, last);
    find_loss(r);
    nnclr_pass_backward(&r->pass, r->views, last);
    CHECK_SAYS(r->f.t->sync(&r->f.g, &r->e), "%s", r->e.message);
}

static inline void enqueue_raw(run *r) {
    enqueue_rows(r, value_rows(r, "projection", 0));
}

static inline void enqueue_view_2(run *r) {
    enqueue_rows(r, value_rows(r, "projection_unit", 1));
}

static inline void enqueue_nothing(run *r) {
    (void)r;
}

static inline void mark_with_unit(nnclr_network *net, int value, const char *name,
                                  const char *unit_name, nnclr_error *e) {
    int unit = nnclr_add_l2norm(net, value, unit_name, e);
    CHECK_SAYS(unit >= 0 && nnclr_network_mark(net, name, value, e) &&
                   nnclr_network_mark(net, unit_name, unit, e),
               "%s", e->message);
}

/* nnclr_model_build, except for what the predictor reads. */
static inline nnclr_network *build_predictor_on_features(const nnclr_model_spec *spec,
                                                         nnclr_error *e) {
    nnclr_network *net = nnclr_network_create(spec->size, spec->size, 3, e);
    CHECK_SAYS(net, "%s", e->message);
    int features = nnclr_resnet_build(net, 0, spec->arch, spec->width, spec->stem, e);
    CHECK_SAYS(features >= 0 && nnclr_network_mark(net, "features", features, e), "%s", e->message);
    const nnclr_layers *projector = &spec->projector;
    mark_with_unit(
        net,
        nnclr_mlp_build(net, features, "projector", projector->width, projector->count, true, e),
        "projection", "projection_unit", e);
    const int widths[2] = {spec->predictor.width[0], D};
    mark_with_unit(net, nnclr_mlp_build(net, features, "predictor", widths, 2, false, e),
                   "prediction", "prediction_unit", e);
    return net;
}

#endif
