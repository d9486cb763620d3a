/* The matrix of a convolution: a row for each pixel of a grid, holding the source pixels under a
 * rectangle of taps, channels innermost. Forward, backward-data (a grid for each residue of the
 * stride) and backward-weights differ only in their rectangles. */
#ifndef NNCLR_ENGINE_CPU_IM2COL_H
#define NNCLR_ENGINE_CPU_IM2COL_H

#include "engine/cpu/cpu.h"

typedef struct taps {
    int grid_h, grid_w;     /* pixels of a picture that get a row */
    int step;               /* source pixels from one grid pixel to the next */
    int top, left;          /* source pixel of the first tap at grid pixel (0, 0) */
    int tap_h, tap_w;       /* the rectangle */
    int source_h, source_w; /* outside of it, zeros */
    int source_c;           /* channels of the source */
    int channel, channels;  /* those that are taken; all of them if tap_w > 1 */
} taps;

static inline int taps_depth(const taps *t) {
    return t->tap_h * t->tap_w * t->channels;
}
static inline size_t taps_rows(const taps *t, size_t pictures) {
    return pictures * (size_t)t->grid_h * (size_t)t->grid_w;
}

/* Rows [first, first + count) over all pictures: returns the matrix and its row length in *stride.
 * It is in `scratch`, or in the source itself if that already is the matrix. */
const real *CPU(im2col)(const taps *t, const real *source, size_t first, size_t count,
                        real *scratch, int *stride);

/* Whether im2col needs no scratch. */
static inline bool taps_are_source(const taps *t) {
    return t->tap_h == 1 && t->tap_w == 1 && t->step == 1 && t->top == 0 && t->left == 0 &&
           t->grid_h == t->source_h && t->grid_w == t->source_w;
}

#endif
