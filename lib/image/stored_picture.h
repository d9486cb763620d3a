/* What a shard keeps of a picture: its bytes as they are, or a smaller one, or bare pixels. */
#ifndef NNCLR_IMAGE_STORED_PICTURE_H
#define NNCLR_IMAGE_STORED_PICTURE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/strings.h"
#include "image/image.h"
#include "io/shard.h"

enum { NNCLR_STORED_QUALITY = 95 }; /* of the JPEG files that are made */

typedef struct nnclr_stored_form {
    int size;    /* the shorter side is shrunk to it; 0: it is kept */
    bool pixels; /* as PPM, otherwise as JPEG if it is not kept as it is */
} nnclr_stored_form;

/* Memory that one thread keeps between pictures; zero-initialise. */
typedef struct nnclr_storing {
    nnclr_patch patch;
    nnclr_image small;
    nnclr_buffer values, scratch;
} nnclr_storing;

void nnclr_storing_free(nnclr_storing *storing);

/* Decodes the encoded picture in `bytes` to its end, so that damage is noticed; then puts there
 * what is to be stored, and into `record` its codec, width, height and size. A picture whose
 * shorter side is no longer than `size` keeps its bytes, unless pixels are wanted. The longer side
 * becomes long * size / short, rounded down as torchvision's Resize does; bicubic, antialiased. A
 * JPEG is decoded to a half, a quarter or an eighth where the shorter side is then still one and a
 * half times `size`. */
bool nnclr_store_picture(nnclr_storing *storing, const nnclr_stored_form *form, nnclr_buffer *bytes,
                         nnclr_record *record, nnclr_error *e);

#endif
