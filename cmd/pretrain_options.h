/* The options of nnclr-pretrain: their table, their defaults, and what they make of a
 * configuration. */
#ifndef NNCLR_CMD_PRETRAIN_OPTIONS_H
#define NNCLR_CMD_PRETRAIN_OPTIONS_H

#include "cmd/training_options.h"

typedef struct pretrain_settings {
    training_settings run;
    const char *views, *init, *probe, *probe_bank; /* files; NULL: none */
    bool include_self;
    int preset, swap;
    int64_t size, queue, neighbours, soft, batch, micro_batch, shuffle_window, seed, init_seed,
        data_seed;
    nnclr_duration warmup;
} pretrain_settings;

enum { PRETRAIN_OPTIONS_MOST = 90 };

/* The defaults of the preset, and of the options that bring several defaults with them: --help then
 * shows them, and single options override them wherever they stand on the command line. */
pretrain_settings pretrain_defaults(const nnclr_command_line *line);

/* Fills the table, whose targets are in *s; returns the count. */
size_t pretrain_options(pretrain_settings *s, nnclr_option table[PRETRAIN_OPTIONS_MOST]);

/* After parsing: completes s->run.config. Ends the process on wrong usage: options that contradict
 * each other, or that have no effect given the others, are refused, never ignored; so is, with
 * --resume, anything that would change the run. */
void pretrain_finish(nnclr_cli *cli, pretrain_settings *s);

#endif
