/* Parts of pictures against the whole: equal if nothing is shrunk, close to the means of squares if
 * something is, and the same every time. */
#include "check.h"

#include "base/rng.h"
#include "image/decode.h"
#include "image/encode.h"
#include "tests/unit/jpeg_variants.h"

static nnclr_error e; /* of the call that is checked */

enum { WIDTH = 203, HEIGHT = 157, QUALITY = 92, TRIALS = 40 };

/* Like photographs: detail of brightness down to a few pixels, edges, softer colours. */
static nnclr_image make_picture(int width, int height) {
    nnclr_image image;
    CHECK_OK(nnclr_image_create(&image, width, height, &e));
    uint8_t *pixel = image.pixels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, pixel += 3) {
            double light = 128 + 25 * sin(0.3 * x - 0.2 * y) + 12 * sin(1.1 * x + 1.3 * y);
            if (hypot(x - 70, y - 60) < 30)
                light += 40;
            for (int c = 0; c < 3; c++) {
                double v = light + 40 * sin(0.05 * x + 0.03 * y + 2 * c);
                pixel[c] = (uint8_t)fmin(fmax(v, 0), 255);
            }
        }
    return image;
}

typedef struct wish {
    nnclr_part part; /* right 0: the whole */
    int width, height, most, asked;
} wish;

static nnclr_part grant(void *context, int width, int height, int most) {
    wish *w = context;
    w->width = width;
    w->height = height;
    w->most = most;
    w->asked++;
    return w->part.right > 0 ? w->part : (nnclr_part){0, 0, width, height, w->part.shrink};
}

static nnclr_image decode_whole(const nnclr_buffer *bytes) {
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    nnclr_image image;
    CHECK_OK(nnclr_decode(bytes->data, bytes->size, &limits, &image, &e));
    return image;
}

static void decode_part(const nnclr_buffer *bytes, wish *w, nnclr_patch *patch, const char *title) {
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    CHECK_SAYS(nnclr_decode_part(bytes->data, bytes->size, &limits, grant, w, patch, &e), "%s: %s",
               title, e.message);
}

static nnclr_part random_part(nnclr_rng *rng, int width, int height) {
    int left = (int)nnclr_rng_below(rng, (uint64_t)width);
    int top = (int)nnclr_rng_below(rng, (uint64_t)height);
    return (nnclr_part){left, top, left + 1 + (int)nnclr_rng_below(rng, (uint64_t)(width - left)),
                        top + 1 + (int)nnclr_rng_below(rng, (uint64_t)(height - top)), 1};
}

/* Colour that is coarse in only one direction bounds how far a picture can be shrunk. */
static int most_of(const jpeg_variant *variant) {
    return variant->across > variant->down   ? 8 * variant->down / variant->across
           : variant->down > variant->across ? 8 * variant->across / variant->down
                                             : 8;
}

/* ---- as it is ---- */

static void check_equal(const nnclr_image *whole, const nnclr_patch *patch, nnclr_part part,
                        const char *title) {
    CHECK_SAYS(patch->left <= part.left && patch->top <= part.top &&
                   patch->left + patch->image.width >= part.right &&
                   patch->top + patch->image.height >= part.bottom,
               "%s: the patch does not cover the part", title);
    for (int y = part.top; y < part.bottom; y++) {
        const uint8_t *want = whole->pixels + 3 * (y * whole->width + part.left);
        const uint8_t *got = patch->image.pixels +
                             3 * ((y - patch->top) * patch->image.width + part.left - patch->left);
        CHECK_SAYS(memcmp(want, got, 3 * (size_t)(part.right - part.left)) == 0,
                   "%s: row %d of %d,%d to %d,%d differs", title, y, part.left, part.top,
                   part.right, part.bottom);
    }
}

TEST(gives_the_pixels_of_the_whole) {
    nnclr_image image = make_picture(WIDTH, HEIGHT);
    nnclr_rng rng = nnclr_rng_at(3, NNCLR_DRAW_EXAMPLE, 0, 0, 0);
    nnclr_patch patch = {0};
    for (int i = 0; i < JPEG_VARIANTS; i++) {
        const char *title = jpeg_variants[i].title;
        nnclr_buffer bytes = jpeg_variant_encode(&image, &jpeg_variants[i], QUALITY);
        nnclr_image whole = decode_whole(&bytes);
        for (int trial = 0; trial < TRIALS; trial++) {
            wish w = {.part = random_part(&rng, whole.width, whole.height)};
            decode_part(&bytes, &w, &patch, title);
            CHECK(w.asked == 1 && w.width == whole.width && w.height == whole.height);
            CHECK(w.most == most_of(&jpeg_variants[i]) && patch.shrink == 1);
            check_equal(&whole, &patch, w.part, title);
            CHECK_SAYS(patch.image.width <= w.part.right - w.part.left &&
                           patch.image.height <= w.part.bottom - w.part.top,
                       "%s: more was decoded than the part", title);
        }
        nnclr_image_free(&whole);
        nnclr_buffer_free(&bytes);
    }
    nnclr_image_free(&patch.image);
    nnclr_image_free(&image);
}

TEST(gives_other_kinds_whole) {
    nnclr_image image = make_picture(31, 20);
    nnclr_buffer png = {0};
    CHECK_OK(nnclr_encode_png(&image, &png, &e));
    wish w = {.part = {3, 4, 9, 10, 1}};
    nnclr_patch patch = {0};
    decode_part(&png, &w, &patch, "PNG");
    CHECK(w.asked == 1 && w.width == 31 && w.height == 20 && w.most == 1);
    CHECK(patch.shrink == 1 && patch.left == 0 && patch.top == 0);
    check_equal(&image, &patch, (nnclr_part){0, 0, 31, 20, 1}, "PNG");
    nnclr_image_free(&patch.image);
    nnclr_image_free(&image);
    nnclr_buffer_free(&png);
}

/* ---- shrunk ---- */

/* The mean of channel c over the square that a pixel stands for, as much as the picture has. */
static double mean_of(const nnclr_image *whole, const nnclr_patch *patch, int x, int y, int c) {
    int left = patch->shrink * (patch->left + x) - patch->before_x;
    int top = patch->shrink * (patch->top + y) - patch->before_y;
    double sum = 0;
    int count = 0;
    for (int v = top < 0 ? 0 : top; v < top + patch->shrink && v < whole->height; v++)
        for (int u = left < 0 ? 0 : left; u < left + patch->shrink && u < whole->width; u++) {
            sum += whole->pixels[3 * (v * whole->width + u) + c];
            count++;
        }
    CHECK(count > 0);
    return sum / count;
}

/* The root mean square of the difference. */
static double distance(const nnclr_image *whole, const nnclr_patch *patch) {
    double squares = 0;
    for (int y = 0; y < patch->image.height; y++)
        for (int x = 0; x < patch->image.width; x++)
            for (int c = 0; c < 3; c++) {
                double got = patch->image.pixels[3 * (y * patch->image.width + x) + c];
                squares += pow(got - mean_of(whole, patch, x, y, c), 2);
            }
    return sqrt(squares / (3.0 * patch->image.width * patch->image.height));
}

TEST(gives_the_means_of_squares) {
    nnclr_image image = make_picture(WIDTH, HEIGHT);
    nnclr_patch patch = {0};
    for (int i = 0; i < JPEG_VARIANTS; i++) {
        const char *title = jpeg_variants[i].title;
        nnclr_buffer bytes = jpeg_variant_encode(&image, &jpeg_variants[i], QUALITY);
        nnclr_image whole = decode_whole(&bytes);
        for (int shrink = 2; shrink <= most_of(&jpeg_variants[i]); shrink *= 2) {
            wish w = {.part = {.shrink = shrink}};
            decode_part(&bytes, &w, &patch, title);
            CHECK(patch.shrink == shrink && patch.left == 0 && patch.top == 0);
            CHECK(patch.image.width == (whole.width + shrink - 1) / shrink);
            CHECK(patch.image.height == (whole.height + shrink - 1) / shrink);
            double d = distance(&whole, &patch);
            if (getenv("CHECK_VERBOSE"))
                printf("# %s / %d: %.2f\n", title, shrink, d);
            CHECK_SAYS(d <= 3, "%s, shrunk by %d: %.2f from the means", title, shrink, d);
        }
        nnclr_image_free(&whole);
        nnclr_buffer_free(&bytes);
    }
    nnclr_image_free(&patch.image);
    nnclr_image_free(&image);
}

/* A part of the shrunk picture is a part of the whole shrunk picture. */
TEST(places_shrunk_parts) {
    nnclr_image image = make_picture(WIDTH, HEIGHT);
    nnclr_rng rng = nnclr_rng_at(4, NNCLR_DRAW_EXAMPLE, 0, 0, 0);
    nnclr_patch patch = {0}, all = {0};
    for (int i = 0; i < JPEG_VARIANTS; i++) {
        const char *title = jpeg_variants[i].title;
        nnclr_buffer bytes = jpeg_variant_encode(&image, &jpeg_variants[i], QUALITY);
        for (int trial = 0; trial < TRIALS; trial++) {
            int shrink = 2 << trial % 3;
            if (shrink > most_of(&jpeg_variants[i]))
                continue;
            wish w = {.part = {.shrink = shrink}};
            decode_part(&bytes, &w, &all, title);
            w.part = random_part(&rng, w.width, w.height);
            w.part.shrink = shrink;
            decode_part(&bytes, &w, &patch, title);
            CHECK(patch.before_x == all.before_x && patch.before_y == all.before_y);
            int left = shrink * patch.left - patch.before_x,
                top = shrink * patch.top - patch.before_y;
            CHECK_SAYS(left <= w.part.left && top <= w.part.top &&
                           left + shrink * patch.image.width >= w.part.right &&
                           top + shrink * patch.image.height >= w.part.bottom,
                       "%s: the patch does not cover the part", title);
            check_equal(&all.image, &patch,
                        (nnclr_part){patch.left, patch.top, patch.left + patch.image.width,
                                     patch.top + patch.image.height, 1},
                        title);
        }
        nnclr_buffer_free(&bytes);
    }
    nnclr_image_free(&patch.image);
    nnclr_image_free(&all.image);
    nnclr_image_free(&image);
}

/* ---- damage ---- */

TEST(reports_damage_above_and_in_the_part) {
    nnclr_image image = make_picture(WIDTH, HEIGHT);
    nnclr_buffer bytes = {0};
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    CHECK_OK(nnclr_encode_jpeg(&image, QUALITY, &bytes, &e));
    nnclr_patch patch = {0};
    wish below = {.part = {10, HEIGHT - 10, 30, HEIGHT, 1}}, above = {.part = {10, 0, 30, 10, 1}};
    CHECK(!nnclr_decode_part(bytes.data, bytes.size / 2, &limits, grant, &below, &patch, &e));
    CHECK_SAYS(strncmp(e.message, "truncated JPEG (", 16) == 0, "%s", e.message);
    CHECK(!patch.image.pixels);
    CHECK_OK(nnclr_decode_part(bytes.data, bytes.size / 2, &limits, grant, &above, &patch, &e));
    nnclr_image_free(&patch.image);
    nnclr_image_free(&image);
    nnclr_buffer_free(&bytes);
}

int main(void) {
    return check_all();
}
