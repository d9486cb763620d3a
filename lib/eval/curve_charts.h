/* Which curves of runs share a chart, on a page or in a terminal. */
#ifndef NNCLR_EVAL_CURVE_CHARTS_H
#define NNCLR_EVAL_CURVE_CHARTS_H

#include "eval/metrics_history.h"

typedef struct nnclr_curve_chart {
    nnclr_curve first;
    int second; /* nnclr_curve; -1: none */
    bool from_zero;
    const char *title, *first_key, *second_key, *about;
} nnclr_curve_chart;

enum { NNCLR_CURVE_CHARTS = 9 };
extern const nnclr_curve_chart nnclr_curve_charts[NNCLR_CURVE_CHARTS];

typedef struct nnclr_curve_run {
    const char *name; /* NULL: there is only one */
    const nnclr_history *history;
} nnclr_curve_run;

/* A run's curve in a chart. */
typedef struct nnclr_chart_curve {
    const nnclr_history *history;
    nnclr_curve curve;
    int run;
    bool second, sparse; /* the chart's second one; one with few points, which are joined */
    const char *name;    /* the run's, or the chart's key if there is only one */
    double last;
} nnclr_chart_curve;

/* Those that there are numbers for, a run's side by side, into curves [2 * count]; returns how
 * many. */
int nnclr_chart_curves(const nnclr_curve_chart *chart, const nnclr_curve_run *runs, int count,
                       nnclr_chart_curve *curves);
/* Whether the chart's only run has neighbours that are no better than chance. */
bool nnclr_curves_at_chance(const nnclr_chart_curve *curves, int count);

#endif
