/* A ResNet's weights in a tensor file that is not a checkpoint: under torchvision's names, which
 * are also timm's, or lightly's, below any prefix (weight_names.h), as F32, F64, F16 or BF16.
 * nnclr-export writes such a file, with its configuration; for any other, the network follows from
 * names and shapes. A classifier is ignored; num_batches_tracked may be missing. Every refusal
 * names the file, the tensor and the reason. */
#ifndef NNCLR_TRAIN_RESNET_WEIGHTS_H
#define NNCLR_TRAIN_RESNET_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "io/tensor_file.h"
#include "net/parameters.h"
#include "train/config.h"
#include "train/weight_names.h"

/* Depth, width and stem from names and shapes; size and heads are left alone. Looks only at the
 * tensors that decide, so what is recognised need not be complete (nnclr_weights_check). */
bool nnclr_weights_recognise(const nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                             nnclr_model_spec *model, nnclr_error *e);

typedef struct nnclr_weights_info {
    nnclr_weight_names names;
    nnclr_config config; /* the file's; otherwise the recognised network, for pictures as in
                            torchvision: size 224 (32 with the 32x32 stem), bilinear, ImageNet's
                            mean and std; the rest then has no meaning */
    bool told;           /* the file has the configuration */
    int64_t step;        /* steps of training; -1: not known */
} nnclr_weights_info;

/* For a file without nnclr.kind; `prefix` as for nnclr_weight_names_find. */
bool nnclr_weights_describe(const nnclr_tensor_reader *reader, const char *prefix,
                            nnclr_weights_info *info, nnclr_error *e);

/* Whether the file has the whole backbone of `net`, in its shapes, and nothing else below the same
 * prefix that could belong to a backbone. */
bool nnclr_weights_check(const nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                         const nnclr_network *net, nnclr_error *e);
/* Loads the backbone of p->net with its running statistics, after the same check. */
bool nnclr_weights_load(nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                        nnclr_parameters *p, nnclr_error *e);

#endif
