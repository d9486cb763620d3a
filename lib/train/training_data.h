/* What a run trains on: pictures of shards, from which views are made, or ready-made views. */
#ifndef NNCLR_TRAIN_TRAINING_DATA_H
#define NNCLR_TRAIN_TRAINING_DATA_H

#include <stdbool.h>
#include <stddef.h>

#include "image/loader.h"
#include "image/views_file.h"
#include "io/shard.h"

/* One of the two; the other is NULL. */
typedef struct nnclr_training_data {
    nnclr_shard_set *set;
    nnclr_views *views;
    uint32_t *records; /* of the set: those that are trained on, ascending; NULL: all */
    size_t record_count;
} nnclr_training_data;

void nnclr_training_data_close(nnclr_training_data *data); /* a zeroed one is fine */

/* Records that are trained on. */
size_t nnclr_training_data_count(const nnclr_training_data *data);
size_t nnclr_training_data_class_count(const nnclr_training_data *data);
const char *nnclr_training_data_class(const nnclr_training_data *data, size_t label);
nnclr_loader *nnclr_training_data_load(const nnclr_training_data *data,
                                       const nnclr_loader_options *options, nnclr_error *e);

/* What a checkpoint remembers about the data: an array with {"records", "crc32"} of each shard, or
 * with {"records", "crc32", "kind": "views"}. Owned by the caller. */
nnclr_json *nnclr_training_data_identity(const nnclr_training_data *data, nnclr_error *e);
/* Whether a checkpoint's identity is that of views. */
bool nnclr_identity_is_views(const nnclr_json *identity);
/* `identity` is a checkpoint's; if the data differ from it, says how, as a usage error. */
bool nnclr_training_data_check(const nnclr_training_data *data, const nnclr_json *identity,
                               nnclr_error *e);

#endif
