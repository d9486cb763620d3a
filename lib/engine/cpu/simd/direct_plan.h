/* What the direct convolution prepares for one plan (internal to simd/). */
#ifndef NNCLR_ENGINE_CPU_SIMD_DIRECT_PLAN_H
#define NNCLR_ENGINE_CPU_SIMD_DIRECT_PLAN_H

#include "engine/cpu/simd/direct.h"
#include "engine/cpu/simd/direct_conv.h"

struct direct_conv {
    const direct_kernels *kernels;
    direct forward;
    /* Backward-weights: the forward geometry for blocks of so many chunks (the last has fewer). */
    direct weights;
    int block_chunks, blocks;
    size_t block_reals;   /* sums of one block */
    size_t scratch_reals; /* of one worker, at the start of the workspace */
    size_t shared_bytes;  /* behind the scratch of all workers */
    size_t *packed;       /* [residues]: where their weights begin, in reals */
    direct *residues;     /* [plan->residues]; pairs 0 where no output sees these pixels */
    int *offsets;         /* of all of the above */
};

static inline float *direct_scratch(const direct_conv *c, void *workspace, int worker) {
    return (float *)workspace + c->scratch_reals * (size_t)worker;
}
static inline void *direct_shared(const nnclr_engine *g, const direct_conv *c, void *workspace) {
    return direct_scratch(c, workspace, nnclr_pool_threads(g->pool));
}

/* Grid rows from `first` on, before `end`, that fit. */
void nnclr_direct_band(const direct *d, size_t first, size_t end, direct_band *band);

/* How the grid rows of `pictures` are cut into tasks; for backward-weights. */
pieces nnclr_direct_pieces(const direct *d, size_t pictures);
pieces nnclr_direct_parts(const direct_conv *c, size_t pictures);

#endif
