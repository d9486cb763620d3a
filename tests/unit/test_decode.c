/* Decoding against the corpus of odd pictures (sizes and mean colours that other decoders gave),
 * and against what was encoded. */
#include "check.h"

#include <zlib.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "image/decode.h"
#include "image/encode.h"
#include "image/exif.h"
#include "tests/unit/jpeg_variants.h"

static nnclr_error e; /* of the call that is checked */

static bool decode(const nnclr_buffer *bytes, nnclr_image *image) {
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    e = (nnclr_error)NNCLR_NO_ERROR;
    return nnclr_decode(bytes->data, bytes->size, &limits, image, &e);
}

/* Soft colours in a pattern without symmetry. */
static nnclr_image make_picture(int width, int height) {
    nnclr_image image;
    CHECK_OK(nnclr_image_create(&image, width, height, &e));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *pixel = image.pixels + 3 * (y * width + x);
            pixel[0] = (uint8_t)(255 * x / width);
            pixel[1] = (uint8_t)(255 * y / height);
            pixel[2] = (uint8_t)(127 + 100 * sin(0.1 * x + 0.2 * y));
        }
    return image;
}

static void mean_color(const nnclr_image *image, double mean[3]) {
    size_t pixels = (size_t)image->width * (size_t)image->height;
    for (int c = 0; c < 3; c++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < pixels; i++)
            sum += image->pixels[3 * i + (size_t)c];
        mean[c] = (double)sum / (double)pixels;
    }
}

/* ---- the corpus ---- */

enum { FILE_NAME, KIND, EXPECT, WHAT, BYTES, WIDTH, HEIGHT, WIDTH_EXIF, HEIGHT_EXIF, MODE, MEAN };
enum { COLUMNS = 17 };

/* The manifest drops alpha, we composite on black: mean colours by Pillow (Image.alpha_composite
 * over black; see tests/reference/alpha_means.py). */
static const struct {
    const char *file;
    double mean[3];
} on_black[] = {
#include "tests/reference/alpha_means.inc"
};

static const double *mean_on_black(const char *file) {
    for (size_t i = 0; i < sizeof on_black / sizeof *on_black; i++)
        if (strcmp(on_black[i].file, file) == 0)
            return on_black[i].mean;
    return NULL;
}

static const char *corpus(void) {
    static char path[4000];
    const char *data = getenv("NNCLR_TEST_DATA");
    if (!data)
        SKIP("NNCLR_TEST_DATA is not set");
    snprintf(path, sizeof path, "%s/odd-images", data);
    return path;
}

static void read_corpus_file(const char *name, nnclr_buffer *bytes) {
    char path[5000];
    snprintf(path, sizeof path, "%s/%s", corpus(), name);
    CHECK_OK(nnclr_file_read(path, 1 << 24, bytes, &e));
}

static void check_decoded(char *const column[COLUMNS], const nnclr_buffer *bytes,
                          const nnclr_image *image) {
    const char *file = column[FILE_NAME];
    CHECK_SAYS(image->width == atoi(column[WIDTH_EXIF]) &&
                   image->height == atoi(column[HEIGHT_EXIF]),
               "%s: %d x %d", file, image->width, image->height);
    double mean[3], want[3];
    mean_color(image, mean);
    const double *black = mean_on_black(file);
    if (black)
        memcpy(want, black, sizeof want);
    else
        CHECK(sscanf(column[MEAN], "%lf,%lf,%lf", &want[0], &want[1], &want[2]) == 3);
    for (int c = 0; c < 3; c++)
        CHECK_SAYS(fabs(mean[c] - want[c]) <= 0.1, "%s: mean %.2f,%.2f,%.2f, not %.1f,%.1f,%.1f",
                   file, mean[0], mean[1], mean[2], want[0], want[1], want[2]);

    nnclr_codec codec;
    int width, height;
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    CHECK_OK(nnclr_probe(bytes->data, bytes->size, &limits, &codec, &width, &height, &e));
    CHECK(width == image->width && height == image->height);
    CHECK(codec == (bytes->data[0] == 0xFF ? NNCLR_CODEC_JPEG : NNCLR_CODEC_PNG));
}

static void check_row(char *const column[COLUMNS]) {
    nnclr_buffer bytes = {0};
    nnclr_image image;
    read_corpus_file(column[FILE_NAME], &bytes);
    bool ok = decode(&bytes, &image);
    if (getenv("CHECK_VERBOSE"))
        printf("# %s (%s): %s\n", column[FILE_NAME], column[EXPECT], ok ? "read" : e.message);
    if (strcmp(column[EXPECT], "decode") == 0) {
        CHECK_SAYS(ok, "%s: %s", column[FILE_NAME], e.message);
        check_decoded(column, &bytes, &image);
    } else if (strcmp(column[EXPECT], "reject") == 0) {
        CHECK_SAYS(!ok, "%s was read", column[FILE_NAME]);
    }
    if (!ok)
        CHECK_SAYS(strlen(e.message) > 8 && e.code != NNCLR_OK && !image.pixels, "%s: \"%s\"",
                   column[FILE_NAME], e.message);
    nnclr_image_free(&image);
    nnclr_buffer_free(&bytes);
}

TEST(reads_the_corpus_as_its_manifest_says) {
    nnclr_buffer manifest = {0};
    read_corpus_file("MANIFEST.tsv", &manifest);
    char *text = (char *)manifest.data, *line = strsep(&text, "\n");
    int rows = 0;
    while ((line = strsep(&text, "\n")) && *line) {
        char *column[COLUMNS] = {0};
        for (int i = 0; i < COLUMNS && line; i++)
            column[i] = strsep(&line, "\t");
        CHECK(column[COLUMNS - 1]);
        check_row(column);
        rows++;
    }
    CHECK_SAYS(rows == 90, "%d rows", rows);
    nnclr_buffer_free(&manifest);
}

TEST(turns_all_orientations_upright) {
    static const uint8_t quarters[4][3] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 0}};
    for (int orientation = 1; orientation <= 8; orientation++) {
        char name[40];
        nnclr_buffer bytes = {0};
        nnclr_image image;
        snprintf(name, sizeof name, "odd/corners_o%d.jpg", orientation);
        read_corpus_file(name, &bytes);
        CHECK_SAYS(decode(&bytes, &image), "%s: %s", name, e.message);
        CHECK(image.width == 48 && image.height == 32);
        for (int y = 0; y < 32; y++)
            for (int x = 0; x < 48; x++)
                for (int c = 0; c < 3; c++) {
                    int got = image.pixels[3 * (48 * y + x) + c];
                    int want = quarters[(y >= 16) * 2 + (x >= 24)][c];
                    CHECK_SAYS(abs(got - want) <= 4, "%s: %d at %d,%d,%d, not %d", name, got, x, y,
                               c, want);
                }
        nnclr_image_free(&image);
        nnclr_buffer_free(&bytes);
    }
}

/* ---- round trips ---- */

static nnclr_buffer encoded(const nnclr_image *image, nnclr_codec codec) {
    nnclr_buffer bytes = {0};
    bool ok = codec == NNCLR_CODEC_JPEG  ? nnclr_encode_jpeg(image, 95, &bytes, &e)
              : codec == NNCLR_CODEC_PNG ? nnclr_encode_png(image, &bytes, &e)
                                         : nnclr_encode_ppm(image, &bytes, &e);
    CHECK_OK(ok);
    return bytes;
}

TEST(gives_back_what_was_encoded) {
    static const int sizes[][2] = {{1, 1}, {1, 50}, {47, 1}, {32, 32}, {133, 91}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (nnclr_codec codec = NNCLR_CODEC_JPEG; codec <= NNCLR_CODEC_PPM; codec++) {
            nnclr_image image = make_picture(sizes[s][0], sizes[s][1]), back;
            nnclr_buffer bytes = encoded(&image, codec), again = encoded(&image, codec);
            CHECK(bytes.size == again.size && memcmp(bytes.data, again.data, bytes.size) == 0);
            CHECK_OK(decode(&bytes, &back));
            CHECK(back.width == image.width && back.height == image.height);
            double squares = 0;
            size_t samples = (size_t)image.width * (size_t)image.height * 3;
            for (size_t i = 0; i < samples; i++) {
                int difference = image.pixels[i] - back.pixels[i];
                squares += difference * difference;
            }
            CHECK_SAYS(squares / (double)samples <= (codec == NNCLR_CODEC_JPEG ? 25 : 0),
                       "codec %d, %d x %d: mean square %g", (int)codec, image.width, image.height,
                       squares / (double)samples);
            nnclr_image_free(&image);
            nnclr_image_free(&back);
            nnclr_buffer_free(&bytes);
            nnclr_buffer_free(&again);
        }
}

/* Encoders append, and leave the buffer as it was when they fail. */
TEST(appends_or_leaves_the_buffer_alone) {
    nnclr_image image = make_picture(5, 4);
    nnclr_buffer alone = encoded(&image, NNCLR_CODEC_JPEG), behind = {0};
    CHECK_OK(nnclr_buffer_append(&behind, "abc", 3, &e) &&
             nnclr_encode_jpeg(&image, 95, &behind, &e));
    CHECK(behind.size == alone.size + 3 && memcmp(behind.data + 3, alone.data, alone.size) == 0);

    nnclr_image wide = {.width = 65501, .height = 1, .pixels = nnclr_alloc_zero(65501, 3, &e)};
    CHECK(!nnclr_encode_jpeg(&wide, 95, &behind, &e) && behind.size == alone.size + 3);
    CHECK(strstr(e.message, "65500"));
    nnclr_image_free(&wide);
    nnclr_image_free(&image);
    nnclr_buffer_free(&alone);
    nnclr_buffer_free(&behind);
}

/* ---- damage ---- */

TEST(reports_every_truncation) {
    nnclr_image image = make_picture(61, 45);
    for (nnclr_codec codec = NNCLR_CODEC_JPEG; codec <= NNCLR_CODEC_PPM; codec++) {
        nnclr_buffer bytes = encoded(&image, codec);
        for (size_t size = 0; size < bytes.size; size += 1 + size / 97) {
            uint8_t *cut = malloc(size ? size : 1); /* so that reading past the end is noticed */
            memcpy(cut, bytes.data, size);
            nnclr_buffer short_bytes = {cut, size, size};
            nnclr_image back;
            CHECK_SAYS(!decode(&short_bytes, &back), "codec %d: %zu of %zu bytes were read",
                       (int)codec, size, bytes.size);
            CHECK(!back.pixels && e.code == NNCLR_ERROR_INPUT);
            if (size >= 60)
                CHECK_SAYS(strncmp(e.message, "truncated ", 10) == 0, "%s", e.message);
            free(cut);
        }
        nnclr_buffer_free(&bytes);
    }
    nnclr_image_free(&image);
}

TEST(says_how_much_is_there) {
    nnclr_image image = make_picture(61, 45), back;
    nnclr_buffer png = encoded(&image, NNCLR_CODEC_PNG), jpeg = encoded(&image, NNCLR_CODEC_JPEG);
    char want[200];
    snprintf(want, sizeof want, "truncated PNG (%zu of at least %zu bytes)", png.size / 2,
             png.size);
    png.size /= 2;
    CHECK_FAILS_WITH(decode(&png, &back), want);

    snprintf(want, sizeof want, "truncated JPEG (%zu bytes hold ", jpeg.size * 3 / 4);
    jpeg.size = jpeg.size * 3 / 4;
    CHECK(!decode(&jpeg, &back));
    CHECK_SAYS(strncmp(e.message, want, strlen(want)) == 0, "%s", e.message);
    CHECK(strstr(e.message, " of 45 rows)"));
    nnclr_image_free(&image);
    nnclr_buffer_free(&png);
    nnclr_buffer_free(&jpeg);
}

TEST(survives_flipped_bits) {
    nnclr_image image = make_picture(40, 30);
    nnclr_rng rng = nnclr_rng_at(7, NNCLR_DRAW_EXAMPLE, 0, 0, 0);
    int failures = 0;
    for (nnclr_codec codec = NNCLR_CODEC_JPEG; codec <= NNCLR_CODEC_PNG; codec++) {
        nnclr_buffer bytes = encoded(&image, codec);
        for (int trial = 0; trial < 1500; trial++) {
            uint8_t *copy = malloc(bytes.size);
            memcpy(copy, bytes.data, bytes.size);
            uint64_t flips = 1 + nnclr_rng_below(&rng, 8);
            for (uint64_t i = 0; i < flips; i++)
                copy[nnclr_rng_below(&rng, bytes.size)] ^=
                    (uint8_t)(1U << nnclr_rng_below(&rng, 8));
            nnclr_buffer damaged = {copy, bytes.size, bytes.size};
            nnclr_decode_limits limits = {.pixels = 1 << 22, .side = 1 << 14};
            nnclr_image back;
            e = (nnclr_error)NNCLR_NO_ERROR;
            if (nnclr_decode(damaged.data, damaged.size, &limits, &back, &e)) {
                CHECK(back.pixels && back.width >= 1 && back.height >= 1);
            } else {
                CHECK(e.code != NNCLR_OK && !back.pixels);
                failures++;
            }
            nnclr_image_free(&back);
            free(copy);
        }
        nnclr_buffer_free(&bytes);
    }
    /* PNG's checksums find every flip but those in its few bytes of no consequence. */
    CHECK_SAYS(failures > 1400, "only %d failures", failures);
    nnclr_image_free(&image);
}

/* ---- limits and headers ---- */

static void check_refused(const nnclr_buffer *bytes, const char *title) {
    nnclr_image image;
    CHECK_SAYS(!decode(bytes, &image), "%s was read", title);
    CHECK_SAYS(e.code == NNCLR_ERROR_LIMIT && strstr(e.message, "holds no such picture"), "%s: %s",
               title, e.message);
}

static void check_read(const nnclr_buffer *bytes, const char *title) {
    nnclr_image image;
    CHECK_SAYS(decode(bytes, &image), "%s: %s", title, e.message);
    nnclr_image_free(&image);
}

/* Writes another size into the header of a JPEG. */
static void claim_jpeg_size(nnclr_buffer *bytes, int width, int height) {
    uint8_t *frame = memmem(bytes->data, bytes->size, "\xff\xca", 2); /* arithmetic, progressive */
    CHECK(frame != NULL);
    frame[5] = (uint8_t)(height >> 8);
    frame[6] = (uint8_t)height;
    frame[7] = (uint8_t)(width >> 8);
    frame[8] = (uint8_t)width;
}

/* A small picture may have hundreds of scans; they are no way to keep us busy with a large one. */
TEST(bounds_the_work_of_scans) {
    nnclr_buffer bytes = jpeg_of_scans(45, 45, true, 300);
    check_read(&bytes, "300 scans of a small picture");
    claim_jpeg_size(&bytes, 65500, 2700); /* so large that its memory is too much */
    check_refused(&bytes, "a small picture that claims to be large");
    nnclr_buffer_free(&bytes);
    bytes = jpeg_of_scans(1200, 1000, true, 300);
    check_refused(&bytes, "300 scans with arithmetic coding");
    nnclr_buffer_free(&bytes);
    bytes = jpeg_of_scans(2000, 1500, false, 200);
    check_refused(&bytes, "200 scans with Huffman codes");
    nnclr_buffer_free(&bytes);
}

/* The last scan of a sequential picture with one scan a component, over and over. */
TEST(reads_repeated_scans_of_a_small_picture) {
    nnclr_buffer bytes = {0}, bomb = {0};
    read_corpus_file("odd/jpeg_noninterleaved.jpg", &bytes);
    const uint8_t *scan = memmem(bytes.data, bytes.size, "\xff\xda", 2), *next = scan;
    const uint8_t *end = bytes.data + bytes.size - 2;
    while ((next = memmem(next + 2, (size_t)(end - next - 2), "\xff\xda", 2)))
        scan = next;
    CHECK_OK(nnclr_buffer_append(&bomb, bytes.data, (size_t)(end - bytes.data), &e));
    for (int i = 3; i < 120; i++)
        CHECK_OK(nnclr_buffer_append(&bomb, scan, (size_t)(end - scan), &e));
    CHECK_OK(nnclr_buffer_append(&bomb, end, 2, &e));
    check_read(&bomb, "120 scans");
    nnclr_buffer_free(&bytes);
    nnclr_buffer_free(&bomb);
}

/* A PNG whose data are `size` zeros, which is what a blank one of 1032 times as many bytes takes.
 */
static nnclr_buffer claim_png_size(uint32_t side, int bits, int color, bool interlaced,
                                   size_t size) {
    uint8_t head[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDRwwwwhhhhbc\0\0i\0\0\0\0";
    uint8_t data[] = "\0\0\0\0IDAT";
    for (int i = 0; i < 4; i++) {
        head[16 + i] = head[20 + i] = (uint8_t)(side >> (24 - 8 * i));
        data[i] = (uint8_t)(size >> (24 - 8 * i));
    }
    head[24] = (uint8_t)bits;
    head[25] = (uint8_t)color;
    head[28] = interlaced;
    nnclr_buffer bytes = {0};
    CHECK_OK(nnclr_buffer_append(&bytes, head, 33, &e) &&
             nnclr_buffer_append(&bytes, data, 8, &e) && nnclr_buffer_reserve(&bytes, size, &e));
    memset(bytes.data + bytes.size, 0, size);
    bytes.size += size;
    return bytes;
}

TEST(bounds_the_pixels_of_a_small_png) {
    static const struct {
        const char *title;
        uint32_t side;
        int bits, color;
        bool interlaced;
        size_t size;
    } cases[] = {
        {"an interlaced PNG with alpha", 13000, 8, 6, true, 660000},
        {"a blank PNG of a bit a pixel", 13000, 1, 0, false, 30000},
        {"an interlaced PNG of a bit a pixel", 10000, 1, 0, true, 20000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nnclr_buffer bytes = claim_png_size(cases[i].side, cases[i].bits, cases[i].color,
                                            cases[i].interlaced, cases[i].size);
        check_refused(&bytes, cases[i].title);
        nnclr_buffer_free(&bytes);
    }
}

TEST(checks_sizes_against_limits) {
    nnclr_image image = make_picture(30, 20), back;
    for (nnclr_codec codec = NNCLR_CODEC_JPEG; codec <= NNCLR_CODEC_PPM; codec++) {
        nnclr_buffer bytes = encoded(&image, codec);
        nnclr_decode_limits limits = {.pixels = 600, .side = 30};
        CHECK_OK(nnclr_decode(bytes.data, bytes.size, &limits, &back, &e));
        nnclr_image_free(&back);
        limits.side = 29;
        CHECK_FAILS_AS(nnclr_decode(bytes.data, bytes.size, &limits, &back, &e), NNCLR_ERROR_LIMIT);
        CHECK_TEXT(e.message, "30 x 20 pixels, a side over the limit of 29");
        limits = (nnclr_decode_limits){.pixels = 599, .side = 30};
        CHECK_FAILS_AS(nnclr_decode(bytes.data, bytes.size, &limits, &back, &e), NNCLR_ERROR_LIMIT);
        nnclr_buffer_free(&bytes);
    }
    nnclr_image_free(&image);
}

/* The claim alone must not cost memory: a header of 10000 x 10000 before a few bytes of data. */
TEST(doubts_large_claims) {
    nnclr_image image = make_picture(16, 16), back;
    nnclr_buffer png = encoded(&image, NNCLR_CODEC_PNG), jpeg = encoded(&image, NNCLR_CODEC_JPEG);
    memcpy(png.data + 16, "\0\0\x27\x10\0\0\x27\x10", 8);
    CHECK_FAILS(decode(&png, &back), "cannot hold 10000 x 10000");
    uint8_t *frame = memmem(jpeg.data, jpeg.size, "\xff\xc0", 2);
    CHECK(frame);
    memcpy(frame + 5, "\x27\x10\x27\x10", 4);
    CHECK_FAILS(decode(&jpeg, &back), "cannot hold 10000 x 10000");
    nnclr_image_free(&image);
    nnclr_buffer_free(&png);
    nnclr_buffer_free(&jpeg);
}

static void check_ppm(const char *text, size_t size, const char *message) {
    nnclr_buffer bytes = {(unsigned char *)text, size, size};
    nnclr_image image;
    if (decode(&bytes, &image)) {
        CHECK_TEXT("", message);
        CHECK(image.width == 2 && image.height == 1 && memcmp(image.pixels, "abcdef", 6) == 0);
    } else {
        CHECK_TEXT(e.message, message);
    }
    nnclr_image_free(&image);
}

TEST(reads_ppm_headers) {
#define PPM(text, message) check_ppm(text, sizeof(text) - 1, message)
    PPM("P6\n2 1\n255\nabcdef", "");
    PPM("P6 2 1 255 abcdefg", "");
    PPM("P6#c 7\n 2 # width\n#\n1\n255\nabcdef", "");
    PPM("P6\n2 1\n255\nabcde", "truncated PPM (16 of 17 bytes)");
    PPM("P6\n2 1\n65535\nabcdef", "a PPM with values up to 65535, but only 255 is read");
    PPM("P6\n0 1\n255\n", "unreadable PPM (its header is cut or damaged)");
    PPM("P6\n-2 1\n255\nabcdef", "unreadable PPM (its header is cut or damaged)");
    PPM("P6\n99999999999 1\n255\nabcdef", "unreadable PPM (its header is cut or damaged)");
    PPM("P6\n2 1\n255", "unreadable PPM (its header is cut or damaged)");
    PPM("P6\n2 1\n# no end", "unreadable PPM (its header is cut or damaged)");
#undef PPM
}

TEST(names_foreign_kinds) {
    nnclr_image image;
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    CHECK_FAILS_WITH(nnclr_decode((const uint8_t *)"", 0, &limits, &image, &e), "empty file");
    CHECK_FAILS_WITH(nnclr_decode((const uint8_t *)"GIF89a", 6, &limits, &image, &e),
                     "a GIF, not a JPEG, PNG or PPM");
    CHECK_FAILS_WITH(nnclr_decode((const uint8_t *)"RIFF\1\2\3\4WEBPVP8 ", 16, &limits, &image, &e),
                     "a WebP, not a JPEG, PNG or PPM");
    CHECK_FAILS_WITH(nnclr_decode((const uint8_t *)"\0\0\0\x18"
                                                   "ftypmp42",
                                  12, &limits, &image, &e),
                     "a video, not a JPEG, PNG or PPM");
    CHECK_FAILS_WITH(nnclr_decode((const uint8_t *)"Dear all", 8, &limits, &image, &e),
                     "not a JPEG, PNG or PPM");
}

static int orientation_of(const char *bytes, size_t size) {
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, bytes, size);
    int orientation = nnclr_exif_orientation(exact, size);
    free(exact);
    return orientation;
}

TEST(reads_orientation_and_bears_broken_exif) {
    static const char little[] = "II*\0\x08\0\0\0\x02\0"
                                 "\x0f\x01\x02\0\x01\0\0\0ABC\0"
                                 "\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
    static const char big[] = "MM\0*\0\0\0\x08\0\x01"
                              "\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
    CHECK(orientation_of(little, sizeof little - 1) == 6);
    CHECK(orientation_of(big, sizeof big - 1) == 8);
    for (size_t size = 0; size < sizeof little - 1; size++)
        CHECK(orientation_of(little, size) == 1);
    char copy[sizeof big - 1];
    memcpy(copy, big, sizeof copy);
    copy[19] = 9; /* no such orientation */
    CHECK(orientation_of(copy, sizeof copy) == 1);
    memcpy(copy, big, sizeof copy);
    memcpy(copy + 4, "\xff\xff\xff\xff", 4); /* a directory far outside */
    CHECK(orientation_of(copy, sizeof copy) == 1);
}

/* 64 megabytes, of which the rows are the first thousand bytes. */
TEST(refuses_a_png_with_much_behind_its_last_row) {
    enum { SIZE = 1 << 26 };
    nnclr_buffer bytes = {0};
    nnclr_image image;
    read_corpus_file("odd/png_ibasn0g08.png", &bytes);
    uint8_t *data = memmem(bytes.data, bytes.size, "IDAT", 4);
    CHECK(data != NULL);
    size_t before = (size_t)(data - bytes.data) - 4;
    uLongf packed = 4 << 20;
    uint8_t *zeros = calloc(SIZE, 1), *idat = malloc(packed + 12);
    CHECK(zeros && idat && compress2(idat + 8, &packed, zeros, SIZE, 1) == Z_OK);
    memcpy(idat + 4, "IDAT", 4);
    for (int i = 0; i < 4; i++)
        idat[i] = (uint8_t)(packed >> (24 - 8 * i));
    uLong crc = crc32(0, idat + 4, (uInt)packed + 4);
    for (int i = 0; i < 4; i++)
        idat[8 + packed + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
    bytes.size = before;
    CHECK_OK(nnclr_buffer_append(&bytes, idat, packed + 12, &e) &&
             nnclr_buffer_append(&bytes, "\0\0\0\0IEND\xae\x42\x60\x82", 12, &e));
    CHECK_FAILS(decode(&bytes, &image), "bytes of data follow its rows");
    free(zeros);
    free(idat);
    nnclr_buffer_free(&bytes);
}

int main(void) {
    return check_all();
}
