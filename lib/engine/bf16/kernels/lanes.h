/* Vectors of 16 floats, and values of cells in them. */
#ifndef NNCLR_ENGINE_BF16_KERNELS_LANES_H
#define NNCLR_ENGINE_BF16_KERNELS_LANES_H

#include <string.h>

#include "engine/bf16/tiles.h"

#if TILES_KIND > 0
#include <immintrin.h>
#endif

enum { LANES = 16, HALVES = BLOCK / LANES, PAIRS = BLOCK / 2 };

typedef float lanes __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef int32_t flags __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));

#define INLINE static inline __attribute__((always_inline))

INLINE lanes load(const float *from) {
    lanes v;
    memcpy(&v, from, sizeof v);
    return v;
}
INLINE void keep(float *to, lanes v) {
    memcpy(to, &v, sizeof v);
}

INLINE lanes widen_part(const bf16 *from) {
    halves h;
    memcpy(&h, from, sizeof h);
    return (lanes)(__builtin_convertvector(h, words) << 16);
}

/* To the nearest, ties to even; a NaN stays one, and what is below the normal floats becomes zero,
 * as VCVTNEPS2BF16 has it. */
INLINE void narrow_part(bf16 *to, lanes v) {
#if TILES_KIND > 0
    __m256bh h = _mm512_cvtneps_pbh((__m512)v);
#else
    words u = (words)v, sign = u & 0x80000000;
    words rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16, quiet = u >> 16 | 0x40;
    words nan = (words)((flags)(u & 0x7fffffff) > 0x7f800000);
    words tiny = (words)((flags)(u & 0x7fffffff) < 0x00800000);
    rounded = (rounded & ~nan) | (quiet & nan);
    halves h = __builtin_convertvector((rounded & ~tiny) | (sign >> 16 & tiny), halves);
#endif
    memcpy(to, &h, sizeof h);
}

/* Values that begin at an element of the first tile of a cell. */
INLINE lanes widen(const bf16 *from) {
    lanes v = widen_part(from + (VALUE_PARTS - 1) * TILE);
    for (int part = VALUE_PARTS - 2; part >= 0; part--)
        v = widen_part(from + part * TILE) + v;
    return v;
}

INLINE void narrow(bf16 *to, lanes v) {
    for (int part = 0; part < VALUE_PARTS; part++) {
        narrow_part(to + part * TILE, v);
        if (part < VALUE_PARTS - 1)
            v -= widen_part(to + part * TILE);
    }
}

#endif
