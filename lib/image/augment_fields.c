/* What there is to say about each field of an augmentation. */
#include <stddef.h>

#include "image/augment.h"

const char *const nnclr_jitter_names[] = {
    [NNCLR_JITTER_TORCH] = "torch", [NNCLR_JITTER_TF] = "tf", NULL};

#define AT(member)    offsetof(nnclr_augment, member)
#define DRAWN(member) offsetof(nnclr_view_parameters, member)

const nnclr_augment_field nnclr_augment_fields[NNCLR_AUGMENT_FIELDS] = {
    {
        {"jitter", NNCLR_FIELD_CHOICE, AT(operators), .choices = nnclr_jitter_names,
         .fallback = "\"torch\""},
        .option = "jitter",
        .help = "whose colour operators, crop and blur: torchvision's, or those that BYOL's "
                "authors published for TensorFlow",
        .random = true,
    },
    {
        {"interpolation", NNCLR_FIELD_CHOICE, AT(filter), .choices = nnclr_filter_names},
        .option = "interpolation",
        .help = "filter of the crop's resize",
    },
    {
        {"mean", NNCLR_FIELD_FLOAT, AT(mean), .low = -1e3, .high = 1e3, .count = 3},
        .option = "mean",
        .argument = "R,G,B",
        .help = "subtracted from views",
    },
    {
        {"std", NNCLR_FIELD_FLOAT, AT(std), .low = 1e-6, .high = 1e3, .count = 3},
        .option = "std",
        .argument = "R,G,B",
        .help = "views are divided by this",
    },
    {
        {"crop", NNCLR_FIELD_REAL, AT(area_low), .low = 1e-6, .high = 1, .count = 2},
        .option = "crop",
        .argument = "LOW,HIGH",
        .help = "share of the picture's area that a crop has",
        .random = true,
    },
    {
        .field = {"aspect", NNCLR_FIELD_REAL, AT(aspect_low), .low = 1e-3, .high = 1e3, .count = 2},
    },
    {
        {"flip", NNCLR_FIELD_REAL, AT(flip), .low = 0, .high = 1},
        .option = "flip",
        .argument = "P",
        .help = "probability of a mirrored view",
        .random = true,
        .caption = "flip",
        .drawn = DRAWN(flip),
    },
    {
        {"jitter_p", NNCLR_FIELD_REAL, AT(jitter), .low = 0, .high = 1},
        .option = "jitter-p",
        .argument = "P",
        .help = "probability of colour jitter",
        .random = true,
        .caption = "jitter",
        .drawn = DRAWN(jitter),
    },
    {
        {"jitter_strength", NNCLR_FIELD_REAL, AT(brightness), .low = 0, .high = 10, .count = 4},
        .option = "jitter-strength",
        .argument = "B,C,S,H",
        .help = "strengths of brightness, contrast, saturation and hue",
        .random = true,
    },
    {
        {"gray", NNCLR_FIELD_REAL, AT(gray), .low = 0, .high = 1},
        .option = "gray",
        .argument = "P",
        .help = "probability of a gray view",
        .random = true,
        .caption = "gray",
        .drawn = DRAWN(gray),
    },
    {
        {"blur", NNCLR_FIELD_REAL, AT(blur), .low = 0, .high = 1, .count = 2},
        .option = "blur",
        .argument = "P1,P2",
        .help = "probability of blur in view 1 and 2; below size 64 none unless given",
        .random = true,
        .caption = "blur",
        .drawn = DRAWN(blur),
        .amount = DRAWN(sigma),
    },
    {
        .field = {"blur_sigma", NNCLR_FIELD_REAL, AT(blur_low), .low = 0, .high = 100, .count = 2},
    },
    {
        {"solarize", NNCLR_FIELD_REAL, AT(solarize), .low = 0, .high = 1, .count = 2},
        .option = "solarize",
        .argument = "P1,P2",
        .help = "probability of solarisation in view 1 and 2",
        .random = true,
        .caption = "solarize",
        .drawn = DRAWN(solarize),
    },
};

/* Pairs and quadruples are arrays, and choices ints. */
_Static_assert(AT(area_high) == AT(area_low) + sizeof(double), "no array");
_Static_assert(AT(aspect_high) == AT(aspect_low) + sizeof(double), "no array");
_Static_assert(AT(blur_high) == AT(blur_low) + sizeof(double), "no array");
_Static_assert(AT(hue) == AT(brightness) + 3 * sizeof(double), "no array");
_Static_assert(sizeof(nnclr_jitter) == sizeof(int), "choices are ints");

bool nnclr_augment_put(nnclr_json *object, const nnclr_augment *augment, nnclr_error *e) {
    bool ok = true;
    for (int i = 0; ok && i < NNCLR_AUGMENT_FIELDS; i++)
        ok = nnclr_field_put(object, &nnclr_augment_fields[i].field, augment, e);
    return ok;
}

bool nnclr_augment_get(const nnclr_json *object, const char *what, nnclr_augment *augment,
                       nnclr_error *e) {
    bool ok = true;
    for (int i = 0; ok && i < NNCLR_AUGMENT_FIELDS; i++)
        ok = nnclr_field_get(object, what, &nnclr_augment_fields[i].field, augment, e);
    return ok;
}

bool nnclr_augment_check(const nnclr_augment *a, nnclr_error *e) {
    if (a->area_low > a->area_high)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "the crop's smallest area %g is above its largest %g", a->area_low,
                          a->area_high);
    if (a->aspect_low > a->aspect_high)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "the crop's lowest aspect %g is above its highest %g", a->aspect_low,
                          a->aspect_high);
    if (a->blur_low > a->blur_high)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "the blur's smallest sigma %g is above its largest %g", a->blur_low,
                          a->blur_high);
    if (a->hue > 0.5)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "a hue of %g is more than half a turn: give --jitter-strength one of at "
                          "most 0.5",
                          a->hue);
    return true;
}
