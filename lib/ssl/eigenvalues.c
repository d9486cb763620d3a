#include "ssl/eigenvalues.h"

#include <math.h>

#include "engine/blas.h"

bool nnclr_symmetric_eigenvalues(double *matrix, int n, double *values, double *scratch,
                                 nnclr_error *e) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++)
            if (!isfinite(matrix[(size_t)i * (size_t)n + (size_t)j]))
                return nnclr_fail(e, NNCLR_ERROR_NUMERIC,
                                  "a %d x %d matrix with elements that are not finite has no "
                                  "eigenvalues",
                                  n, n);
    const int scratch_size = NNCLR_EIGENVALUE_SCRATCH * n;
    int info = 0;
    if (!nnclr_blas_open(1, e))
        return false;
    /* The lower triangle by rows is the upper one by columns. */
    nnclr_dsyev("N", "U", &n, matrix, &n, values, scratch, &scratch_size, &info, 1, 1);
    return info == 0 || nnclr_fail(e, NNCLR_ERROR_NUMERIC,
                                   "the eigenvalues of a %d x %d matrix do not converge", n, n);
}

double nnclr_effective_rank(const double *values, int n) {
    double sum = 0, entropy = 0;
    for (int i = 0; i < n; i++)
        sum += fmax(values[i], 0);
    if (!(sum > 0))
        return NAN;
    for (int i = 0; i < n; i++) {
        double share = fmax(values[i], 0) / sum;
        if (share > 0)
            entropy -= share * log(share);
    }
    return exp(entropy);
}
