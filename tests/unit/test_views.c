/* Files of views: what is written is what the loader makes, batches follow the file, and files that
 * are not what they say are refused. */
#include <unistd.h>

#include "base/rng.h"
#include "image/encode.h"
#include "image/loader.h"
#include "image/views_file.h"
#include "io/tensor_file.h"
#include "tests/unit/byol_augment.h"
#include "tests/unit/check.h"
#include "tests/unit/formula_picture.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

enum { RECORDS = 70, SIZE = 8, ROW = 3 * SIZE * SIZE, SEED = 5, EPOCH = 2 };

static nnclr_augment augment; /* set by main */

static nnclr_shard_set *make_set(void) {
    static const char *const classes[] = {"a", "b", "c"};
    const char *path = scratch("pictures.tar.zst");
    nnclr_shard_options options = {
        .output = path, .classes = classes, .class_count = 3, .program = "test 1", .level = 3};
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    CHECK_OK(writer);
    for (int i = 0; i < RECORDS; i++) {
        nnclr_record record = {.name = "picture",
                               .label = i % 4 - 1,
                               .width = 5 + i % 13,
                               .height = 4 + i % 17,
                               .codec = NNCLR_CODEC_PNG};
        nnclr_buffer bytes = {0};
        nnclr_image image = formula_picture(record.width, record.height);
        image.pixels[0] = (uint8_t)i;
        CHECK_OK(nnclr_encode_png(&image, &bytes, &e));
        record.size = bytes.size;
        CHECK_OK(nnclr_shard_writer_add(writer, -1, &record, bytes.data, &e));
        nnclr_image_free(&image);
        nnclr_buffer_free(&bytes);
    }
    CHECK_OK(nnclr_shard_writer_commit(writer, &e));
    nnclr_shard_set *set = nnclr_shard_set_open(&path, 1, 1 << 20, &e);
    CHECK_OK(set);
    return set;
}

/* The views of an epoch in the order in which it is trained. */
static nnclr_views *write_epoch(nnclr_shard_set *set, const char *name, bool bytes, int threads) {
    uint32_t order[RECORDS];
    nnclr_permutation(SEED, NNCLR_DRAW_ORDER, EPOCH, RECORDS, order);
    nnclr_json *config = nnclr_json_object(&e);
    const nnclr_views_request request = {.augment = augment,
                                         .seed = SEED,
                                         .epoch = EPOCH,
                                         .records = order,
                                         .count = RECORDS,
                                         .bytes = bytes,
                                         .threads = threads,
                                         .config = config,
                                         .program = "test 1"};
    CHECK_OK(nnclr_views_write(scratch(name), set, &request, &e));
    nnclr_json_free(config);
    nnclr_views *views = nnclr_views_open(scratch(name), &e);
    CHECK_OK(views);
    return views;
}

static nnclr_loader_options options_for(int batch, int64_t first_step, int64_t steps, int threads) {
    return (nnclr_loader_options){.augment = augment,
                                  .batch = batch,
                                  .seed = SEED,
                                  .first_step = first_step,
                                  .steps = steps,
                                  .threads = threads,
                                  .ahead = 2};
}

/* Batch for batch, bit for bit: both loaders at the same place, given views from their first row.
 */
static void check_same_batches(nnclr_shard_set *set, nnclr_views *views, int batch, int threads) {
    const int64_t steps = RECORDS / batch;
    nnclr_loader_options options = options_for(batch, EPOCH * steps, steps, 1);
    nnclr_loader *made = nnclr_loader_open(set, &options, &e);
    options = options_for(batch, 0, steps, threads);
    nnclr_loader *given = nnclr_loader_open_views(views, &options, &e);
    CHECK_OK(made && given);
    for (int64_t step = 0; step < steps; step++) {
        const nnclr_batch *a = nnclr_loader_next(made, &e), *b = nnclr_loader_next(given, &e);
        CHECK_OK(a && b);
        CHECK(b->step == step && b->epoch == 0);
        CHECK(memcmp(a->views, b->views, 2 * (size_t)batch * ROW * sizeof(float)) == 0);
        CHECK(memcmp(a->record, b->record, (size_t)batch * sizeof *a->record) == 0);
        CHECK(memcmp(a->label, b->label, (size_t)batch * sizeof *a->label) == 0);
    }
    CHECK_FAILS_AS(nnclr_loader_next(given, &e), NNCLR_OK); /* the end is not a failure */
    nnclr_loader_close(given);
    nnclr_loader_close(made);
}

TEST(written_views_are_what_the_loader_makes) {
    nnclr_shard_set *set = make_set();
    static const int batches[] = {7, 33, RECORDS};
    for (int threads = 1; threads <= 3; threads++) {
        nnclr_views *views = write_epoch(set, "epoch.safetensors.zst", false, threads);
        CHECK(nnclr_views_count(views) == RECORDS && nnclr_views_size(views) == SIZE);
        CHECK(nnclr_views_class_count(views) == 3);
        CHECK_TEXT(nnclr_views_class(views, 1), "b");
        for (int i = 0; i < 3; i++)
            check_same_batches(set, views, batches[i], threads);
        nnclr_views_close(views);
    }
    nnclr_shard_set_close(set);
}

/* From any step on, in any epoch, a loader yields the rows that belong there. */
TEST(every_epoch_has_the_order_of_the_file) {
    enum { BATCH = 20, PER_EPOCH = RECORDS / BATCH, STEPS = 2 * PER_EPOCH + 1 };
    nnclr_shard_set *set = make_set();
    nnclr_views *views = write_epoch(set, "epoch.safetensors", false, 1);
    static float row[BATCH * ROW];
    for (int first = 0; first < STEPS; first++) {
        nnclr_loader_options options = options_for(BATCH, first, STEPS - first, 1 + first % 3);
        nnclr_loader *loader = nnclr_loader_open_views(views, &options, &e);
        CHECK_OK(loader);
        /* The file is read here while nobody else reads it. */
        float *copies = malloc((size_t)(STEPS - first) * 2 * sizeof row);
        for (int step = first; step < STEPS; step++) {
            const nnclr_batch *batch = nnclr_loader_next(loader, &e);
            CHECK_OK(batch);
            CHECK(batch->epoch == (uint32_t)(step / PER_EPOCH));
            memcpy(copies + (size_t)(step - first) * 2 * BATCH * ROW, batch->views, 2 * sizeof row);
        }
        nnclr_loader_close(loader);
        for (int step = first; step < STEPS; step++)
            for (int view = 0; view < 2; view++) {
                size_t at = (size_t)(step % PER_EPOCH) * BATCH;
                CHECK_OK(nnclr_views_read(views, view, at, BATCH, row, &e));
                nnclr_normalize(row, BATCH * SIZE * SIZE, augment.mean, augment.std);
                CHECK(memcmp(copies + (size_t)(2 * (step - first) + view) * BATCH * ROW, row,
                             sizeof row) == 0);
            }
        free(copies);
    }
    nnclr_views_close(views);
    nnclr_shard_set_close(set);
}

TEST(bytes_are_the_nearest_of_256) {
    nnclr_shard_set *set = make_set();
    nnclr_views *floats = write_epoch(set, "floats.safetensors.zst", false, 2);
    nnclr_views *bytes = write_epoch(set, "bytes.safetensors.zst", true, 2);
    static float a[RECORDS * ROW], b[RECORDS * ROW];
    for (int view = 0; view < 2; view++) {
        CHECK_OK(nnclr_views_read(floats, view, 0, RECORDS, a, &e));
        CHECK_OK(nnclr_views_read(bytes, view, 0, RECORDS, b, &e));
        double worst = 0, differences = 0;
        for (int i = 0; i < RECORDS * ROW; i++) {
            worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
            differences += a[i] != b[i];
            CHECK_NEAR((double)b[i] * 255, rint((double)b[i] * 255), 1e-4);
        }
        CHECK(worst <= 0.5 / 255 + 1e-6 && differences > RECORDS);
    }
    nnclr_views_close(bytes);
    nnclr_views_close(floats);
    nnclr_shard_set_close(set);
}

/* ---- files of other programs ---- */

typedef struct foreign {
    nnclr_dtype type[2];
    int64_t n[2], height, width;
    int64_t records, record, label;
    float value;
    const char *classes, *kind, *name;
} foreign;

static const foreign sound = {.type = {NNCLR_F32, NNCLR_F32},
                              .n = {3, 3},
                              .height = SIZE,
                              .width = SIZE,
                              .records = 3,
                              .record = 1000000000000,
                              .label = 1,
                              .value = 1,
                              .classes = "[\"x\",\"y\"]",
                              .kind = "views",
                              .name = "view2"};

static void write_foreign(const foreign *f, const char *path) {
    const nnclr_tensor_info infos[] = {
        {.name = "record", .dtype = NNCLR_I64, .rank = 1, .dims = {f->records}},
        {.name = "label", .dtype = NNCLR_I64, .rank = 1, .dims = {f->records}},
        {.name = "view1",
         .dtype = f->type[0],
         .rank = 4,
         .dims = {f->n[0], f->height, f->width, 3}},
        {.name = f->name,
         .dtype = f->type[1],
         .rank = 4,
         .dims = {f->n[1], f->height, f->width, 3}},
    };
    nnclr_json *metadata = nnclr_json_object(&e);
    if (f->classes)
        CHECK_OK(nnclr_json_put_string(metadata, "nnclr.classes", f->classes, &e));
    nnclr_tensor_writer *writer =
        nnclr_tensor_writer_open(path, f->kind, "other 1", metadata, infos, 4, &e);
    CHECK_OK(writer);
    for (int i = 0; i < 2; i++)
        for (int64_t row = 0; row < f->records; row++)
            CHECK_OK(nnclr_tensor_writer_put(writer, i ? &f->label : &f->record, 8, &e));
    for (int i = 0; i < 2; i++) {
        size_t size = nnclr_tensor_bytes(&infos[2 + i]);
        float *values = calloc(1, size + sizeof *values);
        if (f->type[i] == NNCLR_F32 && size >= sizeof *values)
            values[size / sizeof *values - 1] = f->value;
        CHECK_OK(nnclr_tensor_writer_put(writer, values, size, &e));
        free(values);
    }
    CHECK_OK(nnclr_tensor_writer_commit(writer, &e));
    nnclr_json_free(metadata);
}

static void check_refused(const foreign *f, const char *words) {
    write_foreign(f, scratch("foreign.safetensors"));
    CHECK_FAILS(nnclr_views_open(scratch("foreign.safetensors"), &e), words);
    CHECK(e.code == NNCLR_ERROR_INPUT);
}

TEST(a_sound_file_is_read) {
    foreign f = sound;
    f.classes = NULL;
    f.label = 1234;
    write_foreign(&f, scratch("sound.safetensors.zst"));
    nnclr_views *views = nnclr_views_open(scratch("sound.safetensors.zst"), &e);
    CHECK_OK(views);
    CHECK(nnclr_views_class_count(views) == 0);
    CHECK(nnclr_views_record(views)[2] == 1000000000000 && nnclr_views_label(views)[0] == 1234);
    float row[ROW];
    CHECK_OK(nnclr_views_read(views, 1, 2, 1, row, &e) && row[ROW - 1] == 1 && row[0] == 0);
    nnclr_views_close(views);
}

TEST(files_that_do_not_fit_are_refused) {
    foreign f = sound;
    f.kind = "embedding", check_refused(&f, "is an embedding file, not a views file");
    f = sound, f.name = "second", check_refused(&f, "holds no tensor \"view2\"");
    f = sound, f.type[0] = NNCLR_I8, check_refused(&f, "\"view1\" is not F32 or U8 [n, h, w, 3]");
    f = sound, f.type[1] = NNCLR_U8, check_refused(&f, "differ in shape or type");
    f = sound, f.n[1] = 2, check_refused(&f, "differ in shape or type");
    f = sound, f.n[0] = f.n[1] = f.records = 0, check_refused(&f, "\"view1\" is not F32 or U8");
    f = sound, f.width = 9, check_refused(&f, "9 x 8 pixels, not square");
    f = sound, f.height = f.width = 0, check_refused(&f, "0 x 0 pixels");
    f = sound, f.records = 2, check_refused(&f, "\"record\" is I64 [2], not I64 [3]");
    f = sound, f.record = -1, check_refused(&f, "row 0 has record -1");
    f = sound, f.label = -2, check_refused(&f, "and label -2");
    f = sound, f.label = 2, check_refused(&f, "and label 2");
    f = sound, f.classes = "[1,2]", check_refused(&f, "nnclr.classes is not an array of names");
    f = sound, f.classes = "{}", check_refused(&f, "nnclr.classes is not an array of names");
}

TEST(numbers_outside_of_their_range_are_refused) {
    static const float values[] = {-0.01f, 1.01f, 255, (float)NAN, (float)INFINITY};
    for (int i = 0; i < 5; i++) {
        foreign f = sound;
        f.value = values[i];
        write_foreign(&f, scratch("range.safetensors.zst"));
        nnclr_views *views = nnclr_views_open(scratch("range.safetensors.zst"), &e);
        CHECK_OK(views);
        nnclr_loader_options options = options_for(3, 0, 1, 1);
        nnclr_loader *loader = nnclr_loader_open_views(views, &options, &e);
        CHECK_OK(loader);
        for (int again = 0; again < 2; again++) {
            CHECK_FAILS(nnclr_loader_next(loader, &e), "of row 2 holds the number");
            CHECK(e.code == NNCLR_ERROR_INPUT);
        }
        nnclr_loader_close(loader);
        nnclr_views_close(views);
    }
}

TEST(size_and_batch_must_fit) {
    write_foreign(&sound, scratch("sound.safetensors.zst"));
    nnclr_views *views = nnclr_views_open(scratch("sound.safetensors.zst"), &e);
    CHECK_OK(views);
    nnclr_loader_options options = options_for(3, 0, 1, 1);
    options.augment.size = SIZE + 1;
    CHECK_FAILS_AS(nnclr_loader_open_views(views, &options, &e), NNCLR_ERROR_USAGE);
    CHECK_SAYS(strstr(e.message, "8 pixels wide, not 9"), "%s", e.message);
    options = options_for(4, 0, 1, 1);
    CHECK_FAILS_AS(nnclr_loader_open_views(views, &options, &e), NNCLR_ERROR_USAGE);
    nnclr_views_close(views);
}

/* The same tensors in either container are the same data; one value makes them different. */
TEST(identity_is_that_of_the_tensors) {
    static const char *const names[] = {"one.safetensors", "two.safetensors.zst",
                                        "three.safetensors"};
    nnclr_buffer texts[3] = {{0}, {0}, {0}};
    for (int i = 0; i < 3; i++) {
        foreign f = sound;
        f.value = i == 2 ? 0.5f : 1;
        write_foreign(&f, scratch(names[i]));
        nnclr_views *views = nnclr_views_open(scratch(names[i]), &e);
        CHECK_OK(views);
        for (int again = 0; again < 2; again++) {
            nnclr_json *identity = nnclr_views_identity(views, &e);
            texts[i].size = 0;
            CHECK_OK(identity && nnclr_json_print(identity, false, &texts[i], &e));
            nnclr_json_free(identity);
        }
        nnclr_views_close(views);
    }
    CHECK(strstr((const char *)texts[0].data, "{\"records\":3,\"crc32\":"));
    CHECK_TEXT((const char *)texts[0].data, (const char *)texts[1].data);
    CHECK(strcmp((const char *)texts[0].data, (const char *)texts[2].data) != 0);
    for (int i = 0; i < 3; i++)
        nnclr_buffer_free(&texts[i]);
}

int main(void) {
    augment = byol_augment_of_small(SIZE);
    return check_all();
}
