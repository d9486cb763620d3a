/* Convolution without a matrix, for CPUs with wide vectors: what a plan and its kernels agree on.
 *
 * A band of grid rows (of one picture or of several) is computed at a time. Its source pixels are
 * copied to scratch that stays in L2, padded with zeros, and cut into chunks of CHUNK channels:
 *
 *     scratch  [line][chunk][residue of the column by the step][column / step][CHUNK]
 *
 * so that the source values of neighbouring grid pixels always lie CHUNK reals apart, whatever the
 * step and the number of channels, and every tap of every chunk is one offset. A pair is a chunk
 * under a tap, [chunk][tap_h][tap_w]. Weights are packed to
 *
 *     [block of outputs][pair][CHUNK][outputs of the block]
 *
 * A tile is P neighbouring pixels times one block of outputs, kept in registers while some pairs'
 * weights, which stay in L1, pass by: a value of the source is spread over a vector and multiplied
 * with the block's weights. Between groups of pairs tiles rest in the result itself. Each result is
 * one chain of fused multiply-adds in an order that the shape fixes, so kernels of all widths give
 * the same bits. */
#ifndef NNCLR_ENGINE_CPU_SIMD_DIRECT_H
#define NNCLR_ENGINE_CPU_SIMD_DIRECT_H

#include "engine/cpu/im2col.h"

enum {
    DIRECT_CHUNK = 8,
    DIRECT_BAND_ROWS = 256,
    DIRECT_WIDTHS = 3, /* kinds of blocks of outputs */
    DIRECT_WIDEST = 64
};

typedef struct direct {
    taps taps;      /* its channels are those of all chunks */
    int outputs;    /* channels of the result */
    int chunks;     /* of source channels; the last is filled up with zeros */
    int columns;    /* scratch pixels of one residue in a line */
    int plane;      /* reals of a chunk of a line */
    int line;       /* reals of a line */
    int band_lines; /* that scratch has room for */
    int band_rows;  /* most grid rows of a band */
    int pairs;
    const int *offset; /* [pairs]: scratch reals from a grid pixel's place to that under the pair */
} direct;

/* Grid rows [first, first + rows), counted over all pictures, and the place of each row's first
 * pixel in scratch. */
typedef struct direct_band {
    size_t first;
    int rows;
    int base[DIRECT_BAND_ROWS];
} direct_band;

/* Where the grid's pixels are in a result of h x w pixels with d->outputs channels. */
typedef struct direct_target {
    float *place;
    int h, w, stride, y, x;
} direct_target;

typedef struct direct_kernels {
    const char *name;
    int widths[DIRECT_WIDTHS]; /* of blocks of outputs, falling; 0 ends them */
    /* Copies a band's source pixels, channels taps.channel and on, to scratch. */
    void (*fill)(const direct *d, const float *source, const direct_band *band, float *scratch);
    /* target = weights * scratch, or is added to. */
    void (*multiply)(const direct *d, const direct_band *band, const float *scratch,
                     const float *weights, const direct_target *target, bool add);
    /* sums (as packed weights) = products of dy [grid pixels][outputs] with scratch, or are added
     * to. */
    void (*correlate)(const direct *d, const direct_band *band, const float *scratch,
                      const float *dy, float *sums, bool add);
} direct_kernels;

/* The widest block of at most what is left; a last one may be wider than that. */
static inline int direct_width(const direct_kernels *kernels, int left) {
    int narrowest = 0;
    for (int i = 0; i < DIRECT_WIDTHS && kernels->widths[i]; i++)
        narrowest = kernels->widths[i];
    int rounded = (left + narrowest - 1) / narrowest * narrowest;
    for (int i = 0; i < DIRECT_WIDTHS && kernels->widths[i]; i++)
        if (kernels->widths[i] <= rounded)
            return kernels->widths[i];
    return narrowest;
}

extern const direct_kernels nnclr_direct_avx2, nnclr_direct_avx512; /* x86-64 only */

#endif
