/* Messages of protobuf, field by field: a field is a tag (number and wire type), then a varint, a
 * fixed number of bytes, or a length and bytes. Each function appends one. */
#ifndef NNCLR_EVAL_PROTOBUF_H
#define NNCLR_EVAL_PROTOBUF_H

#include <stdint.h>

#include "base/strings.h"

bool nnclr_proto_int(nnclr_buffer *out, int field, int64_t x, nnclr_error *e);
bool nnclr_proto_float(nnclr_buffer *out, int field, float x, nnclr_error *e);
bool nnclr_proto_bytes(nnclr_buffer *out, int field, const void *bytes, size_t size,
                       nnclr_error *e);
bool nnclr_proto_text(nnclr_buffer *out, int field, const char *text, nnclr_error *e);
/* A message within, which is freed either way; `ok`: whether it was built. */
bool nnclr_proto_message(nnclr_buffer *out, int field, nnclr_buffer *message, bool ok,
                         nnclr_error *e);

#endif
