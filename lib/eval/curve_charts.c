#include "eval/curve_charts.h"

#include <math.h>

const nnclr_curve_chart nnclr_curve_charts[NNCLR_CURVE_CHARTS] = {
    {NNCLR_CURVE_LOSS, -1, false, "Loss", "loss", NULL,
     "Falls fast, then slowly. A broken queue does not show here: look at the other curves."},
    {NNCLR_CURVE_ACC, NNCLR_CURVE_CHANCE, true, "Do neighbours share the class?", "neighbours",
     "chance",
     "Picks with the query's label, compared with what random rows would give. The gap is what was "
     "learned."},
    {NNCLR_CURVE_AGREE, -1, true, "Do both views agree?", "share", NULL,
     "Pictures whose views pick rows of one picture: it needs no labels, and rises as neighbours "
     "gain meaning."},
    {NNCLR_CURVE_Z_RANK, NNCLR_CURVE_H_RANK, true, "Directions in use", "z", "features",
     "How many directions the newest rows, and the features of a batch, spread over: their "
     "effective rank. A fall towards 1 is collapse."},
    {NNCLR_CURVE_AGE, -1, true, "Age of the picks", "steps", NULL,
     "Should settle near half the age of the oldest row. Near 0 only the newest rows are picked."},
    {NNCLR_CURVE_SELF, NNCLR_CURVE_PRESENT, true, "Does a picture find itself?", "picked itself",
     "is in the queue",
     "High: the queue holds most of the data, and a positive is little more than another view."},
    {NNCLR_CURVE_INITIAL, -1, true, "Picks of initial rows", "share", NULL,
     "Random rows that the queue starts with. Falls to 0 once the queue has been filled."},
    {NNCLR_CURVE_PROBE, -1, true, "How often are neighbours right?", "probe", NULL,
     "Pictures of --probe whose class their neighbours vote for."},
    {NNCLR_CURVE_TEST, -1, true, "How often is it right?", "test", NULL,
     "Pictures of --test that the network gives their class."},
};

int nnclr_chart_curves(const nnclr_curve_chart *chart, const nnclr_curve_run *runs, int count,
                       nnclr_chart_curve *curves) {
    int used = 0;
    for (int i = 0; i < 2 * count; i++) {
        const nnclr_curve_run *run = &runs[i / 2];
        const bool second = i % 2;
        const int curve = second ? chart->second : (int)chart->first;
        const double last = curve < 0 ? NAN : nnclr_history_last(run->history, (nnclr_curve)curve);
        if (isfinite(last))
            curves[used++] = (nnclr_chart_curve){
                .history = run->history,
                .curve = (nnclr_curve)curve,
                .run = i / 2,
                .second = second,
                .sparse = curve == NNCLR_CURVE_PROBE || curve == NNCLR_CURVE_TEST,
                .name = run->name ? run->name
                        : second  ? chart->second_key
                                  : chart->first_key,
                .last = last,
            };
    }
    return used;
}

bool nnclr_curves_at_chance(const nnclr_chart_curve *curves, int count) {
    return count == 2 && curves[0].run == curves[1].run && curves[1].curve == NNCLR_CURVE_CHANCE &&
           curves[0].last <= curves[1].last;
}
