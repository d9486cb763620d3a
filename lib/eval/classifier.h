/* A linear classifier: class = argmax_c weight[c] . (x - mean) / scale + bias[c], and its file, a
 * tensor file of kind "classifier" (nnclr-tensor(5)); what a classifier says about a row, and how
 * often it is right. */
#ifndef NNCLR_EVAL_CLASSIFIER_H
#define NNCLR_EVAL_CLASSIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "io/tensor_file.h"

typedef struct nnclr_classifier {
    int classes, d;
    float *weight;       /* [classes][d] */
    float *bias;         /* [classes] */
    float *mean, *scale; /* [d]; 0 and 1 if rows are taken as they are */
} nnclr_classifier;

/* All zeros, but scale 1. */
bool nnclr_classifier_create(nnclr_classifier *classifier, int classes, int d, nnclr_error *e);
void nnclr_classifier_free(nnclr_classifier *classifier); /* a zeroed one is fine */

/* Turns a row of d numbers into the row of d + 1 that the weights multiply: standardised, with a 1
 * for the bias. */
void nnclr_classifier_prepare(const nnclr_classifier *classifier, const float *row, float *out);

/* scores [classes] before softmax: weight . (row - mean) / scale + bias. */
void nnclr_classifier_score(const nnclr_classifier *classifier, const float *row, double *scores);

/* From a file of kind "classifier". Refuses shapes that do not fit together, and numbers that no
 * score can be computed from. To be freed even on failure. */
bool nnclr_classifier_read(nnclr_tensor_reader *reader, nnclr_classifier *classifier,
                           nnclr_error *e);
/* `names` become nnclr.classes, `config` (an object, the caller's) nnclr.config. PATH as in
 * nnclr_tensor_writer_open. */
bool nnclr_classifier_write(const nnclr_classifier *classifier, const char *path,
                            const char *program, const char *const *names, const nnclr_json *config,
                            nnclr_error *e);

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
