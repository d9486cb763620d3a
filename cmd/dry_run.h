/* What nnclr-pretrain --dry-run tells before anything is spent: the network, the memory, and what
 * the run would cost, measured on a few real steps. */
#ifndef NNCLR_CMD_DRY_RUN_H
#define NNCLR_CMD_DRY_RUN_H

#include "cmd/cli.h"
#include "eval/probe.h"
#include "train/trainer.h"

typedef struct dry_run_tables {
    nnclr_cli *cli;
    bool json;
    const nnclr_config *config;
    size_t available; /* bytes, before the run takes any; SIZE_MAX: not known */
} dry_run_tables;

/* The operators: before memory is taken, so that they show also where there is too little. */
bool dry_run_network(const dry_run_tables *t, nnclr_error *e);
/* Memory, then speed and time. `cache` is the most that the data may keep; `probe` may be NULL. */
bool dry_run_cost(const dry_run_tables *t, const nnclr_training_data *data, uint64_t cache,
                  nnclr_trainer *trainer, nnclr_probe *probe, nnclr_error *e);

#endif
