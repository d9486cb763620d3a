/* The cache of a set of shards takes no memory that is not there. This file says what is there: its
 * functions replace those of base/available_memory.c. */
#include "base/available_memory.h"
#include "io/shard_parts.h"
#include "tests/unit/check.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

enum { RECORDS = 48, RECORD = 1 << 20, LIMIT = 40 << 20 };

static size_t available;

size_t nnclr_memory_available(void) {
    return available;
}

size_t nnclr_memory_available_in_cgroups(const char *membership, const char *root) {
    (void)membership, (void)root;
    return available;
}

size_t nnclr_memory_held(void) {
    return 0;
}

/* A frame for each record. */
static const char *make(void) {
    static unsigned char bytes[RECORD];
    const char *path = scratch("large.tar.zst");
    nnclr_shard_options options = {.output = path, .program = "test 1", .level = 1};
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    CHECK_OK(writer);
    for (int i = 0; i < RECORDS; i++) {
        nnclr_record record = {
            .name = "x.ppm", .label = -1, .width = 1, .height = 1, .size = sizeof bytes};
        memset(bytes, i, sizeof bytes);
        CHECK_OK(nnclr_shard_writer_add(writer, -1, &record, bytes, &e));
    }
    CHECK_OK(nnclr_shard_writer_commit(writer, &e));
    return path;
}

static void read_all(nnclr_shard_set *set) {
    nnclr_buffer bytes = {0};
    for (int i = 0; i < RECORDS; i++) {
        CHECK_OK(nnclr_shard_set_read(set, (size_t)i, &bytes, &e));
        CHECK(bytes.size == RECORD && bytes.data[0] == i && bytes.data[RECORD - 1] == i);
    }
    nnclr_buffer_free(&bytes);
}

/* Frames that the second of two passes has to read again. */
static int read_again(const char *path, uint64_t cache, size_t first, size_t second) {
    nnclr_shard_set *set = nnclr_shard_set_open(&path, 1, cache, &e);
    CHECK_OK(set);
    available = first;
    read_all(set);
    uint64_t frames = nnclr_shard_set_frames_read(set);
    CHECK(frames == RECORDS);
    available = second;
    read_all(set);
    frames = nnclr_shard_set_frames_read(set) - frames;
    nnclr_shard_set_close(set);
    return (int)frames;
}

TEST(the_cache_leaves_memory_to_others) {
    const char *path = make();
    CHECK(read_again(path, UINT64_MAX, SIZE_MAX, SIZE_MAX) == 0);
    CHECK(read_again(path, LIMIT, SIZE_MAX, SIZE_MAX) == RECORDS - LIMIT / RECORD + 1);
    /* What it took before it looked stays; it does not grow again. */
    int kept = (16 << 20) / RECORD - 1;
    CHECK(read_again(path, UINT64_MAX, (256 << 20) - 1, SIZE_MAX) == RECORDS - kept);
    CHECK(read_again(path, UINT64_MAX, 256 << 20, SIZE_MAX) == 0);
    /* If it is short of memory later, it keeps what it has. */
    CHECK(read_again(path, UINT64_MAX, SIZE_MAX, 0) == 0);
}

int main(void) {
    return check_all();
}
