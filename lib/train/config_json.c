/* nnclr.config: tables of fields, written and read in their order. */
#include <math.h>
#include <stddef.h>

#include "train/config.h"

#define AT(member) offsetof(nnclr_config, member)

static const nnclr_field model_fields[] = {
    {"arch", NNCLR_FIELD_CHOICE, AT(model.arch), .choices = nnclr_arch_names},
    {"width", NNCLR_FIELD_REAL, AT(model.width), .low = 0.001, .high = 64},
    {"stem", NNCLR_FIELD_CHOICE, AT(model.stem), .choices = nnclr_stem_names},
    {"size", NNCLR_FIELD_INT, AT(model.size), .low = 1, .high = 16384},
    {"proj", NNCLR_FIELD_LIST, AT(model.projector), .low = 1, .high = NNCLR_MLP_WIDEST,
     .count = NNCLR_MLP_LAYERS},
    {"pred", NNCLR_FIELD_LIST, AT(model.predictor), .low = 1, .high = NNCLR_MLP_WIDEST,
     .count = NNCLR_MLP_LAYERS},
};
/* Then those of the augmentation, and these. */
static const nnclr_field other_fields[] = {
    {"method", NNCLR_FIELD_CHOICE, AT(objective), .choices = nnclr_objective_names},
    {"positive", NNCLR_FIELD_CHOICE, AT(method.positive), .choices = nnclr_positive_names},
    {"negatives", NNCLR_FIELD_CHOICE, AT(method.negatives), .choices = nnclr_negatives_names},
    {"temperature", NNCLR_FIELD_REAL, AT(method.temperature), .low = 1e-6, .high = 1e6},
    {"queue", NNCLR_FIELD_INT, AT(method.queue), .low = 1, .high = 1 << 30},
    {"loss", NNCLR_FIELD_CHOICE, AT(method.loss), .choices = nnclr_loss_names},
    {"swap", NNCLR_FIELD_BOOL, .offset = AT(method.swap)},
    {"neighbours", NNCLR_FIELD_INT, AT(method.neighbours), .low = 1, .high = NNCLR_NEIGHBOURS},
    {"exclude_self", NNCLR_FIELD_BOOL, .offset = AT(method.exclude_self)},
    {"enqueue", NNCLR_FIELD_CHOICE, AT(method.enqueue), .choices = nnclr_enqueue_names},
    {"queue_frozen", NNCLR_FIELD_BOOL, .offset = AT(method.queue_frozen)},
    {"view_weight", NNCLR_FIELD_REAL, AT(method.view_weight.share), .low = 0, .high = 1, .count = 2,
     .fallback = "[0, 0]", .sparse = true},
    {"view_weight_over", NNCLR_FIELD_REAL, AT(method.view_weight.over), .low = 0, .high = 1e15,
     .fallback = "0", .sparse = true},
    {"view_weight_unit", NNCLR_FIELD_CHOICE, AT(method.view_weight.unit),
     .choices = nnclr_over_names, .fallback = "\"run\"", .sparse = true},
    {"target_momentum", NNCLR_FIELD_REAL, AT(method.target_momentum), .low = 0, .high = 1,
     .fallback = "0", .sparse = true},
    {"soft", NNCLR_FIELD_BOOL, AT(method.soft), .fallback = "false", .sparse = true},
    {"appearance", NNCLR_FIELD_REAL, AT(method.appearance), .low = 0, .high = 1, .fallback = "0",
     .sparse = true},
    {"agree", NNCLR_FIELD_BOOL, AT(method.agree), .fallback = "false", .sparse = true},
    {"off_diagonal", NNCLR_FIELD_REAL, AT(method.off_diagonal), .low = 0, .high = 1e6,
     .fallback = "0.0051", .sparse = true},
    {"decoupled", NNCLR_FIELD_BOOL, AT(method.decoupled), .fallback = "false", .sparse = true},
    {"batch", NNCLR_FIELD_INT, AT(batch), .low = 1, .high = 1 << 24},
    {"micro_batch", NNCLR_FIELD_INT, AT(micro_batch), .low = 0, .high = 1 << 24, .fallback = "0"},
    {"shuffle_window", NNCLR_FIELD_INT, AT(shuffle_window), .low = 0, .high = 1 << 30,
     .fallback = "0"},
    {"epochs", NNCLR_FIELD_REAL, AT(epochs), .low = 0, .high = 1e9},
    {"steps", NNCLR_FIELD_LONG, AT(steps), .low = 0, .high = 1e15},
    {"warmup_epochs", NNCLR_FIELD_REAL, AT(warmup_epochs), .low = 0, .high = 1e9},
    {"warmup_steps", NNCLR_FIELD_LONG, AT(warmup_steps), .low = -1, .high = 1e15},
    {"schedule", NNCLR_FIELD_CHOICE, AT(schedule), .choices = nnclr_schedule_names},
    {"lr", NNCLR_FIELD_REAL, AT(lr), .low = 0, .high = 1e30},
    {"lr_scale", NNCLR_FIELD_CHOICE, AT(lr_scale), .choices = nnclr_lr_scale_names},
    {"final_lr", NNCLR_FIELD_REAL, AT(final_lr), .low = 0, .high = 1},
    {"optimizer", NNCLR_FIELD_CHOICE, AT(optimizer), .choices = nnclr_optimizer_names},
    {"lars", NNCLR_FIELD_CHOICE, AT(lars), .choices = nnclr_lars_names},
    {"momentum", NNCLR_FIELD_REAL, AT(momentum), .low = 0, .high = 1},
    {"weight_decay", NNCLR_FIELD_REAL, AT(weight_decay), .low = 0, .high = 1e6},
    {"trust", NNCLR_FIELD_REAL, AT(trust), .low = 0, .high = 1e6},
    {"init_seed", NNCLR_FIELD_LONG, AT(init_seed), .low = 0, .high = 9e18},
    {"data_seed", NNCLR_FIELD_LONG, AT(data_seed), .low = 0, .high = 9e18},
};
/* After the others if the method is finetune. */
static const nnclr_field finetune_fields[] = {
    {"classes", NNCLR_FIELD_INT, AT(model.classes), .low = 1, .high = NNCLR_MLP_WIDEST},
    {"head_lr", NNCLR_FIELD_REAL, AT(head_lr), .low = 0, .high = 1e30},
    {"label_fraction", NNCLR_FIELD_REAL, AT(label_fraction), .low = 0, .high = 1},
    {"nesterov", NNCLR_FIELD_BOOL, .offset = AT(nesterov)},
};

_Static_assert(offsetof(nnclr_layers, width) == sizeof(int), "no list");
_Static_assert(sizeof(nnclr_arch) == sizeof(int), "choices are ints");

#define COUNT(table) (sizeof(table) / sizeof *(table))

static size_t finetune_count(const nnclr_config *config) {
    return config->objective == NNCLR_OBJECTIVE_FINETUNE ? COUNT(finetune_fields) : 0;
}

static bool put(nnclr_json *object, const nnclr_field *fields, size_t count,
                const nnclr_config *config, nnclr_error *e) {
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = nnclr_field_put(object, &fields[i], config, e);
    return ok;
}

nnclr_json *nnclr_config_to_json(const nnclr_config *config, nnclr_error *e) {
    nnclr_json *object = nnclr_json_object(e);
    /* How pictures are cut for evaluation follows from the rest; written for other readers. */
    bool stretch = nnclr_config_stretches(config);
    int size = config->model.size;
    if (object && put(object, model_fields, COUNT(model_fields), config, e) &&
        nnclr_augment_put(object, &config->augment, e) &&
        put(object, other_fields, COUNT(other_fields), config, e) &&
        put(object, finetune_fields, finetune_count(config), config, e) &&
        nnclr_json_put_int(object, "evaluation_resize",
                           stretch ? size : (int)lround(size * 256.0 / 224), e) &&
        nnclr_json_put_int(object, "evaluation_crop", size, e) &&
        nnclr_json_put_bool(object, "evaluation_stretch", stretch, e))
        return object;
    nnclr_json_free(object);
    return NULL;
}

static bool get(const nnclr_json *object, const nnclr_field *fields, size_t count,
                nnclr_config *config, nnclr_error *e) {
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = nnclr_field_get(object, "nnclr.config", &fields[i], config, e);
    return ok;
}

bool nnclr_config_from_json(const nnclr_json *json, nnclr_config *config, nnclr_error *e) {
    if (!nnclr_json_is_object(json))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "nnclr.config is not a JSON object");
    *config = (nnclr_config){0};
    if (!get(json, model_fields, COUNT(model_fields), config, e) ||
        !nnclr_augment_get(json, "nnclr.config", &config->augment, e) ||
        !get(json, other_fields, COUNT(other_fields), config, e) ||
        !get(json, finetune_fields, finetune_count(config), config, e))
        return false;
    config->augment.size = config->model.size;
    if (nnclr_config_check(config, e))
        return true;
    e->code = NNCLR_ERROR_INPUT;
    return nnclr_fail_at(e, "nnclr.config");
}
