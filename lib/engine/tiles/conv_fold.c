/* Rows of few channels, folded for a kernel: a tile then holds all pixels under one row of the
 * kernel instead of one pixel, most of whose 32 channels are zeros. With 3 channels and 7 x 7 taps:
 *
 *     x        | c0 c1 c2 0 ... 0 |   one pixel of 32 pictures; a product for each of 49 taps
 *     folded   | x0: c0 c1 c2 | x1: c0 c1 c2 | ... | x6: c0 c1 c2 | 0 ... 0 |   for each of 7
 *
 * A tile slides over a row of pixels: each pixel moves what is there down by the channels of one
 * and goes after it, and so do zeros outside the picture. So a pixel is read once for all columns
 * of the kernel and a folded row serves all its rows: each pass reads of x what it read before,
 * once, and its folded rows, kernel * output width * 2 KB (1.6 MB at 224, which is L2 if AMX is),
 * are read once for each block of output channels. */
#include "engine/tiles/conv.h"

#include <string.h>

enum { MOST_FOLDED = 128 }; /* tiles of weights: their dW is small (conv_weights.c) */

bool nnclr_tiled_folds(const tile_kernels *kernels, const nnclr_conv *conv) {
    return conv->kernel > 1 && conv->kernel <= BLOCK / conv->ci &&
           conv->ci < kernels->least_stride &&
           tiled_blocks(conv->co, BLOCK) <= MOST_FOLDED / conv->kernel;
}

void nnclr_tiled_fold_row(const tiled_plan *plan, const tiled *x, size_t row,
                          void (*keep)(const void *, void *), unsigned char *to) {
    const nnclr_conv *conv = &plan->base.conv;
    int width = x->shape.w;
    _Alignas(64) unsigned char tile[SQUARE * sizeof(float)];
    const size_t bytes = tiled_row_bytes(plan);
    memset(tile, 0, bytes);
    const int end = (plan->base.out.w - 1) * conv->stride + conv->kernel;
    for (int at = 0, wanted = conv->kernel - 1; at < end; at++) {
        int from = at - conv->pad;
        bool inside = from >= 0 && from < width;
        plan->kernels->slide(tile, plan->row_stride,
                             inside ? tiled_at(x, row * (size_t)width + (size_t)from) : NULL,
                             x->stride, conv->ci, conv->kernel * conv->ci);
        if (at == wanted) {
            if (keep)
                keep(tile, to);
            else
                memcpy(to, tile, bytes);
            to += bytes;
            wanted += conv->stride;
        }
    }
}

int nnclr_tiled_fold_terms(const tiled_plan *plan, const tiled *x, size_t block, int pixel,
                           tiled_folded *folded, tile_term *terms) {
    const nnclr_conv *conv = &plan->base.conv;
    const size_t width = (size_t)plan->base.out.w, bytes = tiled_row_bytes(plan);
    int height = x->shape.h, first = pixel / (int)width * conv->stride - conv->pad, count = 0;
    if (block != folded->block) {
        folded->block = block;
        folded->next = 0;
    }
    for (int i = 0; i < conv->kernel; i++) {
        int y = first + i;
        if (y < 0 || y >= height)
            continue;
        size_t at = (size_t)(y % conv->kernel) * width * bytes;
        if (y >= folded->next) {
            nnclr_tiled_fold_row(plan, x, block * (size_t)height + (size_t)y, NULL,
                                 folded->rows + at);
            folded->next = y + 1;
        }
        terms[count++] = (tile_term){at + (size_t)pixel % width * bytes, (size_t)i * plan->weights};
    }
    return count;
}
