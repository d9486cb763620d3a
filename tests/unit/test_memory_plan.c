#include <stdint.h>

#include "base/rng.h"
#include "net/memory_plan.h"
#include "tests/unit/check.h"

static nnclr_error e; /* of the call that is checked */

enum { MANY = 300 };

static size_t aligned(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

static void make_random(nnclr_interval *intervals, int count, uint32_t round) {
    nnclr_rng rng = nnclr_rng_at(11, NNCLR_DRAW_SAMPLE, round, 0, 0);
    for (int i = 0; i < count; i++) {
        int first = (int)nnclr_rng_below(&rng, 100);
        intervals[i] = (nnclr_interval){
            .bytes = nnclr_rng_below(&rng, 8) == 0 ? 0 : (size_t)nnclr_rng_below(&rng, 5000),
            .first = first,
            .last = first + (int)nnclr_rng_below(&rng, 30)};
    }
}

/* The most bytes that are live at one moment: no plan can do with less. */
static size_t peak(const nnclr_interval *intervals, int count) {
    size_t most = 0;
    for (int moment = 0; moment < 130; moment++) {
        size_t live = 0;
        for (int i = 0; i < count; i++)
            if (intervals[i].first <= moment && moment <= intervals[i].last)
                live += intervals[i].bytes;
        most = live > most ? live : most;
    }
    return most;
}

TEST(live_blocks_never_overlap) {
    for (uint32_t round = 0; round < 40; round++) {
        nnclr_interval v[MANY];
        size_t total = 0, sum = 0;
        int count = (int)(round * MANY / 40) + 1;
        make_random(v, count, round);
        CHECK_OK(nnclr_memory_plan(v, (size_t)count, &total, &e));
        for (int i = 0; i < count; i++) {
            sum += aligned(v[i].bytes);
            CHECK(v[i].offset % 64 == 0);
            CHECK(v[i].offset + v[i].bytes <= total);
            for (int j = 0; j < i; j++) {
                bool meet = v[i].first <= v[j].last && v[j].first <= v[i].last;
                bool apart = v[i].offset + v[i].bytes <= v[j].offset ||
                             v[j].offset + v[j].bytes <= v[i].offset;
                CHECK_SAYS(!meet || apart || v[i].bytes == 0 || v[j].bytes == 0,
                           "round %u: blocks %d and %d overlap", round, j, i);
            }
        }
        CHECK(total % 64 == 0);
        CHECK(total <= sum);
        CHECK(total >= peak(v, count));
    }
}

TEST(chain_takes_two_places) {
    nnclr_interval v[50];
    size_t total = 0;
    for (int i = 0; i < 50; i++)
        v[i] = (nnclr_interval){.bytes = 1000, .first = i, .last = i + 1};
    CHECK_OK(nnclr_memory_plan(v, 50, &total, &e));
    CHECK(total == 2 * 1024);
}

TEST(equal_plans_are_equal) {
    nnclr_interval a[MANY], b[MANY];
    size_t total_a, total_b;
    make_random(a, MANY, 7);
    make_random(b, MANY, 7);
    CHECK_OK(nnclr_memory_plan(a, MANY, &total_a, &e) && nnclr_memory_plan(b, MANY, &total_b, &e));
    CHECK(total_a == total_b);
    for (int i = 0; i < MANY; i++)
        CHECK(a[i].offset == b[i].offset);
}

TEST(nothing_needs_nothing) {
    nnclr_interval none = {.bytes = 0, .first = 0, .last = 3};
    size_t total = 1;
    CHECK_OK(nnclr_memory_plan(&none, 0, &total, &e) && total == 0);
    CHECK(nnclr_memory_plan(&none, 1, &total, &e) && total == 0 && none.offset == 0);
}

TEST(overflow_is_an_error) {
    nnclr_interval v[2] = {{.bytes = SIZE_MAX / 2, .first = 0, .last = 1},
                           {.bytes = SIZE_MAX / 2 + 10, .first = 0, .last = 1}};
    size_t total;
    CHECK_FAILS_AS(nnclr_memory_plan(v, 2, &total, &e), NNCLR_ERROR_LIMIT);
}

int main(void) {
    return check_all();
}
