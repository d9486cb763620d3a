/* What the page of nnclr-queue-inspect is made of: escaping, data URIs, charts, the history of a
 * run, and pictures for terminals. */
#include <float.h>

#include "tests/unit/check.h"
#include "tests/unit/scratch.h"

#include "base/numbers.h"
#include "eval/chart.h"
#include "eval/curve_text.h"
#include "eval/markup.h"
#include "eval/metrics_history.h"
#include "eval/neighbour_text.h"
#include "image/resize.h"

static nnclr_error e; /* of the call that is checked */

static const char *text_of(nnclr_markup *m) {
    CHECK_SAYS(!m->failed, "%s", m->error.message);
    return m->out.data ? (const char *)m->out.data : "";
}

TEST(text_is_escaped) {
    nnclr_markup m = {0};
    nnclr_markup_text(&m, "<b title=\"x\" y='1'>&amp;\x1b\xff\t\xc3\xa9</b>");
    CHECK_TEXT(text_of(&m),
               "&lt;b title=&quot;x&quot; y=&#39;1&#39;&gt;&amp;amp;\\x1b\\xff\\t\xc3\xa9"
               "&lt;/b&gt;");
    nnclr_markup_text(&m, NULL);
    nnclr_buffer_free(&m.out);
}

/* RFC 4648, section 10. */
TEST(data_is_base64) {
    static const char *const expected[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                           "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t size = 0; size <= 6; size++) {
        nnclr_markup m = {0};
        char uri[60];
        snprintf(uri, sizeof uri, "data:a/b;base64,%s", expected[size]);
        nnclr_markup_data(&m, "a/b", "foobar", size);
        CHECK_TEXT(text_of(&m), uri);
        nnclr_buffer_free(&m.out);
    }
    nnclr_markup m = {0};
    nnclr_markup_data(&m, "a/b", "\xff\xfe\xfb", 3);
    CHECK_TEXT(text_of(&m), "data:a/b;base64,//77");
    nnclr_buffer_free(&m.out);
}

static int count_of(const char *text, const char *what) {
    int count = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        count++;
    return count;
}

/* Only numbers. */
static bool is_drawn(const char *svg) {
    return !strstr(svg, "nan") && !strstr(svg, "inf");
}

TEST(charts_have_gaps_and_end) {
    const double x[] = {1, 2, 3, 4, 5}, gap[] = {1, 2, NAN, 4, 5},
                 none[] = {NAN, NAN, NAN, NAN, NAN};
    nnclr_chart_line line = {.x = x, .value = gap, .count = 5, .name = "gap", .class = "first"};
    const nnclr_chart_line nothing = {x, none, false, 5, "none", "first"};
    nnclr_markup m = {0};
    CHECK(nnclr_chart_lines(&m, "a<b", &line, 1, true));
    CHECK(strstr(text_of(&m), "aria-label=\"a&lt;b\""));
    const char *path = strstr(text_of(&m), "class=\"first\" d=\"");
    CHECK(path && count_of(path, "M") == 2 && count_of(path, "L") == 2);
    /* the axis goes from 0 to 6 over the height between the margins, 166 to 10 */
    CHECK(strstr(path, "M44.0 140.0L120.0 114.0"));
    CHECK(strstr(path, "L348.0 36.0"));
    CHECK(!nnclr_chart_lines(&m, "", &nothing, 1, true));
    nnclr_buffer_free(&m.out);

    /* A sparse line has no gaps; another one begins where its own x does. */
    nnclr_markup s = {0};
    nnclr_chart_line both[] = {line, {x + 3, gap + 3, false, 2, "late", "second"}};
    both[0].sparse = true;
    CHECK(nnclr_chart_lines(&s, "", both, 2, true));
    path = strstr(text_of(&s), "class=\"first\" d=\"");
    CHECK(path && count_of(path, "M") == 1 && count_of(path, "L") == 3);
    CHECK(strstr(text_of(&s), "class=\"second\" d=\"M272.0 62.0L348.0 36.0\""));
    nnclr_buffer_free(&s.out);

    const double extreme[][2] = {{1e300, -1e300}, {1e20, 1e20 + 65536}, {5, 5},
                                 {0, 0},          {1e-300, 2e-300},     {5e-324, 5e-324},
                                 {DBL_MAX, 1},    {1, INFINITY},        {-INFINITY, 1e-323},
                                 {1e300, 1e300}};
    for (size_t i = 0; i < sizeof extreme / sizeof *extreme; i++) {
        const nnclr_chart_line two = {x, extreme[i], false, 2, "two", "first"};
        nnclr_markup one = {0};
        CHECK(nnclr_chart_lines(&one, "", &two, 1, i % 2));
        CHECK(one.out.size < 3000 && is_drawn(text_of(&one)));
        nnclr_buffer_free(&one.out);
        /* The same along the other axis, if all of it can be. */
        nnclr_markup other = {0};
        const double values[] = {1, 2};
        const nnclr_chart_line along = {extreme[i], values, false, 2, "along", "first"};
        CHECK(nnclr_chart_lines(&other, "", &along, 1, false));
        CHECK(other.out.size < 3000 && is_drawn(text_of(&other)));
        nnclr_buffer_free(&other.out);
    }
    const int64_t bars[] = {0, 3, INT64_C(1) << 60};
    nnclr_markup b = {0};
    nnclr_chart_bars(&b, "bars", bars, 3, 10);
    CHECK(count_of(text_of(&b), "<rect") == 3);
    CHECK(strstr(text_of(&b), "<title>10 to 19 steps: 3 rows</title>"));
    nnclr_buffer_free(&b.out);
}

TEST(history_is_thinned) {
    static nnclr_history h;
    nnclr_buffer text = {0};
    for (int step = 1; step <= 1000; step++)
        CHECK_OK(nnclr_buffer_printf(&text, &e,
                                     "{\"step\":%d,\"loss\":%d.5,\"nn_acc\":%s,"
                                     "\"nn_agree\":0.5,\"z_rank\":8,\"h_rank\":16}\n",
                                     step, step, step <= 500 ? "null" : "0.25"));
    CHECK_OK(nnclr_buffer_printf(&text, &e, "{\"step\":1001,\"los"));
    scratch_write(scratch("m"), text.data, text.size);
    CHECK_OK(nnclr_history_read(scratch("m"), &h, &e));
    CHECK(h.lines == 1000 && h.count == 125 && h.last_step == 1000);
    CHECK_NEAR(h.step[0], 4.5, 1e-12); /* of 1 to 8 */
    CHECK_NEAR(h.value[NNCLR_CURVE_LOSS][124], 997, 1e-12);
    CHECK(isnan(h.value[NNCLR_CURVE_ACC][61]) && isnan(h.value[NNCLR_CURVE_AGE][0]));
    CHECK_NEAR(h.value[NNCLR_CURVE_ACC][62], 0.25, 1e-12); /* known in half of its lines */
    CHECK(h.value[NNCLR_CURVE_AGREE][7] == 0.5 && h.value[NNCLR_CURVE_Z_RANK][7] == 8 &&
          h.value[NNCLR_CURVE_H_RANK][7] == 16);
    nnclr_buffer_free(&text);

    /* A probe's line goes with the step after it, at last alone. */
    static const char probed[] = "{\"step\":0,\"probe_top1\":0.5}\n{\"step\":1,\"loss\":4}\n"
                                 "{\"step\":1,\"probe_top1\":0.25}\n{\"step\":2,\"loss\":3}\n"
                                 "{\"step\":2,\"probe_top1\":0.75}\n";
    scratch_write(scratch("m"), probed, sizeof probed - 1);
    CHECK_OK(nnclr_history_read(scratch("m"), &h, &e));
    CHECK(h.count == 3 && h.step[0] == 1 && h.step[1] == 2 && h.step[2] == 2);
    CHECK(h.value[NNCLR_CURVE_LOSS][0] == 4 && h.value[NNCLR_CURVE_LOSS][1] == 3);
    CHECK(h.value[NNCLR_CURVE_PROBE][0] == 0.5 && h.value[NNCLR_CURVE_PROBE][1] == 0.25);
    CHECK(nnclr_history_last(&h, NNCLR_CURVE_LOSS) == 3);
    CHECK(nnclr_history_last(&h, NNCLR_CURVE_PROBE) == 0.75);
    CHECK(isnan(nnclr_history_last(&h, NNCLR_CURVE_TEST)));

    scratch_write(scratch("m"), "", 0);
    CHECK_OK(nnclr_history_read(scratch("m"), &h, &e) && h.count == 0);
}

/* Lines come while a run goes on: what is read in pieces is what is read at once, and nothing is
 * read twice. */
TEST(history_catches_up) {
    static nnclr_history h, whole;
    nnclr_buffer text = {0};
    for (int step = 1; step <= 700; step++)
        CHECK_OK(nnclr_buffer_printf(&text, &e, "{\"step\":%d,\"loss\":%d}\n%s", step, step % 7,
                                     step % 50 ? "" : "{\"step\":0}x\n"));
    scratch_write(scratch("m"), "", 0);
    nnclr_metrics_reader *reader = nnclr_metrics_open(scratch("m"), &e);
    CHECK(reader != NULL);
    FILE *file = fopen(scratch("m"), "a");
    h = (nnclr_history){0};
    for (size_t at = 0, piece = 1; at < text.size; at += piece, piece = piece * 3 % 1009) {
        piece = nnclr_min(piece, text.size - at);
        CHECK(fwrite(text.data + at, 1, piece, file) == piece && fflush(file) == 0);
        CHECK_OK(nnclr_history_catch_up(&h, reader, &e));
        CHECK(!nnclr_metrics_replaced(reader));
    }
    CHECK_OK(nnclr_history_read(scratch("m"), &whole, &e));
    CHECK(h.lines == 714 && h.damaged == 14 && h.count == 175 && h.last_step == 700);
    CHECK(memcmp(&h.step, &whole.step, sizeof h.step) == 0);
    CHECK(memcmp(&h.sums, &whole.sums, sizeof h.sums) == 0);
    CHECK(fclose(file) == 0);

    /* A line that is too long is one that is left out, whatever it ends in. */
    static char filler[3 << 19];
    memset(filler, 'x', sizeof filler - 1);
    static const char after[] = "{\"step\":1,\"loss\":1}";
    text.size = 0;
    CHECK_OK(nnclr_buffer_printf(&text, &e, "%s%s\n%s\n", filler, after, after));
    CHECK(remove(scratch("m")) == 0);
    scratch_write(scratch("m"), text.data, text.size);
    CHECK_OK(nnclr_history_read(scratch("m"), &whole, &e));
    CHECK(whole.lines == 2 && whole.damaged == 1 && whole.count == 1);

    /* Another file under the name, and one that was cut. */
    CHECK(nnclr_metrics_replaced(reader));
    nnclr_metrics_close(reader);
    reader = nnclr_metrics_open(scratch("m"), &e);
    CHECK_OK(reader && nnclr_history_catch_up(&h, reader, &e));
    CHECK(!nnclr_metrics_replaced(reader));
    CHECK(truncate(scratch("m"), 5) == 0 && nnclr_metrics_replaced(reader));
    nnclr_metrics_close(reader);
    nnclr_buffer_free(&text);
}

/* The text without colours. */
static char *plain_of(nnclr_buffer *text) {
    size_t used = 0;
    bool color = false;
    CHECK_OK(nnclr_buffer_append(text, "", 1, &e));
    for (const char *c = (char *)text->data; *c; c++) {
        color = color || *c == '\x1b';
        if (!color)
            text->data[used++] = (unsigned char)*c;
        color = color && *c != 'm';
    }
    text->data[used] = '\0';
    return (char *)text->data;
}

/* Characters of each line, which are all as wide; 0: they are not. */
static int width_of(const char *text, int *lines) {
    int width = -1;
    for (*lines = 0; *text; text++, ++*lines) {
        int columns = 0;
        for (; *text != '\n'; text++)
            columns += ((unsigned char)*text & 0xC0) != 0x80;
        if (width >= 0 && columns != width)
            return 0;
        width = columns;
    }
    return width;
}

static void add_text_line(nnclr_history *h, const char *text) {
    nnclr_json *line = nnclr_json_parse(text, strlen(text), "line", &e);
    double step = 0;
    CHECK_OK(line && nnclr_json_get_real(line, "step", &step, &e));
    nnclr_history_add(h, line, step);
    nnclr_json_free(line);
}

TEST(curves_are_drawn_in_dots) {
    static nnclr_history h, other;
    nnclr_buffer text = {0};
    int lines;
    h = other = (nnclr_history){0};
    const nnclr_curve_run runs[] = {{"a\n", &h}, {"b", &other}};
    const nnclr_curve_run one = {NULL, &h};
    CHECK_OK(nnclr_curves_text(&one, 1, 80, 0, &text, &e) && text.size == 0); /* nothing yet */

    add_text_line(&h, "{\"step\":10,\"loss\":0}");
    add_text_line(&h, "{\"step\":20,\"loss\":4}");
    CHECK_OK(nnclr_curves_text(&one, 1, 38, 0, &text, &e));
    CHECK(strstr((char *)text.data, "\x1b[1mLoss\x1b[0m") &&
          strstr((char *)text.data, "\x1b[36mloss 4 "));
    const char *plain = plain_of(&text);
    CHECK(width_of(plain, &lines) == 38 && lines == 8);

    /* A straight line from corner to corner. Unicode numbers the dots of a character 1, 2, 3, 7 and
     * 4, 5, 6, 8 from above. */
    enum { WIDTH = 36, HEIGHT = 5 };
    static const int dot[2][4] = {{1, 2, 3, 7}, {4, 5, 6, 8}};
    unsigned wanted[HEIGHT][WIDTH] = {0};
    for (int x = 0; x < 2 * WIDTH; x++) {
        const int y = 4 * HEIGHT - 1 - (int)floor(x * 19 / 71.0 + 0.5);
        wanted[y / 4][x / 2] |= 1u << (dot[x % 2][y % 4] - 1);
    }
    for (int line = 0; line < 2; line++)
        plain = strchr(plain, '\n') + 1;
    for (int line = 0; line < HEIGHT; line++) {
        CHECK(plain[0] == (line == 0 ? '4' : line == HEIGHT - 1 ? '0' : ' ') && plain[1] == ' ');
        plain += 2;
        for (int x = 0; x < WIDTH; x++) {
            const size_t size = wanted[line][x] ? 3 : 1;
            CHECK(nnclr_utf8_length(plain, size) == size);
            CHECK(nnclr_code_point(plain, size) ==
                  (wanted[line][x] ? 0x2800 + wanted[line][x] : ' '));
            plain += size;
        }
        CHECK(*plain++ == '\n');
    }
    CHECK_TEXT(plain, "  10                                20\n");

    /* Several runs have a line each, colours, and dashes for what is second. */
    add_text_line(&other, "{\"step\":10,\"loss\":2,\"nn_acc\":0.5,\"nn_chance\":0.1}");
    add_text_line(&other, "{\"step\":20,\"loss\":2,\"nn_acc\":0.5,\"nn_chance\":0.1}");
    text.size = 0;
    CHECK_OK(nnclr_curves_text(runs, 2, 80, 0, &text, &e));
    CHECK(strstr((char *)text.data, "\x1b[36ma\\n\x1b[0m ") &&
          strstr((char *)text.data, "\x1b[33mb\x1b[0m "));
    plain = plain_of(&text);
    CHECK(strstr(plain, "4 2  ") && strstr(plain, "0.5  dashed: chance"));
    CHECK(count_of(plain, "\u2801\u2808") == 0 && count_of(plain, "\u2809 \u2809 \u2809") > 0);
    while (strncmp(plain, "Loss", 4) != 0)
        plain = strchr(plain, '\n') + 1;
    CHECK(width_of(plain, &lines) == 80);

    /* Fewer lines make lower charts, and then fewer, of which one is always there. */
    for (int most = 1; most < 30; most++) {
        text.size = 0;
        CHECK_OK(nnclr_curves_text(&runs[1], 1, 79, most, &text, &e));
        CHECK(count_of((char *)text.data, "\n") <= nnclr_max(most, 7));
    }
    nnclr_buffer_free(&text);
}

/* It costs only itself: the others' curves are drawn. */
TEST(a_damaged_line_is_left_out) {
    static const char *const damaged[] = {"[1]",
                                          "{\"loss\":1}",
                                          "",
                                          "x",
                                          "{\"step\":-1,\"loss\":9}",
                                          "{\"step\":1e308,\"loss\":9}",
                                          "{\"step\":9223372036854775807,\"loss\":9}"};
    static nnclr_history h;
    for (size_t i = 0; i < 3 * sizeof damaged / sizeof *damaged; i++) {
        const char *lines[] = {"{\"step\":1,\"loss\":4}", "{\"step\":2,\"loss\":3}", NULL};
        const char *bad = damaged[i / 3];
        nnclr_buffer text = {0};
        for (size_t at = 0; at < 3; at++) /* the damaged one at each place */
            CHECK_OK(nnclr_buffer_printf(&text, &e, "%s\n",
                                         at == i % 3 ? bad : lines[at - (at > i % 3)]));
        scratch_write(scratch("m"), text.data, text.size);
        CHECK_OK(nnclr_history_read(scratch("m"), &h, &e));
        CHECK(h.lines == 3 && h.damaged == 1 && h.count == 2 && h.last_step == 2);
        CHECK(h.step[0] == 1 && h.value[NNCLR_CURVE_LOSS][1] == 3);
        nnclr_buffer_free(&text);
    }
    scratch_write(scratch("m"), "x\n", 2);
    CHECK_OK(nnclr_history_read(scratch("m"), &h, &e) && h.count == 0 && h.damaged == 1);
    static char huge[NNCLR_HISTORY_POINTS * 60]; /* two lines per point: their sum is not finite */
    size_t used = 0;
    for (int i = 0; i < NNCLR_HISTORY_POINTS + 2; i++)
        used += (size_t)sprintf(huge + used, "{\"step\":%d,\"loss\":1.7e308}\n", i);
    scratch_write(scratch("m"), huge, used);
    CHECK_OK(nnclr_history_read(scratch("m"), &h, &e) && isnan(h.value[NNCLR_CURVE_LOSS][0]));
}

TEST(long_text_is_whole) {
    char text[5000];
    nnclr_markup m = {0};
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    nnclr_markup_printf(&m, "<b>%s</b>", text);
    CHECK(!m.failed && m.out.size == sizeof text - 1 + 7 && strstr(text_of(&m), "a</b>"));
    nnclr_buffer_free(&m.out);
}

TEST(half_blocks_show_two_pixels_each) {
    uint8_t pixels[] = {1, 2, 3, 1,  2, 3, 4,  5, 6, /* row 0 */
                        7, 8, 9, 10, 0, 0, 10, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    const nnclr_image image = {.width = 3, .height = 3, .pixels = pixels};
    nnclr_buffer out = {0};
    CHECK(nnclr_half_block_lines(&image) == 2);
    CHECK_OK(nnclr_half_blocks(&image, 0, &out, &e));
    CHECK_TEXT((const char *)out.data,
               "\x1b[38;2;1;2;3m\x1b[48;2;7;8;9m\xE2\x96\x80\x1b[48;2;10;0;0m\xE2\x96\x80"
               "\x1b[38;2;4;5;6m\xE2\x96\x80\x1b[0m");
    out.size = 0;
    CHECK_OK(nnclr_half_blocks(&image, 1, &out, &e));
    CHECK_TEXT((const char *)out.data,
               "\x1b[38;2;255;255;255m\xE2\x96\x80\xE2\x96\x80\xE2\x96\x80\x1b[0m");
    nnclr_buffer_free(&out);
}

TEST(shrinking_keeps_the_aspect) {
    static const int sizes[][5] = {
        {500, 375, 96, 96, 72}, {3, 400, 20, 1, 20}, {32, 32, 18, 18, 18}};
    for (int i = 0; i < 3; i++) {
        nnclr_image from = {0}, to = {0};
        CHECK_OK(nnclr_image_create(&from, sizes[i][0], sizes[i][1], &e));
        memset(from.pixels, 77, 3 * (size_t)from.width * (size_t)from.height);
        CHECK_OK(nnclr_shrink(&from, sizes[i][2], &to, &e));
        CHECK(to.width == sizes[i][3] && to.height == sizes[i][4]);
        CHECK(to.pixels[0] == 77 && to.pixels[3 * to.width * to.height - 1] == 77);
        nnclr_image_free(&from);
        nnclr_image_free(&to);
    }
}

int main(void) {
    return check_all();
}
