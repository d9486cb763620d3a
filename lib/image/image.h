/* A decoded picture: 8-bit RGB, rows back to back, top left first. Owns its pixels. A patch is a
 * part of a picture, perhaps smaller than it is there. */
#ifndef NNCLR_IMAGE_IMAGE_H
#define NNCLR_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct nnclr_image {
    int width, height;
    uint8_t *pixels; /* [height][width][3] */
    size_t capacity; /* bytes that there is room for, as nnclr_image_reuse made it; otherwise 0 */
} nnclr_image;

/* Uninitialised pixels; both sides >= 1. */
bool nnclr_image_create(nnclr_image *image, int width, int height, nnclr_error *e);
/* The same in the memory that the image has, if it is enough; a zeroed image is fine. After a
 * failure it is empty. */
bool nnclr_image_reuse(nnclr_image *image, int width, int height, nnclr_error *e);
void nnclr_image_free(nnclr_image *image); /* leaves an empty image; a zeroed one is fine */

/* Pixel (x, y) of the image stands for the square of `shrink` x `shrink` pixels of the picture that
 * begins at (shrink * (left + x) - before_x, shrink * (top + y) - before_y). */
typedef struct nnclr_patch {
    nnclr_image image;
    int left, top;
    int shrink;             /* 1: as it is */
    int before_x, before_y; /* less than shrink: squares are counted from the right or the bottom if
                               the picture was stored mirrored, so the first is cut */
    size_t taken;           /* of base/large_memory.h, until nnclr_patch_trim */
} nnclr_patch;

/* All of the image, whose pixels it shares. */
nnclr_patch nnclr_whole_patch(const nnclr_image *image);

#endif
