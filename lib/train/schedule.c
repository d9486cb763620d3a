#include "train/schedule.h"

#include <math.h>

static double peak_rate(const nnclr_config *config) {
    switch (config->lr_scale) {
    case NNCLR_SCALE_LINEAR:
        return config->lr * config->batch / 256;
    case NNCLR_SCALE_SQRT:
        return config->lr * sqrt(config->batch);
    case NNCLR_SCALE_NONE:
        break;
    }
    return config->lr;
}

static bool plan_length(const nnclr_config *config, int64_t records, nnclr_plan *plan,
                        nnclr_error *e) {
    plan->steps_per_epoch = records / config->batch;
    if (plan->steps_per_epoch < 1)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "a batch of %d is larger than the data, which has %lld pictures: give a "
                          "smaller --batch or more data",
                          config->batch, (long long)records);
    double total = config->steps ? (double)config->steps
                                 : round(config->epochs * (double)plan->steps_per_epoch);
    if (!(total >= 1 && total <= (double)NNCLR_MOST_STEPS))
        return nnclr_fail(
            e, NNCLR_ERROR_USAGE, "%g epochs of %lld steps do not make a run of 1 to %g steps",
            config->epochs, (long long)plan->steps_per_epoch, (double)NNCLR_MOST_STEPS);
    plan->total = (int64_t)total;
    return true;
}

bool nnclr_plan_make(const nnclr_config *config, int64_t records, nnclr_plan *plan,
                     nnclr_error *e) {
    *plan = (nnclr_plan){
        .peak = peak_rate(config),
        .final_share = config->final_lr,
        .schedule = config->schedule,
    };
    if (!plan_length(config, records, plan, e))
        return false;
    double warmup = config->warmup_steps >= 0
                        ? (double)config->warmup_steps
                        : round(config->warmup_epochs * (double)plan->steps_per_epoch);
    if (warmup > (double)plan->total)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "a warm-up of %.0f steps is longer than the run of %lld", warmup,
                          (long long)plan->total);
    plan->warmup = (int64_t)warmup;
    return true;
}

bool nnclr_plan_default_warmup(nnclr_config *config, int64_t records, nnclr_error *e) {
    nnclr_plan plan;
    if (!plan_length(config, records, &plan, e))
        return false;
    double preset = round(config->warmup_epochs * (double)plan.steps_per_epoch);
    int64_t tenth = plan.total / 10;
    config->warmup_steps = preset < (double)tenth ? (int64_t)preset : tenth;
    return true;
}

double nnclr_plan_rate(const nnclr_plan *plan, int64_t step) {
    static const double pi = 3.14159265358979323846;
    if (step < plan->warmup)
        return plan->peak * (double)step / (double)plan->warmup;
    if (plan->schedule == NNCLR_CONSTANT)
        return plan->peak;
    double done = (double)(step - plan->warmup) / (double)(plan->total - plan->warmup);
    double share = (1 + cos(pi * done)) / 2;
    return plan->peak * (plan->final_share + (1 - plan->final_share) * share);
}

int64_t nnclr_plan_course(const nnclr_plan *plan, const nnclr_course *course) {
    const double units[] = {[NNCLR_OVER_RUN] = (double)plan->total,
                            [NNCLR_OVER_EPOCHS] = (double)plan->steps_per_epoch,
                            [NNCLR_OVER_STEPS] = 1};
    const double steps =
        course->over > 0 ? round(course->over * units[course->unit]) : (double)plan->total;
    return steps < 1 ? 1 : steps > (double)NNCLR_MOST_STEPS ? NNCLR_MOST_STEPS : (int64_t)steps;
}
