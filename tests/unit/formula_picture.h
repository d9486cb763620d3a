/* Test pictures that need no file: the formula is also in tests/reference/make_image_fixtures.py.
 */
#ifndef NNCLR_TESTS_FORMULA_PICTURE_H
#define NNCLR_TESTS_FORMULA_PICTURE_H

#include "image/image.h"
#include "tests/unit/check.h"

/* Column 0 is gray, in column 1 red equals green. */
static inline nnclr_image formula_picture(int width, int height) {
    nnclr_image image;
    nnclr_error e = NNCLR_NO_ERROR;
    CHECK_SAYS(nnclr_image_create(&image, width, height, &e), "%s", e.message);
    uint8_t *p = image.pixels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                int shade = x == 0 ? 0 : x == 1 ? c / 2 : c;
                *p++ = (uint8_t)((x * 37 + y * 101 + shade * 59 + x * y * 7) % 256);
            }
    return image;
}

/* The same as floats in [0,1]; the caller frees them. */
static inline float *formula_floats(int width, int height) {
    nnclr_image image = formula_picture(width, height);
    size_t count = 3 * (size_t)width * (size_t)height;
    float *values = malloc(count * sizeof *values);
    CHECK(values != NULL);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)image.pixels[i] / 255;
    nnclr_image_free(&image);
    return values;
}

#endif
