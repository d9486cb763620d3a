/* Statistics of samples, with what they exceed once in a thousand times. */
#ifndef NNCLR_TESTS_STATISTICS_H
#define NNCLR_TESTS_STATISTICS_H

#include <stdint.h>

#include "tests/unit/check.h"

static inline int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov's statistic sqrt(n) * sup |F_n - F| against the uniform distribution on [low, high];
 * sorts. It exceeds 1.95 once in a thousand times. */
static inline double uniform_statistic(double *values, int n, double low, double high) {
    double worst = 0;
    qsort(values, (size_t)n, sizeof *values, ascending);
    for (int i = 0; i < n; i++) {
        double f = (values[i] - low) / (high - low);
        worst = fmax(worst, fmax((i + 1.0) / n - f, f - (double)i / n));
    }
    return worst * sqrt(n);
}

/* The same for two samples of n values, in which equal values make no difference. */
static inline double two_sample_statistic(double *a, double *b, int n) {
    qsort(a, (size_t)n, sizeof *a, ascending);
    qsort(b, (size_t)n, sizeof *b, ascending);
    int worst = 0;
    for (int i = 0, j = 0; i < n && j < n;) {
        double x = a[i] < b[j] ? a[i] : b[j];
        while (i < n && a[i] <= x)
            i++;
        while (j < n && b[j] <= x)
            j++;
        worst = abs(i - j) > worst ? abs(i - j) : worst;
    }
    return (double)worst / n * sqrt(n / 2.0);
}

static inline double correlation(const double *a, const double *b, int n) {
    double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < n; i++)
        ma += a[i] / n, mb += b[i] / n;
    for (int i = 0; i < n; i++) {
        ab += (a[i] - ma) * (b[i] - mb);
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
    }
    return ab / sqrt(aa * bb);
}

/* Chi-square of counts against expected ones; cells where both are 0 do not count. */
static inline double chi_square(const double *count, const double *must, int cells) {
    double sum = 0;
    for (int k = 0; k < cells; k++)
        if (count[k] > 0 || must[k] > 0)
            sum += (count[k] - must[k]) * (count[k] - must[k]) / must[k];
    return sum;
}

/* What chi-square exceeds once in a thousand times (Wilson and Hilferty's approximation; right to
 * half a per cent from 3 degrees of freedom on). */
static inline double chi_square_bound(int freedom) {
    double v = 2.0 / (9 * freedom);
    return freedom * pow(1 - v + 3.0902 * sqrt(v), 3);
}

/* Draws of another generator than the library's. */
static inline double plain_uniform(double low, double high) {
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(state >> 11) * 0x1p-53;
}

/* Cosine of two rows of d numbers; 1 for two of zeros, 0 for one of them. */
static inline double cosine(const float *a, const float *b, int d) {
    double ab = 0, aa = 0, bb = 0;
    for (int j = 0; j < d; j++) {
        ab += (double)a[j] * b[j];
        aa += (double)a[j] * a[j];
        bb += (double)b[j] * b[j];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa) / sqrt(bb) : aa == bb;
}

#endif
