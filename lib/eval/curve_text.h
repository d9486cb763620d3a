/* The curves of runs on a terminal: charts of braille dots, side by side as far as there is room.
 */
#ifndef NNCLR_EVAL_CURVE_TEXT_H
#define NNCLR_EVAL_CURVE_TEXT_H

#include "base/strings.h"
#include "eval/curve_charts.h"

/* Appends the charts that there are numbers for, for a terminal of `columns`. Several runs have a
 * colour each, said once above the charts; names are escaped and cut. `lines`: the most that may be
 * taken, in lower charts and then in fewer of them; 0: any number. */
bool nnclr_curves_text(const nnclr_curve_run *runs, int count, int columns, int lines,
                       nnclr_buffer *out, nnclr_error *e);

#endif
