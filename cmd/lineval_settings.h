/* The options of nnclr-lineval, as its files share them. */
#ifndef NNCLR_CMD_LINEVAL_SETTINGS_H
#define NNCLR_CMD_LINEVAL_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/linear.h"

typedef struct settings {
    const char *methods, *predictions, *output;
    int64_t k, epochs, batch, seed;
    double temperature, label_fraction, lr, weight_decay;
    nnclr_lambdas lambdas;
    int solver; /* nnclr_solver */
    bool standardize, confusion, json;
    /* of --augment */
    bool augment;
    const char *model, *prefix;
    double crop[2], flip;
} settings;

extern const char *const solver_names[]; /* of nnclr_solver, NULL-terminated */

#endif
