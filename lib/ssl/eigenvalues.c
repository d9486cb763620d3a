#include "ssl/eigenvalues.h"

#include <math.h>
#include <string.h>

#include "engine/blas.h"

/* job: "N" for eigenvalues alone, "V" for vectors as well. */
static bool decompose(const char *job, double *matrix, int n, double *values, double *scratch,
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
    nnclr_dsyev(job, "U", &n, matrix, &n, values, scratch, &scratch_size, &info, 1, 1);
    return info == 0 || nnclr_fail(e, NNCLR_ERROR_NUMERIC,
                                   "the eigenvalues of a %d x %d matrix do not converge", n, n);
}

bool nnclr_symmetric_eigenvalues(double *matrix, int n, double *values, double *scratch,
                                 nnclr_error *e) {
    return decompose("N", matrix, n, values, scratch, e);
}

bool nnclr_symmetric_eigenvectors(double *matrix, int n, double *values, double *scratch,
                                  nnclr_error *e) {
    return decompose("V", matrix, n, values, scratch, e);
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

/* ---- of rows ---- */

static void remove_mean(double *rows, int count, int d, double *column_mean) {
    memset(column_mean, 0, (size_t)d * sizeof *column_mean);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < d; j++)
            column_mean[j] += rows[(size_t)i * (size_t)d + (size_t)j] / count;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < d; j++)
            rows[(size_t)i * (size_t)d + (size_t)j] -= column_mean[j];
}

/* The lower triangle of rows^T rows [d][d]. */
static void outer_products(const double *rows, int count, int d, double *out) {
    memset(out, 0, (size_t)d * (size_t)d * sizeof *out);
    for (int i = 0; i < count; i++) {
        const double *row = rows + (size_t)i * (size_t)d;
        for (int j = 0; j < d; j++)
            for (int k = 0; k <= j; k++)
                out[(size_t)j * (size_t)d + (size_t)k] += row[j] * row[k];
    }
}

/* The lower triangle of rows rows^T [count][count], which has the same eigenvalues except for
 * zeros. */
static void inner_products(const double *rows, int count, int d, double *out) {
    for (int i = 0; i < count; i++)
        for (int j = 0; j <= i; j++) {
            const double *a = rows + (size_t)i * (size_t)d, *b = rows + (size_t)j * (size_t)d;
            double sum = 0;
            for (int k = 0; k < d; k++)
                sum += a[k] * b[k];
            out[(size_t)i * (size_t)count + (size_t)j] = sum;
        }
}

size_t nnclr_rank_scratch(int count, int d) {
    const size_t side = (size_t)(count < d ? count : d);
    return side * side + (size_t)d + NNCLR_EIGENVALUE_SCRATCH * side;
}

bool nnclr_rows_rank(double *rows, int count, int d, double *scratch, double *rank, double *spread,
                     nnclr_error *e) {
    static const double nothing = 1e-10; /* of the squares: rows that differ only by rounding */
    const int side = count < d ? count : d;
    double *values = scratch, *matrix = values + d, *work = matrix + (size_t)side * (size_t)side;
    double squares = 0, trace = 0;
    for (size_t i = 0; i < (size_t)count * (size_t)d; i++)
        squares += rows[i] * rows[i];
    remove_mean(rows, count, d, values);
    if (count < d)
        inner_products(rows, count, d, matrix);
    else
        outer_products(rows, count, d, matrix);
    for (int i = 0; i < side; i++)
        trace += matrix[(size_t)i * (size_t)side + (size_t)i];
    *spread = trace / count;
    *rank = NAN;
    if (trace <= nothing * squares)
        return true;
    if (!nnclr_symmetric_eigenvalues(matrix, side, values, work, e))
        return false;
    *rank = nnclr_effective_rank(values, side);
    return true;
}
