/* Class-balanced draws of labelled rows, each the same for the same seed and the same labels of the
 * rows that have one. */
#ifndef NNCLR_EVAL_LABEL_DRAW_H
#define NNCLR_EVAL_LABEL_DRAW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Keeps round(fraction * rows) of the rows of each class, at least one, and takes the label off the
 * others (-1). label [n] is in [0, classes), or -1. */
bool nnclr_label_keep(int64_t *label, int64_t n, int64_t classes, double fraction, uint64_t seed,
                      nnclr_error *e);

/* Marks in held_out [n] a tenth of the rows of each class, at least one but never the only one,
 * and counts them. */
bool nnclr_label_hold_out(const int64_t *label, int64_t n, int64_t classes, uint64_t seed,
                          bool *held_out, int64_t *count, nnclr_error *e);

#endif
