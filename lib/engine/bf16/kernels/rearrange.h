/* Cells turned for the products of backward-weights, and sums rounded into cells. */
#ifndef NNCLR_ENGINE_BF16_KERNELS_REARRANGE_H
#define NNCLR_ENGINE_BF16_KERNELS_REARRANGE_H

#include "engine/bf16/kernels/lanes.h"

INLINE void fill_up(bf16 *cell, int rows) {
    for (int part = 0; part < CELL; part += TILE)
        memset(cell + part + rows * BLOCK, 0, (size_t)(BLOCK - rows) * BLOCK * sizeof *cell);
}

/* Of 16 columns. */
INLINE void store_half(const float *sums, int rows, bool add, bf16 *y, float *statistics) {
    lanes total = {0}, squares = {0};
    for (int at = 0; at < rows * BLOCK; at += BLOCK) {
        lanes v = load(sums + at);
        if (add)
            v += widen(y + at);
        narrow(y + at, v);
        v = widen(y + at);
        total += v;
        squares += v * v;
    }
    if (statistics) {
        keep(statistics, load(statistics) + total);
        keep(statistics + BLOCK, load(statistics + BLOCK) + squares);
    }
}

static void store(const float *sums, int rows, int columns, bool add, bf16 *y, float *statistics) {
    store_half(sums, rows, add, y, statistics);
    if (columns > LANES)
        store_half(sums + LANES, rows, add, y + LANES, statistics ? statistics + LANES : NULL);
    else
        for (int at = LANES; at < rows * BLOCK; at += BLOCK)
            narrow(y + at, (lanes){0});
    fill_up(y, rows);
}

#if TILES_KIND > 0

/* The members of two rows in turns: of their lower, or of their upper halves. */
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
static void transpose_part(const bf16 *from, bf16 *to) {
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

static void pair_part(const bf16 *from, bf16 *to) {
    __m512i lower, upper;
    interleave_orders(&lower, &upper);
    for (int i = 0; i < PAIRS; i++, from += 2 * BLOCK, to += BLOCK) {
        __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + BLOCK);
        _mm512_storeu_si512(to, interleave(a, b, lower));
        _mm512_storeu_si512(to + TILE / 2, interleave(a, b, upper));
    }
}

static void slide(bf16 *cell, const bf16 *pixel, int channels, int end) {
    uint16_t order[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        order[i] = (uint16_t)(i < end - channels ? i + channels : BLOCK + i - (end - channels));
    const __m512i from = _mm512_loadu_si512(order);
    const __mmask32 kept = (__mmask32)(((uint64_t)1 << end) - 1);
    for (int at = 0; at < CELL; at += BLOCK) {
        __m512i next = pixel ? _mm512_loadu_si512(pixel + at) : _mm512_setzero_si512();
        __m512i row = _mm512_loadu_si512(cell + at);
        _mm512_storeu_si512(cell + at, _mm512_maskz_permutex2var_epi16(kept, row, from, next));
    }
}

#else

static void transpose_part(const bf16 *from, bf16 *to) {
    for (int i = 0; i < BLOCK; i++)
        for (int j = 0; j < BLOCK; j++)
            to[j * BLOCK + i] = from[i * BLOCK + j];
}

static void pair_part(const bf16 *from, bf16 *to) {
    for (int i = 0; i < BLOCK; i++)
        for (int j = 0; j < BLOCK; j++)
            to[j / LANES * (TILE / 2) + i / 2 * BLOCK + j % LANES * 2 + i % 2] =
                from[i * BLOCK + j];
}

static void slide(bf16 *cell, const bf16 *pixel, int channels, int end) {
    for (int at = 0; at < CELL; at += BLOCK)
        for (int i = 0; i < BLOCK; i++) {
            bool within = i < end, moves = i < end - channels;
            bf16 next = pixel && within && !moves ? pixel[at + i - (end - channels)] : 0;
            cell[at + i] = moves ? cell[at + i + channels] : next;
        }
}

#endif

static void transpose(const bf16 *from, bf16 *to) {
    for (int part = 0; part < CELL; part += TILE)
        transpose_part(from + part, to + part);
}

static void pair(const bf16 *from, bf16 *to) {
    for (int part = 0; part < CELL; part += TILE)
        pair_part(from + part, to + part);
}

#endif
