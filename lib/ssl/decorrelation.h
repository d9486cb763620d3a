/* The loss of Barlow Twins on engine memory, with its gradient: the rows of two views, standardised
 * over the batch (mean 0, biased variance 1, as batch norm has it), and how far the correlations of
 * the one with the other are from the identity.
 *
 *   C = standard1^T . standard2 / n */
#ifndef NNCLR_SSL_DECORRELATION_H
#define NNCLR_SSL_DECORRELATION_H

#include "engine/engine.h"

typedef struct nnclr_decorrelation {
    int n, d;
    double weight, off_diagonal; /* as in nnclr_decorrelation_call */
    const void *rows;            /* reals [2][n][d] */
    void *gradient;              /* of the loss with respect to them, overwritten */
    void *loss;                  /* reals [1], added to */
    /* scratch: */
    void *standard; /* reals [2][n][d] */
    void *matrix;   /* reals [d][d] */
    void *affine;   /* reals [4][d], of which the caller fills the first d with ones, the next with
                       zeros */
    void *statistics; /* nnclr_decorrelation_statistics */
} nnclr_decorrelation;

size_t nnclr_decorrelation_statistics(const nnclr_engine *engine, int d); /* bytes */
void nnclr_decorrelate(nnclr_engine *engine, const nnclr_decorrelation *loss);

#endif
