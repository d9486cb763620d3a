/* Rows of pictures that were made as the rows of another set were, so that the two can be
 * compared. */
#ifndef NNCLR_EVAL_PICTURE_ROWS_H
#define NNCLR_EVAL_PICTURE_ROWS_H

#include "eval/row_set.h"
#include "io/shard.h"

/* A row for each record of `pictures`, which stay the caller's and must outlive the set; `path` is
 * their name. Like the rows of `like`: pixels, or what the network at `model` makes of pictures
 * that are shown to it in the same way; NULL: the checkpoint that `like` is a support set of. A
 * network whose settings differ from those that the file of `like` records is refused. */
bool nnclr_row_set_of_pictures(nnclr_row_set *set, const char *path, nnclr_shard_set *pictures,
                               const nnclr_row_set *like, const char *model, int threads,
                               const nnclr_progress *progress, nnclr_error *e);

#endif
