/* The files of a folder and all folders below it. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "image/source_entries.h"

/* Links can make a small tree look endless even though no branch of it is a cycle. */
enum { MAX_FOLDERS = 4000000 };

typedef struct folder {
    size_t name; /* in the walk's names: path below the base, "" for the base itself */
    size_t parent;
    dev_t device;
    ino_t inode;
} folder;

typedef struct walk {
    nnclr_source *source;
    uint32_t input;
    folder *folders; /* found so far; those before `next` are read */
    size_t count, capacity;
    nnclr_buffer names;
    nnclr_buffer path, name; /* scratch */
} walk;

static bool set_text(nnclr_buffer *text, const char *folder_name, const char *name,
                     nnclr_error *e) {
    text->size = 0;
    return nnclr_buffer_printf(text, e, "%s%s%s", folder_name, *folder_name ? "/" : "", name);
}

/* Is the folder one of those that lead to it? */
static bool is_cycle(const walk *w, size_t parent, const struct stat *status) {
    for (size_t i = parent;; i = w->folders[i].parent) {
        if (w->folders[i].device == status->st_dev && w->folders[i].inode == status->st_ino)
            return true;
        if (i == 0)
            return false;
    }
}

static bool add_folder(walk *w, const char *name, size_t parent, const struct stat *status,
                       nnclr_error *e) {
    if (w->count == MAX_FOLDERS)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: over %d folders", w->source->bases[w->input],
                          MAX_FOLDERS);
    if (!nnclr_reserve(&w->folders, &w->capacity, w->count + 1, sizeof *w->folders, e))
        return false;
    w->folders[w->count++] = (folder){
        .name = w->names.size, .parent = parent, .device = status->st_dev, .inode = status->st_ino};
    return nnclr_buffer_append(&w->names, name, strlen(name) + 1, e);
}

/* A name that cannot be looked up (a dangling link) counts as a file: reading it says what is
 * wrong. The type in the directory saves a look-up for nearly all files. */
static bool add_name(walk *w, size_t parent, const struct dirent *entry, nnclr_error *e) {
    const char *below = (char *)w->names.data + w->folders[parent].name;
    if (!set_text(&w->name, below, entry->d_name, e))
        return false;
    const char *name = (char *)w->name.data;
    if (entry->d_type != DT_REG) {
        struct stat status;
        if (!set_text(&w->path, w->source->bases[w->input], name, e))
            return false;
        if (stat((char *)w->path.data, &status) == 0 && S_ISDIR(status.st_mode))
            return is_cycle(w, parent, &status) || add_folder(w, name, parent, &status, e);
    }
    return nnclr_source_add_met(w->source, w->input, name, strlen(name), e);
}

static bool read_folder(walk *w, size_t number, nnclr_error *e) {
    const char *base = w->source->bases[w->input];
    const char *below = (char *)w->names.data + w->folders[number].name;
    w->path.size = 0;
    if (!nnclr_buffer_printf(&w->path, e, "%s%s%s", base, *below ? "/" : "", below))
        return false;
    DIR *directory = opendir((char *)w->path.data);
    if (!directory)
        return nnclr_fail_errno(e, "%s", (char *)w->path.data);
    bool ok = true;
    while (ok) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry) {
            if (errno)
                ok = nnclr_fail_errno(e, "%s", base);
            break;
        }
        if (!nnclr_source_is_clutter(entry->d_name, strlen(entry->d_name)))
            ok = add_name(w, number, entry, e);
    }
    closedir(directory);
    return ok;
}

static bool fail_folder(const char *base, bool rooted, nnclr_error *e) {
    if (rooted && (errno == ENOENT || errno == ENOTDIR))
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: no such folder; --root takes one that lies below the input", base);
    return nnclr_fail_errno(e, "%s", base);
}

bool nnclr_source_gather_folder(nnclr_source *source, uint32_t input, bool rooted, nnclr_error *e) {
    walk w = {.source = source, .input = input};
    const char *base = source->bases[input];
    struct stat status;
    bool ok =
        stat(base, &status) == 0 ? add_folder(&w, "", 0, &status, e) : fail_folder(base, rooted, e);
    for (size_t next = 0; ok && next < w.count; next++)
        ok = read_folder(&w, next, e);
    nnclr_free(w.folders);
    nnclr_buffer_free(&w.names);
    nnclr_buffer_free(&w.path);
    nnclr_buffer_free(&w.name);
    return ok;
}
