#include "cmd/augment_options.h"

#include <math.h>
#include <string.h>

#include "cmd/shared_options.h"

static bool parse_augment(const char *text, void *target, nnclr_error *e) {
    (void)target; /* applied before parsing, so that single strengths change it in any order */
    return option_find(nnclr_augment_names, text) >= 0 ||
           nnclr_fail(e, NNCLR_ERROR_USAGE, "needs byol, simclr, crop or none, not \"%s\"", text);
}

size_t augment_options(nnclr_augment *augment, int64_t *size,
                       nnclr_option table[AUGMENT_OPTIONS_MOST]) {
    const nnclr_option first[] = {
        INTEGER("size", size, "N", "views are N x N pixels", 8, 4096),
        CUSTOM("augment", NULL, "byol|simclr|crop|none",
               "ready-made augmentation, which the single strengths below change", parse_augment,
               option_show_nothing),
    };
    size_t count = sizeof first / sizeof *first;
    memcpy(table, first, sizeof first);
    for (int i = 0; i < NNCLR_AUGMENT_FIELDS; i++) {
        const nnclr_augment_field *from = &nnclr_augment_fields[i];
        const nnclr_field *field = &from->field;
        if (from->option)
            table[count++] = (nnclr_option){
                from->option,
                .type = field->type == NNCLR_FIELD_CHOICE  ? NNCLR_OPTION_CHOICE
                        : field->type == NNCLR_FIELD_FLOAT ? NNCLR_OPTION_FLOAT
                                                           : NNCLR_OPTION_REAL,
                .target = (unsigned char *)augment + field->offset,
                .argument = from->argument,
                .help = from->help,
                .low = field->low,
                .high = field->high,
                .count = field->count,
                .choices = field->choices,
            };
    }
    return count;
}

void view_options(view_choices *choices, nnclr_option table[VIEW_OPTIONS]) {
    *choices = (view_choices){.filter = -1, .mean = {NAN}, .std = {NAN}};
    const nnclr_option options[] = {
        INTEGER("size", &choices->size, "N", "show it pictures of N x N pixels", 8, 4096),
        CHOICE("interpolation", &choices->filter, nnclr_filter_names, "filter of their resize"),
        FLOATS("mean", choices->mean, 3, "R,G,B", "subtracted from them", -1e3, 1e3),
        FLOATS("std", choices->std, 3, "R,G,B", "they are divided by this", 1e-6, 1e3),
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
