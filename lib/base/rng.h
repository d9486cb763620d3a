/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). There is no state to save: what is drawn depends only on the seed and on
 * what it is drawn for, so any thread, in any order, and any resumed run draws the same.
 *
 *   key     = seed (low word, high word)
 *   counter = { block of four draws, record (low 32 bits), epoch or step,
 *               purpose | view << 8 | record (bits 32..47) << 16 }
 */
#ifndef NNCLR_BASE_RNG_H
#define NNCLR_BASE_RNG_H

#include <stdint.h>

typedef enum nnclr_purpose {
    NNCLR_DRAW_WEIGHTS = 1,   /* record: index of the parameter segment */
    NNCLR_DRAW_QUEUE = 2,     /* record: row of the support set */
    NNCLR_DRAW_ORDER = 3,     /* epoch: the epoch whose order is drawn */
    NNCLR_DRAW_AUGMENT = 4,   /* epoch, record, view */
    NNCLR_DRAW_NEIGHBOUR = 5, /* epoch: step; record: query; view */
    NNCLR_DRAW_SAMPLE = 6,    /* which rows a report or a contact sheet shows */
    NNCLR_DRAW_PACK = 7,      /* the stored order of a shard */
    NNCLR_DRAW_EXAMPLE = 8    /* pictures that examples make themselves */
} nnclr_purpose;

/* One block: ten rounds on `counter` under `key`. */
void nnclr_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

typedef struct nnclr_rng {
    uint32_t key[2], counter[4], block[4];
    unsigned used; /* draws taken from block; 4 = none left */
} nnclr_rng;

nnclr_rng nnclr_rng_at(uint64_t seed, nnclr_purpose purpose, uint32_t epoch, uint64_t record,
                       uint32_t view);

uint32_t nnclr_rng_u32(nnclr_rng *rng);
/* [0,1), from the top 24 bits of one draw. */
float nnclr_rng_float(nnclr_rng *rng);
/* low + (high-low) * nnclr_rng_float, in double. */
double nnclr_rng_uniform(nnclr_rng *rng, double low, double high);
/* Unbiased in [0, n), n >= 1 (two draws, rejection). */
uint64_t nnclr_rng_below(nnclr_rng *rng, uint64_t n);
/* Two standard normal values by Box-Muller from two draws: radius from the first
 * (u = (top 24 bits + 0.5) / 2^24), angle from the second; cosine part first. */
void nnclr_rng_normal2(nnclr_rng *rng, double out[2]);

/* Fisher-Yates: out[0..n) becomes the permutation of (seed, purpose, epoch). */
void nnclr_permutation(uint64_t seed, nnclr_purpose purpose, uint32_t epoch, uint32_t n,
                       uint32_t *out);

#endif
