/* What pictures look like: histograms of gradients that are NumPy's, and rows of a set that follow
 * from them. */
#include "image/appearance.h"

#include "image/encode.h"
#include "tests/reference/appearance.inc"
#include "tests/unit/check.h"
#include "tests/unit/formula_picture.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

enum {
    SIDE = NNCLR_APPEARANCE_SIDE,
    NUMBERS = 3 * SIDE * SIDE,
    COEFFICIENTS = NNCLR_APPEARANCE_COEFFICIENTS,
    A = NNCLR_APPEARANCE,
    RECORDS = 300
};

static void scene(picture_kind kind, float to[NUMBERS]) {
    nnclr_image image = test_picture(kind, SIDE, SIDE);
    for (int i = 0; i < NUMBERS; i++)
        to[i] = image.pixels[i] / 255.0F;
    nnclr_image_free(&image);
}

static double distance(const float *a, const float *b, int count) {
    double squares = 0;
    for (int i = 0; i < count; i++)
        squares += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(squares);
}

TEST(coefficients_are_numpys) {
    float picture[NUMBERS], got[COEFFICIENTS];
    scene(SCENE, picture);
    nnclr_appearance_coefficients(picture, got);
    /* In float, of which the roots of small numbers keep less. */
    for (int i = 0; i < COEFFICIENTS; i++)
        CHECK_NEAR(got[i], numpy_coefficients[i], 1e-4);
}

TEST(light_contrast_and_colours_do_not_matter) {
    float picture[NUMBERS], other[NUMBERS], a[COEFFICIENTS], b[COEFFICIENTS];
    scene(SCENE, picture);
    for (int i = 0; i < NUMBERS; i++)
        other[i] = 0.25F + 0.5F * picture[i / 3 * 3 + (i + 1) % 3];
    nnclr_appearance_coefficients(picture, a);
    nnclr_appearance_coefficients(other, b);
    CHECK_SAYS(distance(a, b, COEFFICIENTS) < 0.01, "%g", distance(a, b, COEFFICIENTS));
    scene(STRIPES, other);
    nnclr_appearance_coefficients(other, b);
    CHECK(distance(a, b, COEFFICIENTS) > 0.1);
}

TEST(a_flat_picture_has_none) {
    float picture[NUMBERS], got[COEFFICIENTS];
    for (int i = 0; i < NUMBERS; i++)
        picture[i] = 0.5F;
    nnclr_appearance_coefficients(picture, got);
    for (int i = 0; i < COEFFICIENTS; i++)
        CHECK(got[i] == 0);
}

/* Disks of three sizes, at places of their own; the last one is flat. */
static nnclr_image disk(int i) {
    nnclr_image image;
    CHECK_OK(nnclr_image_create(&image, SIDE, SIDE, &e));
    const int radius = 4 + 3 * (i % 3), x = 10 + i % 11, y = 10 + i % 13;
    for (int at = 0; at < SIDE * SIDE; at++) {
        const int dx = at % SIDE - x, dy = at / SIDE - y;
        const bool inside = i < RECORDS - 1 && dx * dx + dy * dy < radius * radius;
        for (int c = 0; c < 3; c++)
            image.pixels[3 * at + c] = (uint8_t)(inside ? 200 : 40 + i % 5);
    }
    return image;
}

static nnclr_shard_set *make_set(void) {
    const char *path = scratch("disks.tar.zst");
    const nnclr_shard_options options = {.output = path, .program = "test 1", .level = 3};
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    CHECK_OK(writer);
    for (int i = 0; i < RECORDS; i++) {
        nnclr_image image = disk(i);
        nnclr_buffer bytes = {0};
        CHECK_OK(nnclr_encode_png(&image, &bytes, &e));
        char name[32];
        snprintf(name, sizeof name, "%d", i);
        const nnclr_record record = {.name = name,
                                     .label = -1,
                                     .width = SIDE,
                                     .height = SIDE,
                                     .codec = NNCLR_CODEC_PNG,
                                     .size = bytes.size};
        CHECK_OK(nnclr_shard_writer_add(writer, -1, &record, bytes.data, &e));
        nnclr_image_free(&image);
        nnclr_buffer_free(&bytes);
    }
    CHECK_OK(nnclr_shard_writer_commit(writer, &e));
    nnclr_shard_set *set = nnclr_shard_set_open(&path, 1, 1 << 20, &e);
    CHECK_OK(set);
    return set;
}

static double dot(const float *a, const float *b) {
    double sum = 0;
    for (int i = 0; i < A; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* Mean and variance in two passes, every coefficient in the order of its variance. */
static void expect_rows(float rows[RECORDS][A]) {
    static float all[RECORDS][COEFFICIENTS];
    double mean[COEFFICIENTS] = {0}, variance[COEFFICIENTS] = {0};
    for (int i = 0; i < RECORDS; i++) {
        float picture[NUMBERS];
        nnclr_image image = disk(i);
        for (int j = 0; j < NUMBERS; j++)
            picture[j] = image.pixels[j] / 255.0F;
        nnclr_image_free(&image);
        nnclr_appearance_coefficients(picture, all[i]);
        for (int j = 0; j < COEFFICIENTS; j++)
            mean[j] += (double)all[i][j] / RECORDS;
    }
    for (int i = 0; i < RECORDS; i++)
        for (int j = 0; j < COEFFICIENTS; j++)
            variance[j] += pow(all[i][j] - mean[j], 2) / RECORDS;
    for (int i = 0; i < RECORDS; i++) {
        double squares = 0, row[COEFFICIENTS];
        int kept = 0;
        for (int j = 0; j < COEFFICIENTS; j++) {
            int larger = 0;
            for (int k = 0; k < COEFFICIENTS; k++)
                larger += variance[k] > variance[j];
            if (larger >= A)
                continue;
            row[kept] = (all[i][j] - mean[j]) / sqrt(sqrt(variance[j]));
            squares += row[kept] * row[kept];
            kept++;
        }
        CHECK(kept == A);
        for (int j = 0; j < A; j++)
            rows[i][j] = (float)(row[j] / sqrt(squares));
    }
}

TEST(rows_of_a_set_are_scaled_by_it) {
    nnclr_shard_set *set = make_set();
    nnclr_appearances one, four;
    CHECK_OK(nnclr_appearances_make(&one, set, 1, NULL, &e));
    CHECK_OK(nnclr_appearances_make(&four, set, 4, NULL, &e));
    CHECK(one.count == RECORDS && four.count == RECORDS);
    CHECK(memcmp(one.rows, four.rows, RECORDS * A * sizeof(float)) == 0);
    static float want[RECORDS][A];
    expect_rows(want);
    /* The order of a row's numbers is not said; products are. */
    for (int i = 0; i < RECORDS; i += 7)
        for (int j = 0; j < RECORDS; j++)
            CHECK_NEAR(dot(one.rows + i * A, one.rows + j * A), dot(want[i], want[j]), 1e-4);
    nnclr_appearances_free(&one);
    nnclr_appearances_free(&four);
    nnclr_shard_set_close(set);
}

int main(void) {
    return check_all();
}
