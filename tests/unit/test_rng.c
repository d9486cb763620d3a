#include "base/rng.h"

#include <stdlib.h>

#include "tests/unit/check.h"

/* Known answers published with Random123 (kat_vectors, philox4x32 10). */
TEST(philox_known_answers) {
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        nnclr_philox(known[i].counter, known[i].key, out);
        CHECK(memcmp(out, known[i].out, sizeof out) == 0);
    }
}

TEST(streams_differ_by_every_coordinate) {
    nnclr_rng base = nnclr_rng_at(7, NNCLR_DRAW_AUGMENT, 3, 11, 0);
    nnclr_rng others[] = {
        nnclr_rng_at(8, NNCLR_DRAW_AUGMENT, 3, 11, 0),
        nnclr_rng_at(7, NNCLR_DRAW_ORDER, 3, 11, 0),
        nnclr_rng_at(7, NNCLR_DRAW_AUGMENT, 4, 11, 0),
        nnclr_rng_at(7, NNCLR_DRAW_AUGMENT, 3, 12, 0),
        nnclr_rng_at(7, NNCLR_DRAW_AUGMENT, 3, 11, 1),
        nnclr_rng_at(7 + (1ull << 32), NNCLR_DRAW_AUGMENT, 3, 11, 0),
        nnclr_rng_at(7, NNCLR_DRAW_AUGMENT, 3, 11 + (1ull << 32), 0),
    };
    uint32_t first = nnclr_rng_u32(&base);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(nnclr_rng_u32(&others[i]) != first);
}

TEST(floats_are_uniform) {
    enum { N = 100000, BINS = 16 };
    nnclr_rng rng = nnclr_rng_at(1, NNCLR_DRAW_SAMPLE, 0, 0, 0);
    int count[BINS] = {0};
    for (int i = 0; i < N; i++) {
        float x = nnclr_rng_float(&rng);
        CHECK(x >= 0 && x < 1);
        count[(int)(x * BINS)]++;
    }
    double chi2 = 0;
    for (int b = 0; b < BINS; b++)
        chi2 += pow(count[b] - (double)N / BINS, 2) / ((double)N / BINS);
    CHECK(chi2 < 37.7); /* 15 degrees of freedom, p = 0.001 */
}

TEST(normal_moments) {
    enum { N = 200000 };
    nnclr_rng rng = nnclr_rng_at(2, NNCLR_DRAW_QUEUE, 0, 0, 0);
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, cross = 0;
    for (int i = 0; i < N / 2; i++) {
        double z[2];
        nnclr_rng_normal2(&rng, z);
        for (int j = 0; j < 2; j++) {
            m1 += z[j] / N;
            m2 += z[j] * z[j] / N;
            m3 += pow(z[j], 3) / N;
            m4 += pow(z[j], 4) / N;
        }
        cross += z[0] * z[1] / (N / 2);
    }
    CHECK_NEAR(m1, 0, 0.012);
    CHECK_NEAR(m2, 1, 0.015);
    CHECK_NEAR(m3, 0, 0.04);
    CHECK_NEAR(m4, 3, 0.1);
    CHECK_NEAR(cross, 0, 0.015);
}

TEST(below_stays_below_and_reaches_all) {
    nnclr_rng rng = nnclr_rng_at(3, NNCLR_DRAW_SAMPLE, 0, 0, 0);
    int seen[7] = {0};
    for (int i = 0; i < 7000; i++)
        seen[nnclr_rng_below(&rng, 7)]++;
    for (int i = 0; i < 7; i++)
        CHECK(seen[i] > 850 && seen[i] < 1150);
    CHECK(nnclr_rng_below(&rng, 1) == 0);
}

TEST(permutation_is_one_and_depends_on_the_epoch) {
    enum { N = 1000 };
    static uint32_t a[N], b[N];
    static char seen[N];
    nnclr_permutation(5, NNCLR_DRAW_ORDER, 0, N, a);
    nnclr_permutation(5, NNCLR_DRAW_ORDER, 1, N, b);
    int same = 0, fixed = 0;
    for (int i = 0; i < N; i++) {
        CHECK(a[i] < N && !seen[a[i]]);
        seen[a[i]] = 1;
        same += a[i] == b[i];
        fixed += a[i] == (uint32_t)i;
    }
    CHECK(same < 10 && fixed < 10);
    nnclr_permutation(5, NNCLR_DRAW_ORDER, 0, N, b);
    CHECK(memcmp(a, b, sizeof a) == 0);
}

/* All 24 orders of four equally often: a Fisher-Yates off by one would not give them. */
TEST(permutations_are_uniform) {
    enum { N = 24000 };
    int count[256] = {0};
    for (uint32_t epoch = 0; epoch < N; epoch++) {
        uint32_t p[4];
        nnclr_permutation(9, NNCLR_DRAW_ORDER, epoch, 4, p);
        count[p[0] | p[1] << 2 | p[2] << 4 | p[3] << 6]++;
    }
    double chi2 = 0;
    int orders = 0;
    for (int i = 0; i < 256; i++)
        if (count[i]) {
            orders++;
            chi2 += pow(count[i] - N / 24.0, 2) / (N / 24.0);
        }
    CHECK(orders == 24);
    CHECK(chi2 < 49.7); /* 23 degrees of freedom, p = 0.001 */
}

int main(void) {
    return check_all();
}
