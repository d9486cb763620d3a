/* How well a network with a classifier names the pictures of a labelled shard, whose evaluation
 * views it sees. */
#ifndef NNCLR_EVAL_CLASS_TEST_H
#define NNCLR_EVAL_CLASS_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"
#include "eval/classifier.h"
#include "eval/probe.h"
#include "io/shard.h"
#include "net/parameters.h"
#include "train/config.h"

typedef struct nnclr_class_test nnclr_class_test;

/* Takes over the data's set, even on failure; its classes are matched by name with those of
 * `train`, which stays the caller's and must outlive the test. Refused: no labels, a class that
 * `train` does not have. */
nnclr_class_test *nnclr_class_test_open(nnclr_probe_data data, const nnclr_shard_set *train,
                                        nnclr_error *e);
void nnclr_class_test_close(nnclr_class_test *test); /* NULL is fine */

/* Takes all memory that the network's passes need, for any number of runs; the network has
 * "logits", one for each class of `train`. `parameters` is the caller's and outlives the test's
 * runs. */
bool nnclr_class_test_plan(nnclr_class_test *test, nnclr_parameters *parameters,
                           const nnclr_config *config, int threads, nnclr_error *e);

/* The pictures of one class. */
typedef struct nnclr_class_result {
    int64_t n, correct;
} nnclr_class_result;

typedef struct nnclr_class_test_result {
    nnclr_accuracy accuracy;           /* over the pictures with a label */
    double loss;                       /* mean cross-entropy of these */
    const nnclr_class_result *classes; /* [classes of train]; the test's, until its next run */
} nnclr_class_test_result;

/* Judges the parameters as they are now, as nnclr_probe_run does. */
bool nnclr_class_test_run(nnclr_class_test *test, const nnclr_progress *progress,
                          nnclr_class_test_result *result, nnclr_error *e);

#endif
