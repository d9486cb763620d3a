/* A picture at another size, aspect kept. */
#ifndef NNCLR_IMAGE_SHRINK_H
#define NNCLR_IMAGE_SHRINK_H

#include <stdbool.h>

#include "base/error.h"
#include "image/image.h"

/* The whole picture with its longer side at `longest` >= 1 pixels, bicubic and antialiased, into
 * the empty *to; neither side becomes less than 1. */
bool nnclr_shrink(const nnclr_image *from, int longest, nnclr_image *to, nnclr_error *e);

#endif
