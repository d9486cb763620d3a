#include "train/objective.h"

#include <math.h>
#include <string.h>

/* ---- methods: two views, compared with each other and with the support set ---- */

static int width_of_z(const nnclr_config *config) {
    const nnclr_layers *projector = &config->model.projector;
    return projector->width[projector->count - 1];
}

static bool check_method(const nnclr_config *c, nnclr_error *e) {
    if (c->model.projector.count < 1)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "the projector needs at least one layer");
    return nnclr_objective_of(c)->type->check(&c->method, c->batch, c->model.predictor.count > 0,
                                              e);
}

static size_t method_bytes(const nnclr_config *config, int ranks, const nnclr_engine *engine) {
    const nnclr_recipe recipe = nnclr_objective_recipe(config);
    return nnclr_method_bytes(&recipe, engine, config->batch / ranks, ranks, width_of_z(config));
}

/* A pass of the slow copy, which only goes forward. */
static bool create_target(nnclr_objective *o, nnclr_error *e) {
    const nnclr_parameters *p = o->pass->parameters;
    o->slow = (nnclr_parameters){.net = p->net, .engine = p->engine, .weights = p->target};
    return nnclr_pass_create(&o->target, &o->slow, o->pass->groups, o->pass->n,
                             o->pass->micro_batch, e);
}

static bool create_method(nnclr_objective *o, nnclr_error *e) {
    const nnclr_config *config = o->config;
    nnclr_recipe recipe = nnclr_objective_recipe(config);
    recipe.course = nnclr_plan_course(&o->plan, &config->method.view_weight);
    if (recipe.queue > 0 &&
        !nnclr_support_set_create(&o->support, o->pass->parameters->engine, recipe.queue,
                                  width_of_z(config), config->init_seed, e))
        return false;
    if (o->pass->parameters->target && !create_target(o, e))
        return false;
    const nnclr_method_parts parts = {
        .pass = o->pass,
        .target = o->target.execution ? &o->target : NULL,
        .communicator = o->communicator,
        .support = nnclr_objective_support(o),
        .seed = config->data_seed,
    };
    o->state = nnclr_method_create(&recipe, &parts, e);
    return o->state != NULL;
}

static void free_method(nnclr_objective *o) {
    nnclr_method_free(o->state);
}

static bool compute_method(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_error *e) {
    if (!nnclr_method_compute(o->state, batch, e))
        return false;
    o->loss = nnclr_method_loss(o->state);
    o->gradient_norm = nnclr_method_gradient_norm(o->state);
    return true;
}

static bool measure_method(nnclr_objective *o, const nnclr_method_batch *batch,
                           nnclr_metrics_line *line, nnclr_error *e) {
    if (!nnclr_method_measure(o->state, batch, &line->method, e) ||
        !nnclr_batch_spread(nnclr_method_records(o->state), o->communicator->ranks * o->pass->n,
                            o->records, &line->batch_spread, &o->scratch, e))
        return false;
    line->accuracy = line->method.nn_acc;
    return true;
}

static bool enqueue_and_follow(nnclr_objective *o, const nnclr_method_batch *batch,
                               nnclr_error *e) {
    if (!nnclr_method_enqueue(o->state, batch, e))
        return false;
    if (o->target.execution) {
        nnclr_parameters_follow(o->pass->parameters, o->config->method.target_momentum);
        nnclr_pass_pack(&o->target);
    }
    return true;
}

/* ---- fine-tuning: one view, and its label ---- */

static bool check_classifier(const nnclr_config *c, nnclr_error *e) {
    if (c->model.classes < 1 || c->model.projector.count + c->model.predictor.count > 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "fine-tuning trains a classifier, not a projector or a predictor");
    if (!(c->label_fraction > 0 && c->label_fraction <= 1))
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "a share of %g of the labels is not above 0 and at most 1",
                          c->label_fraction);
    return true;
}

static size_t classifier_bytes(const nnclr_config *config, int ranks, const nnclr_engine *engine) {
    (void)engine;
    return nnclr_classification_bytes(config->batch / ranks, config->model.classes);
}

static bool create_classifier(nnclr_objective *o, nnclr_error *e) {
    o->state = nnclr_classification_create(o->pass, o->communicator, e);
    return o->state != NULL;
}

static void free_classifier(nnclr_objective *o) {
    nnclr_classification_free(o->state);
}

static bool compute_classifier(nnclr_objective *o, const nnclr_method_batch *batch,
                               nnclr_error *e) {
    if (!nnclr_classification_compute(o->state, batch->views, batch->label, e))
        return false;
    o->loss = nnclr_classification_loss(o->state);
    o->gradient_norm = nnclr_classification_gradient_norm(o->state);
    return true;
}

static bool measure_classifier(nnclr_objective *o, const nnclr_method_batch *batch,
                               nnclr_metrics_line *line, nnclr_error *e) {
    (void)e;
    line->head_lr = nnclr_plan_rate(&o->head_plan, batch->step - 1);
    line->accuracy = nnclr_classification_accuracy(o->state);
    return true;
}

static bool nothing_remains(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_error *e) {
    (void)o, (void)batch, (void)e;
    return true;
}

/* ---- the table ---- */

#define METHOD(method)                                                                             \
    {                                                                                              \
        .views = NNCLR_VIEWS, .check = check_method, .bytes = method_bytes,                        \
        .create = create_method, .free = free_method, .compute = compute_method,                   \
        .measure = measure_method, .finish = enqueue_and_follow, .metrics = nnclr_method_line,     \
        .type = &(method)                                                                          \
    }

static const nnclr_objective_table tables[] = {
    [NNCLR_OBJECTIVE_NNCLR] = METHOD(nnclr_method_nnclr),
    [NNCLR_OBJECTIVE_SIMCLR] = METHOD(nnclr_method_simclr),
    [NNCLR_OBJECTIVE_SIMSIAM] = METHOD(nnclr_method_simsiam),
    [NNCLR_OBJECTIVE_BYOL] = METHOD(nnclr_method_byol),
    [NNCLR_OBJECTIVE_BARLOW] = METHOD(nnclr_method_barlow),
    [NNCLR_OBJECTIVE_FINETUNE] = {.views = 1,
                                  .check = check_classifier,
                                  .bytes = classifier_bytes,
                                  .create = create_classifier,
                                  .free = free_classifier,
                                  .compute = compute_classifier,
                                  .measure = measure_classifier,
                                  .finish = nothing_remains,
                                  .metrics = nnclr_finetune_line},
};

const nnclr_objective_table *nnclr_objective_of(const nnclr_config *config) {
    return &tables[config->objective];
}

nnclr_recipe nnclr_objective_recipe(const nnclr_config *config) {
    const nnclr_method_type *type = nnclr_objective_of(config)->type;
    return type ? type->recipe(&config->method, config->model.predictor.count > 0)
                : (nnclr_recipe){.term_count = 0};
}

/* ---- what all have ---- */

static bool create(nnclr_objective *o, nnclr_error *e) {
    nnclr_config head = *o->config;
    head.lr = head.head_lr;
    return nnclr_plan_make(o->config, o->records, &o->plan, e) &&
           nnclr_plan_make(&head, o->records, &o->head_plan, e) && o->table->create(o, e);
}

bool nnclr_objective_create(nnclr_objective *o, const nnclr_config *config, int64_t records,
                            nnclr_pass *pass, nnclr_communicator *communicator, nnclr_error *e) {
    *o = (nnclr_objective){.table = nnclr_objective_of(config),
                           .config = config,
                           .pass = pass,
                           .communicator = communicator,
                           .records = records};
    if (create(o, e))
        return true;
    nnclr_objective_free(o);
    return false;
}

bool nnclr_objective_look(nnclr_objective *o, const nnclr_appearances *appearances,
                          nnclr_error *e) {
    return nnclr_support_set_look(&o->support, appearances, o->config->method.appearance, e);
}

void nnclr_objective_free(nnclr_objective *o) {
    if (o->state)
        o->table->free(o);
    nnclr_pass_free(&o->target);
    nnclr_support_set_free(&o->support);
    nnclr_buffer_free(&o->scratch);
    *o = (nnclr_objective){0};
}

void nnclr_objective_start(nnclr_objective *o, bool resumed) {
    nnclr_pass_pack(o->pass);
    if (!o->target.execution)
        return;
    if (!resumed)
        nnclr_parameters_follow(o->pass->parameters, 0);
    nnclr_pass_pack(&o->target);
}

nnclr_support_set *nnclr_objective_support(nnclr_objective *o) {
    return o->support.search ? &o->support : NULL;
}

bool nnclr_objective_compute(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_error *e) {
    return o->table->compute(o, batch, e);
}

bool nnclr_objective_measure(nnclr_objective *o, const nnclr_method_batch *batch, uint32_t epoch,
                             nnclr_metrics_line *line, nnclr_error *e) {
    *line = nnclr_metrics_undefined;
    line->metrics = o->table->metrics;
    line->step = batch->step;
    line->epoch = epoch;
    line->loss = o->loss;
    line->grad_norm = o->gradient_norm;
    line->lr = nnclr_plan_rate(&o->plan, batch->step - 1);
    return o->table->measure(o, batch, line, e);
}

/* The classifier's segments are the last ones, if there is one. */
static size_t count_backbone(const nnclr_segment *segments, size_t count) {
    size_t i = 0;
    while (i < count && strncmp(segments[i].name, "fc.", 3) != 0)
        i++;
    return i;
}

void nnclr_objective_update(nnclr_objective *o, const nnclr_method_batch *batch) {
    const nnclr_config *config = o->config;
    const nnclr_parameters *p = o->pass->parameters;
    const nnclr_segment *segments = nnclr_network_segments(p->net);
    const size_t count = nnclr_network_segment_count(p->net),
                 backbone = count_backbone(segments, count);
    nnclr_update_call call = {
        .optimizer = config->optimizer,
        .lars = config->lars,
        .lr = nnclr_plan_rate(&o->plan, batch->step - 1),
        .momentum = config->momentum,
        .nesterov = config->nesterov,
        .weight_decay = config->weight_decay,
        .trust = config->trust,
        .segments = segments,
        .segment_count = backbone,
        .weights = p->weights,
        .velocity = p->velocity,
        .gradients = p->gradients,
    };
    p->engine->table->update(p->engine, &call);
    if (backbone < count) {
        call.segments += backbone;
        call.segment_count = count - backbone;
        call.lr = nnclr_plan_rate(&o->head_plan, batch->step - 1);
        p->engine->table->update(p->engine, &call);
    }
    nnclr_pass_pack(o->pass);
}

bool nnclr_objective_finish(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_error *e) {
    return o->table->finish(o, batch, e);
}
