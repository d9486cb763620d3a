#include "image/stored_picture.h"

#include "base/numbers.h"
#include "base/wide.h"
#include "image/decode.h"
#include "image/encode.h"
#include "image/resize.h"

/* What is left of a shorter side that is decoded smaller, in halves of the size. Chosen by
 * measuring: grainy photographs of 500x375 shrunk to a size of 125 are then within 2.2 steps of 256
 * of those that were decoded whole (root mean square), while storing them at this quality changes
 * them by 3.4. */
enum { SHARPNESS = 3 };

void nnclr_storing_free(nnclr_storing *storing) {
    nnclr_image_free(&storing->patch.image);
    nnclr_image_free(&storing->small);
    nnclr_buffer_free(&storing->values);
    nnclr_buffer_free(&storing->scratch);
}

typedef struct choice {
    int size, width, height;
} choice;

static nnclr_part choose_whole(void *context, int width, int height, int most) {
    choice *c = context;
    c->width = width;
    c->height = height;
    int64_t shorter = nnclr_min(width, height);
    int shrink = 1;
    while (c->size > 0 && 2 * shrink <= most &&
           2 * shorter >= (int64_t)SHARPNESS * 2 * shrink * c->size)
        shrink *= 2;
    return (nnclr_part){0, 0, width, height, shrink};
}

NNCLR_WIDE
static void to_bytes(const float *values, size_t count, uint8_t *bytes) {
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(values[i] * 255 + 0.5f); /* in [0,1] */
}

static bool shrink(nnclr_storing *storing, const choice *c, nnclr_error *e) {
    int64_t size = c->size;
    bool upright = c->width < c->height;
    int width = upright ? c->size : (int)(c->width * size / c->height);
    int height = upright ? (int)(c->height * size / c->width) : c->size;
    nnclr_box whole = {0, 0, c->width, c->height};
    size_t count;
    if (!nnclr_image_reuse(&storing->small, width, height, e))
        return false;
    count = (size_t)width * (size_t)height * 3;
    storing->values.size = 0;
    if (!nnclr_buffer_reserve(&storing->values, count * sizeof(float), e) ||
        !nnclr_crop_resize(&storing->patch, whole, NNCLR_BICUBIC, false, width, height,
                           (float *)(void *)storing->values.data, &storing->scratch, e))
        return false;
    to_bytes((const float *)(const void *)storing->values.data, count, storing->small.pixels);
    return true;
}

static bool store(nnclr_storing *storing, const nnclr_stored_form *form, nnclr_buffer *bytes,
                  nnclr_record *record, nnclr_error *e) {
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    choice c = {.size = form->size};
    if (!nnclr_probe(bytes->data, bytes->size, &limits, &record->codec, &record->width,
                     &record->height, e) ||
        !nnclr_decode_part(bytes->data, bytes->size, &limits, choose_whole, &c, &storing->patch, e))
        return false;
    const nnclr_image *stored = &storing->patch.image;
    bool smaller = form->size > 0 && c.width > form->size && c.height > form->size;
    if (smaller) {
        if (!shrink(storing, &c, e))
            return false;
        stored = &storing->small;
    }
    if (smaller || form->pixels) {
        bytes->size = 0;
        if (!(form->pixels ? nnclr_encode_ppm(stored, bytes, e)
                           : nnclr_encode_jpeg(stored, NNCLR_STORED_QUALITY, bytes, e)))
            return false;
        record->codec = form->pixels ? NNCLR_CODEC_PPM : NNCLR_CODEC_JPEG;
        record->width = stored->width;
        record->height = stored->height;
    }
    record->size = bytes->size;
    return true;
}

bool nnclr_store_picture(nnclr_storing *storing, const nnclr_stored_form *form, nnclr_buffer *bytes,
                         nnclr_record *record, nnclr_error *e) {
    bool ok = store(storing, form, bytes, record, e);
    nnclr_patch_trim(&storing->patch);
    return ok;
}
