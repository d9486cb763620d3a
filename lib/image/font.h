/* A built-in 6x10 font for ASCII: captions need no font of the system, nor a library to draw it,
 * and sheets are the same bytes everywhere. */
#ifndef NNCLR_IMAGE_FONT_H
#define NNCLR_IMAGE_FONT_H

#include <stddef.h>

#include "image/image.h"

enum { NNCLR_FONT_WIDTH = 6, NNCLR_FONT_HEIGHT = 10 };

/* Draws `size` bytes in black in one line whose top left corner is (left, top). Bytes outside of
 * ASCII 32..126 appear as '?'; what would leave the picture is left out. */
void nnclr_draw_text(nnclr_image *image, int left, int top, const char *text, size_t size);

#endif
