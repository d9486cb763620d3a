/* Eigenvalues of a symmetric matrix: Householder reduction to tridiagonal form, then the implicit
 * QL method with Wilkinson's shift (Golub and Van Loan, "Matrix Computations", sec. 8.3). */
#ifndef NNCLR_SSL_EIGENVALUES_H
#define NNCLR_SSL_EIGENVALUES_H

#include <stdbool.h>

#include "base/error.h"

/* matrix [n][n], row-major: its lower triangle is read, and it is destroyed; values [n], ascending;
 * scratch [2 n]. A matrix that is not finite is a numeric error. */
bool nnclr_symmetric_eigenvalues(double *matrix, int n, double *values, double *scratch,
                                 nnclr_error *e);

/* exp of the entropy of values / sum(values), the effective rank of a covariance matrix with these
 * eigenvalues (Roy and Vetterli 2007): n if all are equal, 1 if only one is not 0. Negative values
 * (rounding) count as 0; NAN if nothing is left. */
double nnclr_effective_rank(const double *values, int n);

#endif
