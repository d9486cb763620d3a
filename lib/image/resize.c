#include "image/resize.h"

#include <math.h>

#include "image/pixel.h"

/* One axis: output pixel i is the sum of weights[i * taps + k] * source[first[i] + k], k < count[i]
 * (Pillow, Resample.c: precompute_coeffs). */
typedef struct axis {
    int *first, *count; /* [size] */
    float *weights;     /* [size][taps] */
    int taps;
    int low, high; /* source pixels [low, high) are read */
} axis;

static double bilinear(double x) {
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

/* Keys' cubic with a = -0.5, as Pillow's. */
static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static const struct {
    double (*kernel)(double x);
    double support;
} filters[] = {[NNCLR_BILINEAR] = {bilinear, 1}, [NNCLR_BICUBIC] = {bicubic, 2}};

/* The filter widens with the reduction: that is the antialiasing. */
static double filter_scale(double extent, int size) {
    double scale = extent / size;
    return scale < 1 ? 1 : scale;
}

static int most_taps(nnclr_filter filter, double extent, int size) {
    return (int)ceil(filters[filter].support * filter_scale(extent, size)) * 2 + 1;
}

/* Source pixels outside [begin, end) do not exist. */
static void weigh_axis(axis *a, nnclr_filter filter, double origin, double extent, int begin,
                       int end, int size) {
    double widen = filter_scale(extent, size), support = filters[filter].support * widen;
    a->low = end;
    a->high = begin;
    for (int i = 0; i < size; i++) {
        double center = origin + (i + 0.5) * extent / size, total = 0;
        int low = (int)(center - support + 0.5), high = (int)(center + support + 0.5);
        if (low < begin)
            low = begin;
        if (high > end)
            high = end;
        float *weights = a->weights + (size_t)i * (size_t)a->taps;
        int count = high - low;
        for (int k = 0; k < count; k++) {
            double w = filters[filter].kernel((k + low - center + 0.5) / widen);
            weights[k] = (float)w;
            total += w;
        }
        for (int k = 0; k < count; k++)
            weights[k] = (float)(weights[k] / total);
        a->first[i] = low;
        a->count[i] = count;
        if (low < a->low)
            a->low = low;
        if (high > a->high)
            a->high = high;
    }
}

/* Pixels [low, high) of a row of the picture, and of them `width` pixels in 0..255. */
static void resample_row(const axis *a, const uint8_t *row, int width, nnclr_pixel *source,
                         nnclr_pixel *out) {
    for (int x = a->low; x < a->high; x++) {
        const uint8_t *p = row + 3 * (size_t)x;
        source[x - a->low] = (nnclr_pixel){(float)p[0], (float)p[1], (float)p[2], 0};
    }
    const float *weights = a->weights;
    for (int i = 0; i < width; i++, weights += a->taps) {
        const nnclr_pixel *from = source + (a->first[i] - a->low);
        nnclr_pixel sum = {0};
        for (int k = 0; k < a->count[i]; k++)
            sum += from[k] * weights[k];
        out[i] = sum;
    }
}

/* 0..255 -> 0..1; the cubic overshoots. */
static float to_unit(float v) {
    v *= 1.0f / 255;
    v = v > 0 ? v : 0; /* one comparison a line becomes one instruction without a branch */
    return v < 1 ? v : 1;
}

/* Output row i from the rows that pass one left, which begin at source row a->low; `step` floats
 * from pixel to pixel. */
static void mix_rows(const axis *a, int i, const nnclr_pixel *rows, int width, float *out,
                     int step) {
    const float *weights = a->weights + (size_t)i * (size_t)a->taps;
    const nnclr_pixel *first = rows + (size_t)(a->first[i] - a->low) * (size_t)width;
    for (int x = 0; x < width; x++, out += step) {
        const nnclr_pixel *from = first + x;
        nnclr_pixel sum = {0};
        for (int k = 0; k < a->count[i]; k++, from += width)
            sum += *from * weights[k];
        for (int c = 0; c < 3; c++)
            out[c] = to_unit(sum[c]);
    }
}

/* Takes `count` elements of 4 bytes from the scratch. */
static void *carve(unsigned char **next, size_t count) {
    void *block = *next;
    *next += count * 4;
    return block;
}

/* Pixels that exist: columns [left, right), rows [top, bottom). */
typedef struct window {
    int left, top, right, bottom;
} window;

static bool check_box(const nnclr_image *image, nnclr_box box, int width, int height,
                      nnclr_error *e) {
    if (width < 1 || height < 1 || !(box.width > 0) || !(box.height > 0) || !(box.left >= 0) ||
        !(box.top >= 0) || box.left + box.width > image->width + 1e-6 ||
        box.top + box.height > image->height + 1e-6)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "a box of %g x %g at (%g, %g) does not lie in %d x %d", box.width,
                          box.height, box.left, box.top, image->width, image->height);
    return true;
}

static bool resample(const nnclr_image *image, nnclr_box box, window there, nnclr_filter filter,
                     bool flip, int width, int height, float *out, nnclr_buffer *scratch,
                     nnclr_error *e) {
    axis across = {.taps = most_taps(filter, box.width, width)};
    axis down = {.taps = most_taps(filter, box.height, height)};
    size_t columns = (size_t)(there.right - there.left), lines = (size_t)(there.bottom - there.top);
    size_t pixels = columns + (size_t)width * lines;
    size_t words =
        (size_t)width * (size_t)(across.taps + 2) + (size_t)height * (size_t)(down.taps + 2);
    scratch->size = 0;
    if (!nnclr_buffer_reserve(scratch, pixels * sizeof(nnclr_pixel) + words * 4, e))
        return false;
    nnclr_pixel *source = (void *)scratch->data, *rows = source + columns;
    unsigned char *next = scratch->data + pixels * sizeof(nnclr_pixel);
    across.first = carve(&next, (size_t)width);
    across.count = carve(&next, (size_t)width);
    across.weights = carve(&next, (size_t)width * (size_t)across.taps);
    down.first = carve(&next, (size_t)height);
    down.count = carve(&next, (size_t)height);
    down.weights = carve(&next, (size_t)height * (size_t)down.taps);
    weigh_axis(&across, filter, box.left, box.width, there.left, there.right, width);
    weigh_axis(&down, filter, box.top, box.height, there.top, there.bottom, height);

    /* Only the rows that the second pass reads. */
    for (int y = down.low; y < down.high; y++)
        resample_row(&across, image->pixels + 3 * (size_t)y * (size_t)image->width, width, source,
                     rows + (size_t)(y - down.low) * (size_t)width);
    for (int i = 0; i < height; i++) {
        float *row = out + 3 * (size_t)i * (size_t)width;
        mix_rows(&down, i, rows, width, flip ? row + 3 * (width - 1) : row, flip ? -3 : 3);
    }
    return true;
}

bool nnclr_resize(const nnclr_image *image, nnclr_box box, nnclr_filter filter, bool flip,
                  int width, int height, float *out, nnclr_buffer *scratch, nnclr_error *e) {
    window whole = {0, 0, image->width, image->height};
    return check_box(image, box, width, height, e) &&
           resample(image, box, whole, filter, flip, width, height, out, scratch, e);
}

bool nnclr_crop_resize(const nnclr_image *image, nnclr_box box, nnclr_filter filter, bool flip,
                       int width, int height, float *out, nnclr_buffer *scratch, nnclr_error *e) {
    if (!check_box(image, box, width, height, e))
        return false;
    double right = fmin(ceil(box.left + box.width), image->width);
    double bottom = fmin(ceil(box.top + box.height), image->height);
    window crop = {(int)box.left, (int)box.top, (int)right, (int)bottom};
    return resample(image, box, crop, filter, flip, width, height, out, scratch, e);
}
