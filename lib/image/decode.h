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
 * once more, and NNCLR_DECODE_BYTES. A file that its header condemns takes nothing per pixel.
 *
 * A file cannot make that many pixels out of nothing: it takes at most NNCLR_UNFOLDED times its
 * size, and 256 MiB. Nor can it make work out of nothing: see jpeg.c. Pictures that take much
 * memory are decoded at the same time by only as many threads as base/large_memory.h has room
 * for. */
enum { NNCLR_DECODE_PIXEL_BYTES = 12, NNCLR_DECODE_BYTES = 4 << 20, NNCLR_UNFOLDED = 1024 };

bool nnclr_decode(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                  nnclr_image *image, nnclr_error *e);

/* Do these first bytes of a file begin a picture of a kind that is read? This many are enough to
 * tell, and for nnclr_decode to say what a file is instead. */
enum { NNCLR_PICTURE_START = 16 };
bool nnclr_is_picture(const uint8_t *bytes, size_t size);

/* What is wanted of an upright picture: columns [left, right), rows [top, bottom), all inside it;
 * `shrink`: a pixel may stand for that many by that many (1, 2, 4 or 8). */
typedef struct nnclr_part {
    int left, top, right, bottom, shrink;
} nnclr_part;

/* Asked once, when the size of the upright picture is known. `most`: the kind of file can be shrunk
 * that far. */
typedef nnclr_part (*nnclr_choose_part)(void *context, int width, int height, int most);

/* Decodes no further than the part needs. If a JPEG is not shrunk, the pixels are those that
 * nnclr_decode gives; shrunk, they are close to the means of their squares. What is below the part
 * is not looked at, so that damage there goes unnoticed. Other kinds of files are decoded whole,
 * and their patch is the picture. Memory that patch->image has is used again; a zeroed patch is
 * fine. A thread that is done with the patch calls nnclr_patch_trim, so that a large one is not
 * held while others wait for room. */
bool nnclr_decode_part(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                       nnclr_choose_part choose, void *context, nnclr_patch *patch, nnclr_error *e);

/* Frees the pixels of a large patch, and keeps those of another. */
void nnclr_patch_trim(nnclr_patch *patch);

/* Codec, and size after EXIF orientation, from the header alone. */
bool nnclr_probe(const uint8_t *bytes, size_t size, const nnclr_decode_limits *limits,
                 nnclr_codec *codec, int *width, int *height, nnclr_error *e);

#endif
