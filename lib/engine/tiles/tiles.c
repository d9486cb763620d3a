/* The kernels on tiles of one kind of CPU, TILES_KIND, for floats (TILES_FLOATS 1) or bfloat16 (0):
 * this file is compiled for each pair that pays. All are written once, with vectors that the
 * compiler maps to what the CPU has, and give the same bits, except for the order of the sums
 * inside a product of AMX. */
#include "engine/tiles/tiles.h"

#define PORTABLE   0
#define AVX2       1
#define AVX512     2
#define AVX512BF16 3
#define AMX        4

#include "engine/tiles/kernels/batchnorm.h"
#include "engine/tiles/kernels/store.h"
#if TILES_FLOATS
#include "engine/tiles/kernels/multiply_floats.h"
#include "engine/tiles/kernels/rearrange_floats.h"
#else
#include "engine/tiles/kernels/reach.h"
#include "engine/tiles/kernels/rearrange_bf16.h"
#if TILES_KIND == AVX2 || TILES_KIND == AVX512
#include "engine/tiles/kernels/multiply_widened.h"
#elif TILES_KIND == AMX
#include "engine/tiles/kernels/multiply_amx.h"
#else
#include "engine/tiles/kernels/multiply_vectors.h"
#endif
#endif

#if TILES_FLOATS
#define TILES(kind) nnclr_tiles_f32_##kind
#else
#define TILES(kind) nnclr_tiles_bf16_##kind
#endif

#if TILES_KIND == AMX
const tile_kernels TILES(amx) = {
    .name = "amx",
#elif TILES_KIND == AVX512BF16
const tile_kernels TILES(avx512bf16) = {
    .name = "avx512-bf16",
#elif TILES_KIND == AVX512
const tile_kernels TILES(avx512) = {
    .name = "avx512",
#elif TILES_KIND == AVX2
const tile_kernels TILES(avx2) = {
    .name = "avx2",
#else
const tile_kernels TILES(portable) = {
    .name = "none",
#endif
    .pictures = PICTURES,
#if TILES_FLOATS
    .least_stride = 8,
#else
    .least_stride = BLOCK,
#endif
#if TILES_FLOATS && TILES_KIND == AVX512
    .narrow_kernels = &nnclr_tiles_f32_avx2,
#endif
    .value_bytes = sizeof(element),
    .plain = TILES_FLOATS,
    .begin = begin,
    .end = end,
    .multiply = multiply,
    .store = store_tile,
    .widen = widen_tile,
    .narrow = narrow_tile,
    .pack = pack,
#if !TILES_FLOATS
    .transpose = transpose,
    .pair = pair,
    .reach = reach,
#endif
    .slide = slide,
    .normalise = normalise,
    .sum_gradient = sum_gradient,
    .gradient = gradient,
};
