#include "net/lifetimes.h"

#include <limits.h>

#include "net/ops.h"

const char *const nnclr_use_names[NNCLR_USES] = {
    [NNCLR_USE_VALUE] = "value",
    [NNCLR_USE_GRADIENT] = "gradient",
    [NNCLR_USE_RECOMPUTED] = "recomputed",
    [NNCLR_USE_PACKED] = "packed",
    [NNCLR_USE_SUMS] = "sums",
    [NNCLR_USE_SAVED] = "saved",
    [NNCLR_USE_SLOPES] = "slopes",
    [NNCLR_USE_POOL] = "pool",
    [NNCLR_USE_NORMS] = "norms",
};

int nnclr_lifetimes_moments(const nnclr_lifetimes *l) {
    return (l->backward ? 2 : 1) * (l->end - l->begin);
}

/* Values that the caller reads and writes between passes. */
static bool kept(const nnclr_lifetimes *l, int value) {
    return value == l->last || (value == l->first && value != 0) ||
           nnclr_network_marked(l->net, value);
}

bool nnclr_lifetimes_recomputed(const nnclr_lifetimes *l, int value) {
    const nnclr_value *v = nnclr_network_value(l->net, (size_t)value);
    if (!l->backward || v->producer < l->begin || v->producer >= l->end || kept(l, value))
        return false;
    const nnclr_op *op = nnclr_network_op(l->net, (size_t)v->producer);
    return op->kind == NNCLR_OP_BATCHNORM && v->kind == NNCLR_ACTIVATION && op->residual < 0 &&
           op->second < 0;
}

typedef struct finder {
    const nnclr_lifetimes *lifetimes;
    nnclr_interval *intervals;
    int forward, backward; /* moments of the op at hand; backward -1: none */
} finder;

static nnclr_interval *block(const finder *f, nnclr_use use, int value) {
    return &f->intervals[(size_t)use * nnclr_network_value_count(f->lifetimes->net) +
                         (size_t)value];
}

static void touch(const finder *f, nnclr_use use, int value, int moment) {
    if (value < 0 || moment < 0)
        return;
    nnclr_interval *interval = block(f, use, value);
    interval->first = moment < interval->first ? moment : interval->first;
    interval->last = moment > interval->last ? moment : interval->last;
}

/* A value that the backward pass reads. */
static void touch_again(const finder *f, int value) {
    if (value < 0 || f->backward < 0)
        return;
    if (!nnclr_lifetimes_recomputed(f->lifetimes, value)) {
        touch(f, NNCLR_USE_VALUE, value, f->backward);
        return;
    }
    int producer = nnclr_network_value(f->lifetimes->net, (size_t)value)->producer;
    touch(f, NNCLR_USE_RECOMPUTED, value, f->backward);
    touch(f, NNCLR_USE_SUMS, nnclr_network_op(f->lifetimes->net, (size_t)producer)->x, f->backward);
}

static void touch_gradient(const finder *f, int value) {
    if (value >= 0 && nnclr_network_value(f->lifetimes->net, (size_t)value)->gradient)
        touch(f, NNCLR_USE_GRADIENT, value, f->backward);
}

/* From the first moment to the last. */
static void touch_throughout(const finder *f, nnclr_use use, int value) {
    touch(f, use, value, 0);
    touch(f, use, value, nnclr_lifetimes_moments(f->lifetimes) - 1);
}

/* What the batch norm of `value` works with. */
static void touch_statistics(const finder *f, int value) {
    if (value < 0 || !f->lifetimes->training)
        return;
    int producer = nnclr_network_value(f->lifetimes->net, (size_t)value)->producer;
    if (producer >= f->lifetimes->begin &&
        nnclr_network_op(f->lifetimes->net, (size_t)producer)->kind == NNCLR_OP_CONV)
        touch(f, NNCLR_USE_SUMS, value, producer - f->lifetimes->begin);
    touch(f, NNCLR_USE_SUMS, value, f->forward);
    touch(f, NNCLR_USE_SAVED, value, f->forward);
    touch(f, NNCLR_USE_SAVED, value, f->backward);
    touch(f, NNCLR_USE_SLOPES, value, f->backward);
    if (f->lifetimes->parts)
        touch_throughout(f, NNCLR_USE_POOL, value);
}

static void touch_op(const finder *f, const nnclr_op *op) {
    const nnclr_op_type *type = nnclr_op_types[op->kind];
    const int values[] = {op->x, op->y, op->residual, op->second};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        touch(f, NNCLR_USE_VALUE, values[i], f->forward);
        touch_gradient(f, values[i]);
    }
    if (type->backward_reads_x) {
        touch_again(f, op->x);
        touch_again(f, op->second);
    }
    if (type->backward_reads_y)
        touch_again(f, op->y);
    if (op->kind == NNCLR_OP_CONV) /* packed once, used in every pass */
        touch_throughout(f, NNCLR_USE_PACKED, op->y);
    if (op->kind == NNCLR_OP_BATCHNORM) {
        touch_statistics(f, op->x);
        touch_statistics(f, op->second);
    }
    if (op->kind == NNCLR_OP_L2NORM) {
        touch(f, NNCLR_USE_NORMS, op->y, f->forward);
        touch(f, NNCLR_USE_NORMS, op->y, f->backward);
    }
}

static void keep(const finder *f, nnclr_use use, int value) {
    nnclr_interval *interval = block(f, use, value);
    if (interval->first > interval->last)
        return;
    interval->first = 0;
    interval->last = nnclr_lifetimes_moments(f->lifetimes) - 1;
}

void nnclr_lifetimes_find(const nnclr_lifetimes *l, nnclr_interval *intervals) {
    int values = (int)nnclr_network_value_count(l->net), ops = l->end - l->begin;
    for (int i = 0; i < NNCLR_USES * values; i++)
        intervals[i] = (nnclr_interval){.first = INT_MAX, .last = -1};
    finder f = {.lifetimes = l, .intervals = intervals, .backward = -1};
    for (int i = 0; i < ops; i++) {
        f.forward = i;
        f.backward = l->backward ? 2 * ops - 1 - i : -1;
        touch_op(&f, nnclr_network_op(l->net, (size_t)(l->begin + i)));
    }
    touch(&f, NNCLR_USE_VALUE, l->first, 0); /* filled before the first moment */
    for (int v = 0; v < values; v++) {
        if (!kept(l, v))
            continue;
        keep(&f, NNCLR_USE_VALUE, v);
        keep(&f, NNCLR_USE_GRADIENT, v);
    }
}
