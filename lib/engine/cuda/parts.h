/* Inside of the engine, for its own files. */
#ifndef NNCLR_ENGINE_CUDA_PARTS_H
#define NNCLR_ENGINE_CUDA_PARTS_H

#include "engine/cuda/kernels/calls.h"
#include "engine/cuda/machine.h"
#include "engine/entries.h"

typedef struct cuda_state {
    cuda_machine *machine;
    void *stream;
    bool bf16;
    unsigned char *scratch; /* of one call */
    size_t scratch_bytes;
} cuda_state;

static inline cuda_state *cuda_state_of(const nnclr_engine *g) {
    return (cuda_state *)g->state;
}

/* Room for one call at the machine, which the next call takes again; NULL, and sync says why, if
 * there is none. It grows to what was needed most. */
void *nnclr_cuda_scratch(nnclr_engine *g, size_t bytes);

/* Blocks of `each` items. */
static inline int cuda_blocks(size_t count, size_t each) {
    return (int)((count + each - 1) / each);
}
static inline int cuda_spans(size_t count) {
    return cuda_blocks(count, SPAN);
}
static inline size_t cuda_rows(nnclr_shape s) {
    return (size_t)s.n * (size_t)s.h * (size_t)s.w;
}
static inline size_t cuda_count(nnclr_shape s) {
    return (size_t)s.groups * cuda_rows(s) * (size_t)s.c;
}
static inline size_t cuda_value_bytes(const nnclr_engine *g) {
    return cuda_state_of(g)->bf16 ? 2 : 4;
}
/* What a tensor holds; NULL: nothing. */
static inline values cuda_values(const nnclr_engine *g, const nnclr_tensor *t) {
    const values none = {NULL, 0}, some = {t ? t->place : NULL, t && t->kind == NNCLR_ACTIVATION &&
                                                                    cuda_state_of(g)->bf16};
    return t ? some : none;
}

/* ---- entries of the table ---- */

#define DECLARE_CUDA(name) ENTRY_TYPE(name) nnclr_cuda_##name;
#define CUDA_ROW(name)     .name = nnclr_cuda_##name,

ENTRIES_OF_ROWS(DECLARE_CUDA)
ENTRIES_OF_ACTIVATIONS(DECLARE_CUDA)
DECLARE_CUDA(search_create)

#endif
