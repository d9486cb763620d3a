/* Views: each operator, and whole views, against torchvision on floats and against Pillow on 8-bit
 * pictures (tests/reference/make_image_fixtures.py). What is drawn for a view is the subject of
 * test_augment_draw.c.
 *
 * The bounds in gray levels are what Pillow's arithmetic on whole levels can make of the exact
 * value: where it truncates, ours is up to a level above it and never below. */
#include "image/augment.h"

#include "tests/unit/byol_augment.h"
#include "tests/unit/check.h"
#include "tests/unit/formula_picture.h"
#include "tests/unit/picture_summary.h"

static nnclr_error e; /* of the call that is checked */

static nnclr_buffer scratch_memory;

/* ---- colours ---- */

typedef enum operation { BRIGHTNESS, CONTRAST, SATURATION, HUE, TO_GRAY, SOLARIZE } operation;

static void gray_of(float *rgb, int64_t pixels, double factor) {
    (void)factor;
    nnclr_to_gray(rgb, pixels);
}

static void solarized(float *rgb, int64_t pixels, double factor) {
    (void)factor;
    nnclr_solarize(rgb, pixels);
}

static const struct {
    const char *name;
    void (*apply)(float *rgb, int64_t pixels, double factor);
    double tolerance; /* against doubles */
} operations[] = {
    [BRIGHTNESS] = {"brightness", nnclr_adjust_brightness, 3e-7},
    [CONTRAST] = {"contrast", nnclr_adjust_contrast, 3e-7},
    [SATURATION] = {"saturation", nnclr_adjust_saturation, 3e-7},
    [HUE] = {"hue", nnclr_adjust_hue, 3e-6},
    [TO_GRAY] = {"to_gray", gray_of, 2e-7},
    [SOLARIZE] = {"solarize", solarized, 1e-7},
};

static const struct color_reference {
    const char *operation;
    double factor;
    picture_kind kind;
    int width, height;
    exact_picture torchvision;
    levels_picture pillow;
} color_references[] = {
#include "tests/reference/image_color.inc"
};
enum { COLOR_REFERENCES = sizeof color_references / sizeof *color_references };

static void check_color_torchvision(operation which) {
    int used = 0;
    for (int i = 0; i < COLOR_REFERENCES; i++) {
        const struct color_reference *r = &color_references[i];
        if (strcmp(r->operation, operations[which].name) != 0)
            continue;
        char what[100];
        nnclr_image image = test_picture(r->kind, r->width, r->height);
        float *rgb = test_floats(&image);
        const int pixels = r->width * r->height;
        operations[which].apply(rgb, pixels, r->factor);
        snprintf(what, sizeof what, "%s %g of picture %d", r->operation, r->factor, (int)r->kind);
        check_exact(what, &r->torchvision, rgb, 3 * (size_t)pixels, operations[which].tolerance);
        for (int k = 0; k < 3 * pixels; k++)
            CHECK_SAYS(rgb[k] >= 0 && rgb[k] <= 1, "%s: %g", what, (double)rgb[k]);
        free(rgb);
        nnclr_image_free(&image);
        used++;
    }
    CHECK(used > 0);
}

TEST(brightness_equals_torchvision) {
    check_color_torchvision(BRIGHTNESS);
}
TEST(contrast_equals_torchvision) {
    check_color_torchvision(CONTRAST);
}
TEST(saturation_equals_torchvision) {
    check_color_torchvision(SATURATION);
}
TEST(hue_equals_torchvision) {
    check_color_torchvision(HUE);
}
TEST(gray_equals_torchvision) {
    check_color_torchvision(TO_GRAY);
}
TEST(solarize_equals_torchvision) {
    check_color_torchvision(SOLARIZE);
}

typedef struct colored {
    operation which;
    double factor;
    const nnclr_image *image;
} colored;

/* Pillow's luma is rounded, and its weights add up to 1; torchvision's add up to 0.9999. */
#define LUMA_OFF 0.53

static level_bound color_bound(const void *context, size_t place) {
    const colored *c = context;
    const double away = fabs(1 - c->factor);
    const uint8_t *p = c->image->pixels + place / 3 * 3;
    int high = p[0] > p[1] ? p[0] : p[1], low = p[0] < p[1] ? p[0] : p[1];
    high = p[2] > high ? p[2] : high;
    low = p[2] < low ? p[2] : low;
    switch (c->which) {
    case BRIGHTNESS: /* truncated */
        return (level_bound){0, 1};
    case CONTRAST: /* about the mean of the rounded luma, itself rounded; truncated */
        return (level_bound){-away * (LUMA_OFF + 0.5), 1 + away * (LUMA_OFF + 0.5)};
    case SATURATION: /* the same without the mean */
        return (level_bound){-away * LUMA_OFF, 1 + away * LUMA_OFF};
    case HUE: {
        /* The hue is truncated to 255ths of a turn, so is the turn, and 256 of them are taken for a
         * whole one: up to 3/255 of a turn, six times the chroma. The saturation is truncated: up
         * to a level; and the result is rounded. */
        double off = 18 * (high - low) / 255.0 + 1.5;
        return (level_bound){-off, off};
    }
    case TO_GRAY:
        return (level_bound){-LUMA_OFF, LUMA_OFF};
    case SOLARIZE:
        break;
    }
    return (level_bound){0, 0};
}

static void check_color_pillow(operation which) {
    int used = 0;
    for (int i = 0; i < COLOR_REFERENCES; i++) {
        const struct color_reference *r = &color_references[i];
        if (strcmp(r->operation, operations[which].name) != 0)
            continue;
        char what[100];
        nnclr_image image = test_picture(r->kind, r->width, r->height);
        float *rgb = test_floats(&image);
        const int pixels = r->width * r->height;
        const colored context = {which, r->factor, &image};
        operations[which].apply(rgb, pixels, r->factor);
        snprintf(what, sizeof what, "%s %g of picture %d", r->operation, r->factor, (int)r->kind);
        check_levels(what, &r->pillow, rgb, 3 * (size_t)pixels, color_bound, &context);
        free(rgb);
        nnclr_image_free(&image);
        used++;
    }
    CHECK(used > 0);
}

TEST(brightness_is_near_pillow) {
    check_color_pillow(BRIGHTNESS);
}
TEST(contrast_is_near_pillow) {
    check_color_pillow(CONTRAST);
}
TEST(saturation_is_near_pillow) {
    check_color_pillow(SATURATION);
}
TEST(hue_is_near_pillow) {
    check_color_pillow(HUE);
}
TEST(gray_is_near_pillow) {
    check_color_pillow(TO_GRAY);
}

/* Pillow's threshold 128 on bytes is 0.5 on floats: no byte is between 127 and 128. Between them x
 * and 1 - x differ by less than a level, so a rounding before makes no larger difference after. */
TEST(solarize_is_pillows) {
    check_color_pillow(SOLARIZE);
    for (int v = 0; v < 256; v++) {
        float rgb[3] = {(float)v / 255, 0, 1};
        nnclr_solarize(rgb, 1);
        CHECK_NEAR(rgb[0] * 255, v < 128 ? v : 255 - v, 1e-4);
    }
}

TEST(a_neutral_factor_changes_nothing) {
    static const double neutral[4] = {1, 1, 1, 0};
    nnclr_image image = test_picture(CUBE, 32, 16);
    for (int which = BRIGHTNESS; which <= HUE; which++) {
        float *rgb = test_floats(&image), *original = test_floats(&image);
        operations[which].apply(rgb, 32 * 16, neutral[which]);
        for (int k = 0; k < 3 * 32 * 16; k++)
            CHECK_NEAR(rgb[k], original[k], 3e-6);
        free(rgb);
        free(original);
    }
    nnclr_image_free(&image);
}

static const struct {
    int width, height;
    float mean[3], std[3];
    exact_picture torchvision;
} normalize_references[] = {
#include "tests/reference/image_normalize.inc"
};

TEST(normalize_equals_torchvision) {
    for (size_t i = 0; i < sizeof normalize_references / sizeof *normalize_references; i++) {
        const int width = normalize_references[i].width, height = normalize_references[i].height;
        nnclr_image image = test_picture(SCENE, width, height);
        float *rgb = test_floats(&image);
        nnclr_normalize(rgb, width * height, normalize_references[i].mean,
                        normalize_references[i].std);
        check_exact("normalize", &normalize_references[i].torchvision, rgb,
                    3 * (size_t)width * (size_t)height, 1e-6);
        free(rgb);
        nnclr_image_free(&image);
    }
}

/* ---- blur ---- */

static const struct {
    picture_kind kind;
    int width, height;
    double sigma;
    exact_picture boxes; /* Pillow's definition in doubles */
    levels_picture pillow;
} blur_references[] = {
#include "tests/reference/image_blur.inc"
};

/* Pillow rounds to whole levels in each of its six passes, which no later pass enlarges. */
static level_bound six_roundings(const void *context, size_t place) {
    (void)context, (void)place;
    return (level_bound){-3, 3};
}

TEST(blur_equals_pillow) {
    for (size_t i = 0; i < sizeof blur_references / sizeof *blur_references; i++) {
        char what[100];
        int width = blur_references[i].width, height = blur_references[i].height;
        size_t count = 3 * (size_t)width * (size_t)height;
        double sigma = blur_references[i].sigma, sum = 0;
        const levels_picture *pillow = &blur_references[i].pillow;
        nnclr_image image = test_picture(blur_references[i].kind, width, height);
        float *rgb = test_floats(&image);
        CHECK_OK(nnclr_blur(rgb, width, height, sigma, &scratch_memory, &e));
        snprintf(what, sizeof what, "%d x %d, sigma %g", width, height, sigma);
        check_exact(what, &blur_references[i].boxes, rgb, count, 1e-6);
        check_levels(what, pillow, rgb, count, six_roundings, NULL);
        for (size_t k = 0; k < count; k++)
            sum += (double)rgb[k] * 255 / (double)count;
        CHECK_NEAR(sum, (pillow->mean[0] + pillow->mean[1] + pillow->mean[2]) / 3, 0.5);
        free(rgb);
        nnclr_image_free(&image);
    }
}

enum { LINE = 41 };

/* line := line * box of a real radius, in double. */
static void box_filter(double line[LINE], double radius) {
    double from[LINE];
    memcpy(from, line, sizeof from);
    int whole = (int)radius;
    for (int i = 0; i < LINE; i++) {
        line[i] = 0;
        for (int k = -whole - 1; k <= whole + 1; k++)
            if (i + k >= 0 && i + k < LINE)
                line[i] += from[i + k] * (abs(k) <= whole ? 1 : radius - whole) / (2 * radius + 1);
    }
}

/* A point becomes three boxes of Pillow's radii, on each axis and channel, and keeps its sum. */
TEST(blur_of_a_point) {
    static const struct {
        double sigma, radius;
    } golden[] = {{0.5, 0.045455}, {1, 0.25}, {2, 1.375}};
    static float rgb[3 * LINE * LINE];
    for (int i = 0; i < 3; i++) {
        double line[LINE] = {[LINE / 2] = 1}, variance = 0;
        for (int pass = 0; pass < 3; pass++)
            box_filter(line, golden[i].radius);
        memset(rgb, 0, sizeof rgb);
        float *center = rgb + 3 * (LINE / 2 * LINE + LINE / 2);
        center[0] = 1, center[1] = 0.5f;
        CHECK_OK(nnclr_blur(rgb, LINE, LINE, golden[i].sigma, &scratch_memory, &e));
        for (int y = 0; y < LINE; y++)
            for (int x = 0; x < LINE; x++) {
                const float *p = rgb + 3 * (y * LINE + x);
                CHECK_NEAR(p[0], line[y] * line[x], 1e-5);
                CHECK_NEAR(p[1], line[y] * line[x] / 2, 1e-5);
                CHECK(p[2] == 0);
                variance += (double)p[0] * (x - LINE / 2) * (x - LINE / 2);
            }
        CHECK_NEAR(variance, golden[i].sigma * golden[i].sigma, 1e-4);
    }
}

TEST(blur_without_width_is_nothing) {
    float *rgb = formula_floats(9, 7), *original = formula_floats(9, 7);
    CHECK_OK(nnclr_blur(rgb, 9, 7, 0, &scratch_memory, &e));
    for (int k = 0; k < 3 * 9 * 7; k++)
        CHECK_NEAR(rgb[k], original[k], 1e-7);
    free(rgb);
    free(original);
}

static const struct {
    double sigma;
    exact_picture torchvision; /* without a margin of GAUSSIAN_RADIUS pixels */
} gaussian_references[] = {
#include "tests/reference/image_gaussian.inc"
};
enum { GAUSSIAN_SIDE = 224, GAUSSIAN_RADIUS = 11 };

/* The difference of two kernels that both add up to one, each of which is `line` times its
 * transpose: half the sum of absolute values is the most that pictures in [0,1] can differ. */
static double kernels_differ(const double a[LINE], const double b[LINE]) {
    double sum = 0;
    for (int y = 0; y < LINE; y++)
        for (int x = 0; x < LINE; x++)
            sum += fabs(a[y] * a[x] - b[y] * b[x]) / 2;
    return sum;
}

/* Three boxes are not quite the Gaussian of torchvision: as far from it as their kernels are. */
TEST(blur_is_near_a_gaussian) {
    enum { SIDE = GAUSSIAN_SIDE, INNER = SIDE - 2 * GAUSSIAN_RADIUS };
    static float inner[3 * INNER * INNER];
    nnclr_image image = test_picture(SCENE, SIDE, SIDE);
    for (size_t i = 0; i < sizeof gaussian_references / sizeof *gaussian_references; i++) {
        double sigma = gaussian_references[i].sigma, total = 0, boxes[LINE] = {[LINE / 2] = 1};
        double gaussian[LINE], s2 = sigma * sigma / 3, l = floor((sqrt(12 * s2 + 1) - 1) / 2);
        for (int pass = 0; pass < 3; pass++)
            box_filter(boxes,
                       l + (2 * l + 1) * (l * (l + 1) - 3 * s2) / (6 * (s2 - (l + 1) * (l + 1))));
        for (int k = 0; k < LINE; k++)
            total += gaussian[k] = exp(-(k - LINE / 2) * (k - LINE / 2) / (2 * sigma * sigma));
        for (int k = 0; k < LINE; k++)
            gaussian[k] /= total;
        double bound = kernels_differ(boxes, gaussian);
        CHECK(bound < 0.1);
        float *rgb = test_floats(&image);
        CHECK_OK(nnclr_blur(rgb, SIDE, SIDE, sigma, &scratch_memory, &e));
        for (int y = 0; y < INNER; y++)
            memcpy(inner + 3 * y * INNER,
                   rgb + 3 * ((y + GAUSSIAN_RADIUS) * SIDE + GAUSSIAN_RADIUS),
                   3 * INNER * sizeof *rgb);
        for (int k = 0; k < PICTURE_SAMPLES; k++) {
            size_t place = picture_place(3 * INNER * INNER, k);
            CHECK_NEAR(inner[place], gaussian_references[i].torchvision.sample[k] / 1e7, bound);
        }
        free(rgb);
    }
    nnclr_image_free(&image);
}

/* ---- whole views ---- */

/* Crop, flip, the jitter in its order, gray, blur, solarise: in this order and no other. */
TEST(a_view_is_its_operators_in_order) {
    enum { SIZE = 16, PIXELS = SIZE * SIZE };
    float view[3 * PIXELS], must[3 * PIXELS];
    nnclr_augment augment = byol_augment_varied(16);
    nnclr_image image = formula_picture(40, 30);
    nnclr_patch whole = nnclr_whole_patch(&image);
    void (*const adjust[4])(float *, int64_t, double) = {
        nnclr_adjust_brightness, nnclr_adjust_contrast, nnclr_adjust_saturation, nnclr_adjust_hue};
    for (int i = 0; i < 64; i++) {
        nnclr_view_parameters p = nnclr_augment_draw(&augment, 40, 30, 1, 0, (uint64_t)i, i % 2);
        p.flip = i & 1, p.jitter = i & 2, p.gray = i & 4, p.blur = i & 8, p.solarize = i & 16;
        CHECK_OK(nnclr_augment_apply(&augment, &p, &whole, view, &scratch_memory, &e));
        CHECK_OK(nnclr_crop_resize(&whole, p.crop, augment.filter, p.flip, SIZE, SIZE, must,
                                   &scratch_memory, &e));
        for (int k = 0; p.jitter && k < 4; k++)
            adjust[p.order[k]](must, PIXELS, p.factor[p.order[k]]);
        if (p.gray)
            nnclr_to_gray(must, PIXELS);
        if (p.blur)
            CHECK_OK(nnclr_blur(must, SIZE, SIZE, p.sigma, &scratch_memory, &e));
        if (p.solarize)
            nnclr_solarize(must, PIXELS);
        for (int k = 0; k < 3 * PIXELS; k++) {
            CHECK(view[k] >= 0 && view[k] <= 1 + 1e-6f);
            CHECK_NEAR(view[k], must[k], 1e-6);
        }
    }
    nnclr_image_free(&image);
}

TEST(a_crop_outside_is_refused) {
    float view[3 * 16 * 16];
    nnclr_augment augment = byol_augment_varied(16);
    nnclr_image image = formula_picture(8, 8);
    nnclr_patch whole = nnclr_whole_patch(&image);
    nnclr_view_parameters p = nnclr_augment_draw(&augment, 80, 80, 1, 0, 0, 0);
    CHECK_FAILS_AS(nnclr_augment_apply(&augment, &p, &whole, view, &scratch_memory, &e),
                   NNCLR_ERROR_INPUT);
    nnclr_image_free(&image);
}

static const struct augmented_reference {
    int width, height, size;
    nnclr_filter filter;
    nnclr_view_parameters parameters;
    exact_picture torchvision; /* normalised */
    levels_picture pillow;     /* before that */
} augmented_references[] = {
#include "tests/reference/image_augmented.inc"
};
enum { AUGMENTED_REFERENCES = sizeof augmented_references / sizeof *augmented_references };

static float whole_view[3 * 224 * 224];

static void make_reference_view(const struct augmented_reference *r) {
    nnclr_augment augment = byol_augment_varied(16);
    augment.size = r->size;
    augment.filter = r->filter;
    nnclr_image image = test_picture(SCENE, r->width, r->height);
    nnclr_patch whole = nnclr_whole_patch(&image);
    CHECK_OK(
        nnclr_augment_apply(&augment, &r->parameters, &whole, whole_view, &scratch_memory, &e));
    nnclr_image_free(&image);
}

/* All 24 orders of the jitter among them. */
TEST(views_equal_torchvision) {
    for (int i = 0; i < AUGMENTED_REFERENCES; i++) {
        const struct augmented_reference *r = &augmented_references[i];
        char what[40];
        make_reference_view(r);
        nnclr_normalize(whole_view, r->size * r->size, (const float[3]){0.485f, 0.456f, 0.406f},
                        (const float[3]){0.229f, 0.224f, 0.225f});
        snprintf(what, sizeof what, "view %d", i);
        check_exact(what, &r->torchvision, whole_view, 3 * (size_t)(r->size * r->size), 2e-5);
    }
}

/* Pillow's roundings add up, and the operators enlarge them: what is left of a whole view agrees on
 * the average. */
TEST(views_are_near_pillow) {
    double furthest = 0;
    for (int i = 0; i < AUGMENTED_REFERENCES; i++) {
        const struct augmented_reference *r = &augmented_references[i];
        size_t count = 3 * (size_t)(r->size * r->size);
        double off = 0;
        make_reference_view(r);
        for (int k = 0; k < PICTURE_SAMPLES; k++)
            off += fabs((double)whole_view[picture_place(count, k)] * 255 - r->pillow.sample[k]) /
                   PICTURE_SAMPLES;
        CHECK_SAYS(off <= 4, "view %d: %.2f off", i, off);
        furthest = fmax(furthest, off);
    }
    CHECK(furthest > 0.5);
}

static const struct {
    int width, height, size;
    nnclr_filter filter;
    exact_picture torchvision;
} view_references[] = {
#include "tests/reference/image_view.inc"
};

/* The whole picture resized by torchvision to a short side of round(size * 256 / 224), then its
 * centre cut out: pictures whose long side and margins come out as whole pixels, since if they do
 * not, torchvision rounds and this library does not. */
TEST(evaluation_cuts_the_centre) {
    for (size_t i = 0; i < sizeof view_references / sizeof *view_references; i++) {
        int size = view_references[i].size;
        char what[40];
        nnclr_image image =
            test_picture(SCENE, view_references[i].width, view_references[i].height);
        CHECK_OK(nnclr_augment_evaluation(size, false, view_references[i].filter, &image,
                                          whole_view, &scratch_memory, &e));
        snprintf(what, sizeof what, "view %zu", i);
        check_exact(what, &view_references[i].torchvision, whole_view, 3 * (size_t)(size * size),
                    1e-6);
        nnclr_image_free(&image);
    }
}

TEST(evaluation_stretches) {
    float view[3 * 8 * 8], must[3 * 8 * 8];
    nnclr_image image = formula_picture(31, 12);
    CHECK_OK(nnclr_augment_evaluation(8, true, NNCLR_BICUBIC, &image, view, &scratch_memory, &e));
    CHECK_OK(nnclr_resize(&image, (nnclr_box){0, 0, 31, 12}, NNCLR_BICUBIC, false, 8, 8, must,
                          &scratch_memory, &e));
    CHECK(memcmp(view, must, sizeof view) == 0);
    nnclr_image_free(&image);
}

/* Sides that a box of the same aspect could overrun by rounding. */
TEST(evaluation_takes_every_shape) {
    static float view[3 * 224 * 224];
    static const int sides[][2] = {{1, 1}, {1, 500}, {500, 1}, {2, 3}, {333, 77}, {7, 7}};
    static const int sizes[] = {1, 2, 3, 64, 224};
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 10; k++) {
            nnclr_image image = formula_picture(sides[i][0], sides[i][1]);
            CHECK_OK(nnclr_augment_evaluation(sizes[k / 2], k % 2, NNCLR_BICUBIC, &image, view,
                                              &scratch_memory, &e));
            nnclr_image_free(&image);
        }
}

int main(void) {
    const int status = check_all();
    nnclr_buffer_free(&scratch_memory);
    return status;
}
