/* Sums rounded into tiles, and the zeros that fill tiles up. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_STORE_H
#define NNCLR_ENGINE_TILES_KERNELS_STORE_H

#include "engine/tiles/kernels/lanes.h"

INLINE void fill_up(void *tile, int stride, int rows) {
    for (int at = rows * stride; at < PICTURES * stride; at += LANES)
        narrow_past(tile, at, (lanes){0});
}

/* Clears the vectors of columns none of which is within `channels`. */
INLINE void clear_lanes(void *tile, int stride, int rows, int channels) {
    for (int first = (channels + LANES - 1) / LANES * LANES; first < stride; first += LANES)
        for (int at = first; at < rows * stride; at += stride)
            narrow_past(tile, at, (lanes){0});
}

/* In the vector of columns from `first` on. */
INLINE void store_lanes(const float *sums, int stride, int rows, int first, bool add, void *y) {
    for (int at = first; at < rows * stride; at += stride) {
        lanes v = get(sums + at);
        if (add)
            narrow(y, at, v + widen(y, at));
        else
            narrow_past(y, at, v);
    }
}

#if TILES_FLOATS

/* In double, for a variance that is small beside the mean. What went past the caches is read where
 * it came from. */
INLINE void add_statistics(const float *sums, const float *y, int stride, int rows, int first,
                           bool add, double *total, double *squares) {
    const float *from = add ? y : sums;
    for (int half = first; half < first + LANES; half += LANES / 2) {
        doubles sum = get_doubles(total + half), square = get_doubles(squares + half);
        for (int at = half; at < rows * stride; at += stride) {
            doubles v = widen_half(from + at);
            sum += v;
            square += v * v;
        }
        keep_doubles(total + half, sum);
        keep_doubles(squares + half, square);
    }
}

#else

INLINE void add_statistics(const float *sums, const void *y, int stride, int rows, int first,
                           bool add, double *total, double *squares) {
    (void)sums, (void)add;
    lanes sum = {0}, square = {0};
    for (int at = first; at < rows * stride; at += stride) {
        lanes v = widen(y, at);
        sum += v;
        square += v * v;
    }
    for (int i = 0; i < LANES; i++) {
        total[first + i] += (double)sum[i];
        squares[first + i] += (double)square[i];
    }
}

#endif

static void store_tile(const float *sums, int stride, int rows, int columns, bool add, void *y,
                       double *total, double *squares) {
    for (int first = 0; first < columns; first += LANES) {
        store_lanes(sums, stride, rows, first, add, y);
        if (total)
            add_statistics(sums, y, stride, rows, first, add, total, squares);
    }
    clear_lanes(y, stride, rows, columns);
    fill_up(y, stride, rows);
}

#endif
