/* A true Gaussian blur, cut off at a radius, as a dense sum along each axis. */
#include <math.h>
#include <string.h>

#include "base/wide.h"
#include "image/augment.h"

enum { BLOCK = 64 }; /* floats that are summed together */

static void weigh(float *weights, int radius, double sigma) {
    double total = 0;
    for (int k = -radius; k <= radius; k++)
        total += k ? exp(-(double)k * k / (2 * sigma * sigma)) : 1;
    for (int k = -radius; k <= radius; k++)
        weights[k + radius] = (float)((k ? exp(-(double)k * k / (2 * sigma * sigma)) : 1) / total);
}

/* to[i] becomes the weighted sum of from[i], from[i + step], ...: one for each weight. */
NNCLR_WIDE
static void mix(const float *weights, size_t taps, const float *from, size_t step, size_t count,
                float *to) {
    for (size_t at = 0; at < count; at += BLOCK) {
        size_t n = count - at < BLOCK ? count - at : BLOCK;
        float sum[BLOCK] = {0};
        for (size_t k = 0; k < taps; k++) {
            const float *near = from + at + k * step;
            for (size_t i = 0; i < n; i++)
                sum[i] += near[i] * weights[k];
        }
        memcpy(to + at, sum, n * sizeof *to);
    }
}

bool nnclr_gaussian_blur(float *rgb, int width, int height, int radius, double sigma,
                         nnclr_buffer *scratch, nnclr_error *e) {
    size_t row = 3 * (size_t)width, h = (size_t)height, r = (size_t)radius, taps = 2 * r + 1;
    size_t floats = row * (h + 2 * r) + (row + 6 * r) + taps;
    scratch->size = 0;
    if (!nnclr_buffer_reserve(scratch, floats * sizeof(float), e))
        return false;
    /* The rows, blurred, between black ones; one row, between black pixels. */
    float *rows = (void *)scratch->data, *line = rows + row * (h + 2 * r);
    float *weights = line + row + 6 * r;
    weigh(weights, radius, sigma);
    memset(rows, 0, r * row * sizeof *rows);
    memset(rows + (r + h) * row, 0, r * row * sizeof *rows);
    memset(line, 0, (row + 6 * r) * sizeof *line);
    for (size_t y = 0; y < h; y++) {
        memcpy(line + 3 * r, rgb + y * row, row * sizeof *line);
        mix(weights, taps, line, 3, row, rows + (r + y) * row);
    }
    for (size_t y = 0; y < h; y++)
        mix(weights, taps, rows + y * row, row, row, rgb + y * row);
    return true;
}
