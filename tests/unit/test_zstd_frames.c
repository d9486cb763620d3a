#include "io/zstd_frames.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include "base/memory.h"
#include "tests/unit/check.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

/* Text that compresses, different for each seed. */
static void fill(unsigned char *bytes, size_t size, unsigned seed) {
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)("abcdefgh"[(i * i / 7 + seed) % 8]);
}

TEST(frames_hold_size_and_checksum) {
    static unsigned char bytes[200000], back[200000];
    static const size_t sizes[] = {0, 1, 255, 256, 70000, sizeof bytes};
    fill(bytes, sizeof bytes, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        nnclr_buffer frame = {0};
        size_t content;
        CHECK_OK(nnclr_frame_compress(bytes, sizes[i], 3, &frame, &e));
        CHECK(frame.size <= nnclr_frame_bound(sizes[i]));
        CHECK(ZSTD_getFrameContentSize(frame.data, frame.size) == sizes[i]);
        CHECK((frame.data[4] & 4) != 0);
        CHECK(nnclr_frame_content(frame.data, frame.size, &content, &e) && content == sizes[i]);
        CHECK(nnclr_frame_decompress(frame.data, frame.size, back, sizes[i], &e));
        CHECK(memcmp(bytes, back, sizes[i]) == 0);
        CHECK(!nnclr_frame_decompress(frame.data, frame.size, back, sizes[i] + 1, &e));
        CHECK(!nnclr_frame_decompress(frame.data, frame.size - 1, back, sizes[i], &e));
        CHECK_OK(nnclr_frame_compress(bytes, 5, 3, &frame, &e));
        CHECK(!nnclr_frame_decompress(frame.data, frame.size, back, sizes[i], &e)); /* two frames */
        nnclr_buffer_free(&frame);
    }
}

TEST(frames_of_others_are_refused) {
    static unsigned char bytes[1000], frame[2000], back[1000];
    size_t content;
    size_t size = ZSTD_compress(frame, sizeof frame, bytes, sizeof bytes, 1);
    CHECK_FAILS_WITH(nnclr_frame_content(frame, size, &content, &e),
                     "a zstd frame without checksum");
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 0);
    size = ZSTD_compress2(zstd, frame, sizeof frame, bytes, sizeof bytes);
    ZSTD_freeCCtx(zstd);
    CHECK_FAILS_WITH(nnclr_frame_decompress(frame, size, back, sizeof bytes, &e),
                     "a zstd frame without content size");
    CHECK_FAILS_WITH(nnclr_frame_content("PK\3\4abcdefgh", 12, &content, &e),
                     "no zstd frame where one must be");
}

/* Three frames, a skippable one between them, and a table over all. */
static nnclr_buffer make_file(nnclr_seek_table *table) {
    static const size_t sizes[] = {1000, 70000, 0, 5};
    static unsigned char bytes[70000];
    nnclr_buffer file = {0};
    for (size_t i = 0; i < 4; i++) {
        size_t before = file.size;
        fill(bytes, sizes[i], (unsigned)i);
        if (sizes[i] > 0)
            CHECK_OK(nnclr_seek_table_compress(table, bytes, sizes[i], 1, &file, &e));
        else
            CHECK(nnclr_skippable_append(0x184D2A5A, "something", 9, &file, &e) &&
                  nnclr_seek_table_add(table, file.size - before, 0, NNCLR_EMPTY_CHECKSUM, &e));
    }
    CHECK_OK(nnclr_seek_table_append(table, &file, &e));
    return file;
}

static nnclr_seek_state look(const void *bytes, size_t size, nnclr_seek_table *table) {
    const char *path = scratch("seek");
    e = (nnclr_error)NNCLR_NO_ERROR;
    scratch_write(path, bytes, size);
    int fd = open(path, O_RDONLY);
    nnclr_seek_state state = nnclr_seek_table_read(fd, size, "seek", table, &e);
    close(fd);
    return state;
}

static bool same_frame(const nnclr_frame *a, const nnclr_frame *b) {
    return a->offset == b->offset && a->start == b->start && a->compressed == b->compressed &&
           a->decompressed == b->decompressed && a->checksum == b->checksum;
}

/* The layout by hand, as zstd's contrib/seekable_format describes it. */
TEST(the_table_is_the_seekable_format) {
    nnclr_seek_table table = {0}, read = {0};
    nnclr_buffer file = make_file(&table);
    const unsigned char *footer = file.data + file.size - 9;
    CHECK(nnclr_load_u32(footer) == 4 && footer[4] == 0x80);
    CHECK(nnclr_load_u32(footer + 5) == 0x8F92EAB1);
    const unsigned char *head = file.data + file.size - 9 - 4 * 12 - 8;
    CHECK(nnclr_load_u32(head) == 0x184D2A5E && nnclr_load_u32(head + 4) == 4 * 12 + 9);
    CHECK(nnclr_load_u32(head + 8 + 2 * 12) == 17 && nnclr_load_u32(head + 8 + 2 * 12 + 4) == 0);
    uint64_t offset = 0;
    for (int i = 0; i < 4; i++) {
        const unsigned char *entry = head + 8 + 12 * i;
        offset += nnclr_load_u32(entry);
        if (i != 2) /* the frame's trailer is the checksum */
            CHECK(nnclr_load_u32(entry + 8) == nnclr_load_u32(file.data + offset - 4));
    }
    CHECK(offset == (uint64_t)(head - file.data));

    CHECK(look(file.data, file.size, &read) == NNCLR_SEEK_FOUND);
    CHECK(read.count == 4 && !read.unchecked);
    for (size_t i = 0; i < 4; i++)
        CHECK(same_frame(&read.frames[i], &table.frames[i]));
    CHECK(read.frames[3].start == 71000 && read.frames[1].offset == read.frames[0].compressed);

    int fd = open(scratch("seek"), O_RDONLY);
    unsigned char five[5], must[5];
    fill(must, 5, 3);
    CHECK_OK(nnclr_seek_table_load(&read, 3, fd, "seek", five, &e) && memcmp(five, must, 5) == 0);
    read.frames[3].checksum ^= 1;
    CHECK_FAILS(nnclr_seek_table_load(&read, 3, fd, "seek", five, &e),
                "does not have the checksum");
    close(fd);
    nnclr_seek_table_free(&read);
    nnclr_seek_table_free(&table);
    nnclr_buffer_free(&file);
}

TEST(where_there_is_no_whole_table) {
    nnclr_seek_table table = {0}, read = {0};
    nnclr_buffer file = make_file(&table), twice = {0};
    CHECK(nnclr_buffer_append(&twice, file.data, file.size, &e) &&
          nnclr_buffer_append(&twice, file.data, file.size, &e));
    CHECK(look(twice.data, twice.size, &read) == NNCLR_SEEK_PART && read.count == 0);
    CHECK(look(file.data, 3, &read) == NNCLR_SEEK_ABSENT);
    for (size_t size = 0; size < file.size; size += 11) /* a cut file has none */
        CHECK(look(file.data, size, &read) == NNCLR_SEEK_ABSENT);
    CHECK(look(file.data + 9, file.size - 9, &read) == NNCLR_SEEK_FAILED);
    CHECK_SAYS(strstr(e.message, "covers more than the file holds"), "%s", e.message);

    static const struct {
        size_t back; /* from the end */
        unsigned char flip;
        const char *message;
    } cases[] = {
        {9, 1, "is damaged"},          /* number of frames */
        {7, 0x7F, "is damaged"},       /* far more frames than the file has bytes */
        {5, 4, "is damaged"},          /* reserved bit */
        {5, 0x80, "is damaged"},       /* no checksums */
        {9 + 48 + 8, 1, "is damaged"}, /* magic of the frame */
        {9 + 48 + 4, 1, "is damaged"}, /* its size */
        {9 + 45, 0x40, "covers more"}, /* the first frame's compressed size */
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        file.data[file.size - cases[c].back] ^= cases[c].flip;
        CHECK_SAYS(look(file.data, file.size, &read) == NNCLR_SEEK_FAILED, "case %zu", c);
        CHECK_SAYS(strstr(e.message, cases[c].message), "case %zu: %s", c, e.message);
        CHECK(read.count == 0 && read.frames == NULL);
        file.data[file.size - cases[c].back] ^= cases[c].flip;
    }
    nnclr_seek_table_free(&table);
    nnclr_buffer_free(&file);
    nnclr_buffer_free(&twice);
}

static bool spool(const void *bytes, size_t size, nnclr_buffer *out) {
    const char *from = scratch("from"), *to = scratch("to");
    uint64_t written = 0;
    scratch_write(from, bytes, size);
    int in = open(from, O_RDONLY), file = open(to, O_RDWR | O_CREAT | O_TRUNC, 0600);
    bool ok = nnclr_zstd_spool(in, file, "stream", &written, &e);
    close(in);
    close(file);
    *out = scratch_read(to);
    CHECK(!ok || written == out->size);
    return ok;
}

TEST(streams_are_spooled) {
    nnclr_seek_table table = {0};
    nnclr_buffer file = make_file(&table), out;
    static unsigned char must[70000];

    CHECK_SAYS(spool(file.data, file.size, &out), "%s", e.message);
    CHECK(out.size == 71005);
    fill(must, 1000, 0);
    CHECK(memcmp(out.data, must, 1000) == 0);
    fill(must, 70000, 1);
    CHECK(memcmp(out.data + 1000, must, 70000) == 0);
    nnclr_buffer_free(&out);

    CHECK(!spool("plain bytes", 11, &out));
    nnclr_buffer_free(&out);
    CHECK_OK(spool("", 0, &out) && out.size == 0);
    nnclr_buffer_free(&out);

    size_t borders = 0;
    for (size_t size = 5; size < file.size; size++) {
        borders += spool(file.data, size, &out);
        nnclr_buffer_free(&out);
    }
    CHECK_SAYS(borders == 4, "%zu", borders); /* between frames a cut cannot be seen here */
    file.data[table.frames[1].offset + table.frames[1].compressed - 1] ^= 1; /* its checksum */
    CHECK_FAILS(spool(file.data, file.size, &out), "stream: damaged zstd stream");
    nnclr_buffer_free(&out);
    nnclr_seek_table_free(&table);
    nnclr_buffer_free(&file);
}

TEST(frames_are_fetched_one_by_one) {
    nnclr_seek_table table = {0};
    nnclr_buffer file = make_file(&table), frame = {0};
    const char *path = scratch("fetch");
    scratch_write(path, file.data, file.size);
    int fd = open(path, O_RDONLY);
    for (size_t i = 0; i < table.count; i++) {
        CHECK(nnclr_frame_fetch(fd, file.size, table.frames[i].offset, 1 << 20, path, &frame, &e));
        CHECK(frame.size == table.frames[i].compressed);
        CHECK(memcmp(frame.data, file.data + table.frames[i].offset, frame.size) == 0);
    }
    uint64_t second = table.frames[1].offset;
    CHECK(nnclr_frame_fetch(fd, file.size, second, 10, path, &frame, &e) && frame.size == 0);
    CHECK_FAILS(nnclr_frame_fetch(fd, second + 20, second, 1 << 20, path, &frame, &e), "truncated");
    CHECK(!nnclr_frame_fetch(fd, file.size, 1, 1 << 20, path, &frame, &e));
    close(fd);
    nnclr_buffer_free(&frame);
    nnclr_seek_table_free(&table);
    nnclr_buffer_free(&file);
}

int main(void) {
    return check_all();
}
