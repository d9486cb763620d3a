/* Resampling against Pillow and torchvision (tests/reference/make_image_fixtures.py) and against
 * what any filter whose weights add up to one must do. */
#include "image/resize.h"

#include <float.h>

#include "tests/unit/check.h"
#include "tests/unit/formula_picture.h"
#include "tests/unit/picture_summary.h"

static nnclr_error e; /* of the call that is checked */

enum { MOST = 3 * 224 * 224 };
static float out[MOST];
static nnclr_buffer scratch_memory;

static void resize(const nnclr_image *image, nnclr_box box, nnclr_filter filter, bool flip,
                   int width, int height, float *to) {
    CHECK(3 * width * height <= MOST);
    CHECK_OK(nnclr_resize(image, box, filter, flip, width, height, to, &scratch_memory, &e));
}

/* Pillow's mode of floats, on boxes of fractions of pixels too. */
TEST(equals_pillow) {
    static const struct {
        int width, height;
        nnclr_box box;
        nnclr_filter filter;
        int out_width, out_height;
        exact_picture pillow;
    } cases[] = {
#include "tests/reference/image_resize.inc"
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char what[100];
        nnclr_image image = formula_picture(cases[i].width, cases[i].height);
        int width = cases[i].out_width, height = cases[i].out_height;
        resize(&image, cases[i].box, cases[i].filter, false, width, height, out);
        snprintf(what, sizeof what, "case %zu", i);
        check_exact(what, &cases[i].pillow, out, 3 * (size_t)width * (size_t)height, 1e-6);
        nnclr_image_free(&image);
    }
}

static const struct crop_reference {
    picture_kind kind;
    int width, height;
    nnclr_box box;
    nnclr_filter filter;
    int out_width, out_height;
    exact_picture torchvision;
    levels_picture pillow;
} crops[] = {
#include "tests/reference/image_crop.inc"
};
enum { CROPS = sizeof crops / sizeof *crops };

static size_t crop_and_resize(const struct crop_reference *r, char what[100]) {
    nnclr_image image = test_picture(r->kind, r->width, r->height);
    nnclr_patch whole = nnclr_whole_patch(&image);
    CHECK(3 * r->out_width * r->out_height <= MOST);
    CHECK_OK(nnclr_crop_resize(&whole, r->box, r->filter, false, r->out_width, r->out_height, out,
                               &scratch_memory, &e));
    nnclr_image_free(&image);
    snprintf(what, 100, "%g x %g of %d x %d to %d x %d, %s", r->box.width, r->box.height, r->width,
             r->height, r->out_width, r->out_height, r->filter ? "bicubic" : "bilinear");
    return 3 * (size_t)r->out_width * (size_t)r->out_height;
}

TEST(crops_equal_torchvision) {
    for (int i = 0; i < CROPS; i++) {
        char what[100];
        size_t count = crop_and_resize(&crops[i], what);
        check_exact(what, &crops[i].torchvision, out, count, 1e-6);
    }
}

/* On bytes Pillow rounds to whole levels after each of the two passes. The second pass keeps the
 * first error as it is, or for the cubic, whose absolute weights add up to 1.25 at most, enlarges
 * it: 1 level, or 1.125. Pillow also clips between the passes what the cubic overshoots, by up to
 * an eighth of the range; there is no such thing in soft pictures, with shades from 32 to 223. */
static level_bound two_roundings(const void *context, size_t place) {
    (void)place;
    const struct crop_reference *r = context;
    double bound = r->filter == NNCLR_BILINEAR ? 1 : 1.125;
    if (r->filter == NNCLR_BICUBIC && r->kind != SCENE_SOFT)
        bound += 1.25 * 255 / 8;
    return (level_bound){-bound, bound};
}

TEST(crops_are_near_pillows) {
    for (int i = 0; i < CROPS; i++) {
        char what[100];
        size_t count = crop_and_resize(&crops[i], what);
        check_levels(what, &crops[i].pillow, out, count, two_roundings, &crops[i]);
    }
}

/* Cutting first and resizing the piece as a picture of its own, which the test equals_pillow
 * judges, is the definition; and the picture around the piece would make a difference. */
TEST(a_crop_is_cut_before_it_is_resized) {
    static float must[MOST], around[MOST];
    nnclr_image image = formula_picture(57, 43), piece;
    const int left = 11, top = 7, width = 29, height = 31;
    nnclr_patch whole = nnclr_whole_patch(&image);
    CHECK_OK(nnclr_image_create(&piece, width, height, &e));
    for (int y = 0; y < height; y++)
        memcpy(piece.pixels + 3 * y * width, image.pixels + 3 * ((top + y) * 57 + left),
               3 * (size_t)width);
    for (int filter = NNCLR_BILINEAR; filter <= NNCLR_BICUBIC; filter++)
        for (int size = 16; size <= 64; size += 48) {
            nnclr_box box = {left, top, width, height};
            resize(&piece, (nnclr_box){0, 0, width, height}, (nnclr_filter)filter, true, size, size,
                   must);
            resize(&image, box, (nnclr_filter)filter, true, size, size, around);
            CHECK_OK(nnclr_crop_resize(&whole, box, (nnclr_filter)filter, true, size, size, out,
                                       &scratch_memory, &e));
            double difference = 0;
            for (int k = 0; k < 3 * size * size; k++) {
                CHECK_NEAR(out[k], must[k], 2e-6);
                difference = fmax(difference, fabs((double)out[k] - (double)around[k]));
            }
            CHECK(difference > 0.01);
        }
    nnclr_image_free(&piece);
    nnclr_image_free(&image);
}

TEST(same_size_is_the_picture) {
    nnclr_image image = formula_picture(21, 13);
    for (int filter = NNCLR_BILINEAR; filter <= NNCLR_BICUBIC; filter++) {
        resize(&image, (nnclr_box){0, 0, 21, 13}, (nnclr_filter)filter, false, 21, 13, out);
        for (int k = 0; k < 3 * 21 * 13; k++)
            CHECK_NEAR(out[k] * 255, image.pixels[k], 1e-4);
    }
    nnclr_image_free(&image);
}

TEST(flip_mirrors) {
    static float mirrored[MOST];
    nnclr_image image = formula_picture(31, 17);
    nnclr_box box = {2, 3, 20, 11};
    for (int width = 8; width <= 9; width++) {
        resize(&image, box, NNCLR_BICUBIC, false, width, 5, out);
        resize(&image, box, NNCLR_BICUBIC, true, width, 5, mirrored);
        for (int y = 0; y < 5; y++)
            for (int x = 0; x < width; x++)
                CHECK(memcmp(out + 3 * (y * width + x), mirrored + 3 * (y * width + width - 1 - x),
                             3 * sizeof *out) == 0);
    }
    nnclr_image_free(&image);
}

TEST(one_shade_stays) {
    nnclr_image image = formula_picture(50, 40);
    memset(image.pixels, 255, 3 * 50 * 40);
    for (int width = 1; width <= 64; width += 9) {
        resize(&image, (nnclr_box){7.3, 5.9, 31.4, 20.2}, NNCLR_BICUBIC, false, width, 64, out);
        for (int k = 0; k < 3 * width * 64; k++)
            CHECK_NEAR(out[k], 1, 1e-6);
    }
    nnclr_image_free(&image);
}

/* A sharp edge makes the cubic overshoot on both sides: it has to be clipped, and to exactly 0
 * and 1. */
TEST(overshoot_is_clipped) {
    nnclr_image image = formula_picture(8, 8);
    for (int k = 0; k < 3 * 64; k++)
        image.pixels[k] = k / 3 % 8 < 4 ? 0 : 255;
    resize(&image, (nnclr_box){0, 0, 8, 8}, NNCLR_BICUBIC, false, 64, 64, out);
    enum { COUNT = 3 * 64 * 64 };
    int low = 0, high = 0;
    for (int k = 0; k < COUNT; k++) {
        CHECK(out[k] >= 0 && out[k] <= 1);
        low += out[k] == 0;
        high += out[k] == 1;
    }
    CHECK(low >= COUNT / 4 && high >= COUNT / 4);
    nnclr_image_free(&image);
}

/* Earlier contents of the scratch memory, smaller or larger, do not matter. */
TEST(scratch_leaves_no_trace) {
    static float again[MOST];
    nnclr_image image = formula_picture(40, 40), large = formula_picture(300, 200);
    nnclr_box box = {1, 2, 33, 31};
    nnclr_buffer_free(&scratch_memory);
    resize(&image, box, NNCLR_BICUBIC, false, 24, 24, out);
    resize(&large, (nnclr_box){0, 0, 300, 200}, NNCLR_BICUBIC, false, 64, 64, again);
    memset(scratch_memory.data, 0xff, scratch_memory.capacity);
    resize(&image, box, NNCLR_BICUBIC, false, 24, 24, again);
    CHECK(memcmp(out, again, 3 * 24 * 24 * sizeof *out) == 0);
    nnclr_image_free(&image);
    nnclr_image_free(&large);
}

TEST(boxes_outside_are_refused) {
    static const nnclr_box bad[] = {
        {-1, 0, 5, 5},      {0, -0.5, 5, 5},     {0, 0, 0, 5},        {0, 0, 5, -1},
        {6, 0, 5, 5},       {0, 4, 5, 5},        {NAN, 0, 5, 5},      {0, 0, NAN, 5},
        {0, 0, DBL_MAX, 5}, {0, 0, 5, INFINITY}, {INFINITY, 0, 1, 1},
    };
    nnclr_image image = formula_picture(10, 8);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        e = (nnclr_error)NNCLR_NO_ERROR;
        bool ok =
            nnclr_resize(&image, bad[i], NNCLR_BILINEAR, false, 4, 4, out, &scratch_memory, &e);
        CHECK_SAYS(!ok && e.code == NNCLR_ERROR_INPUT, "case %zu", i);
    }
    nnclr_image_free(&image);
}

/* A box may pass the picture's end by a rounding error; there are no pixels there. */
TEST(rounded_boxes_end_with_the_picture) {
    float must[3 * 4 * 4];
    nnclr_image image = formula_picture(10, 8);
    nnclr_patch patch = nnclr_whole_patch(&image);
    nnclr_box whole = {0, 0, 10, 8}, larger = {0, 0, 10 + 5e-7, 8 + 5e-7};
    CHECK_OK(
        nnclr_crop_resize(&patch, whole, NNCLR_BICUBIC, false, 4, 4, must, &scratch_memory, &e));
    CHECK_OK(
        nnclr_crop_resize(&patch, larger, NNCLR_BICUBIC, false, 4, 4, out, &scratch_memory, &e));
    for (int k = 0; k < 3 * 4 * 4; k++)
        CHECK_NEAR(out[k], must[k], 1e-5);
    nnclr_image_free(&image);
}

int main(void) {
    const int status = check_all();
    nnclr_buffer_free(&scratch_memory);
    return status;
}
