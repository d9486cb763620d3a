#include "io/run_folder.h"

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
#include "io/json.h"

#define CHECKPOINT      "checkpoint.safetensors.zst"
#define NUMBERED_PREFIX "checkpoint-"
#define NUMBERED_SUFFIX ".safetensors.zst"
#define LOCK            ".lock"

enum { TEMPORARY_DIGITS = 6 }; /* nnclr_output's .NAME.XXXXXX */

static const char *const own_names[] = {"DONE", CHECKPOINT, "metrics.jsonl", "run.json"};
enum { OWN_NAMES = sizeof own_names / sizeof *own_names };

struct nnclr_run {
    char *folder;
    nnclr_buffer checkpoint, metrics; /* paths */
    int lock, metrics_fd;
};

/* ---- names ---- */

static bool path_of(const nnclr_run *run, const char *name, nnclr_buffer *out, nnclr_error *e) {
    out->size = 0;
    return nnclr_buffer_printf(out, e, "%s/%s", run->folder, name);
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

/* Calls `see` for every entry of the folder until it returns false. */
static bool each_name(const nnclr_run *run,
                      bool (*see)(nnclr_run *run, const char *name, void *context, nnclr_error *e),
                      void *context, nnclr_error *e) {
    DIR *entries = opendir(run->folder);
    if (!entries)
        return nnclr_fail_errno(e, "%s", run->folder);
    bool ok = true;
    const struct dirent *entry;
    while (ok && (errno = 0, entry = readdir(entries)) != NULL)
        ok = see((nnclr_run *)run, entry->d_name, context, e);
    if (ok && errno != 0)
        ok = nnclr_fail_errno(e, "%s", run->folder);
    closedir(entries);
    return ok;
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

/* ---- opening ---- */

/* As `mkdir -p`. */
static bool make_folder(const char *folder, nnclr_error *e) {
    char *path = nnclr_strdup(folder, e);
    bool ok = path != NULL;
    for (char *p = path; ok && *p != '\0'; p++) {
        bool middle = p > path && p[0] == '/' && p[-1] != '/';
        if (!middle && p[1] != '\0')
            continue;
        if (middle)
            *p = '\0';
        if (mkdir(path, 0777) == 0)
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

static bool take_lock(nnclr_run *run, nnclr_error *e) {
    nnclr_buffer path = {0};
    char text[24];
    bool ok = path_of(run, LOCK, &path, e);
    if (!ok)
        goto exit;
    run->lock = open((const char *)path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (run->lock < 0) {
        ok = nnclr_fail_errno(e, "%s", (const char *)path.data);
    } else if (flock(run->lock, LOCK_EX | LOCK_NB) != 0) {
        ok = errno == EWOULDBLOCK ? locked_by_other(run, e)
                                  : nnclr_fail_errno(e, "%s", (const char *)path.data);
    } else {
        int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
        if (ftruncate(run->lock, 0) != 0 ||
            pwrite(run->lock, text, (size_t)size, 0) != (ssize_t)size)
            ok = nnclr_fail_errno(e, "%s", (const char *)path.data);
    }
exit:
    nnclr_buffer_free(&path);
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

static bool remove_own(nnclr_run *run, const char *name, void *context, nnclr_error *e) {
    (void)context;
    return !is_own(name) || remove_name(run, name, e);
}

static bool prepare(nnclr_run *run, nnclr_run_mode mode, nnclr_error *e) {
    if (!each_name(run, remove_temporary, NULL, e))
        return false;
    switch (mode) {
    case NNCLR_RUN_NEW:
        return each_name(run, refuse_own, NULL, e);
    case NNCLR_RUN_FORCE:
        return true;
    default:
        return exists(run, CHECKPOINT) ||
               nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: holds no checkpoint to resume from",
                          run->folder);
    }
}

bool nnclr_run_clear(nnclr_run *run, nnclr_error *e) {
    return each_name(run, remove_own, NULL, e) &&
           nnclr_sync_folder_of((const char *)run->checkpoint.data, e);
}

nnclr_run *nnclr_run_open(const char *folder, nnclr_run_mode mode, nnclr_error *e) {
    nnclr_run *run = nnclr_alloc_zero(1, sizeof *run, e);
    if (!run)
        return NULL;
    run->lock = run->metrics_fd = -1;
    run->folder = nnclr_strdup(folder, e);
    if (!run->folder || !path_of(run, CHECKPOINT, &run->checkpoint, e) ||
        !path_of(run, "metrics.jsonl", &run->metrics, e))
        goto fail;
    /* A mistyped RUN must not leave an empty folder behind. */
    if (mode == NNCLR_RUN_RESUME && access((const char *)run->checkpoint.data, F_OK) != 0) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "%s: holds no checkpoint to resume from", folder);
        goto fail;
    }
    if ((mode == NNCLR_RUN_RESUME || make_folder(folder, e)) && take_lock(run, e) &&
        prepare(run, mode, e))
        return run;
fail:
    nnclr_run_close(run);
    return NULL;
}

void nnclr_run_close(nnclr_run *run) {
    if (!run)
        return;
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
    bool ok = path_of(run, name, &path, e);
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

bool nnclr_run_find_checkpoint(const char *folder, nnclr_buffer *out, nnclr_error *e) {
    const nnclr_run run = {.folder = (char *)folder};
    if (!path_of(&run, CHECKPOINT, out, e))
        return false;
    if (exists(&run, CHECKPOINT))
        return true;
    if (exists(&run, "run.json"))
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: this run has no checkpoint yet; it writes one when its program gets "
                          "the signal USR1",
                          folder);
    return nnclr_fail(e, NNCLR_ERROR_INPUT,
                      "%s: this folder is not a RUN: there is no " CHECKPOINT " in it", folder);
}

bool nnclr_run_done(const nnclr_run *run) {
    return exists(run, "DONE");
}
bool nnclr_run_mark_done(nnclr_run *run, nnclr_error *e) {
    return replace_file(run, "DONE", "", 0, e);
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
    if (ok && link(from, to) != 0)
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

/* ---- metrics ---- */

/* The step that a line's object names. */
static bool step_of(const nnclr_json *object, int64_t *step) {
    nnclr_error unused = NNCLR_NO_ERROR;
    return object && nnclr_json_get_int(object, "step", INT64_MIN, INT64_MAX, step, &unused);
}

/* Whether a line stays when the run goes on behind `after_step`. */
static bool stays(const char *line, size_t size, int64_t after_step) {
    if (size == 0 || line[size - 1] != '\n')
        return false;
    nnclr_error unused = NNCLR_NO_ERROR;
    int64_t step;
    nnclr_json *object = nnclr_json_parse(line, size, "metrics", &unused);
    bool later = object && step_of(object, &step) && step > after_step;
    bool whole = object != NULL; /* else what a power failure made of it */
    nnclr_json_free(object);
    return whole && !later;
}

/* Rewrites metrics.jsonl without the lines that do not stay. */
static bool cut_metrics(const nnclr_run *run, int64_t after_step, nnclr_error *e) {
    const char *path = (const char *)run->metrics.data;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    bool ok = false;
    nnclr_output *output = NULL;
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT || nnclr_fail_errno(e, "%s", path);
    output = nnclr_output_open(path, e);
    if (!output)
        goto exit;
    while ((size = getline(&line, &capacity, file)) >= 0)
        if (stays(line, (size_t)size, after_step) &&
            !nnclr_output_write(output, line, (size_t)size, e))
            goto exit;
    if (!feof(file)) { /* also where memory was short, of which ferror knows nothing */
        nnclr_fail_errno(e, "%s", path);
        goto exit;
    }
    ok = nnclr_output_commit(output, e);
    output = NULL;
exit:
    nnclr_output_abandon(output);
    free(line);
    fclose(file);
    return ok;
}

bool nnclr_run_metrics_open(nnclr_run *run, int64_t after_step, nnclr_error *e) {
    const char *path = (const char *)run->metrics.data;
    if (after_step >= 0 && !cut_metrics(run, after_step, e))
        return false;
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (after_step < 0 ? O_TRUNC : 0);
    if (run->metrics_fd >= 0)
        close(run->metrics_fd);
    run->metrics_fd = open(path, flags, 0666);
    return run->metrics_fd >= 0 || nnclr_fail_errno(e, "%s", path);
}

bool nnclr_run_metrics_has(const nnclr_run *run, int64_t step, const char *key) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    bool found = false;
    FILE *file = fopen((const char *)run->metrics.data, "re");
    while (file && !found && (size = getline(&line, &capacity, file)) >= 0) {
        nnclr_error unused = NNCLR_NO_ERROR;
        int64_t of;
        nnclr_json *object = nnclr_json_parse(line, (size_t)size, "metrics", &unused);
        found = step_of(object, &of) && of == step && nnclr_json_get(object, key);
        nnclr_json_free(object);
    }
    free(line);
    if (file)
        fclose(file);
    return found;
}

bool nnclr_run_metrics_line(nnclr_run *run, const char *line, size_t size, nnclr_error *e) {
    const char *path = (const char *)run->metrics.data;
    nnclr_buffer whole = {0};
    bool ended = size > 0 && line[size - 1] == '\n';
    off_t end = lseek(run->metrics_fd, 0, SEEK_END);
    if (end < 0)
        return nnclr_fail_errno(e, "%s", path);
    bool ok = nnclr_buffer_append(&whole, line, size, e) &&
              (ended || nnclr_buffer_append(&whole, "\n", 1, e)) &&
              nnclr_write_all(run->metrics_fd, whole.data, whole.size, path, e);
    /* The part of a line that a full disk had room for would spoil the next one. */
    if (!ok && ftruncate(run->metrics_fd, end) != 0)
        ok = nnclr_fail_errno(e, "%s: half a line cannot be taken back", path);
    nnclr_buffer_free(&whole);
    return ok;
}

bool nnclr_run_metrics_sync(nnclr_run *run, nnclr_error *e) {
    return fsync(run->metrics_fd) == 0 ||
           nnclr_fail_errno(e, "%s", (const char *)run->metrics.data);
}
