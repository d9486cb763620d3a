/* The operators of --jitter tf against their definitions in NumPy and colorsys
 * (tests/reference/augment_tf.py), and what is drawn for them. */
#include "image/augment.h"
#include "tests/unit/byol_augment.h"
#include "tests/unit/check.h"
#include "tests/unit/formula_picture.h"
#include "tests/unit/picture_summary.h"
#include "tests/unit/statistics.h"

static nnclr_error e; /* of the call that is checked */

enum { DRAWS = 20000 };
static nnclr_buffer scratch_memory;

/* ---- operators ---- */

static const struct operator_reference {
    const char *name;
    double factor; /* for blur: sigma */
    picture_kind kind;
    int width, height;
    exact_picture must;
} references[] = {
#include "tests/reference/tf_operators.inc"
};
enum { REFERENCES = sizeof references / sizeof *references };

static void blurred(float *rgb, int width, int height, double sigma) {
    CHECK_OK(nnclr_gaussian_blur(rgb, width, height, width / 10 / 2, sigma, &scratch_memory, &e));
}

static void check_operator(const char *name, void (*apply)(float *, int64_t, double),
                           double tolerance) {
    int used = 0;
    for (int i = 0; i < REFERENCES; i++) {
        const struct operator_reference *r = &references[i];
        if (strcmp(r->name, name) != 0)
            continue;
        char what[100];
        nnclr_image image = test_picture(r->kind, r->width, r->height);
        float *rgb = test_floats(&image);
        size_t count = 3 * (size_t)r->width * (size_t)r->height;
        if (apply)
            apply(rgb, r->width * r->height, r->factor);
        else
            blurred(rgb, r->width, r->height, r->factor);
        snprintf(what, sizeof what, "%s %g of picture %d, %d x %d", name, r->factor, (int)r->kind,
                 r->width, r->height);
        check_exact(what, &r->must, rgb, count, tolerance);
        for (size_t k = 0; k < count; k++)
            CHECK_SAYS(rgb[k] >= 0 && rgb[k] <= 1 + 1e-6f, "%s: %g", what, (double)rgb[k]);
        free(rgb);
        nnclr_image_free(&image);
        used++;
    }
    CHECK(used > 0);
}

TEST(brightness_is_added) {
    check_operator("brightness", nnclr_tf_brightness, 2e-7);
}
TEST(contrast_is_about_each_channels_mean) {
    check_operator("contrast", nnclr_tf_contrast, 1e-6);
}
TEST(saturation_is_that_of_hsv) {
    check_operator("saturation", nnclr_tf_saturation, 1e-6);
}
TEST(hue_turns_in_hsv) {
    check_operator("hue", nnclr_adjust_hue, 3e-6);
}
TEST(blur_is_a_truncated_gaussian) {
    check_operator("blur", NULL, 1e-6);
}

/* A white point becomes the outer product of the weights, which add up to one; at a border, what
 * falls outside is lost. */
TEST(gaussian_of_a_point) {
    enum { SIDE = 21, RADIUS = 4 };
    static float rgb[3 * SIDE * SIDE];
    const double sigma = 1.3;
    double weight[SIDE] = {0}, total = 0;
    for (int k = -RADIUS; k <= RADIUS; k++)
        total += weight[SIDE / 2 + k] = exp(-k * k / (2 * sigma * sigma));
    for (int at = 0; at < 2; at++) {
        int point = at ? 0 : SIDE / 2;
        memset(rgb, 0, sizeof rgb);
        rgb[3 * (point * SIDE + point) + 1] = 1;
        CHECK_OK(nnclr_gaussian_blur(rgb, SIDE, SIDE, RADIUS, sigma, &scratch_memory, &e));
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                int dy = y - point + SIDE / 2, dx = x - point + SIDE / 2;
                bool there = dy < SIDE && dx < SIDE;
                const float *p = rgb + 3 * (y * SIDE + x);
                CHECK_NEAR(p[1], there ? weight[dy] * weight[dx] / (total * total) : 0, 1e-7);
                CHECK(p[0] == 0 && p[2] == 0);
            }
    }
}

/* Without width, and with no neighbours: the picture itself, whatever the memory held before. */
TEST(gaussian_of_nothing) {
    for (int radius = 0; radius < 3; radius += 2) {
        float *rgb = formula_floats(9, 7), *original = formula_floats(9, 7);
        if (scratch_memory.data)
            memset(scratch_memory.data, 0xff, scratch_memory.capacity);
        CHECK_OK(nnclr_gaussian_blur(rgb, 9, 7, radius, radius ? 0 : 2, &scratch_memory, &e));
        CHECK(memcmp(rgb, original, 3 * 9 * 7 * sizeof *rgb) == 0);
        free(rgb);
        free(original);
    }
}

/* ---- whole views ---- */

static nnclr_augment augment_for_tests(void) {
    nnclr_augment augment = byol_augment(48);
    augment.operators = NNCLR_JITTER_TF;
    augment.blur[0] = 1;
    augment.blur[1] = 0.1;
    return augment;
}

static const struct {
    int width, height, size;
    nnclr_filter filter;
    nnclr_view_parameters parameters;
    exact_picture must;
} views[] = {
#include "tests/reference/tf_views.inc"
};

/* All 24 orders of the jitter among them. */
TEST(views_equal_the_definition) {
    static float view[3 * 48 * 48];
    nnclr_augment augment = augment_for_tests();
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        char what[40];
        nnclr_image image = test_picture(SCENE, views[i].width, views[i].height);
        nnclr_patch whole = nnclr_whole_patch(&image);
        augment.filter = views[i].filter;
        CHECK(views[i].size == 48);
        CHECK_OK(
            nnclr_augment_apply(&augment, &views[i].parameters, &whole, view, &scratch_memory, &e));
        snprintf(what, sizeof what, "view %zu", i);
        check_exact(what, &views[i].must, view, 3 * 48 * 48, 1e-5);
        nnclr_image_free(&image);
    }
}

/* ---- the draw ---- */

static nnclr_view_parameters draw(const nnclr_augment *augment, int width, int height, int record) {
    return nnclr_augment_draw(augment, width, height, 5, 3, (uint64_t)record, record % 2);
}

static double at_most(double x, double most) {
    return x < most ? x : most;
}

/* One draw of area and aspect, sides clamped to the picture, against the definition simulated with
 * another generator; nothing is drawn again. */
TEST(a_crop_is_one_draw_clamped) {
    static const int sides[][2] = {{40000, 40000}, {40000, 30000}, {20000, 50000}, {80000, 9000}};
    static double width[DRAWS], height[DRAWS], must_width[DRAWS], must_height[DRAWS];
    static double left[DRAWS], top[DRAWS];
    nnclr_augment augment = augment_for_tests();
    for (int i = 0; i < 4; i++) {
        double w = sides[i][0], h = sides[i][1];
        int lefts = 0, tops = 0;
        for (int record = 0; record < DRAWS; record++) {
            nnclr_box crop = draw(&augment, sides[i][0], sides[i][1], record).crop;
            double area = w * h * plain_uniform(0.08, 1);
            double aspect = exp(plain_uniform(log(3.0 / 4), log(4.0 / 3)));
            width[record] = crop.width;
            height[record] = crop.height;
            must_width[record] = at_most(rint(sqrt(area * aspect)), w);
            must_height[record] = at_most(rint(sqrt(area / aspect)), h);
            CHECK(crop.left + crop.width <= w && crop.top + crop.height <= h);
            if (w - crop.width >= 1000)
                left[lefts++] = crop.left / (w - crop.width);
            if (h - crop.height >= 1000)
                top[tops++] = crop.top / (h - crop.height);
        }
        CHECK(two_sample_statistic(width, must_width, DRAWS) < 1.95);
        CHECK(two_sample_statistic(height, must_height, DRAWS) < 1.95);
        CHECK(uniform_statistic(left, lefts, 0, 1) < 1.95);
        CHECK(tops < 1000 || uniform_statistic(top, tops, 0, 1) < 1.95);
    }
}

TEST(small_crops_are_clamped) {
    nnclr_augment augment = augment_for_tests();
    augment.area_low = 1e-6;
    for (int i = 0; i < DRAWS; i++) {
        int width = 1 + i * 7 % 53, height = 1 + i * 11 % 61;
        nnclr_box crop = draw(&augment, width, height, i).crop;
        CHECK_SAYS(crop.left >= 0 && crop.top >= 0 && crop.width >= 1 && crop.height >= 1 &&
                       crop.left + crop.width <= width && crop.top + crop.height <= height,
                   "%g x %g at (%g, %g) of %d x %d", crop.width, crop.height, crop.left, crop.top,
                   width, height);
    }
}

TEST(strengths_are_uniform) {
    static double values[5][DRAWS];
    static const double low[5] = {-0.4, 0, 0.8, -0.1, 0.1}, high[5] = {0.4, 2.5, 1.2, 0.1, 2};
    nnclr_augment augment = augment_for_tests();
    augment.contrast = 1.5;
    for (int i = 0; i < DRAWS; i++) {
        nnclr_view_parameters p = draw(&augment, 100, 100, i);
        for (int k = 0; k < 4; k++)
            values[k][i] = p.factor[k];
        values[4][i] = p.sigma;
    }
    for (int k = 0; k < 5; k++)
        CHECK(uniform_statistic(values[k], DRAWS, low[k], high[k]) < 1.95);
}

/* Whose operators they are does not change what else is drawn, so that the two can be compared. */
TEST(torch_draws_the_same_otherwise) {
    nnclr_augment tf = augment_for_tests(), torch = tf;
    torch.operators = NNCLR_JITTER_TORCH;
    int same_crops = 0;
    for (int i = 0; i < 2000; i++) {
        nnclr_view_parameters p = draw(&tf, 100, 100, i), q = draw(&torch, 100, 100, i);
        CHECK(p.flip == q.flip && p.jitter == q.jitter && p.gray == q.gray && p.blur == q.blur &&
              p.solarize == q.solarize && p.sigma == q.sigma);
        CHECK(memcmp(p.order, q.order, sizeof p.order) == 0);
        CHECK_NEAR(p.factor[0], q.factor[0] - 1, 1e-12);
        CHECK(memcmp(p.factor + 1, q.factor + 1, 3 * sizeof *p.factor) == 0);
        same_crops += p.crop.width == q.crop.width && p.crop.left == q.crop.left;
    }
    CHECK(same_crops > 1000 && same_crops < 2000);
}

int main(void) {
    const int status = check_all();
    nnclr_buffer_free(&scratch_memory);
    return status;
}
