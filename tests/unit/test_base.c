#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/dtype.h"
#include "base/error.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/strings.h"
#include "tests/unit/check.h"

static nnclr_error e; /* of the call that is checked */

TEST(errors_keep_their_reason) {
    errno = ENOSPC;
    CHECK_FAILS_AS(nnclr_fail_errno(&e, "out %d", 7), NNCLR_ERROR_IO);
    CHECK_TEXT(e.message, "out 7: No space left on device");
    CHECK(!nnclr_fail_at(&e, "folder"));
    CHECK_TEXT(e.message, "folder: out 7: No space left on device");
    errno = EPIPE;
    nnclr_fail_errno(&e, "x");
    CHECK(e.code == NNCLR_ERROR_CLOSED);
    static const struct {
        int number;
        bool of_input;
    } kinds[] = {{ENOENT, true}, {EACCES, true},  {ELOOP, true},   {ENXIO, true},  {EMFILE, false},
                 {EIO, false},   {ENOMEM, false}, {ENFILE, false}, {ENOSPC, false}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        errno = kinds[i].number;
        nnclr_fail_errno(&e, "x");
        CHECK_OK(nnclr_is_fault_of_input(&e) == kinds[i].of_input);
    }
    nnclr_fail(&e, NNCLR_ERROR_LIMIT, "x");
    CHECK_OK(nnclr_is_fault_of_input(&e));
}

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* Paths may be longer than a message: what was done, and why it failed, is still said. */
TEST(long_messages_lose_their_middle) {
    char big[3000], wide[3001];
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    nnclr_fail(&e, NNCLR_ERROR_INPUT, "open %s: why", big);
    CHECK(strlen(e.message) == sizeof e.message - 1);
    CHECK(strncmp(e.message, "open aaa", 8) == 0 && strstr(e.message, "a...a"));
    CHECK(ends_with(e.message, "aaa: why"));
    nnclr_fail_at(&e, "at %s", big);
    CHECK(strlen(e.message) == sizeof e.message - 1 && ends_with(e.message, "aaa: why"));
    CHECK(strncmp(e.message, "at aaa", 6) == 0);
    errno = ENOSPC;
    nnclr_fail_errno(&e, "%s", big);
    CHECK(ends_with(e.message, "aaa: No space left on device"));
    for (size_t first = 0; first < 3; first++) { /* no character of UTF-8 is torn */
        for (size_t i = 0; i + 3 < sizeof wide; i += 3)
            memcpy(wide + i, "\xe2\x82\xac", 4);
        nnclr_fail(&e, NNCLR_ERROR_INPUT, "%.*s%s", (int)first, "xy", wide);
        CHECK(nnclr_is_utf8(e.message) && strlen(e.message) > sizeof e.message - 8);
    }
    nnclr_fail(&e, NNCLR_ERROR_INPUT, "%20000d", 7); /* beyond all bounds */
    CHECK(strlen(e.message) == sizeof e.message - 1);
}

TEST(size_overflow_is_seen) {
    size_t out = 1;
    CHECK(!nnclr_size_mul(SIZE_MAX / 2, 3, &out) && out == 1);
    CHECK(!nnclr_size_add(SIZE_MAX, 1, &out) && out == 1);
    CHECK(nnclr_size_mul(6, 7, &out) && out == 42);
    CHECK(nnclr_alloc(SIZE_MAX / 2, 3, &e) == NULL && e.code == NNCLR_ERROR_MEMORY);
    CHECK_OK(nnclr_alloc_zero(SIZE_MAX / 2, 3, &e) == NULL);
    CHECK_OK(nnclr_block_alloc(SIZE_MAX - 5, &e) == NULL);
}

TEST(blocks_are_aligned_and_zero) {
    for (size_t bytes = 1; bytes < (size_t)9 << 20; bytes = bytes * 5 + 3) {
        unsigned char *block = nnclr_block_alloc(bytes, &e);
        CHECK(block && (uintptr_t)block % (bytes >= 2 << 20 ? 2 << 20 : 64) == 0);
        for (size_t i = 0; i < bytes; i++)
            CHECK(block[i] == 0);
        nnclr_block_free(block, bytes);
    }
}

TEST(numbers_are_parsed_whole) {
    int64_t i = 0;
    double r = 0;
    CHECK(nnclr_parse_int("-17", -20, 20, &i) && i == -17);
    static const char *const wrong[] = {"",  " 1", "1 ", "1x", "x", "1.0", "99999999999999999999",
                                        "21"};
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++)
        CHECK_SAYS(!nnclr_parse_int(wrong[k], -20, 20, &i), "\"%s\" was taken", wrong[k]);
    CHECK(nnclr_parse_real("2.5e-1", 0, 1, &r) && r == 0.25);
    CHECK(!nnclr_parse_real("nan", -1e300, 1e300, &r));
    CHECK(!nnclr_parse_real("inf", 0, INFINITY, &r));
    CHECK(!nnclr_parse_real("1,5", 0, 2, &r));
    CHECK(nnclr_parse_bytes("3M", 0, INT64_MAX, &i) && i == 3 << 20);
    CHECK(nnclr_parse_bytes("12", 0, INT64_MAX, &i) && i == 12);
    CHECK(!nnclr_parse_bytes("3MB", 0, INT64_MAX, &i));
    CHECK(!nnclr_parse_bytes("9999999999T", 0, INT64_MAX, &i));
}

TEST(names_are_escaped) {
    static const struct {
        const char *name, *shown;
    } cases[] = {
        {"plain name.jpg", "plain name.jpg"},
        {"tab\tnewline\nback\\", "tab\\tnewline\\nback\\\\"},
        {"\x1b[31m", "\\x1b[31m"},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"lone \xe9", "lone \\xe9"},
        {"overlong \xc0\xaf", "overlong \\xc0\\xaf"},
        {"surrogate \xed\xa0\x80", "surrogate \\xed\\xa0\\x80"},
        {"c1 \xc2\x9b", "c1 \\xc2\\x9b"},
        {"turned \xe2\x80\xae", "turned \\xe2\\x80\\xae"},
        {"isolated \xe2\x81\xa6", "isolated \\xe2\\x81\\xa6"},
        {"joined \xe2\x80\x8d", "joined \\xe2\\x80\\x8d"},
        {"next line \xc2\x85, paragraph \xe2\x80\xa9",
         "next line \\xc2\\x85, paragraph \\xe2\\x80\\xa9"},
        {"tag \xf3\xa0\x81\x81", "tag \\xf3\\xa0\\x81\\x81"},
        {"not hidden \xe2\x80\x90 \xe2\x81\x9f \xc2\xa1",
         "not hidden \xe2\x80\x90 \xe2\x81\x9f \xc2\xa1"},
        {"cut \xf0\x9f\x98", "cut \\xf0\\x9f\\x98"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nnclr_buffer out = {0};
        CHECK_OK(nnclr_escape(&out, cases[i].name, strlen(cases[i].name), &e));
        CHECK_TEXT((char *)out.data, cases[i].shown);
        nnclr_buffer_free(&out);
    }
}

TEST(words_are_little_endian) {
    unsigned char bytes[8];
    nnclr_store_u64(bytes, 0x1122334455667788u);
    CHECK(bytes[0] == 0x88 && bytes[7] == 0x11);
    CHECK(nnclr_load_u64(bytes) == 0x1122334455667788u);
    CHECK(nnclr_load_u32(bytes) == 0x55667788u);
}

/* Values from IEEE 754-2019 (binary16: 1, 5 and 10 bits), and the upper halves of floats. */
TEST(halves_become_floats) {
    static const struct {
        nnclr_dtype type;
        uint16_t bits;
        float value;
    } cases[] = {
        {NNCLR_F16, 0x0000, 0},          {NNCLR_F16, 0x3c00, 1},
        {NNCLR_F16, 0xc000, -2},         {NNCLR_F16, 0x3555, 0x1.554p-2f},
        {NNCLR_F16, 0x7bff, 65504},      {NNCLR_F16, 0x0400, 0x1p-14f},
        {NNCLR_F16, 0x0001, 0x1p-24f},   {NNCLR_F16, 0x83ff, -0x1.ff8p-15f},
        {NNCLR_F16, 0x7c00, INFINITY},   {NNCLR_F16, 0xfc00, -INFINITY},
        {NNCLR_BF16, 0x3f80, 1},         {NNCLR_BF16, 0xc049, -3.140625f},
        {NNCLR_BF16, 0x0001, 0x1p-133f}, {NNCLR_BF16, 0x7f80, INFINITY},
    };
    enum { COUNT = sizeof cases / sizeof *cases };
    for (int type = 0; type < 2; type++) {
        const nnclr_dtype half = type ? NNCLR_BF16 : NNCLR_F16;
        float place[COUNT], expected[COUNT];
        size_t count = 0;
        for (size_t i = 0; i < COUNT; i++)
            if (cases[i].type == half) {
                memcpy((char *)place + count * sizeof(uint16_t), &cases[i].bits, sizeof(uint16_t));
                expected[count++] = cases[i].value;
            }
        nnclr_dtype_widen(half, place, count);
        CHECK(count > 0 && memcmp(place, expected, count * sizeof *place) == 0);
    }
    const uint16_t none[2] = {0x7e01, 0xfc01};
    float place[2];
    memcpy(place, none, sizeof none);
    nnclr_dtype_widen(NNCLR_F16, place, 2);
    CHECK(isnan(place[0]) && isnan(place[1]));
}

TEST(the_lesser_the_larger_and_the_bounded) {
    int looks = 0;
    CHECK(nnclr_min(looks++, INT64_C(1) << 40) == 0 && looks == 1);
    CHECK(nnclr_min(INT64_MIN, 3) == INT64_MIN && nnclr_max(INT64_MIN, -3) == -3);
    CHECK(nnclr_max(SIZE_MAX, (size_t)1) == SIZE_MAX && nnclr_min(2.5, 3) == 2.5);
    CHECK(nnclr_clamp(-1.5, 0, 1) == 0 && nnclr_clamp(7, 1, 5) == 5 && nnclr_clamp(3, 1, 5) == 3);
    CHECK(nnclr_clamp(0, 1, 0) == 1); /* the lower bound wins */
    CHECK(nnclr_pieces(0, 4) == 0 && nnclr_pieces(8, 4) == 2 && nnclr_pieces(9, 4) == 3);
}

TEST(dtypes_by_name) {
    nnclr_dtype type;
    CHECK(nnclr_dtype_parse("BF16", &type) && type == NNCLR_BF16 && nnclr_dtype_bytes(type) == 2);
    CHECK(nnclr_dtype_parse("I64", &type) && nnclr_dtype_bytes(type) == 8);
    CHECK(!nnclr_dtype_parse("F31", &type));
}

/* ---- files ---- */

static char folder[] = "/tmp/nnclr-test-XXXXXX";

static char *in_folder(const char *name) {
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

TEST(committed_output_is_there_and_abandoned_is_not) {
    const char *path = in_folder("out");
    nnclr_output *out = nnclr_output_open(path, &e);
    CHECK_OK(out);
    CHECK(access(path, F_OK) != 0);
    CHECK_OK(nnclr_output_write(out, "hello", 5, &e) && nnclr_output_size(out) == 5);
    CHECK(access(path, F_OK) != 0);
    CHECK_OK(nnclr_output_commit(out, &e));
    nnclr_buffer got = {0};
    CHECK_OK(nnclr_file_read(path, 100, &got, &e));
    CHECK_TEXT((char *)got.data, "hello");

    out = nnclr_output_open(path, &e);
    CHECK_OK(out && nnclr_output_write(out, "other", 5, &e));
    nnclr_output_abandon(out);
    CHECK_OK(nnclr_file_read(path, 100, &got, &e));
    CHECK_TEXT((char *)got.data, "hello");
    CHECK_FAILS_AS(nnclr_file_read(path, 4, &got, &e), NNCLR_ERROR_LIMIT);
    nnclr_buffer_free(&got);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0); /* so no temporary file is left */
    CHECK(mkdir(folder, 0700) == 0);
}

/* Only a file system with nameless files can do that; then the folder is empty all the while. */
TEST(a_killed_writer_leaves_nothing) {
    int fd = open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600), status;
    if (fd < 0)
        SKIP("no O_TMPFILE here");
    close(fd);
    pid_t child = fork();
    if (child == 0) {
        nnclr_output *out = nnclr_output_open(in_folder("killed"), &e);
        if (out && nnclr_output_write(out, "half", 4, &e))
            raise(SIGKILL);
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(rmdir(folder) == 0 && mkdir(folder, 0700) == 0);
}

TEST(permissions_follow_the_umask) {
    mode_t old = umask(027);
    const char *path = in_folder("mode");
    nnclr_output *out = nnclr_output_open(path, &e);
    CHECK_OK(out && nnclr_output_commit(out, &e));
    umask(old);
    struct stat status;
    CHECK(stat(path, &status) == 0 && (status.st_mode & 0777) == 0640);
    unlink(path);
}

TEST(full_disk_is_reported) {
    if (access("/dev/full", W_OK) != 0)
        SKIP("no /dev/full");
    nnclr_output *out = nnclr_output_open("/dev/full", &e);
    CHECK(out);
    CHECK_FAILS_WITH(nnclr_output_write(out, "x", 1, &e), "/dev/full: No space left on device");
    nnclr_output_abandon(out);
    CHECK(access("/dev/full", W_OK) == 0);
}

TEST(short_files_say_so) {
    const char *path = in_folder("short");
    nnclr_output *out = nnclr_output_open(path, &e);
    CHECK_OK(out && nnclr_output_write(out, "0123456789", 10, &e) && nnclr_output_commit(out, &e));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char buffer[8];
    CHECK_OK(nnclr_read_at(fd, buffer, 8, 2, "short", &e));
    CHECK(memcmp(buffer, "23456789", 8) == 0);
    CHECK_FAILS_AS(nnclr_read_at(fd, buffer, 8, 3, "short", &e), NNCLR_ERROR_INPUT);
    close(fd);
    unlink(path);
}

TEST(folders_and_fifos_are_no_files) {
    nnclr_buffer got = {0};
    CHECK(!nnclr_file_read(folder, 100, &got, &e));
    const char *path = in_folder("fifo");
    CHECK(mkfifo(path, 0600) == 0);
    CHECK(!nnclr_file_read(path, 100, &got, &e)); /* and does not wait for a writer */
    unlink(path);
    nnclr_buffer_free(&got);
}

int main(void) {
    if (!mkdtemp(folder))
        return 1;
    const int status = check_all();
    rmdir(folder);
    return status;
}
