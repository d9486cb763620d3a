/* What opening a shard of many records costs: time and memory of the index. */
#include "io/shard.h"

#include <malloc.h>
#include <time.h>

#include "tests/unit/check.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

/* Bytes per record, of which its name here is 26; microseconds per record, of which a fifth of one
 * is usual: the rest is for sanitisers and slow machines. */
enum { MOST_BYTES = 80, SLOWNESS = 5 };

/* NNCLR_RECORDS=1000000 measures more. */
static int64_t record_count(void) {
    const char *text = getenv("NNCLR_RECORDS");
    return text ? atoll(text) : 100000;
}

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void write_many(const char *path, int64_t count) {
    static const char *const classes[] = {"a", "b", "c"};
    nnclr_shard_options options = {
        .output = path, .classes = classes, .class_count = 3, .program = "test 1", .level = 1};
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    CHECK_OK(writer);
    for (int64_t i = 0; i < count; i++) {
        char name[40], bytes[16];
        snprintf(name, sizeof name, "class/picture-%07lld.ppm", (long long)i);
        memcpy(bytes, "P6 1 1 255\n", 11);
        memcpy(bytes + 11, &i, 3);
        nnclr_record record = {.name = name,
                               .label = i % 3,
                               .width = 1,
                               .height = 1,
                               .codec = NNCLR_CODEC_PPM,
                               .size = 14};
        CHECK_OK(nnclr_shard_writer_add(writer, -1, &record, bytes, &e));
    }
    CHECK_OK(nnclr_shard_writer_commit(writer, &e));
}

TEST(opens_many_records) {
    const char *path = scratch("large.tar.zst");
    int64_t count = record_count();
    write_many(path, count);
    malloc_trim(0);
    struct mallinfo2 before = mallinfo2();
    double start = processor_seconds();
    nnclr_shard_set *set = nnclr_shard_set_open(&path, 1, 0, &e);
    double seconds = processor_seconds() - start;
    CHECK_OK(set);
    struct mallinfo2 after = mallinfo2();
    double bytes = (double)(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd);
    if (getenv("CHECK_VERBOSE"))
        printf("# %lld records: %.3f s, %.1f bytes a record\n", (long long)count, seconds,
               bytes / (double)count);
    CHECK(nnclr_shard_set_count(set) == (size_t)count);
    CHECK_SAYS(bytes <= MOST_BYTES * (double)count, "%.1f bytes a record", bytes / (double)count);
    CHECK_SAYS(seconds <= SLOWNESS * 1e-6 * (double)count, "%.3f s", seconds);
    const nnclr_record last = nnclr_shard_set_record(set, (size_t)count - 1);
    CHECK(last.label == (count - 1) % 3 && last.size == 14 && last.width == 1);
    nnclr_buffer bytes_of = {0};
    CHECK_OK(nnclr_shard_set_read(set, (size_t)count - 1, &bytes_of, &e));
    CHECK(memcmp(bytes_of.data + 11, &(int64_t){count - 1}, 3) == 0);
    nnclr_buffer_free(&bytes_of);
    nnclr_shard_set_close(set);
}

int main(void) {
    return check_all();
}
