/* The preset tiny with the method as it was published: a predictor, and one neighbour alone. */
#ifndef NNCLR_TESTS_PLAIN_TINY_H
#define NNCLR_TESTS_PLAIN_TINY_H

#include "train/config.h"

static inline nnclr_config plain_tiny(void) {
    nnclr_config config = nnclr_config_preset(NNCLR_PRESET_TINY);
    config.method.view_weight = (nnclr_course){.over = 0};
    config.method.soft = false;
    config.model.predictor = (nnclr_layers){1, {64}};
    return config;
}

#endif
