/* A linear classifier: class = argmax_c weight[c] . (x - mean) / scale + bias[c], and its file, a
 * tensor file of kind "classifier" (nnclr-tensor(5)). */
#ifndef NNCLR_EVAL_CLASSIFIER_H
#define NNCLR_EVAL_CLASSIFIER_H

#include <stdbool.h>

#include "base/error.h"
#include "io/json.h"

typedef struct nnclr_classifier {
    int classes, d;
    float *weight;       /* [classes][d] */
    float *bias;         /* [classes] */
    float *mean, *scale; /* [d]; 0 and 1 if rows are taken as they are */
} nnclr_classifier;

/* All zeros, but scale 1. */
bool nnclr_classifier_create(nnclr_classifier *x, int classes, int d, nnclr_error *e);
void nnclr_classifier_free(nnclr_classifier *x); /* a zeroed one is fine */

/* Turns a row of d numbers into the row of d + 1 that the weights multiply: standardised, with a 1
 * for the bias. */
void nnclr_classifier_prepare(const nnclr_classifier *x, const float *row, float *out);

/* `names` become nnclr.classes, `config` (an object, the caller's) nnclr.config. PATH as in
 * nnclr_tensor_writer_open. */
bool nnclr_classifier_write(const nnclr_classifier *x, const char *path, const char *program,
                            const char *const *names, const nnclr_json *config, nnclr_error *e);

#endif
