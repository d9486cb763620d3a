/* Pictures for a terminal: each character is an upper half block in 24-bit colours, which shows two
 * pixels one above the other. */
#ifndef NNCLR_IMAGE_HALF_BLOCKS_H
#define NNCLR_IMAGE_HALF_BLOCKS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/strings.h"
#include "image/image.h"

/* Lines of text that a picture takes. */
static inline int nnclr_half_block_lines(const nnclr_image *image) {
    return (image->height + 1) / 2;
}

/* Appends line `line` of the picture, one column a pixel, and the return to plain colours. Below a
 * picture of odd height the terminal's own background shows. */
bool nnclr_half_blocks(const nnclr_image *image, int line, nnclr_buffer *out, nnclr_error *e);

#endif
