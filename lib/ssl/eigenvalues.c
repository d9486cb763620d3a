#include "ssl/eigenvalues.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { MOST_SWEEPS = 60 }; /* per eigenvalue; two are usual */

/* One reflection: row i is reduced to its element before the diagonal, the leading i x i block A
 * becomes H A H with H = I - u u^T / h. `u` is row i itself, `p` scratch [i]. */
static void reflect(double *matrix, int n, int i, double *off_diagonal, double *p) {
    double *u = matrix + (size_t)i * (size_t)n;
    double scale = 0;
    for (int k = 0; k < i; k++)
        scale = fmax(scale, fabs(u[k]));
    if (i == 1 || scale == 0) {
        *off_diagonal = u[i - 1];
        return;
    }

    double squares = 0;
    for (int k = 0; k < i; k++) {
        u[k] /= scale;
        squares += u[k] * u[k];
    }
    double last = u[i - 1], norm = copysign(sqrt(squares), last);
    *off_diagonal = -scale * norm;
    double h = squares + last * norm;
    u[i - 1] = last + norm;

    /* p = A u / h, from the lower triangle alone. */
    for (int j = 0; j < i; j++)
        p[j] = 0;
    for (int j = 0; j < i; j++) {
        const double *row = matrix + (size_t)j * (size_t)n;
        double sum = 0;
        for (int k = 0; k < j; k++) {
            sum += row[k] * u[k];
            p[k] += row[k] * u[j];
        }
        p[j] += sum + row[j] * u[j];
    }
    double product = 0;
    for (int j = 0; j < i; j++) {
        p[j] /= h;
        product += p[j] * u[j];
    }

    /* A -= u q^T + q u^T with q = p - u (u.p) / 2h. */
    for (int j = 0; j < i; j++)
        p[j] -= product / (2 * h) * u[j];
    for (int j = 0; j < i; j++) {
        double *row = matrix + (size_t)j * (size_t)n;
        for (int k = 0; k <= j; k++)
            row[k] -= u[j] * p[k] + p[j] * u[k];
    }
}

/* Eigenvalues of the tridiagonal matrix (diagonal d, off[i] between i and i + 1), into d. */
static bool tridiagonal_values(double *d, double *off, int n, nnclr_error *e) {
    for (int first = 0; first < n; first++) {
        for (int sweep = 0;; sweep++) {
            int end = first; /* the block first..end is not yet split */
            while (end < n - 1 && fabs(off[end]) > DBL_EPSILON * (fabs(d[end]) + fabs(d[end + 1])))
                end++;
            if (end == first)
                break;
            if (sweep == MOST_SWEEPS)
                return nnclr_fail(e, NNCLR_ERROR_NUMERIC,
                                  "the eigenvalues of a %d x %d matrix do not converge", n, n);

            double g = (d[first + 1] - d[first]) / (2 * off[first]);
            g = d[end] - d[first] + off[first] / (g + copysign(hypot(g, 1), g));
            double s = 1, c = 1, p = 0;
            int i = end - 1;
            for (; i >= first; i--) {
                double f = s * off[i], b = c * off[i], r = hypot(f, g);
                off[i + 1] = r;
                if (r == 0) {
                    d[i + 1] -= p;
                    off[end] = 0;
                    break;
                }
                s = f / r;
                c = g / r;
                g = d[i + 1] - p;
                r = (d[i] - g) * s + 2 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
            }
            if (i >= first)
                continue;
            d[first] -= p;
            off[first] = g;
            off[end] = 0;
        }
    }
    return true;
}

/* In place, unlike qsort; its cost is small next to the n^3 of everything else. */
static void sort(double *values, int n) {
    for (int i = 1; i < n; i++) {
        double value = values[i];
        int j = i;
        for (; j > 0 && values[j - 1] > value; j--)
            values[j] = values[j - 1];
        values[j] = value;
    }
}

bool nnclr_symmetric_eigenvalues(double *matrix, int n, double *values, double *scratch,
                                 nnclr_error *e) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++)
            if (!isfinite(matrix[(size_t)i * (size_t)n + (size_t)j]))
                return nnclr_fail(e, NNCLR_ERROR_NUMERIC,
                                  "a %d x %d matrix with elements that are not finite has no "
                                  "eigenvalues",
                                  n, n);
    memset(scratch, 0, 2 * (size_t)n * sizeof *scratch);
    double *off = scratch, *p = scratch + n;
    for (int i = n - 1; i > 0; i--)
        reflect(matrix, n, i, &off[i - 1], p);
    for (int i = 0; i < n; i++)
        values[i] = matrix[(size_t)i * (size_t)n + (size_t)i];
    if (!tridiagonal_values(values, off, n, e))
        return false;
    sort(values, n);
    return true;
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
