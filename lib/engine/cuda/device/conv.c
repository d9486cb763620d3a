/* Convolutions of a GPU with cuDNN: the plainest calls, and only algorithms that always give the
 * same bits. Floats are multiplied as floats, not as TF32. */
#include "base/memory.h"
#include "engine/cuda/device/device.h"
#include "engine/cuda/kernels/calls.h"

struct cuda_conv {
    cuda_machine *machine;
    nnclr_shape in, out;
    cudnnTensorDescriptor_t x, y; /* of as many pictures as the call has */
    cudnnFilterDescriptor_t weights;
    cudnnConvolutionDescriptor_t conv;
    cudnnConvolutionFwdAlgo_t forward;
    cudnnConvolutionBwdDataAlgo_t backward_data;
    cudnnConvolutionBwdFilterAlgo_t backward_weights;
    size_t workspace_bytes; /* of cuDNN; after it, at bf16, the weights' gradient as cuDNN has it */
    size_t weight_count;
};

static cudnnDataType_t type_of(const cuda_machine *m) {
    return m->bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

static bool set_pictures(const cuda_conv *c, int pictures) {
    cuda_machine *m = c->machine;
    return nnclr_device_dnn_worked(m,
                                   cudnnSetTensor4dDescriptor(c->x, CUDNN_TENSOR_NHWC, type_of(m),
                                                              pictures, c->in.c, c->in.h, c->in.w),
                                   "describing pictures") &&
           nnclr_device_dnn_worked(m,
                                   cudnnSetTensor4dDescriptor(c->y, CUDNN_TENSOR_NHWC, type_of(m),
                                                              pictures, c->out.c, c->out.h,
                                                              c->out.w),
                                   "describing pictures");
}

static bool describe(cuda_conv *c, const nnclr_conv *conv) {
    cuda_machine *m = c->machine;
    const char *what = "describing a convolution";
    return nnclr_device_dnn_worked(m, cudnnCreateTensorDescriptor(&c->x), what) &&
           nnclr_device_dnn_worked(m, cudnnCreateTensorDescriptor(&c->y), what) &&
           nnclr_device_dnn_worked(m, cudnnCreateFilterDescriptor(&c->weights), what) &&
           nnclr_device_dnn_worked(m, cudnnCreateConvolutionDescriptor(&c->conv), what) &&
           set_pictures(c, nnclr_shape_pictures(c->in)) &&
           nnclr_device_dnn_worked(m,
                                   cudnnSetFilter4dDescriptor(c->weights, type_of(m),
                                                              CUDNN_TENSOR_NHWC, conv->co, conv->ci,
                                                              conv->kernel, conv->kernel),
                                   what) &&
           nnclr_device_dnn_worked(m,
                                   cudnnSetConvolution2dDescriptor(
                                       c->conv, conv->pad, conv->pad, conv->stride, conv->stride, 1,
                                       1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
                                   what) &&
           nnclr_device_dnn_worked(m,
                                   cudnnSetConvolutionMathType(
                                       c->conv, m->bf16 ? CUDNN_TENSOR_OP_MATH : CUDNN_FMA_MATH),
                                   what);
}

/* ---- algorithms ---- */

static bool serves(cudnnStatus_t status, cudnnDeterminism_t determinism) {
    return status == CUDNN_STATUS_SUCCESS && determinism == CUDNN_DETERMINISTIC;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The first that serves of those that cuDNN offers, which come in the order of what it expects of
 * them; `found` is the call's, `offers` and `count` what it filled. */
#define TAKE_FIRST(c, found, offers, count, algorithm)                                             \
    do {                                                                                           \
        int first_ = 0;                                                                            \
        if (!nnclr_device_dnn_worked((c)->machine, found, "choosing a convolution"))               \
            return false;                                                                          \
        while (first_ < (count) && !serves((offers)[first_].status, (offers)[first_].determinism)) \
            first_++;                                                                              \
        if (first_ == (count))                                                                     \
            return nnclr_device_dnn_worked((c)->machine, CUDNN_STATUS_NOT_SUPPORTED,               \
                                           "choosing a convolution that repeats its bits");        \
        *(algorithm) = (offers)[first_].algo;                                                      \
        (c)->workspace_bytes = larger((c)->workspace_bytes, (offers)[first_].memory);              \
    } while (0)

enum { OFFERS = 16 };

static bool choose(cuda_conv *c) {
    cudnnHandle_t dnn = c->machine->dnn;
    cudnnConvolutionFwdAlgoPerf_t forward[OFFERS];
    cudnnConvolutionBwdDataAlgoPerf_t data[OFFERS];
    cudnnConvolutionBwdFilterAlgoPerf_t weights[OFFERS];
    int count = 0;
    TAKE_FIRST(c,
               cudnnGetConvolutionForwardAlgorithm_v7(dnn, c->x, c->weights, c->conv, c->y, OFFERS,
                                                      &count, forward),
               forward, count, &c->forward);
    TAKE_FIRST(c,
               cudnnGetConvolutionBackwardDataAlgorithm_v7(dnn, c->weights, c->y, c->conv, c->x,
                                                           OFFERS, &count, data),
               data, count, &c->backward_data);
    TAKE_FIRST(c,
               cudnnGetConvolutionBackwardFilterAlgorithm_v7(dnn, c->x, c->y, c->conv, c->weights,
                                                             OFFERS, &count, weights),
               weights, count, &c->backward_weights);
    return true;
}

/* ---- plans ---- */

cuda_conv *nnclr_machine_conv_plan(cuda_machine *m, const nnclr_conv_plan *plan,
                                   size_t *workspace_bytes, nnclr_error *e) {
    enum { ALIGNMENT = 256 };
    const nnclr_conv *conv = &plan->conv;
    cuda_conv *c = nnclr_alloc_zero(1, sizeof *c, e);
    if (!c)
        return NULL;
    c->machine = m;
    c->in = plan->in;
    c->out = plan->out;
    c->weight_count = (size_t)conv->co * (size_t)conv->ci * (size_t)(conv->kernel * conv->kernel);
    if (!describe(c, conv) || !choose(c)) {
        (void)nnclr_machine_sync(m, e);
        nnclr_machine_conv_free(c);
        return NULL;
    }
    c->workspace_bytes = (c->workspace_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    *workspace_bytes = c->workspace_bytes + (m->bf16 ? c->weight_count * 2 : 0);
    return c;
}

void nnclr_machine_conv_free(cuda_conv *c) {
    if (c->conv)
        (void)cudnnDestroyConvolutionDescriptor(c->conv);
    if (c->weights)
        (void)cudnnDestroyFilterDescriptor(c->weights);
    if (c->y)
        (void)cudnnDestroyTensorDescriptor(c->y);
    if (c->x)
        (void)cudnnDestroyTensorDescriptor(c->x);
    nnclr_free(c);
}

/* ---- the calls ---- */

void nnclr_machine_conv_forward(cuda_machine *m, const cuda_conv *c, int pictures, const void *x,
                                const void *weights, void *y, void *workspace) {
    const float one = 1, zero = 0;
    if (set_pictures(c, pictures))
        (void)nnclr_device_dnn_worked(
            m,
            cudnnConvolutionForward(m->dnn, &one, c->x, x, c->weights, weights, c->conv, c->forward,
                                    workspace, c->workspace_bytes, &zero, c->y, y),
            "a convolution");
}

void nnclr_machine_conv_backward_data(cuda_machine *m, const cuda_conv *c, int pictures,
                                      const void *dy, const void *weights, void *dx, bool add,
                                      void *workspace) {
    const float one = 1, keep = add;
    if (set_pictures(c, pictures))
        (void)nnclr_device_dnn_worked(
            m,
            cudnnConvolutionBackwardData(m->dnn, &one, c->weights, weights, c->y, dy, c->conv,
                                         c->backward_data, workspace, c->workspace_bytes, &keep,
                                         c->x, dx),
            "a convolution's gradient");
}

/* cuDNN has the weights' gradient in the type of the weights. */
void nnclr_machine_conv_backward_weights(cuda_machine *m, const cuda_conv *c, int pictures,
                                         const void *x, const void *dy, float *dweights,
                                         void *workspace) {
    const float one = 1, zero = 0;
    void *place = m->bf16 ? (unsigned char *)workspace + c->workspace_bytes : (void *)dweights;
    const convert_call widen = {{place, true}, {dweights, false}, c->weight_count};
    if (set_pictures(c, pictures) &&
        nnclr_device_dnn_worked(m,
                                cudnnConvolutionBackwardFilter(
                                    m->dnn, &one, c->x, x, c->y, dy, c->conv, c->backward_weights,
                                    workspace, c->workspace_bytes, &zero, c->weights, place),
                                "a convolution's gradient of weights") &&
        m->bf16)
        nnclr_launch_convert(m->stream, (int)((c->weight_count + SPAN - 1) / SPAN), &widen);
}
