/* Softmax regression by SGD, fed one row at a time, with momentum 0.9, from weights 0.
 * The rate of step s of S is lr * batch / 256 * (1 + cos(pi s / S)) / 2. The last batch of an epoch
 * may be smaller; a batch is at most all rows of an epoch. The order of sums is fixed, so equal
 * rows give equal bits, for any number of threads. */
#ifndef NNCLR_EVAL_SOFTMAX_SGD_H
#define NNCLR_EVAL_SOFTMAX_SGD_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/classifier.h"
#include "eval/softmax.h"

typedef struct nnclr_softmax_sgd_options {
    int64_t rows; /* of an epoch, >= 1 */
    int epochs, batch;
    double lr, weight_decay; /* the latter adds weight_decay * weight to the gradient, except for
                                the bias */
} nnclr_softmax_sgd_options;

typedef struct nnclr_softmax_sgd nnclr_softmax_sgd;

/* Works on weights [classes][columns] with `softmax`, which was created for these on `engine`; all
 * three are the caller's and outlive it. Called from the thread that drives the engine. */
nnclr_softmax_sgd *nnclr_softmax_sgd_create(nnclr_engine *engine, nnclr_softmax *softmax,
                                            double *weights, int columns, int classes,
                                            const nnclr_softmax_sgd_options *options,
                                            nnclr_error *e);
void nnclr_softmax_sgd_free(nnclr_softmax_sgd *s); /* NULL is fine */

/* Where the next row goes: reals [columns], the last of them 1. */
void *nnclr_softmax_sgd_place(nnclr_softmax_sgd *s);
/* The row is in place, and has this label. After the last one of a batch the weights change; a loss
 * that is not finite is an error that names the epoch. */
bool nnclr_softmax_sgd_take(nnclr_softmax_sgd *s, int64_t label, nnclr_error *e);

typedef struct nnclr_softmax_sgd_state {
    int64_t steps;     /* done */
    int epochs;        /* complete */
    double epoch_loss; /* mean cross-entropy over the rows of the last complete epoch, each with the
                          weights before its step; 0 until there is one */
    double batch_loss; /* of the last step; 0 until there is one */
} nnclr_softmax_sgd_state;
nnclr_softmax_sgd_state nnclr_softmax_sgd_state_of(const nnclr_softmax_sgd *s);

/* Puts weights [classes][d + 1] into the classifier. */
void nnclr_softmax_keep(const double *weights, nnclr_classifier *classifier);

#endif
