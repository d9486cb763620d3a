/* Views from parts of pictures against views of the whole: the same bits if nothing is shrunk,
 * within a bound if something is, and a view never depends on whether the other is made. */
#include "image/view_maker.h"

#include "image/decode.h"
#include "image/encode.h"
#include "tests/unit/jpeg_variants.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

enum { WIDTH = 900, HEIGHT = 700, SIZE = 48, VIEW = 3 * SIZE * SIZE, EPOCHS = 4, SEED = 5 };

/* Like photographs: detail of all scales down to the pixel, edges, softer colours. */
static nnclr_image make_picture(int width, int height) {
    nnclr_image image;
    CHECK_OK(nnclr_image_create(&image, width, height, &e));
    uint8_t *pixel = image.pixels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, pixel += 3) {
            double light = 120;
            for (int octave = 0; octave < 7; octave++)
                light += 32 * pow(0.6, octave) *
                         sin(pow(2, octave) * (0.021 * x + 0.008 * octave * y) + octave) *
                         cos(pow(2, octave) * (0.017 * y - 0.011 * octave * x) + 2 * octave);
            if (hypot(x - 300, y - 250) < 130 || (x > 600 && x + y < 1000))
                light += 50;
            for (int c = 0; c < 3; c++)
                pixel[c] =
                    (uint8_t)fmin(fmax(light + 30 * sin(0.01 * x + 0.02 * y + 2 * c), 0), 255);
        }
    return image;
}

static const nnclr_augment augment = {.size = SIZE,
                                      .filter = NNCLR_BICUBIC,
                                      .area_low = 0.08,
                                      .area_high = 1,
                                      .aspect_low = 3.0 / 4,
                                      .aspect_high = 4.0 / 3,
                                      .flip = 0.5,
                                      .std = {1, 1, 1}};

/* One record for each kind of JPEG, then a PNG, then a small JPEG. */
static nnclr_shard_set *make_set(void) {
    const char *path = scratch("pictures.tar.zst");
    nnclr_shard_options options = {.output = path, .program = "test 1", .level = 3};
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    CHECK_OK(writer);
    nnclr_image image = make_picture(WIDTH, HEIGHT), small = make_picture(100, 90);
    for (int i = 0; i < JPEG_VARIANTS + 2; i++) {
        nnclr_buffer bytes = {0};
        nnclr_record record = {.name = "x", .label = -1, .width = WIDTH, .height = HEIGHT};
        if (i < JPEG_VARIANTS) {
            bytes = jpeg_variant_encode(&image, &jpeg_variants[i], 90);
        } else if (i == JPEG_VARIANTS) {
            CHECK_OK(nnclr_encode_png(&image, &bytes, &e));
            record.codec = NNCLR_CODEC_PNG;
        } else {
            CHECK_OK(nnclr_encode_jpeg(&small, 90, &bytes, &e));
        }
        record.size = bytes.size;
        CHECK_OK(nnclr_shard_writer_add(writer, -1, &record, bytes.data, &e));
        nnclr_buffer_free(&bytes);
    }
    CHECK_OK(nnclr_shard_writer_commit(writer, &e));
    nnclr_image_free(&image);
    nnclr_image_free(&small);
    nnclr_shard_set *set = nnclr_shard_set_open(&path, 1, 1 << 24, &e);
    CHECK_OK(set);
    return set;
}

static float view1[VIEW], view2[VIEW], must[VIEW];

static void make(nnclr_view_maker *maker, nnclr_shard_set *set, nnclr_view_key key, float *first,
                 float *second) {
    float *const out[] = {first, second};
    CHECK_OK(nnclr_view_maker_views(maker, set, &augment, key, out, &e));
}

/* The view of the whole picture; returns how much smaller it might have been decoded. */
static int make_of_whole(nnclr_view_maker *maker, nnclr_shard_set *set, nnclr_view_key key,
                         int view) {
    nnclr_image image;
    CHECK_OK(nnclr_view_maker_decode(maker, set, (size_t)key.record, &image, &e));
    nnclr_view_parameters drawn = nnclr_augment_draw(&augment, image.width, image.height, key.seed,
                                                     key.epoch, key.record, view);
    nnclr_patch whole = nnclr_whole_patch(&image);
    CHECK_OK(nnclr_augment_apply(&augment, &drawn, &whole, must, &maker->scratch, &e));
    nnclr_image_free(&image);
    return nnclr_view_shrink(&augment, drawn.crop, 8);
}

/* The root mean square of the difference, in steps of 256. */
static double distance(const float *a, const float *b) {
    double squares = 0;
    for (int i = 0; i < VIEW; i++)
        squares += pow(255 * ((double)a[i] - (double)b[i]), 2);
    return sqrt(squares / VIEW);
}

static bool most_shrink_is_one(int record) {
    return record >= JPEG_VARIANTS;
}

TEST(stays_with_the_view_of_the_whole) {
    nnclr_shard_set *set = make_set();
    nnclr_view_maker maker = {0};
    int times[9] = {0};
    double worst[9] = {0};
    for (int record = 0; record < JPEG_VARIANTS + 2; record++)
        for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
            nnclr_view_key key = {SEED, (uint64_t)record, epoch};
            make(&maker, set, key, view1, view2);
            for (int view = 0; view < NNCLR_VIEWS; view++) {
                int shrink = make_of_whole(&maker, set, key, view);
                double d = distance(view ? view2 : view1, must);
                if (most_shrink_is_one(record))
                    shrink = 1;
                if (shrink == 1)
                    CHECK_SAYS(memcmp(view ? view2 : view1, must, sizeof must) == 0,
                               "record %d, epoch %u, view %d: %.3f from the view of the whole",
                               record, epoch, view, d);
                times[shrink]++;
                worst[shrink] = fmax(worst[shrink], d);
            }
        }
    for (int shrink = 1; shrink <= 8; shrink *= 2) {
        if (getenv("CHECK_VERBOSE"))
            printf("# shrunk by %d: %d views, at most %.3f\n", shrink, times[shrink],
                   worst[shrink]);
        CHECK_SAYS(worst[shrink] <= 1, "shrunk by %d: %.3f from the view of the whole", shrink,
                   worst[shrink]);
    }
    CHECK(times[1] > 10 && times[2] > 10 && times[4] > 10);
    nnclr_view_maker_free(&maker);
    nnclr_shard_set_close(set);
}

TEST(makes_the_same_view_alone) {
    nnclr_shard_set *set = make_set();
    nnclr_view_maker maker = {0};
    for (int record = 0; record < JPEG_VARIANTS + 2; record++)
        for (uint32_t epoch = 0; epoch < EPOCHS / 4; epoch++) {
            nnclr_view_key key = {SEED, (uint64_t)record, epoch};
            make(&maker, set, key, view1, view2);
            make(&maker, set, key, must, NULL);
            CHECK(memcmp(must, view1, sizeof must) == 0);
            make(&maker, set, key, NULL, must);
            CHECK(memcmp(must, view2, sizeof must) == 0);
        }
    nnclr_view_maker_free(&maker);
    nnclr_shard_set_close(set);
}

/* Twice the size on each side is left. */
TEST(shrinks_large_crops_only) {
    static const struct {
        double width, height;
        int most, shrink;
    } crops[] = {{191, 900, 8, 1}, {192, 192, 8, 2}, {900, 191, 8, 1},   {383, 383, 8, 2},
                 {384, 384, 8, 4}, {384, 384, 2, 2}, {5000, 5000, 8, 8}, {5000, 5000, 1, 1}};
    for (size_t i = 0; i < sizeof crops / sizeof *crops; i++) {
        nnclr_box crop = {0, 0, crops[i].width, crops[i].height};
        int shrink = nnclr_view_shrink(&augment, crop, crops[i].most);
        CHECK_SAYS(shrink == crops[i].shrink, "%g x %g: %d", crops[i].width, crops[i].height,
                   shrink);
    }
}

int main(void) {
    return check_all();
}
