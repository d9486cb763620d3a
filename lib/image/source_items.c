/* The items of a source: the table that those who gather fill, the bytes of an item, and what the
 * name of a file says about files of many pictures. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "image/decode.h"
#include "image/source_entries.h"
#include "io/archive.h"

/* ---- the table ---- */

const char *nnclr_source_text_at(const nnclr_source *source, size_t at) {
    return (char *)source->texts.data + at;
}

bool nnclr_item_path(const nnclr_source *source, const nnclr_source_item *item, nnclr_buffer *path,
                     nnclr_error *e) {
    const char *name = nnclr_source_text_at(source, item->name);
    bool below = item->kind == NNCLR_SOURCE_FILE && name[0] != '/'; /* a list may name any path */
    const char *base = below ? source->bases[item->input] : "";
    bool slash = *base && base[strlen(base) - 1] != '/';
    return nnclr_buffer_printf(path, e, "%s%s%s", base, slash ? "/" : "", name);
}

bool nnclr_source_text(nnclr_source *source, const char *text, size_t size, size_t *at,
                       nnclr_error *e) {
    *at = source->texts.size;
    return nnclr_buffer_append(&source->texts, text, size, e) &&
           nnclr_buffer_append(&source->texts, "", 1, e);
}

bool nnclr_source_add(nnclr_source *source, uint32_t input, const char *name, size_t size,
                      nnclr_source_item **item, nnclr_error *e) {
    nnclr_source_item added = {.label = -1, .kind = NNCLR_SOURCE_FILE, .input = input};
    if (!nnclr_reserve(&source->items, &source->capacity, source->count + 1, sizeof added, e) ||
        !nnclr_source_text(source, name, size, &added.name, e))
        return false;
    *item = &source->items[source->count++];
    **item = added;
    return true;
}

/* Does the item's file get written? By device and inode: the output may be called something else,
 * or be another link to the file. `path` (emptied first) is then the file's. */
static bool find_output(const nnclr_source *source, const nnclr_source_item *item,
                        nnclr_buffer *path, bool *found, nnclr_error *e) {
    nnclr_file_id id;
    *found = false;
    path->size = 0;
    if (source->output_count == 0)
        return true;
    if (!nnclr_item_path(source, item, path, e))
        return false;
    const bool there = nnclr_file_identify((char *)path->data, &id);
    for (size_t i = 0; there && !*found && i < source->output_count; i++)
        *found = nnclr_file_same(&id, &source->outputs[i]);
    return true;
}

bool nnclr_source_refuse_output(const nnclr_source *source, const nnclr_source_item *item,
                                nnclr_error *e) {
    nnclr_buffer path = {0};
    bool found, ok = find_output(source, item, &path, &found, e);
    if (found)
        ok = nnclr_fail(e, NNCLR_ERROR_USAGE,
                        "%s is an input, and would be overwritten: give another name",
                        (char *)path.data);
    nnclr_buffer_free(&path);
    return ok;
}

bool nnclr_source_add_file(nnclr_source *source, uint32_t input, const char *name, size_t size,
                           nnclr_source_item **item, nnclr_error *e) {
    return nnclr_source_add(source, input, name, size, item, e) &&
           nnclr_source_refuse_output(source, *item, e);
}

static bool starts_as_picture(const char *path) {
    uint8_t start[NNCLR_PICTURE_START];
    nnclr_error unread = NNCLR_NO_ERROR; /* a file that cannot be read loses nothing */
    const int fd = nnclr_open_regular(path, O_RDONLY, &unread);
    const ssize_t size = fd < 0 ? -1 : pread(fd, start, sizeof start, 0);
    if (fd >= 0)
        close(fd);
    return size > 0 && nnclr_is_picture(start, (size_t)size);
}

bool nnclr_source_add_met(nnclr_source *source, uint32_t input, const char *name, size_t size,
                          nnclr_error *e) {
    nnclr_source_item *item;
    nnclr_buffer path = {0};
    bool output = false, ok = nnclr_source_add(source, input, name, size, &item, e) &&
                              find_output(source, item, &path, &output, e);
    if (output && !starts_as_picture((char *)path.data) && !nnclr_source_is_label_name(name))
        source->count--;
    else if (output)
        ok = nnclr_source_refuse_output(source, item, e);
    nnclr_buffer_free(&path);
    return ok;
}

/* ---- the bytes of an item ---- */

void nnclr_item_close(const nnclr_source *source, const nnclr_item_content *c) {
    if (c->fd >= 0 && c->fd != source->spool)
        close(c->fd);
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

/* ---- names ---- */

const char *nnclr_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool ends_with(const char *name, const char *end) {
    size_t size = strlen(name), tail = strlen(end);
    return size >= tail && strcmp(name + size - tail, end) == 0;
}

static bool starts_with(const char *name, const char *start) {
    return strncmp(name, start, strlen(start)) == 0;
}

bool nnclr_source_is_idx_name(const char *name) {
    const char *base = nnclr_base_name(name);
    return strstr(base, "idx3-ubyte") || strstr(base, "idx1-ubyte");
}

nnclr_pixel_name nnclr_source_pixel_name(const char *name) {
    if (ends_with(name, "_X.bin"))
        return NNCLR_STL10_NAME;
    if (ends_with(name, ".bin") && !ends_with(name, "_y.bin"))
        return NNCLR_CIFAR_NAME;
    return strstr(nnclr_base_name(name), "idx3-ubyte") ? NNCLR_IDX_NAME : NNCLR_NO_PIXELS;
}

bool nnclr_source_is_companion_name(const char *name) {
    const char *base = nnclr_base_name(name);
    return strcmp(base, nnclr_cifar10_layout.class_file) == 0 ||
           strcmp(base, nnclr_cifar100_layout.class_file) == 0 ||
           strcmp(base, nnclr_stl10_layout.class_file) == 0 || ends_with(base, "_y.bin") ||
           strstr(base, "idx1-ubyte");
}

const char *nnclr_source_part_of(const char *name) {
    static const char *const starts[][2] = {{"data_batch", "train"},
                                            {"train", "train"},
                                            {"test", "test"},
                                            {"t10k", "test"},
                                            {"unlabeled", "unlabeled"}};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (starts_with(nnclr_base_name(name), starts[i][0]))
            return starts[i][1];
    return NULL;
}

const char *nnclr_source_part_in(const char *root) {
    static const char *const parts[] = {"train", "test", "unlabeled"};
    size_t size = strlen(root);
    while (size > 0 && root[size - 1] == '/')
        size--;
    size_t start = size;
    while (start > 0 && root[start - 1] != '/')
        start--;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strlen(parts[i]) == size - start && memcmp(parts[i], root + start, size - start) == 0)
            return parts[i];
    return NULL;
}

bool nnclr_source_is_label_name(const char *name) {
    return nnclr_ends_in(name, ".cls");
}
