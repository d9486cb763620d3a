/* One step of contrastive pre-training, as a recipe has it: forward of two views, positives from
 * the support set, loss, backward; and after the optimiser's step, the enqueue.
 *
 * One thread drives a method. n is the share of one rank; batch norms, the columns of similarities,
 * the rows that are enqueued, loss, gradients and everything that is measured are those of all
 * ranks. */
#ifndef NNCLR_SSL_METHOD_H
#define NNCLR_SSL_METHOD_H

#include <stdint.h>

#include "engine/communicator.h"
#include "net/pass.h"
#include "ssl/recipe.h"
#include "ssl/support_set.h"

typedef struct nnclr_method nnclr_method;

/* The caller's; they must outlive the method. */
typedef struct nnclr_method_parts {
    nnclr_pass *pass;   /* of the network, 2 groups of n */
    nnclr_pass *target; /* of its slow copy, which then makes every z^; NULL: there is none */
    nnclr_communicator *communicator;
    nnclr_support_set *support; /* of recipe->queue rows; NULL: there is none */
    uint64_t seed;              /* for the choice among neighbours */
} nnclr_method_parts;

nnclr_method *nnclr_method_create(const nnclr_recipe *recipe, const nnclr_method_parts *parts,
                                  nnclr_error *e);
void nnclr_method_free(nnclr_method *method); /* NULL is fine */
/* Engine memory of such a method for n pictures of each of `ranks` ranks, in addition to pass and
 * support set; d: width of z. */
size_t nnclr_method_bytes(const nnclr_recipe *recipe, const nnclr_engine *engine, int n, int ranks,
                          int d);

typedef struct nnclr_method_batch {
    const float *views;    /* [2][n][h][w][3], normalised */
    const int64_t *record; /* [n] */
    const int64_t *label;  /* [n]; -1: none */
    int64_t step;          /* steps done once this one is: the first is 1 */
} nnclr_method_batch;

/* Forward, loss, backward: the parameters' gradients are those of the mean loss over all ranks.
 * The support set is searched, not changed. The result stays readable until the next call. */
bool nnclr_method_compute(nnclr_method *method, const nnclr_method_batch *batch, nnclr_error *e);
/* Loss of the last compute, and the norm of its gradient. */
double nnclr_method_loss(const nnclr_method *method);
double nnclr_method_gradient_norm(const nnclr_method *method);

/* Puts the unit projections of the last compute into the support set; call it after the optimiser's
 * step. */
bool nnclr_method_enqueue(nnclr_method *method, const nnclr_method_batch *batch, nnclr_error *e);

/* ---- method_metrics.c: what is fetched from the engine only if somebody asks ---- */

/* The state of training at the last compute, before its enqueue; NAN: undefined. */
typedef struct nnclr_method_metrics {
    double contrast_acc;
    double nn_sim, nn_initial, nn_self, nn_age, nn_distinct, nn_agree, nn_acc;
    double self_present, nn_chance, z_rank, z_spread, h_rank, h_std, p_std;
} nnclr_method_metrics;
#define NNCLR_METHOD_UNDEFINED                                                                     \
    { NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN }

bool nnclr_method_measure(nnclr_method *method, const nnclr_method_batch *batch,
                          nnclr_method_metrics *metrics, nnclr_error *e);

/* The records of all ranks, [ranks * n], as of the last measure. */
const int64_t *nnclr_method_records(const nnclr_method *method);

/* The picked row of each of this rank's queries, [2][n] (view 1, then view 2), -1: none; as chosen
 * for the last compute. NULL if the support set is not searched. */
const int32_t *nnclr_method_picks(nnclr_method *method);

#endif
