/* The host in the place of a GPU, for tests: memory is the host's, blocks of kernels are tasks of
 * the pool, and all is done when a call returns. */
#include "engine/cuda/host/host.h"

#include <string.h>

#include "base/memory.h"
#include "engine/blas.h"

cuda_machine *nnclr_machine_open(nnclr_pool *pool, bool bf16, nnclr_error *e) {
    cuda_machine *m = nnclr_alloc_zero(1, sizeof *m, e);
    if (!m)
        return NULL;
    m->pool = pool;
    m->bf16 = bf16;
    if (nnclr_blas_open(nnclr_pool_threads(pool), e))
        return m;
    nnclr_free(m);
    return NULL;
}

void nnclr_machine_close(cuda_machine *m) {
    nnclr_free(m);
}

void *nnclr_machine_stream(cuda_machine *m) {
    return m->pool;
}

bool nnclr_machine_sync(cuda_machine *m, nnclr_error *e) {
    if (m->error.code == NNCLR_OK)
        return true;
    *e = m->error;
    m->error = (nnclr_error)NNCLR_NO_ERROR;
    return false;
}

void nnclr_machine_fail(cuda_machine *m, const nnclr_error *error) {
    if (m->error.code == NNCLR_OK)
        m->error = *error;
}

/* ---- memory ---- */

void *nnclr_machine_alloc(cuda_machine *m, size_t bytes, nnclr_error *e) {
    (void)m;
    return nnclr_block_alloc(bytes, e);
}

void nnclr_machine_release(cuda_machine *m, void *place, size_t bytes) {
    (void)m;
    nnclr_block_free(place, bytes);
}

void nnclr_machine_zero(cuda_machine *m, void *place, size_t bytes) {
    (void)m;
    if (bytes > 0)
        memset(place, 0, bytes);
}

void nnclr_machine_copy(cuda_machine *m, void *to, const void *from, size_t bytes) {
    (void)m;
    if (bytes > 0)
        memmove(to, from, bytes);
}

void nnclr_machine_put(cuda_machine *m, void *to, const void *from, size_t bytes) {
    nnclr_machine_copy(m, to, from, bytes);
}

void nnclr_machine_get(cuda_machine *m, void *to, const void *from, size_t bytes) {
    nnclr_machine_copy(m, to, from, bytes);
}

/* ---- products ---- */

void nnclr_machine_gemm(cuda_machine *m, bool transpose_a, bool transpose_b, int rows, int columns,
                        int depth, double alpha, const float *a, const float *b, double beta,
                        float *c) {
    (void)m;
    nnclr_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, rows, columns, depth, (float)alpha, a,
                transpose_a ? rows : depth, b, transpose_b ? depth : columns, (float)beta, c,
                columns);
}
