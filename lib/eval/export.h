/* Results in the formats of other programs: a backbone's weights as torchvision and timm name them,
 * rows as a NumPy array, and a table of what the rows are. Each writes a whole file, or nothing.
 * PROGRESS may be NULL. */
#ifndef NNCLR_EVAL_EXPORT_H
#define NNCLR_EVAL_EXPORT_H

#include <stdbool.h>

#include "base/progress.h"
#include "eval/embedding.h"
#include "train/checkpoint.h"

/* What another program needs to use the backbone: strings for arch, width, stem, size, resize
 * (in words), mean, std, nnclr.config and nnclr.step (unless that is -1), and for a network with a
 * classifier the JSON array `classes`, in the order of its rows. Owned by the caller. */
nnclr_json *nnclr_export_metadata(const nnclr_checkpoint_info *info, nnclr_error *e);
/* A plain safetensors document of the checkpoint's backbone, without prefix, in the file's dtypes,
 * and of its classifier if it has one (fc.weight, fc.bias). __metadata__ is
 * nnclr_export_metadata's. Weights that are not finite are refused. PATH "-" is standard output. */
bool nnclr_export_backbone(nnclr_tensor_reader *checkpoint, const nnclr_checkpoint_info *info,
                           const char *path, const nnclr_progress *progress, nnclr_error *e);
/* NumPy's format 1.0: float32 [n,d] in C order. */
bool nnclr_export_npy(const nnclr_embedding *embedding, const char *path,
                      const nnclr_progress *progress, nnclr_error *e);
/* A header line, then record, label (-1: none), class (empty: none) and name of each row; bytes of
 * names that would break a line are escaped. */
bool nnclr_export_tsv(const nnclr_embedding *embedding, const char *path,
                      const nnclr_progress *progress, nnclr_error *e);

#endif
