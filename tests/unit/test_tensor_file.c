#include "io/tensor_file.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/zstd_frames.h"
#include "tests/unit/check.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

/* 9 MiB and some: the data need two frames, and "b" is across their border. */
enum { BIG = (8 << 20) - 100, B_ROWS = 1000 };

static const nnclr_tensor_info infos[] = {
    {"a.weight", NNCLR_U8, 1, {BIG}},    {"b", NNCLR_F32, 2, {B_ROWS, 3}},
    {"none", NNCLR_I64, 3, {4, 0, 2}},   {"scalar", NNCLR_F64, 0, {0}},
    {"m\xC3\xB6we", NNCLR_BF16, 1, {3}},
};
enum { COUNT = sizeof infos / sizeof *infos };

static unsigned char byte_at(size_t i) {
    return (unsigned char)(i * 2654435761u >> 13);
}

static size_t total_bytes(void) {
    size_t total = 0;
    for (size_t i = 0; i < COUNT; i++)
        total += nnclr_tensor_bytes(&infos[i]);
    return total;
}

static nnclr_tensor_writer *begin(const char *path) {
    nnclr_json *metadata = nnclr_json_object(&e);
    CHECK(nnclr_json_put_string(metadata, "nnclr.config", "{\"arch\":\"x\"}", &e) &&
          nnclr_json_put_string(metadata, "nnclr.kind", "ours rules", &e));
    nnclr_tensor_writer *writer =
        nnclr_tensor_writer_open(path, "checkpoint", "test 1", metadata, infos, COUNT, &e);
    nnclr_json_free(metadata);
    return writer;
}

static const char *make(const char *name) {
    const char *path = scratch(name);
    nnclr_tensor_writer *writer = begin(path);
    CHECK_OK(writer);
    static unsigned char piece[77777];
    size_t total = total_bytes();
    for (size_t at = 0; at < total;) {
        size_t size = total - at < sizeof piece ? total - at : sizeof piece;
        for (size_t i = 0; i < size; i++)
            piece[i] = byte_at(at + i);
        CHECK_OK(nnclr_tensor_writer_put(writer, piece, size, &e));
        at += size;
    }
    CHECK_OK(nnclr_tensor_writer_commit(writer, &e));
    return path;
}

static nnclr_tensor_reader *open_reader(const char *path) {
    nnclr_tensor_reader *reader = nnclr_tensor_reader_open(path, &e);
    CHECK_OK(reader);
    return reader;
}

static void check_bytes(const unsigned char *bytes, size_t start, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != byte_at(start + i))
            CHECK_SAYS(false, "byte %zu differs", start + i);
}

static void check_reader(nnclr_tensor_reader *reader) {
    CHECK(nnclr_tensor_reader_count(reader) == COUNT);
    CHECK_TEXT(nnclr_tensor_reader_metadata(reader, "format"), "pt");
    CHECK_TEXT(nnclr_tensor_reader_metadata(reader, "nnclr.kind"), "checkpoint");
    CHECK_TEXT(nnclr_tensor_reader_metadata(reader, "nnclr.format"), "1");
    CHECK_TEXT(nnclr_tensor_reader_metadata(reader, "nnclr.program"), "test 1");
    CHECK_TEXT(nnclr_tensor_reader_metadata(reader, "nnclr.config"), "{\"arch\":\"x\"}");
    CHECK(!nnclr_tensor_reader_metadata(reader, "absent"));
    size_t start = 0;
    for (size_t i = 0; i < COUNT; i++) {
        const nnclr_tensor_info *is = nnclr_tensor_reader_info(reader, i);
        CHECK_TEXT(is->name, infos[i].name);
        CHECK(is->dtype == infos[i].dtype && is->rank == infos[i].rank);
        for (int d = 0; d < is->rank; d++)
            CHECK(is->dims[d] == infos[i].dims[d]);
        CHECK(nnclr_tensor_reader_find(reader, infos[i].name) == is);
        nnclr_tensor_info got;
        unsigned char *data =
            nnclr_tensor_reader_load(reader, is->name, is->dtype, is->rank, is->dims, &got, &e);
        CHECK_OK(data);
        check_bytes(data, start, nnclr_tensor_bytes(&got));
        nnclr_free(data);
        start += nnclr_tensor_bytes(is);
    }
    CHECK(!nnclr_tensor_reader_find(reader, "c"));
    /* pieces, back and forth, over the border of two frames */
    const nnclr_tensor_info *b = nnclr_tensor_reader_find(reader, "b");
    unsigned char piece[4096];
    for (size_t k = 0; k < 40; k++) {
        size_t skip = k * 7919 % (B_ROWS * 12), size = (B_ROWS * 12 - skip) % sizeof piece;
        CHECK_OK(nnclr_tensor_reader_read(reader, b, skip, piece, size, &e));
        check_bytes(piece, BIG + skip, size);
    }
    CHECK(!nnclr_tensor_reader_read(reader, b, B_ROWS * 12 - 3, piece, 4, &e));
    CHECK_OK(nnclr_tensor_reader_read(reader, b, B_ROWS * 12, piece, 0, &e));
}

TEST(round_trip) {
    static const char *const names[] = {"x.safetensors.zst", "x.safetensors"};
    for (size_t i = 0; i < 2; i++) {
        nnclr_tensor_reader *reader = open_reader(make(names[i]));
        check_reader(reader);
        nnclr_tensor_reader_close(reader);
    }
    nnclr_buffer plain = scratch_read(scratch("x.safetensors"));
    CHECK(nnclr_load_u64(plain.data) % 8 == 0 && plain.data[8] == '{');
    CHECK(plain.size == 8 + nnclr_load_u64(plain.data) + total_bytes());
    nnclr_buffer_free(&plain);
}

/* One frame for the header, frames of at most 8 MiB for the data, the seek table. */
TEST(layout) {
    const char *path = make("layout.safetensors.zst");
    nnclr_seek_table table = {0};
    nnclr_buffer bytes = scratch_read(path);
    int fd = open(path, O_RDONLY);
    CHECK_OK(nnclr_seek_table_read(fd, bytes.size, path, &table, &e) == NNCLR_SEEK_FOUND);
    close(fd);
    CHECK(table.count == 3);
    CHECK(table.frames[0].decompressed % 8 == 0);
    CHECK(table.frames[1].decompressed == 8 << 20);
    CHECK(table.frames[1].decompressed + table.frames[2].decompressed == total_bytes());
    nnclr_seek_table_free(&table);
    nnclr_buffer_free(&bytes);
}

TEST(recompressed_and_piped) {
    make("y.safetensors.zst");
    if (!scratch_run("zstd -dc y.safetensors.zst >y.safetensors && zstd -q y.safetensors -o z.zst "
                     "&& head -c 5000000 y.safetensors | zstd -q >two.zst "
                     "&& tail -c +5000001 y.safetensors | zstd -q >>two.zst"))
        SKIP("no zstd");
    static const char *const names[] = {"y.safetensors", "z.zst", "two.zst"};
    for (size_t i = 0; i < 3; i++) {
        nnclr_tensor_reader *reader = open_reader(scratch(names[i]));
        check_reader(reader);
        nnclr_tensor_reader_close(reader);
    }
    int ends[2], saved = dup(STDIN_FILENO), status;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execlp("cat", "cat", scratch("y.safetensors.zst"), (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    nnclr_tensor_reader *reader = open_reader("-");
    CHECK_TEXT(nnclr_tensor_reader_path(reader), "standard input");
    check_reader(reader);
    nnclr_tensor_reader_close(reader);
    dup2(saved, STDIN_FILENO);
    close(saved);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* Other writers of seek tables leave out the frames' own checksums and sizes. */
TEST(frames_without_checksums) {
    make("bare.safetensors");
    if (!scratch_run("zstd -q --no-check <bare.safetensors >bare.zst"))
        SKIP("no zstd");
    nnclr_seek_table table = {0};
    nnclr_buffer plain = scratch_read(scratch("bare.safetensors"));
    nnclr_buffer file = scratch_read(scratch("bare.zst"));
    CHECK(!nnclr_frame_is_checked(file.data));
    CHECK(nnclr_seek_table_add(&table, file.size, plain.size, 0, &e));
    CHECK_OK(nnclr_seek_table_append(&table, &file, &e));
    scratch_write(scratch("bare.zst"), file.data, file.size);
    nnclr_tensor_reader *reader = open_reader(scratch("bare.zst"));
    check_reader(reader);
    nnclr_tensor_reader_close(reader);
    nnclr_seek_table_free(&table);
    nnclr_buffer_free(&file);
    nnclr_buffer_free(&plain);
}

TEST(wrong_use_is_refused) {
    const char *path = scratch("short.safetensors.zst");
    nnclr_tensor_writer *writer = begin(path);
    CHECK_OK(nnclr_tensor_writer_put(writer, "x", 1, &e));
    CHECK_FAILS(nnclr_tensor_writer_commit(writer, &e), "1 of ");
    CHECK(access(path, F_OK) != 0);

    nnclr_tensor_info one = {"x", NNCLR_U8, 1, {2}};
    writer = nnclr_tensor_writer_open(path, "k", "p", NULL, &one, 1, &e);
    CHECK_FAILS_AS(nnclr_tensor_writer_put(writer, "abc", 3, &e), NNCLR_ERROR_USAGE);
    nnclr_tensor_writer_abandon(writer);
    CHECK(access(path, F_OK) != 0);

    nnclr_tensor_info bad[] = {one, one};
    CHECK_FAILS(nnclr_tensor_writer_open(path, "k", "p", NULL, bad, 2, &e),
                "a second tensor \"x\"");
    bad[0].rank = 3;
    bad[0].dims[0] = bad[0].dims[1] = bad[0].dims[2] = (int64_t)1 << 31;
    CHECK_FAILS_AS(nnclr_tensor_writer_open(path, "k", "p", NULL, bad, 1, &e), NNCLR_ERROR_LIMIT);
    CHECK(!nnclr_tensor_writer_open(scratch("no/such/folder"), "k", "p", NULL, &one, 1, &e));
}

TEST(messages_name_what_differs) {
    nnclr_tensor_reader *reader = open_reader(make("m.safetensors"));
    static const int64_t dims[] = {-1, 4};
    CHECK_OK(nnclr_tensor_reader_expect(reader, "checkpoint", &e));
    CHECK_FAILS(nnclr_tensor_reader_expect(reader, "embedding", &e),
                ": is a checkpoint file, not an embedding file");
    CHECK_FAILS(nnclr_tensor_reader_load(reader, "b", NNCLR_F32, 2, dims, NULL, &e),
                "tensor \"b\" is F32 [1000, 3], not F32 [any, 4]");
    CHECK_FAILS(nnclr_tensor_reader_load(reader, "b", NNCLR_F64, 1, dims, NULL, &e),
                "is F32 [1000, 3], not F64 [any]");
    CHECK_FAILS(nnclr_tensor_reader_load(reader, "q", NNCLR_F32, 2, dims, NULL, &e),
                "holds no tensor \"q\"");
    nnclr_tensor_reader_close(reader);
}

/* ---- damage ---- */

static nnclr_buffer small_file(const char *name) {
    static const nnclr_tensor_info two[] = {{"w", NNCLR_F32, 2, {20, 3}}, {"n", NNCLR_U8, 1, {10}}};
    unsigned char data[250];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = byte_at(i);
    nnclr_tensor_writer *writer =
        nnclr_tensor_writer_open(scratch(name), "embedding", "test 1", NULL, two, 2, &e);
    CHECK_OK(writer && nnclr_tensor_writer_put(writer, data, sizeof data, &e) &&
             nnclr_tensor_writer_commit(writer, &e));
    return scratch_read(scratch(name));
}

/* Refused, or read as what it was. */
static bool refused(const nnclr_buffer *bytes, size_t size) {
    const char *path = scratch("damaged");
    scratch_write(path, bytes->data, size);
    e = (nnclr_error)NNCLR_NO_ERROR;
    nnclr_tensor_reader *reader = nnclr_tensor_reader_open(path, &e);
    bool failed = reader == NULL;
    unsigned char data[250];
    if (reader) {
        const nnclr_tensor_info *w = nnclr_tensor_reader_find(reader, "w");
        const nnclr_tensor_info *n = nnclr_tensor_reader_find(reader, "n");
        CHECK(w && n);
        failed = !nnclr_tensor_reader_read(reader, w, 0, data, 240, &e) ||
                 !nnclr_tensor_reader_read(reader, n, 0, data + 240, 10, &e);
        if (!failed)
            check_bytes(data, 0, sizeof data);
    }
    CHECK(!failed || strlen(e.message) > 10);
    nnclr_tensor_reader_close(reader);
    return failed;
}

TEST(flips_and_cuts_are_refused) {
    nnclr_buffer bytes = small_file("d.safetensors.zst");
    size_t flips = 0, cuts = 0;
    for (size_t at = 0; at < bytes.size; at++) {
        unsigned char bit = (unsigned char)(1u << at % 8);
        bytes.data[at] ^= bit;
        flips += !refused(&bytes, bytes.size);
        bytes.data[at] ^= bit;
        cuts += !refused(&bytes, at);
    }
    /* without a seek table the document is whole; a few flips in zstd's own bits change nothing */
    CHECK_SAYS(flips < 20 && cuts == 1, "%zu flips, %zu cuts", flips, cuts);
    nnclr_buffer_free(&bytes);
    bytes = small_file("d.safetensors");
    for (size_t size = 0; size < bytes.size; size++)
        CHECK(refused(&bytes, size));
    CHECK_OK(nnclr_buffer_append(&bytes, "x", 1, &e));
    CHECK(refused(&bytes, bytes.size));
    nnclr_buffer_free(&bytes);
}

/* Headers by hand, with ten bytes of data after them. */
TEST(hostile_headers_are_refused) {
    static const struct {
        const char *json, *message; /* NULL: it is sound */
    } cases[] = {
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[10],\"data_offsets\":[0,10]}}", NULL},
        {"{\"x\":{\"dtype\":\"I16\",\"shape\":[4],\"data_offsets\":[2,10]},"
         "\"y\":{\"dtype\":\"U8\",\"shape\":[2,1],\"data_offsets\":[0,2]}}",
         NULL},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[10],\"data_offsets\":[0,10]},"
         "\"__metadata__\":{\"nnclr.format\":\"2\"}}",
         "is of format 2"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[10],\"data_offsets\":[0,10]},"
         "\"__metadata__\":{\"nnclr.format\":\"one\"}}",
         "not a format number"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[10],\"data_offsets\":[0,10]},"
         "\"__metadata__\":{\"a\":1}}",
         "metadata \"a\" is not a string"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[0,9]}}", "1 bytes follow"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[11],\"data_offsets\":[0,11]}}", "truncated"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[0,10]}}", "does not fit"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[1,10]}}", "begin at 1"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[6],\"data_offsets\":[0,6]},"
         "\"y\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[5,10]}}",
         "begin at 5, not at 6"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}",
         "does not fit"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[-10],\"data_offsets\":[0,10]}}", "not a size"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[10.0],\"data_offsets\":[0,10]}}", "not a size"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,10],\"data_offsets\":[0,10]}}",
         "rank 9"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[10],\"data_offsets\":[10,0]}}", "not a pair"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[10],\"data_offsets\":[0]}}", "not a pair"},
        {"{\"x\":{\"dtype\":\"Z9\",\"shape\":[10],\"data_offsets\":[0,10]}}", "\"Z9\""},
        {"{\"x\":{\"shape\":[10],\"data_offsets\":[0,10]}}", "\"dtype\" is missing"},
        {"{\"x\":7}", "\"dtype\" is missing"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[10],\"data_offsets\":[0,10]},"
         "\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
         "not valid JSON"},
        {"{x", "not valid JSON"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        nnclr_buffer file = {0};
        unsigned char length[8];
        nnclr_store_u64(length, strlen(cases[c].json));
        CHECK_OK(nnclr_buffer_append(&file, length, 8, &e) &&
                 nnclr_buffer_printf(&file, &e, "%s0123456789", cases[c].json));
        const char *path = scratch("hostile.safetensors");
        scratch_write(path, file.data, file.size);
        e = (nnclr_error)NNCLR_NO_ERROR;
        nnclr_tensor_reader *reader = nnclr_tensor_reader_open(path, &e);
        CHECK_SAYS((reader == NULL) == (cases[c].message != NULL), "case %zu: %s", c, e.message);
        if (cases[c].message)
            CHECK_SAYS(strstr(e.message, cases[c].message), "case %zu: %s", c, e.message);
        nnclr_tensor_reader_close(reader);
        nnclr_buffer_free(&file);
    }
    scratch_write(scratch("long.safetensors"), "\377\377\377\377\377\377\377\377{}", 10);
    CHECK(!nnclr_tensor_reader_open(scratch("long.safetensors"), &e));
    scratch_write(scratch("two.safetensors"), "\0\0\0\1\0\0\0\0{}", 10);
    CHECK(!nnclr_tensor_reader_open(scratch("two.safetensors"), &e));
}

/* The order of the data counts, not that of the JSON. */
TEST(tensors_come_in_file_order) {
    static const char json[] = "{\"x\":{\"dtype\":\"I16\",\"shape\":[4],\"data_offsets\":[2,10]},"
                               "\"y\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}";
    nnclr_buffer file = {0};
    unsigned char length[8], y[2];
    nnclr_store_u64(length, sizeof json - 1);
    CHECK_OK(nnclr_buffer_append(&file, length, 8, &e) &&
             nnclr_buffer_printf(&file, &e, "%s0123456789", json));
    const char *path = scratch("order.safetensors");
    scratch_write(path, file.data, file.size);
    nnclr_tensor_reader *reader = open_reader(path);
    CHECK_TEXT(nnclr_tensor_reader_info(reader, 0)->name, "y");
    CHECK_OK(nnclr_tensor_reader_read(reader, nnclr_tensor_reader_find(reader, "y"), 0, y, 2, &e));
    CHECK(y[0] == '0' && y[1] == '1');
    nnclr_tensor_reader_close(reader);

    nnclr_tensor_header header;
    size_t need;
    e = (nnclr_error)NNCLR_NO_ERROR;
    CHECK(!nnclr_tensor_header_parse(file.data, 7, "h", &header, &need, &e) && need == 8);
    CHECK(!nnclr_tensor_header_parse(file.data, 8, "h", &header, &need, &e));
    CHECK(need == 8 + sizeof json - 1 && e.code == NNCLR_OK);
    CHECK(nnclr_tensor_header_parse(file.data, need, "h", &header, &need, &e));
    CHECK(header.data_bytes == 10 && header.offsets[1] == 2 && !header.metadata);
    nnclr_tensor_header_free(&header);
    nnclr_buffer_free(&file);
}

int main(void) {
    return check_all();
}
