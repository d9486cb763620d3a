/* Several runs side by side: their curves, and the settings in which they differ. */
#ifndef NNCLR_EVAL_RUN_COMPARISON_H
#define NNCLR_EVAL_RUN_COMPARISON_H

#include "eval/metrics_history.h"
#include "io/json.h"

enum { NNCLR_PAGE_RUNS = 8 }; /* so many colours can be told apart */

typedef struct nnclr_compared_run {
    const char *path; /* of its folder; the caller's */
    nnclr_history history;
    nnclr_json *differs; /* settings that not all runs have in common: the same members, in the same
                            order, in each run; null: this one does not have it */
} nnclr_compared_run;

/* Reads metrics.jsonl and run.json of each run, which may be going on. `runs` [count], at least
 * one, must be freed even on failure. */
bool nnclr_runs_read(const char *const *paths, int count, nnclr_compared_run *runs, nnclr_error *e);
void nnclr_runs_free(nnclr_compared_run *runs, int count); /* zeroed ones are fine */

/* Appends a self-contained page about them, at most NNCLR_PAGE_RUNS. */
bool nnclr_runs_page(const nnclr_compared_run *runs, int count, const char *program,
                     nnclr_buffer *html, nnclr_error *e);

#endif
