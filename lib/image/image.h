/* A decoded picture: 8-bit RGB, rows back to back, top left first. Owns its pixels. */
#ifndef NNCLR_IMAGE_IMAGE_H
#define NNCLR_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct nnclr_image {
    int width, height;
    uint8_t *pixels; /* [height][width][3] */
} nnclr_image;

/* Uninitialised pixels; both sides >= 1. */
bool nnclr_image_create(nnclr_image *image, int width, int height, nnclr_error *e);
void nnclr_image_free(nnclr_image *image); /* leaves an empty image; a zeroed one is fine */

#endif
