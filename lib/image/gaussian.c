/* A true Gaussian blur, cut off at a radius, as a dense sum along each axis. */
#include <math.h>
#include <string.h>

#include "image/augment.h"
#include "image/pixel.h"

static void weigh(float *weights, int radius, double sigma) {
    double total = 0;
    for (int k = -radius; k <= radius; k++)
        total += k ? exp(-(double)k * k / (2 * sigma * sigma)) : 1;
    for (int k = -radius; k <= radius; k++)
        weights[k + radius] = (float)((k ? exp(-(double)k * k / (2 * sigma * sigma)) : 1) / total);
}

/* to[i] becomes the weighted sum of from[i], from[i + step], ...: one for each weight. */
static void mix(const float *weights, int taps, const nnclr_pixel *from, size_t step, size_t count,
                nnclr_pixel *to) {
    for (size_t i = 0; i < count; i++) {
        nnclr_pixel sum = {0};
        for (int k = 0; k < taps; k++)
            sum += from[i + (size_t)k * step] * weights[k];
        to[i] = sum;
    }
}

bool nnclr_gaussian_blur(float *rgb, int width, int height, int radius, double sigma,
                         nnclr_buffer *scratch, nnclr_error *e) {
    size_t w = (size_t)width, h = (size_t)height, r = (size_t)radius, taps = 2 * r + 1;
    size_t pixels = w * (h + 2 * r) + (w + 2 * r) + w;
    scratch->size = 0;
    if (!nnclr_buffer_reserve(scratch, pixels * sizeof(nnclr_pixel) + taps * sizeof(float), e))
        return false;
    /* The rows, blurred, between black ones; one row, between black pixels; one blurred row. */
    nnclr_pixel *rows = (void *)scratch->data, *line = rows + w * (h + 2 * r);
    nnclr_pixel *blurred = line + w + 2 * r;
    float *weights = (void *)(blurred + w);
    weigh(weights, radius, sigma);
    memset(rows, 0, r * w * sizeof *rows);
    memset(rows + (r + h) * w, 0, r * w * sizeof *rows);
    memset(line, 0, (w + 2 * r) * sizeof *line);
    for (size_t y = 0; y < h; y++) {
        for (size_t x = 0; x < w; x++)
            line[r + x] = nnclr_pixel_load(rgb + 3 * (y * w + x));
        mix(weights, (int)taps, line, 1, w, rows + (r + y) * w);
    }
    for (size_t y = 0; y < h; y++) {
        mix(weights, (int)taps, rows + y * w, w, w, blurred);
        for (size_t x = 0; x < w; x++)
            nnclr_pixel_store(rgb + 3 * (y * w + x), blurred[x]);
    }
    return true;
}
