/* Pictures as people have them, as a set: shards as they are, and everything else that nnclr-prep
 * takes as a shard made on the way, in a temporary file, with the bytes that nnclr-prep would
 * write. */
#ifndef NNCLR_IMAGE_PICTURES_H
#define NNCLR_IMAGE_PICTURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"
#include "image/picture_source.h"
#include "io/shard.h"

enum {
    NNCLR_PACK_FILE_LIMIT = 256 * 1024 * 1024, /* bytes of a picture's file */
    NNCLR_PACK_LEVEL = 3                       /* of compression */
};

typedef struct nnclr_pictures_options {
    uint64_t cache_bytes; /* as nnclr_shard_set_open has it */
    const char *program;  /* that makes shards: name and version */
    int threads;
    /* What is in `count` inputs, the first of which is `name`, is about to be packed. */
    void (*on_packing)(void *context, const char *name, size_t count, const nnclr_source *source);
    bool (*leave_out)(void *context, const nnclr_error *why); /* as nnclr_pack has it */
    void *context;
    const nnclr_file_id *outputs; /* as nnclr_source_options has them */
    size_t output_count;
    const nnclr_progress *progress; /* the same; starts anew for each shard that is made */
} nnclr_pictures_options;

/* Whether what is at the path would be opened as pictures: a folder that is not a RUN, or a regular
 * file other than a tensor file. */
bool nnclr_are_pictures(const char *path);

/* A set of shards, folders, archives, pictures and files of many pictures, in this order; "-"
 * (once) and FIFOs are shards or archives. Neighbours that are not shards become one shard, as one
 * call of nnclr-prep would make it. A file that is none of these is refused with the reason. */
nnclr_shard_set *nnclr_pictures_open(const char *const *paths, size_t count,
                                     const nnclr_pictures_options *options, nnclr_error *e);

#endif
