/* Training by several ranks is the run of one: checkpoints and lines of metrics, in double
 * precision, of ranks that are threads. */
#include "base/memory.h"
#include "image/encode.h"
#include "io/json.h"
#include "io/tensor_file.h"
#include "tests/unit/formula_picture.h"
#include "tests/unit/scratch.h"
#include "tests/unit/threads_ranks.h"
#include "train/trainer.h"

enum { RECORDS = 60, SIDE = 20, BATCH = 24, STEPS = 3, CLASSES = 3, BAD = 11 };

static nnclr_error e; /* of the call that is checked, on the main thread */

/* ---- data ---- */

static void add_record(nnclr_shard_writer *writer, int i, bool damaged) {
    char name[32];
    snprintf(name, sizeof name, "%d", i);
    nnclr_record record = {.name = name,
                           .label = i % CLASSES,
                           .width = SIDE,
                           .height = SIDE,
                           .codec = NNCLR_CODEC_PNG};
    nnclr_buffer bytes = {0};
    nnclr_image image = formula_picture(SIDE, SIDE);
    for (int k = 0; k < 3 * SIDE * SIDE; k++)
        image.pixels[k] = (uint8_t)(image.pixels[k] * (i % 7 + 1) / 7 + i);
    CHECK_OK(nnclr_encode_png(&image, &bytes, &e));
    record.size = damaged ? bytes.size / 2 : bytes.size;
    CHECK_OK(nnclr_shard_writer_add(writer, -1, &record, bytes.data, &e));
    nnclr_image_free(&image);
    nnclr_buffer_free(&bytes);
}

static void make_shard(const char *path, int bad) {
    static const char *const classes[CLASSES] = {"a", "b", "c"};
    nnclr_shard_options options = {.output = path,
                                   .classes = classes,
                                   .class_count = CLASSES,
                                   .program = "test 1",
                                   .level = 3};
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    CHECK_OK(writer);
    for (int i = 0; i < RECORDS; i++)
        add_record(writer, i, i == bad);
    CHECK_OK(nnclr_shard_writer_commit(writer, &e));
}

/* ---- a rank ---- */

typedef struct run_of_ranks {
    nnclr_config config;
    nnclr_precision precision;
    int threads;
    const char *shard, *folder;
    int64_t stop; /* after this step, which the last rank asks for; 0: at the end */
    int breaks;   /* the last two ranks have no memory for this message; 0: they do */
    bool drifts;  /* a weight of the last rank is not that of the others */
    bool resume;
    bool ok, agreed; /* what came of it */
    nnclr_error e;
} run_of_ranks;

typedef struct asker {
    const nnclr_communicator *ranks;
    int64_t stop, asked;
} asker;

static nnclr_request should_stop(void *context) {
    asker *a = context;
    a->asked++;
    return a->ranks->rank == a->ranks->ranks - 1 && a->asked == a->stop ? NNCLR_STOP_NOW
                                                                        : NNCLR_GO_ON;
}

static _Thread_local int left; /* messages before the one that cannot be sent */

static bool break_or_gather(nnclr_communicator *c, const void *from, size_t bytes, void *to,
                            nnclr_error *why) {
    return --left == 0 ? nnclr_fail(why, NNCLR_ERROR_MEMORY, "out of memory")
                       : threads_gather(c, from, bytes, to, why);
}

static const nnclr_communicator_table breaking = {.name = "breaking",
                                                  .gather = break_or_gather,
                                                  .exchange = threads_exchange,
                                                  .abort = threads_abort};

static bool train(nnclr_trainer *trainer, const run_of_ranks *r, const nnclr_communicator *c,
                  nnclr_engine *engine, nnclr_error *why) {
    nnclr_trainer_result result;
    const nnclr_parameters *p = nnclr_trainer_parameters(trainer);
    double weight;
    engine->table->get(engine, p->weights, 1, NNCLR_F64, &weight);
    weight += r->drifts && c->rank == c->ranks - 1 ? 1e-3 : 0;
    engine->table->put(engine, p->weights, 1, NNCLR_F64, &weight);
    return nnclr_trainer_run(trainer, &result, why);
}

static void work(nnclr_communicator *c, void *context) {
    run_of_ranks *r = context;
    nnclr_error why = NNCLR_NO_ERROR;
    nnclr_run *run = NULL;
    nnclr_tensor_reader *checkpoint = NULL;
    nnclr_checkpoint_info info = {0};
    nnclr_engine engine;
    asker asks = {c, r->stop, 0};
    nnclr_pool *pool = nnclr_pool_create(r->threads ? r->threads : 1, &why);
    CHECK_SAYS(pool && nnclr_engine_open(&engine, NNCLR_ENGINE_CPU, r->precision, pool, &why), "%s",
               why.message);
    nnclr_training_data data = {.set = nnclr_shard_set_open(&r->shard, 1, 1 << 20, &why)};
    CHECK_SAYS(data.set, "%s", why.message);
    if (r->resume) {
        char path[500];
        snprintf(path, sizeof path, "%s/checkpoint.safetensors.zst", r->folder);
        checkpoint = nnclr_checkpoint_open(path, &info, &why);
        CHECK_SAYS(checkpoint, "%s", why.message);
    }
    if (c->rank == 0)
        run = nnclr_run_open(r->folder, r->resume ? NNCLR_RUN_RESUME : NNCLR_RUN_NEW, &why);
    CHECK_SAYS(run || c->rank > 0, "%s", why.message);
    nnclr_run_writer writer = {.run = run, .program = "test 1", .keep = 1};
    nnclr_trainer_options options = {.config = &r->config,
                                     .data = &data,
                                     .engine = &engine,
                                     .communicator = c->ranks > 1 ? c : NULL,
                                     .writer = run ? &writer : NULL,
                                     .threads = 1,
                                     .log_every = 1,
                                     .callbacks = {.context = &asks, .should_stop = should_stop}};
    left = r->breaks;
    if (r->breaks && c->rank >= c->ranks - 2)
        c->table = &breaking;
    nnclr_trainer *trainer = nnclr_trainer_create(&options, checkpoint, &info, &why);
    r->ok = trainer && train(trainer, r, c, &engine, &why);
    r->e = why;
    r->agreed = c->agreed;
    if (!r->ok && !r->agreed) /* as programs do */
        c->table->abort(c, 1);
    nnclr_trainer_free(trainer);
    nnclr_run_writer_free(&writer);
    nnclr_run_close(run);
    nnclr_tensor_reader_close(checkpoint);
    nnclr_checkpoint_info_free(&info);
    nnclr_training_data_close(&data);
    nnclr_engine_close(&engine);
    nnclr_pool_free(pool);
}

/* The run in that folder of the scratch, from its beginning unless it is resumed; only rank 0's
 * settings need be given. */
static void run_all(run_of_ranks *r, int ranks, const char *folder) {
    char remove[100];
    snprintf(remove, sizeof remove, "rm -rf %s", folder);
    CHECK(r->resume || scratch_run(remove));
    r->folder = scratch(folder);
    r->shard = r->shard ? r->shard : scratch("pictures.tar.zst");
    for (int rank = 1; rank < ranks; rank++)
        r[rank] = r[0];
    run_ranks(ranks, work, r, sizeof *r);
}

static void run_well(const run_of_ranks *like, int ranks, const char *folder) {
    run_of_ranks r[MOST_RANKS] = {*like};
    run_all(r, ranks, folder);
    for (int rank = 0; rank < ranks; rank++)
        CHECK_SAYS(r[rank].ok, "%s", r[rank].e.message);
}

/* ---- what a run left ---- */

static nnclr_tensor_reader *open_checkpoint(const char *folder) {
    nnclr_tensor_reader *reader = nnclr_tensor_reader_open(scratch(folder), &e);
    CHECK_OK(reader);
    return reader;
}

static void *load(nnclr_tensor_reader *reader, const nnclr_tensor_info *info) {
    static const int64_t any[NNCLR_TENSOR_RANK] = {-1, -1, -1, -1, -1, -1, -1, -1};
    void *values =
        nnclr_tensor_reader_load(reader, info->name, info->dtype, info->rank, any, NULL, &e);
    CHECK_OK(values);
    return values;
}

/* Reals within `tolerance` of the tensor's largest, or 1; with 0, and all else, as bytes. */
static void compare_tensor(const nnclr_tensor_info *info, const void *a, const void *b,
                           double tolerance) {
    if (info->dtype != NNCLR_F64 || tolerance == 0) {
        CHECK_SAYS(memcmp(a, b, nnclr_tensor_bytes(info)) == 0, "%s is not the same", info->name);
        return;
    }
    const double *x = a, *y = b;
    double scale = 1, most = 0;
    for (int64_t i = 0; i < nnclr_tensor_elements(info); i++) {
        scale = fmax(scale, fabs(y[i]));
        most = fmax(most, fabs(x[i] - y[i]));
    }
    CHECK_SAYS(most <= tolerance * scale, "%s is %g away, of %g", info->name, most, scale);
}

static void compare_checkpoints(const char *is, const char *must, double tolerance) {
    nnclr_tensor_reader *a = open_checkpoint(is), *b = open_checkpoint(must);
    CHECK(nnclr_tensor_reader_count(a) == nnclr_tensor_reader_count(b));
    CHECK_TEXT(nnclr_tensor_reader_metadata(a, "nnclr.step"),
               nnclr_tensor_reader_metadata(b, "nnclr.step"));
    CHECK_TEXT(nnclr_tensor_reader_metadata(a, "nnclr.config"),
               nnclr_tensor_reader_metadata(b, "nnclr.config"));
    for (size_t i = 0; i < nnclr_tensor_reader_count(b); i++) {
        const nnclr_tensor_info *info = nnclr_tensor_reader_info(b, i);
        void *x = load(a, info), *y = load(b, info);
        compare_tensor(info, x, y, tolerance);
        nnclr_free(x), nnclr_free(y);
    }
    nnclr_tensor_reader_close(a);
    nnclr_tensor_reader_close(b);
}

static void compare_line(const nnclr_json *a, const nnclr_json *b, double tolerance) {
    void *at = NULL;
    const char *key;
    double x = 0, y = 0;
    for (nnclr_json *value; (value = nnclr_json_each(b, &at, &key));) {
        if (strcmp(key, "images_per_s") == 0 || !nnclr_json_real(value, &y))
            continue;
        CHECK_SAYS(nnclr_json_real(nnclr_json_get(a, key), &x), "no %s", key);
        CHECK_SAYS(fabs(x - y) <= tolerance * fmax(1, fabs(y)), "%s is %.17g, not %.17g", key, x,
                   y);
    }
    CHECK(nnclr_json_count(a) == nnclr_json_count(b));
}

/* Ranks of rows are made of eigenvalues, which are less exact. */
static void compare_metrics(const char *is, const char *must, double tolerance) {
    char paths[2][100];
    nnclr_buffer text[2];
    const char *next[2];
    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/metrics.jsonl", i ? must : is);
        text[i] = scratch_read(scratch(paths[i]));
        CHECK_OK(nnclr_buffer_append(&text[i], "", 1, &e));
        next[i] = (const char *)text[i].data;
    }
    int lines = 0;
    for (; *next[1]; lines++) {
        nnclr_json *line[2];
        for (int i = 0; i < 2; i++) {
            const char *end = strchr(next[i], '\n');
            CHECK(end);
            line[i] = nnclr_json_parse(next[i], (size_t)(end - next[i]), "line", &e);
            CHECK_OK(line[i]);
            next[i] = end + 1;
        }
        compare_line(line[0], line[1], tolerance);
        nnclr_json_free(line[0]), nnclr_json_free(line[1]);
    }
    CHECK(lines > 0 && !*next[0]);
    nnclr_buffer_free(&text[0]), nnclr_buffer_free(&text[1]);
}

/* ---- kinds of runs ---- */

static nnclr_config small_config(nnclr_objective_kind method) {
    nnclr_config c = nnclr_config_preset(NNCLR_PRESET_TINY);
    nnclr_config_method(&c, NNCLR_PRESET_IMAGENET, method);
    nnclr_config_size(&c, 16);
    c.model.width = 0.0625;
    c.model.projector = (nnclr_layers){2, {24, 12}};
    if (c.model.predictor.count > 0)
        c.model.predictor = (nnclr_layers){1, {16}};
    c.method.queue = 40; /* which the enqueue wraps around */
    c.batch = BATCH;
    c.steps = STEPS;
    c.warmup_steps = 1;
    c.data_seed = 3;
    return c;
}

static nnclr_config plain(void) {
    return small_config(NNCLR_OBJECTIVE_NNCLR);
}

static nnclr_config imagenet_stem(void) {
    nnclr_config c = plain();
    nnclr_config_size(&c, 32);
    c.model.stem = NNCLR_STEM_IMAGENET;
    c.method.loss = NNCLR_LOSS_ROW_COLUMN;
    return c;
}

static nnclr_config chosen_neighbours(void) {
    nnclr_config c = plain();
    c.method.neighbours = 3;
    c.method.enqueue = NNCLR_ENQUEUE_BOTH;
    c.shuffle_window = 1;
    c.method.queue = 96;
    return c;
}

static nnclr_config soft_neighbours(void) {
    nnclr_config c = plain();
    nnclr_config_method(&c, NNCLR_PRESET_TINY, NNCLR_OBJECTIVE_NNCLR);
    c.method.queue = 40;
    c.method.exclude_self = true;
    return c;
}

static nnclr_config micro_batches(void) {
    nnclr_config c = plain();
    c.micro_batch = 2;
    return c;
}

static nnclr_config simclr(void) {
    return small_config(NNCLR_OBJECTIVE_SIMCLR);
}

static nnclr_config byol(void) {
    nnclr_config c = small_config(NNCLR_OBJECTIVE_BYOL);
    c.micro_batch = 3;
    c.batch = 36; /* which 1, 2, 3 and 4 ranks share, in micro-batches of 3 */
    return c;
}

static nnclr_config byol_whole(void) {
    return small_config(NNCLR_OBJECTIVE_BYOL);
}

static nnclr_config barlow(void) {
    return small_config(NNCLR_OBJECTIVE_BARLOW);
}

static nnclr_config finetune(void) {
    nnclr_config c = plain();
    c.objective = NNCLR_OBJECTIVE_FINETUNE;
    c.method = (nnclr_method_options){0};
    c.model.projector.count = c.model.predictor.count = 0;
    c.model.classes = CLASSES;
    c.head_lr = c.lr;
    c.label_fraction = 1;
    return c;
}

static void check_ranks(nnclr_config (*config)(void)) {
    run_of_ranks r = {.config = config(), .precision = NNCLR_PRECISION_F64};
    make_shard(scratch("pictures.tar.zst"), -1);
    CHECK_OK(nnclr_config_check(&r.config, &e));
    for (int64_t steps = 1; steps <= STEPS; steps += STEPS - 1) {
        const double tolerance = steps == 1 ? 1e-12 : 1e-10;
        r.stop = steps < STEPS ? steps : 0;
        run_well(&r, 1, "one");
        for (int ranks = 2; ranks <= 4; ranks++) {
            run_well(&r, ranks, "several");
            compare_checkpoints("several", "one", tolerance);
            compare_metrics("several", "one", 100 * tolerance);
        }
    }
}

TEST(nnclr_with_a_predictor) {
    check_ranks(plain);
}

TEST(the_stem_of_imagenet) {
    check_ranks(imagenet_stem);
}

TEST(one_of_several_neighbours) {
    check_ranks(chosen_neighbours);
}

TEST(soft_neighbours_beside_the_own_view) {
    check_ranks(soft_neighbours);
}

TEST(the_backbone_in_micro_batches) {
    check_ranks(micro_batches);
}

TEST(simclr_negatives) {
    check_ranks(simclr);
}

TEST(byol_with_a_slow_copy) {
    check_ranks(byol_whole);
}

TEST(a_slow_copy_in_micro_batches) {
    check_ranks(byol);
}

TEST(barlow_twins) {
    check_ranks(barlow);
}

TEST(fine_tuning) {
    check_ranks(finetune);
}

/* ---- bits ---- */

TEST(the_same_ranks_give_the_same_bytes) {
    static const nnclr_precision precisions[] = {NNCLR_PRECISION_F64, NNCLR_PRECISION_F32,
                                                 NNCLR_PRECISION_BF16};
    make_shard(scratch("pictures.tar.zst"), -1);
    for (int i = 0; i < 3; i++) {
        run_of_ranks r = {.config = plain(), .precision = precisions[i]};
        run_well(&r, 3, "first");
        r.threads = 2;
        run_well(&r, 3, "again");
        compare_checkpoints("again", "first", 0);
        compare_metrics("again", "first", 0);
    }
}

/* ---- on another number of ranks ---- */

TEST(a_run_goes_on_with_other_ranks) {
    run_of_ranks r = {.config = soft_neighbours(), .precision = NNCLR_PRECISION_F64};
    make_shard(scratch("pictures.tar.zst"), -1);
    run_well(&r, 1, "one");
    r.stop = 1;
    run_well(&r, 4, "several");
    r.resume = true;
    run_well(&r, 3, "several");
    r.stop = 0;
    run_well(&r, 1, "several");
    compare_checkpoints("several", "one", 1e-10);
    compare_metrics("several", "one", 1e-8);
}

/* ---- what goes wrong ---- */

/* Every rank has the error. */
static void check_refused(run_of_ranks *r, int ranks, const char *folder, nnclr_code code,
                          const char *words) {
    run_all(r, ranks, folder);
    for (int rank = 0; rank < ranks; rank++) {
        CHECK_SAYS(!r[rank].ok && r[rank].agreed && r[rank].e.code == code &&
                       strstr(r[rank].e.message, words),
                   "rank %d: %s, not %s", rank, r[rank].e.message, words);
    }
}

TEST(a_batch_that_ranks_cannot_share_is_refused) {
    run_of_ranks r[5] = {{.config = plain(), .precision = NNCLR_PRECISION_F64}};
    make_shard(scratch("pictures.tar.zst"), -1);
    check_refused(r, 5, "odd", NNCLR_ERROR_USAGE,
                  "a batch of 24 cannot be shared by 5 ranks: give --batch 25");
    r[0].config.micro_batch = 12;
    check_refused(r, 4, "odd", NNCLR_ERROR_USAGE,
                  "the 6 pictures of each of 4 ranks cannot be cut into micro-batches of 12");
}

TEST(a_damaged_record_ends_all) {
    run_of_ranks r[4] = {{.config = plain(), .precision = NNCLR_PRECISION_F64}};
    make_shard(scratch("bad.tar.zst"), BAD);
    r[0].shard = scratch("bad.tar.zst");
    r[0].config.steps = 10;
    check_refused(r, 4, "damaged", NNCLR_ERROR_INPUT, "record 11 ");
    CHECK_SAYS(strncmp(r[1].e.message, "rank ", 5) == 0, "%s", r[1].e.message);
    CHECK(strstr(r[0].e.message, "the checkpoint of step"));
}

/* Whatever message it is, none waits for another for ever, and who failed knows why. */
TEST(a_rank_that_fails_in_mid_step_ends_all) {
    make_shard(scratch("pictures.tar.zst"), -1);
    for (int message = 1; message < 100; message += 7) {
        run_of_ranks r[4] = {
            {.config = plain(), .precision = NNCLR_PRECISION_F64, .breaks = message}};
        run_all(r, 4, "broken");
        for (int rank = 0; rank < 4; rank++)
            CHECK_SAYS(!r[rank].ok && !r[rank].agreed &&
                           strstr(r[rank].e.message,
                                  rank < 2 ? "another rank ended with 1" : "out of memory"),
                       "message %d, rank %d: %s", message, rank, r[rank].e.message);
    }
}

TEST(drift_is_an_error) {
    run_of_ranks r[3] = {
        {.config = plain(), .precision = NNCLR_PRECISION_F64, .drifts = true, .stop = 1}};
    make_shard(scratch("pictures.tar.zst"), -1);
    check_refused(r, 3, "drift", NNCLR_ERROR_INPUT,
                  "rank 2: the state after step 1 differs from that of rank 0");
}

TEST(other_data_are_refused) {
    run_of_ranks r[2] = {{.config = plain(), .precision = NNCLR_PRECISION_F64}};
    make_shard(scratch("pictures.tar.zst"), -1);
    make_shard(scratch("bad.tar.zst"), BAD);
    r[0].folder = scratch("other");
    r[0].shard = scratch("pictures.tar.zst");
    r[1] = r[0];
    r[1].shard = scratch("bad.tar.zst");
    run_ranks(2, work, r, sizeof *r);
    for (int rank = 0; rank < 2; rank++)
        CHECK_TEXT(r[rank].e.message, "rank 1: the data differs from that of rank 0");
}

int main(void) {
    return check_all();
}
