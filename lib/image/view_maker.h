/* What one loader thread keeps between records: its buffers, and how it gets a picture and makes
 * views of it. */
#ifndef NNCLR_IMAGE_VIEW_MAKER_H
#define NNCLR_IMAGE_VIEW_MAKER_H

#include <stddef.h>

#include "base/error.h"
#include "base/strings.h"
#include "image/augment.h"
#include "image/image.h"
#include "io/shard.h"

enum { NNCLR_VIEWS = 2 };

/* Zero-initialise. */
typedef struct nnclr_view_maker {
    nnclr_buffer encoded, scratch;
    nnclr_patch patch;
} nnclr_view_maker;

void nnclr_view_maker_free(nnclr_view_maker *maker);

/* The decoded picture of a record, the caller's; an error names record and original name. */
bool nnclr_view_maker_decode(nnclr_view_maker *maker, nnclr_shard_set *set, size_t record,
                             nnclr_image *image, nnclr_error *e);

/* Which draw the views of a record are. */
typedef struct nnclr_view_key {
    uint64_t seed, record;
    uint32_t epoch;
} nnclr_view_key;

/* The views of a record's picture, in [0,1]: out[view] [size][size][3], NULL if it is not wanted.
 * Everything that makes views for training, or shows them, makes them here.
 *
 * A JPEG is decoded no further than a view's crop needs. If the crop is so many times larger than
 * the view that half, a quarter or an eighth of its pixels is still twice as many on each side, it
 * is decoded that small; otherwise the view is the one that the whole picture gives, bit for bit.
 * Either way a view depends on nothing but the picture, the key and its own number. */
bool nnclr_view_maker_views(nnclr_view_maker *maker, nnclr_shard_set *set,
                            const nnclr_augment *augment, nnclr_view_key key,
                            float *const out[NNCLR_VIEWS], nnclr_error *e);

/* How much smaller the picture may be decoded for a view of that crop: 1, 2, 4 or 8, at most
 * `most`. */
int nnclr_view_shrink(const nnclr_augment *augment, nnclr_box crop, int most);

#endif
