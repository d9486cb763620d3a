/* What the steps of a run minimise, and the optimiser's step. Each kind of objective is a row of a
 * table: the loss of a method on two views of each picture, or that of a classifier on one; the
 * trainer does not ask which it has. One thread drives an objective. */
#ifndef NNCLR_TRAIN_OBJECTIVE_H
#define NNCLR_TRAIN_OBJECTIVE_H

#include "ssl/classification.h"
#include "ssl/method.h"
#include "train/config.h"
#include "train/metrics_line.h"
#include "train/schedule.h"

typedef struct nnclr_objective nnclr_objective;

typedef struct nnclr_objective_table {
    int views; /* of each picture: groups of the pass */
    /* Refuses contradictions of its part of a configuration: one sentence, a usage error. */
    bool (*check)(const nnclr_config *config, nnclr_error *e);
    /* Memory of an objective on one of `ranks`, in addition to pass and support set. */
    size_t (*bytes)(const nnclr_config *config, int ranks, const nnclr_engine *engine);
    bool (*create)(nnclr_objective *o, nnclr_error *e); /* o->state */
    void (*free)(nnclr_objective *o);
    /* Forward, loss and backward of a batch: gradients, and o->loss and o->gradient_norm. */
    bool (*compute)(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_error *e);
    /* Its numbers of the last compute. */
    bool (*measure)(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_metrics_line *line,
                    nnclr_error *e);
    /* What remains to be done after the optimiser's step. */
    bool (*finish)(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_error *e);
    const nnclr_metric *metrics;   /* that a line has */
    const nnclr_method_type *type; /* of the methods; NULL: of the classifier */
} nnclr_objective_table;

/* That of a configuration. */
const nnclr_objective_table *nnclr_objective_of(const nnclr_config *config);
/* The recipe of its method, but for its course; all zeros, so without a support set, if it is not
 * one. */
nnclr_recipe nnclr_objective_recipe(const nnclr_config *config);

struct nnclr_objective {
    const nnclr_objective_table *table;
    const nnclr_config *config; /* the caller's, as are the next two */
    nnclr_pass *pass;
    nnclr_communicator *communicator;
    nnclr_support_set support;
    nnclr_parameters slow; /* the weights of the target, and its pass, if there is one */
    nnclr_pass target;
    void *state;                /* the table's own */
    nnclr_plan plan, head_plan; /* of the rates: the network's, and the classifier's */
    int64_t records;            /* that are trained on */
    nnclr_buffer scratch;       /* for measuring */
    double loss, gradient_norm; /* of the last compute */
};

/* `config`, `pass` (of the objective's views) and `communicator` must outlive the objective. */
bool nnclr_objective_create(nnclr_objective *o, const nnclr_config *config, int64_t records,
                            nnclr_pass *pass, nnclr_communicator *communicator, nnclr_error *e);
/* What its neighbours are sought by, if the configuration says so; the caller's, it must outlive
 * the objective. */
bool nnclr_objective_look(nnclr_objective *o, const nnclr_appearances *appearances, nnclr_error *e);
void nnclr_objective_free(nnclr_objective *o); /* a zeroed one is fine */
/* Packs the weights, once they are there; a target is theirs unless the run goes on (`resumed`). */
void nnclr_objective_start(nnclr_objective *o, bool resumed);
/* NULL: it has none. */
nnclr_support_set *nnclr_objective_support(nnclr_objective *o);

bool nnclr_objective_compute(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_error *e);
/* The line of the metrics for the last compute, except images_per_s; call it before the update. */
bool nnclr_objective_measure(nnclr_objective *o, const nnclr_method_batch *batch, uint32_t epoch,
                             nnclr_metrics_line *line, nnclr_error *e);
/* The optimiser's step of that batch, and packing. */
void nnclr_objective_update(nnclr_objective *o, const nnclr_method_batch *batch);
bool nnclr_objective_finish(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_error *e);

#endif
