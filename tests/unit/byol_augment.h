/* The augmentation that tests and benchmarks vary: BYOL's two pipelines (Grill et al. 2020,
 * appendix B) with torchvision's operators; no blur below 64 pixels, nothing normalised. */
#ifndef TESTS_UNIT_BYOL_AUGMENT_H
#define TESTS_UNIT_BYOL_AUGMENT_H

#include "image/augment.h"

static inline nnclr_augment byol_augment(int size) {
    return (nnclr_augment){.size = size,
                           .filter = NNCLR_BICUBIC,
                           .area_low = 0.08,
                           .area_high = 1,
                           .aspect_low = 3.0 / 4,
                           .aspect_high = 4.0 / 3,
                           .flip = 0.5,
                           .jitter = 0.8,
                           .brightness = 0.4,
                           .contrast = 0.4,
                           .saturation = 0.2,
                           .hue = 0.1,
                           .gray = 0.2,
                           .blur = {size < 64 ? 0 : 1, size < 64 ? 0 : 0.1},
                           .blur_low = 0.1,
                           .blur_high = 2,
                           .solarize = {0, 0.2},
                           .std = {1, 1, 1}};
}

/* For pictures and views so small that no crop may be a speck of them; normalised. */
static inline nnclr_augment byol_augment_of_small(int size) {
    nnclr_augment augment = byol_augment(size);
    augment.area_low = 0.2;
    augment.blur[0] = augment.blur[1] = 0.5;
    augment.blur_high = 1;
    for (int c = 0; c < 3; c++) {
        augment.mean[c] = 0.5f - 0.1f * (float)c;
        augment.std[c] = 0.2f + 0.05f * (float)c;
    }
    return augment;
}

/* With blur at any size, and with other chances for view 1 than for view 2. */
static inline nnclr_augment byol_augment_varied(int size) {
    nnclr_augment augment = byol_augment(size);
    augment.area_low = 0.2;
    augment.area_high = 0.5;
    augment.contrast = 0.3;
    augment.blur[0] = 0.9;
    augment.blur[1] = 0.1;
    augment.solarize[0] = 0.05;
    augment.solarize[1] = 0.3;
    return augment;
}

#endif
