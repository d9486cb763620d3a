/* Vectors of NNCLR_SIMD_LANES floats, for sources that are compiled once for AVX2 with FMA (8) and
 * once for AVX-512 (16). */
#ifndef NNCLR_ENGINE_CPU_SIMD_VECTORS_H
#define NNCLR_ENGINE_CPU_SIMD_VECTORS_H

#include <immintrin.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

#if NNCLR_SIMD_LANES == 16
typedef __m512 vector;
INLINE vector zero_vector(void) {
    return _mm512_setzero_ps();
}
INLINE vector load(const float *from) {
    return _mm512_loadu_ps(from);
}
INLINE void store(float *to, vector v) {
    _mm512_storeu_ps(to, v);
}
INLINE vector spread(const float *from) {
    return _mm512_set1_ps(*from);
}
INLINE vector multiply_add(vector a, vector b, vector c) {
    return _mm512_fmadd_ps(a, b, c);
}
INLINE vector add_vectors(vector a, vector b) {
    return _mm512_add_ps(a, b);
}
/* Lanes [at, at + 16) of an array of which only [begin, end) are there, 32 at most; zeros
 * elsewhere. */
INLINE vector load_between(const float *from, int at, int begin, int end) {
    uint64_t there = ((uint64_t)1 << end) - ((uint64_t)1 << begin);
    return _mm512_maskz_loadu_ps((__mmask16)(there >> at), from + at);
}
INLINE vector either_vector(vector a, vector b) {
    return _mm512_or_ps(a, b);
}
#else
typedef __m256 vector;
INLINE vector zero_vector(void) {
    return _mm256_setzero_ps();
}
INLINE vector load(const float *from) {
    return _mm256_loadu_ps(from);
}
INLINE __m256i first_lanes(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE void store(float *to, vector v) {
    _mm256_storeu_ps(to, v);
}
INLINE vector spread(const float *from) {
    return _mm256_broadcast_ss(from);
}
INLINE vector multiply_add(vector a, vector b, vector c) {
    return _mm256_fmadd_ps(a, b, c);
}
INLINE vector add_vectors(vector a, vector b) {
    return _mm256_add_ps(a, b);
}
INLINE vector load_between(const float *from, int at, int begin, int end) {
    __m256i there = _mm256_andnot_si256(first_lanes(begin - at), first_lanes(end - at));
    return _mm256_maskload_ps(from + at, there);
}
INLINE vector either_vector(vector a, vector b) {
    return _mm256_or_ps(a, b);
}
#endif

#endif
