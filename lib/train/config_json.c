/* nnclr.config: one table of fields, written and read by one loop each. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "train/config.h"

typedef enum field_type {
    FIELD_INT,
    FIELD_LONG,
    FIELD_REAL,
    FIELD_FLOAT,
    FIELD_BOOL,
    FIELD_CHOICE,
    FIELD_LAYERS
} field_type;

typedef struct field {
    const char *key;
    field_type type;
    size_t offset;
    double low, high;
    int count;                  /* reals and floats: above 1 is an array */
    const char *const *choices; /* FIELD_CHOICE */
} field;

#define AT(member) offsetof(nnclr_config, member)

static const field fields[] = {
    {"arch", FIELD_CHOICE, AT(model.arch), 0, 0, 1, nnclr_arch_names},
    {"width", FIELD_REAL, AT(model.width), 0.001, 64, 1, NULL},
    {"stem", FIELD_CHOICE, AT(model.stem), 0, 0, 1, nnclr_stem_names},
    {"size", FIELD_INT, AT(model.size), 1, 16384, 1, NULL},
    {"proj", FIELD_LAYERS, AT(model.projector), 1, NNCLR_MLP_WIDEST, 1, NULL},
    {"pred", FIELD_LAYERS, AT(model.predictor), 1, NNCLR_MLP_WIDEST, 1, NULL},
    {"jitter", FIELD_CHOICE, AT(augment.operators), 0, 0, 1, nnclr_jitter_names},
    {"interpolation", FIELD_CHOICE, AT(augment.filter), 0, 0, 1, nnclr_filter_names},
    {"mean", FIELD_FLOAT, AT(augment.mean), -1e3, 1e3, 3, NULL},
    {"std", FIELD_FLOAT, AT(augment.std), 1e-6, 1e3, 3, NULL},
    {"crop", FIELD_REAL, AT(augment.area_low), 1e-6, 1, 2, NULL},
    {"aspect", FIELD_REAL, AT(augment.aspect_low), 1e-3, 1e3, 2, NULL},
    {"flip", FIELD_REAL, AT(augment.flip), 0, 1, 1, NULL},
    {"jitter_p", FIELD_REAL, AT(augment.jitter), 0, 1, 1, NULL},
    {"jitter_strength", FIELD_REAL, AT(augment.brightness), 0, 10, 4, NULL},
    {"gray", FIELD_REAL, AT(augment.gray), 0, 1, 1, NULL},
    {"blur", FIELD_REAL, AT(augment.blur), 0, 1, 2, NULL},
    {"blur_sigma", FIELD_REAL, AT(augment.blur_low), 0, 100, 2, NULL},
    {"solarize", FIELD_REAL, AT(augment.solarize), 0, 1, 2, NULL},
    {"method", FIELD_CHOICE, AT(objective), 0, 0, 1, nnclr_objective_names},
    {"positive", FIELD_CHOICE, AT(method.positive), 0, 0, 1, nnclr_positive_names},
    {"negatives", FIELD_CHOICE, AT(method.negatives), 0, 0, 1, nnclr_negatives_names},
    {"temperature", FIELD_REAL, AT(method.temperature), 1e-6, 1e6, 1, NULL},
    {"queue", FIELD_INT, AT(method.queue), 1, 1 << 30, 1, NULL},
    {"loss", FIELD_CHOICE, AT(method.loss), 0, 0, 1, nnclr_loss_names},
    {"swap", FIELD_BOOL, AT(method.swap), 0, 0, 1, NULL},
    {"neighbours", FIELD_INT, AT(method.neighbours), 1, NNCLR_NEIGHBOURS, 1, NULL},
    {"exclude_self", FIELD_BOOL, AT(method.exclude_self), 0, 0, 1, NULL},
    {"enqueue", FIELD_CHOICE, AT(method.enqueue), 0, 0, 1, nnclr_enqueue_names},
    {"queue_frozen", FIELD_BOOL, AT(method.queue_frozen), 0, 0, 1, NULL},
    {"batch", FIELD_INT, AT(batch), 1, 1 << 24, 1, NULL},
    {"micro_batch", FIELD_INT, AT(micro_batch), 0, 1 << 24, 1, NULL},
    {"shuffle_window", FIELD_INT, AT(shuffle_window), 0, 1 << 30, 1, NULL},
    {"epochs", FIELD_REAL, AT(epochs), 0, 1e9, 1, NULL},
    {"steps", FIELD_LONG, AT(steps), 0, 1e15, 1, NULL},
    {"warmup_epochs", FIELD_REAL, AT(warmup_epochs), 0, 1e9, 1, NULL},
    {"warmup_steps", FIELD_LONG, AT(warmup_steps), -1, 1e15, 1, NULL},
    {"schedule", FIELD_CHOICE, AT(schedule), 0, 0, 1, nnclr_schedule_names},
    {"lr", FIELD_REAL, AT(lr), 0, 1e30, 1, NULL},
    {"lr_scale", FIELD_CHOICE, AT(lr_scale), 0, 0, 1, nnclr_lr_scale_names},
    {"final_lr", FIELD_REAL, AT(final_lr), 0, 1, 1, NULL},
    {"optimizer", FIELD_CHOICE, AT(optimizer), 0, 0, 1, nnclr_optimizer_names},
    {"lars", FIELD_CHOICE, AT(lars), 0, 0, 1, nnclr_lars_names},
    {"momentum", FIELD_REAL, AT(momentum), 0, 1, 1, NULL},
    {"weight_decay", FIELD_REAL, AT(weight_decay), 0, 1e6, 1, NULL},
    {"trust", FIELD_REAL, AT(trust), 0, 1e6, 1, NULL},
    {"init_seed", FIELD_LONG, AT(init_seed), 0, 9e18, 1, NULL},
    {"data_seed", FIELD_LONG, AT(data_seed), 0, 9e18, 1, NULL},
};
/* After the others if the method is finetune. */
static const field finetune_fields[] = {
    {"classes", FIELD_INT, AT(model.classes), 1, NNCLR_MLP_WIDEST, 1, NULL},
    {"head_lr", FIELD_REAL, AT(head_lr), 0, 1e30, 1, NULL},
    {"label_fraction", FIELD_REAL, AT(label_fraction), 0, 1, 1, NULL},
    {"nesterov", FIELD_BOOL, AT(nesterov), 0, 0, 1, NULL},
};
enum {
    FIELDS = sizeof fields / sizeof *fields,
    FINETUNE_FIELDS = sizeof finetune_fields / sizeof *finetune_fields
};

static int finetune_count(const nnclr_config *config) {
    return config->objective == NNCLR_OBJECTIVE_FINETUNE ? FINETUNE_FIELDS : 0;
}

/* Keys that older versions did not write; a missing one means 0, the first choice. */
static const char *const newer_keys[] = {"jitter", "micro_batch", "shuffle_window"};

/* Pairs and quadruples are read as arrays. */
_Static_assert(AT(augment.area_high) == AT(augment.area_low) + sizeof(double), "no array");
_Static_assert(AT(augment.aspect_high) == AT(augment.aspect_low) + sizeof(double), "no array");
_Static_assert(AT(augment.blur_high) == AT(augment.blur_low) + sizeof(double), "no array");
_Static_assert(AT(augment.hue) == AT(augment.brightness) + 3 * sizeof(double), "no array");
_Static_assert(sizeof(nnclr_arch) == sizeof(int), "choices are ints");

/* ---- writing ---- */

static double real_at(const field *f, const void *place, int i) {
    return f->type == FIELD_FLOAT ? nnclr_shortest(((const float *)place)[i])
                                  : ((const double *)place)[i];
}

static bool put_reals(nnclr_json *object, const field *f, const void *place, nnclr_error *e) {
    if (f->count == 1)
        return nnclr_json_put_real(object, f->key, real_at(f, place, 0), e);
    nnclr_json *array = nnclr_json_array(e);
    bool ok = array != NULL;
    for (int i = 0; ok && i < f->count; i++)
        ok = nnclr_json_push_real(array, real_at(f, place, i), e);
    if (ok)
        return nnclr_json_put(object, f->key, array, e);
    nnclr_json_free(array);
    return false;
}

static bool put_layers(nnclr_json *object, const field *f, const nnclr_layers *layers,
                       nnclr_error *e) {
    nnclr_json *array = nnclr_json_array(e);
    bool ok = array != NULL;
    for (int i = 0; ok && i < layers->count; i++)
        ok = nnclr_json_push_int(array, layers->width[i], e);
    if (ok)
        return nnclr_json_put(object, f->key, array, e);
    nnclr_json_free(array);
    return false;
}

static bool put_field(nnclr_json *object, const field *f, const nnclr_config *config,
                      nnclr_error *e) {
    const void *place = (const unsigned char *)config + f->offset;
    switch (f->type) {
    case FIELD_INT:
        return nnclr_json_put_int(object, f->key, *(const int *)place, e);
    case FIELD_LONG:
        return nnclr_json_put_int(object, f->key, *(const int64_t *)place, e);
    case FIELD_BOOL:
        return nnclr_json_put_bool(object, f->key, *(const bool *)place, e);
    case FIELD_CHOICE:
        return nnclr_json_put_string(object, f->key, f->choices[*(const int *)place], e);
    case FIELD_LAYERS:
        return put_layers(object, f, place, e);
    case FIELD_REAL:
    case FIELD_FLOAT:
        break;
    }
    return put_reals(object, f, place, e);
}

nnclr_json *nnclr_config_to_json(const nnclr_config *config, nnclr_error *e) {
    nnclr_json *object = nnclr_json_object(e);
    bool ok = object != NULL;
    for (int i = 0; ok && i < FIELDS; i++)
        ok = put_field(object, &fields[i], config, e);
    for (int i = 0; ok && i < finetune_count(config); i++)
        ok = put_field(object, &finetune_fields[i], config, e);
    /* How pictures are cut for evaluation follows from the rest; written for other readers. */
    bool stretch = nnclr_config_stretches(config);
    int size = config->model.size;
    ok = ok &&
         nnclr_json_put_int(object, "evaluation_resize",
                            stretch ? size : (int)lround(size * 256.0 / 224), e) &&
         nnclr_json_put_int(object, "evaluation_crop", size, e) &&
         nnclr_json_put_bool(object, "evaluation_stretch", stretch, e);
    if (ok)
        return object;
    nnclr_json_free(object);
    return NULL;
}

/* ---- reading ---- */

static bool impossible(const field *f, nnclr_error *e) {
    return nnclr_fail(e, NNCLR_ERROR_INPUT, "\"%s\" of nnclr.config has an impossible value",
                      f->key);
}

static bool get_real(const field *f, const nnclr_json *value, void *place, int i) {
    double real, low = f->low, high = f->high;
    if (f->type == FIELD_FLOAT) { /* a value at a bound was rounded like the bound here */
        low = (double)(float)low;
        high = (double)(float)high;
    }
    if (!nnclr_json_real(value, &real) || !(real >= low && real <= high))
        return false;
    if (f->type == FIELD_FLOAT)
        ((float *)place)[i] = (float)real;
    else
        ((double *)place)[i] = real;
    return true;
}

static bool get_reals(const field *f, const nnclr_json *value, void *place) {
    if (f->count == 1)
        return get_real(f, value, place, 0);
    if (!nnclr_json_is_array(value) || nnclr_json_count(value) != (size_t)f->count)
        return false;
    for (int i = 0; i < f->count; i++)
        if (!get_real(f, nnclr_json_at(value, (size_t)i), place, i))
            return false;
    return true;
}

static bool get_layers(const field *f, const nnclr_json *value, nnclr_layers *layers) {
    if (!nnclr_json_is_array(value) || nnclr_json_count(value) > NNCLR_MLP_LAYERS)
        return false;
    layers->count = (int)nnclr_json_count(value);
    for (int i = 0; i < layers->count; i++) {
        int64_t width;
        if (!nnclr_json_int(nnclr_json_at(value, (size_t)i), (int64_t)f->low, (int64_t)f->high,
                            &width))
            return false;
        layers->width[i] = (int)width;
    }
    return true;
}

static bool get_choice(const field *f, const nnclr_json *value, int *choice) {
    const char *name = nnclr_json_string(value);
    for (int i = 0; name && f->choices[i]; i++)
        if (strcmp(name, f->choices[i]) == 0) {
            *choice = i;
            return true;
        }
    return false;
}

static bool may_be_missing(const field *f) {
    for (size_t i = 0; i < sizeof newer_keys / sizeof *newer_keys; i++)
        if (strcmp(f->key, newer_keys[i]) == 0)
            return true;
    return false;
}

/* Leaves the configuration alone if the field is missing and may be. */
static bool get_field(const field *f, const nnclr_json *object, nnclr_config *config,
                      nnclr_error *e) {
    void *place = (unsigned char *)config + f->offset;
    const nnclr_json *value = nnclr_json_get(object, f->key);
    if (!value)
        return may_be_missing(f) ||
               nnclr_fail(e, NNCLR_ERROR_INPUT, "nnclr.config has no \"%s\"", f->key);
    int64_t integer;
    bool ok = false;
    switch (f->type) {
    case FIELD_INT:
        ok = nnclr_json_int(value, (int64_t)f->low, (int64_t)f->high, &integer);
        if (ok)
            *(int *)place = (int)integer;
        break;
    case FIELD_LONG:
        ok = nnclr_json_int(value, (int64_t)f->low, (int64_t)f->high, &integer);
        if (ok)
            *(int64_t *)place = integer;
        break;
    case FIELD_BOOL:
        return nnclr_json_get_bool(object, f->key, place, e);
    case FIELD_CHOICE:
        ok = get_choice(f, value, place);
        break;
    case FIELD_LAYERS:
        ok = get_layers(f, value, place);
        break;
    case FIELD_REAL:
    case FIELD_FLOAT:
        ok = get_reals(f, value, place);
        break;
    }
    return ok || impossible(f, e);
}

bool nnclr_config_from_json(const nnclr_json *json, nnclr_config *config, nnclr_error *e) {
    if (!nnclr_json_is_object(json))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "nnclr.config is not a JSON object");
    *config = (nnclr_config){0};
    for (int i = 0; i < FIELDS; i++)
        if (!get_field(&fields[i], json, config, e))
            return false;
    for (int i = 0; i < finetune_count(config); i++)
        if (!get_field(&finetune_fields[i], json, config, e))
            return false;
    config->augment.size = config->model.size;
    if (nnclr_config_check(config, e))
        return true;
    e->code = NNCLR_ERROR_INPUT;
    return nnclr_fail_at(e, "nnclr.config");
}
