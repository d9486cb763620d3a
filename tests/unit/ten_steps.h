/* A run of ten steps on fixed views with the library's parts, and the ways in which it can be
 * wrong: other options, or a step put together by hand. */
#ifndef NNCLR_TESTS_TEN_STEPS_H
#define NNCLR_TESTS_TEN_STEPS_H

#include "ssl/contrast.h"
#include "tests/unit/step_fixture.h"
#include "tests/unit/torch_summary.h"
#include "train/schedule.h"

enum { N = 16, VIEWS = 2, SIZE = 8, RECORDS = 48, STEPS = 10, M = 40, D = 64 };
enum { PICTURE = SIZE * SIZE * 3, PIXELS = VIEWS * N * PICTURE };
static const double temperature = 0.2;

/* What is kept of a run with other losses or positives. */
typedef struct outcome {
    double loss[STEPS];
    int agreed[STEPS];     /* pictures whose views pick rows of one record */
    double h_rank;         /* at the last step */
    summary update, queue; /* w10 - w0, all parameters as one vector; the support set in the end */
} outcome;

typedef struct reference {
    const char *name;
    const nnclr_method_type *method;
    uint64_t seed;
    const outcome *outcome;       /* or all that follows `loss` */
    nnclr_method_options options; /* besides those of run_options */
    bool predictor;
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
    void (*spoil)(nnclr_recipe *recipe);
    nnclr_lars lars;
    int groups;
    double target_momentum; /* other than the method's, if it has one */
    bool columns, enqueue_first, no_momentum, adapt_all, decay_all;
} variant;

struct run {
    stack s;
    const variant *variant;
    nnclr_plan plan;
    double target_momentum;
    nnclr_segment segments[128];
    size_t segment_count;
    int64_t step; /* begun */
    int32_t picks[VIEWS * N];
    nnclr_method_metrics metrics;
    /* for a step put together by hand */
    void *positives, *logits, *scores, *found, *scalar;
};

static const variant right = {0};

static inline void plan_run(run *r) {
    nnclr_config config = nnclr_config_preset(NNCLR_PRESET_TINY);
    config.batch = N;
    config.steps = STEPS;
    config.warmup_steps = 2;
    config.lr = 2;
    config.lr_scale = NNCLR_SCALE_NONE;
    CHECK_SAYS(nnclr_plan_make(&config, RECORDS, &r->plan, &r->s.e), "%s", r->s.e.message);
}

static inline void list_segments(run *r) {
    const nnclr_segment *segments = nnclr_network_segments(r->s.net);
    r->segment_count = nnclr_network_segment_count(r->s.net);
    CHECK(r->segment_count <= COUNT(r->segments));
    for (size_t i = 0; i < r->segment_count; i++) {
        r->segments[i] = segments[i];
        r->segments[i].adapts |= r->variant->adapt_all;
        r->segments[i].decays |= r->variant->decay_all;
    }
}

static inline void open_scratch(run *r) {
    size_t bytes = nnclr_real_bytes(&r->s.f.g);
    r->positives = fixture_alloc(&r->s.f, VIEWS * N * D * bytes);
    r->logits = fixture_alloc(&r->s.f, N * N * bytes);
    r->scores = fixture_alloc(&r->s.f, N * bytes);
    r->found = fixture_alloc(&r->s.f, N * sizeof(int32_t));
    r->scalar = fixture_alloc(&r->s.f, bytes);
}

static inline nnclr_method_options run_options(const reference *want) {
    nnclr_method_options options = want->options;
    options.temperature = temperature;
    options.queue = M;
    options.off_diagonal = 0.0051;
    options.swap = true;
    options.neighbours = options.soft ? options.neighbours : 1;
    return options;
}

/* Unit rows that stand for the appearances of records: directions as those of initial rows. */
static inline const nnclr_appearances *looks(void) {
    static float rows[RECORDS * NNCLR_APPEARANCE];
    static const nnclr_appearances all = {RECORDS, rows};
    for (int i = 0; i < RECORDS && rows[RECORDS * NNCLR_APPEARANCE - 1] == 0; i++) {
        nnclr_rng rng = nnclr_rng_at(91, NNCLR_DRAW_QUEUE, 0, (uint64_t)i, 0);
        double row[NNCLR_APPEARANCE], squares = 0;
        for (int j = 0; j < NNCLR_APPEARANCE; j += 2)
            nnclr_rng_normal2(&rng, row + j);
        for (int j = 0; j < NNCLR_APPEARANCE; j++)
            squares += row[j] * row[j];
        for (int j = 0; j < NNCLR_APPEARANCE; j++)
            rows[i * NNCLR_APPEARANCE + j] = (float)(row[j] / sqrt(squares));
    }
    return &all;
}

/* With row NULL in double precision; `micro_batch` pictures of a view at a time; 0: all of them. */
static inline void open_run_in_parts(run *r, const reference *want, const variant *v,
                                     const test_engine *row, int micro_batch) {
    const int groups = v->groups ? v->groups : VIEWS;
    const nnclr_method_options options = run_options(want);
    nnclr_recipe recipe = want->method->recipe(&options, want->predictor);
    memset(r, 0, sizeof *r);
    r->variant = v;
    r->target_momentum = v->target_momentum ? v->target_momentum : options.target_momentum;
    if (v->spoil)
        v->spoil(&recipe);
    plan_run(r);
    recipe.course = nnclr_plan_course(&r->plan, &options.view_weight);
    open_step(&r->s, &(step_options){.row = row,
                                     .precision = NNCLR_PRECISION_F64,
                                     .spec = {.arch = NNCLR_RESNET18,
                                              .width = 0.125,
                                              .stem = NNCLR_STEM_CIFAR,
                                              .size = SIZE,
                                              .projector = {3, {64, 64, D}},
                                              .predictor = {want->predictor ? 1 : 0, {48}}},
                                     .build = v->build,
                                     .seed = want->seed,
                                     .groups = groups,
                                     .n = VIEWS * N / groups,
                                     .micro_batch = micro_batch,
                                     .target = options.target_momentum > 0,
                                     .m = M,
                                     .d = D,
                                     .recipe = &recipe});
    if (options.appearance > 0)
        CHECK_SAYS(nnclr_support_set_look(&r->s.support, looks(), options.appearance, &r->s.e),
                   "%s", r->s.e.message);
    list_segments(r);
    open_scratch(r);
}

static inline void open_run(run *r, const reference *want, const variant *v,
                            const test_engine *row) {
    open_run_in_parts(r, want, v, row, 0);
}

static inline void close_run(run *r) {
    close_step(&r->s);
}

/* ---- one step ---- */

/* Three parts of the record's own picture to one of noise. */
static inline void draw_views(run *r) {
    static double base[PICTURE], noise[PICTURE];
    for (int view = 0; view < VIEWS; view++)
        for (int i = 0; i < N; i++) {
            uint64_t record = (uint64_t)(r->step * N + i) % RECORDS;
            float *to = r->s.views + (view * N + i) * PICTURE;
            fill_uniform(base, PICTURE, 3, record, 0);
            fill_uniform(noise, PICTURE, 3, record, 1 + (uint32_t)view);
            for (int j = 0; j < PICTURE; j++)
                to[j] = (float)(0.75 * base[j] + 0.25 * noise[j]);
            r->s.record[i] = (int64_t)record;
            r->s.label[i] = -1;
        }
}

static inline void compute(run *r) {
    compute_step(&r->s, r->step);
    const int32_t *picks = nnclr_method_picks(r->s.method);
    const nnclr_method_batch batch = batch_of(&r->s, r->step);
    CHECK_SAYS(nnclr_method_measure(r->s.method, &batch, &r->metrics, &r->s.e), "%s",
               r->s.e.message);
    if (picks)
        memcpy(r->picks, picks, sizeof r->picks);
}

static inline void update(run *r) {
    update_step(&r->s, (nnclr_update_call){.optimizer = NNCLR_LARS,
                                           .lars = r->variant->lars,
                                           .lr = nnclr_plan_rate(&r->plan, r->step - 1),
                                           .momentum = r->variant->no_momentum ? 0 : 0.9,
                                           .weight_decay = 0.01,
                                           .trust = 0.001,
                                           .segments = r->segments,
                                           .segment_count = r->segment_count});
}

static inline void enqueue(run *r) {
    enqueue_step(&r->s, r->step);
}

static inline void begin_step(run *r) {
    draw_views(r);
    r->step++;
    (r->variant->compute ? r->variant->compute : compute)(r);
}

static inline void end_step(run *r) {
    update(r);
    (r->variant->enqueue ? r->variant->enqueue : enqueue)(r);
    follow_step(&r->s, r->target_momentum);
}

/* ---- the same step by hand, so that it can be wrong ---- */

static inline void *value_rows(run *r, const char *name, int view) {
    int value = nnclr_network_find(r->s.net, name);
    return nnclr_real_at(&r->s.f.g, nnclr_pass_tensor(&r->s.pass, value)->place,
                         (size_t)(view * N * D));
}

static inline void *positives_of(run *r, int view) {
    return nnclr_real_at(&r->s.f.g, r->positives, (size_t)(view * N * D));
}

static inline void enqueue_rows(run *r, const void *rows) {
    CHECK_SAYS(nnclr_support_set_enqueue(&r->s.support, rows, N, r->s.record, r->s.label, r->step,
                                         &r->s.e),
               "%s", r->s.e.message);
}

static inline void find_positives(run *r, int view) {
    nnclr_engine *g = &r->s.f.g;
    nnclr_search *search = r->s.support.search;
    r->s.f.t->search_nearest(g, search, value_rows(r, "projection_unit", view), N, 1, NULL,
                             r->found, r->scores);
    r->s.f.t->get_picks(g, r->found, N, r->picks + view * N);
    const nnclr_gather_call call = {.table = r->s.f.t->search_rows(g, search),
                                    .picks = r->found,
                                    .d = D,
                                    .n = N,
                                    .k = 1,
                                    .y = positives_of(r, view)};
    r->s.f.t->gather(g, &call);
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
    nnclr_contrast(&r->s.f.g, &term);
}

/* From the predictions to their gradient, which is seeded. */
static inline void find_loss(run *r) {
    nnclr_engine *g = &r->s.f.g;
    int last = nnclr_network_find(r->s.net, "prediction_unit");
    size_t bytes = nnclr_real_bytes(g);
    void *gradient = nnclr_pass_seed(&r->s.pass, last)->place;
    r->s.f.t->zero(g, gradient, VIEWS * N * D * bytes);
    r->s.f.t->zero(g, r->scalar, bytes);
    if (r->variant->enqueue_first)
        enqueue_rows(r, value_rows(r, "projection_unit", 0));
    for (int view = 0; view < VIEWS; view++) {
        find_positives(r, view);
        add_term(r, view, nnclr_real_at(g, gradient, (size_t)((1 - view) * N * D)));
    }
    r->s.f.t->get(g, r->scalar, 1, NNCLR_F64, &r->s.loss);
}

static inline void compute_by_hand(run *r) {
    int last = nnclr_network_find(r->s.net, "prediction_unit");
    nnclr_pass_forward(&r->s.pass, r->s.views, last);
    find_loss(r);
    nnclr_pass_backward(&r->s.pass, r->s.views, last);
    CHECK_SAYS(r->s.f.t->sync(&r->s.f.g, &r->s.e), "%s", r->s.e.message);
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
