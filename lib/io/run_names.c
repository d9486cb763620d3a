/* What a run's folder holds: the names in it, for the run itself and for whoever reads one. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "io/run_parts.h"

enum { TEMPORARY_DIGITS = NNCLR_TEMPORARY_EXTRA - 2 }; /* nnclr_output's .NAME.XXXXXX */

static const char *const own_names[] = {NNCLR_RUN_DONE, NNCLR_RUN_CHECKPOINT, NNCLR_RUN_METRICS,
                                        NNCLR_RUN_DESCRIPTION};
enum { OWN_NAMES = sizeof own_names / sizeof *own_names };

/* ---- names ---- */

bool nnclr_run_path(const nnclr_run *run, const char *name, nnclr_buffer *out, nnclr_error *e) {
    out->size = 0;
    return nnclr_buffer_printf(out, e, "%s/%s", run->folder, name);
}

int64_t nnclr_run_numbered_step(const char *name) {
    size_t size = strlen(name), prefix = strlen(NNCLR_RUN_PREFIX),
           suffix = strlen(NNCLR_RUN_SUFFIX);
    char digits[24];
    int64_t step;
    if (size <= prefix + suffix || strncmp(name, NNCLR_RUN_PREFIX, prefix) != 0 ||
        strcmp(name + size - suffix, NNCLR_RUN_SUFFIX) != 0)
        return -1;
    size_t count = size - prefix - suffix;
    if (count < 4 || count >= sizeof digits || !isdigit((unsigned char)name[prefix]))
        return -1;
    memcpy(digits, name + prefix, count);
    digits[count] = '\0';
    return nnclr_parse_int(digits, 0, INT64_MAX, &step) ? step : -1;
}

bool nnclr_run_is_own(const char *name) {
    for (size_t i = 0; i < OWN_NAMES; i++)
        if (strcmp(name, own_names[i]) == 0)
            return true;
    return nnclr_run_numbered_step(name) >= 0;
}

bool nnclr_run_is_temporary(const char *name) {
    size_t size = strlen(name), tail = 1 + TEMPORARY_DIGITS;
    char inner[NAME_MAX + 1];
    if (name[0] != '.' || size <= 1 + tail || size > NAME_MAX || name[size - tail] != '.')
        return false;
    for (size_t i = size - TEMPORARY_DIGITS; i < size; i++)
        if (!isalnum((unsigned char)name[i]))
            return false;
    memcpy(inner, name + 1, size - 1 - tail);
    inner[size - 1 - tail] = '\0';
    return nnclr_run_is_own(inner);
}

bool nnclr_run_each_below(const nnclr_run *run, const char *below, nnclr_run_see see, void *context,
                          nnclr_error *e) {
    nnclr_buffer path = {0};
    if (!nnclr_run_path(run, below, &path, e))
        return false;
    const char *folder = (const char *)path.data;
    bool ok = true, own = below[0] != '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (own ? O_NOFOLLOW : 0));
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    if (!entries)
        ok = (own && errno == ENOENT) || nnclr_fail_errno(e, "%s", folder);
    while (entries && ok && (errno = 0, entry = readdir(entries)) != NULL)
        ok = see((nnclr_run *)run, entry->d_name, context, e);
    if (entries && ok && errno != 0)
        ok = nnclr_fail_errno(e, "%s", folder);
    if (entries)
        closedir(entries);
    else if (fd >= 0)
        close(fd);
    nnclr_buffer_free(&path);
    return ok;
}

bool nnclr_run_each_name(const nnclr_run *run, nnclr_run_see see, void *context, nnclr_error *e) {
    return nnclr_run_each_below(run, "", see, context, e);
}

bool nnclr_run_remove(nnclr_run *run, const char *name, nnclr_error *e) {
    nnclr_buffer path = {0};
    bool ok = nnclr_run_path(run, name, &path, e);
    if (ok && unlink((const char *)path.data) != 0 && errno != ENOENT)
        ok = nnclr_fail_errno(e, "%s: cannot be removed", (const char *)path.data);
    nnclr_buffer_free(&path);
    return ok;
}

bool nnclr_run_has(const nnclr_run *run, const char *name) {
    int folder = open(run->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool there = folder >= 0 && faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (folder >= 0)
        close(folder);
    return there;
}

/* ---- for readers ---- */

typedef struct file_sight {
    void (*see)(void *context, const char *path);
    void *context;
} file_sight;

static bool see_file(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    const file_sight *sight = context;
    nnclr_buffer path = {0};
    bool ok = !nnclr_run_is_own(name) || nnclr_run_path(run, name, &path, e);
    if (ok && path.size > 0)
        sight->see(sight->context, (const char *)path.data);
    nnclr_buffer_free(&path);
    return ok;
}

void nnclr_run_each_file(const char *folder, void (*see)(void *context, const char *path),
                         void *context) {
    const nnclr_run run = {.folder = (char *)folder};
    file_sight sight = {see, context};
    nnclr_error unused = NNCLR_NO_ERROR;
    (void)nnclr_run_each_name(&run, see_file, &sight, &unused);
}

/* In its place, or if a new run was killed on its way there, still before it. */
static const char *const checkpoints[] = {NNCLR_RUN_CHECKPOINT,
                                          NNCLR_RUN_BEGUN "/" NNCLR_RUN_CHECKPOINT};

bool nnclr_run_find_checkpoint(const char *folder, nnclr_buffer *out, nnclr_error *e) {
    const nnclr_run run = {.folder = (char *)folder};
    for (size_t i = 0; i < sizeof checkpoints / sizeof *checkpoints; i++) {
        if (!nnclr_run_path(&run, checkpoints[i], out, e))
            return false;
        /* Without a descriptor: a lack of these is said by whoever opens the file. */
        if (faccessat(AT_FDCWD, (const char *)out->data, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return true;
    }
    if (nnclr_run_has(&run, NNCLR_RUN_DESCRIPTION) || nnclr_run_has(&run, NNCLR_RUN_STAGE))
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: this run has no checkpoint yet: it writes the first one before its "
                          "first step, unless its program was killed while it started",
                          folder);
    return nnclr_fail(e, NNCLR_ERROR_INPUT,
                      "%s: this folder is not a RUN: there is no " NNCLR_RUN_CHECKPOINT " in it",
                      folder);
}

bool nnclr_run_resolve(const char *path, nnclr_buffer *out, nnclr_error *e) {
    out->size = 0;
    return nnclr_is_folder(path) ? nnclr_run_find_checkpoint(path, out, e)
                                 : nnclr_buffer_append(out, path, strlen(path), e);
}
