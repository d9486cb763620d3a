/* run.json: for people, and for --resume to find the data again. It says where and how a run went
 * (resolved options, version, engine, host, paths), which a checkpoint must not. */
#ifndef NNCLR_TRAIN_RUN_DESCRIPTION_H
#define NNCLR_TRAIN_RUN_DESCRIPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/engine.h"
#include "io/run_folder.h"
#include "train/config.h"
#include "train/training_data.h"

typedef struct nnclr_run_description {
    const nnclr_config *config;
    const nnclr_engine *engine;
    const nnclr_training_data *data;
    const char *program;      /* name and version */
    const char *const *files; /* of the data, as given; kept as absolute paths */
    size_t file_count;
    bool resumed;       /* what is NULL below stays as run.json has it */
    const char *init;   /* NULL: random weights */
    const char *prefix; /* of the tensors that were taken from `init`; NULL: not given */
    const char *test;   /* in fine-tuning: the shard that it is tested on; NULL: none */
    int threads;
    const char *const *hosts; /* [ranks]: where each rank runs; NULL: there is one */
    int ranks;
} nnclr_run_description;

bool nnclr_run_describe(nnclr_run *run, const nnclr_run_description *description, nnclr_error *e);

/* The shards, or the one file of views, of the run in `folder`: NULL-terminated, one block to free
 * with nnclr_free. If the run read standard input, they must be given again. */
char **nnclr_run_files(const char *folder, bool views, nnclr_error *e);
/* The shard that the run is tested on: NULL with *e left alone if run.json names none, or one that
 * was read from standard input. Freed with nnclr_free. */
char *nnclr_run_test(const char *folder, nnclr_error *e);

#endif
