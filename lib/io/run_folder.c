#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "io/run_parts.h"

#define LOCK ".lock"

/* Where the run's file is now. */
static bool own_path(const nnclr_run *run, const char *name, nnclr_buffer *out, nnclr_error *e) {
    out->size = 0;
    return nnclr_buffer_printf(out, e, "%s/%s%s", run->folder,
                               run->staged ? NNCLR_RUN_STAGE "/" : "", name);
}

static bool name_files(nnclr_run *run, nnclr_error *e) {
    return own_path(run, NNCLR_RUN_CHECKPOINT, &run->checkpoint, e) &&
           own_path(run, NNCLR_RUN_METRICS, &run->metrics, e);
}

/* ---- the folder and its lock ---- */

/* As `mkdir -p`; *made counts those that were not there. */
static bool make_folder(const char *folder, int *made, nnclr_error *e) {
    char *path = nnclr_strdup(folder, e);
    bool ok = path != NULL;
    for (char *p = path; ok && *p != '\0'; p++) {
        bool middle = p > path && p[0] == '/' && p[-1] != '/';
        if (!middle && p[1] != '\0')
            continue;
        if (middle)
            *p = '\0';
        if (mkdir(path, 0777) == 0) {
            ++*made;
            ok = nnclr_sync_folder_of(path, e);
        } else if (errno != EEXIST) {
            ok = nnclr_fail_errno(e, "%s: cannot be made", path);
        }
        if (middle)
            *p = '/';
    }
    nnclr_free(path);
    return ok;
}

/* Removes the folders that make_folder made, unless something is in them by now. */
static void unmake_folder(char *folder, int made) {
    size_t size = strlen(folder);
    while (made > 0 && size > 0) {
        while (size > 1 && folder[size - 1] == '/')
            size--;
        folder[size] = '\0';
        made -= rmdir(folder) == 0 || errno != ENOENT;
        while (size > 0 && folder[size - 1] != '/')
            size--;
    }
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

/* Whether the descriptor is still that of the name: whoever makes a run that fails removes the
 * lock. */
static bool is_current(int lock, const char *path) {
    struct stat held, named;
    return fstat(lock, &held) == 0 && lstat(path, &named) == 0 && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
}

static bool take_lock(nnclr_run *run, nnclr_error *e) {
    nnclr_buffer name = {0};
    char text[24];
    bool ok = nnclr_run_path(run, LOCK, &name, e), held = false;
    const char *path = (const char *)name.data;
    while (ok && !held) {
        if (run->lock >= 0)
            close(run->lock);
        /* One of ours, and never a link to somebody else's. */
        run->lock = nnclr_open_regular(path, O_RDWR | O_CREAT | O_NOFOLLOW, e);
        ok = run->lock >= 0;
        if (ok && flock(run->lock, LOCK_EX | LOCK_NB) != 0)
            ok = errno == EWOULDBLOCK ? locked_by_other(run, e) : nnclr_fail_errno(e, "%s", path);
        held = ok && is_current(run->lock, path);
    }
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    struct stat status;
    run->locked = ok;
    run->new_lock = ok && fstat(run->lock, &status) == 0 && status.st_size == 0;
    if (ok &&
        (ftruncate(run->lock, 0) != 0 || pwrite(run->lock, text, (size_t)size, 0) != (ssize_t)size))
        ok = nnclr_fail_errno(e, "%s", path);
    nnclr_buffer_free(&name);
    return ok;
}

static bool remove_temporary(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    return !nnclr_run_is_temporary(name) || nnclr_run_remove(run, name, e);
}

static bool refuse_own(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    return !nnclr_run_is_own(name) ||
           nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: holds a run already (%s)%s", run->folder, name,
                      nnclr_run_has(run, NNCLR_RUN_CHECKPOINT)
                          ? "; continue it with --resume, or replace it with --force"
                          : ", without a checkpoint to continue from; replace it with --force");
}

/* What is read and written as a file must be one; a link that leads to one is fine. */
static bool check_kind(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    struct stat status;
    nnclr_buffer path = {0};
    bool ok = !nnclr_run_is_own(name) || nnclr_run_path(run, name, &path, e);
    if (ok && path.size > 0 && stat((const char *)path.data, &status) == 0 &&
        !S_ISREG(status.st_mode))
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: not a regular file", (const char *)path.data);
    nnclr_buffer_free(&path);
    return ok;
}

/* ---- a run that begins ----
 *
 * Its first files are written to .next/. When they are whole, .next becomes .begun, and from that
 * moment on the folder holds the new run: whoever takes the lock next, even after a kill, moves
 * what is in .begun/ to its place. Until then the older run is untouched. */

static bool remove_staged(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    nnclr_buffer path = {0};
    bool ok = (!nnclr_run_is_own(name) && !nnclr_run_is_temporary(name)) ||
              (nnclr_buffer_printf(&path, e, NNCLR_RUN_STAGE "/%s", name) &&
               nnclr_run_remove(run, (const char *)path.data, e));
    nnclr_buffer_free(&path);
    return ok;
}

static bool remove_folder(nnclr_run *run, const char *name, nnclr_error *e) {
    nnclr_buffer path = {0};
    bool ok = nnclr_run_path(run, name, &path, e);
    if (ok && rmdir((const char *)path.data) != 0 && errno != ENOENT)
        ok = nnclr_fail_errno(e, "%s: cannot be removed", (const char *)path.data);
    nnclr_buffer_free(&path);
    return ok;
}

static bool remove_stage(nnclr_run *run, nnclr_error *e) {
    return nnclr_run_each_below(run, NNCLR_RUN_STAGE, remove_staged, NULL, e) &&
           remove_folder(run, NNCLR_RUN_STAGE, e);
}

static bool make_stage(nnclr_run *run, nnclr_error *e) {
    nnclr_buffer path = {0};
    bool ok = nnclr_run_path(run, NNCLR_RUN_STAGE, &path, e);
    if (ok && mkdir((const char *)path.data, 0777) != 0)
        ok = nnclr_fail_errno(e, "%s: cannot be made", (const char *)path.data);
    nnclr_buffer_free(&path);
    run->staged = ok;
    return ok && name_files(run, e);
}

/* Removes what the new run does not replace of the older one. */
static bool remove_older(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    return (strcmp(name, NNCLR_RUN_DONE) != 0 && nnclr_run_numbered_step(name) < 0) ||
           nnclr_run_remove(run, name, e);
}

static bool move_begun(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    nnclr_buffer from = {0}, to = {0};
    bool ok = !nnclr_run_is_own(name) ||
              (nnclr_buffer_printf(&from, e, "%s/" NNCLR_RUN_BEGUN "/%s", run->folder, name) &&
               nnclr_run_path(run, name, &to, e));
    if (ok && from.size > 0 && rename((const char *)from.data, (const char *)to.data) != 0)
        ok = nnclr_fail_errno(e, "%s", (const char *)to.data);
    nnclr_buffer_free(&to);
    nnclr_buffer_free(&from);
    return ok;
}

static bool sync_folder(const nnclr_run *run, nnclr_error *e) {
    nnclr_buffer path = {0};
    bool ok =
        nnclr_run_path(run, LOCK, &path, e) && nnclr_sync_folder_of((const char *)path.data, e);
    nnclr_buffer_free(&path);
    return ok;
}

static bool take_over(nnclr_run *run, nnclr_error *e) {
    return nnclr_run_each_name(run, remove_older, NULL, e) &&
           nnclr_run_each_below(run, NNCLR_RUN_BEGUN, move_begun, NULL, e) && sync_folder(run, e) &&
           remove_folder(run, NNCLR_RUN_BEGUN, e);
}

bool nnclr_run_begin(nnclr_run *run, nnclr_error *e) {
    nnclr_buffer from = {0}, to = {0};
    bool ok = nnclr_run_path(run, NNCLR_RUN_STAGE, &from, e) &&
              nnclr_run_path(run, NNCLR_RUN_BEGUN, &to, e) &&
              nnclr_sync_folder_of((const char *)run->checkpoint.data, e);
    if (ok && rename((const char *)from.data, (const char *)to.data) != 0)
        ok = nnclr_fail_errno(e, "%s", (const char *)to.data);
    nnclr_buffer_free(&to);
    nnclr_buffer_free(&from);
    if (!ok)
        return false;
    run->staged = false;
    run->begun = true;
    /* It has begun, even if that may not survive a power failure. */
    bool synced = sync_folder(run, e);
    nnclr_error failure = NNCLR_NO_ERROR;
    ok = name_files(run, &failure) && take_over(run, &failure);
    if (synced && !ok)
        *e = failure;
    return synced && ok;
}

/* Puts right what a run that was killed left half done. */
static bool recover(nnclr_run *run, nnclr_error *e) {
    return nnclr_run_each_name(run, check_kind, NULL, e) &&
           nnclr_run_each_name(run, remove_temporary, NULL, e) && remove_stage(run, e) &&
           (!nnclr_run_has(run, NNCLR_RUN_BEGUN) || take_over(run, e));
}

/* ---- opening ---- */

static bool prepare(nnclr_run *run, nnclr_run_mode mode, nnclr_error *e) {
    if (!recover(run, e))
        return false;
    switch (mode) {
    case NNCLR_RUN_NEW:
        return nnclr_run_each_name(run, refuse_own, NULL, e) && make_stage(run, e);
    case NNCLR_RUN_FORCE:
        return make_stage(run, e);
    default:
        run->begun = nnclr_run_has(run, NNCLR_RUN_CHECKPOINT);
        return run->begun || nnclr_fail(e, NNCLR_ERROR_USAGE,
                                        "%s: holds no checkpoint to resume from", run->folder);
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
    if (mode == NNCLR_RUN_RESUME && !nnclr_run_has(run, NNCLR_RUN_CHECKPOINT) &&
        !nnclr_run_has(run, NNCLR_RUN_BEGUN)) {
        nnclr_fail(e, NNCLR_ERROR_USAGE,
                   nnclr_is_folder(folder) ? "%s: holds no checkpoint to resume from"
                                           : "%s: there is no such RUN to resume",
                   folder);
        goto fail;
    }
    if ((mode == NNCLR_RUN_RESUME || make_folder(folder, &run->made, e)) && take_lock(run, e) &&
        prepare(run, mode, e))
        return run;
fail:
    nnclr_run_close(run);
    return NULL;
}

/* A run that did not begin leaves the folder as it was. */
static void undo(nnclr_run *run) {
    nnclr_error unused = NNCLR_NO_ERROR;
    if (run->staged)
        remove_stage(run, &unused);
    if (run->new_lock)
        nnclr_run_remove(run, LOCK, &unused);
}

void nnclr_run_close(nnclr_run *run) {
    if (!run)
        return;
    if (run->locked && !run->begun)
        undo(run);
    if (!run->begun)
        unmake_folder(run->folder, run->made);
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

bool nnclr_run_look(const char *folder, nnclr_run_life *life, nnclr_error *e) {
    const nnclr_run run = {.folder = (char *)folder};
    nnclr_buffer path = {0};
    nnclr_error ignored = NNCLR_NO_ERROR; /* a folder without a lock is not in use */
    if (!nnclr_run_path(&run, LOCK, &path, e))
        return false;
    const int lock = nnclr_open_regular((const char *)path.data, O_RDONLY | O_NOFOLLOW, &ignored);
    const bool held = lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (lock >= 0)
        close(lock);
    *life = held                                  ? NNCLR_RUN_GOING_ON
            : nnclr_run_has(&run, NNCLR_RUN_DONE) ? NNCLR_RUN_FINISHED
                                                  : NNCLR_RUN_STOPPED;
    nnclr_buffer_free(&path);
    return true;
}

/* ---- small files ---- */

static bool replace_file(const nnclr_run *run, const char *name, const char *text, size_t size,
                         nnclr_error *e) {
    nnclr_buffer path = {0};
    bool ok =
        own_path(run, name, &path, e) && nnclr_file_write((const char *)path.data, text, size, e);
    nnclr_buffer_free(&path);
    return ok;
}

bool nnclr_run_done(const nnclr_run *run) {
    return nnclr_run_has(run, NNCLR_RUN_DONE);
}
bool nnclr_run_mark_done(nnclr_run *run, nnclr_error *e) {
    return replace_file(run, NNCLR_RUN_DONE, "", 0, e);
}

bool nnclr_run_write_description(nnclr_run *run, const char *text, size_t size, nnclr_error *e) {
    return replace_file(run, NNCLR_RUN_DESCRIPTION, text, size, e);
}

/* ---- numbered checkpoints ---- */

typedef struct step_list {
    char **names;
    size_t count, capacity;
} step_list;

static bool collect_step(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)run;
    step_list *list = context;
    if (nnclr_run_numbered_step(name) < 0)
        return true;
    if (!nnclr_reserve(&list->names, &list->capacity, list->count + 1, sizeof *list->names, e))
        return false;
    list->names[list->count] = nnclr_strdup(name, e);
    return list->names[list->count] && ++list->count > 0;
}

static int newest_first(const void *a, const void *b) {
    int64_t x = nnclr_run_numbered_step(*(char *const *)a),
            y = nnclr_run_numbered_step(*(char *const *)b);
    return x > y ? -1 : x < y;
}

static bool link_checkpoint(nnclr_run *run, int64_t step, nnclr_error *e) {
    nnclr_buffer path = {0};
    const char *from = (const char *)run->checkpoint.data;
    bool ok = nnclr_buffer_printf(&path, e, "%s/" NNCLR_RUN_PREFIX "%04" PRId64 NNCLR_RUN_SUFFIX,
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
    ok = ok && nnclr_run_each_name(run, collect_step, &list, e);
    if (ok && list.count > 0)
        qsort(list.names, list.count, sizeof *list.names, newest_first);
    for (size_t i = stay; ok && i < list.count; i++)
        ok = nnclr_run_remove(run, list.names[i], e);
    bool changed = keep > 1 || list.count > 0;
    for (size_t i = 0; i < list.count; i++)
        nnclr_free(list.names[i]);
    nnclr_free(list.names);
    return ok && (!changed || nnclr_sync_folder_of((const char *)run->checkpoint.data, e));
}
