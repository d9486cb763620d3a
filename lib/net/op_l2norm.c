/* L2 normalisation of rows: y = x / |x|. */
#include "net/ops.h"

static bool shape(const nnclr_network *net, const nnclr_op *op, nnclr_value *y, nnclr_error *e) {
    (void)e;
    y->h = 1;
    y->w = 1;
    y->c = nnclr_network_value(net, (size_t)op->x)->c;
    y->kind = NNCLR_ROWS;
    return true;
}

static void forward(const nnclr_op_run *run, bool training) {
    (void)training;
    run->engine->table->l2norm_forward(run->engine, run->x, run->y, run->norms);
}

static void backward(const nnclr_op_run *run) {
    if (run->dx)
        run->engine->table->l2norm_backward(run->engine, run->y, run->norms, run->dy, run->dx,
                                            run->add_x);
}

const nnclr_op_type nnclr_op_l2norm = {
    .name = "l2norm",
    .shape = shape,
    .forward = forward,
    .backward = backward,
    .backward_reads_y = true,
};

int nnclr_add_l2norm(nnclr_network *net, int x, const char *name, nnclr_error *e) {
    if (x < 0 || !nnclr_network_reads(net, name, x, NNCLR_ROWS, e))
        return -1;
    return nnclr_network_append(net, name, nnclr_op_of(NNCLR_OP_L2NORM, x), e);
}
