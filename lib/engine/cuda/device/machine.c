/* A GPU: memory and moves with CUDA, products with cuBLASLt. All work is in one stream. */
#include "engine/cuda/device/device.h"

#include "base/memory.h"

static const size_t workspace_bytes = (size_t)32 << 20;

/* ---- errors ---- */

void nnclr_machine_fail(cuda_machine *m, const nnclr_error *error) {
    if (m->error.code == NNCLR_OK)
        m->error = *error;
}

static bool failed(cuda_machine *m, const char *what, const char *library, const char *why) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_fail(&e, NNCLR_ERROR_IO, "%s on the GPU: %s: %s", what, library, why);
    nnclr_machine_fail(m, &e);
    return false;
}

bool nnclr_device_worked(cuda_machine *m, cudaError_t code, const char *what) {
    return code == cudaSuccess || failed(m, what, "CUDA", cudaGetErrorString(code));
}

bool nnclr_device_blas_worked(cuda_machine *m, cublasStatus_t code, const char *what) {
    return code == CUBLAS_STATUS_SUCCESS ||
           failed(m, what, "cuBLASLt", cublasLtGetStatusString(code));
}

bool nnclr_device_dnn_worked(cuda_machine *m, cudnnStatus_t code, const char *what) {
    return code == CUDNN_STATUS_SUCCESS || failed(m, what, "cuDNN", cudnnGetErrorString(code));
}

bool nnclr_machine_sync(cuda_machine *m, nnclr_error *e) {
    (void)nnclr_device_worked(m, cudaStreamSynchronize(m->stream), "computing");
    (void)nnclr_device_worked(m, cudaGetLastError(), "starting a kernel");
    if (m->error.code == NNCLR_OK)
        return true;
    *e = m->error;
    m->error = (nnclr_error)NNCLR_NO_ERROR;
    return false;
}

/* ---- opening ---- */

static bool has_gpu(nnclr_error *e) {
    int count = 0;
    const cudaError_t code = cudaGetDeviceCount(&count);
    if (code == cudaSuccess && count > 0)
        return true;
    return nnclr_fail(e, NNCLR_ERROR_MISSING,
                      "engine cuda needs an NVIDIA GPU and its driver (%s); engine cpu runs here",
                      code == cudaSuccess ? "there is no GPU" : cudaGetErrorString(code));
}

static bool connect(cuda_machine *m) {
    return nnclr_device_worked(m, cudaStreamCreateWithFlags(&m->stream, cudaStreamNonBlocking),
                               "starting") &&
           nnclr_device_worked(m, cudaMalloc(&m->workspace, workspace_bytes), "starting") &&
           nnclr_device_blas_worked(m, cublasLtCreate(&m->blas), "starting") &&
           nnclr_device_dnn_worked(m, cudnnCreate(&m->dnn), "starting") &&
           nnclr_device_dnn_worked(m, cudnnSetStream(m->dnn, m->stream), "starting");
}

cuda_machine *nnclr_machine_open(nnclr_pool *pool, bool bf16, nnclr_error *e) {
    (void)pool;
    cuda_machine *m = has_gpu(e) ? nnclr_alloc_zero(1, sizeof *m, e) : NULL;
    if (!m)
        return NULL;
    m->bf16 = bf16;
    if (connect(m))
        return m;
    *e = m->error;
    nnclr_machine_close(m);
    return NULL;
}

/* Nothing is said of a failure: what was computed has been read. */
void nnclr_machine_close(cuda_machine *m) {
    if (m->dnn)
        (void)cudnnDestroy(m->dnn);
    if (m->blas)
        (void)cublasLtDestroy(m->blas);
    if (m->workspace)
        (void)cudaFree(m->workspace);
    if (m->stream)
        (void)cudaStreamDestroy(m->stream);
    nnclr_free(m);
}

void *nnclr_machine_stream(cuda_machine *m) {
    return m->stream;
}

/* ---- memory ---- */

void *nnclr_machine_alloc(cuda_machine *m, size_t bytes, nnclr_error *e) {
    void *place = NULL;
    size_t left = 0, all = 0;
    if (cudaMalloc(&place, bytes > 0 ? bytes : 1) == cudaSuccess)
        return place;
    (void)cudaGetLastError(); /* or sync would say it again */
    (void)nnclr_device_worked(m, cudaMemGetInfo(&left, &all), "asking for free memory");
    nnclr_fail(
        e, NNCLR_ERROR_MEMORY,
        "out of memory on the GPU: %.2f GiB are needed at once, and %.2f of its %.2f GiB are "
        "free: give a smaller --micro-batch",
        (double)bytes / (1 << 30), (double)left / (1 << 30), (double)all / (1 << 30));
    return NULL;
}

/* Waits for all that may use it. */
void nnclr_machine_release(cuda_machine *m, void *place, size_t bytes) {
    (void)bytes;
    (void)nnclr_device_worked(m, cudaStreamSynchronize(m->stream), "computing");
    (void)nnclr_device_worked(m, cudaFree(place), "freeing memory");
}

void nnclr_machine_zero(cuda_machine *m, void *place, size_t bytes) {
    (void)nnclr_device_worked(m, cudaMemsetAsync(place, 0, bytes, m->stream), "clearing memory");
}

static void move(cuda_machine *m, void *to, const void *from, size_t bytes,
                 enum cudaMemcpyKind kind) {
    (void)nnclr_device_worked(m, cudaMemcpyAsync(to, from, bytes, kind, m->stream), "copying");
}

void nnclr_machine_copy(cuda_machine *m, void *to, const void *from, size_t bytes) {
    move(m, to, from, bytes, cudaMemcpyDeviceToDevice);
}

/* What comes from pageable memory has been read when the call returns. */
void nnclr_machine_put(cuda_machine *m, void *to, const void *from, size_t bytes) {
    move(m, to, from, bytes, cudaMemcpyHostToDevice);
}

void nnclr_machine_get(cuda_machine *m, void *to, const void *from, size_t bytes) {
    move(m, to, from, bytes, cudaMemcpyDeviceToHost);
    (void)nnclr_device_worked(m, cudaStreamSynchronize(m->stream), "computing");
}

/* ---- products ---- */

typedef struct product {
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulPreference_t preference;
} product;

/* cuBLASLt's matrices are column-major, so that it sees all of ours transposed: C' = B' A'. */
static bool describe(cuda_machine *m, product *p, bool transpose_a, bool transpose_b, int rows,
                     int columns, int depth) {
    const uint64_t wide = (uint64_t)columns, tall = (uint64_t)rows, deep = (uint64_t)depth;
    const cublasOperation_t of_a = transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                            of_b = transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    /* Ways to sum that always give the same bits. */
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const cublasStatus_t steps[] = {
        cublasLtMatmulDescCreate(&p->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
        cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_TRANSA, &of_a,
                                       sizeof of_a),
        cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_TRANSB, &of_b,
                                       sizeof of_b),
        cublasLtMatrixLayoutCreate(&p->a, CUDA_R_32F, transpose_b ? deep : wide,
                                   transpose_b ? wide : deep, transpose_b ? depth : columns),
        cublasLtMatrixLayoutCreate(&p->b, CUDA_R_32F, transpose_a ? tall : deep,
                                   transpose_a ? deep : tall, transpose_a ? rows : depth),
        cublasLtMatrixLayoutCreate(&p->c, CUDA_R_32F, wide, tall, columns),
        cublasLtMatmulPreferenceCreate(&p->preference),
        cublasLtMatmulPreferenceSetAttribute(p->preference,
                                             CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &workspace_bytes, sizeof workspace_bytes),
        cublasLtMatmulPreferenceSetAttribute(p->preference,
                                             CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                             &reductions, sizeof reductions),
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (!nnclr_device_blas_worked(m, steps[i], "describing a product"))
            return false;
    return true;
}

static void forget(product *p) {
    if (p->preference)
        (void)cublasLtMatmulPreferenceDestroy(p->preference);
    if (p->c)
        (void)cublasLtMatrixLayoutDestroy(p->c);
    if (p->b)
        (void)cublasLtMatrixLayoutDestroy(p->b);
    if (p->a)
        (void)cublasLtMatrixLayoutDestroy(p->a);
    if (p->operation)
        (void)cublasLtMatmulDescDestroy(p->operation);
}

static void multiply(cuda_machine *m, const product *p, float alpha, const float *a, const float *b,
                     float beta, float *c) {
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    if (!nnclr_device_blas_worked(m,
                                  cublasLtMatmulAlgoGetHeuristic(m->blas, p->operation, p->a, p->b,
                                                                 p->c, p->c, p->preference, 1,
                                                                 &found, &count),
                                  "choosing a product"))
        return;
    if (count == 0) {
        (void)failed(m, "multiplying", "cuBLASLt", "no algorithm serves");
        return;
    }
    (void)nnclr_device_blas_worked(m,
                                   cublasLtMatmul(m->blas, p->operation, &alpha, a, p->a, b, p->b,
                                                  &beta, c, p->c, c, p->c, &found.algo,
                                                  m->workspace, workspace_bytes, m->stream),
                                   "multiplying");
}

void nnclr_machine_gemm(cuda_machine *m, bool transpose_a, bool transpose_b, int rows, int columns,
                        int depth, double alpha, const float *a, const float *b, double beta,
                        float *c) {
    product p = {0};
    if (describe(m, &p, transpose_a, transpose_b, rows, columns, depth))
        multiply(m, &p, (float)alpha, b, a, (float)beta, c);
    forget(&p);
}
