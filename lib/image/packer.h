/* Pictures of a source -> a shard, in the source's order or in a random one, by several threads.
 * The shard depends on what is asked for alone, never on their number. */
#ifndef NNCLR_IMAGE_PACKER_H
#define NNCLR_IMAGE_PACKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"
#include "image/picture_source.h"
#include "image/stored_picture.h"
#include "io/shard.h"

typedef struct nnclr_pack_request {
    nnclr_source *source;
    nnclr_shard_options shard; /* its classes are filled in from the source */
    nnclr_stored_form form;
    /* Stored in the permutation of (seed, pack). Record numbers are still those of the source's
     * order, for which every picture is read twice; but a split set, whose files number their own
     * records, numbers them as they are stored. */
    bool random;
    uint64_t seed;
    int threads;
    /* A picture that cannot be read: true to leave it out and go on. */
    bool (*leave_out)(void *context, const nnclr_error *why);
    void *context;
    const nnclr_progress *progress; /* told after each picture; may be NULL */
} nnclr_pack_request;

typedef struct nnclr_pack_report {
    uint64_t packed, left_out, bytes;
    size_t classes; /* of at least one packed picture */
} nnclr_pack_report;

/* Commits the shard, or leaves nothing. That no picture at all can be read is an error. */
bool nnclr_pack(const nnclr_pack_request *request, nnclr_pack_report *report, nnclr_error *e);

#endif
