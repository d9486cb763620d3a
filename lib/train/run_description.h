/* run.json: for people, and for --resume to find the shards again. It says where and how a run went
 * (resolved options, version, engine, host, paths), which a checkpoint must not. */
#ifndef NNCLR_TRAIN_RUN_DESCRIPTION_H
#define NNCLR_TRAIN_RUN_DESCRIPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/engine.h"
#include "io/run_folder.h"
#include "io/shard.h"
#include "train/config.h"

typedef struct nnclr_run_description {
    const nnclr_config *config;
    const nnclr_engine *engine;
    const nnclr_shard_set *set;
    const char *program;       /* name and version */
    const char *const *shards; /* as given; kept as absolute paths */
    size_t shard_count;
    int threads;
} nnclr_run_description;

bool nnclr_run_describe(nnclr_run *run, const nnclr_run_description *description, nnclr_error *e);

/* The shards of the run in `folder`: NULL-terminated, one block to free with nnclr_free. A run that
 * read standard input must be given its shards. */
char **nnclr_run_shards(const char *folder, nnclr_error *e);

/* `identity` is that of a checkpoint; says how the data differ from it, as a usage error. */
bool nnclr_run_check_data(const nnclr_json *identity, const nnclr_shard_set *set, nnclr_error *e);

#endif
