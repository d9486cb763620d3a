/* Test pictures that need no file: the formulas are also in tests/reference/formula_pictures.py. */
#ifndef NNCLR_TESTS_FORMULA_PICTURE_H
#define NNCLR_TESTS_FORMULA_PICTURE_H

#include "image/image.h"
#include "tests/unit/check.h"

/* Stripes: no two neighbours are alike; column 0 is gray, in column 1 red equals green. Scene: like
 * a photograph, with even and textured areas, hard edges, and shades from 0 to 255 (soft: from 32
 * to 223). Cube: 512 colours, black, white, grays and all pure ones among them. */
typedef enum picture_kind { STRIPES, SCENE, SCENE_GRAY, SCENE_SOFT, CUBE } picture_kind;

static inline uint8_t stripe_shade(int x, int y, int c) {
    int shade = x == 0 ? 0 : x == 1 ? c / 2 : c;
    return (uint8_t)((x * 37 + y * 101 + shade * 59 + x * y * 7) % 256);
}

static inline uint8_t cube_shade(int place, int c) {
    static const uint8_t shades[8] = {0, 1, 64, 127, 128, 200, 254, 255};
    return shades[place >> 3 * c & 7];
}

/* A sky with a sun, hills, a house with windows, a gray ground; (u, v) in 0..1023. */
static inline int scene_shade(int u, int v, int c) {
    static const int sky[3] = {60, 110, 225}, fade[3] = {90, 80, -50}, hill[3] = {70, 130, 30};
    int slope = 600 + abs(u * 3 % 1024 - 512) / 4, du = u - 700, dv = v - 250;
    if (v > 920)
        return u / 4;
    if (u > 150 && u < 350 && v > 400 && v < 800)
        return (u / 16 + v / 24) % 2 ? 255 : 0;
    if (v > slope)
        return hill[c] + (v - slope) / 8;
    if (du * du + dv * dv < 130 * 130)
        return c == 0 ? 255 : c == 1 ? 200 - abs(du) : 0;
    return sky[c] + v * fade[c] / 1024;
}

/* From -16 to 15, a different one for each pixel. */
static inline int scene_grain(int x, int y) {
    uint32_t n = (uint32_t)x * 374761393u + (uint32_t)y * 668265263u;
    n = (n ^ n >> 13) * 1274126177u;
    return (int)(n >> 16 & 31) - 16;
}

static inline uint8_t scene_pixel(picture_kind kind, int width, int height, int x, int y, int c) {
    int u = (2 * x + 1) * 512 / width, v = (2 * y + 1) * 512 / height, shade = 0;
    if (kind == SCENE_GRAY)
        shade = (scene_shade(u, v, 0) + scene_shade(u, v, 1) + scene_shade(u, v, 2)) / 3;
    else
        shade = scene_shade(u, v, c);
    if (shade > 0 && shade < 255)
        shade += scene_grain(x, y);
    shade = shade < 0 ? 0 : shade > 255 ? 255 : shade;
    return (uint8_t)(kind == SCENE_SOFT ? 32 + shade * 3 / 4 : shade);
}

static inline nnclr_image test_picture(picture_kind kind, int width, int height) {
    nnclr_image image;
    nnclr_error e = NNCLR_NO_ERROR;
    CHECK_SAYS(nnclr_image_create(&image, width, height, &e), "%s", e.message);
    uint8_t *p = image.pixels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                *p++ = kind == STRIPES ? stripe_shade(x, y, c)
                       : kind == CUBE  ? cube_shade(y * width + x, c)
                                       : scene_pixel(kind, width, height, x, y, c);
    return image;
}

static inline nnclr_image formula_picture(int width, int height) {
    return test_picture(STRIPES, width, height);
}

/* A picture's values as floats in [0,1]; the caller frees them. */
static inline float *test_floats(const nnclr_image *image) {
    size_t count = 3 * (size_t)image->width * (size_t)image->height;
    float *values = malloc(count * sizeof *values);
    CHECK(values != NULL);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)image->pixels[i] / 255;
    return values;
}

static inline float *formula_floats(int width, int height) {
    nnclr_image image = formula_picture(width, height);
    float *values = test_floats(&image);
    nnclr_image_free(&image);
    return values;
}

#endif
