/* The backbone of a checkpoint, or weights of another program, as an ONNX model: IR version 7,
 * opset 13, float32. Its input "input" is [N,3,H,W], normalised; its output "features" is [N,d],
 * and that of a classifier, if there is one, "logits" [N,classes]. N is free; H and W are the size
 * of training. metadata_props are those of nnclr_export_metadata. (onnx.proto of the ONNX project
 * defines the fields that are written here. Our own code: a few kinds of messages need no protobuf
 * compiler, runtime and C++.)
 */
#ifndef NNCLR_EVAL_ONNX_H
#define NNCLR_EVAL_ONNX_H

#include "base/progress.h"
#include "eval/frozen_network.h"

/* `from` is open, and need not be loaded. Writes a whole file or nothing; PATH "-" is standard
 * output. */
bool nnclr_export_onnx(const nnclr_frozen_network *from, const char *path, const char *version,
                       const nnclr_progress *progress, nnclr_error *e);

#endif
