#include "image/resize.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/wide.h"

const char *const nnclr_filter_names[] = {
    [NNCLR_BILINEAR] = "bilinear", [NNCLR_BICUBIC] = "bicubic", NULL};

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

/* ---- across ----
 *
 * ROWS rows go together: a block holds the same pixel of each, so that one multiplication by a
 * weight serves them all. Every sum runs over its taps in their order, whatever the width of the
 * machine's vectors: all of them give the same bits. */

enum { ROWS = 4, CHANNELS = 4, LANES = ROWS * CHANNELS }; /* the fourth channel is idle */

typedef float block __attribute__((vector_size(LANES * sizeof(float)), may_alias));

/* `line` has room for one float more than the columns hold: the idle channel is what follows. */
static inline void load_columns(const uint8_t *const rows[ROWS], int columns, float *line,
                                block *source) {
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < 3 * columns; i++)
            line[i] = rows[r][i];
        float *to = (float *)source + CHANNELS * r;
        for (int x = 0; x < columns; x++)
            memcpy(to + (size_t)x * LANES, line + 3 * x, CHANNELS * sizeof(float));
    }
}

/* The rows begin at column a->low. Makes `width` pixels of three floats of each, in 0..255,
 * `stride` floats from row to row, each with room for one float more. */
NNCLR_WIDE
static void resample_rows(const axis *a, const uint8_t *const rows[ROWS], int width, bool flip,
                          float *line, block *source, float *out, size_t stride) {
    load_columns(rows, a->high - a->low, line, source);
    for (int x = 0; x < width; x++, out += 3) {
        int i = flip ? width - 1 - x : x;
        const float *weights = a->weights + (size_t)i * (size_t)a->taps;
        const block *from = source + (a->first[i] - a->low);
        block sum = {0};
        for (int k = 0; k < a->count[i]; k++)
            sum += from[k] * weights[k];
        float sums[LANES];
        memcpy(sums, &sum, sizeof sums);
        for (size_t r = 0; r < ROWS; r++) /* the idle channel is written over by the next pixel */
            memcpy(out + r * stride, sums + CHANNELS * r, CHANNELS * sizeof(float));
    }
}

/* ---- down ---- */

enum { BLOCKS = 4, FLOATS = BLOCKS * LANES }; /* what is summed at a time */

/* 0..255 -> 0..1; the cubic overshoots. */
static inline float to_unit(float v) {
    v *= 1.0f / 255;
    v = v > 0 ? v : 0; /* one comparison a line becomes one instruction without a branch */
    return v < 1 ? v : 1;
}

/* Output row i, `floats` of them, from the rows that the first pass left, which begin at source row
 * a->low. `stride` is a multiple of FLOATS. */
NNCLR_WIDE
static void mix_rows(const axis *a, int i, const float *rows, size_t stride, size_t floats,
                     float *out) {
    const float *weights = a->weights + (size_t)i * (size_t)a->taps;
    const float *first = rows + (size_t)(a->first[i] - a->low) * stride;
    for (size_t x = 0; x < floats; x += FLOATS) {
        const float *from = first + x;
        block sum[BLOCKS] = {{0}};
        for (int k = 0; k < a->count[i]; k++, from += stride)
            for (int b = 0; b < BLOCKS; b++)
                sum[b] += *(const block *)(from + b * LANES) * weights[k];
        float unit[FLOATS];
        memcpy(unit, sum, sizeof unit);
        for (int j = 0; j < FLOATS; j++)
            unit[j] = to_unit(unit[j]);
        size_t left = floats - x;
        memcpy(out + x, unit, (left < FLOATS ? left : FLOATS) * sizeof(float));
    }
}

/* ---- both ---- */

/* Takes `count` elements of 4 bytes from the scratch. */
static void *carve(unsigned char **next, size_t count) {
    void *memory = *next;
    *next += count * 4;
    return memory;
}

/* Pixels that exist: columns [left, right), rows [top, bottom). */
typedef struct window {
    int left, top, right, bottom;
} window;

static bool check_box(const nnclr_patch *patch, nnclr_box box, int width, int height,
                      nnclr_error *e) {
    double right = patch->left + patch->image.width, bottom = patch->top + patch->image.height;
    if (width < 1 || height < 1 || !(box.width > 0) || !(box.height > 0) ||
        !(box.left >= patch->left) || !(box.top >= patch->top) ||
        box.left + box.width > right + 1e-6 || box.top + box.height > bottom + 1e-6)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "a box of %g x %g at (%g, %g) does not lie in %d x %d", box.width,
                          box.height, box.left, box.top, patch->image.width, patch->image.height);
    return true;
}

/* Box and window in pixels of the patch's picture, of which the patch has those of the window. */
static bool resample(const nnclr_patch *patch, nnclr_box box, window there, nnclr_filter filter,
                     bool flip, int width, int height, float *out, nnclr_buffer *scratch,
                     nnclr_error *e) {
    axis across = {.taps = most_taps(filter, box.width, width)};
    axis down = {.taps = most_taps(filter, box.height, height)};
    size_t columns = (size_t)(there.right - there.left), lines = (size_t)(there.bottom - there.top);
    size_t floats = 3 * (size_t)width, stride = (floats + FLOATS) / FLOATS * FLOATS;
    size_t words =
        (size_t)width * (size_t)(across.taps + 2) + (size_t)height * (size_t)(down.taps + 2);
    scratch->size = 0;
    if (!nnclr_buffer_reserve(scratch,
                              (columns + 1) * sizeof(block) +
                                  ((lines + ROWS - 1) * stride + 3 * columns + 1 + words) *
                                      sizeof(float),
                              e))
        return false;
    uintptr_t start = (uintptr_t)scratch->data;
    block *source = (block *)((start + sizeof(block) - 1) / sizeof(block) * sizeof(block));
    float *rows = (float *)(source + columns);
    float *line = rows + (lines + ROWS - 1) * stride;
    line[3 * columns] = 0;
    unsigned char *next = (unsigned char *)(line + 3 * columns + 1);
    across.first = carve(&next, (size_t)width);
    across.count = carve(&next, (size_t)width);
    across.weights = carve(&next, (size_t)width * (size_t)across.taps);
    down.first = carve(&next, (size_t)height);
    down.count = carve(&next, (size_t)height);
    down.weights = carve(&next, (size_t)height * (size_t)down.taps);
    weigh_axis(&across, filter, box.left, box.width, there.left, there.right, width);
    weigh_axis(&down, filter, box.top, box.height, there.top, there.bottom, height);

    /* Only the rows that the second pass reads. */
    const uint8_t *pixels = patch->image.pixels + 3 * (size_t)(across.low - patch->left);
    for (int y = down.low; y < down.high; y += ROWS) {
        const uint8_t *from[ROWS];
        for (int r = 0; r < ROWS; r++) {
            int row = y + r < down.high ? y + r : down.high - 1;
            from[r] = pixels + 3 * (size_t)(row - patch->top) * (size_t)patch->image.width;
        }
        resample_rows(&across, from, width, flip, line, source,
                      rows + (size_t)(y - down.low) * stride, stride);
    }
    for (int i = 0; i < height; i++)
        mix_rows(&down, i, rows, stride, floats, out + (size_t)i * floats);
    return true;
}

bool nnclr_resize(const nnclr_image *image, nnclr_box box, nnclr_filter filter, bool flip,
                  int width, int height, float *out, nnclr_buffer *scratch, nnclr_error *e) {
    nnclr_patch whole = nnclr_whole_patch(image);
    window there = {0, 0, image->width, image->height};
    return check_box(&whole, box, width, height, e) &&
           resample(&whole, box, there, filter, flip, width, height, out, scratch, e);
}

bool nnclr_crop_resize(const nnclr_patch *patch, nnclr_box box, nnclr_filter filter, bool flip,
                       int width, int height, float *out, nnclr_buffer *scratch, nnclr_error *e) {
    box.left = (box.left + patch->before_x) / patch->shrink;
    box.top = (box.top + patch->before_y) / patch->shrink;
    box.width /= patch->shrink;
    box.height /= patch->shrink;
    if (!check_box(patch, box, width, height, e))
        return false;
    double right = fmin(ceil(box.left + box.width), patch->left + patch->image.width);
    double bottom = fmin(ceil(box.top + box.height), patch->top + patch->image.height);
    window crop = {(int)box.left, (int)box.top, (int)right, (int)bottom};
    return resample(patch, box, crop, filter, flip, width, height, out, scratch, e);
}

/* ---- a whole picture ---- */

static int scaled(int side, double scale) {
    int rounded = (int)lrint(side * scale);
    return rounded < 1 ? 1 : rounded;
}

bool nnclr_shrink(const nnclr_image *from, int longest, nnclr_image *to, nnclr_error *e) {
    const double scale =
        (double)longest / (from->width > from->height ? from->width : from->height);
    const int width = scaled(from->width, scale), height = scaled(from->height, scale);
    const nnclr_box whole = {.width = from->width, .height = from->height};
    nnclr_buffer scratch = {0};
    float *values = nnclr_alloc((size_t)width * (size_t)height, 3 * sizeof *values, e);
    bool ok = values &&
              nnclr_resize(from, whole, NNCLR_BICUBIC, false, width, height, values, &scratch, e) &&
              nnclr_image_create(to, width, height, e);
    for (size_t i = 0; ok && i < 3 * (size_t)width * (size_t)height; i++)
        to->pixels[i] = (uint8_t)lrintf(values[i] * 255);
    nnclr_buffer_free(&scratch);
    nnclr_free(values);
    return ok;
}
