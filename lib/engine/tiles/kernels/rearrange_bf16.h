/* What backward-weights takes of tiles of bfloat16: turned, and in pairs; and values rounded. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_REARRANGE_BF16_H
#define NNCLR_ENGINE_TILES_KERNELS_REARRANGE_BF16_H

#include "engine/tiles/kernels/lanes.h"

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
static void transpose(const void *tile, void *turned) {
    const element *from = tile;
    element *to = turned;
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

static void pair(const void *tile, void *paired) {
    const element *from = tile;
    element *to = paired;
    __m512i lower, upper;
    interleave_orders(&lower, &upper);
    for (int i = 0; i < PAIRS; i++, from += 2 * BLOCK, to += BLOCK) {
        __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + BLOCK);
        _mm512_storeu_si512(to, interleave(a, b, lower));
        _mm512_storeu_si512(to + TILE / 2, interleave(a, b, upper));
    }
}

static void slide(void *to, int stride, const void *from_pixel, int pixel_stride, int channels,
                  int end) {
    (void)stride, (void)pixel_stride;
    element *tile = to;
    const element *pixel = from_pixel;
    uint16_t order[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        order[i] = (uint16_t)(i < end - channels ? i + channels : BLOCK + i - (end - channels));
    const __m512i from = _mm512_loadu_si512(order);
    const __mmask32 kept = (__mmask32)(((uint64_t)1 << end) - 1);
    for (int at = 0; at < TILE; at += BLOCK) {
        __m512i next = pixel ? _mm512_loadu_si512(pixel + at) : _mm512_setzero_si512();
        __m512i row = _mm512_loadu_si512(tile + at);
        _mm512_storeu_si512(tile + at, _mm512_maskz_permutex2var_epi16(kept, row, from, next));
    }
}

#else

static void transpose(const void *tile, void *turned) {
    const element *from = tile;
    element *to = turned;
    for (int i = 0; i < BLOCK; i++)
        for (int j = 0; j < BLOCK; j++)
            to[j * BLOCK + i] = from[i * BLOCK + j];
}

static void pair(const void *tile, void *paired) {
    const element *from = tile;
    element *to = paired;
    for (int i = 0; i < BLOCK; i++)
        for (int j = 0; j < BLOCK; j++)
            to[j / 16 * (TILE / 2) + i / 2 * BLOCK + j % 16 * 2 + i % 2] = from[i * BLOCK + j];
}

static void slide(void *to, int stride, const void *from_pixel, int pixel_stride, int channels,
                  int end) {
    (void)stride, (void)pixel_stride;
    element *tile = to;
    const element *pixel = from_pixel;
    for (int at = 0; at < TILE; at += BLOCK)
        for (int i = 0; i < BLOCK; i++) {
            bool within = i < end, moves = i < end - channels;
            element next = pixel && within && !moves ? pixel[at + i - (end - channels)] : 0;
            tile[at + i] = moves ? tile[at + i + channels] : next;
        }
}

#endif

static const float *widen_tile(const void *tile, int count, float *room) {
    const element *from = tile;
    for (int i = 0; i < count; i++)
        room[i] = bf16_to_float(from[i]);
    return room;
}

static void narrow_tile(const float *values, int count, void *tile) {
    element *to = tile;
    for (int i = 0; i < count; i++)
        to[i] = bf16_from_float(values[i]);
}

static void pack(const float *values, int count, void *b) {
    element tile[TILE];
    narrow_tile(values, count, tile);
    pair(tile, b);
}

#endif
