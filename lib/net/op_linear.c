/* Linear layer on rows: y = x W^T + b. */
#include "net/ops.h"

static bool shape(const nnclr_network *net, const nnclr_op *op, nnclr_value *y, nnclr_error *e) {
    (void)e;
    y->h = 1;
    y->w = 1;
    y->c = (int)nnclr_network_segments(net)[op->weight].dims[0];
    y->kind = NNCLR_ROWS;
    return true;
}

static void forward(const nnclr_op_run *run, bool training) {
    (void)training;
    run->engine->table->linear_forward(run->engine, run->x, run->weight[0], run->bias[0], run->y);
}

static void backward(const nnclr_op_run *run) {
    const nnclr_engine_table *table = run->engine->table;
    table->linear_backward_weights(run->engine, run->x, run->dy, run->dweight[0], run->dbias[0],
                                   run->add_parameters);
    if (run->dx)
        table->linear_backward_data(run->engine, run->dy, run->weight[0], run->dx, run->add_x);
}

static double macs(const nnclr_network *net, const nnclr_op *op) {
    return (double)nnclr_network_segments(net)[op->weight].count;
}

const nnclr_op_type nnclr_op_linear = {
    .name = "linear",
    .shape = shape,
    .forward = forward,
    .backward = backward,
    .backward_reads_x = true,
    .macs = macs,
};

int nnclr_add_linear(nnclr_network *net, int x, const char *name, int out, bool bias,
                     nnclr_error *e) {
    if (x < 0 || !nnclr_network_reads(net, name, x, NNCLR_ROWS, e))
        return -1;
    nnclr_op op = nnclr_op_of(NNCLR_OP_LINEAR, x);
    const int64_t weight[4] = {out, nnclr_network_value(net, (size_t)x)->c}, row[4] = {out};
    op.weight = nnclr_network_parameter(net, name, "weight", 2, weight, -1, e);
    if (op.weight < 0)
        return -1;
    if (bias) {
        op.bias = nnclr_network_parameter(net, name, "bias", 1, row, -1, e);
        if (op.bias < 0)
            return -1;
    }
    return nnclr_network_append(net, name, op, e);
}
