/* Batch norm: y = relu?( gamma (x - mean) / deviation + beta + rest ), in which rest is nothing, a
 * residual, or a second batch norm over its own input. Statistics are per group, of all ranks. */
#include <assert.h>

#include "net/ops.h"

static bool shape(const nnclr_network *net, const nnclr_op *op, nnclr_value *y, nnclr_error *e) {
    const nnclr_value *x = nnclr_network_value(net, (size_t)op->x);
    const int rest[] = {op->residual, op->second};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        if (rest[i] < 0)
            continue;
        const nnclr_value *r = nnclr_network_value(net, (size_t)rest[i]);
        if (r->h != x->h || r->w != x->w || r->c != x->c || r->kind != x->kind)
            return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: adds %d x %d x %d to %d x %d x %d",
                              op->name, r->h, r->w, r->c, x->h, x->w, x->c);
    }
    y->h = x->h;
    y->w = x->w;
    y->c = x->c;
    y->kind = x->kind;
    return true;
}

/* Whether x is normalised with what all ranks have of it. What comes in parts is not: each part has
 * statistics of its own, on whatever rank it is. */
static bool is_shared(const nnclr_op_run *run) {
    return run->communicator && !run->pool[0];
}

static nnclr_batchnorm side(const nnclr_op_run *run, int i) {
    const int n = run->x->shape.n;
    return (nnclr_batchnorm){
        .x = i ? run->second : run->x,
        .gamma = run->weight[i],
        .beta = run->bias[i],
        .running_mean = run->running_mean[i],
        .running_var = run->running_var[i],
        .sums = run->sums[i],
        .saved = run->saved[i],
        .n = is_shared(run) ? n * run->communicator->ranks : n,
        .pool = run->repeated ? NULL : run->pool[i],
        .pooled = run->part * n,
        .slopes = run->slopes[i],
        .dgamma = run->dweight[i],
        .dbeta = run->dbias[i],
        .add_parameters = run->add_parameters,
        .dx = i ? run->dsecond : run->dx,
    };
}

/* Sums of one rank become those of all: both branches' in one message. */
static void share(const nnclr_op_run *run, void *const sums[2]) {
    const nnclr_shape shape = run->x->shape;
    if (is_shared(run))
        nnclr_sum_statistics(run->communicator, run->engine, sums, run->second ? 2 : 1,
                             2 * (size_t)shape.groups * (size_t)shape.c);
}

static void find_sums(const nnclr_op_run *run) {
    const nnclr_engine_table *table = run->engine->table;
    if (run->recomputed) /* they are still there */
        return;
    if (!run->sums_given[0])
        table->batchnorm_sums(run->engine, run->x, run->sums[0]);
    if (run->second && !run->sums_given[1])
        table->batchnorm_sums(run->engine, run->second, run->sums[1]);
    share(run, run->sums);
}

/* The running statistics, once a batch. */
static void update_running(const nnclr_op_run *run, nnclr_batchnorm_call call,
                           nnclr_batchnorm second) {
    const nnclr_shape shape = run->x->shape;
    if (!run->running_mean[0] || run->repeated || run->part < run->parts - 1)
        return;
    if (run->communicator && run->pool[0]) {
        const int own = run->parts * shape.n, others = (run->communicator->ranks - 1) * own;
        nnclr_join_pools(run->communicator, run->engine, run->pool, run->second ? 2 : 1,
                         shape.groups, shape.c, (double)own * shape.h * shape.w);
        call.main.pooled += others;
        second.pooled += others;
    }
    call.second = run->second ? &second : NULL;
    run->engine->table->batchnorm_running(run->engine, &call);
}

static void forward(const nnclr_op_run *run, bool training) {
    const nnclr_engine_table *table = run->engine->table;
    nnclr_batchnorm second = side(run, 1);
    nnclr_batchnorm_call call = {
        .main = side(run, 0),
        .residual = run->residual,
        .second = run->second ? &second : NULL,
        .relu = run->op->relu,
        .y = run->y,
    };
    if (!training) {
        table->batchnorm_evaluate(run->engine, &call);
        return;
    }
    find_sums(run);
    table->batchnorm_train(run->engine, &call);
    update_running(run, call, second);
}

static void backward(const nnclr_op_run *run) {
    assert(!run->add_x); /* x and second have no other reader and are not seeded */
    nnclr_batchnorm second = side(run, 1);
    nnclr_batchnorm_call call = {
        .main = side(run, 0),
        .residual = run->residual,
        .second = run->second ? &second : NULL,
        .relu = run->op->relu,
        .y = run->y,
        .dy = run->dy,
        .dresidual = run->dresidual,
        .add_residual = run->add_residual,
    };
    run->engine->table->batchnorm_slopes(run->engine, &call);
    /* dx takes those of all ranks. dgamma and dbeta are made of this rank's, as the gradients of
     * parameters are averaged over ranks afterwards. */
    share(run, run->slopes);
    run->engine->table->batchnorm_backward(run->engine, &call);
}

const nnclr_op_type nnclr_op_batchnorm = {
    .name = "batchnorm",
    .shape = shape,
    .forward = forward,
    .backward = backward,
    .backward_reads_x = true,
    .backward_reads_y = true, /* where ReLU cut */
};

/* The four segments of one batch norm; the parameters go in front of segment `before`. */
static bool add_segments(nnclr_network *net, const char *name, int c, int before, int *weight,
                         int *bias, int *running, nnclr_error *e) {
    const int64_t dims[4] = {c};
    *weight = nnclr_network_parameter(net, name, "weight", 1, dims, before, e);
    if (*weight < 0)
        return false;
    *bias = nnclr_network_parameter(net, name, "bias", 1, dims, before < 0 ? -1 : before + 1, e);
    if (*bias < 0)
        return false;
    *running = nnclr_network_statistic(net, name, "running_mean", c, e);
    return *running >= 0 && nnclr_network_statistic(net, name, "running_var", c, e) >= 0;
}

int nnclr_add_batchnorm(nnclr_network *net, int x, const char *name, bool relu, int residual,
                        int second, const char *second_name, nnclr_error *e) {
    if (x < 0)
        return -1;
    bool known = (size_t)x < nnclr_network_value_count(net);
    nnclr_kind kind = known ? nnclr_network_value(net, (size_t)x)->kind : NNCLR_ROWS;
    if (!nnclr_network_reads(net, name, x, kind, e) ||
        (residual >= 0 && !nnclr_network_reads(net, name, residual, kind, e)) ||
        (second >= 0 && !nnclr_network_reads(net, name, second, kind, e)))
        return -1;
    if (residual >= 0 && second >= 0) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: adds either a residual or a second batch norm", name);
        return -1;
    }
    nnclr_op op = nnclr_op_of(NNCLR_OP_BATCHNORM, x);
    op.relu = relu;
    op.residual = residual;
    op.second = second;
    int c = nnclr_network_value(net, (size_t)x)->c, before = -1;
    if (second >= 0) {
        int producer = nnclr_network_value(net, (size_t)second)->producer;
        before = producer < 0 ? -1 : nnclr_network_op(net, (size_t)producer)->weight;
    }
    if (!add_segments(net, name, c, before, &op.weight, &op.bias, &op.running, e) ||
        (second >= 0 &&
         !add_segments(net, second_name, c, -1, &op.weight2, &op.bias2, &op.running2, e)))
        return -1;
    return nnclr_network_append(net, name, op, e);
}
