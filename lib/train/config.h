/* Every option of a pre-training run, resolved: what the presets fill, the command line changes, a
 * checkpoint's nnclr.config records, and `nnclr-embed` and `--resume` rebuild from. Nothing in it
 * differs between equal runs (no path, host, time or thread count). */
#ifndef NNCLR_TRAIN_CONFIG_H
#define NNCLR_TRAIN_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "image/augment.h"
#include "io/json.h"
#include "net/model.h"
#include "ssl/method.h"

typedef enum nnclr_schedule { NNCLR_COSINE, NNCLR_CONSTANT } nnclr_schedule;
typedef enum nnclr_lr_scale {
    NNCLR_SCALE_LINEAR,
    NNCLR_SCALE_SQRT,
    NNCLR_SCALE_NONE
} nnclr_lr_scale;
typedef enum nnclr_preset {
    NNCLR_PRESET_IMAGENET,
    NNCLR_PRESET_CIFAR,
    NNCLR_PRESET_TINY
} nnclr_preset;

typedef struct nnclr_config {
    nnclr_model_spec model;
    nnclr_augment augment; /* augment.size == model.size */
    nnclr_method_options method;
    int batch;
    double epochs;        /* used where steps is 0 */
    int64_t steps;        /* 0: epochs * (records / batch) */
    double warmup_epochs; /* used where warmup_steps is -1 */
    int64_t warmup_steps;
    nnclr_schedule schedule;
    double lr; /* base, before scaling */
    nnclr_lr_scale lr_scale;
    double final_lr; /* share of the peak that the cosine ends at */
    nnclr_optimizer optimizer;
    nnclr_lars lars;
    double momentum, weight_decay, trust;
    uint64_t init_seed, data_seed;
} nnclr_config;

extern const char *const nnclr_preset_names[]; /* "imagenet", "cifar", "tiny", NULL */

/* Section 10 of the reference: the paper as far as published, and two smaller settings. */
nnclr_config nnclr_config_preset(nnclr_preset preset);

/* To and from the JSON string of nnclr.config. Reading refuses missing or impossible values by
 * name, and ignores unknown keys. */
nnclr_json *nnclr_config_to_json(const nnclr_config *config, nnclr_error *e);
bool nnclr_config_from_json(const nnclr_json *json, nnclr_config *config, nnclr_error *e);

/* What contradicts itself (a queue smaller than the batch, ...): one sentence, usage error. */
bool nnclr_config_check(const nnclr_config *config, nnclr_error *e);

#endif
