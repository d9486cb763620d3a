/* Eigenvalues of a symmetric matrix, by LAPACK's dsyev on the calling thread. Equal matrices have
 * equal eigenvalues for any number of threads; between kinds of CPUs, for which OpenBLAS has
 * kernels of their own, the last bits differ, as those of the matrices do. So they are for metrics:
 * nothing that a checkpoint holds comes from them. */
#ifndef NNCLR_SSL_EIGENVALUES_H
#define NNCLR_SSL_EIGENVALUES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { NNCLR_EIGENVALUE_SCRATCH = 34 };

/* matrix [n][n], row-major: its lower triangle is read, and it is destroyed; values [n], ascending;
 * scratch [n * NNCLR_EIGENVALUE_SCRATCH], with which LAPACK works in blocks. A matrix that is not
 * finite is a numeric error. */
bool nnclr_symmetric_eigenvalues(double *matrix, int n, double *values, double *scratch,
                                 nnclr_error *e);
/* The same, and row i of the matrix becomes the unit eigenvector of values[i]. */
bool nnclr_symmetric_eigenvectors(double *matrix, int n, double *values, double *scratch,
                                  nnclr_error *e);

/* exp of the entropy of values / sum(values), the effective rank of a covariance matrix with these
 * eigenvalues (Roy and Vetterli 2007): n if all are equal, 1 if only one is not 0. Negative values
 * (rounding) count as 0; NAN if nothing is left. */
double nnclr_effective_rank(const double *values, int n);

/* That of the covariance of rows [count][d], which lose their mean on the way; NAN if they are all
 * the same. `spread` is the trace of that covariance, the rows' mean squared distance from their
 * mean. */
bool nnclr_rows_rank(double *rows, int count, int d, double *scratch, double *rank, double *spread,
                     nnclr_error *e);
size_t nnclr_rank_scratch(int count, int d); /* doubles */

#endif
