#include "check.h"

#include "base/memory.h"
#include "image/contact_sheet.h"
#include "image/encode.h"
#include "image/font.h"

static nnclr_error e; /* of the call that is checked */

typedef struct box {
    int left, top, right, bottom; /* inclusive; right < left: empty */
} box;

static const uint8_t *pixel(const nnclr_image *image, int x, int y) {
    return image->pixels + 3 * ((size_t)y * (size_t)image->width + (size_t)x);
}

/* Where pixels satisfy a condition. */
static box find(const nnclr_image *image, bool (*wanted)(const uint8_t *)) {
    box found = {image->width, image->height, -1, -1};
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++)
            if (wanted(pixel(image, x, y))) {
                found.left = x < found.left ? x : found.left;
                found.right = x > found.right ? x : found.right;
                found.top = y < found.top ? y : found.top;
                found.bottom = y > found.bottom ? y : found.bottom;
            }
    return found;
}

static bool is_green(const uint8_t *p) {
    return p[1] > p[0] + 60 && p[1] > p[2] + 60;
}
static bool is_red(const uint8_t *p) {
    return p[0] > p[1] + 60 && p[0] > p[2] + 60;
}
static bool is_gray(const uint8_t *p) {
    return p[0] == p[1] && p[1] == p[2] && p[0] > 100 && p[0] < 200;
}
static bool is_blue(const uint8_t *p) {
    return p[2] > p[0] + 60 && p[2] > p[1] + 60;
}
static bool is_black(const uint8_t *p) {
    return p[0] + p[1] + p[2] == 0;
}

/* Every pixel different, all of them blue in the sense of is_blue. */
static nnclr_image make_picture(int width, int height) {
    nnclr_image image;
    CHECK_OK(nnclr_image_create(&image, width, height, &e));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *p = image.pixels + 3 * (y * width + x);
            p[0] = (uint8_t)(x * 100 / width);
            p[1] = (uint8_t)(y * 100 / height);
            p[2] = 200;
        }
    return image;
}

static nnclr_sheet *make_sheet(int rows, int columns, int cell, int lines, const char *title) {
    nnclr_sheet_layout layout = {
        .rows = rows, .columns = columns, .cell = cell, .caption_lines = lines};
    nnclr_sheet *sheet = nnclr_sheet_create(&layout, title, &e);
    CHECK_OK(sheet);
    return sheet;
}

TEST(draws_frames_three_pixels_wide) {
    bool (*const color[])(const uint8_t *) = {NULL, is_green, is_red, is_gray};
    for (nnclr_frame_color frame = NNCLR_FRAME_NONE; frame <= NNCLR_FRAME_GRAY; frame++) {
        nnclr_image picture = make_picture(40, 40);
        nnclr_sheet *sheet = make_sheet(2, 2, 40, 1, "title");
        CHECK_OK(nnclr_sheet_draw(sheet, 1, 1, &picture, frame, NULL, &e));
        const nnclr_image *page = nnclr_sheet_image(sheet);
        box inner = find(page, is_blue);
        CHECK(inner.right - inner.left == 39 && inner.bottom - inner.top == 39);
        for (int i = 1; i < 4; i++) {
            box outer = find(page, color[i]);
            if (i != (int)frame) {
                CHECK(outer.right < outer.left);
                continue;
            }
            CHECK(outer.left == inner.left - 3 && outer.right == inner.right + 3);
            CHECK(outer.top == inner.top - 3 && outer.bottom == inner.bottom + 3);
            for (int d = 0; d < 3; d++)
                CHECK(color[i](pixel(page, inner.left - 3 + d, inner.top + 20)) &&
                      color[i](pixel(page, inner.left + 20, inner.bottom + 1 + d)));
        }
        nnclr_sheet_free(sheet);
        nnclr_image_free(&picture);
    }
}

TEST(enlarges_by_a_whole_factor_exactly) {
    nnclr_image picture = make_picture(10, 7);
    nnclr_sheet *sheet = make_sheet(1, 1, 36, 0, NULL);
    CHECK_OK(nnclr_sheet_draw(sheet, 0, 0, &picture, NNCLR_FRAME_RED, NULL, &e));
    const nnclr_image *page = nnclr_sheet_image(sheet);
    box inner = find(page, is_blue), frame = find(page, is_red);
    CHECK(inner.right - inner.left + 1 == 30 && inner.bottom - inner.top + 1 == 21);
    for (int y = 0; y < 21; y++)
        for (int x = 0; x < 30; x++)
            CHECK(memcmp(pixel(page, inner.left + x, inner.top + y), pixel(&picture, x / 3, y / 3),
                         3) == 0);
    /* centred, up to one pixel */
    CHECK(abs((inner.left - frame.left) - (frame.right - inner.right)) <= 1);
    CHECK(abs((inner.top - frame.top) - (frame.bottom - inner.bottom)) <= 1);
    nnclr_sheet_free(sheet);
    nnclr_image_free(&picture);
}

TEST(reduces_large_pictures_to_the_cell) {
    nnclr_image picture = make_picture(300, 100);
    nnclr_sheet *sheet = make_sheet(1, 1, 48, 0, NULL);
    CHECK_OK(nnclr_sheet_draw(sheet, 0, 0, &picture, NNCLR_FRAME_NONE, NULL, &e));
    const nnclr_image *page = nnclr_sheet_image(sheet);
    box inner = find(page, is_blue);
    CHECK(inner.right - inner.left + 1 == 48 && inner.bottom - inner.top + 1 == 16);
    /* The picture is a ramp, and a reduced ramp is a ramp. */
    for (int x = 2; x < 46; x++)
        CHECK_NEAR(pixel(page, inner.left + x, inner.top + 8)[0], (x + 0.5) * 100 / 48, 2);
    nnclr_image_free(&picture);
    picture = make_picture(1, 4000);
    CHECK_OK(nnclr_sheet_draw(sheet, 0, 0, &picture, NNCLR_FRAME_NONE, NULL, &e));
    nnclr_image_free(&picture);
    nnclr_sheet_free(sheet);
}

TEST(keeps_captions_in_the_cell) {
    nnclr_image picture = make_picture(50, 50);
    nnclr_sheet *sheet = make_sheet(1, 3, 50, 2, NULL);
    char caption[400];
    memset(caption, 'W', sizeof caption - 1);
    caption[100] = caption[200] = caption[300] = '\n';
    caption[sizeof caption - 1] = '\0';
    CHECK_OK(nnclr_sheet_draw(sheet, 0, 1, &picture, NNCLR_FRAME_GREEN, caption, &e));
    const nnclr_image *page = nnclr_sheet_image(sheet);
    box text = find(page, is_black), frame = find(page, is_green);
    CHECK(text.left >= frame.left && text.right <= frame.right);
    CHECK(text.top > frame.bottom && text.bottom < page->height);
    CHECK(text.bottom - text.top + 1 > NNCLR_FONT_HEIGHT);      /* two lines, */
    CHECK(text.bottom - text.top + 1 <= 2 * NNCLR_FONT_HEIGHT); /* not three */
    CHECK(text.right - text.left + 1 > 50 - 2 * NNCLR_FONT_WIDTH);
    nnclr_sheet_free(sheet);
    nnclr_image_free(&picture);
}

TEST(widens_the_gap_behind_queries) {
    int left[2];
    nnclr_image picture = make_picture(32, 32);
    for (int query = 0; query < 2; query++) {
        nnclr_sheet_layout layout = {.rows = 1, .columns = 2, .cell = 32, .query_column = query};
        nnclr_sheet *sheet = nnclr_sheet_create(&layout, NULL, &e);
        CHECK_OK(sheet && nnclr_sheet_draw(sheet, 0, 1, &picture, NNCLR_FRAME_NONE, NULL, &e));
        const nnclr_image *page = nnclr_sheet_image(sheet);
        box inner = find(page, is_blue);
        left[query] = inner.left;
        CHECK(page->width - inner.right > 3); /* its frame has room */
        nnclr_sheet_free(sheet);
    }
    CHECK(left[1] > left[0]);
    nnclr_image_free(&picture);
}

TEST(refuses_impossible_layouts) {
    static const nnclr_sheet_layout wrong[] = {
        {.rows = 0, .columns = 1, .cell = 32},
        {.rows = 1, .columns = 1, .cell = 31},
        {.rows = 1, .columns = 1, .cell = 513},
        {.rows = 1, .columns = 1, .cell = 64, .caption_lines = 4},
        {.rows = 2000, .columns = 2000, .cell = 32},
        {.rows = 2147483647, .columns = 2147483647, .cell = 512, .caption_lines = 3}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(!nnclr_sheet_create(&wrong[i], NULL, &e));
        CHECK(e.code == (i < 4 ? NNCLR_ERROR_USAGE : NNCLR_ERROR_LIMIT));
    }
}

/* All glyphs stay in their boxes, have ink (except the blank) and can be told apart. */
TEST(has_a_glyph_for_every_letter) {
    enum { BYTES = 8 * 12 * 3 };
    nnclr_image letter;
    CHECK_OK(nnclr_image_create(&letter, 8, 12, &e));
    static uint8_t seen[127][BYTES];
    for (int c = ' '; c <= '~'; c++) {
        char text = (char)c;
        memset(letter.pixels, 255, BYTES);
        nnclr_draw_text(&letter, 1, 1, &text, 1);
        box ink = find(&letter, is_black);
        CHECK((ink.right < ink.left) == (c == ' '));
        if (c != ' ')
            CHECK_SAYS(ink.left >= 1 && ink.right <= 5 && ink.top >= 2 && ink.bottom <= 10,
                       "'%c' leaves its box", c);
        memcpy(seen[c], letter.pixels, BYTES);
        for (int other = ' '; other < c; other++)
            CHECK_SAYS(memcmp(seen[c], seen[other], BYTES) != 0, "'%c' looks like '%c'", c, other);
    }
    memset(letter.pixels, 255, BYTES);
    nnclr_draw_text(&letter, 1, 1, "\xc3", 1);
    CHECK(memcmp(letter.pixels, seen['?'], BYTES) == 0);
    nnclr_draw_text(&letter, -3, -3, "MMMMMMM", 7); /* clipped, not written outside */
    nnclr_image_free(&letter);
}

int main(void) {
    return check_all();
}
