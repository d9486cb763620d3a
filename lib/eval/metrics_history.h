/* The curves of a run: metrics.jsonl, thinned to a number of points that a chart can show. */
#ifndef NNCLR_EVAL_METRICS_HISTORY_H
#define NNCLR_EVAL_METRICS_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "eval/metrics_reader.h"

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

/* Sums over the lines of a point. Those of a probe, which have nothing else, go with the steps
 * around them, so that curves have no gaps there. */
typedef struct nnclr_history_sums {
    double step, probed, value[NNCLR_CURVES];
    int64_t lines, probes, known[NNCLR_CURVES];
} nnclr_history_sums;

/* A zeroed one is empty. */
typedef struct nnclr_history {
    int count;              /* of points: each the mean of the same number of consecutive steps */
    int64_t lines, damaged; /* whole lines, and those of them that were left out */
    double last_step;
    double step[NNCLR_HISTORY_POINTS];
    double value[NNCLR_CURVES][NNCLR_HISTORY_POINTS]; /* NAN: null or absent in all of its lines,
                                                         or too large to draw */
    int64_t each; /* steps of a point; the last may have fewer */
    nnclr_history_sums sums[NNCLR_HISTORY_POINTS];
} nnclr_history;

/* One more line. When all points are taken, each takes in its neighbour. */
void nnclr_history_add(nnclr_history *history, const nnclr_json *line, double step);
/* All lines that the reader has by now. */
bool nnclr_history_catch_up(nnclr_history *history, nnclr_metrics_reader *from, nnclr_error *e);
/* A whole file (metrics_reader.h says which lines count); empties *out first. */
bool nnclr_history_read(const char *path, nnclr_history *out, nnclr_error *e);
/* A line's number; NAN: null, absent or not finite. */
double nnclr_curve_value(const nnclr_json *line, nnclr_curve curve);
/* A curve's last number, or NAN. */
double nnclr_history_last(const nnclr_history *history, nnclr_curve curve);

#endif
