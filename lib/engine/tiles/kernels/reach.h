/* Which of 32 x 32 products are not below what their query wants. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_REACH_H
#define NNCLR_ENGINE_TILES_KERNELS_REACH_H

#include "engine/tiles/kernels/lanes.h"

static bool reach(const float *sums, int rows, const float *floor, uint32_t *hits) {
    uint32_t any = 0;
    for (int row = 0; row < rows; row++, sums += BLOCK) {
#ifdef __AVX512F__
        const __m512 least = _mm512_set1_ps(floor[row]);
        const uint32_t low = _mm512_cmp_ps_mask(_mm512_loadu_ps(sums), least, _CMP_GE_OQ),
                       high = _mm512_cmp_ps_mask(_mm512_loadu_ps(sums + 16), least, _CMP_GE_OQ);
        hits[row] = high << 16 | low;
#else
        hits[row] = 0;
        for (int i = 0; i < BLOCK; i++)
            hits[row] |= (uint32_t)(sums[i] >= floor[row]) << i;
#endif
        any |= hits[row];
    }
    return any != 0;
}

#endif
