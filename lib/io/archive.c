#include "io/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "io/gunzip.h"

enum { BLOCK = 64 * 1024, TAR_BLOCK = 512 };

/* The bytes of a file go up through three layers, each of which asks the one below:
 *
 *      the file's blocks --(gunzip, or unpacker)--> the tar, decompressed --reader--> members
 *
 * Decompression is separate from reading, so that gzip's checksums are looked at and the end of the
 * tar is seen: libarchive takes a tar that is cut between two members for a whole one. */
struct nnclr_archive {
    struct archive *reader;   /* of the tar */
    struct archive *unpacker; /* of everything but gzip; NULL: it is gzip */
    nnclr_gunzip *gunzip;
    struct archive_entry *entry;
    nnclr_input file;
    unsigned char block[BLOCK];
    size_t held;         /* bytes in block that were read to see what the file is */
    size_t zeros;        /* at the end of what the reader was given */
    bool given;          /* the reader was given anything */
    bool exhausted;      /* the unpacker has no more */
    nnclr_error failure; /* of a layer below the reader */
    bool packed;         /* one compressed file, and not a tar */
    bool peeked;         /* entry was read by open and not yet given out */
    bool ended;
};

/* What libarchive says of its last failure, or what failed below it; errno tells whether it was
 * short of memory. */
static bool archive_failed(const nnclr_archive *archive, struct archive *which, nnclr_error *e) {
    if (archive->failure.code != NNCLR_OK) {
        *e = archive->failure;
        return nnclr_fail_at(e, "%s", archive->file.name);
    }
    const char *why = archive_error_string(which);
    bool memory = archive_errno(which) == ENOMEM;
    return nnclr_fail(e, memory ? NNCLR_ERROR_MEMORY : NNCLR_ERROR_INPUT, "%s: %s",
                      archive->file.name, why ? why : "damaged or truncated archive");
}

static bool reader_failed(const nnclr_archive *archive, nnclr_error *e) {
    return archive_failed(archive, archive->reader, e);
}

/* ---- the file ---- */

/* The next block of the file, the held one first. */
static long next_block(void *context, const void **bytes, nnclr_error *e) {
    nnclr_archive *archive = context;
    *bytes = archive->block;
    size_t held = archive->held;
    archive->held = 0;
    if (held > 0)
        return (long)held;
    for (;;) {
        ssize_t got = read(archive->file.fd, archive->block, BLOCK);
        if (got >= 0)
            return (long)got;
        if (errno != EINTR) {
            nnclr_fail(e, NNCLR_ERROR_IO, "%s", strerror(errno));
            return -1;
        }
    }
}

static la_ssize_t next_block_for_unpacker(struct archive *unpacker, void *context,
                                          const void **bytes) {
    nnclr_archive *archive = context;
    (void)unpacker;
    return next_block(archive, bytes, &archive->failure);
}

/* ---- decompression ---- */

static long next_unpacked(nnclr_archive *archive, const void **bytes) {
    size_t size;
    la_int64_t offset;
    if (archive->gunzip)
        return nnclr_gunzip_next(archive->gunzip, bytes, &archive->failure);
    if (archive->exhausted)
        return 0;
    int code;
    do
        code = archive_read_data_block(archive->unpacker, bytes, &size, &offset);
    while (code == ARCHIVE_OK && size == 0);
    archive->exhausted = code == ARCHIVE_EOF;
    if (archive->exhausted)
        return 0;
    if (code == ARCHIVE_OK)
        return (long)size;
    const char *why = archive_error_string(archive->unpacker);
    if (archive->failure.code == NNCLR_OK)
        nnclr_fail(&archive->failure,
                   archive_errno(archive->unpacker) == ENOMEM ? NNCLR_ERROR_MEMORY
                                                              : NNCLR_ERROR_INPUT,
                   "%s", why ? why : "damaged archive");
    return -1;
}

/* What the reader reads; zeros at its end are counted. */
static la_ssize_t next_for_reader(struct archive *reader, void *context, const void **bytes) {
    nnclr_archive *archive = context;
    (void)reader;
    long size = next_unpacked(archive, bytes);
    long zeros = 0;
    while (zeros < size && ((const unsigned char *)*bytes)[size - 1 - zeros] == 0)
        zeros++;
    if (size > 0)
        archive->zeros = (size_t)zeros + (zeros == size ? archive->zeros : 0);
    archive->given = archive->given || size > 0;
    return size;
}

typedef int support(struct archive *);

/* ARCHIVE_WARN: this build of libarchive lacks the library and would take a program. */
static bool add_support(const nnclr_archive *archive, struct archive *to, support *const *supports,
                        size_t count, nnclr_error *e) {
    for (size_t i = 0; i < count; i++) {
        int code = supports[i](to);
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
            return archive_failed(archive, to, e);
    }
    return true;
}

static bool no_memory(nnclr_error *e) {
    return nnclr_fail(e, NNCLR_ERROR_MEMORY, "not enough memory for libarchive");
}

/* The compressions that libarchive reads by itself; for others it starts programs. */
static bool open_unpacker(nnclr_archive *archive, nnclr_error *e) {
    static support *const supports[] = {
        archive_read_support_filter_bzip2,    archive_read_support_filter_xz,
        archive_read_support_filter_lzma,     archive_read_support_filter_lzip,
        archive_read_support_filter_zstd,     archive_read_support_filter_lz4,
        archive_read_support_filter_compress, archive_read_support_format_raw,
        archive_read_support_format_empty,
    };
    struct archive_entry *whole;
    archive->unpacker = archive_read_new();
    if (!archive->unpacker)
        return no_memory(e);
    if (!add_support(archive, archive->unpacker, supports, sizeof supports / sizeof *supports, e))
        return false;
    int code = archive_read_open(archive->unpacker, archive, NULL, next_block_for_unpacker, NULL);
    if (code == ARCHIVE_OK)
        code = archive_read_next_header(archive->unpacker, &whole);
    archive->exhausted = code == ARCHIVE_EOF; /* of no bytes at all: libarchive must not be asked */
    return code == ARCHIVE_OK || code == ARCHIVE_EOF ||
           archive_failed(archive, archive->unpacker, e);
}

static bool open_stream(nnclr_archive *archive, nnclr_error *e) {
    const void *bytes;
    while (archive->held < 2) { /* a pipe may give a single byte */
        ssize_t got = read(archive->file.fd, archive->block + archive->held, BLOCK - archive->held);
        if (got < 0 && errno != EINTR)
            return nnclr_fail_errno(e, "%s", archive->file.name);
        if (got == 0)
            break;
        archive->held += got > 0 ? (size_t)got : 0;
    }
    bytes = archive->block;
    if (!nnclr_is_gzip(bytes, archive->held))
        return open_unpacker(archive, e);
    archive->gunzip = nnclr_gunzip_open((nnclr_gunzip_source){next_block, archive}, e);
    return archive->gunzip != NULL;
}

/* ---- the tar ---- */

static bool set_up(nnclr_archive *archive, nnclr_error *e) {
    support *const format =
        archive->packed ? archive_read_support_format_raw : archive_read_support_format_tar;
    archive->reader = archive_read_new();
    if (!archive->reader)
        return no_memory(e);
    if (!add_support(archive, archive->reader, &format, 1, e))
        return false;
    return archive->packed ||
           archive_read_set_format_option(archive->reader, "tar", "read_concatenated_archives",
                                          "1") == ARCHIVE_OK ||
           reader_failed(archive, e);
}

/* A tar ends in blocks of zeros; the reader has gone to the end of the file to find them. */
static nnclr_archive_state at_end(const nnclr_archive *archive, nnclr_error *e) {
    if (archive->packed || archive->zeros >= TAR_BLOCK)
        return NNCLR_ARCHIVE_END;
    nnclr_fail(e, NNCLR_ERROR_INPUT,
               "%s: truncated: a tar ends in a block of zeros, this one does not",
               archive->file.name);
    return NNCLR_ARCHIVE_FAILED;
}

/* Goes to the next header of any kind. */
static nnclr_archive_state advance(nnclr_archive *archive, nnclr_error *e) {
    int code = archive_read_next_header(archive->reader, &archive->entry);
    if (code == ARCHIVE_EOF)
        return at_end(archive, e);
    if (code == ARCHIVE_OK || code == ARCHIVE_WARN)
        return NNCLR_ARCHIVE_ENTRY;
    reader_failed(archive, e);
    return NNCLR_ARCHIVE_FAILED;
}

/* libarchive takes a file of no bytes for one of another format. */
static bool open_reader(nnclr_archive *archive, nnclr_error *e) {
    if (archive_read_open(archive->reader, archive, NULL, next_for_reader, NULL) == ARCHIVE_OK)
        return true;
    if (archive->failure.code != NNCLR_OK || archive_errno(archive->reader) != EILSEQ)
        return reader_failed(archive, e);
    if (!archive->given)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is empty", archive->file.name);
    return nnclr_fail(e, NNCLR_ERROR_INPUT,
                      "%s: is neither a picture nor a tar archive; give a folder or a tar of JPEG "
                      "and PNG files",
                      archive->file.name);
}

/* Goes to the first header, so that an archive without one is refused. */
static bool open_first(nnclr_archive *archive, nnclr_error *e) {
    nnclr_archive_state state = advance(archive, e);
    archive->peeked = state == NNCLR_ARCHIVE_ENTRY;
    archive->ended = state == NNCLR_ARCHIVE_END;
    if (archive->ended && !archive->packed)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is empty: an archive of no files",
                          archive->file.name);
    return state != NNCLR_ARCHIVE_FAILED;
}

/* The file at `path`, or if that is NULL an open one. */
static nnclr_archive *open_archive(const char *path, const nnclr_input *input, bool packed,
                                   nnclr_error *e) {
    nnclr_archive *archive = nnclr_alloc_zero(1, sizeof *archive, e);
    if (!archive)
        return NULL;
    archive->packed = packed;
    if ((path ? nnclr_input_open_once(path, &archive->file, e)
              : nnclr_input_dup(input, &archive->file, e)) &&
        (path || lseek(archive->file.fd, 0, SEEK_SET) == 0 ||
         nnclr_fail_errno(e, "%s", archive->file.name)) &&
        open_stream(archive, e) && set_up(archive, e) && open_reader(archive, e) &&
        open_first(archive, e))
        return archive;
    nnclr_archive_close(archive);
    return NULL;
}

nnclr_archive *nnclr_archive_open(const char *path, nnclr_error *e) {
    return open_archive(path, NULL, false, e);
}

nnclr_archive *nnclr_archive_open_input(const nnclr_input *input, nnclr_error *e) {
    return open_archive(NULL, input, false, e);
}

nnclr_archive *nnclr_archive_open_packed(const char *path, nnclr_error *e) {
    return open_archive(path, NULL, true, e);
}

void nnclr_archive_close(nnclr_archive *archive) {
    if (!archive)
        return;
    if (archive->reader)
        archive_read_free(archive->reader);
    if (archive->unpacker)
        archive_read_free(archive->unpacker);
    nnclr_gunzip_close(archive->gunzip);
    nnclr_input_close(&archive->file);
    nnclr_free(archive);
}

nnclr_archive_state nnclr_archive_next(nnclr_archive *archive, const char **name, const char **link,
                                       nnclr_error *e) {
    while (!archive->ended) {
        nnclr_archive_state state = NNCLR_ARCHIVE_ENTRY;
        if (!archive->peeked)
            state = advance(archive, e);
        archive->peeked = false;
        if (state != NNCLR_ARCHIVE_ENTRY) {
            archive->ended = true;
            return state;
        }
        *name = archive_entry_pathname(archive->entry);
        *link = archive_entry_hardlink(archive->entry);
        if (!*link)
            *link = archive_entry_symlink(archive->entry);
        if (*name && (*link || archive_entry_filetype(archive->entry) == AE_IFREG))
            return NNCLR_ARCHIVE_ENTRY;
    }
    return NNCLR_ARCHIVE_END;
}

bool nnclr_archive_is_symbolic(const nnclr_archive *archive) {
    return !archive_entry_hardlink(archive->entry) && archive_entry_symlink(archive->entry);
}

bool nnclr_archive_start(nnclr_archive *archive, size_t size, nnclr_buffer *out, nnclr_error *e) {
    size_t start = out->size;
    while (out->size - start < size) {
        size_t left = size - (out->size - start);
        size_t piece = nnclr_min(left, BLOCK);
        if (!nnclr_buffer_reserve(out, piece, e))
            return false;
        la_ssize_t got = archive_read_data(archive->reader, out->data + out->size, piece);
        if (got == 0)
            break;
        if (got < 0 && got != ARCHIVE_WARN) {
            out->size = start;
            return reader_failed(archive, e);
        }
        out->size += got > 0 ? (size_t)got : 0;
    }
    return nnclr_buffer_append(out, "", 0, e);
}

bool nnclr_archive_data(nnclr_archive *archive, size_t limit, nnclr_buffer *out, nnclr_error *e) {
    size_t start = out->size;
    /* One byte more shows that it is too large. */
    if (!nnclr_archive_start(archive, limit + 1, out, e))
        return false;
    if (out->size - start <= limit)
        return true;
    const char *name = archive_entry_pathname(archive->entry);
    out->size = start;
    return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: %s: more than %zu bytes", archive->file.name,
                      name ? name : "?", limit);
}
