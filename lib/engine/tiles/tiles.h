/* Tiles and the kernels that work on them. What is made of them is compiled twice: for values that
 * are floats (NNCLR_TILE_PARTS 0, precision f32 on any CPU with AVX2) or bfloat16 (1).
 *
 * Channels are in blocks of 32, pictures in blocks of 32 or, with floats, 16, and what is adjacent
 * in memory is what one matrix instruction, or a run of vector instructions, takes at once:
 *
 *     activation  [groups][n / PICTURES][h * w][c / 32][PICTURES][32 channels]
 *
 * A tile is one pixel of PICTURES pictures in 32 channels, 2 KB in either type. Channels and
 * pictures that fill up the last blocks are zeros. There is no border and no matrix of shifted
 * pixels: a convolution is, for each pixel of its result, a short list of tiles to multiply.
 *
 * With bfloat16 a product multiplies a tile "a" [32 rows][32 k] by a tile "b" whose k are in pairs,
 * [2 halves of the columns][16 pairs][16 columns][2]: what AMX (TDPBF16PS) and AVX512-BF16
 * (VDPBF16PS) want. Sums are float32.
 *
 *                          b:  16 pairs of k x 16 columns | the same of columns 16..31
 *                             +---------------------------+---------------------------+
 *     a: rows  0..15, 32 k    |  sum of rows 0..15,       |                           |
 *                             |  columns 0..15            |                           |
 *                             +---------------------------+---------------------------+
 *     a: rows 16..31, 32 k    |                           |                           |
 *                             +---------------------------+---------------------------+
 *
 *     forward           rows pictures, k input channels,  columns output channels; a is x
 *     backward-data     rows pictures, k output channels, columns input channels;  a is dy
 *     backward-weights  rows input channels, k pictures,  columns output channels; a is x
 *                       transposed, b is dy with its pictures in pairs
 *
 * With floats "b" is [32 k][32 columns], rows are 16 forward and backward to data, and if k are
 * pictures, "a" is taken as it is, [16 k][32 rows]. Blocks of 16 pictures leave less of a small
 * batch empty than 32 would, for two percent of the speed.
 */
#ifndef NNCLR_ENGINE_TILES_TILES_H
#define NNCLR_ENGINE_TILES_TILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef NNCLR_TILE_PARTS
#define NNCLR_TILE_PARTS 1
#endif

typedef uint16_t bf16;
#if NNCLR_TILE_PARTS == 0
typedef float element;
#else
typedef bf16 element;
#endif

enum {
    BLOCK = 32,
    PICTURES = NNCLR_TILE_PARTS == 0 ? 16 : BLOCK,
    TILE = PICTURES * BLOCK,
    SQUARE = BLOCK * BLOCK
};

/* Where the cells of one product begin, in elements counted from what `multiply` is given. */
typedef struct tile_term {
    size_t a, b;
} tile_term;

/* sums = the products of all terms, or these are added to them. Each term is `chunks` products
 * whose cells follow one another at `a` and at `b`. */
typedef struct tile_product {
    const tile_term *terms;
    int count, chunks;
    const element *a, *b;
    /* Beyond these rows of a, columns of b and k of each term's last chunk there are only zeros;
     * the same rows and columns of sums are wanted, others may be left as they are. */
    int rows, columns, depth;
    float *sums; /* [32][32], of floats' pictures [16][32] */
    bool add;
    bool turned; /* with floats: a is [16 k][32 rows] */
} tile_product;

/* What becomes of one tile of normalised values; arrays hold BLOCK reals, one for each channel. */
typedef struct tile_affine {
    const float *scale, *shift;
} tile_affine;

typedef struct tile_slope {
    const float *scale, *slope, *shift, *mean;
} tile_slope;

/* y = relu?(x scale + shift + rest) */
typedef struct tile_normalise {
    const element *x, *residual, *second; /* residual, second: or NULL */
    tile_affine main, other;              /* other: of second */
    bool relu;
    element *y;
} tile_normalise;

/* dz = dy where y > 0; each dx = scale dz + slope (x - mean) + shift. */
typedef struct tile_gradient {
    const element *dy, *y; /* y NULL: no ReLU, or with `mask` */
    const tile_affine
        *mask; /* y > 0 is known from x, whose normalised value is all of y; or NULL */
    const element *x, *second; /* second: or NULL */
    tile_slope main, other;    /* sums need only the means */
    element *dx, *second_dx;   /* dx may be dy */
    element *dresidual;        /* takes dz; or NULL */
    bool add_residual;
} tile_gradient;

typedef struct tile_kernels {
    const char *name; /* "amx", "avx512", "none" */
    /* Around the calls of multiply of one task. */
    void (*begin)(void);
    void (*end)(void);
    void (*multiply)(const tile_product *product);
    /* y = sums (+ y), rounded, and zeros beyond those rows and columns; total and squares [32], or
     * NULL: each column's sum and sum of squares over the rounded values are added. */
    void (*store)(const float *sums, int rows, int columns, bool add, element *y, double *total,
                  double *squares);
    /* to[j][i] = from[i][j] */
    void (*transpose)(const element *from, element *to);
    /* Moves each row of a cell down by `channels`, and puts after it, up to `end`, those of a
     * pixel, or for NULL zeros, as from `end` on. */
    void (*slide)(element *cell, const element *pixel, int channels, int end);
    /* Rows in pairs: the form of b. */
    void (*pair)(const element *from, element *to);
    /* The first `pictures` rows and `channels` columns; the others are zeros and become zeros. */
    void (*normalise)(const tile_normalise *call, int pictures, int channels);
    /* totals [3][32]: sums over pictures of dz, dz (x - mean) and the second's are added. */
    void (*sum_gradient)(const tile_gradient *call, int pictures, int channels, float *totals);
    void (*gradient)(const tile_gradient *call, int pictures, int channels);
    /* Bit i of hits[row]: sums[row][i] is not below floor[row]; whether there is one. */
    bool (*reach)(const float *sums, int rows, const float *floor, uint32_t *hits);
} tile_kernels;

#if NNCLR_TILE_PARTS == 0
#define TILES(name) nnclr_tiles_f32_##name
#else
#define TILES(name) nnclr_tiles_##name
#endif

extern const tile_kernels nnclr_tiles_portable;
/* x86-64 only */
extern const tile_kernels nnclr_tiles_avx2, nnclr_tiles_avx512, nnclr_tiles_avx512bf16,
    nnclr_tiles_amx, nnclr_tiles_f32_avx2, nnclr_tiles_f32_avx512;

#endif
