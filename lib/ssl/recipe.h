/* What is special about a method of pre-training on two views: which rows its loss compares, and
 * what becomes of its support set. A file each says it (nnclr.c, simclr.c, ...); method.c runs any.
 *
 * A loss is a constant and a sum of terms, each with a weight. A term compares rows of unit vectors
 * with columns, those of the same picture having the same number:
 *
 *   softmax  mean_i( logsumexp_k S[i][k] - S[i][i] ),  S = rows . columns^T / temperature
 *   cosine   - mean_i( rows[i] . columns[i] )
 *   decorrelation  see decorrelation.h; of vectors as they are, both views' and all workers'; no
 *                  other term passes a gradient on then
 *
 * The decoupled softmax (Yeh et al. 2021, "Decoupled Contrastive Learning") leaves k = i out of the
 * sum. */
#ifndef NNCLR_SSL_RECIPE_H
#define NNCLR_SSL_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/view_maker.h"

enum { NNCLR_NEIGHBOURS = 64 /* the most that can be chosen from */ };

/* Whose unit vectors. The gradient enters through predictions alone: neither the search nor what it
 * found, nor a projection as such, passes one on. */
typedef enum nnclr_side {
    NNCLR_PREDICTION, /* p^, or z^ if the network has no predictor */
    NNCLR_PROJECTION, /* z^ */
    NNCLR_NEIGHBOUR   /* a row of the support set near to z^, or the mean of several */
} nnclr_side;

typedef struct nnclr_rows {
    nnclr_side side;
    int view; /* 0 or 1 */
} nnclr_rows;

typedef enum nnclr_formula {
    NNCLR_BY_SOFTMAX,
    NNCLR_BY_COSINE,
    NNCLR_BY_DECORRELATION
} nnclr_formula;

typedef struct nnclr_term {
    nnclr_formula formula;
    nnclr_rows rows;    /* a worker's own */
    nnclr_rows columns; /* of all workers */
    bool both_views;    /* both views' predictions are columns, except the row itself */
    double weight;      /* in the loss at the first step; */
    double last_weight; /* after the course; 0 as well: only counted, when metrics are measured */
    bool counted;       /* contrast_acc: the share of rows whose largest column is the right one */
} nnclr_term;

enum { NNCLR_TERMS = 8 };

typedef struct nnclr_recipe {
    nnclr_term terms[NNCLR_TERMS];
    int term_count;
    double constant; /* added to the loss */
    int64_t course;  /* steps in which the weights go from the first to the last, in equal steps */
    double temperature;
    bool decoupled;
    double off_diagonal; /* of a decorrelation */
    int queue;           /* rows of the support set; 0: there is none */
    int neighbours;      /* a neighbour is a random one of this many; 0: the set is not searched; */
    bool soft;           /* or the mean of all, weighted by the softmax of their similarities */
    bool agree;        /* it counts if both views have one of the same record, otherwise z^ does */
    bool exclude_self; /* rows of the query's own record are not candidates */
    int enqueued;      /* views whose z^ enter the support set after the step: 0, 1 or 2 */
} nnclr_recipe;

/* The term's weight at a step, the first being 1. */
static inline double nnclr_term_weight(const nnclr_recipe *recipe, const nnclr_term *term,
                                       int64_t step) {
    const double done = step > recipe->course ? 1 : (double)(step - 1) / (double)recipe->course;
    return term->weight + (term->last_weight - term->weight) * done;
}

/* ---- options, and methods that make a recipe of them ---- */

typedef enum nnclr_positive { NNCLR_POSITIVE_NN, NNCLR_POSITIVE_VIEW } nnclr_positive;
typedef enum nnclr_negatives { NNCLR_NEGATIVES_OPPOSITE, NNCLR_NEGATIVES_ALL } nnclr_negatives;
typedef enum nnclr_loss { NNCLR_LOSS_ROW, NNCLR_LOSS_ROW_COLUMN, NNCLR_LOSS_MIXED } nnclr_loss;
typedef enum nnclr_enqueue { NNCLR_ENQUEUE_VIEW1, NNCLR_ENQUEUE_BOTH } nnclr_enqueue;
typedef enum nnclr_over { NNCLR_OVER_RUN, NNCLR_OVER_EPOCHS, NNCLR_OVER_STEPS } nnclr_over;
/* Their names by value, NULL-terminated. */
extern const char *const nnclr_positive_names[], *const nnclr_negatives_names[];
extern const char *const nnclr_loss_names[], *const nnclr_enqueue_names[];
extern const char *const nnclr_over_names[];

/* A share that goes from one value to another over a part of the run. */
typedef struct nnclr_course {
    double share[2]; /* first and last, in [0, 1] */
    double over;     /* so many runs, epochs or steps; 0: the whole run */
    nnclr_over unit;
} nnclr_course;

typedef struct nnclr_method_options {
    nnclr_positive positive;
    double target_momentum;    /* of a slow copy that makes positives, queue and search; 0: none */
    nnclr_course view_weight;  /* of the own view's terms, beside the neighbours' */
    nnclr_negatives negatives; /* of the own view's terms: equation 2, or NT-Xent */
    bool decoupled;            /* the target leaves the denominator of every softmax */
    double temperature;
    double off_diagonal; /* barlow only: weight of the correlations of different dimensions */
    int queue;           /* m >= batch */
    /* row+col: also the softmax down the columns, averaged; mixed: neighbours take a share of the
     * own view's target alone, and have no negatives */
    nnclr_loss loss;
    bool swap;         /* average over both assignments of the views */
    int neighbours;    /* a random one of this many nearest rows, */
    bool soft;         /* or their weighted mean */
    bool agree;        /* only those on which both views agree */
    double appearance; /* its share in what neighbours are sought by, beside z; 0: none */
    bool exclude_self; /* rows of the query's own record are not candidates */
    nnclr_enqueue enqueue;
    bool queue_frozen; /* never updated: a control experiment with noise */
} nnclr_method_options;

/* Options of the command line that say nothing, if `when` says so, and why. */
typedef struct nnclr_idle_option {
    const char *const *options; /* without dashes, NULL-terminated; NULL ends a list of these */
    bool (*when)(const nnclr_method_options *options); /* NULL: always */
    const char *why;
} nnclr_idle_option;

typedef struct nnclr_method_type {
    bool predictor;          /* whether it is usual */
    nnclr_positive positive; /* the usual one */
    double target_momentum;  /* likewise */
    /* For a network with or without a predictor; the course is left to the caller, who knows how
     * long the run is. */
    nnclr_recipe (*recipe)(const nnclr_method_options *options, bool predictor);
    /* Refuses contradictions: one sentence, a usage error. */
    bool (*check)(const nnclr_method_options *options, int batch, bool predictor, nnclr_error *e);
    const nnclr_idle_option *idle;
} nnclr_method_type;

extern const nnclr_method_type nnclr_method_nnclr, nnclr_method_simclr, nnclr_method_simsiam,
    nnclr_method_byol, nnclr_method_barlow;
/* Of methods whose loss is a sum of cosines. */
extern const nnclr_idle_option nnclr_idle_with_cosines[];
/* Those of a support set and of neighbours from it. */
extern const char *const nnclr_options_of_neighbours[];
#define NNCLR_OPTION(name) ((const char *const[]){name, NULL})
/* Why --off-diagonal is idle. */
extern const char nnclr_only_in_barlow[];

#endif
