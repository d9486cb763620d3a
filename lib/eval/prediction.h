/* What a classifier says about a row, and how often it is right. */
#ifndef NNCLR_EVAL_PREDICTION_H
#define NNCLR_EVAL_PREDICTION_H

#include <stdbool.h>
#include <stdint.h>

typedef struct nnclr_prediction {
    int64_t label; /* predicted */
    double score;  /* its share of all classes' scores */
    int64_t place; /* of the true class, 0 is the first; -1: the row has no label */
} nnclr_prediction;

/* How many classes come before `label`: those with a higher score, and those with an equal score
 * and a lower number. 0 is the winner. */
int64_t nnclr_prediction_place(const double *scores, int64_t classes, int64_t label);

/* The class with the highest of `scores` [classes], none negative. `truth` -1: not known. */
nnclr_prediction nnclr_predict(const double *scores, int64_t classes, int64_t truth);

typedef struct nnclr_accuracy {
    int64_t n;         /* rows with a label */
    double top1, top5; /* shares of n; NaN if n is 0 */
} nnclr_accuracy;

/* Standard error of top1, each row being one draw: sqrt(p (1 - p) / n). */
double nnclr_accuracy_error(const nnclr_accuracy *accuracy);

nnclr_accuracy nnclr_prediction_accuracy(const nnclr_prediction *predictions, int64_t n);

#endif
