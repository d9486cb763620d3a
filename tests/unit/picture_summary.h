/* What tests/reference/formula_pictures.py keeps of a picture that an outside program made, and the
 * comparison of ours with it. Samples show a value that is wrong; the projections on uniform draws
 * and the means show that all others are right as well. */
#ifndef NNCLR_TESTS_PICTURE_SUMMARY_H
#define NNCLR_TESTS_PICTURE_SUMMARY_H

#include "base/rng.h"
#include "tests/unit/check.h"

enum { PICTURE_SAMPLES = 64, PICTURE_DOTS = 2 };

/* Of floats. */
typedef struct exact_picture {
    int sample[PICTURE_SAMPLES]; /* ten-millionths */
    double dot[PICTURE_DOTS];    /* over sqrt(count): as large as the error of one value */
} exact_picture;

/* Of an 8-bit picture. */
typedef struct levels_picture {
    int sample[PICTURE_SAMPLES];
    double mean[3];
} levels_picture;

static inline size_t picture_place(size_t count, int sample) {
    return sample == 0                     ? 0
           : sample == PICTURE_SAMPLES - 1 ? count - 1
                                           : (size_t)sample * 7368787 % count;
}

static inline void check_exact(const char *what, const exact_picture *must, const float *values,
                               size_t count, double tolerance) {
    for (int i = 0; i < PICTURE_SAMPLES; i++) {
        size_t place = picture_place(count, i);
        double is = (double)values[place], wanted = must->sample[i] / 1e7;
        CHECK_SAYS(fabs(is - wanted) <= tolerance + 1e-7, "%s, value %zu: %.7f, not %.7f", what,
                   place, is, wanted);
    }
    for (int k = 0; k < PICTURE_DOTS; k++) {
        nnclr_rng rng = nnclr_rng_at(9, NNCLR_DRAW_SAMPLE, 0, (uint64_t)k, 0);
        double dot = 0;
        for (size_t i = 0; i < count; i++)
            dot += (double)values[i] * nnclr_rng_uniform(&rng, -1, 1);
        dot /= sqrt((double)count);
        CHECK_SAYS(fabs(dot - must->dot[k]) <= tolerance, "%s, projection %d: %.9f, not %.9f", what,
                   k, dot, must->dot[k]);
    }
}

/* By how many gray levels value `place` of ours may be above (high) and below (-low) the other. */
typedef struct level_bound {
    double low, high;
} level_bound;

static inline void check_levels(const char *what, const levels_picture *must, const float *values,
                                size_t count, level_bound (*bound_of)(const void *, size_t),
                                const void *context) {
    const double slack = 1e-3; /* float arithmetic of either side */
    double mean[3] = {0}, low[3] = {0}, high[3] = {0};
    for (size_t i = 0; i < count; i++) {
        level_bound bound = bound_of(context, i);
        mean[i % 3] += (double)values[i] * 255 * 3 / (double)count;
        low[i % 3] += bound.low * 3 / (double)count;
        high[i % 3] += bound.high * 3 / (double)count;
    }
    for (int i = 0; i < PICTURE_SAMPLES; i++) {
        size_t place = picture_place(count, i);
        level_bound bound = bound_of(context, place);
        double off = (double)values[place] * 255 - must->sample[i];
        CHECK_SAYS(off >= bound.low - slack && off <= bound.high + slack,
                   "%s, value %zu: %.3f off %d, bounds %.3f to %.3f", what, place, off,
                   must->sample[i], bound.low, bound.high);
    }
    for (int c = 0; c < 3; c++) {
        double off = mean[c] - must->mean[c];
        CHECK_SAYS(off >= low[c] - slack && off <= high[c] + slack,
                   "%s, mean of channel %d: %.3f off %.3f", what, c, off, must->mean[c]);
    }
}

#endif
