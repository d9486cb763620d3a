/* nnclr-lineval --augment: linear evaluation of a checkpoint's network on views of the pictures of
 * two shards. */
#ifndef NNCLR_CMD_LINEVAL_AUGMENT_H
#define NNCLR_CMD_LINEVAL_AUGMENT_H

#include "cmd/cli.h"
#include "cmd/lineval_report.h"
#include "cmd/lineval_settings.h"
#include "io/shard.h"

/* Refuses options that do not go with --augment, or do not go without it. */
void augment_check(nnclr_cli *cli, const settings *s, bool knn);

/* What the evaluation found, and on what. */
typedef struct augmented {
    nnclr_shard_set *train, *test;
    const char **names;   /* [records of TEST], the set's */
    const char **classes; /* of TRAIN, the set's */
    int64_t *train_label, *label;
    int64_t rows; /* of TRAIN with a label that is used */
    method_result result;
} augmented;

/* *a must be zeroed, and freed even on failure. `program` is recorded in the classifier's file. */
bool augmented_run(augmented *a, nnclr_cli *cli, const settings *s, const char *program,
                   nnclr_error *e);
report augmented_report(augmented *a, const settings *s);
void augmented_free(augmented *a);

#endif
