#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "io/run_parts.h"

#define CHECKPOINT      "checkpoint.safetensors.zst"
#define NUMBERED_PREFIX "checkpoint-"
#define NUMBERED_SUFFIX ".safetensors.zst"
#define LOCK            ".lock"
#define DONE            "DONE"
/* Of a run that begins: until its first checkpoint is whole, and then until all is in its place. */
#define STAGE ".next"
#define BEGUN ".begun"

enum { TEMPORARY_DIGITS = NNCLR_TEMPORARY_EXTRA - 2 }; /* nnclr_output's .NAME.XXXXXX */

static const char *const own_names[] = {DONE, CHECKPOINT, "metrics.jsonl", "run.json"};
enum { OWN_NAMES = sizeof own_names / sizeof *own_names };

/* ---- names ---- */

/* In the folder itself. */
static bool path_of(const nnclr_run *run, const char *name, nnclr_buffer *out, nnclr_error *e) {
    out->size = 0;
    return nnclr_buffer_printf(out, e, "%s/%s", run->folder, name);
}

/* Where the run's file is now. */
static bool own_path(const nnclr_run *run, const char *name, nnclr_buffer *out, nnclr_error *e) {
    out->size = 0;
    return nnclr_buffer_printf(out, e, "%s/%s%s", run->folder, run->staged ? STAGE "/" : "", name);
}

static bool name_files(nnclr_run *run, nnclr_error *e) {
    return own_path(run, CHECKPOINT, &run->checkpoint, e) &&
           own_path(run, "metrics.jsonl", &run->metrics, e);
}

/* The step of checkpoint-NNNN.safetensors.zst; -1: another name. */
static int64_t numbered_step(const char *name) {
    size_t size = strlen(name), prefix = strlen(NUMBERED_PREFIX), suffix = strlen(NUMBERED_SUFFIX);
    char digits[24];
    int64_t step;
    if (size <= prefix + suffix || strncmp(name, NUMBERED_PREFIX, prefix) != 0 ||
        strcmp(name + size - suffix, NUMBERED_SUFFIX) != 0)
        return -1;
    size_t count = size - prefix - suffix;
    if (count < 4 || count >= sizeof digits || !isdigit((unsigned char)name[prefix]))
        return -1;
    memcpy(digits, name + prefix, count);
    digits[count] = '\0';
    return nnclr_parse_int(digits, 0, INT64_MAX, &step) ? step : -1;
}

static bool is_own(const char *name) {
    for (size_t i = 0; i < OWN_NAMES; i++)
        if (strcmp(name, own_names[i]) == 0)
            return true;
    return numbered_step(name) >= 0;
}

/* What a writer that was killed leaves behind. */
static bool is_temporary(const char *name) {
    size_t size = strlen(name), tail = 1 + TEMPORARY_DIGITS;
    char inner[NAME_MAX + 1];
    if (name[0] != '.' || size <= 1 + tail || size > NAME_MAX || name[size - tail] != '.')
        return false;
    for (size_t i = size - TEMPORARY_DIGITS; i < size; i++)
        if (!isalnum((unsigned char)name[i]))
            return false;
    memcpy(inner, name + 1, size - 1 - tail);
    inner[size - 1 - tail] = '\0';
    return is_own(inner);
}

typedef bool (*see_name)(nnclr_run *run, const char *name, void *context, nnclr_error *e);

/* Calls `see` for every entry of the folder, or of the one `below` it, until it returns false. A
 * folder `below` that is not there has none; a link is not followed to it. */
static bool each_name_below(const nnclr_run *run, const char *below, see_name see, void *context,
                            nnclr_error *e) {
    nnclr_buffer path = {0};
    if (!path_of(run, below, &path, e))
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

static bool each_name(const nnclr_run *run, see_name see, void *context, nnclr_error *e) {
    return each_name_below(run, "", see, context, e);
}

static bool remove_name(nnclr_run *run, const char *name, nnclr_error *e) {
    nnclr_buffer path = {0};
    bool ok = path_of(run, name, &path, e);
    if (ok && unlink((const char *)path.data) != 0 && errno != ENOENT)
        ok = nnclr_fail_errno(e, "%s: cannot be removed", (const char *)path.data);
    nnclr_buffer_free(&path);
    return ok;
}

static bool exists(const nnclr_run *run, const char *name) {
    int folder = open(run->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool there = folder >= 0 && faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (folder >= 0)
        close(folder);
    return there;
}

/* ---- the folder and its lock ---- */

/* As `mkdir -p`; *made: the last of them was not there. */
static bool make_folder(const char *folder, bool *made, nnclr_error *e) {
    char *path = nnclr_strdup(folder, e);
    bool ok = path != NULL;
    for (char *p = path; ok && *p != '\0'; p++) {
        bool middle = p > path && p[0] == '/' && p[-1] != '/';
        if (!middle && p[1] != '\0')
            continue;
        if (middle)
            *p = '\0';
        *made = mkdir(path, 0777) == 0;
        if (*made)
            ok = nnclr_sync_folder_of(path, e);
        else if (errno != EEXIST)
            ok = nnclr_fail_errno(e, "%s: cannot be made", path);
        if (middle)
            *p = '/';
    }
    nnclr_free(path);
    return ok;
}

static bool locked_by_other(const nnclr_run *run, nnclr_error *e) {
    char text[24] = "";
    int64_t process;
    ssize_t got = pread(run->lock, text, sizeof text - 1, 0);
    if (got > 0)
        text[strcspn(text, "\n")] = '\0';
    if (got > 0 && nnclr_parse_int(text, 1, INT32_MAX, &process))
        return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: is in use by process %" PRId64, run->folder,
                          process);
    return nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: is in use by another process", run->folder);
}

static bool refuse_kind(const char *path, nnclr_error *e) {
    return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: not a regular file", path);
}

/* Whether the descriptor is still that of the name: who makes a run that fails removes the lock. */
static bool is_current(int lock, const char *path) {
    struct stat held, named;
    return fstat(lock, &held) == 0 && lstat(path, &named) == 0 && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
}

/* The lock's file, which is one of ours and never a link to somebody else's. */
static bool open_lock(nnclr_run *run, const char *path, nnclr_error *e) {
    struct stat status;
    run->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (run->lock < 0)
        return errno == ELOOP || errno == EISDIR || errno == ENXIO
                   ? refuse_kind(path, e)
                   : nnclr_fail_errno(e, "%s", path);
    if (fstat(run->lock, &status) != 0)
        return nnclr_fail_errno(e, "%s", path);
    return S_ISREG(status.st_mode) || refuse_kind(path, e);
}

static bool take_lock(nnclr_run *run, nnclr_error *e) {
    nnclr_buffer name = {0};
    char text[24];
    bool ok = path_of(run, LOCK, &name, e), held = false;
    const char *path = (const char *)name.data;
    while (ok && !held) {
        if (run->lock >= 0)
            close(run->lock);
        ok = open_lock(run, path, e);
        if (ok && flock(run->lock, LOCK_EX | LOCK_NB) != 0)
            ok = errno == EWOULDBLOCK ? locked_by_other(run, e) : nnclr_fail_errno(e, "%s", path);
        held = ok && is_current(run->lock, path);
    }
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ok &&
        (ftruncate(run->lock, 0) != 0 || pwrite(run->lock, text, (size_t)size, 0) != (ssize_t)size))
        ok = nnclr_fail_errno(e, "%s", path);
    nnclr_buffer_free(&name);
    return ok;
}

static bool remove_temporary(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    return !is_temporary(name) || remove_name(run, name, e);
}

static bool refuse_own(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    return !is_own(name) ||
           nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: holds a run already (%s)%s", run->folder, name,
                      exists(run, CHECKPOINT)
                          ? "; go on with it by --resume, or replace it by --force"
                          : ", without a checkpoint to go on from; replace it by --force");
}

/* What is read and written as a file is one; a link that leads to one is fine. */
static bool check_kind(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    struct stat status;
    nnclr_buffer path = {0};
    bool ok = !is_own(name) || path_of(run, name, &path, e);
    if (ok && path.size > 0 && stat((const char *)path.data, &status) == 0 &&
        !S_ISREG(status.st_mode))
        ok = refuse_kind((const char *)path.data, e);
    nnclr_buffer_free(&path);
    return ok;
}

/* ---- a run that begins ----
 *
 * Its first files are written to .next/. When they are whole, .next becomes .begun, and from that
 * moment on the folder holds the new run: whoever takes the lock next, be it after a kill, moves
 * what is in .begun/ to its place. Until then the older run is untouched. */

static bool remove_staged(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    nnclr_buffer path = {0};
    bool ok = (!is_own(name) && !is_temporary(name)) ||
              (nnclr_buffer_printf(&path, e, STAGE "/%s", name) &&
               remove_name(run, (const char *)path.data, e));
    nnclr_buffer_free(&path);
    return ok;
}

static bool remove_folder(nnclr_run *run, const char *name, nnclr_error *e) {
    nnclr_buffer path = {0};
    bool ok = path_of(run, name, &path, e);
    if (ok && rmdir((const char *)path.data) != 0 && errno != ENOENT)
        ok = nnclr_fail_errno(e, "%s: cannot be removed", (const char *)path.data);
    nnclr_buffer_free(&path);
    return ok;
}

static bool remove_stage(nnclr_run *run, nnclr_error *e) {
    return each_name_below(run, STAGE, remove_staged, NULL, e) && remove_folder(run, STAGE, e);
}

static bool make_stage(nnclr_run *run, nnclr_error *e) {
    nnclr_buffer path = {0};
    bool ok = path_of(run, STAGE, &path, e);
    if (ok && mkdir((const char *)path.data, 0777) != 0)
        ok = nnclr_fail_errno(e, "%s: cannot be made", (const char *)path.data);
    nnclr_buffer_free(&path);
    run->staged = ok;
    return ok && name_files(run, e);
}

/* Of the older run what the new one does not replace. */
static bool remove_older(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    return (strcmp(name, DONE) != 0 && numbered_step(name) < 0) || remove_name(run, name, e);
}

static bool move_begun(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    nnclr_buffer from = {0}, to = {0};
    bool ok =
        !is_own(name) || (nnclr_buffer_printf(&from, e, "%s/" BEGUN "/%s", run->folder, name) &&
                          path_of(run, name, &to, e));
    if (ok && from.size > 0 && rename((const char *)from.data, (const char *)to.data) != 0)
        ok = nnclr_fail_errno(e, "%s", (const char *)to.data);
    nnclr_buffer_free(&to);
    nnclr_buffer_free(&from);
    return ok;
}

static bool sync_folder(const nnclr_run *run, nnclr_error *e) {
    nnclr_buffer path = {0};
    bool ok = path_of(run, LOCK, &path, e) && nnclr_sync_folder_of((const char *)path.data, e);
    nnclr_buffer_free(&path);
    return ok;
}

static bool take_over(nnclr_run *run, nnclr_error *e) {
    return each_name(run, remove_older, NULL, e) &&
           each_name_below(run, BEGUN, move_begun, NULL, e) && sync_folder(run, e) &&
           remove_folder(run, BEGUN, e);
}

bool nnclr_run_begin(nnclr_run *run, nnclr_error *e) {
    nnclr_buffer from = {0}, to = {0};
    bool ok = path_of(run, STAGE, &from, e) && path_of(run, BEGUN, &to, e) &&
              nnclr_sync_folder_of((const char *)run->checkpoint.data, e);
    if (ok && rename((const char *)from.data, (const char *)to.data) != 0)
        ok = nnclr_fail_errno(e, "%s", (const char *)to.data);
    nnclr_buffer_free(&to);
    nnclr_buffer_free(&from);
    if (!ok)
        return false;
    run->staged = false;
    /* It has begun, also where that may not survive a power failure. */
    bool synced = sync_folder(run, e);
    nnclr_error failure = NNCLR_NO_ERROR;
    ok = name_files(run, &failure) && take_over(run, &failure);
    if (synced && !ok)
        *e = failure;
    return synced && ok;
}

/* What a run that was killed left half done. */
static bool recover(nnclr_run *run, nnclr_error *e) {
    return each_name(run, check_kind, NULL, e) && each_name(run, remove_temporary, NULL, e) &&
           remove_stage(run, e) && (!exists(run, BEGUN) || take_over(run, e));
}

/* ---- opening ---- */

static bool prepare(nnclr_run *run, nnclr_run_mode mode, nnclr_error *e) {
    if (!recover(run, e))
        return false;
    switch (mode) {
    case NNCLR_RUN_NEW:
        return each_name(run, refuse_own, NULL, e) && make_stage(run, e);
    case NNCLR_RUN_FORCE:
        return make_stage(run, e);
    default:
        return exists(run, CHECKPOINT) ||
               nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: holds no checkpoint to resume from",
                          run->folder);
    }
}

nnclr_run *nnclr_run_open(const char *folder, nnclr_run_mode mode, nnclr_error *e) {
    nnclr_run *run = nnclr_alloc_zero(1, sizeof *run, e);
    if (!run)
        return NULL;
    run->lock = run->metrics_fd = -1;
    run->folder = nnclr_strdup(folder, e);
    if (!run->folder || !name_files(run, e))
        goto fail;
    /* A mistyped RUN must not leave an empty folder behind. */
    if (mode == NNCLR_RUN_RESUME && !exists(run, CHECKPOINT) && !exists(run, BEGUN)) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: holds no checkpoint to resume from", folder);
        goto fail;
    }
    if ((mode == NNCLR_RUN_RESUME || make_folder(folder, &run->made, e)) && take_lock(run, e)) {
        run->locked = true;
        if (prepare(run, mode, e))
            return run;
    }
fail:
    nnclr_run_close(run);
    return NULL;
}

/* A run that did not begin leaves the folder as it was. */
static void undo(nnclr_run *run) {
    nnclr_error unused = NNCLR_NO_ERROR;
    if (run->staged)
        remove_stage(run, &unused);
    bool empty = !exists(run, CHECKPOINT) && !exists(run, BEGUN);
    if (run->made && empty && remove_name(run, LOCK, &unused))
        rmdir(run->folder);
}

void nnclr_run_close(nnclr_run *run) {
    if (!run)
        return;
    if (run->locked)
        undo(run);
    if (run->metrics_fd >= 0)
        close(run->metrics_fd);
    if (run->lock >= 0)
        close(run->lock);
    nnclr_buffer_free(&run->metrics);
    nnclr_buffer_free(&run->checkpoint);
    nnclr_free(run->folder);
    nnclr_free(run);
}

const char *nnclr_run_folder(const nnclr_run *run) {
    return run->folder;
}

const char *nnclr_run_checkpoint_path(const nnclr_run *run) {
    return (const char *)run->checkpoint.data;
}

/* ---- small files ---- */

static bool replace_file(const nnclr_run *run, const char *name, const char *text, size_t size,
                         nnclr_error *e) {
    nnclr_buffer path = {0};
    nnclr_output *output = NULL;
    bool ok = own_path(run, name, &path, e);
    if (ok)
        output = nnclr_output_open((const char *)path.data, e);
    nnclr_buffer_free(&path);
    if (!output)
        return false;
    if (nnclr_output_write(output, text, size, e))
        return nnclr_output_commit(output, e);
    nnclr_output_abandon(output);
    return false;
}

typedef struct file_sight {
    void (*see)(void *context, const char *path);
    void *context;
} file_sight;

static bool see_file(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    const file_sight *sight = context;
    nnclr_buffer path = {0};
    bool ok = !is_own(name) || path_of(run, name, &path, e);
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
    (void)each_name(&run, see_file, &sight, &unused);
}

bool nnclr_run_find_checkpoint(const char *folder, nnclr_buffer *out, nnclr_error *e) {
    const nnclr_run run = {.folder = (char *)folder};
    if (!path_of(&run, CHECKPOINT, out, e))
        return false;
    if (exists(&run, CHECKPOINT))
        return true;
    if (exists(&run, "run.json") || exists(&run, STAGE))
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: this run has no checkpoint yet; it writes one when its program gets "
                          "the signal USR1",
                          folder);
    return nnclr_fail(e, NNCLR_ERROR_INPUT,
                      "%s: this folder is not a RUN: there is no " CHECKPOINT " in it", folder);
}

bool nnclr_run_done(const nnclr_run *run) {
    return exists(run, DONE);
}
bool nnclr_run_mark_done(nnclr_run *run, nnclr_error *e) {
    return replace_file(run, DONE, "", 0, e);
}

bool nnclr_run_write_description(nnclr_run *run, const char *text, size_t size, nnclr_error *e) {
    return replace_file(run, "run.json", text, size, e);
}

/* ---- numbered checkpoints ---- */

typedef struct step_list {
    char **names;
    size_t count, capacity;
} step_list;

static bool collect_step(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)run;
    step_list *list = context;
    if (numbered_step(name) < 0)
        return true;
    if (!nnclr_reserve(&list->names, &list->capacity, list->count + 1, sizeof *list->names, e))
        return false;
    list->names[list->count] = nnclr_strdup(name, e);
    return list->names[list->count] && ++list->count > 0;
}

static int newest_first(const void *a, const void *b) {
    int64_t x = numbered_step(*(char *const *)a), y = numbered_step(*(char *const *)b);
    return x > y ? -1 : x < y;
}

static bool link_checkpoint(nnclr_run *run, int64_t step, nnclr_error *e) {
    nnclr_buffer path = {0};
    const char *from = (const char *)run->checkpoint.data;
    bool ok = nnclr_buffer_printf(&path, e, "%s/" NUMBERED_PREFIX "%04" PRId64 NUMBERED_SUFFIX,
                                  run->folder, step);
    const char *to = (const char *)path.data;
    if (ok && unlink(to) != 0 && errno != ENOENT)
        ok = nnclr_fail_errno(e, "%s: cannot be replaced", to);
    if (ok && linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) != 0)
        ok = nnclr_fail_errno(e, "%s: cannot be named %s too", from, to);
    nnclr_buffer_free(&path);
    return ok;
}

bool nnclr_run_keep(nnclr_run *run, int64_t step, int64_t keep, nnclr_error *e) {
    step_list list = {0};
    bool ok = keep <= 1 || link_checkpoint(run, step, e);
    size_t stay = keep <= 1 ? 0 : (size_t)keep;
    ok = ok && each_name(run, collect_step, &list, e);
    if (ok && list.count > 0)
        qsort(list.names, list.count, sizeof *list.names, newest_first);
    for (size_t i = stay; ok && i < list.count; i++)
        ok = remove_name(run, list.names[i], e);
    bool changed = keep > 1 || list.count > 0;
    for (size_t i = 0; i < list.count; i++)
        nnclr_free(list.names[i]);
    nnclr_free(list.names);
    return ok && (!changed || nnclr_sync_folder_of((const char *)run->checkpoint.data, e));
}
