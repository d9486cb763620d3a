/* Convolution: y[o] = sum over i and the kernel of w[o][i] x[i], square kernel, no bias. */
#include "net/ops.h"

static bool shape(const nnclr_network *net, const nnclr_op *op, nnclr_value *y, nnclr_error *e) {
    const nnclr_value *x = nnclr_network_value(net, (size_t)op->x);
    const nnclr_conv *conv = &op->conv;
    int span_h = x->h + 2 * conv->pad - conv->kernel, span_w = x->w + 2 * conv->pad - conv->kernel;
    if (span_h < 0 || span_w < 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "%s: pictures of %d x %d are smaller than its kernel", op->name, x->h,
                          x->w);
    y->h = span_h / conv->stride + 1;
    y->w = span_w / conv->stride + 1;
    y->c = conv->co;
    y->kind = NNCLR_ACTIVATION;
    return true;
}

static void forward(const nnclr_op_run *run, bool training) {
    (void)training;
    run->engine->table->conv_forward(run->engine, run->plan, run->x, run->packed, run->y,
                                     run->sums_of_y, run->workspace);
}

static void backward(const nnclr_op_run *run) {
    const nnclr_engine_table *table = run->engine->table;
    table->conv_backward_weights(run->engine, run->plan, run->x, run->dy, run->dweight[0],
                                 run->add_parameters, run->workspace);
    if (run->dx)
        table->conv_backward_data(run->engine, run->plan, run->dy, run->packed, run->dx, run->add_x,
                                  run->workspace);
}

static double macs(const nnclr_network *net, const nnclr_op *op) {
    const nnclr_value *y = nnclr_network_value(net, (size_t)op->y);
    const nnclr_conv *conv = &op->conv;
    return (double)y->h * y->w * conv->co * conv->ci * conv->kernel * conv->kernel;
}

const nnclr_op_type nnclr_op_conv = {
    .name = "conv",
    .shape = shape,
    .forward = forward,
    .backward = backward,
    .backward_reads_x = true,
    .macs = macs,
};

int nnclr_add_conv(nnclr_network *net, int x, const char *name, int co, int kernel, int stride,
                   int pad, nnclr_error *e) {
    if (x < 0 || !nnclr_network_reads(net, name, x, NNCLR_ACTIVATION, e))
        return -1;
    if (co < 1 || kernel < 1 || kernel > 31 || stride < 1 || pad < 0 || pad >= kernel) {
        nnclr_fail(e, NNCLR_ERROR_USAGE,
                   "%s: impossible: channels %d, kernel %d, stride %d, pad %d", name, co, kernel,
                   stride, pad);
        return -1;
    }
    nnclr_op op = nnclr_op_of(NNCLR_OP_CONV, x);
    op.conv = (nnclr_conv){nnclr_network_value(net, (size_t)x)->c, co, kernel, stride, pad};
    const int64_t dims[4] = {co, op.conv.ci, kernel, kernel};
    op.weight = nnclr_network_parameter(net, name, "weight", 4, dims, -1, e);
    return op.weight < 0 ? -1 : nnclr_network_append(net, name, op, e);
}
