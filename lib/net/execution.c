#include "net/execution.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "base/memory.h"
#include "net/lifetimes.h"
#include "net/ops.h"

struct nnclr_execution {
    nnclr_parameters *parameters; /* the caller's */
    nnclr_engine *engine;
    nnclr_lifetimes lifetimes; /* which ops, and whether training */
    int groups, n;             /* n as planned */
    size_t values;
    nnclr_tensor *tensors, *gradients; /* [values]; place NULL if not planned */
    bool *filled;                      /* [values] whose gradient has a contribution or a seed */
    bool *recomputed;                  /* [values] that are made again for the backward pass */
    bool accumulate;                   /* parameters' gradients are added to */
    nnclr_conv_plan **plans;           /* [ops of the range]; NULL if not a convolution */
    nnclr_op_run *runs;                /* [ops of the range] */
    nnclr_interval *intervals;         /* [NNCLR_USES * values], then the workspace */
    void *arena;
    size_t arena_bytes;
};

/* ---- creation ---- */

static size_t interval_count(const nnclr_execution *x) {
    return NNCLR_USES * x->values + 1;
}

static const nnclr_op *op_at(const nnclr_execution *x, int i) {
    return nnclr_network_op(x->lifetimes.net, (size_t)i);
}

static int op_count(const nnclr_execution *x) {
    return x->lifetimes.end - x->lifetimes.begin;
}

static const nnclr_value *value_at(const nnclr_execution *x, int value) {
    return nnclr_network_value(x->lifetimes.net, (size_t)value);
}

static nnclr_shape shape_of(const nnclr_execution *x, int value) {
    const nnclr_value *v = value_at(x, value);
    return (nnclr_shape){x->groups, x->n, v->h, v->w, v->c};
}

static bool choose_range(nnclr_execution *x, int first, int last, nnclr_error *e) {
    const nnclr_network *net = x->parameters->net;
    int ops = (int)nnclr_network_op_count(net);
    if (last < 0 && ops > 0)
        last = nnclr_network_op(net, (size_t)ops - 1)->y;
    if (first < 0 || last <= first || (size_t)last >= x->values)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "a network cannot be run from value %d to %d",
                          first, last);
    x->lifetimes.net = net;
    x->lifetimes.first = first;
    x->lifetimes.last = last;
    x->lifetimes.begin = value_at(x, first)->producer + 1;
    x->lifetimes.end = value_at(x, last)->producer + 1;
    for (int i = x->lifetimes.begin; i < x->lifetimes.end; i++) {
        const nnclr_op *op = op_at(x, i);
        const int reads[] = {op->x, op->residual, op->second};
        for (size_t j = 0; j < sizeof reads / sizeof *reads; j++)
            if (reads[j] >= 0 && reads[j] != first &&
                value_at(x, reads[j])->producer < x->lifetimes.begin)
                return nnclr_fail(e, NNCLR_ERROR_USAGE,
                                  "value %d is not a cut of the network: %s reads value %d too",
                                  first, op->name, reads[j]);
    }
    return true;
}

/* So far below the end of size_t that no product an engine forms of these can overflow. */
static bool check_sizes(const nnclr_execution *x, nnclr_error *e) {
    const size_t limit = (size_t)1 << 44;
    for (size_t v = 0; v < x->values; v++) {
        nnclr_shape s = shape_of(x, (int)v);
        size_t reals = (size_t)s.groups;
        const int factors[] = {s.n, s.h, s.w, s.c};
        for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
            if (!nnclr_size_mul(reals, (size_t)factors[i], &reals) || reals > limit ||
                (i == 0 && reals > INT_MAX))
                return nnclr_fail(e, NNCLR_ERROR_LIMIT, "a batch of %d groups of %d is too large",
                                  s.groups, s.n);
    }
    return true;
}

static bool plan_convolutions(nnclr_execution *x, nnclr_error *e) {
    for (int i = 0; i < op_count(x); i++) {
        const nnclr_op *op = op_at(x, x->lifetimes.begin + i);
        if (op->kind != NNCLR_OP_CONV)
            continue;
        x->plans[i] = x->engine->table->conv_plan(x->engine, &op->conv, shape_of(x, op->x), e);
        if (!x->plans[i])
            return nnclr_fail_at(e, "%s", op->name);
    }
    return true;
}

static size_t block_bytes(const nnclr_execution *x, nnclr_use use, int value) {
    const nnclr_engine_table *table = x->engine->table;
    const nnclr_value *v = value_at(x, value);
    switch (use) {
    case NNCLR_USE_VALUE:
    case NNCLR_USE_GRADIENT:
    case NNCLR_USE_RECOMPUTED:
        return table->tensor_bytes(x->engine, shape_of(x, value), v->kind);
    case NNCLR_USE_PACKED:
        return x->plans[v->producer - x->lifetimes.begin]->packed_bytes;
    case NNCLR_USE_SUMS:
    case NNCLR_USE_SAVED:
    case NNCLR_USE_SLOPES:
    case NNCLR_USE_POOL:
        return table->statistics_bytes(x->engine, x->groups, v->c);
    case NNCLR_USE_NORMS:
        return (size_t)x->groups * (size_t)x->n * nnclr_real_bytes(x->engine);
    case NNCLR_USES:
        break;
    }
    return 0;
}

static bool plan_memory(nnclr_execution *x, nnclr_error *e) {
    nnclr_lifetimes_find(&x->lifetimes, x->intervals);
    for (size_t i = 0; i < NNCLR_USES * x->values; i++) {
        nnclr_interval *interval = &x->intervals[i];
        if (interval->first > interval->last)
            *interval = (nnclr_interval){0};
        else
            interval->bytes = block_bytes(x, (nnclr_use)(i / x->values), (int)(i % x->values));
    }
    size_t workspace = 0;
    for (int i = 0; i < op_count(x); i++)
        if (x->plans[i] && x->plans[i]->workspace_bytes > workspace)
            workspace = x->plans[i]->workspace_bytes;
    x->intervals[NNCLR_USES * x->values] = (nnclr_interval){
        .bytes = workspace, .first = 0, .last = nnclr_lifetimes_moments(&x->lifetimes) - 1};
    return nnclr_memory_plan(x->intervals, interval_count(x), &x->arena_bytes, e);
}

static void *place(const nnclr_execution *x, size_t interval) {
    const nnclr_interval *i = &x->intervals[interval];
    return i->bytes > 0 ? (unsigned char *)x->arena + i->offset : NULL;
}

static void *block_of(const nnclr_execution *x, nnclr_use use, int value) {
    return value < 0 ? NULL : place(x, (size_t)use * x->values + (size_t)value);
}

static void bind_tensors(nnclr_execution *x) {
    for (int v = 0; v < (int)x->values; v++) {
        nnclr_tensor tensor = {.shape = shape_of(x, v), .kind = value_at(x, v)->kind};
        x->tensors[v] = x->gradients[v] = tensor;
        x->tensors[v].place = block_of(x, NNCLR_USE_VALUE, v);
        x->gradients[v].place = block_of(x, NNCLR_USE_GRADIENT, v);
    }
}

static const nnclr_tensor *tensor_or_null(const nnclr_tensor *tensors, int value) {
    return value >= 0 && tensors[value].place ? &tensors[value] : NULL;
}

/* Address of a segment inside one of the flat buffers; NULL if either is absent. */
static void *segment_of(const nnclr_execution *x, const nnclr_segment *segments, void *reals,
                        int segment) {
    return reals && segment >= 0 ? nnclr_real_at(x->engine, reals, segments[segment].offset) : NULL;
}

static void bind_weights(const nnclr_execution *x, nnclr_op_run *run, int i, int weight, int bias,
                         int running, int normalised) {
    const nnclr_parameters *p = x->parameters;
    const nnclr_segment *segments = nnclr_network_segments(p->net),
                        *statistics = nnclr_network_statistic_segments(p->net);
    run->weight[i] = segment_of(x, segments, p->weights, weight);
    run->bias[i] = segment_of(x, segments, p->weights, bias);
    run->dweight[i] = segment_of(x, segments, p->gradients, weight);
    run->dbias[i] = segment_of(x, segments, p->gradients, bias);
    if (running < 0)
        return;
    run->running_mean[i] = segment_of(x, statistics, p->statistics, running);
    run->running_var[i] = segment_of(x, statistics, p->statistics, running + 1);
    run->sums[i] = block_of(x, NNCLR_USE_SUMS, normalised);
    run->saved[i] = block_of(x, NNCLR_USE_SAVED, normalised);
    run->slopes[i] = block_of(x, NNCLR_USE_SLOPES, normalised);
    run->pool[i] = block_of(x, NNCLR_USE_POOL, normalised);
    int producer = value_at(x, normalised)->producer;
    run->sums_given[i] =
        producer >= x->lifetimes.begin && op_at(x, producer)->kind == NNCLR_OP_CONV;
}

static void bind_op(const nnclr_execution *x, int i, nnclr_op_run *run) {
    const nnclr_op *op = op_at(x, x->lifetimes.begin + i);
    *run = (nnclr_op_run){
        .engine = x->engine,
        .op = op,
        .x = tensor_or_null(x->tensors, op->x),
        .y = tensor_or_null(x->tensors, op->y),
        .residual = tensor_or_null(x->tensors, op->residual),
        .second = tensor_or_null(x->tensors, op->second),
        .dx = tensor_or_null(x->gradients, op->x),
        .dy = tensor_or_null(x->gradients, op->y),
        .dresidual = tensor_or_null(x->gradients, op->residual),
        .dsecond = tensor_or_null(x->gradients, op->second),
        .plan = x->plans[i],
        .packed = block_of(x, NNCLR_USE_PACKED, op->y),
        .workspace = place(x, NNCLR_USES * x->values),
        .sums_of_y = block_of(x, NNCLR_USE_SUMS, op->y),
        .norms = block_of(x, NNCLR_USE_NORMS, op->y),
        .parts = 1,
    };
    bind_weights(x, run, 0, op->weight, op->bias, op->running, op->x);
    bind_weights(x, run, 1, op->weight2, op->bias2, op->running2, op->second);
}

static bool allocate_tables(nnclr_execution *x, nnclr_error *e) {
    size_t ops = (size_t)op_count(x);
    x->tensors = nnclr_alloc_zero(x->values, sizeof *x->tensors, e);
    if (!x->tensors)
        return false;
    x->gradients = nnclr_alloc_zero(x->values, sizeof *x->gradients, e);
    if (!x->gradients)
        return false;
    x->filled = nnclr_alloc_zero(x->values, sizeof *x->filled, e);
    if (!x->filled)
        return false;
    x->recomputed = nnclr_alloc_zero(x->values, sizeof *x->recomputed, e);
    if (!x->recomputed)
        return false;
    x->plans = nnclr_alloc_zero(ops, sizeof(nnclr_conv_plan *), e);
    if (!x->plans)
        return false;
    x->runs = nnclr_alloc_zero(ops, sizeof *x->runs, e);
    if (!x->runs)
        return false;
    x->intervals = nnclr_alloc_zero(interval_count(x), sizeof *x->intervals, e);
    return x->intervals != NULL;
}

static bool plan(nnclr_execution *x, int first, int last, nnclr_error *e) {
    return choose_range(x, first, last, e) && check_sizes(x, e) && allocate_tables(x, e) &&
           plan_convolutions(x, e) && plan_memory(x, e);
}

static bool create(nnclr_execution *x, int first, int last, nnclr_error *e) {
    if (!plan(x, first, last, e))
        return false;
    x->arena = x->engine->table->arena_create(x->engine, x->arena_bytes, e);
    if (!x->arena)
        return false;
    bind_tensors(x);
    for (int i = 0; i < op_count(x); i++)
        bind_op(x, i, &x->runs[i]);
    return true;
}

/* Nothing in it is planned yet. */
static nnclr_execution *begin(nnclr_parameters *parameters, nnclr_mode mode, int groups, int n,
                              nnclr_error *e) {
    if (groups < 1 || n < 1) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "a batch of %d groups of %d is impossible", groups, n);
        return NULL;
    }
    nnclr_execution *x = nnclr_alloc_zero(1, sizeof *x, e);
    if (!x)
        return NULL;
    x->parameters = parameters;
    x->engine = parameters->engine;
    x->groups = groups;
    x->n = n;
    x->values = nnclr_network_value_count(parameters->net);
    x->lifetimes.training = mode != NNCLR_EVALUATION;
    x->lifetimes.backward = x->lifetimes.training && mode != NNCLR_FORWARD;
    x->lifetimes.parts = mode == NNCLR_TRAINING_PARTS;
    return x;
}

nnclr_execution *nnclr_execution_create_range(nnclr_parameters *parameters, nnclr_mode mode,
                                              int groups, int n, int first, int last,
                                              nnclr_error *e) {
    assert(mode == NNCLR_EVALUATION || mode == NNCLR_FORWARD || parameters->gradients);
    nnclr_execution *x = begin(parameters, mode, groups, n, e);
    if (x && create(x, first, last, e))
        return x;
    nnclr_execution_free(x);
    return NULL;
}

bool nnclr_execution_measure(const nnclr_network *net, nnclr_engine *engine, nnclr_mode mode,
                             int groups, int n, int first, int last, size_t *bytes,
                             nnclr_error *e) {
    nnclr_parameters none = {.net = net, .engine = engine};
    nnclr_execution *x = begin(&none, mode, groups, n, e);
    bool ok = x && plan(x, first, last, e);
    *bytes = ok ? x->arena_bytes : 0;
    nnclr_execution_free(x);
    return ok;
}

nnclr_execution *nnclr_execution_create(nnclr_parameters *parameters, nnclr_mode mode, int groups,
                                        int n, int last, nnclr_error *e) {
    return nnclr_execution_create_range(parameters, mode, groups, n, 0, last, e);
}

void nnclr_execution_free(nnclr_execution *x) {
    if (!x)
        return;
    if (x->arena)
        x->engine->table->arena_free(x->engine, x->arena, x->arena_bytes);
    for (int i = 0; x->plans && i < op_count(x); i++)
        if (x->plans[i])
            x->engine->table->conv_plan_free(x->engine, x->plans[i]);
    nnclr_free(x->intervals);
    nnclr_free(x->runs);
    nnclr_free(x->plans);
    nnclr_free(x->recomputed);
    nnclr_free(x->filled);
    nnclr_free(x->gradients);
    nnclr_free(x->tensors);
    nnclr_free(x);
}

/* ---- running ---- */

void nnclr_execution_share(nnclr_execution *x, nnclr_communicator *communicator) {
    for (int i = 0; i < op_count(x); i++)
        x->runs[i].communicator = communicator->ranks > 1 ? communicator : NULL;
}

void nnclr_execution_pack(nnclr_execution *x) {
    for (int i = 0; i < op_count(x); i++)
        if (x->plans[i])
            x->engine->table->conv_pack(x->engine, x->plans[i], x->runs[i].weight[0],
                                        x->runs[i].packed);
}

void nnclr_execution_input(nnclr_execution *x, const float *pictures, int n) {
    assert(x->tensors[0].place);
    assert(n >= 1 && n <= x->n && (n == x->n || !x->lifetimes.training));
    for (size_t v = 0; v < x->values; v++)
        x->tensors[v].shape.n = n;
    x->engine->table->upload(x->engine, pictures, &x->tensors[0]);
}

/* Positions in the planned range of the ops after `from` up to the producer of `to`. */
static void find_range(const nnclr_execution *x, int from, int to, int *begin, int *end) {
    *begin = value_at(x, from)->producer + 1 - x->lifetimes.begin;
    *end = value_at(x, to)->producer + 1 - x->lifetimes.begin;
    assert(*begin >= 0 && *begin <= *end && *end <= op_count(x));
}

static void forward(nnclr_execution *x, int from, int to, bool repeated, int part, int parts) {
    int begin, end;
    find_range(x, from, to, &begin, &end);
    for (int i = begin; i < end; i++) {
        int y = x->runs[i].op->y;
        x->tensors[y].place = block_of(x, NNCLR_USE_VALUE, y);
        x->recomputed[y] = false;
        x->runs[i].repeated = repeated;
        x->runs[i].recomputed = false;
        x->runs[i].part = part;
        x->runs[i].parts = parts;
        nnclr_op_types[x->runs[i].op->kind]->forward(&x->runs[i], x->lifetimes.training);
    }
}

void nnclr_execution_forward_part(nnclr_execution *x, int from, int to, int part, int parts) {
    assert(part >= 0 && part < parts && (parts == 1 || x->lifetimes.parts));
    forward(x, from, to, false, part, parts);
    if (x->lifetimes.training && from == 0 && part == parts - 1)
        x->parameters->batches += x->groups;
}

void nnclr_execution_forward(nnclr_execution *x, int from, int to) {
    nnclr_execution_forward_part(x, from, to, 0, 1);
}

void nnclr_execution_repeat(nnclr_execution *x, int from, int to) {
    assert(x->lifetimes.backward);
    forward(x, from, to, true, 0, 1);
}

void nnclr_execution_accumulate(nnclr_execution *x, bool accumulate) {
    x->accumulate = accumulate;
}

void nnclr_execution_seed(nnclr_execution *x, int value) {
    assert(x->gradients[value].place &&
           (nnclr_network_marked(x->lifetimes.net, value) || value == x->lifetimes.last));
    x->filled[value] = true;
}

/* Takes note of a contribution to a gradient; true: there was one before. */
static bool contribute(nnclr_execution *x, int value) {
    if (value < 0)
        return false;
    bool before = x->filled[value];
    x->filled[value] = true;
    return before;
}

static void zero_gradients(const nnclr_execution *x, const nnclr_op *op) {
    const nnclr_segment *segments = nnclr_network_segments(x->lifetimes.net);
    const int parts[] = {op->weight, op->bias, op->weight2, op->bias2};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i] >= 0)
            x->engine->table->zero(x->engine,
                                   segment_of(x, segments, x->parameters->gradients, parts[i]),
                                   segments[parts[i]].count * nnclr_real_bytes(x->engine));
}

/* A value that the backward pass reads is there, or made again. */
static void recompute(nnclr_execution *x, int value) {
    void *place = block_of(x, NNCLR_USE_RECOMPUTED, value);
    if (!place || x->recomputed[value])
        return;
    nnclr_op_run *run = &x->runs[value_at(x, value)->producer - x->lifetimes.begin];
    x->tensors[value].place = place; /* which may be where the value was */
    x->recomputed[value] = true;
    run->repeated = run->recomputed = true;
    nnclr_op_types[run->op->kind]->forward(run, true);
}

void nnclr_execution_backward(nnclr_execution *x, int from, int to) {
    assert(x->lifetimes.backward);
    int begin, end;
    find_range(x, to, from, &begin, &end);
    for (int i = end - 1; i >= begin; i--) {
        nnclr_op_run *run = &x->runs[i];
        if (!x->filled[run->op->y]) {
            if (!x->accumulate)
                zero_gradients(x, run->op);
            continue;
        }
        const nnclr_op_type *type = nnclr_op_types[run->op->kind];
        if (type->backward_reads_x)
            recompute(x, run->op->x);
        if (type->backward_reads_y)
            recompute(x, run->op->y);
        run->add_parameters = x->accumulate;
        run->add_x = contribute(x, run->op->x);
        run->add_residual = contribute(x, run->op->residual);
        bool seeded = contribute(x, run->op->second);
        assert(!seeded);
        (void)seeded;
        type->backward(run);
    }
    memset(x->filled, 0, x->values * sizeof *x->filled);
}

/* ---- looking ---- */

const nnclr_tensor *nnclr_execution_tensor(nnclr_execution *x, int value) {
    assert(x->tensors[value].place);
    return &x->tensors[value];
}

const nnclr_tensor *nnclr_execution_gradient(nnclr_execution *x, int value) {
    assert(x->gradients[value].place);
    return &x->gradients[value];
}

size_t nnclr_execution_bytes(const nnclr_execution *x) {
    return x->arena_bytes;
}

static const char *value_name(const nnclr_execution *x, int value) {
    int producer = value_at(x, value)->producer;
    return producer < 0 ? "input" : op_at(x, producer)->name;
}

/* Prints a moment in the words of the list: an op's name, and "'" if it is its backward. */
static bool print_moment(const nnclr_execution *x, nnclr_buffer *out, int moment, nnclr_error *e) {
    int ops = op_count(x);
    bool backward = moment >= ops;
    int i = backward ? 2 * ops - 1 - moment : moment;
    return nnclr_buffer_printf(out, e, "\t%s%s", op_at(x, x->lifetimes.begin + i)->name,
                               backward ? "'" : "");
}

bool nnclr_execution_print_plan(const nnclr_execution *x, nnclr_buffer *out, nnclr_error *e) {
    if (!nnclr_buffer_printf(out, e, "value\tuse\tbytes\toffset\tfirst\tlast\n"))
        return false;
    for (size_t i = 0; i < interval_count(x); i++) {
        const nnclr_interval *interval = &x->intervals[i];
        bool shared = i == NNCLR_USES * x->values;
        if (interval->bytes == 0)
            continue;
        if (!nnclr_buffer_printf(out, e, "%s\t%s\t%zu\t%zu",
                                 shared ? "all" : value_name(x, (int)(i % x->values)),
                                 shared ? "workspace" : nnclr_use_names[i / x->values],
                                 interval->bytes, interval->offset) ||
            !print_moment(x, out, interval->first, e) || !print_moment(x, out, interval->last, e) ||
            !nnclr_buffer_printf(out, e, "\n"))
            return false;
    }
    return nnclr_buffer_printf(out, e, "total\t\t%zu\t\t\t\n", x->arena_bytes);
}
