#include "train/config.h"

#include "train/objective.h"

const char *const nnclr_preset_names[] = {[NNCLR_PRESET_IMAGENET] = "imagenet",
                                          [NNCLR_PRESET_CIFAR] = "cifar",
                                          [NNCLR_PRESET_TINY] = "tiny",
                                          NULL};
const char *const nnclr_augment_names[] = {[NNCLR_AUGMENT_BYOL] = "byol",
                                           [NNCLR_AUGMENT_SIMCLR] = "simclr",
                                           [NNCLR_AUGMENT_CROP] = "crop",
                                           [NNCLR_AUGMENT_NONE] = "none",
                                           NULL};
const char *const nnclr_objective_names[] = {[NNCLR_OBJECTIVE_NNCLR] = "nnclr",
                                             [NNCLR_OBJECTIVE_SIMCLR] = "simclr",
                                             [NNCLR_OBJECTIVE_SIMSIAM] = "simsiam",
                                             [NNCLR_OBJECTIVE_BYOL] = "byol",
                                             [NNCLR_OBJECTIVE_BARLOW] = "barlow",
                                             [NNCLR_OBJECTIVE_FINETUNE] = "finetune",
                                             NULL};
const char *const nnclr_schedule_names[] = {
    [NNCLR_COSINE] = "cosine", [NNCLR_CONSTANT] = "constant", NULL};
const char *const nnclr_lr_scale_names[] = {[NNCLR_SCALE_LINEAR] = "linear",
                                            [NNCLR_SCALE_SQRT] = "sqrt",
                                            [NNCLR_SCALE_NONE] = "none",
                                            NULL};
const char *const nnclr_optimizer_names[] = {[NNCLR_LARS] = "lars", [NNCLR_SGD] = "sgd", NULL};
const char *const nnclr_lars_names[] = {[NNCLR_LARS_BYOL] = "byol",
                                        [NNCLR_LARS_SIMCLR] = "simclr",
                                        [NNCLR_LARS_LIGHTLY] = "lightly",
                                        [NNCLR_LARS_SOLO] = "solo",
                                        NULL};

static const nnclr_config imagenet = {
    .model = {.arch = NNCLR_RESNET50,
              .width = 1,
              .stem = NNCLR_STEM_IMAGENET,
              .size = 224,
              .projector = {3, {2048, 2048, 256}},
              .predictor = {1, {4096}}},
    .augment = {.size = 224,
                .filter = NNCLR_BICUBIC,
                .mean = {0.485f, 0.456f, 0.406f},
                .std = {0.229f, 0.224f, 0.225f}},
    .objective = NNCLR_OBJECTIVE_NNCLR,
    .method = {.positive = NNCLR_POSITIVE_NN,
               .negatives = NNCLR_NEGATIVES_ALL,
               .temperature = 0.1,
               .off_diagonal = 0.0051,
               .queue = 98304,
               .loss = NNCLR_LOSS_ROW,
               .swap = true,
               .neighbours = 1,
               .enqueue = NNCLR_ENQUEUE_VIEW1},
    .batch = 4096,
    .epochs = 1000,
    .warmup_epochs = 10,
    .warmup_steps = -1,
    .schedule = NNCLR_COSINE,
    .lr = 0.3,
    .lr_scale = NNCLR_SCALE_LINEAR,
    .optimizer = NNCLR_LARS,
    .lars = NNCLR_LARS_BYOL,
    .trust = 0.001,
    .momentum = 0.9,
    .weight_decay = 1e-6,
};

static void become_cifar(nnclr_config *c) {
    static const float mean[3] = {0.4914f, 0.4822f, 0.4465f}, std[3] = {0.2470f, 0.2435f, 0.2616f};
    for (int i = 0; i < 3; i++) {
        c->augment.mean[i] = mean[i];
        c->augment.std[i] = std[i];
    }
    c->model.arch = NNCLR_RESNET18;
    c->model.stem = NNCLR_STEM_CIFAR;
    c->method.temperature = 0.2;
    c->method.queue = 16384;
    c->batch = 256;
    nnclr_config_lars(c, NNCLR_LARS_SOLO);
    c->lr = 0.4;
    c->weight_decay = 1e-5;
    nnclr_config_size(c, 32);
}

static void become_tiny(nnclr_config *c) {
    c->model.arch = NNCLR_RESNET18;
    c->model.width = 0.125;
    c->model.stem = NNCLR_STEM_CIFAR;
    c->model.projector = (nnclr_layers){3, {64, 64, 32}};
    c->model.predictor = (nnclr_layers){1, {64}};
    c->method.temperature = 0.2;
    c->method.queue = 512;
    c->method.exclude_self = true;
    c->batch = 64;
    c->epochs = 20;
    c->warmup_epochs = 2;
    c->optimizer = NNCLR_SGD;
    c->lr = 0.24;
    c->weight_decay = 5e-4;
    c->augment.area_low = 0.2;
    c->augment.brightness = c->augment.contrast = 0.2;
    c->augment.saturation = 0.1;
    c->augment.hue = 0.05;
    c->augment.solarize[1] = 0;
    nnclr_config_size(c, 32);
}

static nnclr_config with_predictor(nnclr_preset preset) {
    nnclr_config config = imagenet;
    nnclr_config_augment(&config, NNCLR_AUGMENT_BYOL);
    if (preset == NNCLR_PRESET_CIFAR)
        become_cifar(&config);
    else if (preset == NNCLR_PRESET_TINY)
        become_tiny(&config);
    return config;
}

nnclr_config nnclr_config_preset(nnclr_preset preset) {
    nnclr_config config = with_predictor(preset);
    nnclr_config_method(&config, preset, NNCLR_OBJECTIVE_NNCLR);
    return config;
}

/* In short runs neighbours that an untrained network finds keep z in a few directions; without a
 * predictor, beside the own view, and as a mean of several they do not. */
static void open_z(nnclr_config *c) {
    c->model.predictor = (nnclr_layers){0};
    c->method.view_weight = (nnclr_course){.share = {1, 0.5}};
    c->method.soft = true;
    c->method.neighbours = 5;
}

void nnclr_config_method(nnclr_config *c, nnclr_preset preset, nnclr_objective_kind method) {
    const nnclr_config usual = with_predictor(preset);
    c->objective = method;
    const nnclr_method_type *type = nnclr_objective_of(c)->type;
    c->model.predictor = usual.model.predictor;
    if (!type->predictor)
        c->model.predictor = (nnclr_layers){0};
    c->method = usual.method;
    c->method.positive = type->positive;
    c->method.target_momentum = type->target_momentum;
    if (method == NNCLR_OBJECTIVE_NNCLR && preset != NNCLR_PRESET_IMAGENET)
        open_z(c);
}

void nnclr_config_augment(nnclr_config *config, nnclr_augment_choice choice) {
    static const nnclr_augment choices[] = {
        [NNCLR_AUGMENT_BYOL] = {.area_low = 0.08,
                                .flip = 0.5,
                                .jitter = 0.8,
                                .brightness = 0.4,
                                .contrast = 0.4,
                                .saturation = 0.2,
                                .hue = 0.1,
                                .gray = 0.2,
                                .blur = {1, 0.1},
                                .solarize = {0, 0.2}},
        [NNCLR_AUGMENT_SIMCLR] = {.area_low = 0.08,
                                  .flip = 0.5,
                                  .jitter = 0.8,
                                  .brightness = 0.8,
                                  .contrast = 0.8,
                                  .saturation = 0.8,
                                  .hue = 0.2,
                                  .gray = 0.2,
                                  .blur = {0.5, 0.5}},
        [NNCLR_AUGMENT_CROP] = {.area_low = 0.08},
        [NNCLR_AUGMENT_NONE] = {.area_low = 1},
    };
    nnclr_augment old = config->augment, *a = &config->augment;
    bool shapes = choice != NNCLR_AUGMENT_NONE;
    *a = choices[choice];
    a->area_high = 1;
    a->aspect_low = shapes ? 0.75 : 1;
    a->aspect_high = shapes ? 4.0 / 3 : 1;
    a->blur_low = 0.1;
    a->blur_high = 2;
    a->operators = old.operators;
    a->filter = old.filter;
    for (int i = 0; i < 3; i++) {
        a->mean[i] = old.mean[i];
        a->std[i] = old.std[i];
    }
    nnclr_config_size(config, config->model.size);
}

void nnclr_config_size(nnclr_config *config, int size) {
    config->model.size = config->augment.size = size;
    if (size < NNCLR_BLUR_FROM_SIZE)
        config->augment.blur[0] = config->augment.blur[1] = 0;
}

void nnclr_config_lars(nnclr_config *config, nnclr_lars lars) {
    config->lars = lars;
    config->trust = lars == NNCLR_LARS_SOLO ? 0.02 : 0.001;
}

bool nnclr_config_stretches(const nnclr_config *config) {
    return config->model.stem == NNCLR_STEM_CIFAR || config->model.size < 64;
}

int nnclr_config_micro_batch(const nnclr_config *config) {
    return config->micro_batch < config->batch ? config->micro_batch : 0;
}

/* ---- what contradicts itself ---- */

static bool check_batch(const nnclr_config *c, nnclr_error *e) {
    if (c->batch < 2)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "a batch of %d has no negatives: give --batch 2 or more", c->batch);
    if (c->micro_batch == 1)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "a micro-batch of one picture has no batch statistics: give "
                          "--micro-batch 2 or more");
    if (c->micro_batch > 0 && c->batch % c->micro_batch != 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "a batch of %d cannot be cut into micro-batches of %d: give a "
                          "--micro-batch that divides it",
                          c->batch, c->micro_batch);
    return true;
}

bool nnclr_config_check_ranks(const nnclr_config *c, int ranks, nnclr_error *e) {
    const int share = c->batch / ranks, micro_batch = nnclr_config_micro_batch(c);
    if (c->batch % ranks != 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "a batch of %d cannot be shared by %d ranks: give --batch %d", c->batch,
                          ranks, (share + 1) * ranks);
    if (micro_batch > 0 && share % micro_batch != 0)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "the %d pictures of each of %d ranks cannot be cut into micro-batches of "
                          "%d: give a --micro-batch that divides them",
                          share, ranks, micro_batch);
    return true;
}

bool nnclr_config_check(const nnclr_config *c, nnclr_error *e) {
    if (!check_batch(c, e))
        return false;
    if (c->augment.size != c->model.size)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "pictures of size %d do not fit a network for size %d", c->augment.size,
                          c->model.size);
    for (int i = 0; i < 3; i++)
        if (!(c->augment.std[i] > 0))
            return nnclr_fail(e, NNCLR_ERROR_USAGE, "a standard deviation of %g is not above 0",
                              (double)c->augment.std[i]);
    if (c->steps == 0 && !(c->epochs > 0))
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "nothing to train: --epochs or --steps must be above 0");
    return nnclr_augment_check(&c->augment, e) && nnclr_objective_of(c)->check(c, e);
}
