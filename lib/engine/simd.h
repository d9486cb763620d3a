/* Which vectors the engines' kernels use, beyond those that every CPU of the kind has. */
#ifndef NNCLR_ENGINE_SIMD_H
#define NNCLR_ENGINE_SIMD_H

#include <stdbool.h>

#include "base/error.h"

typedef enum nnclr_simd {
    NNCLR_SIMD_NONE,
    NNCLR_SIMD_AVX2,  /* with FMA */
    NNCLR_SIMD_AVX512 /* F, VL, BW and DQ */
} nnclr_simd;

/* Whether this CPU has them. Any thread. */
bool nnclr_simd_has(nnclr_simd simd);

/* The widest that this CPU has, or those that the environment variable NNCLR_SIMD names (avx512,
 * avx2, none). False: NNCLR_ERROR_MISSING if the CPU lacks what was named, NNCLR_ERROR_USAGE
 * if it is not a name. Any thread. */
bool nnclr_simd_choose(nnclr_simd *simd, nnclr_error *e);

#endif
