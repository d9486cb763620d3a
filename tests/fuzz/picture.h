/* What must hold for any bytes that are taken for a picture. */
#ifndef NNCLR_TESTS_FUZZ_PICTURE_H
#define NNCLR_TESTS_FUZZ_PICTURE_H

#include <string.h>

#include "image/decode.h"
#include "image/encode.h"
#include "tests/fuzz/support.h"

/* Small, so that many pictures are tried; whether a limit holds shows at any size. */
static const nnclr_decode_limits fuzz_limits = {.pixels = 1 << 18, .side = 2000};

/* What was decoded comes back from what it is encoded to. */
static inline void fuzz_encode_again(const nnclr_image *image) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_buffer bytes = {0};
    nnclr_image again = {0};
    FUZZ_OK(nnclr_encode_ppm(image, &bytes, &e), &e);
    FUZZ_OK(nnclr_decode(bytes.data, bytes.size, &fuzz_limits, &again, &e), &e);
    FUZZ_REQUIRE(again.width == image->width && again.height == image->height);
    FUZZ_REQUIRE(
        memcmp(again.pixels, image->pixels, 3 * (size_t)image->width * (size_t)image->height) == 0);
    nnclr_image_free(&again);
    nnclr_buffer_free(&bytes);
}

/* The middle of a picture, as it is or shrunk. */
static inline nnclr_part fuzz_middle(void *context, int width, int height, int most) {
    int shrink = *(const int *)context;
    FUZZ_REQUIRE(width >= 1 && height >= 1 && (most == 1 || most == 2 || most == 4 || most == 8));
    return (nnclr_part){width / 3, height / 3, width - width / 4, height - height / 5,
                        shrink < most ? shrink : most};
}

/* A part that is not shrunk has the pixels of the whole. */
static inline void fuzz_part(const uint8_t *data, size_t size, int shrink,
                             const nnclr_image *whole) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_patch patch = {0};
    if (!nnclr_decode_part(data, size, &fuzz_limits, fuzz_middle, &shrink, &patch, &e)) {
        FUZZ_REQUIRE(!whole->pixels && !patch.image.pixels); /* not more than the whole wants */
        fuzz_refused(&e);
        return;
    }
    const nnclr_image *part = &patch.image;
    for (int y = 0; whole->pixels && patch.shrink == 1 && y < part->height; y++)
        FUZZ_REQUIRE(memcmp(part->pixels + 3 * (size_t)y * (size_t)part->width,
                            whole->pixels + 3 * ((size_t)(patch.top + y) * (size_t)whole->width +
                                                 (size_t)patch.left),
                            3 * (size_t)part->width) == 0);
    nnclr_image_free(&patch.image);
}

static inline void fuzz_picture(const uint8_t *data, size_t size) {
    const nnclr_decode_limits usual = nnclr_decode_limits_default();
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_image image = {0};
    nnclr_codec codec;
    int width = 0, height = 0;
    bool known = nnclr_probe(data, size, &usual, &codec, &width, &height, &e);
    if (known) {
        FUZZ_REQUIRE(width >= 1 && width <= usual.side && height >= 1 && height <= usual.side);
        FUZZ_REQUIRE((int64_t)width * height <= usual.pixels);
    } else {
        fuzz_refused(&e);
    }

    e = (nnclr_error)NNCLR_NO_ERROR;
    if (nnclr_decode(data, size, &fuzz_limits, &image, &e)) {
        FUZZ_REQUIRE(known && image.width == width && image.height == height);
        FUZZ_REQUIRE(width <= fuzz_limits.side && height <= fuzz_limits.side);
        FUZZ_REQUIRE((int64_t)width * height <= fuzz_limits.pixels);
        fuzz_encode_again(&image);
    } else {
        fuzz_refused(&e);
        FUZZ_REQUIRE(image.pixels == NULL);
    }
    for (int shrink = 1; shrink <= 8; shrink *= 2)
        fuzz_part(data, size, shrink, &image);
    nnclr_image_free(&image);
}

#endif
