/* Encoded bytes -> picture. The type is told by the first bytes, never by a name. Whatever a JPEG
 * or PNG may hold (gray, palette, CMYK and YCCK with Adobe's inversion, 1 to 16 bits, interlaced,
 * progressive, alpha composited on black) comes out as 8-bit RGB, turned upright by its EXIF
 * orientation. Truncated or damaged data is an error, never half a picture, and the message says
 * how it is damaged. Bytes are hostile: sizes are checked against the limits before anything is
 * allocated. Any thread may call these; nothing is shared.
 *
 * libjpeg's header is included in jpeg.c alone, libpng's in png.c alone. */
#ifndef NNCLR_IMAGE_DECODE_H
#define NNCLR_IMAGE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/image.h"
#include "io/shard.h"

typedef struct nnclr_decode_limits {
    int64_t pixels; /* width * height */
    int side;       /* of either side */
} nnclr_decode_limits;

/* 178,956,970 pixels (Pillow's bound), sides up to 65,535. */
nnclr_decode_limits nnclr_decode_limits_default(void);

/* Decoding takes at most NNCLR_DECODE_PIXEL_BYTES of memory a pixel (three for the picture, up to
 * eight for the coefficients of a progressive JPEG of four channels), the size of the encoded bytes
 * once more, and NNCLR_DECODE_BYTES. What its header condemns takes nothing a pixel. */
enum { NNCLR_DECODE_PIXEL_BYTES = 12, NNCLR_DECODE_BYTES = 4 << 20 };

bool nnclr_decode(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                  nnclr_image *image, nnclr_error *e);

/* Do these first bytes of a file begin a picture of a kind that is read? */
enum { NNCLR_PICTURE_START = 8 };
bool nnclr_is_picture(const uint8_t *bytes, size_t size);

/* Codec, and size after EXIF orientation, from the header alone. */
bool nnclr_probe(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                 nnclr_codec *codec, int *width, int *height, nnclr_error *e);

#endif
