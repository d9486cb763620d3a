/* What a file of weights calls the tensors of a ResNet: torchvision's names below any prefix
 * ("module.encoder_q.", "student.backbone."); numbers if they are the children of a Sequential, as
 * lightly saves a backbone ("backbone.0.weight" is conv1's); and lightly's "shortcut" for
 * torchvision's "downsample". */
#ifndef NNCLR_TRAIN_WEIGHT_NAMES_H
#define NNCLR_TRAIN_WEIGHT_NAMES_H

#include <stdbool.h>

#include "io/tensor_file.h"

enum { NNCLR_WEIGHT_PREFIX = 128, NNCLR_WEIGHT_NAME = 256 };

typedef struct nnclr_weight_names {
    char prefix[NNCLR_WEIGHT_PREFIX]; /* "", or with a dot at its end */
    int first_stage; /* the number that layer1 has in a Sequential; 0: it is called layer1 */
    bool shortcut;   /* instead of downsample */
} nnclr_weight_names;

typedef struct nnclr_weight_name {
    char text[NNCLR_WEIGHT_NAME];
} nnclr_weight_name;

/* Finds the names from a block that every ResNet has. `wanted` (may be NULL) is the prefix of the
 * network to take, its last dot optional; without it the file must hold only one network. A
 * checkpoint of ours holds one, below "backbone.", whose names are known, and takes no prefix. */
bool nnclr_weight_names_find(const nnclr_tensor_reader *reader, const char *wanted,
                             nnclr_weight_names *names, nnclr_error *e);

/* The file's name for what torchvision calls `name`. */
nnclr_weight_name nnclr_weight_name_of(const nnclr_weight_names *names, const char *name);

#endif
