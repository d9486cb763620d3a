/* Ten free-running steps of fine-tuning on fixed views against PyTorch
 * (tests/reference/finetune_steps.py), in double precision; and a method that is wrong in one thing
 * must not pass for it. */
#include "tests/unit/step_fixture.h"
#include "tests/unit/torch_summary.h"
#include "train/objective.h"

#include "tests/reference/finetune_steps.inc"

static nnclr_error e; /* of the call that is checked */

enum { SEED = 85, N = 16, SIZE = 8, RECORDS = 48, STEPS = 10, CLASSES = 5 };
enum { PICTURE = SIZE * SIZE * 3 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct run {
    stack s;
    nnclr_config config;
    nnclr_objective objective;
} run;

static nnclr_config right_config(void) {
    nnclr_config config = nnclr_config_preset(NNCLR_PRESET_TINY);
    config.model.size = config.augment.size = SIZE;
    config.model.projector.count = config.model.predictor.count = 0;
    config.model.classes = CLASSES;
    config.objective = NNCLR_OBJECTIVE_FINETUNE;
    config.batch = N;
    config.steps = STEPS;
    config.warmup_steps = 1;
    config.lr = 0.1;
    config.head_lr = 0.2;
    config.lr_scale = NNCLR_SCALE_NONE;
    config.optimizer = NNCLR_SGD;
    config.nesterov = true;
    config.momentum = 0.9;
    config.weight_decay = 0.01;
    config.label_fraction = 1;
    return config;
}

static void open_run(run *r, const nnclr_config *config, nnclr_precision precision) {
    memset(r, 0, sizeof *r);
    r->config = *config;
    CHECK_OK(nnclr_config_check(config, &e));
    open_step(&r->s, &(step_options){.precision = precision,
                                     .spec = config->model,
                                     .seed = SEED,
                                     .groups = 1,
                                     .n = N,
                                     .micro_batch = config->micro_batch});
    nnclr_parameters_clear(&r->s.parameters, "fc.");
    nnclr_pass_pack(&r->s.pass);
    CHECK_OK(nnclr_objective_create(&r->objective, &r->config, RECORDS, &r->s.pass,
                                    r->s.communicator, &e));
}

static void close_run(run *r) {
    nnclr_objective_free(&r->objective);
    close_step(&r->s);
}

/* Three parts of the record's own picture to one of noise. */
static nnclr_method_batch draw_batch(run *r, int step) {
    static double base[PICTURE], noise[PICTURE];
    for (int i = 0; i < N; i++) {
        uint64_t record = (uint64_t)(step * N + i) % RECORDS;
        fill_uniform(base, PICTURE, 3, record, 0);
        fill_uniform(noise, PICTURE, 3, record, 1 + (uint32_t)step);
        for (int j = 0; j < PICTURE; j++)
            r->s.views[i * PICTURE + j] = (float)(0.75 * base[j] + 0.25 * noise[j]);
        r->s.record[i] = (int64_t)record;
        r->s.label[i] = (int64_t)(record * record % 7 % CLASSES);
    }
    return (nnclr_method_batch){r->s.views, r->s.record, r->s.label, step + 1};
}

static void take_step(run *r, int step, nnclr_metrics_line *line) {
    const nnclr_method_batch batch = draw_batch(r, step);
    CHECK_OK(nnclr_objective_compute(&r->objective, &batch, &e) &&
             nnclr_objective_measure(&r->objective, &batch, 0, line, &e));
    nnclr_objective_update(&r->objective, &batch);
    CHECK_OK(nnclr_objective_finish(&r->objective, &batch, &e));
}

/* How far a run was from PyTorch's, in tolerances. */
typedef struct distances {
    double loss, norm, updates, running;
    int step; /* the first whose loss was further than one away; 0: none */
} distances;

static double largest(double a, double b) {
    return isnan(b) || b > a ? b : a;
}

static double compare(const nnclr_segment *segments, size_t count, const summary *want,
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

static distances follow(const nnclr_config *config) {
    static run r;
    distances d = {0};
    open_run(&r, config, NNCLR_PRECISION_F64);
    const size_t count = nnclr_network_parameter_count(r.s.net);
    double *start = host_reals(&r.s.f, r.s.parameters.weights, count);
    for (int step = 0; step < STEPS; step++) {
        nnclr_metrics_line line;
        take_step(&r, step, &line);
        d.loss = largest(d.loss, fabs(line.loss - torch_loss[step]) / 1e-8);
        d.norm = largest(d.norm, fabs(line.grad_norm - torch_gradient_norm[step]) / 1e-8);
        if (d.step == 0 && !(d.loss <= 1))
            d.step = step + 1;
        if (d.step == 0)
            CHECK(line.accuracy == torch_accuracy[step]);
    }
    double *end = host_reals(&r.s.f, r.s.parameters.weights, count);
    double *update = moved(end, -1, start, count);
    d.updates = compare(nnclr_network_segments(r.s.net), nnclr_network_segment_count(r.s.net),
                        torch_updates, COUNT(torch_updates), update, 1e-6);
    double *running =
        host_reals(&r.s.f, r.s.parameters.statistics, nnclr_network_statistic_count(r.s.net));
    d.running = compare(nnclr_network_statistic_segments(r.s.net),
                        nnclr_network_statistic_segment_count(r.s.net), torch_running,
                        COUNT(torch_running), running, 1e-8);
    CHECK(r.s.parameters.batches == STEPS);
    free(running);
    free(update);
    free(end);
    free(start);
    close_run(&r);
    return d;
}

TEST(ten_steps_are_torchs) {
    const nnclr_config config = right_config();
    const distances d = follow(&config);
    CHECK_SAYS(largest(largest(d.loss, d.norm), largest(d.updates, d.running)) <= 1,
               "in tolerances: loss %g, gradient norm %g, updates %g, running statistics %g; the "
               "first to be off is step %d",
               d.loss, d.norm, d.updates, d.running, d.step);
}

/* The first step has a rate of 0, the second moves only the classifier, away from zero. */
static void check_wrong(const nnclr_config *config, int step) {
    const distances d = follow(config);
    CHECK_SAYS(d.step == step && !(d.loss <= 1e4) && !(d.updates <= 1e4),
               "in tolerances, loss %g and updates %g; the first to be off is step %d", d.loss,
               d.updates, d.step);
}

TEST(plain_momentum_is_told_from_nesterovs) {
    nnclr_config config = right_config();
    config.nesterov = false;
    check_wrong(&config, 3);
}

TEST(rates_and_decay_are_told) {
    nnclr_config config = right_config();
    config.head_lr = config.lr;
    check_wrong(&config, 3);
    config = right_config();
    config.lr = config.head_lr;
    check_wrong(&config, 3);
    config = right_config();
    config.weight_decay = 0;
    check_wrong(&config, 3);
    config = right_config();
    config.schedule = NNCLR_CONSTANT;
    check_wrong(&config, 4);
}

/* In micro-batches batch norm has other statistics: the first loss is still that of zeros, and one
 * micro-batch that is the whole batch changes nothing. */
TEST(micro_batches) {
    nnclr_config config = right_config();
    config.micro_batch = N / 2;
    check_wrong(&config, 3);
}

/* What goes into the first batch norm is the same pictures, however they are cut. */
TEST(running_statistics_are_those_of_the_batch) {
    static run r[2];
    double *running[2];
    nnclr_config config = right_config();
    for (int i = 0; i < 2; i++) {
        config.micro_batch = i ? N / 4 : 0;
        open_run(&r[i], &config, NNCLR_PRECISION_F64);
        nnclr_metrics_line line;
        take_step(&r[i], 0, &line);
        running[i] = host_reals(&r[i].s.f, r[i].s.parameters.statistics,
                                nnclr_network_statistic_count(r[i].s.net));
    }
    const nnclr_segment *mean = nnclr_network_statistic_segments(r[0].s.net);
    check_close("running statistics", running[1], running[0], 2 * mean->count, 1e-14);
    for (int i = 0; i < 2; i++) {
        free(running[i]);
        close_run(&r[i]);
    }
}

TEST(a_whole_micro_batch_is_the_batch) {
    static run r[2];
    nnclr_config config = right_config();
    open_run(&r[0], &config, NNCLR_PRECISION_F64);
    config.micro_batch = N;
    open_run(&r[1], &config, NNCLR_PRECISION_F64);
    for (int step = 0; step < 4; step++) {
        nnclr_metrics_line line[2];
        take_step(&r[0], step, &line[0]);
        take_step(&r[1], step, &line[1]);
        CHECK(line[0].loss == line[1].loss && line[0].grad_norm == line[1].grad_norm);
    }
    close_run(&r[0]);
    close_run(&r[1]);
}

TEST(the_loss_of_a_label) {
    const double logits[3] = {1000, 999, 990};
    double p[3];
    /* log(1 + e^-1 + e^-10), by another program; exp(1000) overflows. */
    CHECK_NEAR(nnclr_label_loss(logits, 3, 0, p), 0.3132948769755688, 1e-12);
    CHECK_NEAR(nnclr_label_loss(logits, 3, 2, p), 10.3132948769755688, 1e-12);
    CHECK_NEAR(p[0] + p[1] + p[2], 1, 1e-15);
    CHECK_NEAR(p[1] / p[0], exp(-1), 1e-15);
}

TEST(a_label_outside_of_the_classes_is_refused) {
    static run r;
    const nnclr_config config = right_config();
    open_run(&r, &config, NNCLR_PRECISION_F64);
    nnclr_method_batch batch = draw_batch(&r, 0);
    r.s.label[3] = -1;
    CHECK(!nnclr_objective_compute(&r.objective, &batch, &e));
    r.s.label[3] = CLASSES;
    CHECK(!nnclr_objective_compute(&r.objective, &batch, &e));
    r.s.label[3] = 0;
    CHECK_OK(nnclr_objective_compute(&r.objective, &batch, &e));
    close_run(&r);
}

int main(void) {
    return check_all();
}
