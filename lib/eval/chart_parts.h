/* What charts on pages and in terminals share: the axes. */
#ifndef NNCLR_EVAL_CHART_PARTS_H
#define NNCLR_EVAL_CHART_PARTS_H

#include <math.h>
#include <stdbool.h>

typedef struct chart_range {
    double low, high; /* low above high: it is empty */
} chart_range;

#define CHART_NO_RANGE                                                                             \
    { INFINITY, -INFINITY }

typedef struct chart_axis {
    double low, high, step; /* ticks at multiples of step */
} chart_axis;

/* NAN, a gap, if arithmetic with the number could exceed what a double holds. */
double chart_drawable(double x);
void chart_widen(chart_range *range, double x); /* to x, unless it is a gap */
/* Bounds and ticks are round numbers, if `whole` is false. */
chart_axis chart_make_axis(double low, double high, bool whole);

#endif
