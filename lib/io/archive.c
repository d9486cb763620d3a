#include "io/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum { BLOCK = 64 * 1024 };

struct nnclr_archive {
    struct archive *reader;
    struct archive_entry *entry;
    char *name; /* for messages */
    int fd;
    bool peeked; /* entry was read by open and not yet given out */
    bool ended;
};

/* What libarchive says of its last failure; memory it has not is told apart by errno. */
static bool reader_failed(const nnclr_archive *archive, nnclr_error *e) {
    const char *why = archive_error_string(archive->reader);
    bool memory = archive_errno(archive->reader) == ENOMEM;
    return nnclr_fail(e, memory ? NNCLR_ERROR_MEMORY : NNCLR_ERROR_INPUT, "%s: %s", archive->name,
                      why ? why : "damaged archive");
}

/* The compressions that libarchive reads by itself; its others start programs. */
static bool set_up(nnclr_archive *archive, bool packed, nnclr_error *e) {
    int (*const supports[])(struct archive *) = {
        archive_read_support_filter_gzip,
        archive_read_support_filter_bzip2,
        archive_read_support_filter_xz,
        archive_read_support_filter_lzma,
        archive_read_support_filter_lzip,
        archive_read_support_filter_zstd,
        archive_read_support_filter_lz4,
        archive_read_support_filter_compress,
        packed ? archive_read_support_format_raw : archive_read_support_format_tar,
    };
    archive->reader = archive_read_new();
    if (!archive->reader)
        return nnclr_fail(e, NNCLR_ERROR_MEMORY, "not enough memory for libarchive");
    for (size_t i = 0; i < sizeof supports / sizeof *supports; i++) {
        /* ARCHIVE_WARN: this build of libarchive lacks the library and would take a program. */
        int code = supports[i](archive->reader);
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
            return reader_failed(archive, e);
    }
    if (!packed && archive_read_set_format_option(archive->reader, "tar",
                                                  "read_concatenated_archives", "1") != ARCHIVE_OK)
        return reader_failed(archive, e);
    return true;
}

/* Goes to the next header of any kind. */
static nnclr_archive_state advance(nnclr_archive *archive, nnclr_error *e) {
    int code = archive_read_next_header(archive->reader, &archive->entry);
    if (code == ARCHIVE_EOF)
        return NNCLR_ARCHIVE_END;
    if (code == ARCHIVE_OK || code == ARCHIVE_WARN)
        return NNCLR_ARCHIVE_ENTRY;
    reader_failed(archive, e);
    return NNCLR_ARCHIVE_FAILED;
}

static bool open_input(nnclr_archive *archive, const char *path, nnclr_error *e) {
    struct stat status;
    bool standard = strcmp(path, "-") == 0;
    archive->name = nnclr_strdup(standard ? "standard input" : path, e);
    if (!archive->name)
        return false;
    archive->fd =
        standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
    if (archive->fd < 0 || fstat(archive->fd, &status) != 0)
        return nnclr_fail_errno(e, "%s", archive->name);
    if (S_ISDIR(status.st_mode))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is a folder, not an archive", archive->name);
    return true;
}

static nnclr_archive *open_archive(const char *path, bool packed, nnclr_error *e) {
    nnclr_archive *archive = nnclr_alloc_zero(1, sizeof *archive, e);
    if (!archive)
        return NULL;
    archive->fd = -1;
    if (!open_input(archive, path, e) || !set_up(archive, packed, e))
        goto fail;
    if (archive_read_open_fd(archive->reader, archive->fd, BLOCK) != ARCHIVE_OK) {
        if (archive_errno(archive->reader) == EILSEQ) /* libarchive's "unrecognized format" */
            nnclr_fail(
                e, NNCLR_ERROR_INPUT,
                "%s: is neither a picture nor a tar archive; give a folder or a tar of JPEG and "
                "PNG files",
                archive->name);
        else
            reader_failed(archive, e);
        goto fail;
    }
    switch (advance(archive, e)) {
    case NNCLR_ARCHIVE_ENTRY:
        archive->peeked = true;
        return archive;
    case NNCLR_ARCHIVE_END:
        archive->ended = true;
        return archive;
    default:
        break;
    }
fail:
    nnclr_archive_close(archive);
    return NULL;
}

nnclr_archive *nnclr_archive_open(const char *path, nnclr_error *e) {
    return open_archive(path, false, e);
}

nnclr_archive *nnclr_archive_open_packed(const char *path, nnclr_error *e) {
    return open_archive(path, true, e);
}

void nnclr_archive_close(nnclr_archive *archive) {
    if (!archive)
        return;
    if (archive->reader)
        archive_read_free(archive->reader);
    if (archive->fd >= 0)
        close(archive->fd);
    nnclr_free(archive->name);
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
        if (*name && (*link || archive_entry_filetype(archive->entry) == AE_IFREG))
            return NNCLR_ARCHIVE_ENTRY;
    }
    return NNCLR_ARCHIVE_END;
}

bool nnclr_archive_data(nnclr_archive *archive, size_t limit, nnclr_buffer *out, nnclr_error *e) {
    size_t start = out->size;
    for (;;) {
        size_t room = limit - (out->size - start);
        size_t piece =
            room < BLOCK ? room + 1 : BLOCK; /* one byte more shows that it is too large */
        if (!nnclr_buffer_reserve(out, piece, e))
            return false;
        la_ssize_t got = archive_read_data(archive->reader, out->data + out->size, piece);
        if (got == 0)
            break;
        if (got < 0 && got != ARCHIVE_WARN) {
            out->size = start;
            return reader_failed(archive, e);
        }
        if (got < 0)
            continue;
        out->size += (size_t)got;
        if (out->size - start > limit) {
            const char *name = archive_entry_pathname(archive->entry);
            out->size = start;
            return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: %s: more than %zu bytes", archive->name,
                              name ? name : "?", limit);
        }
    }
    out->data[out->size] = 0;
    return true;
}
