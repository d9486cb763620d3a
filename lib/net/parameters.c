#include "net/parameters.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"

bool nnclr_parameters_create(nnclr_parameters *p, const nnclr_network *net, nnclr_engine *engine,
                             bool training, nnclr_error *e) {
    *p = (nnclr_parameters){.net = net, .engine = engine};
    void **const places[] = {&p->weights, &p->statistics, &p->gradients, &p->velocity};
    size_t weights = nnclr_network_parameter_count(net);
    const size_t reals[] = {weights, nnclr_network_statistic_count(net), weights, weights};
    size_t count = training ? 4 : 2, offset[4], total = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bytes;
        offset[i] = total;
        if (!nnclr_size_mul(reals[i], nnclr_real_bytes(engine), &bytes) ||
            !nnclr_size_add(bytes, 63, &bytes) ||
            !nnclr_size_add(total, bytes & ~(size_t)63, &total))
            return nnclr_fail(e, NNCLR_ERROR_LIMIT, "the network has too many parameters");
    }
    p->arena = engine->table->arena_create(engine, total, e);
    if (!p->arena)
        return false;
    p->arena_bytes = total;
    for (size_t i = 0; i < count; i++)
        *places[i] = (unsigned char *)p->arena + offset[i];
    return true;
}

static size_t target_bytes(const nnclr_parameters *p) {
    return nnclr_network_parameter_count(p->net) * nnclr_real_bytes(p->engine);
}

void nnclr_parameters_free(nnclr_parameters *p) {
    if (p->target)
        p->engine->table->arena_free(p->engine, p->target, target_bytes(p));
    if (p->arena)
        p->engine->table->arena_free(p->engine, p->arena, p->arena_bytes);
    *p = (nnclr_parameters){0};
}

bool nnclr_parameters_add_target(nnclr_parameters *p, nnclr_error *e) {
    p->target = p->engine->table->arena_create(p->engine, target_bytes(p), e);
    if (p->target)
        nnclr_parameters_follow(p, 0);
    return p->target != NULL;
}

void nnclr_parameters_follow(nnclr_parameters *p, double momentum) {
    p->engine->table->blend(p->engine, p->target, momentum, p->weights, 1 - momentum,
                            nnclr_network_parameter_count(p->net));
}

/* ---- initial values ---- */

static void fill(double *values, size_t count, double value) {
    for (size_t i = 0; i < count; i++)
        values[i] = value;
}

static void fill_normal(double *values, size_t count, double deviation, nnclr_rng rng) {
    for (size_t i = 0; i < count; i += 2) {
        double pair[2];
        nnclr_rng_normal2(&rng, pair);
        values[i] = deviation * pair[0];
        if (i + 1 < count)
            values[i + 1] = deviation * pair[1];
    }
}

static void fill_uniform(double *values, size_t count, double bound, nnclr_rng rng) {
    for (size_t i = 0; i < count; i++)
        values[i] = nnclr_rng_uniform(&rng, -bound, bound);
}

/* A weight matrix or kernel by its rank; 1-D parameters are `constant`. */
static void fill_segment(double *values, const nnclr_segment *s, double constant, nnclr_rng rng) {
    if (s->rank == 4)
        fill_normal(values, s->count, sqrt(2.0 / (double)(s->dims[0] * s->dims[2] * s->dims[3])),
                    rng);
    else if (s->rank == 2)
        fill_uniform(values, s->count, 1 / sqrt((double)s->dims[1]), rng);
    else
        fill(values, s->count, constant);
}

static size_t longest(const nnclr_segment *segments, size_t count, size_t longest) {
    for (size_t i = 0; i < count; i++)
        longest = segments[i].count > longest ? segments[i].count : longest;
    return longest;
}

static void put_segment(const nnclr_parameters *p, void *reals, const nnclr_segment *s,
                        const double *values) {
    p->engine->table->put(p->engine, nnclr_real_at(p->engine, reals, s->offset), s->count,
                          NNCLR_F64, values);
}

bool nnclr_parameters_initialize(nnclr_parameters *p, uint64_t seed, nnclr_error *e) {
    const nnclr_engine_table *table = p->engine->table;
    const nnclr_segment *segments = nnclr_network_segments(p->net),
                        *statistics = nnclr_network_statistic_segments(p->net);
    size_t count = nnclr_network_segment_count(p->net),
           statistic_count = nnclr_network_statistic_segment_count(p->net);
    double *values = nnclr_alloc(longest(segments, count, longest(statistics, statistic_count, 1)),
                                 sizeof *values, e);
    if (!values)
        return false;

    table->zero(p->engine, p->arena, p->arena_bytes);
    p->batches = 0;
    for (size_t i = 0; i < nnclr_network_op_count(p->net); i++) {
        const nnclr_op *op = nnclr_network_op(p->net, i);
        const struct {
            int segment;
            double constant;
        } parts[] = {{op->weight, 1}, {op->bias, 0}, {op->weight2, 1}, {op->bias2, 0}};
        for (size_t j = 0; j < sizeof parts / sizeof *parts; j++) {
            int s = parts[j].segment;
            if (s < 0)
                continue;
            fill_segment(values, &segments[s], parts[j].constant,
                         nnclr_rng_at(seed, NNCLR_DRAW_WEIGHTS, 0, (uint64_t)s, 0));
            put_segment(p, p->weights, &segments[s], values);
        }
        const int running[] = {op->running, op->running2};
        for (size_t j = 0; j < sizeof running / sizeof *running; j++) {
            if (running[j] < 0)
                continue;
            fill(values, statistics[running[j] + 1].count, 1);
            put_segment(p, p->statistics, &statistics[running[j] + 1], values);
        }
    }
    nnclr_free(values);
    return table->sync(p->engine, e);
}

void nnclr_parameters_clear(nnclr_parameters *p, const char *start) {
    const nnclr_segment *segments = nnclr_network_segments(p->net);
    for (size_t i = 0; i < nnclr_network_segment_count(p->net); i++)
        if (strncmp(segments[i].name, start, strlen(start)) == 0)
            p->engine->table->zero(p->engine,
                                   nnclr_real_at(p->engine, p->weights, segments[i].offset),
                                   segments[i].count * nnclr_real_bytes(p->engine));
}
