#include "net/network.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "net/model.h"
#include "net/ops.h"

enum { MAX_SIDE = 1 << 15, MAX_CHANNELS = 1 << 20 };

typedef struct segment_list {
    nnclr_segment *item;
    size_t count, capacity;
    size_t reals;
} segment_list;

typedef struct mark {
    char name[32];
    int value;
} mark;

struct nnclr_network {
    nnclr_op *ops;
    size_t op_count, op_capacity;
    nnclr_value *values;
    size_t value_count, value_capacity;
    mark *marks;
    size_t mark_count, mark_capacity;
    segment_list parameters, statistics;
};

const nnclr_op_type *const nnclr_op_types[NNCLR_OP_KINDS] = {
    [NNCLR_OP_CONV] = &nnclr_op_conv,       [NNCLR_OP_BATCHNORM] = &nnclr_op_batchnorm,
    [NNCLR_OP_MAXPOOL] = &nnclr_op_maxpool, [NNCLR_OP_AVERAGE] = &nnclr_op_average,
    [NNCLR_OP_LINEAR] = &nnclr_op_linear,   [NNCLR_OP_L2NORM] = &nnclr_op_l2norm,
};

/* ---- building ---- */

static int append_value(nnclr_network *net, nnclr_value value, const char *name, nnclr_error *e) {
    if (value.h < 1 || value.w < 1 || value.c < 1) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: its output would be %d x %d x %d", name, value.h,
                   value.w, value.c);
        return -1;
    }
    if (value.h > MAX_SIDE || value.w > MAX_SIDE || value.c > MAX_CHANNELS) {
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: its output of %d x %d x %d is too large", name,
                   value.h, value.w, value.c);
        return -1;
    }
    if (!nnclr_reserve(&net->values, &net->value_capacity, net->value_count + 1,
                       sizeof *net->values, e))
        return -1;
    net->values[net->value_count] = value;
    return (int)net->value_count++;
}

nnclr_network *nnclr_network_create(int h, int w, int c, nnclr_error *e) {
    nnclr_network *net = nnclr_alloc_zero(1, sizeof *net, e);
    nnclr_value input = {.h = h, .w = w, .c = c, .kind = NNCLR_ACTIVATION, .producer = -1};
    if (net && append_value(net, input, "the network's input", e) < 0) {
        nnclr_network_free(net);
        return NULL;
    }
    return net;
}

void nnclr_network_free(nnclr_network *net) {
    if (!net)
        return;
    nnclr_free(net->ops);
    nnclr_free(net->values);
    nnclr_free(net->marks);
    nnclr_free(net->parameters.item);
    nnclr_free(net->statistics.item);
    nnclr_free(net);
}

nnclr_op nnclr_op_of(nnclr_op_kind kind, int x) {
    return (nnclr_op){.kind = kind,
                      .x = x,
                      .y = -1,
                      .residual = -1,
                      .second = -1,
                      .weight = -1,
                      .bias = -1,
                      .weight2 = -1,
                      .bias2 = -1,
                      .running = -1,
                      .running2 = -1};
}

bool nnclr_network_reads(const nnclr_network *net, const char *name, int value, nnclr_kind kind,
                         nnclr_error *e) {
    if (value < 0 || (size_t)value >= net->value_count)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: there is no value %d to read", name, value);
    if (net->values[value].kind != kind)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: reads %s, but value %d holds %s", name,
                          kind == NNCLR_ROWS ? "rows" : "pictures", value,
                          kind == NNCLR_ROWS ? "pictures" : "rows");
    return true;
}

static bool segment_init(nnclr_segment *segment, const char *name, const char *suffix, int rank,
                         const int64_t dims[4], nnclr_error *e) {
    *segment = (nnclr_segment){.count = 1, .rank = rank, .decays = rank > 1, .adapts = rank > 1};
    int length = snprintf(segment->name, sizeof segment->name, "%s.%s", name, suffix);
    if (length < 0 || (size_t)length >= sizeof segment->name)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s.%s: the name is too long", name, suffix);
    for (int i = 0; i < rank; i++) {
        segment->dims[i] = dims[i];
        if (dims[i] < 1 || !nnclr_size_mul(segment->count, (size_t)dims[i], &segment->count))
            return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: impossible shape", segment->name);
    }
    return true;
}

/* The segments after position `at` move up. */
static bool segment_insert(segment_list *list, size_t at, nnclr_segment segment, nnclr_error *e) {
    size_t reals;
    if (!nnclr_size_add(list->reals, segment.count, &reals))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: the network is too large", segment.name);
    if (!nnclr_reserve(&list->item, &list->capacity, list->count + 1, sizeof *list->item, e))
        return false;
    segment.offset = at < list->count ? list->item[at].offset : list->reals;
    memmove(&list->item[at + 1], &list->item[at], (list->count - at) * sizeof *list->item);
    list->item[at] = segment;
    list->count++;
    list->reals = reals;
    for (size_t i = at + 1; i < list->count; i++)
        list->item[i].offset += segment.count;
    return true;
}

static void move_up(int *segment, int from) {
    if (*segment >= from)
        ++*segment;
}

int nnclr_network_parameter(nnclr_network *net, const char *name, const char *suffix, int rank,
                            const int64_t dims[4], int before, nnclr_error *e) {
    int at = before < 0 ? (int)net->parameters.count : before;
    nnclr_segment segment;
    if (!segment_init(&segment, name, suffix, rank, dims, e) ||
        !segment_insert(&net->parameters, (size_t)at, segment, e))
        return -1;
    for (size_t i = 0; i < net->op_count; i++) {
        nnclr_op *op = &net->ops[i];
        move_up(&op->weight, at);
        move_up(&op->bias, at);
        move_up(&op->weight2, at);
        move_up(&op->bias2, at);
    }
    return at;
}

int nnclr_network_statistic(nnclr_network *net, const char *name, const char *suffix, int c,
                            nnclr_error *e) {
    nnclr_segment segment;
    if (!segment_init(&segment, name, suffix, 1, (const int64_t[4]){c}, e) ||
        !segment_insert(&net->statistics, net->statistics.count, segment, e))
        return -1;
    return (int)net->statistics.count - 1;
}

static bool batchnorm_reads(const nnclr_network *net, int value) {
    for (size_t i = 0; i < net->op_count; i++) {
        const nnclr_op *op = &net->ops[i];
        if (op->kind == NNCLR_OP_BATCHNORM && (op->x == value || op->second == value))
            return true;
    }
    return false;
}

/* The gradient that batch norm writes for what it normalises is never a sum, so that value has no
 * other reader; and it has a gradient at all. */
static bool may_normalise(const nnclr_network *net, const char *name, int value, nnclr_error *e) {
    if (net->values[value].readers > 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: value %d is read by another operator too",
                          name, value);
    if (!net->values[value].gradient)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: value %d depends on no parameter", name,
                          value);
    return true;
}

static bool may_read(const nnclr_network *net, const char *name, const nnclr_op *op,
                     nnclr_error *e) {
    const int reads[] = {op->x, op->residual, op->second};
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++)
        if (reads[i] >= 0 && batchnorm_reads(net, reads[i]))
            return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: value %d belongs to a batch norm", name,
                              reads[i]);
    if (op->kind != NNCLR_OP_BATCHNORM)
        return true;
    if (op->x == op->residual || op->x == op->second)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: reads value %d twice", name, op->x);
    if (op->residual >= 0 && !net->values[op->residual].gradient)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: value %d depends on no parameter", name,
                          op->residual);
    return may_normalise(net, name, op->x, e) &&
           (op->second < 0 || may_normalise(net, name, op->second, e));
}

static void want_sums(nnclr_network *net, int value) {
    int producer = value < 0 ? -1 : net->values[value].producer;
    if (producer < 0)
        return;
    nnclr_op *op = &net->ops[producer];
    op->sums = op->kind == NNCLR_OP_CONV || op->kind == NNCLR_OP_LINEAR;
}

int nnclr_network_append(nnclr_network *net, const char *name, nnclr_op op, nnclr_error *e) {
    int length = snprintf(op.name, sizeof op.name, "%s", name);
    if (length < 0 || (size_t)length >= sizeof op.name) {
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: the name is too long", name);
        return -1;
    }
    nnclr_value y = {.producer = (int)net->op_count,
                     .gradient = op.weight >= 0 || net->values[op.x].gradient};
    if (!may_read(net, name, &op, e) || !nnclr_op_types[op.kind]->shape(net, &op, &y, e) ||
        !nnclr_reserve(&net->ops, &net->op_capacity, net->op_count + 1, sizeof *net->ops, e))
        return -1;
    op.y = append_value(net, y, name, e);
    if (op.y < 0)
        return -1;
    net->values[op.x].readers++;
    if (op.residual >= 0)
        net->values[op.residual].readers++;
    if (op.second >= 0)
        net->values[op.second].readers++;
    if (op.kind == NNCLR_OP_BATCHNORM) {
        want_sums(net, op.x);
        want_sums(net, op.second);
    }
    net->ops[net->op_count++] = op;
    return op.y;
}

bool nnclr_network_mark(nnclr_network *net, const char *name, int value, nnclr_error *e) {
    if (value < 0 || (size_t)value >= net->value_count)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "mark %s: there is no value %d", name, value);
    if (nnclr_network_find(net, name) >= 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "mark %s: is there already", name);
    if (strlen(name) >= sizeof net->marks->name)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "mark %s: the name is too long", name);
    if (!nnclr_reserve(&net->marks, &net->mark_capacity, net->mark_count + 1, sizeof *net->marks,
                       e))
        return false;
    mark *new = &net->marks[net->mark_count++];
    memcpy(new->name, name, strlen(name) + 1);
    new->value = value;
    return true;
}

/* ---- reading ---- */

int nnclr_network_find(const nnclr_network *net, const char *name) {
    for (size_t i = 0; i < net->mark_count; i++)
        if (strcmp(net->marks[i].name, name) == 0)
            return net->marks[i].value;
    return -1;
}

bool nnclr_network_marked(const nnclr_network *net, int value) {
    for (size_t i = 0; i < net->mark_count; i++)
        if (net->marks[i].value == value)
            return true;
    return false;
}

size_t nnclr_network_op_count(const nnclr_network *net) {
    return net->op_count;
}
const nnclr_op *nnclr_network_op(const nnclr_network *net, size_t i) {
    return &net->ops[i];
}
size_t nnclr_network_value_count(const nnclr_network *net) {
    return net->value_count;
}
const nnclr_value *nnclr_network_value(const nnclr_network *net, size_t i) {
    return &net->values[i];
}

size_t nnclr_network_segment_count(const nnclr_network *net) {
    return net->parameters.count;
}
const nnclr_segment *nnclr_network_segments(const nnclr_network *net) {
    return net->parameters.item;
}
size_t nnclr_network_parameter_count(const nnclr_network *net) {
    return net->parameters.reals;
}
size_t nnclr_network_statistic_segment_count(const nnclr_network *net) {
    return net->statistics.count;
}
const nnclr_segment *nnclr_network_statistic_segments(const nnclr_network *net) {
    return net->statistics.item;
}
size_t nnclr_network_statistic_count(const nnclr_network *net) {
    return net->statistics.reals;
}

static double op_macs(const nnclr_network *net, const nnclr_op *op) {
    const nnclr_op_type *type = nnclr_op_types[op->kind];
    return type->macs ? type->macs(net, op) : 0;
}

double nnclr_network_macs(const nnclr_network *net, size_t from, size_t to) {
    double macs = 0;
    for (size_t i = from; i < to && i < net->op_count; i++)
        macs += op_macs(net, &net->ops[i]);
    return macs;
}

/* ---- printing ---- */

static size_t op_parameters(const nnclr_network *net, const nnclr_op *op) {
    const int segments[] = {op->weight, op->bias, op->weight2, op->bias2};
    size_t reals = 0;
    for (size_t i = 0; i < sizeof segments / sizeof *segments; i++)
        if (segments[i] >= 0)
            reals += net->parameters.item[segments[i]].count;
    return reals;
}

bool nnclr_network_print(const nnclr_network *net, nnclr_buffer *out, nnclr_error *e) {
    if (!nnclr_buffer_printf(out, e, "op\tkind\theight\twidth\tchannels\tparameters\tmacs\n"))
        return false;
    for (size_t i = 0; i < net->op_count; i++) {
        const nnclr_op *op = &net->ops[i];
        const nnclr_value *y = &net->values[op->y];
        if (!nnclr_buffer_printf(out, e, "%s\t%s\t%d\t%d\t%d\t%zu\t%.0f\n", op->name,
                                 nnclr_op_types[op->kind]->name, y->h, y->w, y->c,
                                 op_parameters(net, op), op_macs(net, op)))
            return false;
    }
    return nnclr_buffer_printf(out, e, "total\t\t\t\t\t%zu\t%.0f\n", net->parameters.reals,
                               nnclr_network_macs(net, 0, net->op_count));
}
