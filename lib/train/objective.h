/* What the steps of a run minimise, and the optimiser's step: the loss of a method on two views of
 * each picture, or in fine-tuning, that of the classifier on one view. */
#ifndef NNCLR_TRAIN_OBJECTIVE_H
#define NNCLR_TRAIN_OBJECTIVE_H

#include "ssl/classification.h"
#include "ssl/method.h"
#include "train/config.h"
#include "train/metrics_line.h"
#include "train/schedule.h"

typedef struct nnclr_objective {
    const nnclr_config *config;
    nnclr_method_parts parts;
    nnclr_method *method;                 /* one of the two, */
    nnclr_classification *classification; /* the other is NULL */
    nnclr_plan plan, head_plan;           /* head_plan: of the classifier's rate */
    int64_t records;                      /* that are trained on */
} nnclr_objective;

/* Views of each picture that a step takes: groups of the network's execution. */
int nnclr_objective_views(const nnclr_config *config);

/* `config` and what is in `parts` stay the caller's and must outlive the objective. */
bool nnclr_objective_create(nnclr_objective *o, const nnclr_config *config, int64_t records,
                            const nnclr_method_parts *parts, nnclr_error *e);
void nnclr_objective_free(nnclr_objective *o); /* a zeroed one is fine */
size_t nnclr_objective_bytes(const nnclr_objective *o);

/* Forward, loss and backward of a batch, as nnclr_method_compute. */
bool nnclr_objective_compute(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_error *e);
double nnclr_objective_loss(const nnclr_objective *o);
double nnclr_objective_gradient_norm(const nnclr_objective *o);
/* The line of the metrics for the last compute, except images_per_s; call it before the update.
 * `scratch` is emptied. */
bool nnclr_objective_measure(nnclr_objective *o, const nnclr_method_batch *batch, uint32_t epoch,
                             nnclr_metrics_line *line, nnclr_buffer *scratch, nnclr_error *e);
/* The optimiser's step of that batch. */
void nnclr_objective_update(nnclr_objective *o, const nnclr_method_batch *batch);
/* What a method does after that: nnclr_method_enqueue. */
bool nnclr_objective_conclude(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_error *e);

#endif
