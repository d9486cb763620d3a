/* Shards: what is written is read back, whatever happened to the file on its way, or refused. */
#include "io/shard.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/shard_parts.h"
#include "io/tensor_file.h"
#include "tests/unit/check.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

enum { SMALL = 7, LARGE = 120 };
static const char *const animals[] = {"zebra", "ape", "m\xC3\xB6we"};

/* ---- made-up records: record i of a test has the same content everywhere ---- */

static size_t size_of(int i, bool large) {
    return large ? (i == 5 ? 300000 : (size_t)(i * 7919 % 9000)) : (size_t)(i * 37 % 90);
}

static const unsigned char *content_of(int i, size_t size) {
    static unsigned char bytes[300000];
    uint32_t state = (uint32_t)i * 2654435761u + 1;
    for (size_t k = 0; k < size; k++) {
        state = state * 1664525u + 1013904223u;
        bytes[k] = (unsigned char)(state >> 24);
    }
    return bytes;
}

static nnclr_record record_of(int i, bool large) {
    static char name[64];
    snprintf(name, sizeof name, i % 4 == 3 ? "caf\xE9/%d\xFF.jpg" : "ape/a \"%d\"\n.jpg", i);
    return (nnclr_record){.name = name,
                          .label = i % 5 == 4 ? -1 : i % 3,
                          .width = i + 1,
                          .height = 2 * i + 1,
                          .codec = (nnclr_codec)(i % 3),
                          .size = size_of(i, large)};
}

static nnclr_shard_options options_for(const char *path) {
    return (nnclr_shard_options){
        .output = path, .classes = animals, .class_count = 3, .program = "test 1", .level = 3};
}

/* Writes records first..first+count; numbers[k] (NULL: -1) is the number of the k-th. */
static void write_shard(const nnclr_shard_options *options, int first, int count, bool large,
                        const int64_t *numbers) {
    nnclr_shard_writer *writer = nnclr_shard_writer_open(options, &e);
    CHECK_OK(writer);
    for (int k = 0; k < count; k++) {
        int i = first + (numbers ? (int)numbers[k] : k);
        nnclr_record record = record_of(i, large);
        CHECK_OK(nnclr_shard_writer_add(writer, numbers ? numbers[k] : -1, &record,
                                        content_of(i, record.size), &e));
    }
    CHECK_OK(nnclr_shard_writer_commit(writer, &e));
}

static const char *make(const char *name, int first, int count, bool large) {
    const char *path = scratch(name);
    nnclr_shard_options options = options_for(path);
    write_shard(&options, first, count, large, NULL);
    return path;
}

/* "" if record `at` of the set is record i as written; otherwise what differs. */
static const char *differs(nnclr_shard_set *set, size_t at, int i, bool large) {
    static nnclr_buffer bytes;
    nnclr_record is, must = record_of(i, large);
    is = nnclr_shard_set_record(set, at);
    if (strcmp(is.name, must.name) != 0)
        return "name";
    if (is.width != must.width || is.height != must.height || is.codec != must.codec)
        return "shape";
    if ((is.label < 0) != (must.label < 0) ||
        (is.label >= 0 &&
         strcmp(nnclr_shard_set_class(set, (size_t)is.label), animals[must.label]) != 0))
        return "label";
    if (!nnclr_shard_set_read(set, at, &bytes, &e))
        return "failed";
    bool same = bytes.size == must.size && is.size == must.size &&
                memcmp(bytes.data, content_of(i, must.size), must.size) == 0;
    nnclr_buffer_free(&bytes);
    return same ? "" : "content";
}

static nnclr_shard_set *open_set(const char *const *paths, size_t count, uint64_t cache) {
    nnclr_shard_set *set = nnclr_shard_set_open(paths, count, cache, &e);
    CHECK_OK(set);
    return set;
}

static void check_set(nnclr_shard_set *set, int count, bool large) {
    CHECK(nnclr_shard_set_count(set) == (size_t)count);
    for (int i = 0; i < count; i++) {
        const char *what = differs(set, (size_t)i, i, large);
        CHECK_SAYS(what[0] == '\0', "record %d: %s %s", i, what, e.message);
    }
}

static void check_file(const char *path, int count, bool large) {
    nnclr_shard_set *set = open_set(&path, 1, 0);
    check_set(set, count, large);
    nnclr_shard_set_close(set);
}

static void identity_text(const char *const *paths, size_t count, char *text, size_t size) {
    nnclr_buffer out = {0};
    nnclr_shard_set *set = open_set(paths, count, 0);
    nnclr_json *identity = nnclr_shard_set_identity(set, &e);
    CHECK_OK(identity && nnclr_json_print(identity, false, &out, &e));
    snprintf(text, size, "%s", (const char *)out.data);
    nnclr_json_free(identity);
    nnclr_buffer_free(&out);
    nnclr_shard_set_close(set);
}

static void check_identity(const char *const *a, size_t a_count, const char *const *b,
                           size_t b_count) {
    char x[500], y[500];
    identity_text(a, a_count, x, sizeof x);
    identity_text(b, b_count, y, sizeof y);
    CHECK_TEXT(x, y);
}

static void check_refused(const char *path, const char *part_of_message) {
    CHECK_FAILS(nnclr_shard_set_open(&path, 1, 0, &e), part_of_message);
}

/* ---- round trips ---- */

TEST(round_trip) {
    const char *path = make("round.tar.zst", 0, LARGE, true);
    nnclr_shard_set *set = open_set(&path, 1, 0);
    check_set(set, LARGE, true);
    CHECK(nnclr_shard_set_class_count(set) == 3);
    for (size_t c = 0; c < 3; c++) { /* in their own order: labels stay what they were */
        CHECK_TEXT(nnclr_shard_set_class(set, c), animals[c]);
        CHECK(nnclr_shard_set_find_class(set, animals[c]) == (int64_t)c);
    }
    CHECK(nnclr_shard_set_find_class(set, "bee") == -1);
    nnclr_shard_set_close(set);
}

TEST(one_record_costs_one_frame) {
    const char *path = make("frames.tar.zst", 0, LARGE, true);
    nnclr_shard_set *set = open_set(&path, 1, 0);
    for (size_t i = 0; i < LARGE; i++) {
        CHECK_OK(differs(set, i, (int)i, true)[0] == '\0');
        CHECK(nnclr_shard_set_frames_read(set) == i + 1);
    }
    nnclr_shard_set_close(set);
}

/* All content is about 860 KB in frames of 128 KiB: 6 of them, whatever is read. */
TEST(cached_frames_are_read_once) {
    const char *path = make("cached.tar.zst", 0, LARGE, true);
    nnclr_shard_set *set = open_set(&path, 1, 1 << 30);
    check_set(set, LARGE, true);
    uint64_t frames = nnclr_shard_set_frames_read(set);
    CHECK(frames >= 4 && frames <= 8);
    check_set(set, LARGE, true);
    CHECK(nnclr_shard_set_frames_read(set) == frames);
    nnclr_shard_set_close(set);

    set = open_set(&path, 1, 200000); /* room for one frame only */
    check_set(set, LARGE, true);
    check_set(set, LARGE, true);
    CHECK(nnclr_shard_set_frames_read(set) > LARGE && nnclr_shard_set_frames_read(set) < 2 * LARGE);
    nnclr_shard_set_close(set);
}

TEST(equal_input_gives_equal_bytes) {
    nnclr_buffer a = scratch_read(make("a.tar.zst", 0, LARGE, true));
    nnclr_buffer b = scratch_read(make("b.tar.zst", 0, LARGE, true));
    CHECK(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
    nnclr_buffer_free(&a);
    nnclr_buffer_free(&b);
}

TEST(stored_order_does_not_number) {
    int64_t numbers[LARGE];
    for (int k = 0; k < LARGE; k++)
        numbers[k] = k * 47 % LARGE;
    const char *path = scratch("order.tar.zst");
    nnclr_shard_options options = options_for(path);
    write_shard(&options, 0, LARGE, true, numbers);
    check_file(path, LARGE, true);
    if (!scratch_run("zstd -dc order.tar.zst >order.tar"))
        SKIP("no zstd");
    check_file(scratch("order.tar"), LARGE, true);
}

TEST(numbers_must_be_all_once) {
    const char *path = scratch("twice.tar.zst");
    nnclr_shard_options options = options_for(path);
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    nnclr_record record = record_of(0, false);
    CHECK_OK(nnclr_shard_writer_add(writer, 1, &record, "", &e));
    CHECK_OK(nnclr_shard_writer_add(writer, 1, &record, "", &e));
    CHECK_FAILS(nnclr_shard_writer_commit(writer, &e), "each once");
    CHECK(access(path, F_OK) != 0);
}

TEST(what_is_no_record_is_refused) {
    nnclr_shard_options options = options_for(scratch("none.tar.zst"));
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    nnclr_record record = record_of(0, false);
    record.label = 3;
    CHECK_FAILS_AS(nnclr_shard_writer_add(writer, -1, &record, "", &e), NNCLR_ERROR_USAGE);
    record.label = 0;
    record.width = 0;
    CHECK_FAILS_AS(nnclr_shard_writer_add(writer, -1, &record, "", &e), NNCLR_ERROR_USAGE);
    CHECK_OK(nnclr_shard_writer_commit(writer, &e));
    check_refused(options.output, "holds no record");

    static const char *const twins[] = {"a", "b", "a"};
    options.classes = twins;
    CHECK_FAILS(nnclr_shard_writer_open(&options, &e), "\"a\" occurs twice");
}

/* ---- damage ---- */

/* Whether the bytes, as a file, are refused; data that differ fail the test. */
static bool refused(const unsigned char *bytes, size_t size, int count, const char *what,
                    size_t where) {
    const char *path = scratch("damaged");
    scratch_write(path, bytes, size);
    e = (nnclr_error)NNCLR_NO_ERROR;
    nnclr_shard_set *set = nnclr_shard_set_open(&path, 1, 0, &e);
    bool failed = set == NULL;
    if (set && nnclr_shard_set_count(set) != (size_t)count)
        CHECK_SAYS(false, "%s %zu: %zu records", what, where, nnclr_shard_set_count(set));
    for (int i = 0; set && !failed && i < count; i++) {
        const char *difference = differs(set, (size_t)i, i, false);
        failed = strcmp(difference, "failed") == 0;
        CHECK_SAYS(failed || difference[0] == '\0', "%s %zu: record %d: %s differs", what, where, i,
                   difference);
    }
    CHECK_SAYS(!failed || (e.code != NNCLR_OK && strlen(e.message) > 10), "%s %zu: no message",
               what, where);
    nnclr_shard_set_close(set);
    return failed;
}

/* Flips one bit in every `step`-th byte; returns how many of them were not refused. A few do not
 * matter: a match in a zstd frame may have moved to other bytes that are the same. */
static size_t flip_all(const char *path, int count, size_t step) {
    nnclr_buffer bytes = scratch_read(path);
    size_t passed = 0;
    for (size_t at = 0; at < bytes.size; at += step) {
        unsigned char bit = (unsigned char)(1u << (at * 5 + at / 8) % 8);
        bytes.data[at] ^= bit;
        passed += !refused(bytes.data, bytes.size, count, "flipped", at);
        bytes.data[at] ^= bit;
    }
    nnclr_buffer_free(&bytes);
    return passed;
}

TEST(every_flip_is_refused) {
    size_t passed = flip_all(make("flip.tar.zst", 0, SMALL, false), SMALL, 1);
    CHECK_SAYS(passed < 15, "%zu flips are accepted", passed);
}

/* Cut after the end record, before or between index and table, all data are there; anywhere else
 * the file is refused. */
TEST(every_cut_is_refused) {
    nnclr_buffer bytes = scratch_read(make("cut.tar.zst", 0, SMALL, false));
    size_t passed = 0;
    for (size_t size = 0; size < bytes.size; size += size < bytes.size - 700 ? 4 : 1)
        passed += !refused(bytes.data, size, SMALL, "cut", size);
    CHECK_SAYS(passed == 2, "%zu cuts are accepted", passed);
    nnclr_buffer_free(&bytes);
}

TEST(cut_concatenations_are_refused) {
    make("part0.tar.zst", 0, 3, false);
    make("part1.tar.zst", 3, SMALL - 3, false);
    if (!scratch_run("cat part0.tar.zst part1.tar.zst >parts.tar.zst"))
        SKIP("no cat");
    nnclr_buffer first = scratch_read(scratch("part0.tar.zst"));
    nnclr_buffer bytes = scratch_read(scratch("parts.tar.zst"));
    size_t passed = 0;
    for (size_t size = first.size + 1; size < bytes.size; size += size < bytes.size - 700 ? 5 : 1)
        passed += !refused(bytes.data, size, SMALL, "cut", size);
    CHECK_SAYS(passed == 2, "%zu cuts are accepted", passed);
    CHECK(flip_all(scratch("parts.tar.zst"), SMALL, 7) < 12);

    /* the first part is cut, and the second one follows whole */
    for (size_t cut = 1; cut < first.size; cut += cut < first.size - 700 ? 5 : 1) {
        nnclr_buffer joined = {0};
        CHECK_OK(
            nnclr_buffer_append(&joined, first.data, cut, &e) &&
            nnclr_buffer_append(&joined, bytes.data + first.size, bytes.size - first.size, &e));
        passed += !refused(joined.data, joined.size, SMALL, "joined", cut);
        nnclr_buffer_free(&joined);
    }
    CHECK_SAYS(passed == 4, "%zu cuts are accepted", passed);
    nnclr_buffer_free(&first);
    nnclr_buffer_free(&bytes);
}

/* Then zstd's checksum and tar's are all that is left. */
TEST(damaged_recompressed_shards_are_refused) {
    make("plain.tar.zst", 0, SMALL, false);
    if (!scratch_run("zstd -dc plain.tar.zst | zstd -q >again.tar.zst"))
        SKIP("no zstd");
    check_file(scratch("again.tar.zst"), SMALL, false);
    CHECK(flip_all(scratch("again.tar.zst"), SMALL, 2) < 8);
    nnclr_buffer bytes = scratch_read(scratch("again.tar.zst"));
    for (size_t size = 0; size < bytes.size; size += 7)
        CHECK(refused(bytes.data, size, SMALL, "cut", size));
    nnclr_buffer_free(&bytes);
}

TEST(a_flipped_tar_header_is_refused) {
    make("header.tar.zst", 0, SMALL, false);
    if (!scratch_run("zstd -dc header.tar.zst >header.tar"))
        SKIP("no zstd");
    check_file(scratch("header.tar"), SMALL, false);
    nnclr_buffer bytes = scratch_read(scratch("header.tar"));
    for (size_t member = 0; bytes.data[member] != 0;) {
        nnclr_tar_header header;
        CHECK_OK(nnclr_tar_parse(bytes.data + member, &header, &e));
        for (size_t k = 0; k < 512; k += 41) {
            bytes.data[member + k] ^= 4;
            CHECK_SAYS(refused(bytes.data, bytes.size, SMALL, "header", member + k),
                       "a flip at %zu is accepted", member + k);
            bytes.data[member + k] ^= 4;
        }
        member += 512 + (size_t)(header.size + nnclr_tar_padding(header.size));
    }
    nnclr_buffer_free(&bytes);
}

/* Puts that index after the data of the file, whose other bytes are given. */
static const char *forge(nnclr_shard_file *file, const nnclr_buffer *bytes,
                         const nnclr_buffer *printed, nnclr_buffer *forged) {
    nnclr_seek_table *table = &file->parts[0].table;
    const nnclr_frame *last = &table->frames[table->count - 1];
    size_t data = last->offset + last->compressed;
    CHECK_OK(nnclr_buffer_append(forged, bytes->data, data, &e) &&
             nnclr_index_pack(printed, 3, forged, &e) &&
             nnclr_seek_table_add(table, forged->size - data, 0, NNCLR_EMPTY_CHECKSUM, &e) &&
             nnclr_seek_table_append(table, forged, &e));
    const char *path = scratch("forged.tar.zst");
    scratch_write(path, forged->data, forged->size);
    return path;
}

static void open_whole(nnclr_shard_file *file) {
    nnclr_input input;
    CHECK(nnclr_input_open(scratch("whole.tar.zst"), &input, &e));
    CHECK_OK(nnclr_shard_file_open(&input, file, &e));
}

/* A shard whose index was forged by hand, checksums and all. */
TEST(forged_indexes_are_refused) {
    static const struct {
        const char *what, *message;
        int row;
        nnclr_index_entry by; /* added to the row */
    } cases[] = {
        {"nothing", NULL, 0, {0}},
        {"number", "each once", 0, {.number = 1}},
        {"label", "label 3 of 3", 0, {.label = 3}},
        {"frame", "outside of its frame", 2, {.frame = 40}},
        {"index frame", "outside of its frame", 2, {.frame = 2}},
        {"offset", "outside of its frame", 2, {.offset = 1 << 20}},
        {"length", "outside of its frame", 2, {.length = 1 << 20}},
        {"length past all", "\"length\" is", 2, {.length = 1U << 31}},
        {"width", "\"width\" is", 2, {.width = -4}},
        {"codec", "\"codec\" is", 2, {.codec = 9}},
        {"crc", NULL, 0, {.crc32 = 1}},
    };
    nnclr_buffer bytes = scratch_read(make("whole.tar.zst", 0, SMALL, false));
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        nnclr_shard_file file;
        nnclr_buffer printed = {0}, forged = {0};
        open_whole(&file);
        nnclr_shard_part *part = &file.parts[0];
        nnclr_index_entry *row = &part->index.entries[cases[c].row];
        const nnclr_index_entry *by = &cases[c].by;
        row->number += by->number, row->label += by->label, row->frame += by->frame;
        row->offset += by->offset, row->length += by->length, row->crc32 += by->crc32;
        row->width += by->width, row->codec += by->codec;
        CHECK_OK(nnclr_index_print(&part->index, &printed, &e));
        const char *path = forge(&file, &bytes, &printed, &forged);
        if (cases[c].message)
            check_refused(path, cases[c].message);
        else
            CHECK(refused(forged.data, forged.size, SMALL, cases[c].what, 0) == (by->crc32 != 0));
        nnclr_buffer_free(&printed);
        nnclr_buffer_free(&forged);
        nnclr_shard_file_close(&file);
    }
    nnclr_buffer_free(&bytes);
}

/* The same in its text: what is there, and what of the same length takes its place. */
TEST(indexes_of_another_kind_are_refused) {
    static const struct {
        const char *text, *other, *message;
    } cases[] = {
        {"shard-index", "embeddings!", "index: is of kind \"embeddings!\", not \"shard-index\""},
        {"nnclr.kind", "other.kind", "index: is of kind \"\""},
        {"nnclr.format\":\"1", "nnclr.format\":\"2", "index: is of format 2, written by a newer"},
        {"nnclr.format\":\"1", "nnclr.format\":\"x", "\"x\" is not a format number"},
        {"\"height\"", "\"length\"", "duplicate object key"},
        {"\"height\"", "\"\\u0000\"", "NUL byte in object key"},
    };
    nnclr_buffer bytes = scratch_read(make("whole.tar.zst", 0, SMALL, false));
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        nnclr_shard_file file;
        nnclr_buffer printed = {0}, forged = {0};
        size_t size = strlen(cases[c].text);
        open_whole(&file);
        CHECK(nnclr_index_print(&file.parts[0].index, &printed, &e));
        char *at = memmem(printed.data, printed.size, cases[c].text, size);
        CHECK(at && strlen(cases[c].other) == size);
        memcpy(at, cases[c].other, size);
        check_refused(forge(&file, &bytes, &printed, &forged), cases[c].message);
        nnclr_buffer_free(&printed);
        nnclr_buffer_free(&forged);
        nnclr_shard_file_close(&file);
    }
    nnclr_buffer_free(&bytes);
}

/* ---- other ways to the same data ---- */

TEST(concatenated) {
    const char *const parts[] = {make("cat0.tar.zst", 0, 70, true),
                                 make("cat1.tar.zst", 70, LARGE - 70, true)};
    if (!scratch_run("cat cat0.tar.zst cat1.tar.zst >cat.tar.zst"))
        SKIP("no cat");
    const char *joined = scratch("cat.tar.zst");
    nnclr_shard_set *set = open_set(&joined, 1, 0);
    check_set(set, LARGE, true);
    CHECK(nnclr_shard_set_frames_read(set) == LARGE); /* from its own frames, one per record */
    nnclr_shard_set_close(set);
    set = open_set(parts, 2, 0);
    check_set(set, LARGE, true);
    nnclr_shard_set_close(set);
    check_identity(&joined, 1, parts, 2);
}

TEST(recompressed_or_plain) {
    const char *path = make("re.tar.zst", 0, LARGE, true);
    if (!scratch_run("zstd -dc re.tar.zst >re.tar && zstd -qc re.tar >one.tar.zst &&"
                     "cat re.tar re.tar | zstd -q >two.tar.zst"))
        SKIP("no zstd");
    const char *plain = scratch("re.tar"), *one = scratch("one.tar.zst");
    check_file(plain, LARGE, true);
    check_file(one, LARGE, true);
    check_identity(&path, 1, &plain, 1);
    check_identity(&path, 1, &one, 1);
    const char *two = scratch("two.tar.zst"), *const twice[] = {path, path};
    check_identity(&two, 1, twice, 2);
}

TEST(without_index) {
    nnclr_buffer bytes = scratch_read(make("bare.tar.zst", 0, LARGE, true));
    nnclr_seek_table table = {0};
    int fd = open(scratch("bare.tar.zst"), O_RDONLY);
    CHECK_OK(nnclr_seek_table_read(fd, bytes.size, "bare", &table, &e) == NNCLR_SEEK_FOUND);
    close(fd);
    const nnclr_frame *index = &table.frames[table.count - 1];
    CHECK(index->decompressed == 0);
    const char *bare = scratch("cut-off.tar.zst"), *path = scratch("bare.tar.zst");
    scratch_write(bare, bytes.data, index->offset);
    nnclr_shard_set *set = open_set(&bare, 1, 0);
    check_set(set, LARGE, true);
    CHECK(nnclr_shard_set_frames_read(set) == LARGE);
    nnclr_shard_set_close(set);
    check_identity(&bare, 1, &path, 1);
    nnclr_seek_table_free(&table);
    nnclr_buffer_free(&bytes);
}

/* Runs `feed` in a child whose standard output is our standard input. */
static void from_pipe(const char *path, int count, bool large) {
    int ends[2], saved = dup(STDIN_FILENO), status;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execlp("cat", "cat", path, (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    check_file("-", count, large);
    dup2(saved, STDIN_FILENO);
    close(saved);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

TEST(from_a_pipe) {
    from_pipe(make("pipe.tar.zst", 0, LARGE, true), LARGE, true);
    const char *const twice[] = {"-", "-"};
    int saved = dup(STDIN_FILENO), fd = open(scratch("pipe.tar.zst"), O_RDONLY);
    dup2(fd, STDIN_FILENO);
    CHECK_FAILS_AS(nnclr_shard_set_open(twice, 2, 0, &e), NNCLR_ERROR_USAGE);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(fd);
}

/* ---- sets ---- */

static size_t files_named(const char *pattern) {
    char command[300], line[40] = "";
    snprintf(command, sizeof command, "cd '%s' && ls -A | grep -c '%s'", scratch_folder, pattern);
    FILE *pipe = popen(command, "r");
    CHECK(pipe && fgets(line, sizeof line, pipe));
    pclose(pipe);
    return (size_t)atoi(line);
}

TEST(split_sets) {
    nnclr_shard_options options = options_for(scratch("split"));
    options.shard_size = 100000;
    write_shard(&options, 0, LARGE, true, NULL);
    size_t count = files_named("^split-[0-9]*\\.tar\\.zst$");
    CHECK(count >= 7);
    CHECK(files_named("\\.part") == 0);
    static char names[40][400];
    const char *paths[40];
    for (size_t k = 0; k < count; k++) {
        struct stat status;
        snprintf(names[k], sizeof names[k], "%s-%06zu.tar.zst", scratch("split"), k);
        paths[k] = names[k];
        CHECK(stat(paths[k], &status) == 0);
        /* record 5 alone is larger than the limit */
        CHECK_SAYS(status.st_size <= 100000 || (status.st_size > 300000 && status.st_size < 400000),
                   "%s: %lld bytes", paths[k], (long long)status.st_size);
    }
    nnclr_shard_set *set = open_set(paths, count, 0);
    check_set(set, LARGE, true);
    nnclr_shard_set_close(set);

    /* a shorter set replaces the longer one, and leaves nothing of it */
    options.shard_size = 400000;
    write_shard(&options, 0, LARGE, true, NULL);
    size_t fewer = files_named("^split-[0-9]*\\.tar\\.zst$");
    CHECK(fewer < count && fewer >= 3);
    set = open_set(paths, fewer, 0);
    check_set(set, LARGE, true);
    nnclr_shard_set_close(set);
}

/* More files than are held open without a name. */
TEST(a_set_of_many_files) {
    enum { MANY = 260 };
    static char names[MANY][400];
    static const char *paths[MANY];
    nnclr_shard_options options = options_for(scratch("many"));
    options.shard_size = 1; /* one record in each */
    write_shard(&options, 0, MANY, false, NULL);
    CHECK(files_named("many") == MANY);
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "%s-%06d.tar.zst", scratch("many"), i);
        paths[i] = names[i];
    }
    nnclr_shard_set *set = open_set(paths, MANY, 0);
    check_set(set, MANY, false);
    nnclr_shard_set_close(set);
}

TEST(an_abandoned_split_set_leaves_nothing) {
    nnclr_shard_options options = options_for(scratch("gone"));
    options.shard_size = 100000;
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    CHECK(writer);
    for (int i = 0; i < 60; i++) {
        nnclr_record record = record_of(i, true);
        CHECK_OK(nnclr_shard_writer_add(writer, -1, &record, content_of(i, record.size), &e));
    }
    CHECK(files_named("^gone") == 0); /* none has its name before all are written */
    nnclr_shard_writer_abandon(writer);
    CHECK(files_named("gone") == 0);
    options.output = "-";
    CHECK_FAILS_AS(nnclr_shard_writer_open(&options, &e), NNCLR_ERROR_USAGE);
}

TEST(mixed_classes) {
    static const char *const others[] = {"b", "\xC3\xA9t\xC3\xA9", "ape", "\xE9"};
    const char *const paths[] = {make("mixed0.tar.zst", 0, 5, false), scratch("mixed1.tar.zst")};
    nnclr_shard_options options = options_for(paths[1]);
    options.classes = others;
    options.class_count = 4;
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    for (int k = 0; k < 4; k++) {
        nnclr_record record = {"n", k, 1, 1, NNCLR_CODEC_PNG, 1, 0};
        CHECK_OK(nnclr_shard_writer_add(writer, -1, &record, "x", &e));
    }
    CHECK_OK(nnclr_shard_writer_commit(writer, &e));

    static const char *const united[] = {"\\xe9",       "ape",   "b",
                                         "m\xC3\xB6we", "zebra", "\xC3\xA9t\xC3\xA9"};
    static const int64_t labels[] = {4, 1, 3, 4, -1, 2, 5, 1, 0};
    nnclr_shard_set *set = open_set(paths, 2, 0);
    CHECK(nnclr_shard_set_class_count(set) == 6 && nnclr_shard_set_count(set) == 9);
    for (size_t c = 0; c < 6; c++)
        CHECK_TEXT(nnclr_shard_set_class(set, c), united[c]);
    for (size_t i = 0; i < 9; i++) {
        const nnclr_record record = nnclr_shard_set_record(set, i);
        CHECK_SAYS(record.label == labels[i], "record %zu: %lld", i, (long long)record.label);
    }
    nnclr_shard_set_close(set);
}

TEST(other_files_are_named) {
    nnclr_tensor_info info = {"embedding", NNCLR_F32, 1, {1}};
    const char *path = scratch("e.safetensors.zst");
    nnclr_tensor_writer *writer =
        nnclr_tensor_writer_open(path, "embedding", "test 1", NULL, &info, 1, &e);
    CHECK_OK(writer && nnclr_tensor_writer_put(writer, "\0\0\0\0", 4, &e) &&
             nnclr_tensor_writer_commit(writer, &e));
    check_refused(path, "e.safetensors.zst: is an embedding file, not a shard");

    const char *shard = make("s.tar.zst", 0, SMALL, false);
    CHECK_FAILS(nnclr_tensor_reader_open(shard, &e), "s.tar.zst: is a shard, not a tensor file");
    make("s0.tar.zst", 0, SMALL, false);
    CHECK(scratch_run("cat s.tar.zst s0.tar.zst >ss.tar.zst"));
    CHECK_FAILS(nnclr_tensor_reader_open(scratch("ss.tar.zst"), &e),
                "is a shard, not a tensor file");

    scratch_write(scratch("empty"), "", 0);
    check_refused(scratch("empty"), "is empty");
    check_refused(scratch("absent"), "No such file");
    check_refused(scratch(""), "is a folder");
    scratch_write(scratch("text"), "hello", 5);
    check_refused(scratch("text"), "is not a shard");
    CHECK(scratch_run("mkdir d && echo 1 >d/x && tar cf other.tar d && gzip -k other.tar"));
    check_refused(scratch("other.tar"), "is a tar archive, but not a shard");
    check_refused(scratch("other.tar.gz"), "is not a shard");
}

TEST(newer_formats_are_refused) {
    nnclr_buffer tar = {0}, file = {0};
    static const char first[] = "{\"format\":2,\"classes\":[]}", last[] = "{\"records\":0}";
    CHECK_OK(nnclr_tar_append(&tar, NNCLR_SHARD_FIRST, first, sizeof first - 1, &e) &&
             nnclr_tar_append(&tar, NNCLR_SHARD_LAST, last, sizeof last - 1, &e));
    CHECK_OK(nnclr_frame_compress(tar.data, tar.size, 1, &file, &e));
    const char *path = scratch("newer.tar.zst");
    scratch_write(path, file.data, file.size);
    check_refused(path, "is of format 2, written by a newer program");
    nnclr_buffer_free(&tar);
    nnclr_buffer_free(&file);
}

/* ---- threads ---- */

typedef struct reading {
    nnclr_shard_set *set;
    unsigned seed;
    int wrong;
} reading;

static void *read_records(void *context) {
    reading *r = context;
    nnclr_error own;
    nnclr_buffer bytes = {0};
    for (int k = 0; k < 300; k++) {
        size_t i = (r->seed * 31 + (unsigned)k * 53) % LARGE;
        const nnclr_record record = nnclr_shard_set_record(r->set, i);
        r->wrong += !nnclr_shard_set_read(r->set, i, &bytes, &own) || bytes.size != record.size;
    }
    nnclr_buffer_free(&bytes);
    return NULL;
}

TEST(many_threads_read) {
    const char *path = make("threads.tar.zst", 0, LARGE, true);
    static const uint64_t caches[] = {0, 400000, 1 << 30};
    for (size_t c = 0; c < 3; c++) {
        nnclr_shard_set *set = open_set(&path, 1, caches[c]);
        pthread_t threads[4];
        reading readings[4];
        for (unsigned t = 0; t < 4; t++) {
            readings[t] = (reading){set, t, 0};
            CHECK(pthread_create(&threads[t], NULL, read_records, &readings[t]) == 0);
        }
        int wrong = 0;
        for (unsigned t = 0; t < 4; t++) {
            pthread_join(threads[t], NULL);
            wrong += readings[t].wrong;
        }
        CHECK(wrong == 0);
        check_set(set, LARGE, true);
        nnclr_shard_set_close(set);
    }
}

int main(void) {
    return check_all();
}
