/* The options of nnclr-finetune: their table, their defaults, and what they make of a
 * configuration. */
#ifndef NNCLR_CMD_FINETUNE_OPTIONS_H
#define NNCLR_CMD_FINETUNE_OPTIONS_H

#include "cmd/training_options.h"

typedef struct finetune_settings {
    training_settings run; /* the model of its configuration, and the pictures' size, mean and std,
                              come with the weights */
    const char *model, *test; /* NULL: not given */
    bool per_class;
    int64_t batch, micro_batch, seed, eval_every;
    double head_lr; /* below 0: not given */
    nnclr_duration warmup;
} finetune_settings;

enum { FINETUNE_OPTIONS_MOST = 40 };

/* SimCLR's published protocol for few labels; the epochs depend on --label-fraction. */
finetune_settings finetune_defaults(const nnclr_command_line *line);
/* Fills the table, whose targets are in *s; returns the count. */
size_t finetune_options(finetune_settings *s, nnclr_option table[FINETUNE_OPTIONS_MOST]);
/* After parsing: completes s->run.config from the options. Ends the process on wrong usage. */
void finetune_finish(nnclr_cli *cli, finetune_settings *s);
/* Takes over what belongs to the weights: the backbone, and how pictures are shown to it. */
void finetune_take_model(finetune_settings *s, const nnclr_config *from, int classes);

#endif
