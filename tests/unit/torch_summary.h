/* What tests/reference/oracle.py keeps of a tensor that PyTorch computed: its norm, its dot product
 * with uniform draws (one stream for each record), and entries spread over it. */
#ifndef NNCLR_TESTS_TORCH_SUMMARY_H
#define NNCLR_TESTS_TORCH_SUMMARY_H

#include "base/rng.h"
#include "tests/unit/check.h"

enum { SUMMARY_SAMPLES = 4 };

typedef struct summary {
    const char *name;
    double norm, dot, sample[SUMMARY_SAMPLES];
} summary;

/* oracle.py's uniform: in [-1, 1). */
static inline void fill_uniform(double *values, size_t count, uint64_t seed, uint64_t record,
                                uint32_t epoch) {
    nnclr_rng rng = nnclr_rng_at(seed, NNCLR_DRAW_SAMPLE, epoch, record, 0);
    for (size_t i = 0; i < count; i++)
        values[i] = nnclr_rng_uniform(&rng, -1, 1);
}

/* The differences in all of these as a share of the norm: for a tensor that is zero except for
 * rounding, which has no digits to compare, as a share of 1e-3. */
static inline double summary_distance(const summary *want, const double *values, size_t count,
                                      uint64_t record) {
    nnclr_rng rng = nnclr_rng_at(9, NNCLR_DRAW_SAMPLE, 0, record, 0);
    double squares = 0, dot = 0;
    for (size_t i = 0; i < count; i++) {
        squares += values[i] * values[i];
        dot += values[i] * nnclr_rng_uniform(&rng, -1, 1);
    }
    double differences = fabs(sqrt(squares) - want->norm) + fabs(dot - want->dot);
    for (size_t i = 0; i < SUMMARY_SAMPLES; i++)
        differences += fabs(values[i * (count - 1) / (SUMMARY_SAMPLES - 1)] - want->sample[i]);
    return differences / (want->norm + 1e-3);
}

/* |a - b| / |b| */
static inline double relative_distance(const double *a, const double *b, size_t count) {
    double difference = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        squares += b[i] * b[i];
    }
    return sqrt(difference / squares);
}

#endif
