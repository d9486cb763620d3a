/* Antialiased separable resampling of a box of a picture with Pillow's filters: the support grows
 * with the reduction, and weights are normalised. Float arithmetic throughout, no rounding between
 * the passes. */
#ifndef NNCLR_IMAGE_RESIZE_H
#define NNCLR_IMAGE_RESIZE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/strings.h"
#include "image/image.h"

typedef enum nnclr_filter { NNCLR_BILINEAR, NNCLR_BICUBIC } nnclr_filter; /* bicubic: a = -0.5 */
extern const char *const nnclr_filter_names[]; /* "bilinear", "bicubic", NULL */

typedef struct nnclr_box {
    double left, top, width, height; /* in pixels of the source, inside it */
} nnclr_box;

/* As Pillow's resize(..., box=...): taps reach beyond the box, but not beyond the picture, as if
 * the whole picture were resized and then cut.
 *
 * out [height][width][3], values/255; bicubic may overshoot and is clipped to [0,1]. `scratch`
 * keeps its memory between calls: one a thread. `flip`: mirrored left to right. */
bool nnclr_resize(const nnclr_image *image, nnclr_box box, nnclr_filter filter, bool flip,
                  int width, int height, float *out, nnclr_buffer *scratch, nnclr_error *e);
/* The same on a box of whole pixels that is cut out first, as torchvision's resized_crop: what is
 * around it does not count. The patch covers the box, which is given in pixels of the picture;
 * if it is not shrunk, the result is that of the whole picture, bit for bit. */
bool nnclr_crop_resize(const nnclr_patch *patch, nnclr_box box, nnclr_filter filter, bool flip,
                       int width, int height, float *out, nnclr_buffer *scratch, nnclr_error *e);

/* The whole picture with its longer side at `longest` >= 1 pixels, bicubic and antialiased, into
 * the empty *to; neither side becomes less than 1. */
bool nnclr_shrink(const nnclr_image *from, int longest, nnclr_image *to, nnclr_error *e);

#endif
