/* What --dry-run says before anything is spent: what a run would train, how much memory it would
 * take, and how long, measured on a few real steps. */
#ifndef NNCLR_CMD_DRY_RUN_H
#define NNCLR_CMD_DRY_RUN_H

#include "cmd/cli.h"
#include "eval/probe.h"
#include "train/trainer.h"

typedef struct dry_run {
    nnclr_cli *cli;
    const nnclr_communicator *ranks;
    bool json; /* all tables in one object */
    const nnclr_config *config;
    nnclr_engine *engine;
    size_t available; /* bytes, before the run takes any; SIZE_MAX: not known */
    uint64_t cache;   /* the most that the data may hold in memory */
} dry_run;

/* Measures, on all ranks, and prints a summary; with -v or in JSON, every table. `probe` may be
 * NULL. */
bool dry_run_print(const dry_run *t, const nnclr_training_data *data, nnclr_trainer *trainer,
                   nnclr_probe *probe, nnclr_error *e);

#endif
