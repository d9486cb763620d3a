/* Max-pool 3x3, stride 2, pad 1; and the mean over all of h and w, which turns pictures into rows.
 */
#include "net/ops.h"

static bool max_shape(const nnclr_network *net, const nnclr_op *op, nnclr_value *y,
                      nnclr_error *e) {
    (void)e;
    const nnclr_value *x = nnclr_network_value(net, (size_t)op->x);
    y->h = (x->h - 1) / 2 + 1;
    y->w = (x->w - 1) / 2 + 1;
    y->c = x->c;
    y->kind = NNCLR_ACTIVATION;
    return true;
}

static void max_forward(const nnclr_op_run *run, bool training) {
    (void)training;
    run->engine->table->maxpool_forward(run->engine, run->x, run->y);
}

static void max_backward(const nnclr_op_run *run) {
    if (run->dx)
        run->engine->table->maxpool_backward(run->engine, run->x, run->dy, run->dx, run->add_x);
}

const nnclr_op_type nnclr_op_maxpool = {
    .name = "maxpool",
    .shape = max_shape,
    .forward = max_forward,
    .backward = max_backward,
    .backward_reads_x = true,
};

static bool average_shape(const nnclr_network *net, const nnclr_op *op, nnclr_value *y,
                          nnclr_error *e) {
    (void)e;
    y->h = 1;
    y->w = 1;
    y->c = nnclr_network_value(net, (size_t)op->x)->c;
    y->kind = NNCLR_ROWS;
    return true;
}

static void average_forward(const nnclr_op_run *run, bool training) {
    (void)training;
    run->engine->table->average_forward(run->engine, run->x, run->y);
}

static void average_backward(const nnclr_op_run *run) {
    if (run->dx)
        run->engine->table->average_backward(run->engine, run->dy, run->dx, run->add_x);
}

const nnclr_op_type nnclr_op_average = {
    .name = "average",
    .shape = average_shape,
    .forward = average_forward,
    .backward = average_backward,
};

static int add_pool(nnclr_network *net, nnclr_op_kind kind, int x, const char *name,
                    nnclr_error *e) {
    if (x < 0 || !nnclr_network_reads(net, name, x, NNCLR_ACTIVATION, e))
        return -1;
    return nnclr_network_append(net, name, nnclr_op_of(kind, x), e);
}

int nnclr_add_maxpool(nnclr_network *net, int x, const char *name, nnclr_error *e) {
    return add_pool(net, NNCLR_OP_MAXPOOL, x, name, e);
}

int nnclr_add_average(nnclr_network *net, int x, const char *name, nnclr_error *e) {
    return add_pool(net, NNCLR_OP_AVERAGE, x, name, e);
}
