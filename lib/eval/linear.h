/* Linear evaluation: softmax regression on frozen features, by SGD as it is usually published, or
 * to the optimum by L-BFGS. Equal input gives equal bits, for any number of threads. */
#ifndef NNCLR_EVAL_LINEAR_H
#define NNCLR_EVAL_LINEAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/progress.h"
#include "engine/engine.h"
#include "eval/classifier.h"
#include "eval/neighbours.h"

enum { NNCLR_LINEAR_CLASSES = 1 << 20, NNCLR_LINEAR_LAMBDAS = 16 }; /* at most */

typedef enum nnclr_solver { NNCLR_SOLVER_SGD, NNCLR_SOLVER_LBFGS } nnclr_solver;

/* One, or those to choose from: above 0, in falling order. */
typedef struct nnclr_lambdas {
    int count;
    double value[NNCLR_LINEAR_LAMBDAS];
} nnclr_lambdas;

extern const nnclr_lambdas nnclr_usual_lambdas; /* 1e-2, 1e-3, 1e-4 */

typedef struct nnclr_linear_options {
    nnclr_solver solver;
    bool standardize; /* each feature to mean 0 and deviation 1 over the labelled rows of TRAIN;
                         L-BFGS always does */
    uint64_t seed;
    /* SGD as softmax_sgd.h says. Epoch t visits the labelled rows in the order of
     * nnclr_permutation(seed, NNCLR_DRAW_ORDER, t). */
    int epochs, batch;
    double lr;
    double weight_decay; /* adds weight_decay * weight to the gradient, not for the bias */
    /* L-BFGS minimises mean cross-entropy + lambda * |weight|^2. Of several lambdas it takes the
     * one with the best top-1 on a tenth of the rows, fitted on the others; among equal ones, the
     * one with the lowest cross-entropy there. */
    nnclr_lambdas lambdas;
    const nnclr_progress *progress; /* told after each step of SGD, and each time L-BFGS evaluates
                                       all rows; may be NULL */
} nnclr_linear_options;

typedef struct nnclr_linear_fit {
    int64_t rows;     /* with a label */
    double loss;      /* mean cross-entropy of all of them at the end */
    double objective; /* loss + lambda |weight|^2; SGD: loss */
    double gap;       /* L-BFGS: no more than this above the least objective; SGD: 0 */
    double lambda;    /* L-BFGS: given or chosen */
    int end; /* 1: lambda is the largest to choose from, -1: the smallest, so none beyond was tried;
                0: neither, or there was no choice */
    int64_t steps; /* of SGD, or iterations of the last fit */
} nnclr_linear_fit;

/* train_label [train rows] is in [0, classes), or -1: such a row takes no part. The labelled rows
 * are held in memory. *classifier is the caller's (nnclr_classifier_free). Called from the thread
 * that drives `engine`. */
bool nnclr_linear_train(nnclr_engine *engine, const nnclr_row_source *train,
                        const int64_t *train_label, int classes,
                        const nnclr_linear_options *options, nnclr_classifier *classifier,
                        nnclr_linear_fit *fit, nnclr_error *e);

/* Predicts every row of `test`, which is read in pieces; test_label as in nnclr_knn_predict. */
bool nnclr_linear_predict(nnclr_engine *engine, const nnclr_classifier *classifier,
                          const nnclr_row_source *test, const int64_t *test_label,
                          nnclr_prediction *predictions, nnclr_error *e);

#endif
