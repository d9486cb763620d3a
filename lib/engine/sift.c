#include "engine/sift.h"

#include "engine/cpu/sift.h"

size_t nnclr_sift_bytes(const nnclr_pool *pool, nnclr_dtype real, int d) {
    return (real == NNCLR_F64 ? nnclr_cpu64_sift_bytes : nnclr_cpu32_sift_bytes)(pool, d);
}

void nnclr_sift(nnclr_pool *pool, nnclr_dtype real, const nnclr_sieve *sieve) {
    (real == NNCLR_F64 ? nnclr_cpu64_sift : nnclr_cpu32_sift)(pool, sieve);
}
