/* The two sets of the sieve, for float and for double (sift.c is compiled for each). */
#ifndef NNCLR_ENGINE_CPU_SIFT_H
#define NNCLR_ENGINE_CPU_SIFT_H

#include "engine/sift.h"

size_t nnclr_cpu32_sift_bytes(const nnclr_pool *pool, int d);
size_t nnclr_cpu64_sift_bytes(const nnclr_pool *pool, int d);
void nnclr_cpu32_sift(nnclr_pool *pool, const nnclr_sieve *sieve);
void nnclr_cpu64_sift(nnclr_pool *pool, const nnclr_sieve *sieve);

#endif
