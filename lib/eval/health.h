/* Measures of a row set by itself: whether the support set is alive and its rows use their space.
 * All except `initial` are over the unit rows that show a picture. nnclr-queue-inspect(1) defines
 * them and names their sources. */
#ifndef NNCLR_EVAL_HEALTH_H
#define NNCLR_EVAL_HEALTH_H

#include "eval/row_set.h"

enum { NNCLR_AGE_BINS = 12 };

/* NAN: not defined for these rows. */
typedef struct nnclr_health {
    int64_t rows, records; /* all rows; distinct records among those that show a picture */
    int d;
    double initial;                                 /* share of rows that are initial */
    double effective_rank;                          /* of the covariance of a sample */
    double uniformity;                              /* of a sample; lower is more even */
    double alignment;                               /* over pairs of rows of one record */
    double class_alignment;                         /* over pairs of rows of one class */
    double *std;                                    /* [d], the caller's (nnclr_free) */
    double std_mean, std_least, std_most, std_even; /* even: 1/sqrt(d) */

    /* ages, for a support set: bin i holds the rows of age [i * bin_width, (i + 1) * bin_width) */
    int bins; /* 0: no ages */
    int64_t bin_width, bin[NNCLR_AGE_BINS];
} nnclr_health;

/* The sample is drawn from (seed, NNCLR_DRAW_SAMPLE). Called from the thread that drives `oracle`,
 * an engine whose reals are f64. */
bool nnclr_measure_health(nnclr_engine *oracle, const nnclr_row_set *set, uint64_t seed,
                          const nnclr_progress *progress, nnclr_health *out, nnclr_error *e);
void nnclr_health_free(nnclr_health *health);

#endif
