/* Names for pictures: by a network that nnclr-finetune trained, or by a classifier that
 * nnclr-lineval kept and the network that made its rows. */
#ifndef NNCLR_EVAL_NAMER_H
#define NNCLR_EVAL_NAMER_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/classifier.h"
#include "eval/picture_rows.h"

enum { NNCLR_GUESSES = 3 };

typedef struct nnclr_guess {
    int64_t label; /* -1: there are fewer classes */
    double score;  /* its share of all classes' scores: softmax */
} nnclr_guess;

typedef struct nnclr_namer {
    nnclr_tensor_reader *reader;
    nnclr_json *classes;         /* their names, in label order */
    nnclr_json *told;            /* of the recipe */
    nnclr_row_recipe recipe;     /* of the classifier's rows, or of logits */
    nnclr_classifier classifier; /* d 0: the rows are logits */
    double *scores;              /* [classes] */
} nnclr_namer;

/* `path` is a RUN, a checkpoint or a classifier; `network` (NULL: none) the one that made the rows
 * of a classifier, whose names begin with `prefix` (NULL: not given). *n must be closed even on
 * failure. */
bool nnclr_namer_open(nnclr_namer *n, const char *path, const char *network, const char *prefix,
                      int threads, nnclr_error *e);
void nnclr_namer_close(nnclr_namer *n); /* a zeroed one is fine */
/* NULL for -1. */
const char *nnclr_namer_class(const nnclr_namer *n, int64_t label);

/* guesses [records][NNCLR_GUESSES], the best first, equal ones by the lower label. */
bool nnclr_namer_run(nnclr_namer *n, nnclr_shard_set *pictures, const nnclr_progress *progress,
                     nnclr_guess *guesses, nnclr_error *e);

#endif
