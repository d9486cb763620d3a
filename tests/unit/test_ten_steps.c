/* Ten free-running steps of NNCLR and of SimCLR with LARS on fixed views against PyTorch
 * (tests/reference/ten_steps.py): in double precision the whole curve, in single precision each
 * step from the double one's state. Methods that are wrong in one thing must not pass for it. */
#include "net/model.h"
#include "ssl/contrast.h"
#include "ssl/method.h"
#include "tests/unit/engine_fixture.h"
#include "tests/unit/torch_summary.h"
#include "train/schedule.h"

enum { N = 16, VIEWS = 2, SIZE = 8, RECORDS = 48, STEPS = 10, M = 40, D = 64 };
enum { PICTURE = SIZE * SIZE * 3, PIXELS = VIEWS * N * PICTURE };
static const double temperature = 0.2;

#include "tests/reference/ten_steps.inc"

typedef struct reference {
    nnclr_method_kind kind;
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

#define REFERENCE(method, number)                                                                  \
    .seed = number, .loss = torch_##method##_loss, .updates = torch_##method##_updates,            \
    .update_count = COUNT(torch_##method##_updates), .running = torch_##method##_running,          \
    .running_count = COUNT(torch_##method##_running), .own = torch_##method##_own,                 \
    .own_tensors = torch_##method##_own_tensors

static const reference nnclr_reference = {.kind = NNCLR_METHOD_NNCLR,
                                          REFERENCE(nnclr, NNCLR_SEED),
                                          .picks = torch_nnclr_picks,
                                          .queue = torch_nnclr_queue};
static const reference simclr_reference = {.kind = NNCLR_METHOD_SIMCLR,
                                           REFERENCE(simclr, SIMCLR_SEED)};

/* ---- a run, and what can be wrong with it ---- */

typedef struct run run;

/* NULL, 0 and false: the method as it is. */
typedef struct variant {
    nnclr_network *(*build)(const nnclr_model_spec *spec, nnclr_error *e);
    void (*compute)(run *r);
    void (*enqueue)(run *r);
    nnclr_lars lars;
    int groups;
    bool columns, enqueue_first, no_momentum, adapt_all, decay_all;
} variant;

struct run {
    fixture f;
    const variant *variant;
    nnclr_network *net;
    nnclr_parameters parameters;
    nnclr_execution *execution;
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

static void plan_run(run *r) {
    nnclr_config config = nnclr_config_preset(NNCLR_PRESET_TINY);
    config.batch = N;
    config.steps = STEPS;
    config.warmup_steps = 2;
    config.lr = 2;
    config.lr_scale = NNCLR_SCALE_NONE;
    CHECK_SAYS(nnclr_plan_make(&config, RECORDS, &r->plan, &r->e), "%s", r->e.message);
}

static void list_segments(run *r) {
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

static void open_scratch(run *r) {
    size_t real = nnclr_real_bytes(&r->f.g);
    r->positives = fixture_alloc(&r->f, VIEWS * N * D * real);
    r->logits = fixture_alloc(&r->f, N * N * real);
    r->scores = fixture_alloc(&r->f, N * real);
    r->found = fixture_alloc(&r->f, N * sizeof(int32_t));
    r->scalar = fixture_alloc(&r->f, real);
}

static void open_run(run *r, const reference *want, const variant *v, nnclr_precision precision) {
    bool nnclr = want->kind == NNCLR_METHOD_NNCLR;
    const nnclr_model_spec spec = {.arch = NNCLR_RESNET18,
                                   .width = 0.125,
                                   .stem = NNCLR_STEM_CIFAR,
                                   .size = SIZE,
                                   .projector = {3, {64, 64, D}},
                                   .predictor = {nnclr ? 1 : 0, {48}}};
    memset(r, 0, sizeof *r);
    r->variant = v;
    r->communicator = nnclr_communicator_self();
    fixture_open(&r->f, precision, 2);
    r->net = (v->build ? v->build : nnclr_model_build)(&spec, &r->e);
    CHECK_SAYS(r->net, "%s", r->e.message);
    CHECK(nnclr_parameters_create(&r->parameters, r->net, &r->f.g, true, &r->e));
    CHECK(nnclr_parameters_initialize(&r->parameters, want->seed, &r->e));
    int groups = v->groups ? v->groups : VIEWS;
    r->execution = nnclr_execution_create(&r->parameters, NNCLR_TRAINING, groups,
                                          VIEWS * N / groups, -1, &r->e);
    CHECK_SAYS(r->execution, "%s", r->e.message);
    nnclr_execution_pack(r->execution);
    CHECK(nnclr_support_set_create(&r->support, &r->f.g, M, D, want->seed, &r->e));
    const nnclr_method_options options = {.kind = want->kind,
                                          .negatives = NNCLR_NEGATIVES_ALL,
                                          .temperature = temperature,
                                          .queue = M,
                                          .swap = true,
                                          .neighbours = 1};
    const nnclr_method_parts parts = {.engine = &r->f.g,
                                      .communicator = &r->communicator,
                                      .parameters = &r->parameters,
                                      .execution = r->execution,
                                      .support = nnclr ? &r->support : NULL,
                                      .n = N};
    r->method = nnclr_method_create(&options, &parts, &r->e);
    CHECK_SAYS(r->method, "%s", r->e.message);
    plan_run(r);
    list_segments(r);
    open_scratch(r);
}

static void close_run(run *r) {
    nnclr_method_free(r->method);
    nnclr_support_set_free(&r->support);
    nnclr_execution_free(r->execution);
    nnclr_parameters_free(&r->parameters);
    nnclr_network_free(r->net);
    fixture_close(&r->f);
}

/* ---- one step ---- */

static nnclr_method_batch batch_of(const run *r) {
    return (nnclr_method_batch){r->views, r->record, r->label, r->step};
}

/* Three parts of a picture of its own to one of noise. */
static void draw_views(run *r) {
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

static void compute(run *r) {
    nnclr_method_batch batch = batch_of(r);
    CHECK_SAYS(nnclr_method_compute(r->method, &batch, &r->e), "%s", r->e.message);
    r->loss = nnclr_method_loss(r->method);
    const int32_t *picks = nnclr_method_picks(r->method);
    if (picks)
        memcpy(r->picks, picks, sizeof r->picks);
}

static void update(run *r) {
    const nnclr_update call = {
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
    nnclr_execution_pack(r->execution);
}

static void enqueue(run *r) {
    nnclr_method_batch batch = batch_of(r);
    CHECK_SAYS(nnclr_method_enqueue(r->method, &batch, &r->e), "%s", r->e.message);
}

static void begin_step(run *r) {
    draw_views(r);
    r->step++;
    (r->variant->compute ? r->variant->compute : compute)(r);
}

static void end_step(run *r) {
    update(r);
    (r->variant->enqueue ? r->variant->enqueue : enqueue)(r);
}

/* ---- the same step by hand, so that it can be wrong ---- */

static void *value_rows(run *r, const char *name, int view) {
    int value = nnclr_network_find(r->net, name);
    return nnclr_real_at(&r->f.g, nnclr_execution_tensor(r->execution, value)->place,
                         (size_t)(view * N * D));
}

static void *positives_of(run *r, int view) {
    return nnclr_real_at(&r->f.g, r->positives, (size_t)(view * N * D));
}

static void enqueue_rows(run *r, const void *rows) {
    CHECK_SAYS(nnclr_support_set_enqueue(&r->support, rows, N, r->record, r->label, r->step, &r->e),
               "%s", r->e.message);
}

static void find_positives(run *r, int view) {
    nnclr_engine *g = &r->f.g;
    nnclr_search *search = r->support.search;
    r->f.t->search_nearest(g, search, value_rows(r, "projection_unit", view), N, 1, NULL, r->found,
                           r->scores);
    r->f.t->get_picks(g, r->found, N, r->picks + view * N);
    r->f.t->gather(g, r->f.t->search_rows(g, search), D, r->found, 1, N, positives_of(r, view));
}

/* Softmax along the rows of NN . p^T, or down its columns: along the rows of p^ . NN^T. */
static void add_term(run *r, int view, void *gradient) {
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

static void compute_by_hand(run *r) {
    nnclr_engine *g = &r->f.g;
    int last = nnclr_network_find(r->net, "prediction_unit");
    size_t real = nnclr_real_bytes(g);
    nnclr_execution_input(r->execution, r->views,
                          VIEWS * N / (r->variant->groups ? r->variant->groups : VIEWS));
    nnclr_execution_forward(r->execution, 0, last);
    void *gradient = nnclr_execution_gradient(r->execution, last)->place;
    r->f.t->zero(g, gradient, VIEWS * N * D * real);
    r->f.t->zero(g, r->scalar, real);
    if (r->variant->enqueue_first)
        enqueue_rows(r, value_rows(r, "projection_unit", 0));
    for (int view = 0; view < VIEWS; view++) {
        find_positives(r, view);
        add_term(r, view, nnclr_real_at(g, gradient, (size_t)((1 - view) * N * D)));
    }
    nnclr_execution_seed(r->execution, last);
    nnclr_execution_backward(r->execution, last, 0);
    r->f.t->get(g, r->scalar, 1, NNCLR_F64, &r->loss);
    CHECK_SAYS(r->f.t->sync(g, &r->e), "%s", r->e.message);
}

static void enqueue_raw(run *r) {
    enqueue_rows(r, value_rows(r, "projection", 0));
}

static void enqueue_view_2(run *r) {
    enqueue_rows(r, value_rows(r, "projection_unit", 1));
}

static void enqueue_nothing(run *r) {
    (void)r;
}

static void mark_with_unit(nnclr_network *net, int value, const char *name, const char *unit_name,
                           nnclr_error *e) {
    int unit = nnclr_add_l2norm(net, value, unit_name, e);
    CHECK_SAYS(unit >= 0 && nnclr_network_mark(net, name, value, e) &&
                   nnclr_network_mark(net, unit_name, unit, e),
               "%s", e->message);
}

/* nnclr_model_build, but for what the predictor reads. */
static nnclr_network *build_predictor_on_features(const nnclr_model_spec *spec, nnclr_error *e) {
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

/* ---- comparison ---- */

/* How far a run was from PyTorch's, in tolerances. */
typedef struct distances {
    double loss, picks, queue, updates, running;
    int step; /* the first that was further than one; 0: none */
} distances;

static double largest(double a, double b) {
    return isnan(b) || b > a ? b : a;
}

static double furthest(const distances *d) {
    return largest(largest(largest(d->loss, d->picks), d->queue), largest(d->updates, d->running));
}

static void compare_step(run *r, const reference *want, int step, distances *d) {
    d->loss = largest(d->loss, fabs(r->loss - want->loss[step]) / 1e-8);
    if (want->picks) {
        if (memcmp(r->picks, want->picks + step * VIEWS * N, sizeof r->picks) != 0)
            d->picks = INFINITY;
        static double rows[M * D];
        nnclr_support_set_embeddings(&r->support, NNCLR_F64, rows);
        d->queue = largest(
            d->queue, summary_distance(&want->queue[step], rows, M * D, (uint64_t)step) / 1e-8);
    }
    if (d->step == 0 && !(furthest(d) <= 1))
        d->step = step + 1;
}

static double compare_tensors(const nnclr_segment *segments, size_t count, const summary *want,
                              size_t want_count, const double *values, double tolerance) {
    double most = 0;
    CHECK(count == want_count);
    for (size_t i = 0; i < count; i++) {
        CHECK_TEXT(segments[i].name, want[i].name);
        most = largest(
            most, summary_distance(&want[i], values + segments[i].offset, segments[i].count, i));
    }
    return most / tolerance;
}

static distances follow(const reference *want, const variant *v) {
    static run r;
    distances d = {0};
    open_run(&r, want, v, NNCLR_PRECISION_F64);
    double *start = host_reals(&r.f, r.parameters.weights, r.count);
    for (int step = 0; step < STEPS; step++) {
        begin_step(&r);
        end_step(&r);
        compare_step(&r, want, step, &d);
    }
    double *end = host_reals(&r.f, r.parameters.weights, r.count);
    double *update = moved(end, -1, start, r.count);
    d.updates = compare_tensors(nnclr_network_segments(r.net), r.segment_count, want->updates,
                                want->update_count, update, 1e-6);
    for (size_t i = 0; i < r.segment_count; i++) {
        const nnclr_segment *s = &nnclr_network_segments(r.net)[i];
        double length = sqrt(dot_product(update + s->offset, update + s->offset, s->count)),
               before = sqrt(dot_product(start + s->offset, start + s->offset, s->count));
        CHECK_SAYS(s->rank == 1 || v != &right || length >= 0.01 * before, "%s moves by %g of %g",
                   s->name, length, before);
    }
    double *running =
        host_reals(&r.f, r.parameters.statistics, nnclr_network_statistic_count(r.net));
    d.running = compare_tensors(nnclr_network_statistic_segments(r.net),
                                nnclr_network_statistic_segment_count(r.net), want->running,
                                want->running_count, running, 1e-8);
    free(running);
    free(update);
    free(end);
    free(start);
    close_run(&r);
    return d;
}

static void check_right(const reference *want, const variant *v) {
    distances d = follow(want, v);
    CHECK_SAYS(furthest(&d) <= 1,
               "in tolerances: loss %g, picks %g, queue %g, updates %g, running statistics %g; the "
               "first to be off is step %d",
               d.loss, d.picks, d.queue, d.updates, d.running, d.step);
}

static void nnclr_in_f64(void) {
    check_right(&nnclr_reference, &right);
}

static void simclr_in_f64(void) {
    check_right(&simclr_reference, &right);
}

static void nnclr_by_hand(void) {
    check_right(&nnclr_reference, &(variant){.compute = compute_by_hand});
}

/* ---- methods that are wrong in one thing ---- */

/* Not by a little, the weights and the loss, and first seen after `step` steps. */
static void check_wrong(const reference *want, const variant *v, int step) {
    distances d = follow(want, v);
    CHECK_SAYS(d.step == step && !(d.loss <= 1e4) && !(d.updates <= 1e4),
               "in tolerances, loss %g and updates %g; the first to be off is step %d", d.loss,
               d.updates, d.step);
}

static void lars_a_is_told_from_b(void) {
    check_wrong(&nnclr_reference, &(variant){.lars = NNCLR_LARS_SIMCLR}, 3);
    check_wrong(&simclr_reference, &(variant){.lars = NNCLR_LARS_SIMCLR}, 3);
}

static void lars_of_1d_parameters_is_told(void) {
    check_wrong(&nnclr_reference, &(variant){.adapt_all = true}, 3);
    check_wrong(&simclr_reference, &(variant){.adapt_all = true}, 3);
}

static void decay_of_1d_parameters_is_told(void) {
    check_wrong(&nnclr_reference, &(variant){.decay_all = true}, 3);
    check_wrong(&simclr_reference, &(variant){.decay_all = true}, 3);
}

static void no_momentum_is_told(void) {
    check_wrong(&nnclr_reference, &(variant){.no_momentum = true}, 3);
    check_wrong(&simclr_reference, &(variant){.no_momentum = true}, 3);
}

static void enqueue_before_the_search_is_told(void) {
    check_wrong(
        &nnclr_reference,
        &(variant){.compute = compute_by_hand, .enqueue_first = true, .enqueue = enqueue_nothing},
        1);
}

static void raw_queue_rows_are_told(void) {
    check_wrong(&nnclr_reference, &(variant){.enqueue = enqueue_raw}, 1);
}

static void columns_for_rows_are_told(void) {
    check_wrong(&nnclr_reference, &(variant){.compute = compute_by_hand, .columns = true}, 1);
}

static void one_batchnorm_over_both_views_is_told(void) {
    check_wrong(&nnclr_reference, &(variant){.compute = compute_by_hand, .groups = 1}, 1);
}

static void a_predictor_fed_the_features_is_told(void) {
    check_wrong(&nnclr_reference, &(variant){.build = build_predictor_on_features}, 1);
}

static void view_2_enqueued_is_told(void) {
    check_wrong(&nnclr_reference, &(variant){.enqueue = enqueue_view_2}, 1);
}

/* ---- single precision, step by step ---- */

static void take_reals(run *to, void *place, run *from, const void *source, size_t count) {
    double *values = host_reals(&from->f, source, count);
    to->f.t->put(&to->f.g, place, count, NNCLR_F64, values);
    free(values);
}

/* The state of `from`, rounded. */
static void take_state(run *to, run *from) {
    static double rows[M * D];
    const nnclr_support_set *s = &from->support;
    take_reals(to, to->parameters.weights, from, from->parameters.weights, from->count);
    take_reals(to, to->parameters.velocity, from, from->parameters.velocity, from->count);
    take_reals(to, to->parameters.statistics, from, from->parameters.statistics,
               nnclr_network_statistic_count(from->net));
    nnclr_support_set_embeddings(s, NNCLR_F64, rows);
    CHECK(nnclr_support_set_restore(&to->support, NNCLR_F64, rows, s->record, s->label, s->step,
                                    s->cursor, &to->e));
    nnclr_execution_pack(to->execution);
}

static void compare_gradients(run *whole, run *single, const reference *want, int step,
                              double *tensors) {
    double *a = host_reals(&single->f, single->parameters.gradients, single->count),
           *b = host_reals(&whole->f, whole->parameters.gradients, whole->count);
    double distance = relative_distance(a, b, whole->count);
    CHECK_SAYS(distance <= 3 * want->own[step],
               "step %d: the gradient is %g from the double one, PyTorch's %g", step + 1, distance,
               want->own[step]);
    for (size_t i = 0; i < whole->segment_count; i++) {
        const nnclr_segment *s = &whole->segments[i];
        tensors[i] = largest(tensors[i], relative_distance(a + s->offset, b + s->offset, s->count));
    }
    free(a);
    free(b);
}

static void check_single(const reference *want) {
    static run whole, single;
    double tensors[COUNT(whole.segments)] = {0};
    open_run(&whole, want, &right, NNCLR_PRECISION_F64);
    open_run(&single, want, &right, NNCLR_PRECISION_F32);
    for (int step = 0; step < STEPS; step++) {
        take_state(&single, &whole);
        begin_step(&whole);
        begin_step(&single);
        CHECK(!want->picks || memcmp(single.picks, whole.picks, sizeof whole.picks) == 0);
        CHECK_SAYS(fabs(single.loss - want->loss[step]) <= 1e-5, "step %d: loss %.9g, not %.9g",
                   step + 1, single.loss, want->loss[step]);
        compare_gradients(&whole, &single, want, step, tensors);
        end_step(&whole);
    }
    for (size_t i = 0; i < whole.segment_count; i++)
        CHECK_SAYS(tensors[i] <= 3 * want->own_tensors[i] || want->own_tensors[i] > 1,
                   "%s: the gradient is %g from the double one, PyTorch's %g",
                   whole.segments[i].name, tensors[i], want->own_tensors[i]);
    close_run(&single);
    close_run(&whole);
}

static void nnclr_in_f32(void) {
    check_single(&nnclr_reference);
}

static void simclr_in_f32(void) {
    check_single(&simclr_reference);
}

int main(void) {
    RUN(nnclr_in_f64);
    RUN(simclr_in_f64);
    RUN(nnclr_by_hand);
    RUN(nnclr_in_f32);
    RUN(simclr_in_f32);
    RUN(lars_a_is_told_from_b);
    RUN(lars_of_1d_parameters_is_told);
    RUN(decay_of_1d_parameters_is_told);
    RUN(no_momentum_is_told);
    RUN(enqueue_before_the_search_is_told);
    RUN(raw_queue_rows_are_told);
    RUN(columns_for_rows_are_told);
    RUN(one_batchnorm_over_both_views_is_told);
    RUN(a_predictor_fed_the_features_is_told);
    RUN(view_2_enqueued_is_told);
    return check_done();
}
