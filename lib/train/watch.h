/* What the user should be told about the metrics: a run that trains on noise, or has collapsed,
 * ends like any other and leaves a checkpoint like any other.
 *
 * Each question is a pure function of the run and of means over measured steps, its threshold in
 * watch.c. A watch forms those means and asks: about random picks at every measured step; about the
 * rest at the end of an epoch, once NNCLR_WATCH_PICTURES pictures have been measured since it last
 * asked, so that chance alone does not cross a threshold. It never asks about steps from both
 * before and after the end of the warm-up, the step that finds the support set full, or that by
 * which z should have opened. Each warning is given once. */
#ifndef NNCLR_TRAIN_WATCH_H
#define NNCLR_TRAIN_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "train/config.h"
#include "train/metrics_line.h"
#include "train/schedule.h"

enum { NNCLR_WATCH_PICTURES = 1000 };

typedef enum nnclr_warning {
    NNCLR_WARN_RANDOM_PICKS, /* initial rows are picked after the support set was filled */
    NNCLR_WARN_COLLAPSE,     /* the embeddings do not differ, or only along one direction */
    NNCLR_WARN_CHANCE,       /* views are recognised no better than by chance */
    NNCLR_WARN_OWN_PICTURE,  /* the neighbours are mostly the query's own picture */
    NNCLR_WARN_ORDER,        /* a batch holds records that are close together in the data */
    NNCLR_WARN_NARROW,       /* the embeddings stay in few of their dimensions */
    NNCLR_WARNINGS
} nnclr_warning;

/* What the thresholds depend on. */
typedef struct nnclr_watch_facts {
    int batch;       /* candidates that a view is compared with */
    int64_t warmup;  /* steps */
    int64_t filled;  /* the first step that finds no initial row; INT64_MAX: the support set never
                        changes, or there is none */
    bool frozen;     /* the support set is, as a control */
    int64_t records; /* number of pictures */
    int queue;       /* rows of the support set */
    int width;       /* of z if all positives of nnclr are neighbours, otherwise 0 */
    int64_t opened;  /* the first step by which z should differ in many directions */
} nnclr_watch_facts;

nnclr_watch_facts nnclr_watch_facts_of(const nnclr_config *config, const nnclr_plan *plan,
                                       int64_t records);

/* Means over measured steps; NAN: undefined in all of them. */
typedef struct nnclr_observation {
    int64_t first, last; /* the steps */
    double contrast_acc, nn_initial, nn_self, z_rank, z_spread, batch_spread;
} nnclr_observation;

/* Whether this observation deserves the warning. */
bool nnclr_watch_asks(nnclr_warning warning, const nnclr_watch_facts *facts,
                      const nnclr_observation *o);
/* One sentence: what was seen, what it means, what to do. */
void nnclr_watch_explain(nnclr_warning warning, const nnclr_watch_facts *facts,
                         const nnclr_observation *o, char *text, size_t size);

enum { NNCLR_WATCHED = 6 }; /* numbers of an observation */

typedef struct nnclr_watch {
    nnclr_watch_facts facts;
    void (*tell)(void *context, const char *text); /* NULL: nobody listens */
    void *context;
    int64_t first, last, pictures; /* measured since the watch last asked */
    double sum[NNCLR_WATCHED];
    int64_t count[NNCLR_WATCHED]; /* of steps in which the number is defined */
    bool told[NNCLR_WARNINGS];
} nnclr_watch;

/* Takes a measured step. */
void nnclr_watch_observe(nnclr_watch *watch, const nnclr_metrics_line *line, bool epoch_ends);

#endif
