/* Checkpoints: a tensor file of kind "checkpoint" (nnclr-tensor(5)) that holds everything the next
 * step needs, and nothing that differs between equal runs. */
#ifndef NNCLR_TRAIN_CHECKPOINT_H
#define NNCLR_TRAIN_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "io/tensor_file.h"
#include "net/parameters.h"
#include "ssl/support_set.h"
#include "train/config.h"

/* What the metadata says; owns its pointers. */
typedef struct nnclr_checkpoint_info {
    nnclr_config config;
    int64_t step; /* steps done */
    int64_t total_steps;
    char engine[16], precision[16];
    nnclr_dtype real;     /* dtype of its parameters: F32, or F64 for the oracle */
    nnclr_json *identity; /* of the data: nnclr_shard_set_identity */
    char **classes;       /* in label order */
    size_t class_count;
    int64_t records; /* in an epoch, for writing; 0: all of the data */
} nnclr_checkpoint_info;

/* Opens a checkpoint and reads its metadata. A file of another kind, or one whose config does not
 * parse, is refused. */
nnclr_tensor_reader *nnclr_checkpoint_open(const char *path, nnclr_checkpoint_info *info,
                                           nnclr_error *e);
/* The metadata of a file that is open already. */
bool nnclr_checkpoint_read_info(const nnclr_tensor_reader *reader, nnclr_checkpoint_info *info,
                                nnclr_error *e);
void nnclr_checkpoint_info_free(nnclr_checkpoint_info *info); /* a zeroed one is fine */
/* Pictures in the data that the identity describes. */
int64_t nnclr_identity_records(const nnclr_json *identity);

/* Puts a number, and the configuration as "nnclr.config", into a file's metadata. */
bool nnclr_checkpoint_put_number(nnclr_json *metadata, const char *key, int64_t value,
                                 nnclr_error *e);
bool nnclr_checkpoint_put_config(nnclr_json *metadata, const nnclr_config *config, nnclr_error *e);

/* What a training run needs of a network besides weights and running statistics; a set of these. */
enum { NNCLR_WITH_MOMENTUM = 1, NNCLR_WITH_TARGET = 2 };

/* Whether the file holds everything that `net` needs, with these parts: its tensors
 * must fit the network by name, dtype and shape; the message names the first that does not. This
 * catches a small file that claims to hold a large network before memory is spent on it. */
bool nnclr_checkpoint_check(const nnclr_tensor_reader *reader, const nnclr_network *net,
                            unsigned parts, nnclr_error *e);
/* Loads what `p` has room for from the reader: weights and running statistics, and momentum and
 * target if these are not NULL, after the same check. F32 and F64 files load into either engine. */
bool nnclr_checkpoint_load_parameters(nnclr_tensor_reader *reader, nnclr_parameters *p,
                                      nnclr_error *e);
/* Refuses numbers that no training can continue from, and that a flipped bit in a file without
 * checksums produces: what is not finite, and a variance below 0. `real`, F32 or F64, is the type
 * of `values`. */
bool nnclr_check_reals(const nnclr_tensor_reader *reader, const nnclr_tensor_info *info,
                       nnclr_dtype real, const void *values, size_t count, nnclr_error *e);
/* Loads the queue; `s` was created with the file's m and d. `told` is the file's metadata, which
 * bound the rows' records, labels and steps; NULL: a file without metadata. */
bool nnclr_checkpoint_load_support_set(nnclr_tensor_reader *reader,
                                       const nnclr_checkpoint_info *told, nnclr_support_set *s,
                                       nnclr_error *e);
/* The same bounds for columns that were read in another way; `path` is for messages. */
bool nnclr_checkpoint_check_rows(const char *path, const nnclr_checkpoint_info *told, int64_t rows,
                                 const int64_t *record, const int64_t *label, const int64_t *step,
                                 nnclr_error *e);

/* Writes everything to `path` (temporary, fsync, rename). `s` may be NULL (simclr). State that is
 * of no use, because a number in it, or after the next step, would not be finite, is a numeric
 * error: whatever is at `path` stays. */
bool nnclr_checkpoint_write(const char *path, const char *program,
                            const nnclr_checkpoint_info *info, const nnclr_parameters *p,
                            const nnclr_support_set *s, nnclr_error *e);

#endif
