/* Picture -> encoded bytes, appended to a buffer. Equal pictures give equal bytes. */
#ifndef NNCLR_IMAGE_ENCODE_H
#define NNCLR_IMAGE_ENCODE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/strings.h"
#include "image/image.h"

bool nnclr_encode_jpeg(const nnclr_image *image, int quality, nnclr_buffer *out, nnclr_error *e);
bool nnclr_encode_png(const nnclr_image *image, nnclr_buffer *out, nnclr_error *e);
bool nnclr_encode_ppm(const nnclr_image *image, nnclr_buffer *out, nnclr_error *e); /* P6, 255 */

#endif
