/* OpenBLAS, the one library that multiplies for the reference engine. It is loaded when the first
 * engine needs it: loading starts threads that this library has no use for, and a program that
 * multiplies nothing should not pay for them. */
#ifndef NNCLR_ENGINE_BLAS_H
#define NNCLR_ENGINE_BLAS_H

#include <cblas.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Its products; NULL before nnclr_blas_open. Each runs on the calling thread. */
extern __typeof__(cblas_sgemm) *nnclr_sgemm;
extern __typeof__(cblas_dgemm) *nnclr_dgemm;
/* LAPACK's, which comes with it, by Fortran's conventions: eigenvalues of a symmetric matrix. The
 * last two are the lengths of the first two. */
typedef void nnclr_dsyev_function(const char *job, const char *triangle, const int *n, double *a,
                                  const int *stride, double *values, double *work,
                                  const int *work_size, int *info, size_t, size_t);
extern nnclr_dsyev_function *nnclr_dsyev;

/* Loads the library and has it take the buffers that `threads` products at a time need: if it finds
 * no memory for one in the middle of a product, it tries again for ever. One thread at a time opens
 * engines; further calls are for more threads. */
bool nnclr_blas_open(int threads, nnclr_error *e);

#endif
