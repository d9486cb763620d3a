#include "tests/fuzz/support.h"

#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/shard_parts.h"

/* A few bytes may unpack to very many: those end in a full disk, which is reported in one
 * sentence. */
enum { FILE_MOST = 64 << 20 };

/* ---- set-up ---- */

static char folder[64];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at) {
    (void)status, (void)type, (void)at;
    return remove(path);
}

static void remove_folder(void) {
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    setenv("TMPDIR", base, 1);
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit fails instead */
    struct rlimit most = {FILE_MOST, FILE_MOST};
    FUZZ_REQUIRE(setrlimit(RLIMIT_FSIZE, &most) == 0);
    return 0;
}

const char *fuzz_folder(void) {
    if (folder[0] == '\0') {
        snprintf(folder, sizeof folder, "%s/nnclr-fuzz.XXXXXX", getenv("TMPDIR"));
        FUZZ_REQUIRE(mkdtemp(folder) != NULL);
        atexit(remove_folder);
    }
    return folder;
}

void fuzz_write(const char *name, const void *data, size_t size) {
    char path[200];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    FILE *file = fopen(path, "wb");
    FUZZ_REQUIRE(file != NULL);
    size_t written = size > 0 ? fwrite(data, 1, size, file) : 0;
    FUZZ_REQUIRE(fclose(file) == 0 && written == size);
}

const char *fuzz_file(const void *data, size_t size) {
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    FUZZ_REQUIRE(fd >= 0 && ftruncate(fd, 0) == 0);
    for (size_t done = 0; done < size;) {
        ssize_t put = pwrite(fd, (const char *)data + done, size - done, (off_t)done);
        FUZZ_REQUIRE(put > 0);
        done += (size_t)put;
    }
    return path;
}

/* ---- errors ---- */

bool fuzz_tells;

void fuzz_refused(const nnclr_error *e) {
    bool full = e->code == NNCLR_ERROR_IO && strstr(e->message, "File too large");
    if (fuzz_tells)
        fprintf(stderr, "  %s\n", e->message);
    if ((e->code == NNCLR_ERROR_INPUT || e->code == NNCLR_ERROR_LIMIT || full) &&
        e->message[0] != '\0')
        return;
    fprintf(stderr, "refused with code %d: %s\n", (int)e->code, e->message);
    abort();
}

void fuzz_failed(const char *what, const nnclr_error *e) {
    fprintf(stderr, "%s has failed: %s\n", what, e->message);
    abort();
}

/* ---- sections ---- */

static void add_frame(const uint8_t *bytes, size_t size, nnclr_seek_table *table,
                      nnclr_buffer *file, nnclr_error *e) {
    FUZZ_OK(nnclr_seek_table_compress(table, bytes, size, 1, file, e), e);
}

static void add_tar(const uint8_t *bytes, size_t size, nnclr_seek_table *table, nnclr_buffer *file,
                    nnclr_error *e) {
    nnclr_buffer tar = {0};
    FUZZ_OK(nnclr_buffer_append(&tar, bytes, size, e), e);
    fuzz_fix_tar(tar.data, tar.size);
    add_frame(tar.data, tar.size, table, file, e);
    nnclr_buffer_free(&tar);
}

static void add_index(const uint8_t *bytes, size_t size, nnclr_buffer *file, nnclr_error *e) {
    const nnclr_buffer printed = {.data = (unsigned char *)bytes, .size = size};
    FUZZ_OK(nnclr_index_pack(&printed, 1, file, e), e);
}

enum { SECTION_HEADER = 3, SECTION_MOST = 0xffff };

/* Length of the content of the section whose header begins at data[at]. */
static size_t section_length(const uint8_t *data, size_t size, size_t at) {
    size_t length = (size_t)data[at + 1] | (size_t)data[at + 2] << 8;
    size_t room = size - at - SECTION_HEADER;
    return length < room ? length : room;
}

void fuzz_assemble(const uint8_t *data, size_t size, nnclr_buffer *file) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_seek_table table = {0};
    for (size_t at = 0; size - at >= SECTION_HEADER;) {
        int kind = data[at] % FUZZ_SECTIONS;
        size_t length = section_length(data, size, at), before = file->size;
        const uint8_t *content = data + at + SECTION_HEADER;
        at += SECTION_HEADER + length;
        switch (kind) {
        case FUZZ_RAW:
            FUZZ_OK(nnclr_buffer_append(file, content, length, &e), &e);
            break;
        case FUZZ_FRAME:
            add_frame(content, length, &table, file, &e);
            break;
        case FUZZ_TAR:
            add_tar(content, length, &table, file, &e);
            break;
        case FUZZ_INDEX:
            add_index(content, length, file, &e);
            break;
        case FUZZ_SKIP:
            FUZZ_OK(nnclr_skippable_append(0x184D2A50, content, length, file, &e), &e);
            break;
        default:
            FUZZ_OK(nnclr_seek_table_append(&table, file, &e), &e);
            at -= length;
        }
        if (kind == FUZZ_INDEX || kind == FUZZ_SKIP || kind == FUZZ_TABLE || kind == FUZZ_RAW)
            FUZZ_OK(nnclr_seek_table_add(&table, file->size - before, 0, NNCLR_EMPTY_CHECKSUM, &e),
                    &e);
    }
    nnclr_seek_table_free(&table);
}

/* ---- mutators ---- */

/* libFuzzer makes one byte of none, even if there is no room for one. */
static size_t mutate(uint8_t *data, size_t size, size_t most) {
    return most > 0 ? LLVMFuzzerMutate(data, size, most) : size;
}

static bool leave_as_is(unsigned seed) {
    return seed % 16 == 0;
}

void fuzz_fix_tar(uint8_t *data, size_t size) {
    enum { MAGIC = 257, CHECKSUM = 148, CHECKSUM_SIZE = 8 };
    for (size_t at = 0; size - at >= NNCLR_TAR_BLOCK; at += NNCLR_TAR_BLOCK) {
        uint8_t *block = data + at;
        char text[CHECKSUM_SIZE];
        unsigned sum = 0;
        if (memcmp(block + MAGIC, "ustar", 5) != 0)
            continue;
        memset(block + CHECKSUM, ' ', CHECKSUM_SIZE);
        for (int i = 0; i < NNCLR_TAR_BLOCK; i++)
            sum += block[i];
        snprintf(text, sizeof text, "%06o", sum);
        memcpy(block + CHECKSUM, text, sizeof text - 1);
    }
}

size_t fuzz_mutate_tar(uint8_t *data, size_t size, size_t most, unsigned seed) {
    size = mutate(data, size, most);
    if (!leave_as_is(seed))
        fuzz_fix_tar(data, size);
    return size;
}

static uint32_t load_big(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_big(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}

size_t fuzz_mutate_png(uint8_t *data, size_t size, size_t most, unsigned seed) {
    enum { SIGNATURE = 8, LENGTH = 4, TYPE = 4, CRC = 4 };
    size = mutate(data, size, most);
    if (leave_as_is(seed))
        return size;
    for (size_t at = SIGNATURE; size >= at + LENGTH + TYPE + CRC;) {
        size_t room = size - at - (LENGTH + TYPE + CRC);
        size_t length = load_big(data + at);
        if (length > room)
            break;
        store_big(data + at + LENGTH + TYPE + length,
                  nnclr_crc32(0, data + at + LENGTH, TYPE + length));
        at += LENGTH + TYPE + length + CRC;
    }
    return size;
}

size_t fuzz_mutate_tensors(uint8_t *data, size_t size, size_t most, unsigned seed) {
    enum { LENGTH = 8 };
    if (leave_as_is(seed) || size < LENGTH || most <= LENGTH ||
        nnclr_load_u64(data) > size - LENGTH)
        return mutate(data, size, most);
    size_t header = (size_t)nnclr_load_u64(data), rest = size - LENGTH - header;
    if (seed / 16 % 2 == 0)
        return LENGTH + header + mutate(data + LENGTH + header, rest, most - LENGTH - header);

    /* The data after the header move with its end. */
    uint8_t *kept = malloc(rest + 1);
    FUZZ_REQUIRE(kept != NULL);
    memcpy(kept, data + LENGTH + header, rest);
    header = mutate(data + LENGTH, header, most - LENGTH);
    if (rest > most - LENGTH - header)
        rest = most - LENGTH - header;
    memcpy(data + LENGTH + header, kept, rest);
    free(kept);
    nnclr_store_u64(data, header);
    return LENGTH + header + rest;
}

size_t fuzz_mutate_sections(uint8_t *data, size_t size, size_t most, unsigned seed) {
    size_t count = 0, at = 0, skip;
    for (size_t next = 0; size - next >= SECTION_HEADER; count++)
        next += SECTION_HEADER + section_length(data, size, next);
    if (leave_as_is(seed) || count == 0)
        return mutate(data, size, most);
    for (skip = seed / 16 % count; skip > 0; skip--)
        at += SECTION_HEADER + section_length(data, size, at);

    size_t length = section_length(data, size, at), content = at + SECTION_HEADER;
    size_t rest = size - content - length, room = most - content - rest;
    uint8_t *section = malloc(room + 1);
    FUZZ_REQUIRE(section != NULL);
    memcpy(section, data + content, length);
    room = room < SECTION_MOST ? room : SECTION_MOST;
    size_t changed = data[at] % FUZZ_SECTIONS == FUZZ_INDEX
                         ? fuzz_mutate_tensors(section, length, room, seed / 16)
                         : mutate(section, length, room);
    memmove(data + content + changed, data + content + length, rest);
    memcpy(data + content, section, changed);
    data[at + 1] = (uint8_t)changed;
    data[at + 2] = (uint8_t)(changed >> 8);
    free(section);
    return content + changed + rest;
}
