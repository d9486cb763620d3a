/* A training run allocates nothing between its first step and its last: this program's own malloc,
 * calloc, realloc, aligned_alloc, posix_memalign and mmap count, whoever calls them (OpenBLAS and
 * the other libraries too). On the threads that train there is no exception; a line of the metrics
 * (jansson) and a checkpoint are not part of a step, and there are none in those that are counted.
 * On the loader's threads two things are allowed:
 *
 * - libjpeg, libpng and zlib make their state anew for each picture;
 * - buffers grow until they have met the largest picture and crop: far fewer calls than pictures.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "image/encode.h"
#include "tests/unit/check.h"
#include "tests/unit/formula_picture.h"
#include "tests/unit/scratch.h"
#include "train/trainer.h"

#ifndef SANITIZED

enum { MOST_CALLS = 1 << 16 };

static _Thread_local bool trains; /* this thread is one of the pool */
static atomic_bool counting;
static atomic_int calls;
static struct {
    void *caller;
    bool trains;
} noted[MOST_CALLS];

static void note(void *caller) {
    if (!atomic_load(&counting))
        return;
    int i = atomic_fetch_add(&calls, 1);
    if (i < MOST_CALLS) {
        noted[i].caller = caller;
        noted[i].trains = trains;
    }
}

extern void *__libc_malloc(size_t bytes), *__libc_calloc(size_t count, size_t size),
    *__libc_realloc(void *old, size_t bytes), *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes) {
    note(__builtin_return_address(0));
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t size) {
    note(__builtin_return_address(0));
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t bytes) {
    note(__builtin_return_address(0));
    return __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    note(__builtin_return_address(0));
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **place, size_t alignment, size_t bytes) {
    note(__builtin_return_address(0));
    void *block = __libc_memalign(alignment, bytes);
    if (!block)
        return ENOMEM;
    *place = block;
    return 0;
}

void *mmap(void *place, size_t bytes, int protection, int flags, int fd, off_t offset) {
    note(__builtin_return_address(0));
    return (void *)syscall(SYS_mmap, place, bytes, protection, flags, fd, offset);
}

enum { THREADS = 2, RECORDS = 80, SIDE = 20, BATCH = 36, STEPS = 6 };

static nnclr_error e;

/* In all three codecs. */
static void add_record(nnclr_shard_writer *writer, int i) {
    char name[32];
    snprintf(name, sizeof name, "%d", i);
    nnclr_record record = {
        .name = name, .label = -1, .width = SIDE, .height = SIDE, .codec = (nnclr_codec)(i % 3)};
    nnclr_buffer bytes = {0};
    nnclr_image image = formula_picture(SIDE, SIDE);
    image.pixels[0] = (uint8_t)i;
    bool ok = record.codec == NNCLR_CODEC_JPEG  ? nnclr_encode_jpeg(&image, 90, &bytes, &e)
              : record.codec == NNCLR_CODEC_PNG ? nnclr_encode_png(&image, &bytes, &e)
                                                : nnclr_encode_ppm(&image, &bytes, &e);
    CHECK_SAYS(ok, "%s", e.message);
    record.size = bytes.size;
    CHECK_SAYS(nnclr_shard_writer_add(writer, -1, &record, bytes.data, &e), "%s", e.message);
    nnclr_image_free(&image);
    nnclr_buffer_free(&bytes);
}

static nnclr_shard_set *make_set(void) {
    const char *path = scratch("pictures.tar.zst");
    nnclr_shard_options options = {.output = path, .program = "test 1", .level = 3};
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    CHECK_SAYS(writer, "%s", e.message);
    for (int i = 0; i < RECORDS; i++)
        add_record(writer, i);
    CHECK_SAYS(nnclr_shard_writer_commit(writer, &e), "%s", e.message);
    nnclr_shard_set *set = nnclr_shard_set_open(&path, 1, 1 << 20, &e);
    CHECK_SAYS(set, "%s", e.message);
    return set;
}

/* Counts from the end of the first step to that of the last but one: the last writes a line and a
 * checkpoint. */
static void on_step(void *context, const nnclr_trainer_report *report) {
    (void)context;
    atomic_store(&counting, report->step >= 1 && report->step < report->total - 1);
}

/* A task for each thread of the pool. */
static void mark(void *barrier, int task, int worker) {
    (void)task, (void)worker;
    trains = true;
    pthread_barrier_wait(barrier);
}

static nnclr_pool *make_pool(void) {
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, THREADS);
    nnclr_pool *pool = nnclr_pool_create(THREADS, &e);
    CHECK_SAYS(pool, "%s", e.message);
    nnclr_pool_for(pool, THREADS, mark, &barrier);
    pthread_barrier_destroy(&barrier);
    return pool;
}

static bool decodes(const char *library) {
    static const char *const decoders[] = {"/libjpeg", "/libpng", "/libz."};
    for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++)
        if (strstr(library, decoders[i]))
            return true;
    return false;
}

static void judge(void) {
    int growths = 0;
    CHECK(calls > RECORDS && calls < MOST_CALLS); /* at least the decoders' were seen */
    for (int i = 0; i < calls; i++) {
        Dl_info where = {0};
        const char *file = dladdr(noted[i].caller, &where) ? where.dli_fname : "an unknown library";
        CHECK_SAYS(!noted[i].trains, "%s allocates in a step, at %#zx", file,
                   (size_t)((char *)noted[i].caller - (char *)where.dli_fbase));
        growths += !decodes(file);
    }
    CHECK_SAYS(growths < STEPS * BATCH / 4, "the loader allocates %d times", growths);
}

static void train(const nnclr_config *config, nnclr_precision precision, const char *folder) {
    nnclr_training_data data = {.set = make_set()};
    nnclr_pool *pool = make_pool();
    nnclr_engine engine;
    CHECK_SAYS(nnclr_engine_open(&engine, NNCLR_ENGINE_AUTO, precision, pool, &e), "%s", e.message);
    nnclr_run *run = nnclr_run_open(scratch(folder), NNCLR_RUN_NEW, &e);
    CHECK_SAYS(run, "%s", e.message);
    nnclr_run_writer writer = {.run = run, .program = "test 1", .keep = 1};
    nnclr_trainer_options options = {.config = config,
                                     .data = &data,
                                     .engine = &engine,
                                     .writer = &writer,
                                     .threads = THREADS,
                                     .log_every = 10 * STEPS,
                                     .callbacks = {.on_step = on_step}};
    nnclr_trainer *trainer = nnclr_trainer_create(&options, NULL, NULL, &e);
    CHECK_SAYS(trainer, "%s", e.message);
    nnclr_trainer_result result;
    atomic_store(&calls, 0);
    CHECK_SAYS(nnclr_trainer_run(trainer, &result, &e), "%s", e.message);
    CHECK(result.finished && result.step == STEPS);
    nnclr_trainer_free(trainer);
    nnclr_run_writer_free(&writer);
    nnclr_run_close(run);
    nnclr_engine_close(&engine);
    nnclr_pool_free(pool);
    nnclr_training_data_close(&data);
    judge();
}

static nnclr_config config_of(int micro_batch) {
    nnclr_config config = nnclr_config_preset(NNCLR_PRESET_TINY);
    nnclr_config_size(&config, 16);
    config.batch = BATCH;
    config.micro_batch = micro_batch;
    config.method.queue = 2 * BATCH;
    config.steps = STEPS;
    config.warmup_steps = 0;
    return config;
}

TEST(a_step_allocates_nothing_at_f32) {
    nnclr_config config = config_of(0);
    train(&config, NNCLR_PRECISION_F32, "f32");
}

TEST(a_step_allocates_nothing_at_bf16) {
    nnclr_config config = config_of(0);
    train(&config, NNCLR_PRECISION_BF16, "bf16");
}

TEST(a_step_allocates_nothing_at_f64) {
    nnclr_config config = config_of(0);
    train(&config, NNCLR_PRECISION_F64, "f64");
}

TEST(a_step_of_micro_batches_allocates_nothing) {
    nnclr_config config = config_of(BATCH / 3);
    train(&config, NNCLR_PRECISION_F32, "micro");
    train(&config, NNCLR_PRECISION_BF16, "micro-bf16");
}

TEST(a_step_of_simclr_allocates_nothing) {
    nnclr_config config = config_of(0);
    config.objective = NNCLR_OBJECTIVE_SIMCLR;
    config.model.predictor.count = 0;
    train(&config, NNCLR_PRECISION_BF16, "simclr");
}

#else /* the sanitisers have their own malloc */

#define LEFT_OUT(test)                                                                             \
    TEST(test) {                                                                                   \
        SKIP("a sanitiser allocates");                                                             \
    }
LEFT_OUT(a_step_allocates_nothing_at_f32)
LEFT_OUT(a_step_allocates_nothing_at_bf16)
LEFT_OUT(a_step_allocates_nothing_at_f64)
LEFT_OUT(a_step_of_micro_batches_allocates_nothing)
LEFT_OUT(a_step_of_simclr_allocates_nothing)
#endif

int main(void) {
    return check_all();
}
