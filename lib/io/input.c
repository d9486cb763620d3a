#include "io/input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/files.h"
#include "base/memory.h"
#include "io/zstd_frames.h"

enum { MEMORY_LIMIT = 64 << 20, PIECE = 1 << 16 };

/* Copies what `from` still yields, up to about `limit` bytes; *size counts up. */
static bool copy(int from, const char *name, int to, uint64_t limit, uint64_t *size,
                 nnclr_error *e) {
    unsigned char piece[PIECE];
    while (*size < limit) {
        ssize_t got = read(from, piece, sizeof piece);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return nnclr_fail_errno(e, "%s", name);
        if (!nnclr_temporary_write(to, piece, (size_t)got, e))
            return false;
        *size += (uint64_t)got;
    }
    return true;
}

/* Replaces the descriptor of a pipe with one of a file that holds all it yields. */
static bool spool(nnclr_input *input, nnclr_error *e) {
    bool ok = false;
    int file = -1, memory = memfd_create("nnclr", MFD_CLOEXEC);
    uint64_t size = 0, moved = 0;
    if (memory >= 0 && !copy(input->fd, input->name, memory, MEMORY_LIMIT, &size, e))
        goto exit;
    if (memory < 0 || size >= MEMORY_LIMIT) {
        file = nnclr_temporary_fd(e);
        if (file < 0)
            goto exit;
        if (memory >= 0 && (lseek(memory, 0, SEEK_SET) != 0 ||
                            !copy(memory, input->name, file, UINT64_MAX, &moved, e)))
            goto exit;
        if (!copy(input->fd, input->name, file, UINT64_MAX, &size, e))
            goto exit;
    }
    int *kept = file >= 0 ? &file : &memory;
    close(input->fd);
    input->fd = *kept;
    input->size = size;
    *kept = -1;
    ok = true;
exit:
    if (file >= 0)
        close(file);
    if (memory >= 0)
        close(memory);
    return ok;
}

bool nnclr_input_open_once(const char *path, nnclr_input *input, nnclr_error *e) {
    *input = (nnclr_input){.fd = -1};
    input->name = nnclr_strdup(nnclr_input_name(path), e);
    if (!input->name)
        return false;
    input->fd = nnclr_is_standard(path) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                        : open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (input->fd < 0 || fstat(input->fd, &status) != 0) {
        nnclr_fail_errno(e, "%s", input->name);
    } else if (S_ISDIR(status.st_mode)) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is a folder", input->name);
    } else {
        input->size = (uint64_t)status.st_size;
        return true;
    }
    nnclr_input_close(input);
    return false;
}

bool nnclr_input_open(const char *path, nnclr_input *input, nnclr_error *e) {
    struct stat status;
    if (!nnclr_input_open_once(path, input, e))
        return false;
    /* A redirected file whose start somebody else has read counts as a pipe. */
    const bool whole = fstat(input->fd, &status) == 0 && S_ISREG(status.st_mode) &&
                       lseek(input->fd, 0, SEEK_CUR) == 0;
    if (whole || spool(input, e))
        return true;
    nnclr_input_close(input);
    return false;
}

bool nnclr_input_check(const char *const *paths, size_t count, nnclr_error *e) {
    int standard = 0;
    for (size_t i = 0; i < count; i++)
        standard += nnclr_is_standard(paths[i]);
    return standard < 2 ||
           nnclr_fail(e, NNCLR_ERROR_USAGE, "standard input can be given only once");
}

bool nnclr_input_dup(const nnclr_input *input, nnclr_input *again, nnclr_error *e) {
    *again = (nnclr_input){.fd = -1, .size = input->size};
    again->name = nnclr_strdup(input->name, e);
    if (!again->name)
        return false;
    again->fd = fcntl(input->fd, F_DUPFD_CLOEXEC, 0);
    if (again->fd >= 0)
        return true;
    nnclr_fail_errno(e, "%s", input->name);
    nnclr_input_close(again);
    return false;
}

void nnclr_input_close(nnclr_input *input) {
    if (input->name && input->fd >= 0)
        close(input->fd);
    nnclr_free(input->name);
    *input = (nnclr_input){.fd = -1};
}

bool nnclr_input_unpack(nnclr_input *input, nnclr_error *e) {
    int to = nnclr_temporary_fd(e);
    if (to < 0)
        return false;
    uint64_t size;
    if (lseek(input->fd, 0, SEEK_SET) != 0) {
        nnclr_fail_errno(e, "%s", input->name);
        goto fail;
    }
    if (!nnclr_zstd_spool(input->fd, to, input->name, &size, e))
        goto fail;
    close(input->fd);
    input->fd = to;
    input->size = size;
    return true;
fail:
    close(to);
    return false;
}

bool nnclr_input_peek(const nnclr_input *input, size_t size, nnclr_buffer *out, nnclr_error *e) {
    unsigned char piece[PIECE];
    size_t start = out->size;
    uint64_t at = 0;
    ZSTD_DStream *zstd = NULL;
    bool ok = false;
    if (!nnclr_buffer_reserve(out, size, e))
        return false;
    ZSTD_outBuffer to = {out->data + start, size, 0};
    while (at < input->size && to.pos < to.size) {
        size_t got = input->size - at < PIECE ? (size_t)(input->size - at) : PIECE;
        if (!nnclr_read_at(input->fd, piece, got, at, input->name, e))
            goto exit;
        uint32_t magic = got >= 4 ? nnclr_load_u32(piece) : 0;
        if (at == 0 && (nnclr_is_zstd(magic) || nnclr_is_skippable(magic))) {
            zstd = ZSTD_createDStream();
            if (!zstd) {
                nnclr_fail(e, NNCLR_ERROR_MEMORY, "not enough memory for zstd");
                goto exit;
            }
        }
        at += got;
        if (!zstd) {
            size_t taken = got < to.size - to.pos ? got : to.size - to.pos;
            memcpy((unsigned char *)to.dst + to.pos, piece, taken);
            to.pos += taken;
            continue;
        }
        ZSTD_inBuffer from = {piece, got, 0};
        while (from.pos < from.size && to.pos < to.size) {
            size_t code = ZSTD_decompressStream(zstd, &to, &from);
            if (ZSTD_isError(code)) {
                nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: damaged zstd stream: %s", input->name,
                           ZSTD_getErrorName(code));
                goto exit;
            }
        }
    }
    out->size = start + to.pos;
    out->data[out->size] = 0;
    ok = true;
exit:
    ZSTD_freeDStream(zstd);
    return ok;
}

bool nnclr_is_shard_member(const char *name, const char *wanted) {
    size_t size = strlen(wanted);
    return strncmp(name, wanted, size) == 0 &&
           (name[size] == '\0' || strcmp(name + size, ".json") == 0);
}

nnclr_content nnclr_content_of(const unsigned char *bytes, size_t size) {
    enum { TAR_BLOCK = 512, TAR_MAGIC = 257, LENGTH = 8, HEADER_LIMIT = 64 << 20 };
    if (size >= TAR_BLOCK && memcmp(bytes + TAR_MAGIC, "ustar", 5) == 0)
        return nnclr_is_shard_member((const char *)bytes, NNCLR_SHARD_FIRST) ? NNCLR_CONTENT_SHARD
                                                                             : NNCLR_CONTENT_TAR;
    if (size > LENGTH && bytes[LENGTH] == '{' && nnclr_load_u64(bytes) <= HEADER_LIMIT)
        return NNCLR_CONTENT_TENSORS;
    return NNCLR_CONTENT_OTHER;
}
