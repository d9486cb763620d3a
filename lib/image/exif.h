/* The one thing that we want from EXIF: how the picture must be turned. */
#ifndef NNCLR_IMAGE_EXIF_H
#define NNCLR_IMAGE_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* Orientation, 1 to 8, from a TIFF structure (what follows "Exif\0\0" in a JPEG, or the content of
 * a PNG's eXIf chunk). Anything broken or absent is 1: the picture itself may well be sound. */
int nnclr_exif_orientation(const uint8_t *bytes, size_t size);

#endif
