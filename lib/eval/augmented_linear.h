/* Linear evaluation as it is published: softmax regression by SGD on a frozen network's features,
 * where every epoch shows the classifier a new random view of each picture; judged on evaluation
 * views. If the augmentation leaves pictures as they are, it learns what nnclr_linear_train learns
 * from their embeddings.
 *
 * The network runs in evaluation mode and is not written to. Views are made ahead, pass through it
 * a batch at a time and are forgotten, so memory depends neither on the number of pictures nor on
 * the number of epochs. Results do not depend on the threads. Called from the thread that drives
 * the parameters' engine. */
#ifndef NNCLR_EVAL_AUGMENTED_LINEAR_H
#define NNCLR_EVAL_AUGMENTED_LINEAR_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/classifier.h"
#include "eval/linear.h"
#include "eval/softmax_sgd.h"
#include "image/augment.h"
#include "image/loader.h"
#include "io/shard.h"
#include "net/parameters.h"

typedef struct nnclr_augmented_options {
    nnclr_softmax_sgd_options sgd; /* its rows are set here */
    /* For order and views: epoch t visits the labelled records in the order of nnclr_permutation(
     * seed, NNCLR_DRAW_ORDER, t), each as view 1 of (seed, t, record). */
    uint64_t seed;
    nnclr_augment augment;
    bool standardize; /* each feature to mean 0 and deviation 1 over the evaluation views of the
                         labelled records */
    const nnclr_progress *progress; /* told after each batch of views; may be NULL */
} nnclr_augmented_options;

/* The network of `parameters` up to the value `cut`, whose channels are the features. `view`: the
 * evaluation view, how many views pass through at a time, and the threads that make them. label
 * [records of `train`] is in [0, classes), or -1: such a record takes no part. *classifier is the
 * caller's (nnclr_classifier_free). fit->loss is the mean cross-entropy of the last epoch's views,
 * each as it was met. */
bool nnclr_augmented_train(nnclr_parameters *parameters, int cut,
                           const nnclr_evaluation_options *view, nnclr_shard_set *train,
                           const int64_t *label, int classes,
                           const nnclr_augmented_options *options, nnclr_classifier *classifier,
                           nnclr_linear_fit *fit, nnclr_error *e);

/* Predicts every record of `test` from its evaluation view; label and predictions [records of
 * `test`], a label of -1 is not known. `progress` counts pictures; may be NULL. */
bool nnclr_augmented_predict(nnclr_parameters *parameters, int cut,
                             const nnclr_evaluation_options *view, nnclr_shard_set *test,
                             const int64_t *label, const nnclr_classifier *classifier,
                             const nnclr_progress *progress, nnclr_prediction *predictions,
                             nnclr_error *e);

#endif
