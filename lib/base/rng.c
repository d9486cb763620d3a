#include "base/rng.h"

#include <math.h>

/* Constants of Philox4x32 (Salmon et al. 2011, table 2): two multipliers, and the Weyl sequence of
 * the key (golden ratio and sqrt(3) - 1). */
enum { ROUNDS = 10 };
static const uint32_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
static const uint32_t weyl[2] = {0x9E3779B9u, 0xBB67AE85u};

void nnclr_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)multiplier[0] * c0, p1 = (uint64_t)multiplier[1] * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += weyl[0];
        k1 += weyl[1];
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

nnclr_rng nnclr_rng_at(uint64_t seed, nnclr_purpose purpose, uint32_t epoch, uint64_t record,
                       uint32_t view) {
    nnclr_rng rng = {
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {0, (uint32_t)record, epoch,
                    (uint32_t)purpose | (view & 0xff) << 8 |
                        (uint32_t)(record >> 32 & 0xffff) << 16},
        .used = 4,
    };
    return rng;
}

uint32_t nnclr_rng_u32(nnclr_rng *rng) {
    if (rng->used == 4) {
        nnclr_philox(rng->counter, rng->key, rng->block);
        rng->counter[0]++;
        rng->used = 0;
    }
    return rng->block[rng->used++];
}

float nnclr_rng_float(nnclr_rng *rng) {
    return (float)(nnclr_rng_u32(rng) >> 8) * 0x1p-24f;
}

double nnclr_rng_uniform(nnclr_rng *rng, double low, double high) {
    return low + (high - low) * (double)nnclr_rng_float(rng);
}

uint64_t nnclr_rng_below(nnclr_rng *rng, uint64_t n) {
    /* Values below 2^64 mod n would make the first ones more likely than the rest. */
    uint64_t reject = (UINT64_MAX - n + 1) % n;
    for (;;) {
        uint64_t high = nnclr_rng_u32(rng);
        uint64_t value = high << 32 | nnclr_rng_u32(rng);
        if (value >= reject)
            return value % n;
    }
}

void nnclr_rng_normal2(nnclr_rng *rng, double out[2]) {
    static const double two_pi = 6.283185307179586476925286766559;
    double u = ((double)(nnclr_rng_u32(rng) >> 8) + 0.5) * 0x1p-24;
    double radius = sqrt(-2.0 * log(u));
    double angle = two_pi * (double)nnclr_rng_float(rng);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

void nnclr_permutation(uint64_t seed, nnclr_purpose purpose, uint32_t epoch, uint32_t n,
                       uint32_t *out) {
    nnclr_rng rng = nnclr_rng_at(seed, purpose, epoch, 0, 0);
    for (uint32_t i = 0; i < n; i++)
        out[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = (uint32_t)nnclr_rng_below(&rng, i);
        uint32_t swap = out[i - 1];
        out[i - 1] = out[j];
        out[j] = swap;
    }
}
