/* nnclr-queue-inspect --runs and --watch: the curves of runs. */
#ifndef NNCLR_CMD_INSPECT_RUNS_H
#define NNCLR_CMD_INSPECT_RUNS_H

#include "cmd/inspector.h"

/* The page and, if `table`, the table or with --ansi the curves of the RUNs that are the operands.
 */
bool compare_runs(nnclr_cli *cli, const settings *s, bool table, nnclr_error *e);

/* The RUN that is the operand, until it ends: curves that are drawn anew on a terminal, and
 * elsewhere a row of a table for each line of its metrics. A run that ends unfinished is an error,
 * and a signal ends the process. */
bool watch_run(nnclr_cli *cli, nnclr_error *e);

/* Wrong usage if an option was given that does not go with `option`. */
void check_goes_with(nnclr_cli *cli, const char *option, const char *const *others, size_t count);

#endif
