/* Loaders: a batch depends on the seed and its step alone, never on threads, buffers, or where the
 * loader began. */
#include "image/loader.h"

#include <unistd.h>

#include "base/rng.h"
#include "image/decode.h"
#include "image/encode.h"
#include "tests/unit/byol_augment.h"
#include "tests/unit/check.h"
#include "tests/unit/formula_picture.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

enum { RECORDS = 90, BAD = 17, SIZE = 8, VIEW = 3 * SIZE * SIZE, SEED = 11 };
static const char *const classes[] = {"a", "b", "c"};

static int64_t label_of(int record) {
    return record % 7 == 6 ? -1 : record % 3;
}

static void add_record(nnclr_shard_writer *writer, int i, bool damaged) {
    char name[32];
    snprintf(name, sizeof name, "some/picture\n%d", i);
    nnclr_record record = {.name = name,
                           .label = label_of(i),
                           .width = 5 + i % 13,
                           .height = 4 + i % 17,
                           .codec = (nnclr_codec)(i % 3)};
    nnclr_buffer bytes = {0};
    nnclr_image image = formula_picture(record.width, record.height);
    image.pixels[0] = (uint8_t)i;
    bool ok = record.codec == NNCLR_CODEC_JPEG  ? nnclr_encode_jpeg(&image, 90, &bytes, &e)
              : record.codec == NNCLR_CODEC_PNG ? nnclr_encode_png(&image, &bytes, &e)
                                                : nnclr_encode_ppm(&image, &bytes, &e);
    CHECK_OK(ok);
    record.size = damaged ? bytes.size / 2 : bytes.size;
    CHECK_OK(nnclr_shard_writer_add(writer, -1, &record, bytes.data, &e));
    nnclr_image_free(&image);
    nnclr_buffer_free(&bytes);
}

/* Half of record `bad` is missing; -1: none is damaged. */
static nnclr_shard_set *make_set(int bad) {
    const char *path = scratch("pictures.tar.zst");
    nnclr_shard_options options = {
        .output = path, .classes = classes, .class_count = 3, .program = "test 1", .level = 3};
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    CHECK_OK(writer);
    for (int i = 0; i < RECORDS; i++)
        add_record(writer, i, i == bad);
    CHECK_OK(nnclr_shard_writer_commit(writer, &e));
    nnclr_shard_set *set = nnclr_shard_set_open(&path, 1, 1 << 20, &e);
    CHECK_OK(set);
    return set;
}

static nnclr_loader_options options_for(int batch, int64_t first_step, int64_t steps) {
    return (nnclr_loader_options){
        .augment = byol_augment_of_small(SIZE),
        .batch = batch,
        .seed = SEED,
        .first_step = first_step,
        .steps = steps,
        .threads = 1,
        .ahead = 1,
    };
}

/* All that a loader yields, one step after the other. */
typedef struct yield {
    float *views;
    int64_t *record, *label;
    int steps, batch;
} yield;

static void yield_free(yield *y) {
    free(y->views);
    free(y->record);
    free(y->label);
}

static yield run_loader(nnclr_shard_set *set, const nnclr_loader_options *options) {
    const int rows = options->slice_count ? options->slice_count : options->batch;
    size_t steps = (size_t)options->steps, n = (size_t)rows;
    yield y = {malloc(steps * 2 * n * VIEW * sizeof(float)), malloc(steps * n * sizeof(int64_t)),
               malloc(steps * n * sizeof(int64_t)), 0, rows};
    CHECK(y.views && y.record && y.label);
    nnclr_loader *loader = nnclr_loader_open(set, options, &e);
    CHECK_OK(loader);
    int64_t epoch_steps = RECORDS / options->batch;
    const nnclr_batch *batch;
    e = (nnclr_error)NNCLR_NO_ERROR;
    while ((batch = nnclr_loader_next(loader, &e)) != NULL) {
        size_t at = (size_t)y.steps;
        CHECK(at < steps);
        CHECK(batch->step == options->first_step + y.steps);
        CHECK(batch->epoch == batch->step / epoch_steps && batch->n == rows);
        memcpy(y.views + at * 2 * n * VIEW, batch->views, 2 * n * VIEW * sizeof(float));
        memcpy(y.record + at * n, batch->record, n * sizeof(int64_t));
        memcpy(y.label + at * n, batch->label, n * sizeof(int64_t));
        y.steps++;
    }
    CHECK_SAYS(e.code == NNCLR_OK, "%s", e.message);
    CHECK(y.steps == options->steps);
    nnclr_loader_close(loader);
    return y;
}

/* Steps `from` of a ... equal all of b. */
static bool same_from(const yield *a, int from, const yield *b) {
    size_t skip = (size_t)from, n = (size_t)a->batch, steps = (size_t)b->steps;
    return a->batch == b->batch && from + b->steps <= a->steps &&
           memcmp(a->views + skip * 2 * n * VIEW, b->views, steps * 2 * n * VIEW * 4) == 0 &&
           memcmp(a->record + skip * n, b->record, steps * n * 8) == 0 &&
           memcmp(a->label + skip * n, b->label, steps * n * 8) == 0;
}

/* Batches of less than a chunk, of several, and of a whole epoch. */
TEST(threads_and_buffers_change_nothing) {
    static const int batches[] = {7, 40, RECORDS};
    nnclr_shard_set *set = make_set(-1);
    for (int i = 0; i < 3; i++) {
        nnclr_loader_options options = options_for(batches[i], 0, 5);
        yield must = run_loader(set, &options);
        for (options.threads = 1; options.threads <= 3; options.threads++)
            for (options.ahead = 1; options.ahead <= 7; options.ahead += 3) {
                yield is = run_loader(set, &options);
                CHECK_SAYS(same_from(&must, 0, &is), "batch %d, %d threads, %d ahead", batches[i],
                           options.threads, options.ahead);
                yield_free(&is);
            }
        yield_free(&must);
    }
    nnclr_shard_set_close(set);
}

TEST(starting_late_is_running_on) {
    nnclr_shard_set *set = make_set(-1);
    nnclr_loader_options options = options_for(40, 0, 7);
    yield all = run_loader(set, &options);
    for (int first = 1; first < 7; first++) {
        options = options_for(40, first, 7 - first);
        options.threads = 1 + first % 3;
        options.ahead = 1 + first % 2;
        yield late = run_loader(set, &options);
        CHECK_SAYS(same_from(&all, first, &late), "from step %d", first);
        yield_free(&late);
    }
    yield_free(&all);
    nnclr_shard_set_close(set);
}

/* Rows [first, first + part->batch) of each batch of the whole are those of the part. */
static void check_slice(const yield *whole, int first, const yield *part) {
    const size_t all = (size_t)whole->batch, n = (size_t)part->batch;
    CHECK(part->steps == whole->steps);
    for (size_t step = 0; step < (size_t)part->steps; step++) {
        const size_t at = step * all + (size_t)first;
        CHECK(memcmp(part->record + step * n, whole->record + at, n * 8) == 0);
        CHECK(memcmp(part->label + step * n, whole->label + at, n * 8) == 0);
        for (size_t view = 0; view < 2; view++)
            CHECK(memcmp(part->views + (step * 2 + view) * n * VIEW,
                         whole->views + ((step * 2 + view) * all + (size_t)first) * VIEW,
                         n * VIEW * 4) == 0);
    }
}

/* Of the permutation, and of records that are drawn from few frames. */
TEST(slices_make_the_whole) {
    enum { BATCH = 72 };
    for (size_t window = 0; window < 2; window++) {
        nnclr_loader_options options = options_for(BATCH, 0, 3);
        options.window = window;
        nnclr_shard_set *set = make_set(-1);
        yield whole = run_loader(set, &options);
        for (int ranks = 2; ranks <= 4; ranks++)
            for (int rank = 0; rank < ranks; rank++) {
                options.slice_count = BATCH / ranks;
                options.slice_first = rank * options.slice_count;
                options.threads = 1 + rank % 2;
                yield part = run_loader(set, &options);
                check_slice(&whole, options.slice_first, &part);
                yield_free(&part);
            }
        yield_free(&whole);
        nnclr_shard_set_close(set);
    }
}

/* The permutation of each epoch without its last 90 - 2 * 40 records, and what belongs to them. */
TEST(the_order_is_the_permutation) {
    enum { BATCH = 40, EPOCHS = 3, PER_EPOCH = RECORDS / BATCH };
    nnclr_shard_set *set = make_set(-1);
    nnclr_loader_options options = options_for(BATCH, 0, EPOCHS * PER_EPOCH);
    yield y = run_loader(set, &options);
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        uint32_t order[RECORDS];
        nnclr_permutation(SEED, NNCLR_DRAW_ORDER, epoch, RECORDS, order);
        for (size_t i = 0; i < BATCH * PER_EPOCH; i++) {
            size_t at = epoch * BATCH * PER_EPOCH + i;
            CHECK(y.record[at] == (int64_t)order[i]);
            CHECK(y.label[at] == label_of((int)order[i]));
        }
    }
    yield_free(&y);
    nnclr_shard_set_close(set);
}

TEST(an_epoch_holds_every_record_once) {
    nnclr_shard_set *set = make_set(-1);
    nnclr_loader_options options = options_for(30, 0, 6);
    options.threads = 2;
    yield y = run_loader(set, &options);
    for (int epoch = 0; epoch < 2; epoch++) {
        bool seen[RECORDS] = {false};
        for (int i = 0; i < RECORDS; i++) {
            int64_t record = y.record[epoch * RECORDS + i];
            CHECK(record >= 0 && record < RECORDS && !seen[record]);
            seen[record] = true;
        }
    }
    CHECK(memcmp(y.record, y.record + RECORDS, RECORDS * sizeof *y.record) != 0);
    yield_free(&y);
    nnclr_shard_set_close(set);
}

static nnclr_image decode_record(nnclr_shard_set *set, size_t record) {
    nnclr_buffer bytes = {0};
    nnclr_image image = {0};
    nnclr_decode_limits limits = nnclr_decode_limits_default();
    CHECK_OK(nnclr_shard_set_read(set, record, &bytes, &e));
    CHECK_OK(nnclr_decode(bytes.data, bytes.size, &limits, &image, &e));
    nnclr_buffer_free(&bytes);
    return image;
}

/* What is in a batch is what the draw of its epoch, record, and view makes of the picture. */
TEST(views_are_drawn_for_their_record) {
    enum { BATCH = 40, STEPS = 4 };
    nnclr_buffer memory = {0};
    nnclr_shard_set *set = make_set(-1);
    nnclr_loader_options options = options_for(BATCH, 0, STEPS);
    const nnclr_augment *augment = &options.augment;
    yield y = run_loader(set, &options);
    for (int step = 0; step < STEPS; step++)
        for (int i = 0; i < BATCH; i++) {
            uint64_t record = (uint64_t)y.record[step * BATCH + i];
            nnclr_image image = decode_record(set, record);
            nnclr_patch whole = nnclr_whole_patch(&image);
            for (int view = 0; view < 2; view++) {
                float must[VIEW];
                nnclr_view_parameters drawn =
                    nnclr_augment_draw(augment, image.width, image.height, SEED,
                                       (uint32_t)step / (RECORDS / BATCH), record, view);
                CHECK_OK(nnclr_augment_apply(augment, &drawn, &whole, must, &memory, &e));
                nnclr_normalize(must, SIZE * SIZE, augment->mean, augment->std);
                const float *is = y.views + ((step * 2 + view) * BATCH + i) * VIEW;
                CHECK(memcmp(is, must, sizeof must) == 0);
            }
            nnclr_image_free(&image);
        }
    nnclr_buffer_free(&memory);
    yield_free(&y);
    nnclr_shard_set_close(set);
}

static void check_names_bad_record(void) {
    CHECK_SAYS(e.code == NNCLR_ERROR_INPUT && strstr(e.message, "record 17") != NULL &&
                   strstr(e.message, "some/picture\\n17") != NULL,
               "%s", e.message);
}

/* The step of the damaged record fails, permanently, and those before it do not. */
TEST(a_damaged_record_is_named) {
    uint32_t order[RECORDS];
    nnclr_permutation(SEED, NNCLR_DRAW_ORDER, 0, RECORDS, order);
    int at = 0;
    while (order[at] != BAD)
        at++;
    nnclr_shard_set *set = make_set(BAD);
    static const int batches[] = {5, 45};
    for (int i = 0; i < 6; i++) {
        int batch = batches[i % 2];
        nnclr_loader_options options = options_for(batch, 0, 50);
        options.threads = 1 + i / 2;
        options.ahead = 3;
        nnclr_loader *loader = nnclr_loader_open(set, &options, &e);
        CHECK_OK(loader);
        for (int step = 0; step < at / batch; step++)
            CHECK_OK(nnclr_loader_next(loader, &e));
        for (int again = 0; again < 5; again++) {
            e = (nnclr_error)NNCLR_NO_ERROR;
            CHECK(!nnclr_loader_next(loader, &e));
            check_names_bad_record();
        }
        nnclr_loader_close(loader);
    }
    nnclr_shard_set_close(set);
}

/* At every moment of a run: none, one, some, all batches taken. An alarm ends what hangs. */
TEST(closing_early_does_not_hang) {
    nnclr_shard_set *set = make_set(-1);
    alarm(60);
    for (int taken = 0; taken <= 6; taken++)
        for (int threads = 1; threads <= 3; threads++) {
            nnclr_loader_options options = options_for(40, 0, 6);
            options.threads = threads;
            options.ahead = 1 + taken % 3;
            nnclr_loader *loader = nnclr_loader_open(set, &options, &e);
            CHECK_OK(loader);
            for (int i = 0; i < taken; i++)
                CHECK_OK(nnclr_loader_next(loader, &e));
            nnclr_loader_close(loader);
        }
    alarm(0);
    nnclr_loader_close(NULL);
    nnclr_shard_set_close(set);
}

TEST(batches_must_fit_the_set) {
    nnclr_shard_set *set = make_set(-1);
    static const int bad[] = {0, -1, RECORDS + 1};
    for (int i = 0; i < 3; i++) {
        nnclr_loader_options options = options_for(bad[i], 0, 1);
        CHECK_FAILS_AS(nnclr_loader_open(set, &options, &e), NNCLR_ERROR_USAGE);
    }
    nnclr_shard_set_close(set);
}

/* ---- one view of chosen records ---- */

enum { CHOSEN = 40, EPOCHS_OF_CHOSEN = 3 };

/* must [EPOCHS_OF_CHOSEN][RECORDS][VIEW]: view 1 of each record, as the loader of pairs makes it.
 */
static void first_views(nnclr_shard_set *set, float *must) {
    nnclr_loader_options options = options_for(RECORDS, 0, EPOCHS_OF_CHOSEN);
    yield pairs = run_loader(set, &options);
    for (size_t epoch = 0; epoch < EPOCHS_OF_CHOSEN; epoch++)
        for (size_t i = 0; i < RECORDS; i++) {
            size_t record = (size_t)pairs.record[epoch * RECORDS + i];
            memcpy(must + (epoch * RECORDS + record) * VIEW,
                   pairs.views + (epoch * 2 * RECORDS + i) * VIEW, VIEW * sizeof *must);
        }
    yield_free(&pairs);
}

/* Every record of `chosen` once an epoch, in the permutation over these, the last batch smaller;
 * each view is the one that pre-training would see. */
static void check_single(nnclr_shard_set *set, const nnclr_loader_options *options,
                         const uint32_t *chosen, const float *must) {
    nnclr_loader *loader = nnclr_loader_open(set, options, &e);
    CHECK_OK(loader);
    const int seen_of_epoch = options->whole ? CHOSEN - CHOSEN % options->batch : CHOSEN;
    for (uint32_t epoch = 0; epoch < EPOCHS_OF_CHOSEN; epoch++) {
        uint32_t order[CHOSEN];
        nnclr_permutation(SEED, NNCLR_DRAW_ORDER, epoch, CHOSEN, order);
        for (int seen = 0; seen < seen_of_epoch;) {
            const nnclr_batch *batch = nnclr_loader_next(loader, &e);
            CHECK_OK(batch);
            CHECK(batch->epoch == epoch);
            CHECK(batch->n == (CHOSEN - seen < options->batch ? CHOSEN - seen : options->batch));
            for (int i = 0; i < batch->n; i++, seen++) {
                CHECK(batch->record[i] == (int64_t)chosen[order[seen]]);
                CHECK(batch->label[i] == label_of((int)batch->record[i]));
                CHECK(memcmp(batch->views + (size_t)i * VIEW,
                             must + (epoch * RECORDS + (size_t)batch->record[i]) * VIEW,
                             VIEW * sizeof *must) == 0);
            }
        }
    }
    CHECK_FAILS_AS(nnclr_loader_next(loader, &e), NNCLR_OK); /* the end is not a failure */
    nnclr_loader_close(loader);
}

TEST(single_views_of_chosen_records_are_those_of_the_pairs) {
    static float must[EPOCHS_OF_CHOSEN * RECORDS * VIEW];
    uint32_t chosen[CHOSEN];
    nnclr_shard_set *set = make_set(-1);
    first_views(set, must);
    for (uint32_t i = 0; i < CHOSEN; i++)
        chosen[i] = 2 * i + i % 3;
    static const int batches[] = {1, 7, 33, 39, CHOSEN};
    for (int i = 0; i < 15; i++) {
        int batch = batches[i % 5];
        nnclr_loader_options options =
            options_for(batch, 0, EPOCHS_OF_CHOSEN * ((CHOSEN + batch - 1) / batch));
        options.threads = 1 + i / 5;
        options.ahead = 1 + i % 4;
        options.single = true;
        options.records = chosen;
        options.record_count = CHOSEN;
        check_single(set, &options, chosen, must);
        options.whole = true;
        options.steps = EPOCHS_OF_CHOSEN * (CHOSEN / batch);
        check_single(set, &options, chosen, must);
    }
    nnclr_loader_options options = options_for(CHOSEN + 1, 0, 1);
    options.single = true;
    options.records = chosen;
    options.record_count = CHOSEN;
    CHECK_FAILS_AS(nnclr_loader_open(set, &options, &e), NNCLR_ERROR_USAGE);
    nnclr_shard_set_close(set);
}

/* ---- evaluation ---- */

static nnclr_evaluation_options evaluation_for(int batch, int threads, int ahead) {
    return (nnclr_evaluation_options){.size = SIZE,
                                      .stretch = true,
                                      .filter = NNCLR_BICUBIC,
                                      .mean = {0.5f, 0.4f, 0.3f},
                                      .std = {0.2f, 0.25f, 0.3f},
                                      .batch = batch,
                                      .threads = threads,
                                      .ahead = ahead};
}

TEST(evaluation_covers_all_in_order) {
    static float must[RECORDS][VIEW];
    nnclr_buffer memory = {0};
    nnclr_shard_set *set = make_set(-1);
    nnclr_evaluation_options options = evaluation_for(1, 1, 1);
    for (size_t i = 0; i < RECORDS; i++) {
        nnclr_image image = decode_record(set, i);
        CHECK_OK(nnclr_augment_evaluation(SIZE, true, NNCLR_BICUBIC, &image, must[i], &memory, &e));
        nnclr_normalize(must[i], SIZE * SIZE, options.mean, options.std);
        nnclr_image_free(&image);
    }
    static const int batches[] = {1, 8, 30, RECORDS, 1000};
    for (int i = 0; i < 15; i++) {
        int size = batches[i % 5];
        options = evaluation_for(size, 1 + i / 5, 1 + i % 4);
        nnclr_loader *loader = nnclr_loader_open_evaluation(set, &options, &e);
        CHECK_OK(loader);
        size_t seen = 0;
        const nnclr_batch *batch;
        e = (nnclr_error)NNCLR_NO_ERROR;
        while ((batch = nnclr_loader_next(loader, &e)) != NULL) {
            CHECK(batch->record[0] == (int64_t)seen);
            CHECK(batch->n == (RECORDS - (int)seen < size ? RECORDS - (int)seen : size));
            CHECK(memcmp(batch->views, must[seen], (size_t)batch->n * sizeof must[0]) == 0);
            seen += (size_t)batch->n;
        }
        CHECK_SAYS(e.code == NNCLR_OK, "%s", e.message);
        CHECK(seen == RECORDS);
        nnclr_loader_close(loader);
    }
    nnclr_buffer_free(&memory);
    nnclr_shard_set_close(set);
}

TEST(evaluation_names_a_damaged_record) {
    nnclr_shard_set *set = make_set(BAD);
    for (int threads = 1; threads <= 3; threads++) {
        nnclr_evaluation_options options = evaluation_for(8, threads, 2);
        nnclr_loader *loader = nnclr_loader_open_evaluation(set, &options, &e);
        CHECK_OK(loader);
        for (int i = 0; i < BAD / 8; i++)
            CHECK_OK(nnclr_loader_next(loader, &e));
        for (int again = 0; again < 3; again++) {
            e = (nnclr_error)NNCLR_NO_ERROR;
            CHECK(!nnclr_loader_next(loader, &e));
            check_names_bad_record();
        }
        nnclr_loader_close(loader);
    }
    nnclr_loader_close(NULL);
    nnclr_shard_set_close(set);
}

TEST(evaluation_needs_a_batch) {
    nnclr_shard_set *set = make_set(-1);
    nnclr_evaluation_options options = evaluation_for(0, 1, 1);
    CHECK_FAILS_AS(nnclr_loader_open_evaluation(set, &options, &e), NNCLR_ERROR_USAGE);
    nnclr_shard_set_close(set);
}

int main(void) {
    return check_all();
}
