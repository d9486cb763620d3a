/* Charts as inline SVG, drawn for a width of 360 pixels so that they can be read on a phone. */
#ifndef NNCLR_EVAL_CHART_H
#define NNCLR_EVAL_CHART_H

#include <stdint.h>

#include "eval/markup.h"

typedef struct nnclr_chart_line {
    const double *x, *value; /* [count]; a value that is not finite, or beyond 1e300, is a gap, */
    bool sparse;             /* unless the line goes on to the next one */
    int count;
    const char *name;
    const char *class; /* of CSS: its colour */
} nnclr_chart_line;

/* `from_zero`: the y axis starts at 0. `label` tells those who do not see the chart what it shows.
 * False if there is nothing but gaps: nothing is drawn. */
bool nnclr_chart_lines(nnclr_markup *m, const char *label, const nnclr_chart_line *lines,
                       int line_count, bool from_zero);

/* Bars side by side: bar i covers [i * width, (i + 1) * width). */
void nnclr_chart_bars(nnclr_markup *m, const char *label, const int64_t *bar, int count,
                      int64_t width);

#endif
