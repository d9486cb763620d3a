/* Kernels of the direct convolution, compiled once for AVX2 with FMA and once for AVX-512
 * (NNCLR_SIMD_LANES floats in a vector). direct.h has the picture. */
#include "engine/cpu/simd/direct.h"

#include <string.h>

#include "engine/cpu/simd/vectors.h"

#if NNCLR_SIMD_LANES == 16
#define KERNELS nnclr_direct_avx512
#else
#define KERNELS nnclr_direct_avx2
#endif

enum {
    LANES = NNCLR_SIMD_LANES,
    MOST_PIXELS = 16,
    MOST_VECTORS = 4,
    GROUP_BYTES = 20 << 10 /* of weights that stay in L1 beside the source */
};

/* ---- scratch ---- */

/* The channels of one pixel to its chunks, `plane` reals apart. */
INLINE void fill_pixel(const float *from, int channels, int plane, float *to) {
    int i = 0;
    for (; i + DIRECT_CHUNK <= channels; i += DIRECT_CHUNK, to += plane)
        _mm256_storeu_ps(to, _mm256_loadu_ps(from + i));
    if (i == channels)
        return;
    for (int k = 0; k < DIRECT_CHUNK; k++)
        to[k] = i + k < channels ? from[i + k] : 0;
}

static void zero_pixel(int chunks, int plane, float *to) {
    for (int i = 0; i < chunks; i++)
        memset(to + (size_t)i * (size_t)plane, 0, DIRECT_CHUNK * sizeof *to);
}

/* A source row; NULL: outside of the picture. */
static void fill_line(const direct *d, const float *row, float *line) {
    const taps *t = &d->taps;
    if (!row) {
        memset(line, 0, (size_t)d->line * sizeof *line);
        return;
    }
    int columns = (t->grid_w - 1) * t->step + t->tap_w;
    for (int at = 0, residue = 0, column = 0; at < columns; at++) {
        float *to = line + (size_t)(residue * d->columns + column) * DIRECT_CHUNK;
        int x = t->left + at;
        if (residue >= t->tap_w)
            ; /* a large step passes it over */
        else if (x < 0 || x >= t->source_w)
            zero_pixel(d->chunks, d->plane, to);
        else
            fill_pixel(row + (size_t)x * (size_t)t->source_c + t->channel, t->channels, d->plane,
                       to);
        if (++residue == t->step) {
            residue = 0;
            column++;
        }
    }
}

static void fill(const direct *d, const float *source, const direct_band *band, float *scratch) {
    const taps *t = &d->taps;
    size_t row_reals = (size_t)t->source_w * (size_t)t->source_c;
    for (int r = 0; r < band->rows;) {
        size_t picture = (band->first + (size_t)r) / (size_t)t->grid_h;
        int y = (int)((band->first + (size_t)r) % (size_t)t->grid_h);
        int rows = t->grid_h - y < band->rows - r ? t->grid_h - y : band->rows - r;
        const float *pixels = source + picture * (size_t)t->source_h * row_reals;
        for (int i = 0; i < (rows - 1) * t->step + t->tap_h; i++) {
            int from = y * t->step + t->top + i;
            bool inside = from >= 0 && from < t->source_h;
            if (i % t->step < t->tap_h)
                fill_line(d, inside ? pixels + (size_t)from * row_reals : NULL,
                          scratch + band->base[r] + (size_t)i * (size_t)d->line);
        }
        r += rows;
    }
}

/* ---- forward and backward-data ---- */

typedef struct row_call {
    const float *x;    /* scratch at the row's first pixel */
    const int *offset; /* of the group's pairs */
    const float *w;    /* of the group */
    float *to;
    size_t pitch; /* reals from one pixel of the result to the next */
    int pixels, pairs;
    int last; /* outputs of the block's last vector */
    bool add;
} row_call;

INLINE void tile(const row_call *c, int at, int pixels, int vectors) {
    vector sum[MOST_PIXELS][MOST_VECTORS];
    float *to = c->to + (size_t)at * c->pitch;
    bool whole = c->last == LANES;
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const float *from = to + (size_t)p * c->pitch + v * LANES;
            sum[p][v] = !c->add                    ? zero_vector()
                        : whole || v < vectors - 1 ? load(from)
                                                   : load_some(from, c->last);
        }
    const float *w = c->w;
    for (int pair = 0; pair < c->pairs; pair++) {
        const float *x = c->x + c->offset[pair] + at * DIRECT_CHUNK;
#pragma GCC unroll 2
        for (int k = 0; k < DIRECT_CHUNK; k++, w += vectors * LANES) {
            vector weight[MOST_VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                weight[v] = load(w + v * LANES);
#pragma GCC unroll 16
            for (int p = 0; p < pixels; p++) {
                vector value = spread(x + p * DIRECT_CHUNK + k);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++)
                    sum[p][v] = multiply_add(value, weight[v], sum[p][v]);
            }
        }
    }
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            float *out = to + (size_t)p * c->pitch + v * LANES;
            if (whole || v < vectors - 1)
                store(out, sum[p][v]);
            else
                store_some(out, sum[p][v], c->last);
        }
}

/* Rows of a multiple of 7 pixels are those of 224 x 224 pictures, the others' are powers of 2. */
#if NNCLR_SIMD_LANES == 16
static void row_of_four(const row_call *c) {
    for (int at = 0, left; (left = c->pixels - at) > 0;) {
        if (left % 7 == 0)
            tile(c, at, 7, 4), at += 7;
        else if (left >= 4)
            tile(c, at, 4, 4), at += 4;
        else if (left >= 2)
            tile(c, at, 2, 4), at += 2;
        else
            tile(c, at, 1, 4), at += 1;
    }
}

static void row_of_two(const row_call *c) {
    for (int at = 0, left; (left = c->pixels - at) > 0;) {
        if (left % 14 == 0)
            tile(c, at, 14, 2), at += 14;
        else if (left % 7 == 0)
            tile(c, at, 7, 2), at += 7;
        else if (left >= 8)
            tile(c, at, 8, 2), at += 8;
        else if (left >= 4)
            tile(c, at, 4, 2), at += 4;
        else if (left >= 2)
            tile(c, at, 2, 2), at += 2;
        else
            tile(c, at, 1, 2), at += 1;
    }
}

static void row_of_one(const row_call *c) {
    for (int at = 0, left; (left = c->pixels - at) > 0;) {
        if (left % 14 == 0)
            tile(c, at, 14, 1), at += 14;
        else if (left >= 16)
            tile(c, at, 16, 1), at += 16;
        else if (left >= 8)
            tile(c, at, 8, 1), at += 8;
        else if (left >= 4)
            tile(c, at, 4, 1), at += 4;
        else if (left >= 2)
            tile(c, at, 2, 1), at += 2;
        else
            tile(c, at, 1, 1), at += 1;
    }
}

static void (*const rows_of[])(const row_call *) = {NULL, row_of_one, row_of_two, NULL,
                                                    row_of_four};
#else
static void row_of_two(const row_call *c) {
    for (int at = 0, left; (left = c->pixels - at) > 0;) {
        if (left % 6 == 0 || left > 8)
            tile(c, at, 6, 2), at += 6;
        else if (left >= 4)
            tile(c, at, 4, 2), at += 4;
        else if (left >= 2)
            tile(c, at, 2, 2), at += 2;
        else
            tile(c, at, 1, 2), at += 1;
    }
}

static void row_of_one(const row_call *c) {
    for (int at = 0, left; (left = c->pixels - at) > 0;) {
        if (left % 7 == 0)
            tile(c, at, 7, 1), at += 7;
        else if (left >= 8)
            tile(c, at, 8, 1), at += 8;
        else if (left >= 4)
            tile(c, at, 4, 1), at += 4;
        else if (left >= 2)
            tile(c, at, 2, 1), at += 2;
        else
            tile(c, at, 1, 1), at += 1;
    }
}

static void (*const rows_of[])(const row_call *) = {NULL, row_of_one, row_of_two};
#endif

static float *target_row(const direct *d, const direct_target *target, size_t row) {
    size_t grid_h = (size_t)d->taps.grid_h;
    size_t y = row % grid_h * (size_t)target->stride + (size_t)target->y;
    size_t pixel = (row / grid_h * (size_t)target->h + y) * (size_t)target->w + (size_t)target->x;
    return target->place + pixel * (size_t)d->outputs;
}

static void multiply(const direct *d, const direct_band *band, const float *scratch,
                     const float *weights, const direct_target *target, bool add) {
    row_call c = {.pixels = d->taps.grid_w, .pitch = (size_t)target->stride * (size_t)d->outputs};
    for (int output = 0, width; output < d->outputs; output += width) {
        width = direct_width(&KERNELS, d->outputs - output);
        int vectors = width / LANES, left = d->outputs - output;
        c.last = left < width ? left - (vectors - 1) * LANES : LANES;
        size_t pair_reals = (size_t)width * DIRECT_CHUNK;
        int group = (int)(GROUP_BYTES / (pair_reals * sizeof(float)));
        for (int pair = 0; pair < d->pairs; pair += c.pairs) {
            c.pairs = d->pairs - pair < group ? d->pairs - pair : group;
            c.offset = d->offset + pair;
            c.w = weights + (size_t)pair * pair_reals;
            c.add = add || pair > 0;
            for (int r = 0; r < band->rows; r++) {
                c.x = scratch + band->base[r];
                c.to = target_row(d, target, band->first + (size_t)r) + output;
                rows_of[vectors](&c);
            }
        }
        weights += (size_t)d->pairs * pair_reals;
    }
}

/* ---- backward-weights ---- */

/* The sums [CHUNK][width] of one pair under `vectors` vectors of outputs, the last of them with
 * `last` outputs, over the band's pixels. */
INLINE void correlate_tile(const direct *d, const direct_band *band, const float *scratch,
                           const float *dy, int vectors, int last, float *sums, int width,
                           bool add) {
    vector sum[DIRECT_CHUNK][2];
    bool whole = last == LANES;
#pragma GCC unroll 8
    for (int k = 0; k < DIRECT_CHUNK; k++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[k][v] = add ? load(sums + k * width + v * LANES) : zero_vector();
    for (int r = 0; r < band->rows; r++) {
        const float *x = scratch + band->base[r];
        for (int p = 0; p < d->taps.grid_w; p++, x += DIRECT_CHUNK, dy += d->outputs) {
            vector gradient[2];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                gradient[v] = whole || v < vectors - 1 ? load(dy + v * LANES)
                                                       : load_some(dy + v * LANES, last);
#pragma GCC unroll 8
            for (int k = 0; k < DIRECT_CHUNK; k++) {
                vector value = spread(x + k);
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++)
                    sum[k][v] = multiply_add(value, gradient[v], sum[k][v]);
            }
        }
    }
#pragma GCC unroll 8
    for (int k = 0; k < DIRECT_CHUNK; k++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            store(sums + k * width + v * LANES, sum[k][v]);
}

/* `first`: outputs of the block before the tile's; as many vectors as registers hold. */
static void correlate_block(const direct *d, const direct_band *band, const float *scratch,
                            const float *dy, int outputs, float *sums, int width, bool add) {
    enum { MOST = NNCLR_SIMD_LANES == 16 ? 2 : 1 };
    for (int first = 0; first < width; first += MOST * LANES) {
        int left = outputs - first, vectors = left > LANES ? MOST : 1;
        int last = left - (vectors - 1) * LANES;
        if (last > LANES)
            last = LANES;
        if (left <= 0)
            break;
        if (MOST == 2 && vectors == 2)
            correlate_tile(d, band, scratch, dy + first, 2, last, sums + first, width, add);
        else
            correlate_tile(d, band, scratch, dy + first, 1, last, sums + first, width, add);
    }
}

static void correlate(const direct *d, const direct_band *band, const float *scratch,
                      const float *dy, float *sums, bool add) {
    const float *gradient = dy + band->first * (size_t)d->taps.grid_w * (size_t)d->outputs;
    for (int output = 0, width; output < d->outputs; output += width) {
        width = direct_width(&KERNELS, d->outputs - output);
        int left = d->outputs - output;
        for (int pair = 0; pair < d->pairs; pair++, sums += width * DIRECT_CHUNK)
            correlate_block(d, band, scratch + d->offset[pair], gradient + output,
                            left < width ? left : width, sums, width, add);
    }
}

const direct_kernels KERNELS = {
#if NNCLR_SIMD_LANES == 16
    .name = "avx512",
    .widths = {64, 32, 16},
#else
    .name = "avx2",
    .widths = {16, 8, 0},
#endif
    .fill = fill,
    .multiply = multiply,
    .correlate = correlate,
};
