/* Convolutions, which the machine computes, with the weights' order and the sums of what they make;
 * and pooling. */
#include "base/memory.h"
#include "engine/conv_shape.h"
#include "engine/cuda/parts.h"

/* ---- convolution ---- */

typedef struct cuda_plan {
    nnclr_conv_plan base; /* first */
    cuda_conv *conv;
    size_t gradient_bytes; /* of the weights, at the start of the workspace */
} cuda_plan;

static const cuda_plan *plan_of(const nnclr_conv_plan *base) {
    return (const cuda_plan *)base;
}

static size_t weight_count(const nnclr_conv *conv) {
    return (size_t)conv->co * (size_t)conv->ci * (size_t)conv->kernel * (size_t)conv->kernel;
}

static void *rest_of(const cuda_plan *plan, void *workspace) {
    return (unsigned char *)workspace + plan->gradient_bytes;
}

nnclr_conv_plan *nnclr_cuda_conv_plan(nnclr_engine *g, const nnclr_conv *conv, nnclr_shape in,
                                      nnclr_error *e) {
    enum { ALIGNMENT = 256 };
    if (!nnclr_conv_check(conv, in, e))
        return NULL;
    cuda_plan *plan = nnclr_alloc_zero(1, sizeof *plan, e);
    if (!plan)
        return NULL;
    const size_t bytes = weight_count(conv) * sizeof(float);
    size_t workspace;
    plan->base = (nnclr_conv_plan){.conv = *conv,
                                   .in = in,
                                   .out = nnclr_conv_output(conv, in),
                                   .packed_bytes = weight_count(conv) * cuda_value_bytes(g)};
    plan->gradient_bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    plan->conv = nnclr_machine_conv_plan(cuda_state_of(g)->machine, &plan->base, &workspace, e);
    if (!plan->conv) {
        nnclr_free(plan);
        return NULL;
    }
    plan->base.workspace_bytes = plan->gradient_bytes + workspace;
    return &plan->base;
}

void nnclr_cuda_conv_plan_free(nnclr_engine *g, nnclr_conv_plan *base) {
    (void)g;
    if (base)
        nnclr_machine_conv_free(plan_of(base)->conv);
    nnclr_free(base);
}

void nnclr_cuda_conv_pack(nnclr_engine *g, const nnclr_conv_plan *base, const void *oihw,
                          void *packed) {
    const nnclr_conv *conv = &base->conv;
    const pack_call call = {.oihw = oihw,
                            .packed = {packed, cuda_state_of(g)->bf16},
                            .ci = conv->ci,
                            .area = conv->kernel * conv->kernel,
                            .count = weight_count(conv)};
    nnclr_launch_pack(cuda_state_of(g)->stream, cuda_spans(call.count), &call);
}

void nnclr_cuda_conv_forward(nnclr_engine *g, const nnclr_conv_plan *base, const nnclr_tensor *x,
                             const void *packed, const nnclr_tensor *y, void *sums,
                             void *workspace) {
    const cuda_plan *plan = plan_of(base);
    nnclr_machine_conv_forward(cuda_state_of(g)->machine, plan->conv,
                               nnclr_shape_pictures(x->shape), x->place, packed, y->place,
                               rest_of(plan, workspace));
    if (sums)
        nnclr_cuda_batchnorm_sums(g, y, sums);
}

void nnclr_cuda_conv_backward_data(nnclr_engine *g, const nnclr_conv_plan *base,
                                   const nnclr_tensor *dy, const void *packed,
                                   const nnclr_tensor *dx, bool add, void *workspace) {
    const cuda_plan *plan = plan_of(base);
    nnclr_machine_conv_backward_data(cuda_state_of(g)->machine, plan->conv,
                                     nnclr_shape_pictures(dy->shape), dy->place, packed, dx->place,
                                     add, rest_of(plan, workspace));
}

void nnclr_cuda_conv_backward_weights(nnclr_engine *g, const nnclr_conv_plan *base,
                                      const nnclr_tensor *x, const nnclr_tensor *dy, void *dweights,
                                      bool add, void *workspace) {
    const cuda_plan *plan = plan_of(base);
    const nnclr_conv *conv = &base->conv;
    const unpack_call call = {.packed = workspace,
                              .oihw = dweights,
                              .ci = conv->ci,
                              .area = conv->kernel * conv->kernel,
                              .add = add,
                              .count = weight_count(conv)};
    nnclr_machine_conv_backward_weights(cuda_state_of(g)->machine, plan->conv,
                                        nnclr_shape_pictures(x->shape), x->place, dy->place,
                                        workspace, rest_of(plan, workspace));
    nnclr_launch_unpack(cuda_state_of(g)->stream, cuda_spans(call.count), &call);
}

/* ---- pooling ---- */

static maxpool_call pool_call(const nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y) {
    return (maxpool_call){.x = cuda_values(g, x),
                          .y = cuda_values(g, y),
                          .h = x->shape.h,
                          .w = x->shape.w,
                          .c = x->shape.c,
                          .out_h = y->shape.h,
                          .out_w = y->shape.w};
}

void nnclr_cuda_maxpool_forward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y) {
    maxpool_call call = pool_call(g, x, y);
    call.count = cuda_count(y->shape);
    nnclr_launch_maxpool(cuda_state_of(g)->stream, cuda_spans(call.count), &call);
}

void nnclr_cuda_maxpool_backward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *dy,
                                 const nnclr_tensor *dx, bool add) {
    maxpool_call call = pool_call(g, x, dy);
    call.dx = cuda_values(g, dx);
    call.add = add;
    call.count = cuda_count(dx->shape);
    nnclr_launch_maxpool_back(cuda_state_of(g)->stream, cuda_spans(call.count), &call);
}

static average_call mean_call(const nnclr_engine *g, const nnclr_tensor *x, void *mean) {
    return (average_call){
        .x = cuda_values(g, x), .mean = mean, .pixels = x->shape.h * x->shape.w, .c = x->shape.c};
}

void nnclr_cuda_average_forward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y) {
    average_call call = mean_call(g, x, y->place);
    call.count = cuda_count(y->shape);
    nnclr_launch_average(cuda_state_of(g)->stream, cuda_spans(call.count), &call);
}

void nnclr_cuda_average_backward(nnclr_engine *g, const nnclr_tensor *dy, const nnclr_tensor *dx,
                                 bool add) {
    average_call call = mean_call(g, dx, dy->place);
    call.add = add;
    call.count = cuda_count(dx->shape);
    nnclr_launch_average_back(cuda_state_of(g)->stream, cuda_spans(call.count), &call);
}
