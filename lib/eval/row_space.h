/* Rows made comparable, and short rows that bound their cosines from above, for searches that want
 * only rows that are very much alike.
 *
 * Features after a ReLU are all positive: whatever they show, their cosines are large. So a
 * network's rows are compared minus their mean: the cosine of a and b is that of (a/|a| - m) and
 * (b/|b| - m), where m is the mean of the unit rows and one row of zeros, so that a set of only two
 * rows does not lose all that they share. Rows of pixels are compared minus the means of their own
 * three channels: a flat picture of any colour is like no other.
 *
 * The sketch of a row holds its coordinates in the few directions along which the rows differ most,
 * and the length of what is left. By Cauchy and Schwarz the product of two sketches is not below
 * the rows' cosine, except for rounding, which NNCLR_SKETCH_SLACK allows for. */
#ifndef NNCLR_EVAL_ROW_SPACE_H
#define NNCLR_EVAL_ROW_SPACE_H

#include "base/progress.h"
#include "eval/neighbours.h"

enum { NNCLR_SKETCH_MOST = 96 };
#define NNCLR_SKETCH_SLACK 2e-5

typedef struct nnclr_row_space {
    int d, r; /* numbers in a row; in a sketch, minus one */
    bool pixels;
    double *mean;       /* m [d]; zeros for pixels */
    double mean_square; /* |m|^2 */
    float *basis;       /* [r][d], orthonormal or zeros */
} nnclr_row_space;

/* Where a row is in the space. */
typedef struct nnclr_row_place {
    double norm;    /* |a| */
    double along;   /* a/|a| . m */
    double tint[3]; /* for pixels: the mean of each channel of a/|a| */
    double length;  /* of the part that is compared; 0: the row is like no other, such as one of
                       zeros */
} nnclr_row_place;

/* The space of the rows with `candidate` [rows->n]; `pixels`: they are pixels, otherwise a
 * network's. */
bool nnclr_row_space_make(const nnclr_row_source *rows, const bool *candidate, bool pixels,
                          const nnclr_progress *progress, nnclr_row_space *out, nnclr_error *e);
void nnclr_row_space_free(nnclr_row_space *space); /* a zeroed one is fine */

/* The place of a row [d], and its sketch [r + 1]; scratch [d]. False: the row is not finite. Any
 * thread. */
bool nnclr_row_space_place(const nnclr_row_space *space, const float *row, float *scratch,
                           nnclr_row_place *place, float *sketch);

/* The cosine in double of two rows and their places. Any thread. */
double nnclr_row_space_cosine(const nnclr_row_space *space, const float *a,
                              const nnclr_row_place *a_place, const float *b,
                              const nnclr_row_place *b_place);

#endif
