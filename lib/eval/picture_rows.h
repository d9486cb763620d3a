/* Rows of pictures that are made as the rows of a file were, so that they can be compared with
 * those, or judged by a classifier of those. */
#ifndef NNCLR_EVAL_PICTURE_ROWS_H
#define NNCLR_EVAL_PICTURE_ROWS_H

#include "eval/embed.h"
#include "eval/row_set.h"
#include "io/shard.h"

/* How rows are made. */
typedef struct nnclr_row_recipe {
    const char *path;       /* of the file that says so, */
    const nnclr_json *told; /* in its nnclr.config, as nnclr-embed writes it; NULL: it does not */
    int d;                  /* numbers of a row */
    const char *model;      /* the network's file; NULL: not given */
    const char *prefix;     /* of its names, as for nnclr_weight_names_find; NULL: not given */
    int threads;
} nnclr_row_recipe;

/* Hands out a row for each record of `pictures`: pixels, or what the network makes of pictures that
 * are shown to it in the same way. A network whose settings are not those that were recorded is
 * refused. */
bool nnclr_make_rows(const nnclr_row_recipe *how, nnclr_shard_set *pictures,
                     const nnclr_row_sink *sink, nnclr_error *e);

/* A row for each record of `pictures`, which stay the caller's and must outlive the set; `path` is
 * their name. They are made as those of `like`, by the network `model`, whose `prefix` may be NULL.
 * `model` NULL: by the checkpoint that `like` is a support set of. */
bool nnclr_row_set_of_pictures(nnclr_row_set *set, const char *path, nnclr_shard_set *pictures,
                               const nnclr_row_set *like, const char *model, const char *prefix,
                               int threads, const nnclr_progress *progress, nnclr_error *e);

#endif
