/* Gaussian blur, of two kinds. */
#include <math.h>
#include <string.h>

#include "base/numbers.h"
#include "base/wide.h"
#include "image/augment.h"

/* ---- as Pillow's ----
 *
 * Three passes of an extended box filter (Gwosdek et al., "Theoretical foundations of Gaussian
 * convolution by extended box filtering", SSVM 2011), edges replicated. */

enum { PASSES = 3 };

/* Whole weights up to `whole` pixels away, `share` of one at the next. */
typedef struct box {
    int whole;
    float share, inverse; /* of the sum of weights */
} box;

/* The box whose real radius gives three passes the variance of the Gaussian. */
static box box_of(double sigma) {
    double s2 = sigma * sigma / PASSES;
    double length = sqrt(12 * s2 + 1), l = floor((length - 1) / 2);
    double a = (2 * l + 1) * (l * (l + 1) - 3 * s2) / (6 * (s2 - (l + 1) * (l + 1)));
    return (box){(int)l, (float)a, (float)(1 / (2 * (l + a) + 1))};
}

/* One pass. Floats that are `step` apart are neighbours: `step` is 3 along a row, and the width of
 * a strip down a column. Each sum is computed by itself: a running sum would drift, and the boxes
 * are small. */

/* `from` has whole + 1 neighbours before and after its `count` floats. */
static inline void blur_floats(box b, const float *from, ptrdiff_t step, size_t count, float *to) {
    const float *before = from - (b.whole + 1) * step, *behind = from + (b.whole + 1) * step;
    for (size_t i = 0; i < count; i++)
        to[i] = (before[i] + behind[i]) * b.share;
    for (int k = -b.whole; k <= b.whole; k++) {
        const float *near = from + k * step;
        for (size_t i = 0; i < count; i++)
            to[i] += near[i];
    }
    for (size_t i = 0; i < count; i++)
        to[i] *= b.inverse;
}

/* Repeats the outermost pixels of `count` floats, `step` each, into `margin` places on both sides.
 */
static inline void replicate(float *floats, size_t count, size_t step, size_t margin) {
    for (size_t k = 0; k < margin; k++) {
        memcpy(floats - (k + 1) * step, floats, step * sizeof *floats);
        memcpy(floats + count + k * step, floats + count - step, step * sizeof *floats);
    }
}

/* All passes over `count` floats at `floats`, to and fro between there and `other`; both have room
 * for the margins. The result is at `other`. */
static inline void blur_passes(box b, float *floats, size_t count, size_t step, float *other) {
    float *from = floats, *to = other;
    for (int pass = 0; pass < PASSES; pass++) {
        replicate(from, count, step, (size_t)b.whole + 1);
        blur_floats(b, from, (ptrdiff_t)step, count, to);
        float *kept = from;
        from = to;
        to = kept;
    }
}

enum { STRIP = 48 }; /* floats: columns that are blurred together */

NNCLR_WIDE
static void blur_rows(box b, float *rgb, size_t width, size_t height, float *line, float *other) {
    for (size_t y = 0; y < height; y++, rgb += 3 * width) {
        memcpy(line, rgb, 3 * width * sizeof *rgb);
        blur_passes(b, line, 3 * width, 3, other);
        memcpy(rgb, other, 3 * width * sizeof *rgb);
    }
}

NNCLR_WIDE
static void blur_columns(box b, float *rgb, size_t width, size_t height, float *strip,
                         float *other) {
    for (size_t x = 0; x < 3 * width; x += STRIP) {
        size_t n = 3 * width - x < STRIP ? 3 * width - x : STRIP;
        for (size_t y = 0; y < height; y++)
            memcpy(strip + y * n, rgb + y * 3 * width + x, n * sizeof *rgb);
        blur_passes(b, strip, height * n, n, other);
        for (size_t y = 0; y < height; y++)
            memcpy(rgb + y * 3 * width + x, other + y * n, n * sizeof *rgb);
    }
}

bool nnclr_blur(float *rgb, int width, int height, double sigma, nnclr_buffer *scratch,
                nnclr_error *e) {
    box b = box_of(sigma);
    size_t w = (size_t)width, h = (size_t)height, margin = (size_t)b.whole + 1;
    size_t row = 3 * (w + 2 * margin), column = STRIP * (h + 2 * margin);
    size_t floats = nnclr_max(row, column);
    scratch->size = 0;
    if (!nnclr_buffer_reserve(scratch, 2 * floats * sizeof(float), e))
        return false;
    float *one = (void *)scratch->data, *two = one + floats;
    blur_rows(b, rgb, w, h, one + 3 * margin, two + 3 * margin);
    blur_columns(b, rgb, w, h, one + STRIP * margin, two + STRIP * margin);
    return true;
}

/* ---- as BYOL's authors published it ----
 *
 * A true Gaussian, cut off at a radius, as a dense sum along each axis. */

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
        size_t n = nnclr_min(count - at, BLOCK);
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
