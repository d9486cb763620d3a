/* The curves of a run: metrics.jsonl, thinned to a number of points that a chart can show. */
#ifndef NNCLR_EVAL_METRICS_HISTORY_H
#define NNCLR_EVAL_METRICS_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { NNCLR_HISTORY_POINTS = 240 };

typedef enum nnclr_curve {
    NNCLR_CURVE_LOSS,
    NNCLR_CURVE_ACC,
    NNCLR_CURVE_CHANCE,
    NNCLR_CURVE_AGREE,
    NNCLR_CURVE_AGE,
    NNCLR_CURVE_SELF,
    NNCLR_CURVE_PRESENT,
    NNCLR_CURVE_INITIAL,
    NNCLR_CURVE_Z_RANK,
    NNCLR_CURVE_H_RANK,
    NNCLR_CURVE_PROBE,
    NNCLR_CURVE_TEST,
    NNCLR_CURVES
} nnclr_curve;
extern const char *const nnclr_curve_keys[NNCLR_CURVES]; /* of the lines */

typedef struct nnclr_history {
    int count;              /* of points: each the mean of the same number of consecutive steps */
    int64_t lines, damaged; /* whole lines, and those of them that were left out */
    double last_step;
    double step[NNCLR_HISTORY_POINTS];
    double value[NNCLR_CURVES][NNCLR_HISTORY_POINTS]; /* NAN: null or absent in all of its lines,
                                                         or too large to draw */
} nnclr_history;

/* A line that is not a JSON object with a step that a run can have is left out, and counted. A last
 * line without a newline is still being written: it is left out, too. */
bool nnclr_history_read(const char *path, nnclr_history *out, nnclr_error *e);
/* A curve's last number, or NAN. */
double nnclr_history_last(const nnclr_history *history, nnclr_curve curve);

#endif
