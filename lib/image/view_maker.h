/* What one loader thread keeps between records: its buffers, and how it gets a picture and makes a
 * view of it. */
#ifndef NNCLR_IMAGE_VIEW_MAKER_H
#define NNCLR_IMAGE_VIEW_MAKER_H

#include <stddef.h>

#include "base/error.h"
#include "base/strings.h"
#include "image/augment.h"
#include "image/image.h"
#include "io/shard.h"

typedef struct nnclr_view_maker {
    nnclr_buffer encoded, scratch;
} nnclr_view_maker;

void nnclr_view_maker_free(nnclr_view_maker *maker);

/* The decoded picture of a record, the caller's; an error names record and original name. */
bool nnclr_view_maker_decode(nnclr_view_maker *maker, nnclr_shard_set *set, size_t record,
                             nnclr_image *image, nnclr_error *e);

/* Which draw a view is. */
typedef struct nnclr_view_key {
    uint64_t seed, record;
    uint32_t epoch;
    int view;
} nnclr_view_key;

/* The view of a record's picture, in [0,1]: out [size][size][3]. All that makes views for training,
 * or shows them, makes them here. */
bool nnclr_view_maker_view(nnclr_view_maker *maker, const nnclr_augment *augment,
                           const nnclr_image *image, nnclr_view_key key, float *out,
                           nnclr_error *e);

#endif
