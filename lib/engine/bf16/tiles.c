/* The kernels on tiles of one kind of CPU, TILES_KIND 0 plain C, 1 AVX512-BF16, 2 AMX-BF16, for
 * values of NNCLR_BF16_PARTS parts: this file is compiled for each of both. All are written once,
 * with vectors of 16 that the compiler maps to what the CPU has, and give the same bits, but for
 * the order of the sums inside a product. */
#include "engine/bf16/tiles.h"

#include "engine/bf16/kernels/batchnorm.h"
#include "engine/bf16/kernels/reach.h"
#include "engine/bf16/kernels/rearrange.h"
#if TILES_KIND == 2
#include "engine/bf16/kernels/multiply_amx.h"
#else
#include "engine/bf16/kernels/multiply_vectors.h"
#endif

static void multiply(const tile_product *p) {
    if (VALUE_PARTS == 1 || p->exact)
        multiply_product(p, exact_pairs, EXACT_PAIRS);
    else
        multiply_product(p, short_pairs, SHORT_PAIRS);
}

#if TILES_KIND == 2
const tile_kernels TILES(amx) = {
    .name = "amx",
#elif TILES_KIND == 1
const tile_kernels TILES(avx512) = {
    .name = "avx512",
#else
const tile_kernels TILES(portable) = {
    .name = "none",
#endif
    .begin = begin,
    .end = end,
    .multiply = multiply,
    .store = store,
    .transpose = transpose,
    .slide = slide,
    .pair = pair,
    .normalise = normalise,
    .sum_gradient = sum_gradient,
    .gradient = gradient,
    .reach = reach,
};
