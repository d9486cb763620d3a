/* What is drawn for a view, against the distributions that define it, and against the crops that
 * torchvision draws (tests/reference/make_image_fixtures.py). Seeds are fixed, so nothing here
 * fails by chance; bounds are those of a test at the 0.1 % level. */
#include "image/augment.h"

#include "tests/unit/byol_augment.h"
#include "tests/unit/check.h"
#include "tests/unit/statistics.h"
#include "train/config.h"

enum { DRAWS = 20000 };

/* ---- crops ---- */

/* A picture so large that rounding to pixels does not show. */
enum { HUGE_SIDE = 40000 };

static nnclr_view_parameters draw(const nnclr_augment *augment, int record, int view) {
    return nnclr_augment_draw(augment, HUGE_SIDE, HUGE_SIDE, 5, 3, (uint64_t)record, view);
}

/* With areas up to a half and aspects up to 4/3 every draw fits, so that nothing is rejected. */
TEST(crops_are_uniform) {
    static double area[DRAWS], aspect[DRAWS], left[DRAWS], top[DRAWS];
    nnclr_augment augment = byol_augment_varied(16);
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

/* Areas up to the whole: what does not fit is drawn again, which favours small and square boxes.
 * Against the definition, simulated with another generator. */
TEST(crops_that_do_not_fit_are_drawn_again) {
    static double area[DRAWS], aspect[DRAWS], must_area[DRAWS], must_aspect[DRAWS];
    nnclr_augment augment = byol_augment_varied(16);
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
TEST(small_offsets_are_uniform) {
    nnclr_augment augment = byol_augment_varied(16);
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
        const double even = DRAWS / 5.0, must[5] = {even, even, even, even, even};
        double chi2 = chi_square(count[axis], must, 5);
        CHECK_SAYS(chi2 < chi_square_bound(4), "chi-square %g on 4 degrees of freedom", chi2);
    }
}

TEST(crops_lie_inside) {
    nnclr_augment augment = byol_augment_varied(16);
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
TEST(extreme_pictures_get_the_central_crop) {
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
    nnclr_augment augment = byol_augment_varied(16);
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

/* ---- torchvision's crops ---- */

enum { BINS = 13 };

static const struct {
    int width, height;
    double area_low;
    struct {
        int bins, from[BINS], count[BINS];
    } of[4]; /* width, height, left, top */
} drawn[] = {
#include "tests/reference/image_drawn.inc"
};

static int bin_of(const int *from, int bins, double value) {
    int bin = bins - 1;
    while (bin > 0 && value < from[bin])
        bin--;
    return bin;
}

/* Two samples, of n and m values in the same bins: how far they are from having one distribution,
 * as chi-square with one degree of freedom fewer than there are bins. */
static double two_sample_chi_square(const double *a, double n, const int *b, double m, int bins) {
    double sum = 0;
    for (int k = 0; k < bins; k++)
        if (a[k] + b[k] > 0)
            sum += pow(sqrt(m / n) * a[k] - sqrt(n / m) * b[k], 2) / (a[k] + b[k]);
    return sum;
}

/* Whole pixels, rejection, ten draws and the central fallback: all that shapes the crops of real
 * and of odd pictures. */
TEST(crops_are_distributed_as_torchvisions) {
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++) {
        double count[4][BINS] = {{0}};
        nnclr_augment augment = byol_augment_varied(16);
        augment.area_low = drawn[i].area_low;
        augment.area_high = 1;
        for (int record = 0; record < DRAWS; record++) {
            nnclr_box crop = nnclr_augment_draw(&augment, drawn[i].width, drawn[i].height, 11, 0,
                                                (uint64_t)record, record % 2)
                                 .crop;
            const double values[4] = {crop.width, crop.height, crop.left, crop.top};
            for (int k = 0; k < 4; k++)
                count[k][bin_of(drawn[i].of[k].from, drawn[i].of[k].bins, values[k])]++;
        }
        for (int k = 0; k < 4; k++) {
            int bins = drawn[i].of[k].bins, used = 0;
            double total = 0;
            for (int bin = 0; bin < bins; bin++) {
                total += drawn[i].of[k].count[bin];
                used += drawn[i].of[k].count[bin] > 0;
            }
            double chi2 = two_sample_chi_square(count[k], DRAWS, drawn[i].of[k].count, total, bins);
            CHECK_SAYS(used < 2 ? chi2 == 0 : chi2 < chi_square_bound(used - 1),
                       "%d x %d, number %d: chi-square %g of %d cells", drawn[i].width,
                       drawn[i].height, k, chi2, used);
        }
    }
}

/* ---- choices and strengths ---- */

static void check_share(const char *what, int count, double probability) {
    double slack = 3.3 * sqrt(DRAWS * probability * (1 - probability));
    CHECK_SAYS(fabs(count - DRAWS * probability) <= slack, "%s: %d of %d at probability %g", what,
               count, DRAWS, probability);
}

TEST(probabilities_hold) {
    nnclr_augment augment = byol_augment_varied(16);
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

TEST(none_and_always_are_exact) {
    nnclr_augment never = byol_augment_varied(16), always = never;
    never.flip = never.jitter = never.gray = never.blur[0] = never.solarize[0] = 0;
    always.flip = always.jitter = always.gray = always.blur[0] = always.solarize[0] = 1;
    for (int i = 0; i < DRAWS; i++) {
        nnclr_view_parameters p = draw(&never, i, 0);
        CHECK(!p.flip && !p.jitter && !p.gray && !p.blur && !p.solarize);
        p = draw(&always, i, 0);
        CHECK(p.flip && p.jitter && p.gray && p.blur && p.solarize);
    }
}

TEST(strengths_are_uniform) {
    static double values[5][DRAWS];
    nnclr_augment augment = byol_augment_varied(16);
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

TEST(every_order_is_as_likely) {
    double count[256] = {0}, must[256] = {0};
    int orders = 0;
    nnclr_augment augment = byol_augment_varied(16);
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
        must[code] = DRAWS / 24.0;
    }
    for (int code = 0; code < 256; code++)
        orders += count[code] > 0;
    CHECK(orders == 24);
    double chi2 = chi_square(count, must, 256);
    CHECK_SAYS(chi2 < chi_square_bound(23), "chi-square %g on 23 degrees of freedom", chi2);
}

/* Flip, jitter, gray, blur and solarise of a view do not depend on one another, nor on those of the
 * other view: all 2^5 combinations of one, and the pairs across. */
TEST(choices_are_independent) {
    nnclr_augment augment = byol_augment_varied(16);
    const double p[2][5] = {
        {augment.flip, augment.jitter, augment.gray, augment.blur[0], augment.solarize[0]},
        {augment.flip, augment.jitter, augment.gray, augment.blur[1], augment.solarize[1]}};
    static double count[2][32], must[2][32], both[5][5][4], must_both[5][5][4];
    for (int i = 0; i < DRAWS; i++) {
        int bits[2] = {0};
        for (int view = 0; view < 2; view++) {
            nnclr_view_parameters q = draw(&augment, i, view);
            bits[view] = q.flip | q.jitter << 1 | q.gray << 2 | q.blur << 3 | q.solarize << 4;
            count[view][bits[view]]++;
        }
        for (int a = 0; a < 5; a++)
            for (int b = 0; b < 5; b++)
                both[a][b][(bits[0] >> a & 1) * 2 + (bits[1] >> b & 1)]++;
    }
    for (int view = 0; view < 2; view++) {
        for (int cell = 0; cell < 32; cell++) {
            must[view][cell] = DRAWS;
            for (int k = 0; k < 5; k++)
                must[view][cell] *= cell >> k & 1 ? p[view][k] : 1 - p[view][k];
        }
        double chi2 = chi_square(count[view], must[view], 32);
        CHECK_SAYS(chi2 < chi_square_bound(31), "view %d: chi-square %g", view, chi2);
    }
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < 5; b++) {
            for (int cell = 0; cell < 4; cell++)
                must_both[a][b][cell] =
                    DRAWS * (cell / 2 ? p[0][a] : 1 - p[0][a]) * (cell % 2 ? p[1][b] : 1 - p[1][b]);
            double chi2 = chi_square(both[a][b], must_both[a][b], 4);
            CHECK_SAYS(chi2 < chi_square_bound(3), "choices %d and %d: chi-square %g", a, b, chi2);
        }
}

/* ---- the ready-made augmentations ---- */

/* BYOL's two pipelines and SimCLR's one, as published; no random numbers if there is nothing
 * random. */
TEST(ready_made_augmentations) {
    static const struct {
        nnclr_augment_choice choice;
        double flip, jitter, gray, blur[2], solarize[2], strength[4], area_low;
    } rows[] = {
        {NNCLR_AUGMENT_BYOL, 0.5, 0.8, 0.2, {1, 0.1}, {0, 0.2}, {0.4, 0.4, 0.2, 0.1}, 0.08},
        {NNCLR_AUGMENT_SIMCLR, 0.5, 0.8, 0.2, {0.5, 0.5}, {0, 0}, {0.8, 0.8, 0.8, 0.2}, 0.08},
        {NNCLR_AUGMENT_CROP, 0, 0, 0, {0, 0}, {0, 0}, {0, 0, 0, 0}, 0.08},
        {NNCLR_AUGMENT_NONE, 0, 0, 0, {0, 0}, {0, 0}, {0, 0, 0, 0}, 1},
    };
    static double values[5][DRAWS];
    nnclr_config config = nnclr_config_preset(NNCLR_PRESET_IMAGENET);
    for (int i = 0; i < 4; i++) {
        nnclr_config_augment(&config, rows[i].choice);
        for (int view = 0; view < 2; view++) {
            int flip = 0, jitter = 0, gray = 0, blur = 0, solarize = 0;
            double smallest = 1, largest = 0;
            for (int k = 0; k < DRAWS; k++) {
                nnclr_view_parameters p = draw(&config.augment, k, view);
                double share = p.crop.width / HUGE_SIDE * p.crop.height / HUGE_SIDE;
                flip += p.flip, jitter += p.jitter, gray += p.gray;
                blur += p.blur, solarize += p.solarize;
                smallest = fmin(smallest, share);
                largest = fmax(largest, share);
                for (int f = 0; f < 4; f++)
                    values[f][k] = p.factor[f];
                values[4][k] = p.sigma;
            }
            check_share("flip", flip, rows[i].flip);
            check_share("jitter", jitter, rows[i].jitter);
            check_share("gray", gray, rows[i].gray);
            check_share("blur", blur, rows[i].blur[view]);
            check_share("solarize", solarize, rows[i].solarize[view]);
            CHECK_NEAR(smallest, rows[i].area_low, 1e-3);
            CHECK(largest > 0.99);
            for (int f = 0; f < 4; f++) {
                double middle = f < 3, s = rows[i].strength[f];
                if (s > 0)
                    CHECK(uniform_statistic(values[f], DRAWS, middle - s, middle + s) < 1.95);
                else
                    CHECK(uniform_statistic(values[f], DRAWS, middle - 1, middle + 1) > 1.95);
            }
            CHECK(uniform_statistic(values[4], DRAWS, 0.1, 2) < 1.95);
        }
    }
}

/* ---- what a draw depends on ---- */

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

static const struct {
    nnclr_jitter operators;
    uint64_t record;
    int view;
    struct {
        int width, height, size;
        nnclr_filter filter;
        nnclr_view_parameters parameters;
    } of;
} golden[] = {
#include "tests/reference/augment_draws.inc"
};

/* Drawn in Python (tests/reference/augment_tf.py), number by number: the next version must draw
 * what one version draws, or a run that is resumed would see other views. */
TEST(draws_stay_what_they_are) {
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        nnclr_augment augment = byol_augment_varied(16);
        augment.operators = golden[i].operators;
        augment.area_high = 1;
        const nnclr_view_parameters *must = &golden[i].of.parameters;
        nnclr_view_parameters p =
            nnclr_augment_draw(&augment, golden[i].of.width, golden[i].of.height, 0x123456789AB, 3,
                               golden[i].record, golden[i].view);
        CHECK(same_box(p.crop, must->crop) && same_choices(&p, must));
        CHECK(memcmp(p.order, must->order, sizeof p.order) == 0);
        for (int k = 0; k < 4; k++)
            CHECK_NEAR(p.factor[k], must->factor[k], 1e-9);
        CHECK_NEAR(p.sigma, must->sigma, 1e-9);
    }
}

/* A view is a function of seed, epoch, record and view, and each of them matters. */
TEST(draws_depend_on_all_that_names_them) {
    nnclr_augment augment = byol_augment_varied(16);
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

TEST(the_views_are_independent) {
    static double a[DRAWS], b[DRAWS];
    nnclr_augment augment = byol_augment_varied(16);
    for (int i = 0; i < DRAWS; i++) {
        a[i] = draw(&augment, i, 0).crop.left;
        b[i] = draw(&augment, i, 1).crop.left;
    }
    CHECK(fabs(correlation(a, b, DRAWS)) < 3.3 / sqrt(DRAWS));
}

/* Changing one probability or range leaves every other draw as it was. */
TEST(probabilities_do_not_shift_draws) {
    nnclr_augment augment = byol_augment_varied(16), changed = augment;
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

int main(void) {
    return check_all();
}
