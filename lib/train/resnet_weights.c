#include "train/resnet_weights.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "train/checkpoint_layout.h"
#include "train/schedule.h"

#define BACKBONE "backbone."

enum {
    BLOCKS_MOST = 64, /* in a stage; no ResNet has as many, so counting ends there */
    SIZE_IMAGENET = 224,
    SIZE_CIFAR = 32
};

static bool starts_with(const char *name, const char *start) {
    return strncmp(name, start, strlen(start)) == 0;
}

/* Finds a tensor by torchvision's name. */
__attribute__((format(printf, 3, 4))) static const nnclr_tensor_info *
find(const nnclr_tensor_reader *reader, const nnclr_weight_names *names, const char *format, ...) {
    char name[NNCLR_WEIGHT_NAME];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    return nnclr_tensor_reader_find(reader, nnclr_weight_name_of(names, name).text);
}

typedef struct shape_text {
    char text[160];
} shape_text;

static shape_text shape_of(const nnclr_tensor_info *info) {
    shape_text shape;
    nnclr_print_shape(info->rank, info->dims, shape.text, sizeof shape.text);
    return shape;
}

/* "PATH: tensor NAME [SHAPE]: why" */
static bool refuse(const nnclr_tensor_reader *reader, const nnclr_tensor_info *info,
                   const char *why, nnclr_error *e) {
    return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: tensor %s of shape %s: %s",
                      nnclr_tensor_reader_path(reader), info->name, shape_of(info).text, why);
}

/* ---- the network from its shapes ---- */

static bool recognise_stem(const nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                           nnclr_model_spec *model, nnclr_error *e) {
    const nnclr_tensor_info *conv = find(reader, names, "conv1.weight");
    const nnclr_tensor_info *several = find(reader, names, "conv1.0.weight");
    if (!conv && several)
        return refuse(reader, several,
                      "a stem of several convolutions (timm's ResNet-D) is not supported", e);
    if (!conv)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: there is no tensor %s, which a ResNet has",
                          nnclr_tensor_reader_path(reader),
                          nnclr_weight_name_of(names, "conv1.weight").text);
    if (conv->rank != 4 || conv->dims[1] != 3 || conv->dims[2] != conv->dims[3] ||
        (conv->dims[2] != 7 && conv->dims[2] != 3))
        return refuse(reader, conv, "the stem is neither 7x7 nor 3x3 on three colours", e);
    if (conv->dims[0] % 8 != 0 || conv->dims[0] < 8 || conv->dims[0] > 64 * 64)
        return refuse(reader, conv, "the width is not a multiple of 8 from 8 to 4096", e);
    model->stem = conv->dims[2] == 7 ? NNCLR_STEM_IMAGENET : NNCLR_STEM_CIFAR;
    model->width = (double)conv->dims[0] / 64;
    return true;
}

/* The blocks of wide ResNets and ResNeXts have the same names as a ResNet's. */
static bool check_block(const nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                        const nnclr_model_spec *model, nnclr_error *e) {
    const nnclr_tensor_info *first = find(reader, names, "layer1.0.conv1.weight"),
                            *second = find(reader, names, "layer1.0.conv2.weight");
    if (second && second->rank == 4 && second->dims[1] < second->dims[0])
        return refuse(reader, second, "grouped convolutions (ResNeXt) are not supported", e);
    if (first && first->rank == 4 && (double)first->dims[0] != 64 * model->width)
        return refuse(reader, first,
                      "a block wider or narrower than the stem (a wide ResNet) is not supported",
                      e);
    return true;
}

bool nnclr_weights_recognise(const nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                             nnclr_model_spec *model, nnclr_error *e) {
    int blocks[NNCLR_STAGES] = {0};
    if (!recognise_stem(reader, names, model, e))
        return false;
    for (int stage = 0; stage < NNCLR_STAGES; stage++)
        while (blocks[stage] < BLOCKS_MOST &&
               find(reader, names, "layer%d.%d.conv1.weight", stage + 1, blocks[stage]))
            blocks[stage]++;
    for (int stage = 0; stage < NNCLR_STAGES; stage++)
        if (blocks[stage] == 0) {
            char first[40];
            snprintf(first, sizeof first, "layer%d.0.conv1.weight", stage + 1);
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: there is no tensor %s, which a ResNet has",
                              nnclr_tensor_reader_path(reader),
                              nnclr_weight_name_of(names, first).text);
        }
    bool bottleneck = find(reader, names, "layer1.0.conv3.weight") != NULL;
    if (!check_block(reader, names, model, e))
        return false;
    return nnclr_arch_find(bottleneck, blocks, &model->arch) ||
           nnclr_fail(e, NNCLR_ERROR_INPUT,
                      "%s: %d, %d, %d and %d %s blocks below %slayer1 to layer4 are not a ResNet "
                      "of depth 18, 34, 50, 101 or 152",
                      nnclr_tensor_reader_path(reader), blocks[0], blocks[1], blocks[2], blocks[3],
                      bottleneck ? "bottleneck" : "basic", names->prefix);
}

static bool read_config(const char *text, nnclr_config *config, nnclr_error *e) {
    nnclr_json *json = nnclr_json_parse(text, strlen(text), "nnclr.config", e);
    bool ok = json && nnclr_config_from_json(json, config, e);
    nnclr_json_free(json);
    return ok;
}

static bool guess_config(const nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                         nnclr_config *config, nnclr_error *e) {
    *config = nnclr_config_preset(NNCLR_PRESET_IMAGENET);
    config->model.projector.count = config->model.predictor.count = 0;
    config->augment.filter = NNCLR_BILINEAR;
    if (!nnclr_weights_recognise(reader, names, &config->model, e))
        return false;
    nnclr_config_size(config, config->model.stem == NNCLR_STEM_CIFAR ? SIZE_CIFAR : SIZE_IMAGENET);
    return true;
}

bool nnclr_weights_describe(const nnclr_tensor_reader *reader, const char *prefix,
                            nnclr_weights_info *info, nnclr_error *e) {
    const char *path = nnclr_tensor_reader_path(reader);
    const char *config = nnclr_tensor_reader_metadata(reader, "nnclr.config");
    const char *step = nnclr_tensor_reader_metadata(reader, "nnclr.step");
    *info = (nnclr_weights_info){.told = config != NULL, .step = -1};
    if (!nnclr_weight_names_find(reader, prefix, &info->names, e))
        return false;
    if (!config)
        return guess_config(reader, &info->names, &info->config, e);
    if (!read_config(config, &info->config, e))
        return nnclr_fail_at(e, "%s", path);
    return !step || nnclr_parse_int(step, 0, NNCLR_MOST_STEPS, &info->step) ||
           nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: nnclr.step is not a number from 0 to %lld", path,
                      (long long)NNCLR_MOST_STEPS);
}

/* ---- loading ---- */

/* The file's tensor for an entry of the backbone. */
static const nnclr_tensor_info *find_entry(const nnclr_tensor_reader *reader,
                                           const nnclr_weight_names *names,
                                           const nnclr_layout_entry *entry) {
    return find(reader, names, "%s", entry->name + strlen(BACKBONE));
}

static bool is_real(nnclr_dtype type) {
    return type == NNCLR_F32 || type == NNCLR_F64 || type == NNCLR_F16 || type == NNCLR_BF16;
}

/* Batch counters influence nothing. */
static bool check_entry(const nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                        const nnclr_layout_entry *entry, nnclr_error *e) {
    const nnclr_tensor_info should = nnclr_layout_info(entry);
    const nnclr_tensor_info *info = find_entry(reader, names, entry);
    const char *path = nnclr_tensor_reader_path(reader);
    if (entry->slot == NNCLR_SLOT_BATCHES)
        return true;
    if (!info)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: there is no tensor %s, of shape %s", path,
                          nnclr_weight_name_of(names, entry->name + strlen(BACKBONE)).text,
                          shape_of(&should).text);
    if (!is_real(info->dtype))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: tensor %s is %s, not F32, F64, F16 or BF16",
                          path, info->name, nnclr_dtype_name(info->dtype));
    if (info->rank != entry->rank ||
        memcmp(info->dims, entry->dims, (size_t)entry->rank * sizeof *info->dims) != 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: tensor %s has shape %s, but this network has %s", path, info->name,
                          shape_of(info).text, shape_of(&should).text);
    return true;
}

/* Names below the prefix that belong to no backbone. */
static bool is_apart(const char *name) {
    static const char *const apart[] = {"fc.",        "linear.", "projector.",
                                        "predictor.", "queue.",  "optim."};
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
        if (starts_with(name, apart[i]))
            return true;
    return false;
}

/* The file's names for all entries of the backbone; the caller's. */
static nnclr_weight_name *name_entries(const nnclr_weight_names *names, const nnclr_layout *layout,
                                       size_t *count, nnclr_error *e) {
    nnclr_weight_name *made = nnclr_alloc(layout->count, sizeof *made, e);
    *count = 0;
    for (size_t i = 0; made && i < layout->count; i++)
        if (starts_with(layout->entries[i].name, BACKBONE))
            made[(*count)++] =
                nnclr_weight_name_of(names, layout->entries[i].name + strlen(BACKBONE));
    return made;
}

/* Any further tensor would change what the network computes. */
static bool refuse_foreign(const nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                           const nnclr_layout *layout, nnclr_error *e) {
    const size_t prefix = strlen(names->prefix);
    size_t count;
    nnclr_weight_name *known = name_entries(names, layout, &count, e);
    bool ok = known != NULL;
    for (size_t i = 0; ok && i < nnclr_tensor_reader_count(reader); i++) {
        const char *name = nnclr_tensor_reader_info(reader, i)->name;
        bool fits = !starts_with(name, names->prefix) || is_apart(name + prefix);
        for (size_t j = 0; j < count && !fits; j++)
            fits = strcmp(known[j].text, name) == 0;
        ok = fits || nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: tensor %s has no place in this network",
                                nnclr_tensor_reader_path(reader), name);
    }
    nnclr_free(known);
    return ok;
}

static bool check_layout(const nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                         const nnclr_layout *layout, nnclr_error *e) {
    for (size_t i = 0; i < layout->count; i++)
        if (starts_with(layout->entries[i].name, BACKBONE) &&
            !check_entry(reader, names, &layout->entries[i], e))
            return false;
    return refuse_foreign(reader, names, layout, e);
}

bool nnclr_weights_check(const nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                         const nnclr_network *net, nnclr_error *e) {
    nnclr_layout layout;
    bool ok = nnclr_layout_make(net, NNCLR_F32, false, NULL, &layout, e) &&
              check_layout(reader, names, &layout, e);
    nnclr_layout_free(&layout);
    return ok;
}

/* A batch counter of another type or shape is left out, like a missing one. */
static bool load_entry(nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                       const nnclr_layout_entry *entry, nnclr_parameters *p, nnclr_error *e) {
    const nnclr_tensor_info *info = find_entry(reader, names, entry);
    bool counter = entry->slot == NNCLR_SLOT_BATCHES;
    if (counter && (!info || !nnclr_layout_fits(entry, info)))
        return true;
    return nnclr_checkpoint_load_entry(reader, info, entry, p, e);
}

bool nnclr_weights_load(nnclr_tensor_reader *reader, const nnclr_weight_names *names,
                        nnclr_parameters *p, nnclr_error *e) {
    nnclr_layout layout;
    bool ok = nnclr_layout_make(p->net, p->engine->table->real, false, NULL, &layout, e) &&
              check_layout(reader, names, &layout, e);
    for (size_t i = 0; ok && i < layout.count; i++)
        if (starts_with(layout.entries[i].name, BACKBONE))
            ok = load_entry(reader, names, &layout.entries[i], p, e);
    ok = ok && p->engine->table->sync(p->engine, e);
    nnclr_layout_free(&layout);
    return ok;
}
