#include "image/augment.h"

#include <math.h>

#include "base/numbers.h"

enum { CROP_ATTEMPTS = 10, JITTERS = 4 };

/* torchvision's RandomResizedCrop.get_params: a rectangle of random area and aspect that fits the
 * picture, or, after ten misses, the largest central one whose aspect is allowed. TF clamps the
 * first one to the picture. */
static nnclr_box draw_crop(const nnclr_augment *augment, int width, int height, nnclr_rng *rng) {
    nnclr_box box = {0, 0, 0, 0};
    double area = (double)width * height;
    double log_low = log(augment->aspect_low), log_high = log(augment->aspect_high);
    for (int attempt = 0; attempt < CROP_ATTEMPTS; attempt++) {
        double target = area * nnclr_rng_uniform(rng, augment->area_low, augment->area_high);
        double aspect = exp(nnclr_rng_uniform(rng, log_low, log_high));
        uint32_t left = nnclr_rng_u32(rng), top = nnclr_rng_u32(rng);
        double w = rint(sqrt(target * aspect)), h = rint(sqrt(target / aspect));
        if (augment->operators == NNCLR_JITTER_TF) {
            w = nnclr_clamp(w, 1, width);
            h = nnclr_clamp(h, 1, height);
        }
        if (box.width > 0 || w < 1 || h < 1 || w > width || h > height)
            continue; /* drawn anyway: what follows must not shift */
        /* The high half of a product is uniform over the offsets up to 2^-32 a value. */
        box = (nnclr_box){(double)((uint64_t)left * (uint64_t)(width - (int)w + 1) >> 32),
                          (double)((uint64_t)top * (uint64_t)(height - (int)h + 1) >> 32), w, h};
    }
    if (box.width > 0)
        return box;
    double aspect = (double)width / height, w = width, h = height;
    if (aspect < augment->aspect_low)
        h = rint(w / augment->aspect_low);
    else if (aspect > augment->aspect_high)
        w = rint(h * augment->aspect_high);
    w = nnclr_clamp(w, 1, width);
    h = nnclr_clamp(h, 1, height);
    return (nnclr_box){floor((width - w) / 2), floor((height - h) / 2), w, h};
}

static void draw_order(int order[JITTERS], nnclr_rng *rng) {
    for (int i = 0; i < JITTERS; i++)
        order[i] = i;
    for (int i = JITTERS; i > 1; i--) {
        int j = (int)nnclr_rng_below(rng, (uint64_t)i), swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}

static bool happens(nnclr_rng *rng, double probability) {
    return (double)nnclr_rng_float(rng) < probability;
}

nnclr_view_parameters nnclr_augment_draw(const nnclr_augment *augment, int width, int height,
                                         uint64_t seed, uint32_t epoch, uint64_t record, int view) {
    nnclr_rng rng = nnclr_rng_at(seed, NNCLR_DRAW_AUGMENT, epoch, record, (uint32_t)view);
    nnclr_view_parameters p;
    p.crop = draw_crop(augment, width, height, &rng);
    p.flip = happens(&rng, augment->flip);
    p.jitter = happens(&rng, augment->jitter);
    draw_order(p.order, &rng);
    const double strength[] = {augment->brightness, augment->contrast, augment->saturation};
    for (int i = 0; i < 3; i++) {
        bool added = i == 0 && augment->operators == NNCLR_JITTER_TF;
        p.factor[i] = nnclr_rng_uniform(&rng, added ? -strength[i] : fmax(0, 1 - strength[i]),
                                        added ? strength[i] : 1 + strength[i]);
    }
    p.factor[3] = nnclr_rng_uniform(&rng, -augment->hue, augment->hue);
    p.gray = happens(&rng, augment->gray);
    p.blur = happens(&rng, augment->blur[view]);
    p.sigma = nnclr_rng_uniform(&rng, augment->blur_low, augment->blur_high);
    p.solarize = happens(&rng, augment->solarize[view]);
    return p;
}

typedef void (*adjust)(float *rgb, int64_t pixels, double factor);
static const struct adjustment {
    adjust apply;
    double neutral; /* with this factor nothing changes */
} adjustments[][JITTERS] = {
    [NNCLR_JITTER_TORCH] = {{nnclr_adjust_brightness, 1},
                            {nnclr_adjust_contrast, 1},
                            {nnclr_adjust_saturation, 1},
                            {nnclr_adjust_hue, 0}},
    [NNCLR_JITTER_TF] = {{nnclr_tf_brightness, 0},
                         {nnclr_tf_contrast, 1},
                         {nnclr_tf_saturation, 1},
                         {nnclr_adjust_hue, 0}},
};

/* 23 taps at 224 pixels. */
static int gaussian_radius(int size) {
    return size / 10 / 2;
}

static bool blur(const nnclr_augment *augment, double sigma, float *out, nnclr_buffer *scratch,
                 nnclr_error *e) {
    int size = augment->size;
    return augment->operators == NNCLR_JITTER_TF
               ? nnclr_gaussian_blur(out, size, size, gaussian_radius(size), sigma, scratch, e)
               : nnclr_blur(out, size, size, sigma, scratch, e);
}

bool nnclr_augment_apply(const nnclr_augment *augment, const nnclr_view_parameters *p,
                         const nnclr_patch *patch, float *out, nnclr_buffer *scratch,
                         nnclr_error *e) {
    int size = augment->size;
    int64_t pixels = (int64_t)size * size;
    if (!nnclr_crop_resize(patch, p->crop, augment->filter, p->flip, size, size, out, scratch, e))
        return false;
    for (int i = 0; p->jitter && i < JITTERS; i++) {
        const struct adjustment *a = &adjustments[augment->operators][p->order[i]];
        double factor = p->factor[p->order[i]];
        if (factor != a->neutral)
            a->apply(out, pixels, factor);
    }
    if (p->gray)
        nnclr_to_gray(out, pixels);
    if (p->blur && !blur(augment, p->sigma, out, scratch, e))
        return false;
    if (p->solarize)
        nnclr_solarize(out, pixels);
    return true;
}

bool nnclr_augment_evaluation(int size, bool stretch, nnclr_filter filter, const nnclr_image *image,
                              float *out, nnclr_buffer *scratch, nnclr_error *e) {
    nnclr_box box = {0, 0, image->width, image->height};
    if (!stretch) {
        /* Short side to round(size * 256 / 224), then the central size x size: the same as
         * resampling the central square that this leaves. */
        double shorter = nnclr_min(image->width, image->height);
        double side = shorter * size / rint(size * 256.0 / 224.0);
        box = (nnclr_box){(image->width - side) / 2, (image->height - side) / 2, side, side};
    }
    return nnclr_resize(image, box, filter, false, size, size, out, scratch, e);
}
