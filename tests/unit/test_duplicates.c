/* Copies of pictures: by their bytes, and near copies against a plain search by the definition,
 * whatever the blocks and threads; with pixels, mirrored pixels, features that are all alike, and
 * what was planted among them. */
#include "tests/unit/check.h"

#include "base/rng.h"
#include "eval/duplicates.h"

static nnclr_error e; /* of the call that is checked */

enum { N = 300, SIDE = 6, D = 3 * SIDE * SIDE };

typedef struct fixture {
    nnclr_pool *pool;
    nnclr_row_set set, test;
    float rows[N * D], test_rows[N * D];
    int64_t record[N], label[N], bytes[N], crc32[N], test_crc32[N];
    nnclr_duplicate_report report;
} fixture;

static fixture f;

static double draw(uint64_t seed, int row, int c) {
    nnclr_rng rng = nnclr_rng_at(seed, NNCLR_DRAW_SAMPLE, 0, (uint64_t)row, (uint32_t)c);
    return nnclr_rng_uniform(&rng, -1, 1);
}

/* Pixels less their mean, or features that share most of what they are. */
static void fill(float *rows, uint64_t seed, bool pixels) {
    for (int i = 0; i < N; i++)
        for (int c = 0; c < D; c++)
            rows[i * D + c] =
                (float)(pixels ? draw(seed, i, c) : 5 + draw(99, 0, c) + 0.1 * draw(seed, i, c));
}

static void start(int threads, bool pixels) {
    memset(&f, 0, sizeof f);
    f.pool = nnclr_pool_create(threads, &e);
    CHECK_OK(f.pool);
    fill(f.rows, 1, pixels);
    fill(f.test_rows, 2, pixels);
    for (int i = 0; i < N; i++) {
        f.record[i] = i;
        f.bytes[i] = 1000;
        f.crc32[i] = 50 + i;
        f.test_crc32[i] = 5000 + i;
    }
    f.set = (nnclr_row_set){.rows = nnclr_rows_in_memory(f.rows, N, D),
                            .record = f.record,
                            .label = f.label,
                            .bytes = f.bytes,
                            .crc32 = f.crc32,
                            .pixels = pixels ? SIDE : 0,
                            .newest = -1};
    f.test = f.set;
    f.test.rows = nnclr_rows_in_memory(f.test_rows, N, D);
    f.test.crc32 = f.test_crc32;
}

static void stop(void) {
    nnclr_duplicate_report_free(&f.report);
    nnclr_pool_free(f.pool);
}

static void find(double threshold) {
    const nnclr_copy_options options = {.threshold = threshold};
    nnclr_duplicate_report_free(&f.report);
    CHECK_OK(nnclr_report_duplicates(f.pool, &f.set, &options, &f.report, &e));
}

/* Row `to` becomes row `from`, a little longer and `off` by noise. */
static void copy_row(float *to, const float *from, bool mirrored, double off) {
    for (int c = 0; c < D; c++) {
        const int x = c / 3 % SIDE, source = mirrored ? c + 3 * (SIDE - 1 - 2 * x) : c;
        to[c] = (float)(1.3 * from[source] + off * draw(7, 0, c));
    }
}

static bool is(size_t at, int64_t group, int64_t row, int64_t twin, nnclr_sameness same) {
    const nnclr_duplicate *one = &f.report.rows[at];
    return at < f.report.count && one->group == group && one->row == row && one->twin.row == twin &&
           one->same == same;
}

TEST(bytes_are_a_fact) {
    start(2, true);
    /* Rows of zeros are near nothing, but may be the same bytes. */
    for (int i = 10; i < 20; i++)
        memset(f.rows + i * D, 0, D * sizeof *f.rows);
    f.crc32[12] = f.crc32[17] = f.crc32[10];
    /* Equal size and checksum by chance: the rows differ. */
    f.crc32[101] = f.crc32[100];
    /* The same bytes among near copies: the first of them stands for them all. */
    memcpy(f.rows + 5 * D, f.rows + 2 * D, D * sizeof *f.rows);
    f.crc32[5] = f.crc32[2];
    copy_row(f.rows + 200 * D, f.rows + 2 * D, false, 0.01);
    find(0.99);
    CHECK(f.report.bytes_known && f.report.byte_groups == 2 && f.report.same_bytes == 5);
    CHECK(is(0, 0, 2, 5, NNCLR_SAME_BYTES) && is(1, 0, 5, 2, NNCLR_SAME_BYTES));
    CHECK(is(2, 1, 10, 12, NNCLR_SAME_BYTES) && is(3, 1, 12, 10, NNCLR_SAME_BYTES));
    CHECK(is(4, 1, 17, 10, NNCLR_SAME_BYTES) && f.report.rows[4].twin.cosine == 1);
    CHECK(is(5, 2, 2, 200, NNCLR_SAME_NEAR) && is(6, 2, 200, 2, NNCLR_SAME_NEAR));
    CHECK(f.report.count == 7 && f.report.groups == 3);
    CHECK(f.report.surplus == 4); /* without labels all but the first of each group */
    for (size_t i = 0; i < f.report.count; i++)
        CHECK(f.report.rows[i].surplus ==
              (f.report.rows[i].row != 2 && f.report.rows[i].row != 10));
    f.set.bytes = NULL; /* an older file */
    find(0.99);
    CHECK(!f.report.bytes_known && f.report.byte_groups == 0);
    CHECK(is(0, 0, 2, 5, NNCLR_SAME_NEAR) && f.report.count == 3);
    stop();
}

TEST(flat_pictures_are_near_nothing) {
    start(1, true);
    for (int i = 0; i < 40; i++) /* each of a single colour, brighter and brighter */
        for (int c = 0; c < D; c++)
            f.rows[i * D + c] = (float)(0.01 * (i + 1)) * (c % 3 == 0 ? 2.0F : -1.0F);
    find(0.99);
    CHECK(f.report.count == 0);
    stop();
}

TEST(near_and_mirrored_copies_are_told_apart) {
    start(2, true);
    copy_row(f.rows + 250 * D, f.rows + 3 * D, false, 0.05);
    copy_row(f.rows + 251 * D, f.rows + 3 * D, true, 0.01);
    copy_row(f.rows + 40 * D, f.rows + 30 * D, true, 0.001);
    find(0.99);
    CHECK(f.report.groups == 2 && f.report.count == 5);
    /* The nearest first; the leader's twin is the member nearest to it. */
    CHECK(is(0, 0, 30, 40, NNCLR_SAME_MIRRORED) && is(1, 0, 40, 30, NNCLR_SAME_MIRRORED));
    CHECK(is(2, 1, 3, 251, NNCLR_SAME_MIRRORED) && is(3, 1, 251, 3, NNCLR_SAME_MIRRORED));
    CHECK(is(4, 1, 250, 3, NNCLR_SAME_NEAR));
    CHECK(f.report.rows[0].twin.cosine > f.report.rows[2].twin.cosine);
    f.set.pixels = 0; /* as a network's rows they cannot be mirrored */
    find(0.99);
    CHECK(f.report.groups == 1 && is(0, 0, 3, 250, NNCLR_SAME_NEAR));
    stop();
}

/* All raw cosines are above 0.99; with the mean removed, only those of the copies are. */
TEST(features_that_are_all_alike_are_centred) {
    start(2, false);
    copy_row(f.rows + 77 * D, f.rows + 11 * D, false, 0.002);
    for (int i = 0; i < N; i++) {
        double ab = 0, aa = 0, bb = 0;
        for (int c = 0; c < D; c++) {
            ab += (double)f.rows[c] * f.rows[i * D + c];
            aa += (double)f.rows[c] * f.rows[c];
            bb += (double)f.rows[i * D + c] * f.rows[i * D + c];
        }
        CHECK(ab / sqrt(aa * bb) > 0.99);
    }
    find(0.99);
    CHECK(f.report.count == 2 && is(0, 0, 11, 77, NNCLR_SAME_NEAR));
    stop();
}

/* a - b - c, each near the next, a not near c: no group holds both a and c. */
TEST(nothing_is_chained) {
    start(1, true);
    for (int i = 0; i < 30; i++)
        for (int c = 0; c < D; c++)
            f.rows[i * D + c] =
                (float)(cos(0.1 * i) * draw(8, 0, c) + sin(0.1 * i) * draw(9, 0, c));
    find(0.98);
    CHECK(f.report.groups >= 10);
    for (size_t i = 0; i < f.report.count; i++)
        CHECK(f.report.rows[i].twin.cosine >= 0.98);
    stop();
}

/* ---- against the definition ---- */

static double definition(const float *a, const float *b, const double *mean, bool pixels) {
    double x[D], y[D], xy = 0, xx = 0, yy = 0, na = 0, nb = 0;
    for (int c = 0; c < D; c++) {
        na += (double)a[c] * a[c];
        nb += (double)b[c] * b[c];
    }
    for (int c = 0; c < D; c++) {
        x[c] = a[c] / sqrt(na) - (pixels ? 0 : mean[c]);
        y[c] = b[c] / sqrt(nb) - (pixels ? 0 : mean[c]);
    }
    for (int channel = 0; pixels && channel < 3; channel++) {
        double mx = 0, my = 0;
        for (int c = channel; c < D; c += 3) {
            mx += x[c] * 3 / D;
            my += y[c] * 3 / D;
        }
        for (int c = channel; c < D; c += 3) {
            x[c] -= mx;
            y[c] -= my;
        }
    }
    for (int c = 0; c < D; c++) {
        xy += x[c] * y[c];
        xx += x[c] * x[c];
        yy += y[c] * y[c];
    }
    return xy / sqrt(xx * yy);
}

static void mean_row(double *mean) {
    memset(mean, 0, D * sizeof *mean);
    for (int i = 0; i < N; i++) {
        double norm = 0;
        for (int c = 0; c < D; c++)
            norm += (double)f.rows[i * D + c] * f.rows[i * D + c];
        for (int c = 0; c < D; c++)
            mean[c] += f.rows[i * D + c] / sqrt(norm) / (N + 1);
    }
}

static void plain_groups(double threshold, bool pixels, nnclr_near *out) {
    double mean[D];
    float turned[D];
    mean_row(mean);
    for (int i = 0; i < N; i++)
        out[i] = (nnclr_near){.row = -1};
    for (int i = 0; i < N; i++)
        for (int j = i + 1; j < N && out[i].row < 0; j++) {
            if (out[j].row >= 0)
                continue;
            copy_row(turned, f.rows + i * D, true, 0);
            const double as_is = definition(f.rows + i * D, f.rows + j * D, mean, pixels);
            const double mirrored = pixels ? definition(turned, f.rows + j * D, mean, pixels) : -1;
            if (as_is >= threshold)
                out[j] = (nnclr_near){i, as_is, false};
            else if (mirrored >= threshold)
                out[j] = (nnclr_near){i, mirrored, true};
        }
}

/* Clusters, so that leaders, members and neither are many at a threshold far from 1. */
static void blur_into_clusters(void) {
    for (int i = 60; i < N; i++)
        copy_row(f.rows + i * D, f.rows + i % 60 * D, f.set.pixels && i % 4 == 3, 0);
    for (int i = 0; i < N; i++)
        for (int c = 0; c < D; c++)
            f.rows[i * D + c] += (float)((f.set.pixels ? 0.55 : 0.055) * draw(5, i, c));
}

TEST(agrees_with_the_definition) {
    static const int blocks[] = {0, 1, 7, 100};
    static nnclr_near expected[N], found[N];
    bool candidate[N];
    for (int i = 0; i < N; i++)
        candidate[i] = true;
    for (int pixels = 0; pixels < 2; pixels++)
        for (int threads = 1; threads <= 3; threads++) {
            int members = 0, mirrored = 0;
            start(threads, pixels);
            blur_into_clusters();
            plain_groups(0.8, pixels, expected);
            for (int b = 0; b < 4; b++) {
                const nnclr_near_options options = {.threshold = 0.8, .block = blocks[b]};
                CHECK_OK(nnclr_near_groups(f.pool, &f.set, candidate, &options, found, &e));
                for (int i = 0; i < N; i++) {
                    CHECK(found[i].row == expected[i].row);
                    CHECK(found[i].mirrored == expected[i].mirrored);
                    CHECK_NEAR(found[i].cosine, expected[i].cosine, 1e-6);
                    members += found[i].row >= 0;
                    mirrored += found[i].mirrored;
                }
            }
            CHECK_SAYS(members > 4 * 100 && members < 4 * 240 && (mirrored > 4 * 20) == pixels,
                       "%d members, %d mirrored", members / 4, mirrored / 4);
            stop();
        }
}

TEST(rows_of_one_record_are_no_copies) {
    start(2, false);
    for (int i = 0; i < 10; i++) {
        copy_row(f.rows + (20 + i) * D, f.rows + i * D, false, 0); /* seen twice */
        f.record[20 + i] = f.record[i];
        f.crc32[20 + i] = f.crc32[i];
        copy_row(f.rows + (40 + i) * D, f.rows + (60 + i) * D, false, 0); /* an initial row */
        f.record[40 + i] = -1;
    }
    find(0.99);
    CHECK(f.report.count == 0 && f.report.groups == 0);
    stop();
}

/* Row and label, in the order of the report; then whether it is surplus. */
TEST(one_picture_of_each_label_stays) {
    static const struct {
        int row, label;
        bool surplus;
    } same[] = {{10, 0, false}, {12, 1, false}, {17, 0, true}, {18, -1, false}, {19, 1, true}},
      near[] = {{2, 0, false}, {200, 1, false}, {201, 1, false}, {202, 0, true}, {203, 0, true}};
    static char zero[] = "zero", one[] = "one", *classes[] = {zero, one};
    start(2, true);
    f.set.classes = classes;
    f.set.class_count = 2;
    for (int i = 0; i < 5; i++) {
        f.label[same[i].row] = same[i].label;
        f.label[near[i].row] = near[i].label;
        memset(f.rows + same[i].row * D, 0, D * sizeof *f.rows);
        f.crc32[same[i].row] = f.crc32[10];
        if (i > 0)
            copy_row(f.rows + near[i].row * D, f.rows + 2 * D, false, 0.002 * i);
    }
    /* Two rows of one picture, in a support set: neither it nor its copy goes for that. */
    f.record[201] = f.record[200];
    f.record[203] = f.record[202];
    find(0.99);
    CHECK(f.report.count == 10 && f.report.surplus == 3);
    for (int i = 0; i < 5; i++) {
        const nnclr_duplicate *first = &f.report.rows[i], *second = &f.report.rows[5 + i];
        CHECK(first->row == same[i].row && first->surplus == same[i].surplus);
        CHECK(second->row == near[i].row && second->surplus == near[i].surplus);
    }
    stop();
}

TEST(leaks_are_found) {
    const nnclr_copy_options options = {.threshold = 0.99};
    start(2, true);
    for (int i = 0; i < 12; i++)
        copy_row(f.test_rows + (3 * i + 5) * D, f.rows + 9 * i * D, i % 2, 0.002 * (i + 1));
    memset(f.rows + 210 * D, 0, D * sizeof *f.rows);
    memset(f.test_rows + 299 * D, 0, D * sizeof *f.rows);
    memset(f.test_rows + 298 * D, 0, D * sizeof *f.rows); /* as flat, but other bytes */
    f.test_crc32[299] = f.crc32[210];
    CHECK_OK(nnclr_report_leaks(f.pool, &f.set, &f.test, &options, &f.report, &e));
    CHECK(f.report.count == 13 && f.report.same_bytes == 1 && f.report.bytes_known);
    CHECK(is(0, 0, 299, 210, NNCLR_SAME_BYTES));
    CHECK(f.report.surplus == 13);
    for (size_t i = 1; i < f.report.count; i++) {
        const int64_t which = (f.report.rows[i].row - 5) / 3;
        CHECK(
            is(i, 0, 3 * which + 5, 9 * which, which % 2 ? NNCLR_SAME_MIRRORED : NNCLR_SAME_NEAR));
        CHECK(i == 1 || f.report.rows[i].twin.cosine <= f.report.rows[i - 1].twin.cosine);
    }
    stop();
}

/* Whoever watches hears of it, and can end it. */
static bool end_at_pairs(void *context, const char *what, int64_t done, int64_t total,
                         const char *note) {
    (void)note;
    int *told = context;
    ++*told;
    CHECK(done <= total);
    return strcmp(what, "pairs") != 0;
}

TEST(the_work_can_be_ended) {
    int told = 0;
    const nnclr_progress progress = {end_at_pairs, &told};
    const nnclr_copy_options options = {.threshold = 0.99, .progress = &progress};
    start(1, false);
    CHECK_FAILS_AS(nnclr_report_duplicates(f.pool, &f.set, &options, &f.report, &e),
                   NNCLR_ERROR_STOPPED);
    CHECK(told >= 3);
    stop();
}

int main(void) {
    return check_all();
}
