/* What pictures look like, told without a network: which way their edges run, and where. Two
 * pictures that look alike have a large dot product. It is for finding neighbours that a network
 * which has not learned much yet cannot find.
 *
 * A picture of 32x32 becomes histograms of the directions of its gradients, of 8x8 cells in 8
 * directions (Dalal and Triggs 2005, "Histograms of Oriented Gradients for Human Detection"),
 * normalised as a whole, as roots (Arandjelovic and Zisserman 2012). Their cosine transform over
 * the cells and Fourier transform over the directions has coefficients that are nearly uncorrelated
 * over natural pictures. Those that vary most over the set count, less their mean, divided by the
 * root of their standard deviation: between as they are, which few of them would decide, and
 * whitened, which noise would. */
#ifndef NNCLR_IMAGE_APPEARANCE_H
#define NNCLR_IMAGE_APPEARANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/progress.h"
#include "io/shard.h"

enum {
    NNCLR_APPEARANCE_SIDE = 32,
    NNCLR_APPEARANCE_COEFFICIENTS = 8 * 8 * 8,
    NNCLR_APPEARANCE = 128 /* numbers that are left of them */
};

/* [directions][cells down][cells across] of `picture` [side][side][3], in [0,1]. Those of a flat
 * picture are zeros. Any thread. */
void nnclr_appearance_coefficients(const float *picture,
                                   float coefficients[NNCLR_APPEARANCE_COEFFICIENTS]);

typedef struct nnclr_appearances {
    size_t count;
    float *rows; /* [count][NNCLR_APPEARANCE], unit vectors */
} nnclr_appearances;

/* A row for each record of `set`, which is stretched to the square. Mean and deviation are those of
 * about `SAMPLE` = 10,000 records, evenly spread. Depends on the set alone, not on `threads`. */
bool nnclr_appearances_make(nnclr_appearances *appearances, nnclr_shard_set *set, int threads,
                            const nnclr_progress *progress, nnclr_error *e);
void nnclr_appearances_free(nnclr_appearances *appearances); /* a zeroed one is fine */
size_t nnclr_appearances_bytes(size_t count);                /* SIZE_MAX: or more */

#endif
