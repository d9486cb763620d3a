/* One value as bfloat16: the upper half of a float. */
#ifndef NNCLR_ENGINE_TILES_BF16_H
#define NNCLR_ENGINE_TILES_BF16_H

#include <stdint.h>

typedef uint16_t bf16;

static inline float bf16_to_float(bf16 v) {
    union {
        uint32_t u;
        float f;
    } value = {.u = (uint32_t)v << 16};
    return value.f;
}

/* To the nearest, ties to even; a NaN stays one. Without a branch, so that loops become vectors. */
static inline bf16 bf16_from_float(float v) {
    union {
        float f;
        uint32_t u;
    } value = {.f = v};
    uint32_t quiet = value.u >> 16 | 0x40;
    uint32_t rounded = (value.u + 0x7fff + (value.u >> 16 & 1)) >> 16;
    return (bf16)((value.u & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

#endif
