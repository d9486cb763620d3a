/* The order in which an epoch goes through the records of a set. */
#ifndef NNCLR_IMAGE_EPOCH_ORDER_H
#define NNCLR_IMAGE_EPOCH_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "io/shard.h"

/* out[0 .. records of the set): every record once.
 *
 * window 0: the permutation of (seed, order, epoch). Otherwise frames come in the permutation of
 * (seed, order, epoch) over the frames, `window` of them are held at a time, each record is drawn
 * uniformly from those that are left in them, and a frame that is used up makes room for the next.
 * So the set is read nearly once from front to back of that order, and memory for `window` frames
 * is enough. */
bool nnclr_epoch_order(const nnclr_shard_set *set, uint64_t seed, uint32_t epoch, size_t window,
                       uint32_t *out, nnclr_error *e);

#endif
