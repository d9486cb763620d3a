/* Composite values of options as text: lists of numbers, layers, durations. Every parser's message
 * says what is needed. */
#ifndef NNCLR_TRAIN_CONFIG_TEXT_H
#define NNCLR_TRAIN_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "net/model.h"
#include "ssl/recipe.h"

/* Exactly `count` numbers in [low, high], separated by commas. */
bool nnclr_parse_reals(const char *text, double *out, int count, double low, double high,
                       nnclr_error *e);
void nnclr_print_reals(const double *values, int count, char *text, size_t size);

/* "2048,2048,256"; "none" means no layers. */
bool nnclr_parse_layers(const char *text, nnclr_layers *out, nnclr_error *e);
void nnclr_print_layers(const nnclr_layers *layers, char *text, size_t size);

typedef enum nnclr_unit { NNCLR_SECONDS, NNCLR_STEPS, NNCLR_EPOCHS } nnclr_unit;

typedef struct nnclr_duration {
    double count; /* steps: a whole number */
    nnclr_unit unit;
} nnclr_duration;

/* "0.5": from the first step on; "1,0.5": from 1 to 0.5 over the run; "1,0.5,0.3",
 * "1,0.5,20epochs", "1,0.5,500steps": over that share of the run, or so long. */
bool nnclr_parse_course(const char *text, nnclr_course *out, nnclr_error *e);
void nnclr_print_course(const nnclr_course *course, char *text, size_t size);

/* "90s", "10m", "2h"; "500steps"; "1epoch", "2.5epochs"; a number without a unit is refused. */
bool nnclr_parse_duration(const char *text, nnclr_duration *out, nnclr_error *e);
void nnclr_print_duration(const nnclr_duration *duration, char *text, size_t size);

#endif
