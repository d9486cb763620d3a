/* Frames that are kept while an epoch reads them, in orders of calls that threads run into by
 * chance: here one thread makes each of them, so that it is the same each time. */
#include "io/frame_window.h"

#include "base/memory.h"
#include "tests/unit/check.h"

static nnclr_error e; /* of the call that is checked */

enum { FRAMES = 8, RECORDS = 2 };

static nnclr_frame_window *open_window(void) {
    uint32_t records[FRAMES];
    for (int i = 0; i < FRAMES; i++)
        records[i] = RECORDS;
    nnclr_frame_window *w = nnclr_frame_window_create(records, FRAMES, &e);
    CHECK_OK(w);
    return w;
}

/* What a loader that missed the frame brings. */
static unsigned char *loaded(unsigned char value) {
    unsigned char *content = nnclr_alloc(1, 1, &e);
    CHECK_OK(content);
    *content = value;
    return content;
}

static void read_record(nnclr_frame_window *w, size_t frame, uint32_t epoch) {
    if (!nnclr_frame_window_get(w, frame, epoch))
        nnclr_frame_window_put(w, frame, loaded(0));
    nnclr_frame_window_done(w, frame, epoch);
}

TEST(goes_with_the_last_record) {
    nnclr_frame_window *w = open_window();
    for (uint32_t epoch = 0; epoch < 3; epoch++)
        for (size_t frame = 0; frame < FRAMES; frame++)
            for (size_t left = RECORDS; left > 0; left--) {
                CHECK((nnclr_frame_window_get(w, frame, epoch) == NULL) == (left == RECORDS));
                if (left == RECORDS)
                    nnclr_frame_window_put(w, frame, loaded(0));
                CHECK(nnclr_frame_window_held(w) == 1);
                nnclr_frame_window_done(w, frame, epoch);
                CHECK(nnclr_frame_window_held(w) == (left > 1));
            }
    nnclr_frame_window_free(w);
}

TEST(the_second_of_two_loaders_takes_what_the_first_brought) {
    nnclr_frame_window *w = open_window();
    CHECK(!nnclr_frame_window_get(w, 0, 0) && !nnclr_frame_window_get(w, 0, 0));
    const unsigned char *first = nnclr_frame_window_put(w, 0, loaded(1));
    CHECK(nnclr_frame_window_put(w, 0, loaded(2)) == first && *first == 1);
    nnclr_frame_window_done(w, 0, 0);
    CHECK(nnclr_frame_window_held(w) == 1 && *first == 1);
    nnclr_frame_window_done(w, 0, 0);
    CHECK(nnclr_frame_window_held(w) == 0);
    nnclr_frame_window_free(w);
}

/* It missed the frame, and while it loads it the next epoch reads every record. */
TEST(a_late_loader_puts_back_what_nobody_needs) {
    nnclr_frame_window *w = open_window();
    CHECK(!nnclr_frame_window_get(w, 0, 0)); /* the late one */
    read_record(w, 0, 0);
    read_record(w, 0, 1);
    read_record(w, 0, 1);
    CHECK(nnclr_frame_window_held(w) == 0);
    const unsigned char *content = nnclr_frame_window_put(w, 0, loaded(3));
    CHECK(*content == 3 && nnclr_frame_window_held(w) == 1);
    nnclr_frame_window_done(w, 0, 0);
    CHECK(nnclr_frame_window_held(w) == 0);
    nnclr_frame_window_free(w);
}

/* The next epoch begins while the last record of this one is being read. */
TEST(epochs_that_overlap_are_counted_apart) {
    nnclr_frame_window *w = open_window();
    read_record(w, 0, 0);
    CHECK(nnclr_frame_window_get(w, 0, 0) && nnclr_frame_window_get(w, 0, 1));
    nnclr_frame_window_done(w, 0, 0);
    CHECK(nnclr_frame_window_held(w) == 1); /* epoch 1 reads it */
    nnclr_frame_window_done(w, 0, 1);
    CHECK_SAYS(nnclr_frame_window_held(w) == 1, "epoch 1 has a record to read");
    CHECK(nnclr_frame_window_get(w, 0, 1));
    nnclr_frame_window_done(w, 0, 1);
    CHECK(nnclr_frame_window_held(w) == 0);
    nnclr_frame_window_free(w);
}

/* As does a batch for which an epoch has no pictures left, and a run that begins in the middle. */
TEST(what_an_epoch_leaves_out_goes_in_the_next) {
    nnclr_frame_window *w = open_window();
    for (uint32_t epoch = 0; epoch < FRAMES; epoch++) {
        for (size_t frame = 0; frame < FRAMES; frame++)
            for (int record = frame == epoch; record < RECORDS; record++)
                read_record(w, frame, epoch);
        CHECK_SAYS(nnclr_frame_window_held(w) == 1, "%zu frames held after epoch %u",
                   nnclr_frame_window_held(w), epoch);
    }
    nnclr_frame_window_free(w);
}

int main(void) {
    return check_all();
}
