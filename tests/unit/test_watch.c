/* The warnings of a run: each question by itself on both sides of its threshold, when a watch asks
 * and that it says a thing once; and on rows of a support set made by an encoder that has collapsed
 * to a constant with noise on it, and by a healthy one. */
#include "tests/unit/check.h"

#include "base/rng.h"
#include "ssl/support_metrics.h"
#include "tests/unit/engine_fixture.h"
#include "tests/unit/plain_tiny.h"
#include "train/watch.h"

static nnclr_error e; /* of the call that is checked */

enum { BATCH = 100, FILLED = 11 };

static nnclr_watch_facts facts(void) {
    return (nnclr_watch_facts){.batch = BATCH,
                               .warmup = 5,
                               .filled = FILLED,
                               .records = 400,
                               .queue = 1000,
                               .width = 64,
                               .opened = 6};
}

/* A step or a mean over steps of a run that has nothing wrong. */
static nnclr_observation healthy(void) {
    return (nnclr_observation){.first = FILLED,
                               .last = FILLED + 3,
                               .contrast_acc = .2,
                               .nn_initial = 0,
                               .nn_self = .1,
                               .z_rank = 9,
                               .z_spread = .6,
                               .batch_spread = 1.0 / 3};
}

static bool asks(nnclr_warning warning, nnclr_observation o) {
    const nnclr_watch_facts f = facts();
    return nnclr_watch_asks(warning, &f, &o);
}

TEST(a_healthy_run_is_left_alone) {
    for (int i = 0; i < NNCLR_WARNINGS; i++)
        CHECK(!asks((nnclr_warning)i, healthy()));
}

TEST(what_is_undefined_is_left_alone) {
    const nnclr_observation o = {.first = 99,
                                 .last = 99,
                                 .contrast_acc = NAN,
                                 .nn_initial = NAN,
                                 .nn_self = NAN,
                                 .z_rank = NAN,
                                 .z_spread = NAN,
                                 .batch_spread = NAN};
    for (int i = 0; i < NNCLR_WARNINGS; i++)
        CHECK(!asks((nnclr_warning)i, o));
}

TEST(random_picks) {
    nnclr_observation o = healthy();
    o.nn_initial = .01;
    CHECK(asks(NNCLR_WARN_RANDOM_PICKS, o));
    o.first = o.last = FILLED - 1; /* the last step that may find initial rows */
    CHECK(!asks(NNCLR_WARN_RANDOM_PICKS, o));
}

TEST(when_the_support_set_is_full) {
    nnclr_config c = nnclr_config_preset(NNCLR_PRESET_TINY);
    const nnclr_plan plan = {.warmup = 7};
    c.batch = 64;
    c.method.queue = 512; /* full after 8 steps, so that the ninth finds no initial row */
    CHECK(nnclr_watch_facts_of(&c, &plan, 1).filled == 9);
    c.method.queue = 513;
    CHECK(nnclr_watch_facts_of(&c, &plan, 1).filled == 10);
    c.method.enqueue = NNCLR_ENQUEUE_BOTH;
    CHECK(nnclr_watch_facts_of(&c, &plan, 1).filled == 6);
    CHECK(nnclr_watch_facts_of(&c, &plan, 1).warmup == 7);
    c.method.queue_frozen = true; /* random rows are what was asked for */
    CHECK(nnclr_watch_facts_of(&c, &plan, 1).filled == INT64_MAX);
    CHECK(nnclr_watch_facts_of(&c, &plan, 1).frozen);
    c.method.queue_frozen = false;
    c.objective = NNCLR_OBJECTIVE_SIMCLR;
    CHECK(nnclr_watch_facts_of(&c, &plan, 1).filled == INT64_MAX);
}

TEST(collapse) {
    nnclr_observation o = healthy();
    o.z_rank = 1.9;
    CHECK(asks(NNCLR_WARN_COLLAPSE, o));
    o = healthy();
    o.z_spread = .009; /* of high rank, like noise */
    CHECK(asks(NNCLR_WARN_COLLAPSE, o));
    o.z_rank = NAN; /* all the same */
    o.z_spread = 0;
    CHECK(asks(NNCLR_WARN_COLLAPSE, o));
    o.first = FILLED - 1;
    CHECK(!asks(NNCLR_WARN_COLLAPSE, o));
    o = healthy();
    o.z_rank = 2.1;
    o.z_spread = .011;
    CHECK(!asks(NNCLR_WARN_COLLAPSE, o));
}

TEST(chance) {
    nnclr_observation o = healthy();
    o.contrast_acc = 1.1 / BATCH;
    CHECK(asks(NNCLR_WARN_CHANCE, o));
    nnclr_watch_facts frozen = facts();
    frozen.frozen = true; /* noise was asked for */
    CHECK(!nnclr_watch_asks(NNCLR_WARN_CHANCE, &frozen, &o));
    o.first = 5; /* of the warm-up */
    CHECK(!asks(NNCLR_WARN_CHANCE, o));
    o = healthy();
    o.contrast_acc = 1.3 / BATCH;
    CHECK(!asks(NNCLR_WARN_CHANCE, o));
}

TEST(own_picture) {
    nnclr_observation o = healthy();
    o.nn_self = .51;
    CHECK(asks(NNCLR_WARN_OWN_PICTURE, o));
    o.nn_self = .5;
    CHECK(!asks(NNCLR_WARN_OWN_PICTURE, o));
}

TEST(order) {
    nnclr_observation o = healthy();
    o.batch_spread = .249;
    CHECK(asks(NNCLR_WARN_ORDER, o));
    o.batch_spread = .25;
    CHECK(!asks(NNCLR_WARN_ORDER, o));
}

TEST(a_z_that_never_opens) {
    nnclr_watch_facts f = facts();
    nnclr_observation o = healthy();
    o.z_rank = 7.9;
    CHECK(nnclr_watch_asks(NNCLR_WARN_NARROW, &f, &o));
    o.z_rank = 8.1;
    CHECK(!nnclr_watch_asks(NNCLR_WARN_NARROW, &f, &o));
    o.z_rank = 3;
    f.opened = o.first + 1;
    CHECK(!nnclr_watch_asks(NNCLR_WARN_NARROW, &f, &o));
    f = facts();
    f.filled = o.first + 1;
    CHECK(!nnclr_watch_asks(NNCLR_WARN_NARROW, &f, &o));
    f = facts();
    f.width = 0;
    CHECK(!nnclr_watch_asks(NNCLR_WARN_NARROW, &f, &o));
    /* what was seen: rank and width */
    const struct {
        double rank;
        int width;
        bool narrow;
    } seen[] = {{5, 32, true}, {8, 128, true}, {22, 128, false}};
    for (int i = 0; i < 3; i++) {
        f.width = seen[i].width;
        o.z_rank = seen[i].rank;
        CHECK(nnclr_watch_asks(NNCLR_WARN_NARROW, &f, &o) == seen[i].narrow);
    }
}

TEST(who_should_open_z_and_when) {
    const nnclr_plan plan = {.warmup = 7, .total = 105};
    nnclr_config c = plain_tiny();
    const nnclr_config opens = nnclr_config_preset(NNCLR_PRESET_TINY);
    CHECK(nnclr_watch_facts_of(&opens, &plan, 1).width == 0);
    CHECK(nnclr_watch_facts_of(&c, &plan, 1).width == 32);
    CHECK(nnclr_watch_facts_of(&c, &plan, 1).opened == 18);
    c.method.view_weight.share[0] = .5;
    CHECK(nnclr_watch_facts_of(&c, &plan, 1).width == 0);
    c.method.view_weight.share[0] = 0;
    c.method.positive = NNCLR_POSITIVE_VIEW;
    CHECK(nnclr_watch_facts_of(&c, &plan, 1).width == 0);
    c.method.positive = NNCLR_POSITIVE_NN;
    c.objective = NNCLR_OBJECTIVE_SIMCLR;
    CHECK(nnclr_watch_facts_of(&c, &plan, 1).width == 0);
}

TEST(every_sentence_says_what_to_do) {
    static const char *const words[NNCLR_WARNINGS][3] = {
        {"steps 11 to 14", "full since step 11", "report it"},
        {"z_spread 0.6, z_rank 9", "collapse", "--lr"},
        {"contrast_acc 0.2 of a batch of 100", "by chance", "nnclr-views --sheet"},
        {"0.1 of the neighbours", "1000 rows for 400 pictures", "--exclude-self"},
        {"batch_spread 0.333", "close together", "--views"},
        {"z_rank 9", "few of their 64 directions", "--view-weight 1,0.5 --pred none"}};
    const nnclr_watch_facts f = facts();
    const nnclr_observation o = healthy();
    for (int i = 0; i < NNCLR_WARNINGS; i++) {
        char text[600];
        nnclr_watch_explain((nnclr_warning)i, &f, &o, text, sizeof text);
        CHECK(strlen(text) < 450);
        for (int j = 0; j < 3; j++)
            CHECK_SAYS(strstr(text, words[i][j]), "\"%s\" is not in: %s", words[i][j], text);
    }
}

/* ---- when a watch asks ---- */

static char said[600];
static int times;

static void hear(void *context, const char *text) {
    (void)context;
    times++;
    snprintf(said, sizeof said, "%s", text);
}

static nnclr_watch listening(void) {
    times = 0;
    said[0] = '\0';
    return (nnclr_watch){.facts = facts(), .tell = hear};
}

static nnclr_metrics_line line_of(int64_t step, nnclr_observation o) {
    nnclr_metrics_line line = {.step = step, .batch_spread = o.batch_spread};
    line.method.contrast_acc = o.contrast_acc;
    line.method.nn_initial = o.nn_initial;
    line.method.nn_self = o.nn_self;
    line.method.z_rank = o.z_rank;
    line.method.z_spread = o.z_spread;
    return line;
}

TEST(random_picks_are_told_at_once_and_once) {
    nnclr_watch w = listening();
    nnclr_observation o = healthy();
    o.nn_initial = .5;
    for (int64_t step = 1; step < FILLED; step++) {
        const nnclr_metrics_line line = line_of(step, o);
        nnclr_watch_observe(&w, &line, false);
        CHECK(times == 0);
    }
    for (int64_t step = FILLED; step < 3 * FILLED; step++) {
        const nnclr_metrics_line line = line_of(step, o);
        nnclr_watch_observe(&w, &line, false);
        CHECK(times == 1);
    }
    CHECK(strstr(said, "step 11:"));
}

/* A watch asks after ten steps of a hundred pictures: an epoch of five steps is not enough to ask,
 * two of them are. */
TEST(means_are_asked_about_at_an_epochs_end) {
    nnclr_watch w = listening();
    nnclr_observation o = healthy();
    for (int64_t step = 21; step <= 30; step++) {
        o.nn_self = step % 2 ? .2 : .9;
        const nnclr_metrics_line line = line_of(step, o);
        nnclr_watch_observe(&w, &line, step % 5 == 0);
        CHECK(times == (step == 30));
    }
    CHECK_SAYS(strstr(said, "steps 21 to 30") && strstr(said, "0.55 of the neighbours"), "%s",
               said);
    for (int64_t step = 31; step <= 60; step++) { /* once is enough */
        const nnclr_metrics_line line = line_of(step, o);
        nnclr_watch_observe(&w, &line, step % 5 == 0);
        CHECK(times == 1);
    }
}

/* The warm-up ends after step 5, the support set is full at step 11: means begin anew there. */
TEST(means_begin_anew_when_the_run_changes) {
    nnclr_watch w = listening();
    nnclr_observation o = healthy();
    for (int64_t step = 1; step <= 20; step++) {
        o.z_rank = step < FILLED ? 1 : 1.5;
        const nnclr_metrics_line line = line_of(step, o);
        nnclr_watch_observe(&w, &line, true);
        CHECK(times == (step == 20));
    }
    CHECK_SAYS(strstr(said, "steps 11 to 20") && strstr(said, "z_rank 1.5"), "%s", said);
    w = listening();
    for (int64_t step = 1; step <= 15; step++) {
        o.z_rank = 9;
        o.contrast_acc = 1.0 / BATCH;
        w.facts.filled = INT64_MAX;
        const nnclr_metrics_line line = line_of(step, o);
        nnclr_watch_observe(&w, &line, true);
        CHECK(times == (step == 15));
    }
    CHECK_SAYS(strstr(said, "steps 6 to 15") && strstr(said, "by chance"), "%s", said);
}

TEST(a_mean_leaves_undefined_steps_out) {
    nnclr_watch w = listening();
    nnclr_observation o = healthy();
    for (int64_t step = 21; step <= 30; step++) {
        o.z_rank = step == 25 ? 1.5 : NAN;
        const nnclr_metrics_line line = line_of(step, o);
        nnclr_watch_observe(&w, &line, step == 30);
    }
    CHECK(times == 1);
    CHECK_SAYS(strstr(said, "z_rank 1.5"), "%s", said);
}

/* ---- encoders ---- */

enum { ROWS = 200, D = 16 };

/* A support set whose rows are `center` + noise of that deviation, drawn in `directions` of the
 * dimensions, as a watch sees it. */
static int warnings_of(double center, double noise, int directions) {
    fixture f;
    nnclr_support_set s;
    nnclr_buffer scratch = {0};
    double rows[ROWS * D];
    int64_t meta[ROWS] = {0};
    fixture_open(&f, NNCLR_PRECISION_F64, 1);
    CHECK_OK(nnclr_support_set_create(&s, &f.g, ROWS, D, 0, &e));
    for (int i = 0; i < ROWS; i++) {
        nnclr_rng rng = nnclr_rng_at(4, NNCLR_DRAW_SAMPLE, 0, (uint64_t)i, 0);
        double squares = 0;
        for (int j = 0; j < D; j++) {
            double pair[2];
            nnclr_rng_normal2(&rng, pair);
            rows[i * D + j] = (j == 3 ? center : 0) + (j < directions ? noise * pair[0] : 0);
            squares += rows[i * D + j] * rows[i * D + j];
        }
        for (int j = 0; j < D; j++)
            rows[i * D + j] /= sqrt(squares);
    }
    CHECK_OK(nnclr_support_set_restore(&s, NNCLR_F64, rows, meta, meta, meta, 0, &e));
    nnclr_observation o = healthy();
    CHECK_OK(nnclr_measure_rank(&s, ROWS, &o.z_rank, &o.z_spread, &scratch, &e));
    nnclr_watch w = listening();
    for (int64_t step = 21; step <= 30; step++) {
        const nnclr_metrics_line line = line_of(step, o);
        nnclr_watch_observe(&w, &line, step == 30);
    }
    nnclr_buffer_free(&scratch);
    nnclr_support_set_free(&s);
    fixture_close(&f);
    return times;
}

TEST(a_constant_encoder_with_noise_is_told) {
    CHECK(warnings_of(1, .01, D) == 1);
    CHECK(strstr(said, "collapse"));
    CHECK(warnings_of(0, 1, 1) == 1); /* all along one line */
    CHECK(strstr(said, "collapse"));
    CHECK(warnings_of(0, 1, D) == 0);
    CHECK(warnings_of(1, 1, D) == 0); /* a common direction is not a collapse yet */
}

int main(void) {
    return check_all();
}
