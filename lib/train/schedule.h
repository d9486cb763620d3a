/* How long a run is and which learning rate each step has: BYOL's rule, per step. With T steps in
 * all, W of warm-up, step s from 0:
 *
 *   s < W    peak * s / W                (the first update of a run with warm-up has rate 0)
 *   s >= W   peak * (final + (1 - final) * (1 + cos(pi (s - W) / (T - W))) / 2), or constant */
#ifndef NNCLR_TRAIN_SCHEDULE_H
#define NNCLR_TRAIN_SCHEDULE_H

#include "train/config.h"

/* In a run: exact in a double, and sums with it do not overflow. */
#define NNCLR_MOST_STEPS INT64_C(1000000000000000)

typedef struct nnclr_plan {
    int64_t steps_per_epoch; /* the last partial batch is dropped */
    int64_t total, warmup;   /* steps */
    double peak;             /* the base rate, scaled by the batch */
    double final_share;
    nnclr_schedule schedule;
} nnclr_plan;

/* For a data set of `records` pictures. A batch larger than that, or a warm-up longer than the run,
 * is a usage error. */
bool nnclr_plan_make(const nnclr_config *config, int64_t records, nnclr_plan *plan, nnclr_error *e);

/* Fixes the default warm-up: the preset's epochs, but at most a tenth of the run. */
bool nnclr_plan_default_warmup(nnclr_config *config, int64_t records, nnclr_error *e);

double nnclr_plan_rate(const nnclr_plan *plan, int64_t step);
/* Steps that a course takes, at least 1. */
int64_t nnclr_plan_course(const nnclr_plan *plan, const nnclr_course *course);

#endif
