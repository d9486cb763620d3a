/* The options that say what the network sees of a picture: the same for nnclr-pretrain, which
 * trains on it, and nnclr-views, which shows it; fewer for nnclr-embed, which changes nothing at
 * random. */
#ifndef NNCLR_CMD_AUGMENT_OPTIONS_H
#define NNCLR_CMD_AUGMENT_OPTIONS_H

#include "cmd/cli.h"
#include "train/config.h"

enum { AUGMENT_OPTIONS_MOST = 2 + NNCLR_AUGMENT_FIELDS };

enum { VIEW_OPTIONS = 4 };

/* What a network is shown, if that is not what its file says. */
typedef struct view_choices {
    int64_t size; /* 0: not given */
    int filter;   /* of an nnclr_filter; -1: not given */
    float mean[3], std[3];
} view_choices;

/* Fills the table, and *choices with nothing given. */
void view_options(view_choices *choices, nnclr_option table[VIEW_OPTIONS]);
/* Changes what is given. */
void view_apply(const view_choices *choices, const nnclr_cli *cli, nnclr_config *config);

/* The configuration given by --preset, --size and --augment, which each bring several defaults:
 * --help then shows these, and single options override them wherever they stand on the command
 * line. */
nnclr_config augment_defaults(const nnclr_command_line *line, int *preset, int64_t *size);

/* Fills the table, whose targets are *augment and *size, and returns how many options there are. */
size_t augment_options(nnclr_augment *augment, int64_t *size,
                       nnclr_option table[AUGMENT_OPTIONS_MOST]);

#endif
