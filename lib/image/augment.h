/* What the network sees of a picture: two random views for training, one fixed view for evaluation.
 * NNCLR-style augmentation (BYOL's, Grill et al. 2020, appendix B), with torchvision's operators or
 * with those that BYOL's authors published for TensorFlow.
 *
 * A view depends on (seed, epoch, record, view) and the picture alone: no state, any thread. */
#ifndef NNCLR_IMAGE_AUGMENT_H
#define NNCLR_IMAGE_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/rng.h"
#include "base/strings.h"
#include "image/image.h"
#include "image/resize.h"
#include "io/fields.h"

/* Whose operators are used. TF: a crop is one draw, clamped to the picture; brightness is added,
 * contrast is about each channel's mean, saturation scales that of HSV; blur is a truncated
 * Gaussian. */
typedef enum nnclr_jitter { NNCLR_JITTER_TORCH, NNCLR_JITTER_TF } nnclr_jitter;
extern const char *const nnclr_jitter_names[]; /* "torch", "tf", NULL */

typedef struct nnclr_augment {
    int size;                       /* views are size x size */
    nnclr_jitter operators;         /* not their strengths, which follow */
    nnclr_filter filter;            /* of the crop's resize */
    double area_low, area_high;     /* crop area, share of the picture */
    double aspect_low, aspect_high; /* log-uniform */
    double flip;                    /* probability */
    double jitter;                  /* probability; four strengths: */
    double brightness, contrast, saturation, hue;
    double gray;                /* probability */
    double blur[2];             /* probability in view 1, 2 */
    double blur_low, blur_high; /* sigma, uniform */
    double solarize[2];         /* probability in view 1, 2; threshold 0.5 */
    float mean[3], std[3];
} nnclr_augment;

/* What was drawn for one view: the draw is separate from the work, so that distributions can be
 * tested and given parameters can be applied. */
typedef struct nnclr_view_parameters {
    nnclr_box crop;
    bool flip, jitter, gray, blur, solarize;
    int order[4];     /* 0 brightness, 1 contrast, 2 saturation, 3 hue: the order of application */
    double factor[4]; /* brightness, contrast, saturation: multiply/blend; hue: share of a turn;
                       * with TF, brightness: what is added */
    double sigma;
} nnclr_view_parameters;

/* Everything that is said about a field of nnclr_augment but its size: its key in JSON, the option
 * that sets it, and the word under a view that it was drawn for. */
typedef struct nnclr_augment_field {
    nnclr_field field;                    /* of nnclr_augment */
    const char *option, *argument, *help; /* as cmd/cli.h has them; option NULL: presets set it */
    bool random;                          /* of no use if views are made already */
    const char *caption;                  /* NULL: none */
    size_t drawn, amount; /* with a caption: a bool of nnclr_view_parameters, and the double that is
                             shown with it (0: none) */
} nnclr_augment_field;

enum { NNCLR_AUGMENT_FIELDS = 13 };
extern const nnclr_augment_field nnclr_augment_fields[NNCLR_AUGMENT_FIELDS];

/* All fields into and from the object that is called `what`. */
bool nnclr_augment_put(nnclr_json *object, const nnclr_augment *augment, nnclr_error *e);
bool nnclr_augment_get(const nnclr_json *object, const char *what, nnclr_augment *augment,
                       nnclr_error *e);
/* Refuses contradictions: one sentence, a usage error. */
bool nnclr_augment_check(const nnclr_augment *augment, nnclr_error *e);

/* What view 0 or 1 of a width x height picture is made with. The crop is torchvision's
 * RandomResizedCrop: ten draws of (area, aspect), then the central fallback; with TF, the first
 * draw. Every draw is made whether it is used or not, so that neither one probability nor the
 * choice of operators shifts the others. */
nnclr_view_parameters nnclr_augment_draw(const nnclr_augment *augment, int width, int height,
                                         uint64_t seed, uint32_t epoch, uint64_t record, int view);

/* Makes the view of a patch that covers the crop. out [size][size][3] in [0,1], not normalised.
 * `scratch`, here and below, keeps its memory between calls: one a thread. */
bool nnclr_augment_apply(const nnclr_augment *augment, const nnclr_view_parameters *parameters,
                         const nnclr_patch *patch, float *out, nnclr_buffer *scratch,
                         nnclr_error *e);

/* The evaluation view: resized to size x size if `stretch` (32x32 stem, or a size below 64);
 * otherwise the short side goes to round(size*256/224) and the centre is cut. In [0,1]. */
bool nnclr_augment_evaluation(int size, bool stretch, nnclr_filter filter, const nnclr_image *image,
                              float *out, nnclr_buffer *scratch, nnclr_error *e);

/* (x - mean) / std on `pixels` pixels of three channels, in place. */
void nnclr_normalize(float *view, int64_t pixels, const float mean[3], const float std[3]);

/* Colour operators on [pixels][3] floats in [0,1], in place, as torchvision's functional ones on
 * float tensors (blur as Pillow's three extended boxes, on a width x height picture). */
void nnclr_adjust_brightness(float *rgb, int64_t pixels, double factor);
void nnclr_adjust_contrast(float *rgb, int64_t pixels, double factor);
void nnclr_adjust_saturation(float *rgb, int64_t pixels, double factor);
void nnclr_adjust_hue(float *rgb, int64_t pixels, double turn);
void nnclr_to_gray(float *rgb, int64_t pixels);
void nnclr_solarize(float *rgb, int64_t pixels);
bool nnclr_blur(float *rgb, int width, int height, double sigma, nnclr_buffer *scratch,
                nnclr_error *e);

/* The same as TF has them, where they differ: x + delta; the distance from each channel's own mean
 * times `factor`; the saturation of HSV times `factor`, at most 1; all clipped to [0,1]. */
void nnclr_tf_brightness(float *rgb, int64_t pixels, double delta);
void nnclr_tf_contrast(float *rgb, int64_t pixels, double factor);
void nnclr_tf_saturation(float *rgb, int64_t pixels, double factor);
/* A Gaussian cut off after `radius` pixels on each side, its weights adding up to one, along both
 * axes; pixels outside are black. */
bool nnclr_gaussian_blur(float *rgb, int width, int height, int radius, double sigma,
                         nnclr_buffer *scratch, nnclr_error *e);

#endif
