#include "image/source_content.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "image/decode.h"
#include "io/archive.h"

void nnclr_item_close(const nnclr_source *source, const nnclr_item_content *c) {
    if (c->fd >= 0 && c->fd != source->spool)
        close(c->fd);
}

const char *nnclr_source_text_at(const nnclr_source *source, size_t at) {
    return (char *)source->texts.data + at;
}

/* A file's path, a member's name. */
bool nnclr_item_path(const nnclr_source *source, const nnclr_source_item *item, nnclr_buffer *path,
                     nnclr_error *e) {
    const char *name = nnclr_source_text_at(source, item->name);
    bool below = item->kind == NNCLR_SOURCE_FILE && name[0] != '/'; /* a list may name any path */
    const char *base = below ? source->bases[item->input] : "";
    bool slash = *base && base[strlen(base) - 1] != '/';
    return nnclr_buffer_printf(path, e, "%s%s%s", base, slash ? "/" : "", name);
}

/* Replaces a file that gzip made with its content. */
static bool unpack(const nnclr_source *source, const char *path, nnclr_item_content *c,
                   nnclr_error *e) {
    const char *name, *link;
    nnclr_buffer data = {0};
    int fd = -1;
    nnclr_archive *packed = nnclr_archive_open_packed(path, e);
    nnclr_archive_state state =
        packed ? nnclr_archive_next(packed, &name, &link, e) : NNCLR_ARCHIVE_FAILED;
    bool ok =
        state != NNCLR_ARCHIVE_FAILED &&
        (state == NNCLR_ARCHIVE_END || nnclr_archive_data(packed, source->file_limit, &data, e)) &&
        (fd = nnclr_temporary_fd(e)) >= 0 && nnclr_temporary_write(fd, data.data, data.size, e);
    nnclr_archive_close(packed);
    if (ok) {
        close(c->fd);
        *c = (nnclr_item_content){fd, 0, data.size};
    } else if (fd >= 0) {
        close(fd);
    }
    nnclr_buffer_free(&data);
    return ok;
}

static bool open_path(const nnclr_source *source, const char *path, nnclr_item_content *c,
                      nnclr_error *e) {
    static const uint8_t gzip[2] = {0x1f, 0x8b};
    struct stat status;
    uint8_t start[2];
    c->fd = nnclr_open_regular(path, O_RDONLY, e);
    if (c->fd < 0)
        return false;
    if (fstat(c->fd, &status) != 0)
        return nnclr_fail_errno(e, "%s", path);
    c->size = (uint64_t)status.st_size;
    if (!nnclr_source_is_idx_name(path) || c->size < sizeof start)
        return true;
    return nnclr_read_at(c->fd, start, sizeof start, 0, path, e) &&
           (memcmp(start, gzip, sizeof gzip) != 0 || unpack(source, path, c, e));
}

static bool open_file(const nnclr_source *source, const nnclr_source_item *item,
                      nnclr_item_content *c, nnclr_error *e) {
    nnclr_buffer path = {0};
    bool ok = nnclr_item_path(source, item, &path, e) && open_path(source, (char *)path.data, c, e);
    nnclr_buffer_free(&path);
    return ok;
}

/* To be closed even if this fails. */
bool nnclr_item_open(const nnclr_source *source, const nnclr_source_item *item,
                     nnclr_item_content *c, nnclr_error *e) {
    *c = (nnclr_item_content){.fd = -1};
    const char *name = nnclr_source_text_at(source, item->name);
    switch (item->kind) {
    case NNCLR_SOURCE_FILE:
        return open_file(source, item, c, e);
    case NNCLR_SOURCE_SPOOLED:
        *c = (nnclr_item_content){source->spool, item->offset, item->size};
        return true;
    case NNCLR_SOURCE_LARGE:
        return nnclr_fail(e, NNCLR_ERROR_LIMIT,
                          "%s: larger than the limit of %zu bytes for a member of an archive; "
                          "unpack it, and give the file",
                          name, source->file_limit);
    default:
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: %s", name,
                          nnclr_source_text_at(source, (size_t)item->offset));
    }
}

bool nnclr_item_is_picture(const nnclr_source *source, const nnclr_source_item *item, bool *picture,
                           nnclr_error *e) {
    nnclr_item_content c;
    uint8_t start[NNCLR_PICTURE_START];
    nnclr_error why;
    bool ok = nnclr_item_open(source, item, &c, &why);
    size_t size = ok && c.size < sizeof start ? (size_t)c.size : sizeof start;
    ok = ok &&
         nnclr_read_at(c.fd, start, size, c.start, nnclr_source_text_at(source, item->name), &why);
    nnclr_item_close(source, &c);
    *picture = ok && nnclr_is_picture(start, size);
    if (ok || nnclr_is_fault_of_input(&why))
        return true;
    *e = why;
    return false;
}
