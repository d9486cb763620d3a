/* Cells turned for the products of backward-weights, and sums rounded into cells. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_REARRANGE_H
#define NNCLR_ENGINE_TILES_KERNELS_REARRANGE_H

#include "engine/tiles/kernels/lanes.h"

INLINE void fill_up(element *cell, int rows) {
    memset(cell + rows * BLOCK, 0, (size_t)(PICTURES - rows) * BLOCK * sizeof *cell);
}

/* Clears the vectors of columns none of which is within `channels`. */
INLINE void clear_lanes(element *cell, int rows, int channels) {
    for (int first = (channels + LANES - 1) / LANES * LANES; first < BLOCK; first += LANES)
        for (int at = first; at < rows * BLOCK; at += BLOCK)
            narrow_past(cell + at, (lanes){0});
}

/* In a vector of columns. */
INLINE void store_lanes(const float *sums, int rows, bool add, element *y) {
    for (int at = 0; at < rows * BLOCK; at += BLOCK) {
        lanes v = get(sums + at);
        if (add)
            narrow(y + at, v + widen(y + at));
        else
            narrow_past(y + at, v);
    }
}

#if NNCLR_TILE_PARTS == 0

/* In double, for a variance that is small beside the mean. */
INLINE void add_statistics(const element *y, int rows, double *total, double *squares) {
    for (int half = 0; half < LANES; half += LANES / 2) {
        doubles sum = get_doubles(total + half), square = get_doubles(squares + half);
        for (int at = half; at < rows * BLOCK; at += BLOCK) {
            doubles v = widen_half(y + at);
            sum += v;
            square += v * v;
        }
        keep_doubles(total + half, sum);
        keep_doubles(squares + half, square);
    }
}

#else

INLINE void add_statistics(const element *y, int rows, double *total, double *squares) {
    lanes sum = {0}, square = {0};
    for (int at = 0; at < rows * BLOCK; at += BLOCK) {
        lanes v = widen(y + at);
        sum += v;
        square += v * v;
    }
    for (int i = 0; i < LANES; i++) {
        total[i] += (double)sum[i];
        squares[i] += (double)square[i];
    }
}

#endif

/* What is at y now; for floats that went past the caches, where it came from. */
INLINE const element *stored(const float *sums, bool add, const element *y) {
#if NNCLR_TILE_PARTS == 0
    return add ? y : sums;
#else
    (void)sums, (void)add;
    return y;
#endif
}

static void store_cell(const float *sums, int rows, int columns, bool add, element *y,
                       double *total, double *squares) {
    for (int first = 0; first < columns; first += LANES) {
        store_lanes(sums + first, rows, add, y + first);
        if (total)
            add_statistics(stored(sums + first, add, y + first), rows, total + first,
                           squares + first);
    }
    clear_lanes(y, rows, columns);
    fill_up(y, rows);
}

#if NNCLR_TILE_PARTS == 0

#include "engine/tiles/kernels/rearrange_floats.h"

#else

#ifdef __AVX512BW__

/* The members of two rows in turns: those of their lower, or of their upper halves. */
INLINE __m512i interleave(__m512i a, __m512i b, __m512i order) {
    return _mm512_permutex2var_epi16(a, order, b);
}

INLINE void interleave_orders(__m512i *lower, __m512i *upper) {
    uint16_t order[2][BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        order[0][i] = (uint16_t)(i / 2 + (i % 2) * BLOCK);
        order[1][i] = (uint16_t)(order[0][i] + LANES);
    }
    *lower = _mm512_loadu_si512(order[0]);
    *upper = _mm512_loadu_si512(order[1]);
}

/* Row i with row i + 16 in turns, five times: each rotates the bits of every member's address by
 * one, and half of ten makes rows of columns. */
static void transpose(const element *from, element *to) {
    __m512i lower, upper, row[BLOCK], next[BLOCK];
    interleave_orders(&lower, &upper);
    for (int i = 0; i < BLOCK; i++)
        row[i] = _mm512_loadu_si512(from + i * BLOCK);
    for (int turn = 0; turn < 5; turn++) {
        for (int i = 0; i < LANES; i++) {
            next[2 * i] = interleave(row[i], row[i + LANES], lower);
            next[2 * i + 1] = interleave(row[i], row[i + LANES], upper);
        }
        memcpy(row, next, sizeof row);
    }
    for (int i = 0; i < BLOCK; i++)
        _mm512_storeu_si512(to + i * BLOCK, row[i]);
}

static void pair(const element *from, element *to) {
    __m512i lower, upper;
    interleave_orders(&lower, &upper);
    for (int i = 0; i < PAIRS; i++, from += 2 * BLOCK, to += BLOCK) {
        __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + BLOCK);
        _mm512_storeu_si512(to, interleave(a, b, lower));
        _mm512_storeu_si512(to + TILE / 2, interleave(a, b, upper));
    }
}

static void slide(element *cell, const element *pixel, int channels, int end) {
    uint16_t order[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        order[i] = (uint16_t)(i < end - channels ? i + channels : BLOCK + i - (end - channels));
    const __m512i from = _mm512_loadu_si512(order);
    const __mmask32 kept = (__mmask32)(((uint64_t)1 << end) - 1);
    for (int at = 0; at < TILE; at += BLOCK) {
        __m512i next = pixel ? _mm512_loadu_si512(pixel + at) : _mm512_setzero_si512();
        __m512i row = _mm512_loadu_si512(cell + at);
        _mm512_storeu_si512(cell + at, _mm512_maskz_permutex2var_epi16(kept, row, from, next));
    }
}

#else

static void transpose(const element *from, element *to) {
    for (int i = 0; i < BLOCK; i++)
        for (int j = 0; j < BLOCK; j++)
            to[j * BLOCK + i] = from[i * BLOCK + j];
}

static void pair(const element *from, element *to) {
    for (int i = 0; i < BLOCK; i++)
        for (int j = 0; j < BLOCK; j++)
            to[j / 16 * (TILE / 2) + i / 2 * BLOCK + j % 16 * 2 + i % 2] = from[i * BLOCK + j];
}

static void slide(element *cell, const element *pixel, int channels, int end) {
    for (int at = 0; at < TILE; at += BLOCK)
        for (int i = 0; i < BLOCK; i++) {
            bool within = i < end, moves = i < end - channels;
            element next = pixel && within && !moves ? pixel[at + i - (end - channels)] : 0;
            cell[at + i] = moves ? cell[at + i + channels] : next;
        }
}

#endif

#endif

#endif
