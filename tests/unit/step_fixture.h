/* All that a training step stands on, opened at once: engine, network with its parameters, the way
 * through it, support set and method; and room for a batch. */
#ifndef NNCLR_TESTS_STEP_FIXTURE_H
#define NNCLR_TESTS_STEP_FIXTURE_H

#include "net/model.h"
#include "ssl/method.h"
#include "tests/unit/engines.h"
#include "tests/unit/support_rows.h"

typedef struct step_options {
    const test_engine *row; /* NULL: engine cpu of this precision */
    nnclr_precision precision;
    int threads; /* 0: two */
    nnclr_model_spec spec;
    nnclr_network *(*build)(const nnclr_model_spec *spec, nnclr_error *e); /* or as models are */
    uint64_t seed; /* of parameters, rows of the support set and picks */
    int groups, n; /* of the pass; groups 0: two */
    int micro_batch;
    bool target;                /* a slow copy makes every z */
    int m, d;                   /* of the support set; m 0: there is none */
    const nnclr_recipe *recipe; /* its method has the support set if it queues; NULL: no method */
    nnclr_communicator *communicator; /* the caller's; NULL: one rank */
} step_options;

typedef struct stack {
    fixture f;
    nnclr_network *net;
    nnclr_parameters parameters;
    size_t count; /* of parameters */
    nnclr_pass pass;
    nnclr_parameters slow; /* of the slow copy, and its pass */
    nnclr_pass target;
    nnclr_communicator self, *communicator;
    nnclr_support_set support;
    nnclr_method *method;
    int n;        /* pictures of a group of the pass */
    float *views; /* [groups][n][h][w][c] */
    int64_t *record, *label;
    double loss;
    nnclr_error e;
} stack;

/* Without what comes after the parameters. */
static inline void open_network(stack *s, const step_options *o) {
    const int threads = o->threads ? o->threads : 2;
    *s = (stack){.loss = NAN, .n = o->n};
    if (o->row)
        CHECK(open_engine(&s->f, o->row, threads));
    else
        fixture_open(&s->f, o->precision, threads);
    s->net = (o->build ? o->build : nnclr_model_build)(&o->spec, &s->e);
    CHECK_SAYS(s->net, "%s", s->e.message);
    s->count = nnclr_network_parameter_count(s->net);
    CHECK_SAYS(nnclr_parameters_create(&s->parameters, s->net, &s->f.g, true, &s->e), "%s",
               s->e.message);
    CHECK_SAYS(nnclr_parameters_initialize(&s->parameters, o->seed, &s->e), "%s", s->e.message);
}

static inline void open_target(stack *s) {
    CHECK_SAYS(nnclr_parameters_add_target(&s->parameters, &s->e), "%s", s->e.message);
    s->slow = (nnclr_parameters){.net = s->net, .engine = &s->f.g, .weights = s->parameters.target};
    CHECK_SAYS(nnclr_pass_create(&s->target, &s->slow, s->pass.groups, s->pass.n,
                                 s->pass.micro_batch, &s->e),
               "%s", s->e.message);
    nnclr_pass_pack(&s->target);
}

static inline void open_step(stack *s, const step_options *o) {
    open_network(s, o);
    const nnclr_value *picture = nnclr_network_value(s->net, 0);
    const int groups = o->groups ? o->groups : 2;
    const size_t pictures = (size_t)(groups * o->n);
    s->views = calloc(pictures * (size_t)(picture->h * picture->w * picture->c), sizeof *s->views);
    s->record = calloc(pictures, sizeof *s->record);
    s->label = calloc(pictures, sizeof *s->label);
    CHECK(s->views && s->record && s->label);
    CHECK_SAYS(nnclr_pass_create(&s->pass, &s->parameters, groups, o->n, o->micro_batch, &s->e),
               "%s", s->e.message);
    nnclr_pass_pack(&s->pass);
    if (o->target)
        open_target(s);
    s->self = nnclr_communicator_self();
    s->communicator = o->communicator ? o->communicator : &s->self;
    CHECK(o->m == 0 || nnclr_support_set_create(&s->support, &s->f.g, o->m, o->d, o->seed, &s->e));
    if (!o->recipe)
        return;
    const nnclr_method_parts parts = {.pass = &s->pass,
                                      .target = o->target ? &s->target : NULL,
                                      .communicator = s->communicator,
                                      .support = o->recipe->queue > 0 ? &s->support : NULL,
                                      .seed = o->seed};
    s->method = nnclr_method_create(o->recipe, &parts, &s->e);
    CHECK_SAYS(s->method, "%s", s->e.message);
}

static inline void close_step(stack *s) {
    free(s->views), free(s->record), free(s->label);
    nnclr_method_free(s->method);
    nnclr_support_set_free(&s->support);
    nnclr_pass_free(&s->target);
    nnclr_pass_free(&s->pass);
    nnclr_parameters_free(&s->parameters);
    nnclr_network_free(s->net);
    fixture_close(&s->f);
}

static inline nnclr_method_batch batch_of(const stack *s, int64_t number) {
    return (nnclr_method_batch){s->views, s->record, s->label, number};
}

/* Loss and gradients of the batch in s. */
static inline double compute_step(stack *s, int64_t number) {
    const nnclr_method_batch batch = batch_of(s, number);
    CHECK_SAYS(nnclr_method_compute(s->method, &batch, &s->e), "%s", s->e.message);
    return s->loss = nnclr_method_loss(s->method);
}

static inline void enqueue_step(stack *s, int64_t number) {
    const nnclr_method_batch batch = batch_of(s, number);
    CHECK_SAYS(nnclr_method_enqueue(s->method, &batch, &s->e), "%s", s->e.message);
}

/* The update that a call without places asks for; segments NULL: all of the network's as they are.
 */
static inline void update_step(stack *s, nnclr_update_call call) {
    if (!call.segments) {
        call.segments = nnclr_network_segments(s->net);
        call.segment_count = nnclr_network_segment_count(s->net);
    }
    call.weights = s->parameters.weights;
    call.velocity = s->parameters.velocity;
    call.gradients = s->parameters.gradients;
    s->f.t->update(&s->f.g, &call);
    nnclr_pass_pack(&s->pass);
}

/* The slow copy, if there is one, comes nearer. */
static inline void follow_step(stack *s, double momentum) {
    if (!s->target.execution)
        return;
    nnclr_parameters_follow(&s->parameters, momentum);
    nnclr_pass_pack(&s->target);
}

static inline double *gradients_of(stack *s) {
    return host_reals(&s->f, s->parameters.gradients, s->count);
}

/* ---- one in the state of another ---- */

static inline void take_reals_of(stack *to, void *place, stack *from, const void *source,
                                 size_t count) {
    double *values = host_reals(&from->f, source, count);
    to->f.t->put(&to->f.g, place, count, NNCLR_F64, values);
    free(values);
}

/* Weights, momentum, statistics and support set of `from`, rounded where `to` is less precise. */
static inline void take_state(stack *to, stack *from) {
    const nnclr_support_set *q = &from->support;
    double *rows = zero_reals((size_t)q->m * (size_t)q->d);
    take_reals_of(to, to->parameters.weights, from, from->parameters.weights, from->count);
    take_reals_of(to, to->parameters.velocity, from, from->parameters.velocity, from->count);
    take_reals_of(to, to->parameters.statistics, from, from->parameters.statistics,
                  nnclr_network_statistic_count(from->net));
    support_rows(q, rows);
    CHECK(nnclr_support_set_restore(&to->support, NNCLR_F64, rows, q->record, q->label, q->step,
                                    q->cursor, &to->e));
    nnclr_pass_pack(&to->pass);
    free(rows);
}

#endif
