/* Tiles, and the kernels that work on them: one table for each kind of CPU and of values, floats or
 * bfloat16. What a tile is, the table says; what is made of tiles is written and compiled once.
 *
 * Channels are in blocks of 32, pictures in blocks of 32 or, with floats, 16, and what is adjacent
 * in memory is what one matrix instruction, or a run of vector instructions, takes at once:
 *
 *     activation  [groups][n / pictures][h * w][c / 32][pictures][32 channels]
 *
 * A tile is one pixel of a block of pictures in 32 channels, 2 KB in either type. Channels and
 * pictures that fill up the last blocks are zeros. With floats a tensor of at most 8 or 16 channels
 * has tiles of so many, its stride: otherwise narrow networks would multiply and move up to four
 * times what they must. There is no border and no matrix of shifted pixels: a convolution is, for
 * each pixel of its result, a short list of tiles to multiply.
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
 * With floats "b" is [stride of a][stride of columns], rows are 16 forward and backward to data,
 * and if k are pictures, "a" is taken as it is, [16 k][32 rows]. Blocks of 16 pictures leave less
 * of a small batch empty than 32 would, for two percent of the speed.
 */
#ifndef NNCLR_ENGINE_TILES_TILES_H
#define NNCLR_ENGINE_TILES_TILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BLOCK = 32,             /* channels of a tile, */
    SQUARE = BLOCK * BLOCK, /* and values of the largest */
};

/* Where the tiles of one product begin, in bytes counted from what `multiply` is given. */
typedef struct tile_term {
    size_t a, b;
} tile_term;

/* sums = the products of all terms, or these are added to them. Each term is `chunks` products
 * whose tiles follow one another at `a` and at `b`. */
typedef struct tile_product {
    const tile_term *terms;
    int count, chunks;
    const void *a, *b;
    /* Beyond these rows of a, columns of b and k of each term's last chunk there are only zeros;
     * the same rows and columns of sums are wanted, others may be left as they are. */
    int rows, columns, depth;
    int a_stride, b_stride; /* of the tiles that a and the columns of b are of */
    float *sums;            /* [rows of a tile][b_stride] */
    bool add;
    bool turned; /* k are pictures: if tiles are `plain`, a is [k][a_stride rows] */
} tile_product;

/* What becomes of one tile of normalised values, or of some that follow one another; arrays hold
 * a real for each channel of a tile. */
typedef struct tile_affine {
    const float *scale, *shift;
} tile_affine;

typedef struct tile_slope {
    const float *scale, *slope, *shift, *mean;
} tile_slope;

/* y = relu?(x scale + shift + rest) */
typedef struct tile_normalise {
    const void *x, *residual, *second; /* residual, second: or NULL */
    tile_affine main, other;           /* other: of second */
    bool relu;
    void *y;
    int stride;
} tile_normalise;

/* dz = dy where y > 0; each dx = scale dz + slope (x - mean) + shift. */
typedef struct tile_gradient {
    const void *dy, *y; /* y NULL: no ReLU, or with `mask` */
    const tile_affine
        *mask;              /* y > 0 is known from x, whose normalised value is all of y; or NULL */
    const void *x, *second; /* second: or NULL */
    tile_slope main, other; /* sums need only the means */
    void *dx, *second_dx;   /* dx may be dy */
    void *dresidual;        /* takes dz; or NULL */
    bool add_residual;
    int stride;
} tile_gradient;

typedef struct tile_kernels {
    const char *name; /* "amx", "avx512", "none" */
    int pictures;     /* of a tile */
    int least_stride; /* of its tiles: 8, 16 or 32 */
    /* For tiles of 8 channels, if vectors of these kernels are wider; or NULL. */
    const struct tile_kernels *narrow_kernels;
    size_t value_bytes; /* of one of its values */
    /* Whether backward-weights multiplies tiles as they are; otherwise it takes x transposed and
     * the pictures of dy in pairs. */
    bool plain;

    /* Around the calls of multiply of one task. */
    void (*begin)(void);
    void (*end)(void);
    void (*multiply)(const tile_product *product);
    /* y = sums [rows of a tile][stride] (+ y), rounded, and zeros beyond those rows and columns;
     * total and squares [stride], or NULL: each column's sum and sum of squares over the rounded
     * values are added. */
    void (*store)(const float *sums, int stride, int rows, int columns, bool add, void *y,
                  double *total, double *squares);

    /* Values of a tile as floats: in `room`, or where they are. */
    const float *(*widen)(const void *tile, int count, float *room);
    void (*narrow)(const float *values, int count, void *tile); /* rounds them */
    /* The form of b of `count` values [stride of a][stride of columns]. */
    void (*pack)(const float *values, int count, void *b);
    /* to[j][i] = from[i][j]; NULL if plain */
    void (*transpose)(const void *from, void *to);
    /* Rows in pairs: the form of b; NULL if plain */
    void (*pair)(const void *from, void *to);
    /* Moves each row of a tile down by `channels`, and puts after it, up to `end`, those of a
     * pixel, or for NULL zeros, as from `end` on. */
    void (*slide)(void *tile, int stride, const void *pixel, int pixel_stride, int channels,
                  int end);

    /* The first `pictures` rows, several tiles' if they are full, and `channels` columns; the
     * others of the last tile are zeros and become zeros. */
    void (*normalise)(const tile_normalise *call, int pictures, int channels);
    /* totals [3][32]: sums over pictures of dz, dz (x - mean) and the second's are added. */
    void (*sum_gradient)(const tile_gradient *call, int pictures, int channels, float *totals);
    void (*gradient)(const tile_gradient *call, int pictures, int channels);

    /* Bit i of hits[row]: sums[row][i] is not below floor[row]; whether there is one. With floats
     * NULL: the search of the support set has its own. */
    bool (*reach)(const float *sums, int rows, const float *floor, uint32_t *hits);
} tile_kernels;

extern const tile_kernels nnclr_tiles_bf16_portable;
/* x86-64 only */
extern const tile_kernels nnclr_tiles_bf16_avx2, nnclr_tiles_bf16_avx512,
    nnclr_tiles_bf16_avx512bf16, nnclr_tiles_bf16_amx, nnclr_tiles_f32_avx2, nnclr_tiles_f32_avx512;

#endif
