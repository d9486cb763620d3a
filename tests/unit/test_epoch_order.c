/* Orders of an epoch and what they cost: every record once, mixed, and each frame read once if a
 * window is asked for. The sets are sorted by class and ten times what is held. */
#include "image/epoch_order.h"

#include "base/memory.h"
#include "base/rng.h"
#include "image/encode.h"
#include "image/loader.h"
#include "io/shard_parts.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

enum {
    CLASSES = 8,
    RECORDS = 8 * 300,
    SIDE = 40, /* about 17 records a frame */
    BATCH = 100,
    PHOTO_SIDE = 148, /* 64 KiB: two records a frame, as photographs are */
    PHOTO_BATCH = 10,
    SEED = 3
};

static nnclr_shard_set *set;
static uint32_t order[RECORDS], again[RECORDS];

static nnclr_shard_writer *begin_set(const char *path) {
    static const char *const classes[CLASSES] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    nnclr_shard_options options = {.output = path,
                                   .classes = classes,
                                   .class_count = CLASSES,
                                   .program = "test 1",
                                   .level = 1};
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    CHECK_OK(writer);
    return writer;
}

static void add(nnclr_shard_writer *writer, int label, const nnclr_image *image) {
    nnclr_buffer bytes = {0};
    CHECK_OK(nnclr_encode_ppm(image, &bytes, &e));
    nnclr_record record = {.name = "x",
                           .label = label,
                           .width = image->width,
                           .height = image->height,
                           .codec = NNCLR_CODEC_PPM,
                           .size = bytes.size};
    CHECK_OK(nnclr_shard_writer_add(writer, -1, &record, bytes.data, &e));
    nnclr_buffer_free(&bytes);
}

/* All black, so that the files are small; the frames are cut before they are compressed. */
static void make_file(const char *name, int side) {
    nnclr_shard_writer *writer = begin_set(scratch(name));
    nnclr_image image;
    CHECK_OK(nnclr_image_create(&image, side, side, &e));
    memset(image.pixels, 0, 3 * (size_t)side * (size_t)side);
    for (int i = 0; i < RECORDS; i++)
        add(writer, i / (RECORDS / CLASSES), &image);
    CHECK_OK(nnclr_shard_writer_commit(writer, &e));
    nnclr_image_free(&image);
}

TEST(make_sets) {
    make_file("sorted.tar.zst", SIDE);
    make_file("photos.tar.zst", PHOTO_SIDE);
}

static void open_file(const char *name, uint64_t cache) {
    const char *path = scratch(name);
    set = nnclr_shard_set_open(&path, 1, cache, &e);
    CHECK_OK(set);
    CHECK(nnclr_shard_set_count(set) == RECORDS);
}

static void open_set(uint64_t cache) {
    open_file("sorted.tar.zst", cache);
}

static void draw(uint32_t epoch, size_t window, uint32_t *out) {
    CHECK_OK(nnclr_epoch_order(set, SEED, epoch, window, out, &e));
}

TEST(holds_every_record_once) {
    open_set(0);
    static const size_t windows[] = {0, 1, 2, 80, 1000000};
    for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
        bool seen[RECORDS] = {false};
        draw(7, windows[w], order);
        for (int i = 0; i < RECORDS; i++) {
            CHECK(order[i] < RECORDS && !seen[order[i]]);
            seen[order[i]] = true;
        }
        draw(7, windows[w], again);
        CHECK(memcmp(order, again, sizeof order) == 0);
        draw(8, windows[w], again);
        CHECK(memcmp(order, again, sizeof order) != 0);
    }
    nnclr_shard_set_close(set);
}

TEST(without_window_is_the_permutation) {
    open_set(0);
    draw(2, 0, order);
    nnclr_permutation(SEED, NNCLR_DRAW_ORDER, 2, RECORDS, again);
    CHECK(memcmp(order, again, sizeof order) == 0);
    nnclr_shard_set_close(set);
}

/* At any moment at most `window` frames have been begun and not ended. */
TEST(dwells_on_few_frames) {
    open_set(0);
    size_t frames = nnclr_shard_set_frame_count(set);
    int *left = calloc(frames, sizeof *left), *begun = calloc(frames, sizeof *begun);
    for (int i = 0; i < RECORDS; i++)
        left[nnclr_shard_set_frame(set, (size_t)i)]++;
    draw(0, 10, order);
    int open = 0, most = 0;
    for (int i = 0; i < RECORDS; i++) {
        size_t frame = nnclr_shard_set_frame(set, order[i]);
        open += begun[frame]++ == 0;
        most = open > most ? open : most;
        open -= --left[frame] == 0;
    }
    CHECK_SAYS(most <= 10 && most > 7, "%d frames at a time", most);
    CHECK(frames > 100);
    free(left);
    free(begun);
    nnclr_shard_set_close(set);
}

/* Pearson's statistic of the classes' counts in all batches of some epochs. With batches of records
 * drawn without order it is about that of batches * (CLASSES - 1) degrees of freedom, a little
 * less, since an epoch holds each record once. */
static double chi_square(size_t window, int epochs, double *degrees) {
    double sum = 0, expected = (double)PHOTO_BATCH / CLASSES;
    for (int epoch = 0; epoch < epochs; epoch++) {
        draw((uint32_t)epoch, window, order);
        for (int b = 0; b < RECORDS / PHOTO_BATCH; b++) {
            int counts[CLASSES] = {0};
            for (int i = 0; i < PHOTO_BATCH; i++)
                counts[order[b * PHOTO_BATCH + i] / (RECORDS / CLASSES)]++;
            for (int c = 0; c < CLASSES; c++)
                sum += pow(counts[c] - expected, 2) / expected;
        }
    }
    *degrees = (double)epochs * (RECORDS / PHOTO_BATCH) * (CLASSES - 1);
    return sum;
}

TEST(mixes_the_classes) {
    open_file("photos.tar.zst", 0);
    size_t window = nnclr_shard_set_frame_count(set) / 10;
    double degrees, exact = chi_square(0, 1, &degrees), windowed = chi_square(window, 1, &degrees);
    double poor = chi_square(1, 1, &degrees), deviation = sqrt(2 * degrees);
    if (getenv("CHECK_VERBOSE"))
        printf("# %g degrees: exact %.0f, window of %zu %.0f, of 1 %.0f\n", degrees, exact, window,
               windowed, poor);
    CHECK(window > 100 && window < 150);
    CHECK_SAYS(fabs(exact - degrees) < 4 * deviation, "exact: %g of %g", exact, degrees);
    CHECK_SAYS(fabs(windowed - degrees) < 4 * deviation, "window: %g of %g", windowed, degrees);
    CHECK(poor > degrees + 20 * deviation); /* the test can fail */
    nnclr_shard_set_close(set);
}

/* ---- through the loader ---- */

static const nnclr_augment plain = {
    .size = 4, .area_low = 1, .area_high = 1, .aspect_low = 1, .aspect_high = 1, .std = {1, 1, 1}};

/* Two epochs of one of `slices`; checks the order, and returns the frames read. */
static uint64_t load_slice(size_t window, int threads, int slice, int slices, size_t *most_held) {
    const int rows = BATCH / slices;
    nnclr_loader_options options = {.augment = plain,
                                    .batch = BATCH,
                                    .slice_first = slice * rows,
                                    .slice_count = rows,
                                    .seed = SEED,
                                    .steps = 2 * (RECORDS / BATCH),
                                    .threads = threads,
                                    .ahead = 1,
                                    .window = window};
    nnclr_loader *loader = nnclr_loader_open(set, &options, &e);
    CHECK_OK(loader);
    *most_held = 0;
    for (int epoch = 0; epoch < 2; epoch++) {
        draw((uint32_t)epoch, window, again);
        for (int b = 0; b < RECORDS / BATCH; b++) {
            const nnclr_batch *batch = nnclr_loader_next(loader, &e);
            CHECK_OK(batch);
            for (int i = 0; i < rows; i++)
                CHECK(batch->record[i] == (int64_t)again[b * BATCH + slice * rows + i]);
            size_t held = nnclr_shard_set_frames_held(set);
            *most_held = held > *most_held ? held : *most_held;
        }
    }
    nnclr_loader_close(loader);
    return nnclr_shard_set_frames_read(set);
}

static uint64_t load(size_t window, int threads, size_t *most_held) {
    return load_slice(window, threads, 0, 1, most_held);
}

TEST(keeps_the_exact_order_with_a_tenth_in_the_cache) {
    size_t held;
    open_set(RECORDS * SIDE * SIDE * 3 / 10);
    uint64_t read = load(0, 2, &held);
    CHECK_SAYS(read > RECORDS, "%llu frames read", (unsigned long long)read);
    nnclr_shard_set_close(set);
}

TEST(reads_each_frame_once_an_epoch) {
    size_t held;
    open_set(0);
    size_t frames = 0, all = nnclr_shard_set_frame_count(set);
    bool *used = calloc(all, 1);
    for (int i = 0; i < RECORDS; i++) {
        frames += !used[nnclr_shard_set_frame(set, (size_t)i)];
        used[nnclr_shard_set_frame(set, (size_t)i)] = true;
    }
    free(used);
    uint64_t read = load(20, 1, &held);
    CHECK_SAYS(read == 2 * frames, "%llu frames read, not %zu", (unsigned long long)read,
               2 * frames);
    CHECK_SAYS(held > 10 && held <= 20 + BATCH, "%zu frames held", held);
    CHECK(nnclr_shard_set_frames_held(set) == 0);
    nnclr_shard_set_close(set);

    /* With more threads a frame may be loaded by two at once, how often is up to the scheduler;
     * without the window each record would cost a frame. */
    open_set(0);
    read = load(20, 4, &held);
    CHECK_SAYS(read >= 2 * frames && read < RECORDS, "%llu frames read", (unsigned long long)read);
    CHECK(nnclr_shard_set_frames_held(set) == 0);
    nnclr_shard_set_close(set);
}

/* A frame does not wait for records that are in other slices. */
TEST(a_slice_holds_no_more_frames) {
    enum { SLICES = 4 };
    for (int slice = 0; slice < SLICES; slice++) {
        size_t held;
        open_set(0);
        const uint64_t read = load_slice(20, 1, slice, SLICES, &held);
        CHECK_SAYS(read <= 2 * nnclr_shard_set_frame_count(set), "%llu frames read",
                   (unsigned long long)read);
        CHECK_SAYS(held > 5 && held <= 20 + BATCH, "%zu frames held", held);
        CHECK(nnclr_shard_set_frames_held(set) == 0);
        nnclr_shard_set_close(set);
    }
}

int main(void) {
    return check_all();
}
