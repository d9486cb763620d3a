/* Which tensors a checkpoint has, in their order in the file: writer and reader loop over the same
 * list (internal to lib/train). */
#ifndef NNCLR_TRAIN_CHECKPOINT_LAYOUT_H
#define NNCLR_TRAIN_CHECKPOINT_LAYOUT_H

#include "io/tensor_file.h"
#include "net/parameters.h"
#include "ssl/support_set.h"

typedef enum nnclr_slot {
    NNCLR_SLOT_WEIGHT,
    NNCLR_SLOT_STATISTIC,
    NNCLR_SLOT_BATCHES, /* num_batches_tracked of one batch norm */
    NNCLR_SLOT_MOMENTUM,
    NNCLR_SLOT_TARGET,
    NNCLR_SLOT_QUEUE_EMBEDDING,
    NNCLR_SLOT_QUEUE_RECORD,
    NNCLR_SLOT_QUEUE_LABEL,
    NNCLR_SLOT_QUEUE_STEP,
    NNCLR_SLOT_QUEUE_CURSOR
} nnclr_slot;

typedef struct nnclr_layout_entry {
    nnclr_slot slot;
    size_t offset; /* in reals, in the flat buffer of the slot */
    char name[112];
    nnclr_dtype dtype;
    int rank;
    int64_t dims[4];
} nnclr_layout_entry;

/* Owns its entries. */
typedef struct nnclr_layout {
    nnclr_layout_entry *entries;
    size_t count;
} nnclr_layout;

/* For the parameters with these parts (of checkpoint.h), and for a support set unless that is NULL.
 */
bool nnclr_layout_make(const nnclr_network *net, nnclr_dtype real, unsigned parts,
                       const nnclr_support_set *s, nnclr_layout *layout, nnclr_error *e);
void nnclr_layout_free(nnclr_layout *layout);

nnclr_tensor_info nnclr_layout_info(const nnclr_layout_entry *entry);
/* Whether a file's tensor has the entry's shape and type; reals may have either width. */
bool nnclr_layout_fits(const nnclr_layout_entry *entry, const nnclr_tensor_info *info);

/* "[64,3,7,7]", cut off if there is no room. */
void nnclr_print_shape(int rank, const int64_t *dims, char *text, size_t size);
/* Where an engine has the entry's numbers: those of weights, statistics, momentum or target. */
void *nnclr_layout_place(const nnclr_layout_entry *entry, const nnclr_parameters *p);

/* Loads a tensor that has the shape of an entry of weights, statistics, counts of batches or
 * momentum; reals may also be F16 or BF16. */
bool nnclr_checkpoint_load_entry(nnclr_tensor_reader *reader, const nnclr_tensor_info *info,
                                 const nnclr_layout_entry *entry, nnclr_parameters *p,
                                 nnclr_error *e);

#endif
