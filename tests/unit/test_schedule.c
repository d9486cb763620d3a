/* Lengths and learning rates against golden numbers. */
#include "tests/unit/check.h"
#include "train/schedule.h"

static nnclr_error e; /* of the call that is checked */

static nnclr_config config_of(double lr, int batch, int64_t steps, int64_t warmup) {
    nnclr_config config = nnclr_config_preset(NNCLR_PRESET_IMAGENET);
    config.lr = lr;
    config.batch = batch;
    config.steps = steps;
    config.warmup_steps = warmup;
    return config;
}

static nnclr_plan plan_of(const nnclr_config *config, int64_t records) {
    nnclr_plan plan;
    CHECK_OK(nnclr_plan_make(config, records, &plan, &e));
    return plan;
}

TEST(byol) {
    static const struct {
        int64_t step;
        double rate;
    } golden[] = {{0, 0}, {1, .48}, {9, 4.32}, {10, 4.8}, {55, 2.4}, {99, .001462}};
    nnclr_config config = config_of(0.3, 4096, 100, 10);
    nnclr_plan plan = plan_of(&config, 100000);
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++)
        CHECK_NEAR(nnclr_plan_rate(&plan, golden[i].step), golden[i].rate, 5e-7);
}

TEST(constant_and_final_share) {
    nnclr_config config = config_of(1, 256, 100, 0);
    config.final_lr = 0.25;
    nnclr_plan plan = plan_of(&config, 1000);
    CHECK_NEAR(nnclr_plan_rate(&plan, 0), 1, 0);
    CHECK_NEAR(nnclr_plan_rate(&plan, 50), 0.625, 1e-15);
    CHECK_NEAR(nnclr_plan_rate(&plan, 100), 0.25, 1e-15);
    config.schedule = NNCLR_CONSTANT;
    plan = plan_of(&config, 1000);
    CHECK_NEAR(nnclr_plan_rate(&plan, 99), 1, 0);
}

TEST(scaling_by_the_batch) {
    nnclr_config config = config_of(0.075, 1024, 10, 0);
    CHECK_NEAR(plan_of(&config, 5000).peak, 0.3, 1e-15);
    config.lr_scale = NNCLR_SCALE_SQRT;
    CHECK_NEAR(plan_of(&config, 5000).peak, 2.4, 1e-15);
    config.lr_scale = NNCLR_SCALE_NONE;
    CHECK_NEAR(plan_of(&config, 5000).peak, 0.075, 0);
}

TEST(lengths) {
    nnclr_config config = config_of(1, 64, 0, -1);
    config.epochs = 20;
    config.warmup_epochs = 2;
    nnclr_plan plan = plan_of(&config, 1000); /* 15 steps an epoch, 40 records dropped */
    CHECK(plan.steps_per_epoch == 15 && plan.total == 300 && plan.warmup == 30);
    config.epochs = 0.5;
    config.warmup_steps = 0;
    CHECK(plan_of(&config, 1000).total == 8);
}

TEST(the_default_warmup_is_at_most_a_tenth) {
    nnclr_config config = nnclr_config_preset(NNCLR_PRESET_TINY);
    CHECK_OK(nnclr_plan_default_warmup(&config, 1000, &e) && config.warmup_steps == 30);
    config.epochs = 7;
    CHECK_OK(nnclr_plan_default_warmup(&config, 1000, &e) && config.warmup_steps == 10);
    config.epochs = 200;
    CHECK_OK(nnclr_plan_default_warmup(&config, 1000, &e) && config.warmup_steps == 30);
}

static void refused(const nnclr_config *config, int64_t records, const char *words) {
    nnclr_plan plan;
    CHECK_FAILS(nnclr_plan_make(config, records, &plan, &e), words);
    CHECK(e.code == NNCLR_ERROR_USAGE);
}

TEST(what_makes_no_run) {
    nnclr_config config = config_of(1, 64, 10, 11);
    refused(&config, 63, "a batch of 64 is larger than the data, which has 63 pictures");
    refused(&config, 64, "a warm-up of 11 steps is longer than the run of 10");
    config = config_of(1, 64, 0, 0);
    config.epochs = 0.001;
    refused(&config, 64, "do not make a run");
    config.epochs = 1e300;
    refused(&config, 64, "do not make a run");
}

TEST(courses) {
    const nnclr_config config = config_of(1, 256, 100, 0);
    const nnclr_plan plan = plan_of(&config, 1000); /* epochs of 3 steps */
    static const struct {
        double over;
        nnclr_over unit;
        int64_t steps;
    } golden[] = {{0, NNCLR_OVER_RUN, 100},     {0.3, NNCLR_OVER_RUN, 30},
                  {1e-9, NNCLR_OVER_RUN, 1},    {2, NNCLR_OVER_EPOCHS, 6},
                  {0.5, NNCLR_OVER_EPOCHS, 2},  {7, NNCLR_OVER_STEPS, 7},
                  {500, NNCLR_OVER_STEPS, 500}, {1e15, NNCLR_OVER_EPOCHS, NNCLR_MOST_STEPS}};
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        const nnclr_course course = {{1, 0.5}, golden[i].over, golden[i].unit};
        CHECK_SAYS(nnclr_plan_course(&plan, &course) == golden[i].steps, "case %zu", i);
    }
}

/* From 1 to 0.5 over four steps: the first has the first weight, the fifth the last one. */
TEST(weights_of_a_course) {
    const nnclr_recipe recipe = {.course = 4};
    const nnclr_term term = {.weight = 1, .last_weight = 0.5};
    const double golden[] = {1, 0.875, 0.75, 0.625, 0.5, 0.5, 0.5};
    for (int i = 0; i < 7; i++)
        CHECK_NEAR(nnclr_term_weight(&recipe, &term, i + 1), golden[i], 0);
    CHECK_NEAR(nnclr_term_weight(&recipe, &term, INT64_MAX), 0.5, 0);
}

int main(void) {
    return check_all();
}
