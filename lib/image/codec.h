/* What decode.c asks of each file format; jpeg.c, png.c and ppm.c answer. */
#ifndef NNCLR_IMAGE_CODEC_H
#define NNCLR_IMAGE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/decode.h"
#include "image/image.h"
#include "io/shard.h"

typedef struct nnclr_picture_header {
    int width, height; /* as stored */
    int orientation;   /* EXIF, 1 to 8; 1 if nothing is said */
    size_t memory;     /* bytes that decoding it takes at most */
    size_t taken; /* of large_memory.h, by nnclr_begin_decoding; whoever called `read` gives it */
} nnclr_picture_header;

/* Answers in pixels as stored; `most` as for nnclr_choose_part. */
typedef nnclr_part (*nnclr_choose_stored)(void *context, const nnclr_picture_header *header,
                                          int most);

typedef struct nnclr_picture_codec {
    nnclr_codec codec;
    bool (*matches)(const uint8_t *bytes, size_t size);
    /* Reads the header, which is zeroed, checks it against the limits, and unless `image` is NULL
     * goes on to fill it, as stored, in its own memory if that is enough. On failure the image is
     * left empty. */
    bool (*read)(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                 nnclr_picture_header *header, nnclr_image *image, nnclr_error *e);
    /* The same, but only for the part that is chosen, all as stored; NULL: this kind is read
     * whole. */
    bool (*read_part)(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                      nnclr_choose_stored choose, void *context, nnclr_picture_header *header,
                      nnclr_patch *patch, nnclr_error *e);
} nnclr_picture_codec;

extern const nnclr_picture_codec nnclr_jpeg_codec, nnclr_png_codec, nnclr_ppm_codec;

/* Sizes as claimed by a header, both at least 1. */
bool nnclr_check_limits(const nnclr_decode_limits *limits, uint32_t width, uint32_t height,
                        nnclr_error *e);
/* Refuses a file of `size` bytes that would take more memory than any picture does for its size. */
bool nnclr_check_memory(const nnclr_picture_header *header, size_t size, nnclr_error *e);
/* Waits until the memory may be taken: before the first of it is allocated. */
void nnclr_begin_decoding(nnclr_picture_header *header);

#endif
