#include "train/objective.h"

#include <string.h>

enum { VIEWS = 2 };

int nnclr_objective_views(const nnclr_config *config) {
    return config->method.kind == NNCLR_METHOD_FINETUNE ? 1 : VIEWS;
}

static bool make_plans(nnclr_objective *o, nnclr_error *e) {
    nnclr_config head = *o->config;
    head.lr = head.head_lr;
    return nnclr_plan_make(o->config, o->records, &o->plan, e) &&
           nnclr_plan_make(&head, o->records, &o->head_plan, e);
}

bool nnclr_objective_create(nnclr_objective *o, const nnclr_config *config, int64_t records,
                            const nnclr_method_parts *parts, nnclr_error *e) {
    *o = (nnclr_objective){.config = config, .parts = *parts, .records = records};
    if (!make_plans(o, e))
        return false;
    if (config->method.kind == NNCLR_METHOD_FINETUNE)
        o->classification = nnclr_classification_create(parts->pass, e);
    else
        o->method = nnclr_method_create(&config->method, parts, e);
    return o->method || o->classification;
}

void nnclr_objective_free(nnclr_objective *o) {
    nnclr_method_free(o->method);
    nnclr_classification_free(o->classification);
    *o = (nnclr_objective){0};
}

size_t nnclr_objective_bytes(const nnclr_objective *o) {
    return o->method ? nnclr_method_bytes(o->method)
                     : nnclr_classification_bytes(o->classification);
}

bool nnclr_objective_compute(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_error *e) {
    return o->method
               ? nnclr_method_compute(o->method, batch, e)
               : nnclr_classification_compute(o->classification, batch->views, batch->label, e);
}

double nnclr_objective_loss(const nnclr_objective *o) {
    return o->method ? nnclr_method_loss(o->method) : nnclr_classification_loss(o->classification);
}

double nnclr_objective_gradient_norm(const nnclr_objective *o) {
    return o->method ? nnclr_method_gradient_norm(o->method)
                     : nnclr_classification_gradient_norm(o->classification);
}

bool nnclr_objective_measure(nnclr_objective *o, const nnclr_method_batch *batch, uint32_t epoch,
                             nnclr_metrics_line *line, nnclr_buffer *scratch, nnclr_error *e) {
    *line = (nnclr_metrics_line){
        .step = batch->step,
        .epoch = epoch,
        .loss = nnclr_objective_loss(o),
        .grad_norm = nnclr_objective_gradient_norm(o),
        .lr = nnclr_plan_rate(&o->plan, batch->step - 1),
    };
    if (o->method)
        return nnclr_batch_spread(batch->record, o->config->batch, o->records, &line->batch_spread,
                                  scratch, e) &&
               nnclr_method_measure(o->method, batch, &line->method, e);
    line->finetune = true;
    line->head_lr = nnclr_plan_rate(&o->head_plan, batch->step - 1);
    line->batch_acc = nnclr_classification_accuracy(o->classification);
    return true;
}

/* The classifier's segments are the last ones. */
static size_t count_backbone(const nnclr_segment *segments, size_t count) {
    size_t i = 0;
    while (i < count && strncmp(segments[i].name, "fc.", 3) != 0)
        i++;
    return i;
}

void nnclr_objective_update(nnclr_objective *o, const nnclr_method_batch *batch) {
    const nnclr_config *config = o->config;
    const nnclr_parameters *p = o->parts.pass->parameters;
    nnclr_engine *engine = o->parts.engine;
    size_t count = nnclr_network_segment_count(p->net);
    nnclr_update call = {
        .optimizer = config->optimizer,
        .lars = config->lars,
        .lr = nnclr_plan_rate(&o->plan, batch->step - 1),
        .momentum = config->momentum,
        .nesterov = config->nesterov,
        .weight_decay = config->weight_decay,
        .trust = config->trust,
        .segments = nnclr_network_segments(p->net),
        .segment_count = count,
        .weights = p->weights,
        .velocity = p->velocity,
        .gradients = p->gradients,
    };
    if (o->classification)
        call.segment_count = count_backbone(call.segments, count);
    engine->table->update(engine, &call);
    if (!o->classification)
        return;
    call.segments += call.segment_count;
    call.segment_count = count - call.segment_count;
    call.lr = nnclr_plan_rate(&o->head_plan, batch->step - 1);
    engine->table->update(engine, &call);
}

bool nnclr_objective_conclude(nnclr_objective *o, const nnclr_method_batch *batch, nnclr_error *e) {
    return !o->method || nnclr_method_enqueue(o->method, batch, e);
}
