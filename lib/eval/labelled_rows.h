/* The labelled rows of an embedding, in engine memory as a classifier multiplies them. */
#ifndef NNCLR_EVAL_LABELLED_ROWS_H
#define NNCLR_EVAL_LABELLED_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"
#include "eval/classifier.h"
#include "eval/neighbours.h"

typedef struct nnclr_labelled_rows {
    nnclr_engine *engine;
    int64_t n;
    int columns;    /* d + 1: nnclr_classifier_prepare */
    void *rows;     /* reals [n][columns] */
    int64_t *label; /* [n] */
    size_t bytes;
} nnclr_labelled_rows;

/* Mean and deviation of each feature, row by row. */
typedef struct nnclr_moments {
    int d;
    int64_t rows;
    float *origin; /* [d]: the first row */
    double *sum;   /* [2][d]: of differences from it, and of their squares */
} nnclr_moments;

bool nnclr_moments_begin(nnclr_moments *m, int d, nnclr_error *e);
void nnclr_moments_free(nnclr_moments *m); /* a zeroed one is fine */
void nnclr_moments_add(nnclr_moments *m, const float *row);
/* Sets mean and scale as nnclr_classifier_standardize; without a row they stay. */
void nnclr_moments_standardize(const nnclr_moments *m, nnclr_classifier *classifier);

/* Sets mean and scale to those of each feature over the rows with a label (population deviation;
 * a constant feature has scale 1). */
bool nnclr_classifier_standardize(nnclr_classifier *classifier, const nnclr_row_source *source,
                                  const int64_t *label, nnclr_error *e);

/* Rows with label >= 0, in order; those that `last` marks (NULL: none) after the others. A row
 * that is not finite is refused. */
bool nnclr_labelled_rows_load(nnclr_labelled_rows *labelled, nnclr_engine *engine,
                              const nnclr_row_source *source, const int64_t *label,
                              const bool *last, const nnclr_classifier *classifier, nnclr_error *e);
void nnclr_labelled_rows_free(nnclr_labelled_rows *labelled); /* a zeroed one is fine */

/* Prepares a row and puts it at `place`, columns reals; `scratch` [columns]. A row that is not
 * finite is refused: row NUMBER of WHAT, which ends in a blank. */
bool nnclr_classifier_put(const nnclr_classifier *classifier, nnclr_engine *engine,
                          const float *row, float *scratch, void *place, const char *what,
                          int64_t number, nnclr_error *e);

#endif
