#include "cmd/augment_options.h"

#include <string.h>

#include "cmd/option_table.h"
#include "train/config_text.h"

int option_find(const char *const *names, const char *name) {
    for (int i = 0; name && names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static bool parse_augment(const char *text, void *target, nnclr_error *e) {
    (void)target; /* applied before parsing, so that single strengths change it in any order */
    return option_find(nnclr_augment_names, text) >= 0 ||
           nnclr_fail(e, NNCLR_ERROR_USAGE, "needs byol, simclr, crop or none, not \"%s\"", text);
}

static void show_nothing(const void *target, char *text, size_t size) {
    (void)target;
    if (size)
        text[0] = '\0';
}

static bool parse_area(const char *text, void *target, nnclr_error *e) {
    return nnclr_parse_reals(text, target, 2, 1e-6, 1, e);
}

static bool parse_shares(const char *text, void *target, nnclr_error *e) {
    return nnclr_parse_reals(text, target, 2, 0, 1, e);
}

static void show_pair(const void *target, char *text, size_t size) {
    nnclr_print_reals(target, 2, text, size);
}

static bool parse_strengths(const char *text, void *target, nnclr_error *e) {
    double values[4];
    if (!nnclr_parse_reals(text, values, 4, 0, 10, e))
        return false;
    if (values[3] > 0.5)
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "a hue of %g is more than half a turn (0.5)",
                          values[3]);
    memcpy(target, values, sizeof values);
    return true;
}

static void show_strengths(const void *target, char *text, size_t size) {
    nnclr_print_reals(target, 4, text, size);
}

static bool parse_colours(const char *text, float *out, double low, nnclr_error *e) {
    double values[3];
    if (!nnclr_parse_reals(text, values, 3, low, 1000, e))
        return false;
    for (int i = 0; i < 3; i++)
        out[i] = (float)values[i];
    return true;
}

static bool parse_mean(const char *text, void *target, nnclr_error *e) {
    return parse_colours(text, target, -1000, e);
}

static bool parse_std(const char *text, void *target, nnclr_error *e) {
    return parse_colours(text, target, 1e-6, e);
}

static void show_colours(const void *target, char *text, size_t size) {
    const float *values = target;
    nnclr_print_reals((double[]){(double)values[0], (double)values[1], (double)values[2]}, 3, text,
                      size);
}

void augment_options(nnclr_augment *a, int64_t *size, nnclr_option table[AUGMENT_OPTIONS]) {
    const nnclr_option options[] = {
        INTEGER("size", size, "N", "views are N x N pixels", 8, 4096),
        CUSTOM("augment", NULL, "byol|simclr|crop|none",
               "ready-made augmentation, which the single strengths below change", parse_augment,
               show_nothing),
        CHOICE("jitter", &a->operators, nnclr_jitter_names,
               "whose colour operators, crop and blur: torchvision's, or those that BYOL's authors "
               "published for TensorFlow"),
        CHOICE("interpolation", &a->filter, nnclr_filter_names, "filter of the crop's resize"),
        CUSTOM("crop", &a->area_low, "LOW,HIGH", "share of the picture's area that a crop has",
               parse_area, show_pair),
        REAL("flip", &a->flip, "P", "probability of a mirrored view", 0, 1),
        CUSTOM("jitter-strength", &a->brightness, "B,C,S,H",
               "strengths of brightness, contrast, saturation and hue", parse_strengths,
               show_strengths),
        REAL("jitter-p", &a->jitter, "P", "probability of colour jitter", 0, 1),
        REAL("gray", &a->gray, "P", "probability of a gray view", 0, 1),
        CUSTOM("blur", &a->blur, "P1,P2",
               "probability of blur in view 1 and 2; below size 64 none unless given", parse_shares,
               show_pair),
        CUSTOM("solarize", &a->solarize, "P1,P2", "probability of solarisation in view 1 and 2",
               parse_shares, show_pair),
        CUSTOM("mean", &a->mean, "R,G,B", "subtracted from views", parse_mean, show_colours),
        CUSTOM("std", &a->std, "R,G,B", "views are divided by this", parse_std, show_colours),
    };
    _Static_assert(sizeof options / sizeof *options == AUGMENT_OPTIONS, "count them");
    memcpy(table, options, sizeof options);
}

void view_options(view_choices *choices, nnclr_option table[VIEW_OPTIONS]) {
    *choices = (view_choices){.filter = -1};
    const nnclr_option options[] = {
        INTEGER("size", &choices->size, "N", "show it pictures of N x N pixels", 8, 4096),
        CHOICE("interpolation", &choices->filter, nnclr_filter_names, "filter of their resize"),
        CUSTOM("mean", choices->mean, "R,G,B", "subtracted from them", parse_mean, show_nothing),
        CUSTOM("std", choices->std, "R,G,B", "they are divided by this", parse_std, show_nothing),
    };
    _Static_assert(sizeof options / sizeof *options == VIEW_OPTIONS, "count them");
    memcpy(table, options, sizeof options);
}

void view_apply(const view_choices *choices, const nnclr_cli *cli, nnclr_config *config) {
    nnclr_augment *a = &config->augment;
    if (choices->size)
        config->model.size = a->size = (int)choices->size;
    if (choices->filter >= 0)
        a->filter = (nnclr_filter)choices->filter;
    if (nnclr_cli_given(cli, "mean"))
        memcpy(a->mean, choices->mean, sizeof a->mean);
    if (nnclr_cli_given(cli, "std"))
        memcpy(a->std, choices->std, sizeof a->std);
}

nnclr_config augment_defaults(const nnclr_command_line *line, int *preset, int64_t *size) {
    int named = option_find(nnclr_preset_names, nnclr_cli_peek(line, "preset"));
    int augment = option_find(nnclr_augment_names, nnclr_cli_peek(line, "augment"));
    const char *side = nnclr_cli_peek(line, "size");
    *preset = named >= 0 ? named : NNCLR_PRESET_IMAGENET;
    nnclr_config config = nnclr_config_preset((nnclr_preset)*preset);
    *size = config.model.size;
    if (side)
        nnclr_parse_int(side, 8, 4096, size);
    nnclr_config_size(&config, (int)*size);
    if (augment >= 0)
        nnclr_config_augment(&config, (nnclr_augment_choice)augment);
    return config;
}
