/* What one loader thread keeps between records: its buffers, and how it gets a picture. */
#ifndef NNCLR_IMAGE_VIEW_MAKER_H
#define NNCLR_IMAGE_VIEW_MAKER_H

#include <stddef.h>

#include "base/error.h"
#include "base/strings.h"
#include "image/image.h"
#include "io/shard.h"

typedef struct nnclr_view_maker {
    nnclr_buffer encoded, scratch;
} nnclr_view_maker;

void nnclr_view_maker_free(nnclr_view_maker *maker);

/* The decoded picture of a record, the caller's; an error names record and original name. */
bool nnclr_view_maker_decode(nnclr_view_maker *maker, nnclr_shard_set *set, size_t record,
                             nnclr_image *image, nnclr_error *e);

#endif
