/* Vectors of floats, as wide as the CPU has them or 16, and values of tiles in them. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_LANES_H
#define NNCLR_ENGINE_TILES_KERNELS_LANES_H

#include <float.h>
#include <string.h>

#include "engine/tiles/bf16.h"
#include "engine/tiles/tiles.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

#ifndef NNCLR_SIMD_LANES
#define NNCLR_SIMD_LANES 16
#endif

#if TILES_FLOATS
typedef float element;
#else
typedef bf16 element;
#endif

enum {
    LANES = NNCLR_SIMD_LANES,
    HALVES = BLOCK / LANES,
    PAIRS = BLOCK / 2,
    PICTURES = TILES_FLOATS ? 16 : 32,
    TILE = PICTURES * BLOCK
};

typedef float lanes __attribute__((vector_size(4 * NNCLR_SIMD_LANES)));
typedef uint32_t words __attribute__((vector_size(4 * NNCLR_SIMD_LANES)));
typedef int32_t flags __attribute__((vector_size(4 * NNCLR_SIMD_LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * NNCLR_SIMD_LANES)));

#define INLINE static inline __attribute__((always_inline))

INLINE const void *tile_at(const void *tiles, size_t bytes) {
    return (const unsigned char *)tiles + bytes;
}

INLINE lanes get(const float *from) {
    lanes v;
    memcpy(&v, from, sizeof v);
    return v;
}
INLINE void keep(float *to, lanes v) {
    memcpy(to, &v, sizeof v);
}

#if TILES_FLOATS

/* What a value must be to stay positive when it is stored. */
#define LEAST_POSITIVE FLT_TRUE_MIN

typedef float half_lanes __attribute__((vector_size(2 * NNCLR_SIMD_LANES)));
typedef double doubles __attribute__((vector_size(4 * NNCLR_SIMD_LANES)));

INLINE doubles get_doubles(const double *from) {
    doubles v;
    memcpy(&v, from, sizeof v);
    return v;
}
INLINE void keep_doubles(double *to, doubles v) {
    memcpy(to, &v, sizeof v);
}
INLINE doubles widen_half(const float *from) {
    half_lanes v;
    memcpy(&v, from, sizeof v);
    return __builtin_convertvector(v, doubles);
}

INLINE lanes widen(const void *tile, int at) {
    return get((const float *)tile + at);
}
INLINE void narrow(void *tile, int at, lanes v) {
    keep((float *)tile + at, v);
}
/* Past the caches, if a vector is a whole line of them. The locks at a task's end order it. */
INLINE void narrow_past(void *tile, int at, lanes v) {
#if NNCLR_SIMD_LANES == 16
    _mm512_stream_ps((float *)tile + at, (__m512)v);
#else
    narrow(tile, at, v);
#endif
}

#else

#define LEAST_POSITIVE FLT_MIN

INLINE lanes widen(const void *tile, int at) {
    halves h;
    memcpy(&h, (const element *)tile + at, sizeof h);
    return (lanes)(__builtin_convertvector(h, words) << 16);
}

/* To the nearest, ties to even; a NaN stays one, and what is below the normal floats becomes zero,
 * as VCVTNEPS2BF16 has it. */
INLINE void narrow(void *tile, int at, lanes v) {
#ifdef __AVX512BF16__
    __m256bh h = _mm512_cvtneps_pbh((__m512)v);
#else
    words u = (words)v, sign = u & 0x80000000;
    words rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16, quiet = u >> 16 | 0x40;
    words nan = (words)((flags)(u & 0x7fffffff) > 0x7f800000);
    words tiny = (words)((flags)(u & 0x7fffffff) < 0x00800000);
    rounded = (rounded & ~nan) | (quiet & nan);
    halves h = __builtin_convertvector((rounded & ~tiny) | (sign >> 16 & tiny), halves);
#endif
    memcpy((element *)tile + at, &h, sizeof h);
}

INLINE void narrow_past(void *tile, int at, lanes v) {
    narrow(tile, at, v);
}

#endif

#endif
