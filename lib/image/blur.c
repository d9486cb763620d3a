/* Gaussian blur as Pillow's: three passes of an extended box filter (Gwosdek et al., "Theoretical
 * foundations of Gaussian convolution by extended box filtering", SSVM 2011), edges replicated. */
#include <math.h>
#include <string.h>

#include "image/augment.h"
#include "image/pixel.h"

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

/* One pass from pixels that have whole + 1 neighbours before and behind them. Each sum stands by
 * itself: a running sum would drift, and the boxes are small. */
static void blur_line(box b, const nnclr_pixel *from, int count, nnclr_pixel *to) {
    for (int i = 0; i < count; i++) {
        const nnclr_pixel *p = from + i;
        nnclr_pixel sum = (p[-b.whole - 1] + p[b.whole + 1]) * b.share;
        for (int k = -b.whole; k <= b.whole; k++)
            sum += p[k];
        to[i] = sum * b.inverse;
    }
}

/* All passes of one line, in place; `copy` has room for count + 2 * (whole + 1) pixels. */
static void blur_passes(box b, nnclr_pixel *line, int count, nnclr_pixel *copy) {
    int margin = b.whole + 1;
    for (int pass = 0; pass < PASSES; pass++) {
        memcpy(copy + margin, line, (size_t)count * sizeof *line);
        for (int k = 0; k < margin; k++) {
            copy[k] = line[0];
            copy[margin + count + k] = line[count - 1];
        }
        blur_line(b, copy + margin, count, line);
    }
}

bool nnclr_blur(float *rgb, int width, int height, double sigma, nnclr_buffer *scratch,
                nnclr_error *e) {
    box b = box_of(sigma);
    size_t w = (size_t)width, h = (size_t)height, longest = w > h ? w : h;
    size_t pixels = w * h + 2 * longest + 2 * ((size_t)b.whole + 1);
    scratch->size = 0;
    if (!nnclr_buffer_reserve(scratch, pixels * sizeof(nnclr_pixel), e))
        return false;
    nnclr_pixel *columns = (void *)scratch->data; /* [width][height]: the rows, blurred */
    nnclr_pixel *line = columns + w * h, *copy = line + longest;
    for (size_t y = 0; y < h; y++) {
        for (size_t x = 0; x < w; x++)
            line[x] = nnclr_pixel_load(rgb + 3 * (y * w + x));
        blur_passes(b, line, width, copy);
        for (size_t x = 0; x < w; x++)
            columns[x * h + y] = line[x];
    }
    for (size_t x = 0; x < w; x++) {
        blur_passes(b, columns + x * h, height, copy);
        for (size_t y = 0; y < h; y++)
            nnclr_pixel_store(rgb + 3 * (y * w + x), columns[x * h + y]);
    }
    return true;
}
