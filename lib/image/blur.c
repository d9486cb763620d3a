/* Gaussian blur as Pillow's: three passes of an extended box filter (Gwosdek et al., "Theoretical
 * foundations of Gaussian convolution by extended box filtering", SSVM 2011), edges replicated. */
#include <math.h>
#include <string.h>

#include "base/wide.h"
#include "image/augment.h"

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

/* ---- one pass ----
 *
 * Floats that are `step` apart are neighbours: `step` is 3 along a row, and the width of a strip
 * down a column. Each sum is computed by itself: a running sum would drift, and the boxes are
 * small. */

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

/* ---- a picture ---- */

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
    size_t floats = row > column ? row : column;
    scratch->size = 0;
    if (!nnclr_buffer_reserve(scratch, 2 * floats * sizeof(float), e))
        return false;
    float *one = (void *)scratch->data, *two = one + floats;
    blur_rows(b, rgb, w, h, one + 3 * margin, two + 3 * margin);
    blur_columns(b, rgb, w, h, one + STRIP * margin, two + STRIP * margin);
    return true;
}
