/* What one step of the method computes: forward of two views, positives from the support set, loss,
 * backward; and after the optimiser's step, the enqueue. NNCLR (Dwibedi et al. 2021, eq. 3):
 *
 *   NN1 = nearest rows of Q to z1^      S12 = NN1 . p2^T / temperature
 *   NN2 = nearest rows of Q to z2^      S21 = NN2 . p1^T / temperature
 *   loss = ( rows(S12) + rows(S21) ) / 2,  rows(S) = mean_i( logsumexp_k S[i][k] - S[i][i] )
 *
 * The gradient enters through p^ alone: neither the search nor the neighbours pass one on. Without
 * a predictor p is z. simclr has neither predictor nor support set, and its gradient enters through
 * both sides.
 *
 * One thread drives a method. Everything is written against the communicator: n is the share of one
 * worker, while the columns of S and the rows that are enqueued are those of all workers. */
#ifndef NNCLR_SSL_METHOD_H
#define NNCLR_SSL_METHOD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/communicator.h"
#include "net/pass.h"
#include "ssl/support_set.h"

typedef enum nnclr_method_kind {
    NNCLR_METHOD_NNCLR,
    NNCLR_METHOD_SIMCLR,
    NNCLR_METHOD_FINETUNE /* no contrast: classification.h */
} nnclr_method_kind;
typedef enum nnclr_positive { NNCLR_POSITIVE_NN, NNCLR_POSITIVE_VIEW } nnclr_positive;
typedef enum nnclr_negatives { NNCLR_NEGATIVES_OPPOSITE, NNCLR_NEGATIVES_ALL } nnclr_negatives;
typedef enum nnclr_loss { NNCLR_LOSS_ROW, NNCLR_LOSS_ROW_COLUMN } nnclr_loss;
typedef enum nnclr_enqueue { NNCLR_ENQUEUE_VIEW1, NNCLR_ENQUEUE_BOTH } nnclr_enqueue;

enum { NNCLR_NEIGHBOURS = 64 }; /* the most that can be chosen from */

typedef struct nnclr_method_options {
    nnclr_method_kind kind;
    nnclr_positive positive;
    nnclr_negatives negatives; /* simclr only: equation 2, or NT-Xent */
    double temperature;
    int queue;         /* m >= batch */
    nnclr_loss loss;   /* row+col: also the softmax down the columns, averaged */
    bool swap;         /* average over both assignments of the views */
    int neighbours;    /* a random one of this many nearest rows */
    bool exclude_self; /* rows of the query's own record are not candidates */
    nnclr_enqueue enqueue;
    bool queue_frozen; /* never updated: a control experiment with noise */
} nnclr_method_options;

typedef struct nnclr_method nnclr_method;

/* The caller's; they must outlive the method. */
typedef struct nnclr_method_parts {
    nnclr_engine *engine;
    nnclr_communicator *communicator;
    nnclr_pass *pass;           /* of the network, 2 groups of n */
    nnclr_support_set *support; /* NULL for simclr */
    int n;
    uint64_t seed; /* for the choice among neighbours */
} nnclr_method_parts;

nnclr_method *nnclr_method_create(const nnclr_method_options *options,
                                  const nnclr_method_parts *parts, nnclr_error *e);
void nnclr_method_free(nnclr_method *method); /* NULL is fine */

typedef struct nnclr_method_batch {
    const float *views;    /* [2][n][h][w][3], normalised */
    const int64_t *record; /* [n] */
    const int64_t *label;  /* [n]; -1: none */
    int64_t step;          /* steps done once this one is: the first is 1 */
} nnclr_method_batch;

/* Forward, loss, backward: the parameters' gradients are those of the mean loss over all workers.
 * The support set is searched, not changed. The result stays readable until the next call. */
bool nnclr_method_compute(nnclr_method *method, const nnclr_method_batch *batch, nnclr_error *e);
/* Loss of the last compute, and the norm of its gradient. */
double nnclr_method_loss(const nnclr_method *method);
double nnclr_method_gradient_norm(const nnclr_method *method);

/* The state of training at the last compute, before its enqueue; NAN: undefined. */
typedef struct nnclr_method_metrics {
    double contrast_acc;
    double nn_sim, nn_initial, nn_self, nn_age, nn_distinct, nn_acc;
    double self_present, nn_chance, z_rank, z_spread, h_std, p_std;
} nnclr_method_metrics;
bool nnclr_method_measure(nnclr_method *method, const nnclr_method_batch *batch,
                          nnclr_method_metrics *metrics, nnclr_error *e);

/* Puts the unit projections of the last compute into the support set; call it after the optimiser's
 * step. */
bool nnclr_method_enqueue(nnclr_method *method, const nnclr_method_batch *batch, nnclr_error *e);

size_t nnclr_method_bytes(const nnclr_method *method); /* of engine memory */

/* The picked row of each query, [2][n] (view 1, then view 2), -1: none; as chosen for the last
 * compute. NULL if there are no neighbours. */
const int32_t *nnclr_method_picks(const nnclr_method *method);

#endif
