/* Views: the operators against torchvision and Pillow (tests/reference/make_image_fixtures.py), the
 * draws against the distributions that define them. Seeds are fixed, so nothing here fails by
 * chance; bounds are those of a test at the 0.1 % level. */
#include "image/augment.h"

#include "tests/unit/check.h"
#include "tests/unit/formula_picture.h"

enum { DRAWS = 20000 };
static nnclr_buffer scratch_memory;

/* ---- operators ---- */

static const struct {
    const char *operation;
    double factor;
    const int *expect; /* millionths */
} color_references[] = {
#include "tests/reference/image_color.inc"
};

static void gray_of(float *rgb, int64_t pixels, double factor) {
    (void)factor;
    nnclr_to_gray(rgb, pixels);
}

static void solarized(float *rgb, int64_t pixels, double factor) {
    (void)factor;
    nnclr_solarize(rgb, pixels);
}

static void check_color(const char *operation, void (*apply)(float *, int64_t, double),
                        double tolerance) {
    int used = 0;
    for (size_t i = 0; i < sizeof color_references / sizeof *color_references; i++) {
        if (strcmp(color_references[i].operation, operation) != 0)
            continue;
        double factor = color_references[i].factor;
        float *rgb = formula_floats(9, 7);
        apply(rgb, 9 * 7, factor);
        for (int k = 0; k < 3 * 9 * 7; k++) {
            double must = color_references[i].expect[k] / 1e6;
            CHECK_SAYS(fabs((double)rgb[k] - must) <= tolerance, "%s %g, value %d: %.6f, not %.6f",
                       operation, factor, k, (double)rgb[k], must);
        }
        free(rgb);
        used++;
    }
    CHECK(used > 0);
}

static void colors_equal_torchvision(void) {
    check_color("brightness", nnclr_adjust_brightness, 2e-6);
    check_color("contrast", nnclr_adjust_contrast, 2e-6);
    check_color("saturation", nnclr_adjust_saturation, 2e-6);
    check_color("to_gray", gray_of, 2e-6);
    check_color("solarize", solarized, 2e-6);
    check_color("hue", nnclr_adjust_hue, 1e-5);
}

static const struct {
    int width, height;
    double sigma;
    const int *expect; /* gray levels */
} blur_references[] = {
#include "tests/reference/image_blur.inc"
};

/* Pillow rounds to whole levels in each of its six passes, which no later pass enlarges: it may lie
 * three levels off, but not on one side. */
static void blur_equals_pillow(void) {
    nnclr_error e = NNCLR_NO_ERROR;
    for (size_t i = 0; i < sizeof blur_references / sizeof *blur_references; i++) {
        int width = blur_references[i].width, height = blur_references[i].height;
        double sigma = blur_references[i].sigma;
        float *rgb = formula_floats(width, height);
        CHECK_SAYS(nnclr_blur(rgb, width, height, sigma, &scratch_memory, &e), "%s", e.message);
        double sum = 0;
        for (int k = 0; k < 3 * width * height; k++) {
            double off = (double)rgb[k] * 255 - blur_references[i].expect[k];
            CHECK_SAYS(fabs(off) <= 3, "%d x %d, sigma %g, value %d: %.2f off", width, height,
                       sigma, k, off);
            sum += off;
        }
        CHECK_NEAR(sum / (3 * width * height), 0, 0.5);
        free(rgb);
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
static void blur_of_a_point(void) {
    static const struct {
        double sigma, radius;
    } golden[] = {{0.5, 0.045455}, {1, 0.25}, {2, 1.375}};
    static float rgb[3 * LINE * LINE];
    nnclr_error e = NNCLR_NO_ERROR;
    for (int i = 0; i < 3; i++) {
        double line[LINE] = {[LINE / 2] = 1}, variance = 0;
        for (int pass = 0; pass < 3; pass++)
            box_filter(line, golden[i].radius);
        memset(rgb, 0, sizeof rgb);
        float *center = rgb + 3 * (LINE / 2 * LINE + LINE / 2);
        center[0] = 1, center[1] = 0.5f;
        CHECK(nnclr_blur(rgb, LINE, LINE, golden[i].sigma, &scratch_memory, &e));
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

static void blur_without_width_is_nothing(void) {
    nnclr_error e = NNCLR_NO_ERROR;
    float *rgb = formula_floats(9, 7), *original = formula_floats(9, 7);
    CHECK(nnclr_blur(rgb, 9, 7, 0, &scratch_memory, &e));
    for (int k = 0; k < 3 * 9 * 7; k++)
        CHECK_NEAR(rgb[k], original[k], 1e-7);
    free(rgb);
    free(original);
}

static void normalize_is_per_channel(void) {
    float view[6] = {0.1f, 0.2f, 0.3f, 0.9f, 0.8f, 0.7f};
    nnclr_normalize(view, 2, (const float[3]){0.5f, 0.25f, 0}, (const float[3]){0.5f, 0.2f, 2});
    static const double expect[6] = {-0.8, -0.25, 0.15, 0.8, 2.75, 0.35};
    for (int k = 0; k < 6; k++)
        CHECK_NEAR(view[k], expect[k], 1e-6);
}

/* ---- the draw ---- */

static nnclr_augment augment_for_tests(void) {
    return (nnclr_augment){
        .size = 16,
        .filter = NNCLR_BICUBIC,
        .area_low = 0.2,
        .area_high = 0.5,
        .aspect_low = 3.0 / 4,
        .aspect_high = 4.0 / 3,
        .flip = 0.5,
        .jitter = 0.8,
        .brightness = 0.4,
        .contrast = 0.3,
        .saturation = 0.2,
        .hue = 0.1,
        .gray = 0.2,
        .blur = {0.9, 0.1},
        .blur_low = 0.1,
        .blur_high = 2,
        .solarize = {0.05, 0.3},
        .mean = {0, 0, 0},
        .std = {1, 1, 1},
    };
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov's statistic sqrt(n) * sup |F_n - F| against the uniform distribution on [low, high];
 * sorts. It exceeds 1.95 once in a thousand times. */
static double uniform_statistic(double *values, int n, double low, double high) {
    double worst = 0;
    qsort(values, (size_t)n, sizeof *values, ascending);
    for (int i = 0; i < n; i++) {
        double f = (values[i] - low) / (high - low);
        worst = fmax(worst, fmax((i + 1.0) / n - f, f - (double)i / n));
    }
    return worst * sqrt(n);
}

/* The same for two samples of n values. */
static double two_sample_statistic(double *a, double *b, int n) {
    qsort(a, (size_t)n, sizeof *a, ascending);
    qsort(b, (size_t)n, sizeof *b, ascending);
    int worst = 0;
    for (int i = 0, j = 0; i < n && j < n;) {
        if (a[i] <= b[j])
            i++;
        else
            j++;
        worst = abs(i - j) > worst ? abs(i - j) : worst;
    }
    return (double)worst / n * sqrt(n / 2.0);
}

static double correlation(const double *a, const double *b, int n) {
    double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < n; i++)
        ma += a[i] / n, mb += b[i] / n;
    for (int i = 0; i < n; i++) {
        ab += (a[i] - ma) * (b[i] - mb);
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
    }
    return ab / sqrt(aa * bb);
}

/* A picture so large that rounding to pixels does not show. */
enum { HUGE_SIDE = 40000 };

static nnclr_view_parameters draw(const nnclr_augment *augment, int record, int view) {
    return nnclr_augment_draw(augment, HUGE_SIDE, HUGE_SIDE, 5, 3, (uint64_t)record, view);
}

/* With areas up to a half and aspects up to 4/3 every draw fits, so that nothing is rejected. */
static void crops_are_uniform(void) {
    static double area[DRAWS], aspect[DRAWS], left[DRAWS], top[DRAWS];
    nnclr_augment augment = augment_for_tests();
    for (int i = 0; i < DRAWS; i++) {
        nnclr_box crop = draw(&augment, i, i % 2).crop;
        area[i] = crop.width / HUGE_SIDE * crop.height / HUGE_SIDE;
        aspect[i] = log(crop.width / crop.height);
        left[i] = crop.left / (HUGE_SIDE - crop.width);
        top[i] = crop.top / (HUGE_SIDE - crop.height);
    }
    double bound = 3.3 / sqrt(DRAWS);
    CHECK(fabs(correlation(area, aspect, DRAWS)) < bound);
    CHECK(fabs(correlation(left, top, DRAWS)) < bound);
    CHECK(fabs(correlation(left, area, DRAWS)) < bound);
    CHECK(fabs(correlation(top, aspect, DRAWS)) < bound);
    CHECK(uniform_statistic(area, DRAWS, 0.2, 0.5) < 1.95);
    CHECK(uniform_statistic(aspect, DRAWS, log(3.0 / 4), log(4.0 / 3)) < 1.95);
    CHECK(uniform_statistic(left, DRAWS, 0, 1) < 1.95);
    CHECK(uniform_statistic(top, DRAWS, 0, 1) < 1.95);
}

static double plain_uniform(double low, double high) {
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(state >> 11) * 0x1p-53;
}

/* Areas up to the whole: what does not fit is drawn again, which favours small and square boxes.
 * Against the definition, simulated with another generator. */
static void crops_that_do_not_fit_are_drawn_again(void) {
    static double area[DRAWS], aspect[DRAWS], must_area[DRAWS], must_aspect[DRAWS];
    nnclr_augment augment = augment_for_tests();
    augment.area_low = 0.08;
    augment.area_high = 1;
    for (int i = 0; i < DRAWS; i++) {
        nnclr_box crop = draw(&augment, i, 0).crop;
        area[i] = crop.width / HUGE_SIDE * crop.height / HUGE_SIDE;
        aspect[i] = log(crop.width / crop.height);
        do {
            must_area[i] = plain_uniform(0.08, 1);
            must_aspect[i] = plain_uniform(log(3.0 / 4), log(4.0 / 3));
        } while (must_area[i] * exp(fabs(must_aspect[i])) > 1);
    }
    CHECK(two_sample_statistic(area, must_area, DRAWS) < 1.95);
    CHECK(two_sample_statistic(aspect, must_aspect, DRAWS) < 1.95);
}

/* Whole pixels: each of the few offsets and sizes of a small picture is as likely as it must be. */
static void small_offsets_are_uniform(void) {
    nnclr_augment augment = augment_for_tests();
    augment.area_low = augment.area_high = 0.25;
    augment.aspect_low = augment.aspect_high = 1;
    double count[2][5] = {{0}};
    for (int i = 0; i < DRAWS; i++) {
        nnclr_box crop = nnclr_augment_draw(&augment, 8, 8, 1, 0, (uint64_t)i, 1).crop;
        CHECK(crop.width == 4 && crop.height == 4);
        count[0][(int)crop.left]++;
        count[1][(int)crop.top]++;
    }
    for (int axis = 0; axis < 2; axis++) {
        double chi2 = 0, must = DRAWS / 5.0;
        for (int k = 0; k < 5; k++)
            chi2 += (count[axis][k] - must) * (count[axis][k] - must) / must;
        CHECK_SAYS(chi2 < 18.47, "chi-square %g on 4 degrees of freedom", chi2);
    }
}

static void crops_lie_inside(void) {
    nnclr_augment augment = augment_for_tests();
    augment.area_low = 0.01;
    augment.area_high = 1;
    for (int i = 0; i < DRAWS; i++) {
        int width = 1 + i * 7 % 53, height = 1 + i * 11 % 61;
        nnclr_box crop = nnclr_augment_draw(&augment, width, height, 9, 0, (uint64_t)i, 0).crop;
        CHECK_SAYS(crop.left >= 0 && crop.top >= 0 && crop.width >= 1 && crop.height >= 1 &&
                       crop.left + crop.width <= width && crop.top + crop.height <= height &&
                       crop.left == floor(crop.left) && crop.top == floor(crop.top) &&
                       crop.width == floor(crop.width) && crop.height == floor(crop.height),
                   "%g x %g at (%g, %g) of %d x %d", crop.width, crop.height, crop.left, crop.top,
                   width, height);
    }
}

/* Worked out by hand from torchvision's RandomResizedCrop.get_params. */
static void extreme_pictures_get_the_central_crop(void) {
    static const struct {
        int width, height;
        double area_low;
        nnclr_box crop;
    } cases[] = {
        {1, 300, 0.08, {0, 149, 1, 1}},
        {300, 1, 0.08, {149, 0, 1, 1}},
        {100, 1000, 0.9, {0, 433, 100, 133}},
        {1000, 100, 0.9, {433, 0, 133, 100}},
        {1000, 1000, 1.9, {0, 0, 1000, 1000}},
        {600, 500, 1.9, {0, 0, 600, 500}},
        {1, 1, 0.08, {0, 0, 1, 1}},
    };
    nnclr_augment augment = augment_for_tests();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        augment.area_low = cases[i].area_low;
        augment.area_high = fmax(1, cases[i].area_low);
        for (int record = 0; record < 50; record++) {
            nnclr_box crop = nnclr_augment_draw(&augment, cases[i].width, cases[i].height, 1, 0,
                                                (uint64_t)record, 0)
                                 .crop;
            const nnclr_box *must = &cases[i].crop;
            CHECK_SAYS(crop.left == must->left && crop.top == must->top &&
                           crop.width == must->width && crop.height == must->height,
                       "%d x %d: %g x %g at (%g, %g)", cases[i].width, cases[i].height, crop.width,
                       crop.height, crop.left, crop.top);
        }
    }
}

static void check_share(const char *what, int count, double probability) {
    double slack = 3.3 * sqrt(DRAWS * probability * (1 - probability));
    CHECK_SAYS(fabs(count - DRAWS * probability) <= slack, "%s: %d of %d at probability %g", what,
               count, DRAWS, probability);
}

static void probabilities_hold(void) {
    nnclr_augment augment = augment_for_tests();
    for (int view = 0; view < 2; view++) {
        int flip = 0, jitter = 0, gray = 0, blur = 0, solarize = 0;
        for (int i = 0; i < DRAWS; i++) {
            nnclr_view_parameters p = draw(&augment, i, view);
            flip += p.flip, jitter += p.jitter, gray += p.gray;
            blur += p.blur, solarize += p.solarize;
        }
        check_share("flip", flip, augment.flip);
        check_share("jitter", jitter, augment.jitter);
        check_share("gray", gray, augment.gray);
        check_share("blur", blur, augment.blur[view]);
        check_share("solarize", solarize, augment.solarize[view]);
    }
}

static void none_and_always_are_exact(void) {
    nnclr_augment never = augment_for_tests(), always = never;
    never.flip = never.jitter = never.gray = never.blur[0] = never.solarize[0] = 0;
    always.flip = always.jitter = always.gray = always.blur[0] = always.solarize[0] = 1;
    for (int i = 0; i < DRAWS; i++) {
        nnclr_view_parameters p = draw(&never, i, 0);
        CHECK(!p.flip && !p.jitter && !p.gray && !p.blur && !p.solarize);
        p = draw(&always, i, 0);
        CHECK(p.flip && p.jitter && p.gray && p.blur && p.solarize);
    }
}

static void strengths_are_uniform(void) {
    static double values[5][DRAWS];
    nnclr_augment augment = augment_for_tests();
    augment.contrast = 1.5; /* low end: 0, not negative */
    for (int i = 0; i < DRAWS; i++) {
        nnclr_view_parameters p = draw(&augment, i, 0);
        for (int k = 0; k < 4; k++)
            values[k][i] = p.factor[k];
        values[4][i] = p.sigma;
    }
    static const double low[5] = {0.6, 0, 0.8, -0.1, 0.1}, high[5] = {1.4, 2.5, 1.2, 0.1, 2};
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < a; b++)
            CHECK(fabs(correlation(values[a], values[b], DRAWS)) < 3.3 / sqrt(DRAWS));
    for (int k = 0; k < 5; k++) {
        CHECK(uniform_statistic(values[k], DRAWS, low[k], high[k]) < 1.95);
        CHECK(values[k][0] >= low[k] && values[k][DRAWS - 1] <= high[k]); /* sorted now */
    }
}

static void every_order_is_as_likely(void) {
    int count[256] = {0}, orders = 0;
    nnclr_augment augment = augment_for_tests();
    for (int i = 0; i < DRAWS; i++) {
        nnclr_view_parameters p = draw(&augment, i, 1);
        int seen = 0, code = 0;
        for (int k = 0; k < 4; k++) {
            CHECK(p.order[k] >= 0 && p.order[k] < 4);
            seen |= 1 << p.order[k];
            code = code * 4 + p.order[k];
        }
        CHECK(seen == 15);
        count[code]++;
    }
    double chi2 = 0, must = DRAWS / 24.0;
    for (int code = 0; code < 256; code++)
        if (count[code] > 0) {
            orders++;
            chi2 += (count[code] - must) * (count[code] - must) / must;
        }
    CHECK(orders == 24);
    CHECK_SAYS(chi2 < 49.73, "chi-square %g on 23 degrees of freedom", chi2);
}

static bool same_box(nnclr_box a, nnclr_box b) {
    return a.left == b.left && a.top == b.top && a.width == b.width && a.height == b.height;
}

static bool same_numbers(const nnclr_view_parameters *a, const nnclr_view_parameters *b) {
    return same_box(a->crop, b->crop) && memcmp(a->order, b->order, sizeof a->order) == 0 &&
           memcmp(a->factor, b->factor, sizeof a->factor) == 0 && a->sigma == b->sigma;
}

static bool same_choices(const nnclr_view_parameters *a, const nnclr_view_parameters *b) {
    return a->flip == b->flip && a->jitter == b->jitter && a->gray == b->gray &&
           a->blur == b->blur && a->solarize == b->solarize;
}

/* A view is a function of seed, epoch, record and view, and each of them matters. */
static void draws_depend_on_all_that_names_them(void) {
    nnclr_augment augment = augment_for_tests();
    const uint64_t far = (uint64_t)1 << 32;
    for (uint64_t record = 0; record < 500; record++) {
        nnclr_view_parameters p = nnclr_augment_draw(&augment, 300, 200, 7, 2, record, 0);
        nnclr_view_parameters others[] = {
            nnclr_augment_draw(&augment, 300, 200, 7, 2, record, 0),
            nnclr_augment_draw(&augment, 300, 200, 7, 2, record, 1),
            nnclr_augment_draw(&augment, 300, 200, 7, 2, record + 1, 0),
            nnclr_augment_draw(&augment, 300, 200, 7, 2, record + far, 0),
            nnclr_augment_draw(&augment, 300, 200, 7, 3, record, 0),
            nnclr_augment_draw(&augment, 300, 200, 8, 2, record, 0),
            nnclr_augment_draw(&augment, 300, 200, 7 + far, 2, record, 0),
        };
        CHECK(same_numbers(&p, &others[0]) && same_choices(&p, &others[0]));
        for (int i = 1; i < 7; i++)
            CHECK(p.sigma != others[i].sigma || p.factor[0] != others[i].factor[0]);
    }
}

static void the_views_are_independent(void) {
    static double a[DRAWS], b[DRAWS];
    nnclr_augment augment = augment_for_tests();
    for (int i = 0; i < DRAWS; i++) {
        a[i] = draw(&augment, i, 0).crop.left;
        b[i] = draw(&augment, i, 1).crop.left;
    }
    CHECK(fabs(correlation(a, b, DRAWS)) < 3.3 / sqrt(DRAWS));
}

/* Changing one probability or range leaves every other draw as it was. */
static void probabilities_do_not_shift_draws(void) {
    nnclr_augment augment = augment_for_tests(), changed = augment;
    changed.flip = changed.jitter = changed.gray = changed.blur[0] = changed.solarize[0] = 0;
    nnclr_augment wider = augment;
    wider.area_low = 0.08; /* other crops, some after several draws */
    wider.area_high = 1;
    for (int i = 0; i < 2000; i++) {
        nnclr_view_parameters p = draw(&augment, i, 0), q = draw(&changed, i, 0);
        CHECK(same_numbers(&p, &q));
        q = draw(&wider, i, 0);
        CHECK(same_choices(&p, &q));
        q.crop = p.crop;
        CHECK(same_numbers(&p, &q));
    }
}

/* ---- whole views ---- */

/* Crop, flip, the jitter in its order, gray, blur, solarise: in this order and no other. */
static void a_view_is_its_operators_in_order(void) {
    enum { SIZE = 16, PIXELS = SIZE * SIZE };
    float view[3 * PIXELS], must[3 * PIXELS];
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_augment augment = augment_for_tests();
    nnclr_image image = formula_picture(40, 30);
    void (*const adjust[4])(float *, int64_t, double) = {
        nnclr_adjust_brightness, nnclr_adjust_contrast, nnclr_adjust_saturation, nnclr_adjust_hue};
    for (int i = 0; i < 64; i++) {
        nnclr_view_parameters p = nnclr_augment_draw(&augment, 40, 30, 1, 0, (uint64_t)i, i % 2);
        p.flip = i & 1, p.jitter = i & 2, p.gray = i & 4, p.blur = i & 8, p.solarize = i & 16;
        CHECK(nnclr_augment_apply(&augment, &p, &image, view, &scratch_memory, &e));
        CHECK(nnclr_crop_resize(&image, p.crop, augment.filter, p.flip, SIZE, SIZE, must,
                                &scratch_memory, &e));
        for (int k = 0; p.jitter && k < 4; k++)
            adjust[p.order[k]](must, PIXELS, p.factor[p.order[k]]);
        if (p.gray)
            nnclr_to_gray(must, PIXELS);
        if (p.blur)
            CHECK(nnclr_blur(must, SIZE, SIZE, p.sigma, &scratch_memory, &e));
        if (p.solarize)
            nnclr_solarize(must, PIXELS);
        for (int k = 0; k < 3 * PIXELS; k++) {
            CHECK(view[k] >= 0 && view[k] <= 1 + 1e-6f);
            CHECK_NEAR(view[k], must[k], 1e-6);
        }
    }
    nnclr_image_free(&image);
}

static void a_crop_outside_is_refused(void) {
    float view[3 * 16 * 16];
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_augment augment = augment_for_tests();
    nnclr_image image = formula_picture(8, 8);
    nnclr_view_parameters p = nnclr_augment_draw(&augment, 80, 80, 1, 0, 0, 0);
    CHECK(!nnclr_augment_apply(&augment, &p, &image, view, &scratch_memory, &e));
    CHECK(e.code == NNCLR_ERROR_INPUT);
    nnclr_image_free(&image);
}

static const struct {
    int width, height, size;
    nnclr_filter filter;
    const int *expect; /* thousandths of a gray level */
} view_references[] = {
#include "tests/reference/image_view.inc"
};

/* The whole picture resized by Pillow to a short side of round(size * 256 / 224), then its centre
 * cut out: pictures whose long side and margins come out as whole pixels, since where they do not,
 * torchvision rounds and this library does not. */
static void evaluation_cuts_the_centre(void) {
    static float view[3 * 28 * 28];
    nnclr_error e = NNCLR_NO_ERROR;
    for (size_t i = 0; i < sizeof view_references / sizeof *view_references; i++) {
        int size = view_references[i].size;
        nnclr_image image = formula_picture(view_references[i].width, view_references[i].height);
        CHECK_SAYS(nnclr_augment_evaluation(size, false, view_references[i].filter, &image, view,
                                            &scratch_memory, &e),
                   "%s", e.message);
        for (int k = 0; k < 3 * size * size; k++)
            CHECK_NEAR(view[k] * 255, view_references[i].expect[k] / 1e3, 2e-3);
        nnclr_image_free(&image);
    }
}

static void evaluation_stretches(void) {
    float view[3 * 8 * 8], must[3 * 8 * 8];
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_image image = formula_picture(31, 12);
    CHECK(nnclr_augment_evaluation(8, true, NNCLR_BICUBIC, &image, view, &scratch_memory, &e));
    CHECK(nnclr_resize(&image, (nnclr_box){0, 0, 31, 12}, NNCLR_BICUBIC, false, 8, 8, must,
                       &scratch_memory, &e));
    CHECK(memcmp(view, must, sizeof view) == 0);
    nnclr_image_free(&image);
}

/* Sides that a box of the same aspect could overrun by rounding. */
static void evaluation_takes_every_shape(void) {
    static float view[3 * 224 * 224];
    static const int sides[][2] = {{1, 1}, {1, 500}, {500, 1}, {2, 3}, {333, 77}, {7, 7}};
    static const int sizes[] = {1, 2, 3, 64, 224};
    nnclr_error e = NNCLR_NO_ERROR;
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 10; k++) {
            nnclr_image image = formula_picture(sides[i][0], sides[i][1]);
            CHECK_SAYS(nnclr_augment_evaluation(sizes[k / 2], k % 2, NNCLR_BICUBIC, &image, view,
                                                &scratch_memory, &e),
                       "%s", e.message);
            nnclr_image_free(&image);
        }
}

int main(void) {
    RUN(colors_equal_torchvision);
    RUN(blur_equals_pillow);
    RUN(blur_of_a_point);
    RUN(blur_without_width_is_nothing);
    RUN(normalize_is_per_channel);
    RUN(crops_are_uniform);
    RUN(crops_that_do_not_fit_are_drawn_again);
    RUN(small_offsets_are_uniform);
    RUN(crops_lie_inside);
    RUN(extreme_pictures_get_the_central_crop);
    RUN(probabilities_hold);
    RUN(none_and_always_are_exact);
    RUN(strengths_are_uniform);
    RUN(every_order_is_as_likely);
    RUN(draws_depend_on_all_that_names_them);
    RUN(the_views_are_independent);
    RUN(probabilities_do_not_shift_draws);
    RUN(a_view_is_its_operators_in_order);
    RUN(a_crop_outside_is_refused);
    RUN(evaluation_cuts_the_centre);
    RUN(evaluation_stretches);
    RUN(evaluation_takes_every_shape);
    nnclr_buffer_free(&scratch_memory);
    return check_done();
}
