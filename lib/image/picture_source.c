#include "image/picture_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "image/decode.h"
#include "image/source_entries.h"
#include "io/input.h"
#include "io/run_folder.h"

/* ---- gathering ---- */

/* "folder/" + "root" without doubled or trailing slashes; either may be empty. */
static char *join(const char *folder, const char *root, nnclr_error *e) {
    size_t folder_size = strlen(folder), root_size = root ? strlen(root) : 0;
    while (folder_size > 1 && folder[folder_size - 1] == '/')
        folder_size--;
    while (root_size > 0 && root[root_size - 1] == '/')
        root_size--;
    bool slash = folder_size > 0 && folder[folder_size - 1] != '/' && root_size > 0;
    nnclr_buffer path = {0};
    if (!nnclr_buffer_append(&path, folder, folder_size, e) ||
        !nnclr_buffer_append(&path, "/", slash, e) ||
        !nnclr_buffer_append(&path, root_size ? root : "", root_size, e)) {
        nnclr_buffer_free(&path);
        return NULL;
    }
    return (char *)path.data;
}

/* The first bytes of a regular file, as many as there are; 0 if they cannot be read, which is left
 * to the archive reader: it says why. */
static size_t read_start(const char *path, uint8_t *start, size_t size) {
    struct stat status;
    if (nnclr_is_standard(path) || stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return 0;
    ssize_t got = pread(fd, start, size, 0);
    close(fd);
    return got > 0 ? (size_t)got : 0;
}

static bool is_picture(const char *path) {
    uint8_t start[NNCLR_PICTURE_START];
    return nnclr_is_picture(start, read_start(path, start, sizeof start));
}

/* A tar may have any name, even that of a file of many pictures. */
static bool is_archive(const char *path) {
    static const char *const magics[] = {"\037\213", "BZh", "\3757zXZ", "\050\265\057\375"};
    uint8_t start[512];
    size_t size = read_start(path, start, sizeof start);
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (size > strlen(magics[i]) && memcmp(start, magics[i], strlen(magics[i])) == 0)
            return true;
    nnclr_content content = nnclr_content_of(start, size);
    return content == NNCLR_CONTENT_TAR || content == NNCLR_CONTENT_SHARD;
}

static bool is_file(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static bool add_single_file(nnclr_source *source, uint32_t input, nnclr_error *e) {
    char *path = source->bases[input];
    char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    nnclr_source_item *item;
    if (!nnclr_source_add(source, input, name, strlen(name), &item, e))
        return false;
    path[slash == path ? 1 : slash ? slash - path : 0] = '\0'; /* its folder is the base */
    return nnclr_source_refuse_output(source, item, e);
}

/* Files beside it that may hold labels or names of classes. */
static bool add_companions(nnclr_source *source, uint32_t input, nnclr_error *e) {
    const char *base = source->bases[input];
    DIR *directory = opendir(*base ? base : ".");
    if (!directory)
        return nnclr_fail_errno(e, "%s", *base ? base : ".");
    bool ok = true;
    while (ok) {
        nnclr_source_item *item;
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry) {
            ok = !errno || nnclr_fail_errno(e, "%s", *base ? base : ".");
            break;
        }
        if (!nnclr_source_is_companion_name(entry->d_name))
            continue;
        ok = nnclr_source_add_file(source, input, entry->d_name, strlen(entry->d_name), &item, e);
        if (ok)
            item->role = NNCLR_SOURCE_COMPANION;
    }
    closedir(directory);
    return ok;
}

/* One file of many pictures. */
static bool gather_pixel_file(nnclr_source *source, uint32_t input, nnclr_error *e) {
    size_t first = source->count;
    if (!add_single_file(source, input, e))
        return false;
    source->items[first].role = NNCLR_SOURCE_CHOSEN;
    return add_companions(source, input, e) && nnclr_source_expand(source, input, first, NULL, e);
}

/* Files of many pictures of the part that ends the root, in the folder before it. */
static bool gather_part(nnclr_source *source, uint32_t input, const char *part, nnclr_error *e) {
    size_t first = source->count;
    if (!nnclr_source_gather_folder(source, input, true, e))
        return false;
    for (size_t i = first; i < source->count; i++) {
        const char *name = (char *)source->texts.data + source->items[i].name;
        const char *of = nnclr_source_part_of(name);
        bool chosen = nnclr_source_pixel_name(name) && of && strcmp(of, part) == 0;
        source->items[i].role = chosen ? NNCLR_SOURCE_CHOSEN : NNCLR_SOURCE_COMPANION;
    }
    return nnclr_source_expand(source, input, first, NULL, e);
}

static bool gather_folder(nnclr_source *source, uint32_t input, const char *folder,
                          const char *root, nnclr_error *e) {
    size_t first = source->count;
    char *whole = source->bases[input]; /* folder/root */
    const char *part = root ? nnclr_source_part_in(root) : NULL;
    if (root && nnclr_source_pixel_name(whole) && is_file(whole))
        return gather_pixel_file(source, input, e);
    if (!part || nnclr_is_folder(whole))
        return nnclr_source_gather_folder(source, input, root, e) &&
               nnclr_source_expand(source, input, first, NULL, e);
    char *parent = join(folder, root, e);
    if (!parent)
        return false;
    parent[strlen(parent) - strlen(part)] = '\0'; /* a slash stays */
    bool ok;
    source->bases[input] = parent;
    ok = !nnclr_is_folder(parent) || gather_part(source, input, part, e);
    if (ok && source->count == first) { /* none there: what is missing is the folder */
        source->bases[input] = whole;
        whole = parent;
        ok = nnclr_source_gather_folder(source, input, root, e);
    }
    nnclr_free(whole);
    return ok;
}

/* The operands of a program are easily mixed up. */
static bool refuse_run(const char *folder, nnclr_error *e) {
    nnclr_error ignored = NNCLR_NO_ERROR;
    nnclr_buffer path = {0};
    const bool run = nnclr_run_find_checkpoint(folder, &path, &ignored);
    nnclr_buffer_free(&path);
    return !run ||
           nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is a RUN, not a folder of pictures", folder);
}

static bool gather_input(nnclr_source *source, const char *path, const char *root, nnclr_error *e) {
    uint32_t input = (uint32_t)source->base_count;
    bool folder = nnclr_is_folder(path);
    if (folder && !refuse_run(path, e))
        return false;
    char *base = folder ? join(path, root, e) : nnclr_strdup(path, e);
    if (!base)
        return false;
    source->bases[source->base_count++] = base;
    if (folder)
        return gather_folder(source, input, path, root, e);
    if (!root && is_picture(path))
        return add_single_file(source, input, e);
    if (!root && is_file(path) && nnclr_source_pixel_name(path) &&
        (nnclr_source_is_idx_name(path) || !is_archive(path)))
        return gather_pixel_file(source, input, e);
    return nnclr_source_gather_archive(source, input, root, e);
}

static bool gather_list(nnclr_source *source, const nnclr_source_options *options, nnclr_error *e) {
    const char *folder = options->input_count > 0 ? options->inputs[0] : "";
    if (options->input_count > 1 || (*folder && !nnclr_is_folder(folder)))
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "a list goes with one folder, or with no input at all");
    source->bases[0] = join(folder, options->root, e);
    if (!source->bases[0])
        return false;
    source->base_count = 1;
    return nnclr_source_gather_list(source, 0, options->list, e);
}

/* ---- the source ---- */

static bool fail_empty(const nnclr_source *source, const nnclr_source_options *options,
                       nnclr_error *e) {
    const char *below = options->root ? " below " : "", *root = options->root ? options->root : "";
    const char *first = options->input_count > 0 ? nnclr_input_name(options->inputs[0]) : "";
    if (options->list)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: the list names no file",
                          nnclr_input_name(options->list));
    if (options->root && source->has_example)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: no files there below %s; --root takes a folder of it, and it holds "
                          "%s",
                          first, root, (char *)source->texts.data + source->example);
    if (options->input_count == 1)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: no files there%s%s", first, below, root);
    return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s and the other inputs: no files there%s%s", first,
                      below, root);
}

static bool fill(nnclr_source *source, const nnclr_source_options *options, nnclr_error *e) {
    source->bases = nnclr_alloc_zero(options->input_count + 1, sizeof *source->bases, e);
    source->labels_given =
        nnclr_alloc_zero(options->input_count + 1, sizeof *source->labels_given, e);
    if (!source->bases || !source->labels_given)
        return false;
    if (options->list) {
        if (!gather_list(source, options, e))
            return false;
    } else {
        if (!nnclr_input_check(options->inputs, options->input_count, e))
            return false;
        for (size_t i = 0; i < options->input_count; i++)
            if (!gather_input(source, options->inputs[i], options->root, e))
                return false;
        if (!nnclr_source_take_sides(source, e) || !nnclr_source_arrange(source, e))
            return false;
    }
    if (source->count == 0)
        return fail_empty(source, options, e);
    return ((!options->exclude && !options->relabel) ||
            nnclr_source_change(source, options->exclude, options->relabel, e)) &&
           nnclr_source_set_classes(source, e);
}

nnclr_source *nnclr_source_open(const nnclr_source_options *options, nnclr_error *e) {
    if (options->input_count == 0 && !options->list) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "no folder, archive or list to read pictures from");
        return NULL;
    }
    nnclr_source *source = nnclr_alloc_zero(1, sizeof *source, e);
    if (!source)
        return NULL;
    source->spool = -1;
    source->opened = options->opened;
    source->file_limit = options->file_limit;
    source->outputs = options->outputs;
    source->output_count = options->output_count;
    const bool ok = fill(source, options, e);
    source->opened = NULL; /* the caller's, as are these: */
    source->outputs = NULL;
    source->output_count = 0;
    if (ok)
        return source;
    nnclr_source_close(source);
    return NULL;
}

void nnclr_source_close(nnclr_source *source) {
    if (!source)
        return;
    for (size_t i = 0; i < source->base_count; i++)
        nnclr_free(source->bases[i]);
    for (size_t i = 0; i < source->class_count; i++)
        nnclr_free(source->classes[i]);
    for (size_t i = 0; i < source->pixel_file_count; i++)
        if (source->pixel_files[i].fd != source->spool)
            close(source->pixel_files[i].fd);
    if (source->spool >= 0)
        close(source->spool);
    nnclr_free(source->pixel_files);
    nnclr_free(source->known_classes);
    nnclr_free(source->bases);
    nnclr_free(source->labels_given);
    nnclr_free(source->classes);
    nnclr_free(source->items);
    nnclr_buffer_free(&source->texts);
    nnclr_free(source);
}

size_t nnclr_source_count(const nnclr_source *source) {
    return source->count;
}

nnclr_source_entry nnclr_source_entry_at(const nnclr_source *source, size_t i) {
    const nnclr_source_item *item = &source->items[i];
    return (nnclr_source_entry){(char *)source->texts.data + item->name, item->label};
}

bool nnclr_source_mixes_parts(const nnclr_source *source) {
    return source->mixes_parts;
}

size_t nnclr_source_beside(const nnclr_source *source, const char **first) {
    *first = source->beside ? (char *)source->texts.data + source->first_beside : NULL;
    return source->beside;
}

size_t nnclr_source_only_folder(const nnclr_source *source, const char **folder) {
    *folder = NULL;
    size_t size = 0;
    bool deeper = false;
    for (size_t i = 0; i < source->count; i++) {
        const nnclr_source_item *item = &source->items[i];
        const char *name = (char *)source->texts.data + item->name;
        if (item->class_size == 0 || item->class_name != item->name || source->class_count != 1)
            return 0;
        deeper = deeper || strchr(name + item->class_size + 1, '/');
        *folder = name;
        size = item->class_size;
    }
    return deeper ? size : 0;
}

size_t nnclr_source_excluded(const nnclr_source *source) {
    return source->excluded;
}

size_t nnclr_source_relabelled(const nnclr_source *source) {
    return source->relabelled;
}

size_t nnclr_source_class_count(const nnclr_source *source) {
    return source->class_count;
}

const char *nnclr_source_class(const nnclr_source *source, size_t label) {
    return source->classes[label];
}

/* Only the first bytes are read of what is not a picture: there may be a film among the
 * pictures. */
static bool read_content(const nnclr_source *source, const nnclr_item_content *c, const char *name,
                         nnclr_buffer *out, nnclr_error *e) {
    if (c->size > source->file_limit)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: %llu bytes, more than the limit of %zu", name,
                          (unsigned long long)c->size, source->file_limit);
    size_t size = (size_t)c->size, start = size < NNCLR_PICTURE_START ? size : NNCLR_PICTURE_START;
    if (!nnclr_buffer_reserve(out, start, e) ||
        !nnclr_read_at(c->fd, out->data, start, c->start, name, e))
        return false;
    out->size = start;
    if (nnclr_is_picture(out->data, start)) {
        if (!nnclr_buffer_reserve(out, size - start, e) ||
            !nnclr_read_at(c->fd, out->data + start, size - start, c->start + start, name, e))
            return false;
        out->size = size;
    }
    out->data[out->size] = '\0';
    return true;
}

bool nnclr_source_read(nnclr_source *source, size_t i, nnclr_buffer *out, nnclr_error *e) {
    const nnclr_source_item *item = &source->items[i];
    nnclr_item_content c;
    nnclr_buffer path = {0};
    out->size = 0;
    if (item->kind == NNCLR_SOURCE_PIXELS)
        return nnclr_source_read_pixels(source, item, out, e);
    bool ok = nnclr_item_open(source, item, &c, e);
    ok = ok && nnclr_item_path(source, item, &path, e) &&
         read_content(source, &c, (char *)path.data, out, e);
    nnclr_item_close(source, &c);
    nnclr_buffer_free(&path);
    return ok;
}
