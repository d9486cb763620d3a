/* Every option of a run of pre-training or fine-tuning, resolved: presets fill it, the command line
 * changes it, a checkpoint's nnclr.config records it, and `nnclr-embed` and `--resume` rebuild from
 * it. Nothing in it differs between equal runs (no path, host, time or thread count). */
#ifndef NNCLR_TRAIN_CONFIG_H
#define NNCLR_TRAIN_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "image/augment.h"
#include "io/json.h"
#include "net/model.h"
#include "ssl/recipe.h"

typedef enum nnclr_objective_kind {
    NNCLR_OBJECTIVE_NNCLR,
    NNCLR_OBJECTIVE_SIMCLR,
    NNCLR_OBJECTIVE_SIMSIAM,
    NNCLR_OBJECTIVE_BYOL,
    NNCLR_OBJECTIVE_BARLOW,
    NNCLR_OBJECTIVE_FINETUNE
} nnclr_objective_kind;
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
    nnclr_augment augment;          /* augment.size == model.size */
    nnclr_objective_kind objective; /* "method" */
    nnclr_method_options method;
    int batch;
    int shuffle_window; /* frames that records are drawn from; 0: the whole set */
    int micro_batch;    /* pictures that pass through the backbone at a time; 0: the whole batch */
    double epochs;      /* used if steps is 0 */
    int64_t steps;      /* 0: epochs * (records / batch) */
    double warmup_epochs; /* used if warmup_steps is -1 */
    int64_t warmup_steps;
    nnclr_schedule schedule;
    double lr; /* base, before scaling */
    nnclr_lr_scale lr_scale;
    double final_lr; /* share of the peak that the cosine ends at */
    nnclr_optimizer optimizer;
    nnclr_lars lars;
    double momentum, weight_decay, trust;
    uint64_t init_seed, data_seed;
    /* Only for fine-tuning (model.classes above 0, no heads): */
    double head_lr;        /* base rate of the classifier, scaled as lr is */
    double label_fraction; /* of each class's pictures that are trained on */
    bool nesterov;
} nnclr_config;

/* Ready-made augmentations: BYOL's, SimCLR's, random crops alone, none. */
typedef enum nnclr_augment_choice {
    NNCLR_AUGMENT_BYOL,
    NNCLR_AUGMENT_SIMCLR,
    NNCLR_AUGMENT_CROP,
    NNCLR_AUGMENT_NONE
} nnclr_augment_choice;

/* Names of the choices by value, NULL-terminated. */
extern const char *const nnclr_preset_names[];
extern const char *const nnclr_augment_names[];
extern const char *const nnclr_objective_names[];
extern const char *const nnclr_schedule_names[];
extern const char *const nnclr_lr_scale_names[];
extern const char *const nnclr_optimizer_names[];
extern const char *const nnclr_lars_names[];

enum { NNCLR_BLUR_FROM_SIZE = 64 }; /* smaller pictures are not blurred unless asked for */

/* Section 10 of the reference: the paper's settings as far as published, and two smaller ones. */
nnclr_config nnclr_config_preset(nnclr_preset preset);
/* Chooses another method, with its usual predictor, positive and target. */
void nnclr_config_method(nnclr_config *config, nnclr_preset preset, nnclr_objective_kind method);
/* Sets strengths and probabilities; kind of operators, size, interpolation, mean and std stay. */
void nnclr_config_augment(nnclr_config *config, nnclr_augment_choice choice);
/* Sets the pictures' size; no blur below NNCLR_BLUR_FROM_SIZE. */
void nnclr_config_size(nnclr_config *config, int size);
/* Sets the variant of LARS and the trust coefficient that is usual with it. */
void nnclr_config_lars(nnclr_config *config, nnclr_lars lars);

/* To and from the JSON string of nnclr.config. Reading refuses missing or impossible values by
 * name, and ignores unknown keys. A key that older versions did not have has a fallback in the
 * table. */
nnclr_json *nnclr_config_to_json(const nnclr_config *config, nnclr_error *e);
bool nnclr_config_from_json(const nnclr_json *json, nnclr_config *config, nnclr_error *e);

/* Whether evaluation pictures are resized to size x size as they are: with the 32x32 stem or a size
 * below 64; otherwise the centre is cut out. */
bool nnclr_config_stretches(const nnclr_config *config);

/* Pictures of a view that pass through the backbone at a time; 0: all of them. */
int nnclr_config_micro_batch(const nnclr_config *config);

/* Refuses contradictions (a queue smaller than the batch, ...): one sentence, a usage error. */
bool nnclr_config_check(const nnclr_config *config, nnclr_error *e);
/* Likewise a batch that so many ranks cannot share. */
bool nnclr_config_check_ranks(const nnclr_config *config, int ranks, nnclr_error *e);

#endif
