/* nnclr-queue-inspect --runs: several runs side by side. */
#ifndef NNCLR_CMD_INSPECT_RUNS_H
#define NNCLR_CMD_INSPECT_RUNS_H

#include "cmd/inspector.h"

/* The page and, if `table`, the table of the RUNs that are the operands. */
bool compare_runs(nnclr_cli *cli, const settings *s, bool table, nnclr_error *e);

#endif
