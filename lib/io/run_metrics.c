#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "io/json.h"
#include "io/run_parts.h"

/* The file for reading; NULL with *missing if it is not there. */
static FILE *open_lines(const char *path, bool *missing, nnclr_error *e) {
    int fd = nnclr_open_regular(path, O_RDONLY, e);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    *missing = fd < 0 && errno == ENOENT;
    if (fd >= 0 && !file) {
        nnclr_fail_errno(e, "%s", path);
        close(fd);
    }
    return file;
}

/* The step that a line's object names. */
static bool step_of(const nnclr_json *object, int64_t *step) {
    nnclr_error unused = NNCLR_NO_ERROR;
    return object && nnclr_json_get_int(object, "step", INT64_MIN, INT64_MAX, step, &unused);
}

/* Whether a line stays when the run goes on after `after_step`. */
static bool stays(const char *line, size_t size, int64_t after_step) {
    if (size == 0 || line[size - 1] != '\n')
        return false;
    nnclr_error unused = NNCLR_NO_ERROR;
    int64_t step;
    nnclr_json *object = nnclr_json_parse(line, size, "metrics", &unused);
    bool later = object && step_of(object, &step) && step > after_step;
    bool whole = object != NULL; /* otherwise what a power failure made of it */
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
    nnclr_error failure = NNCLR_NO_ERROR;
    bool missing;
    FILE *file = open_lines(path, &missing, &failure);
    if (!file) {
        if (!missing)
            *e = failure;
        return missing;
    }
    output = nnclr_output_open(path, e);
    if (!output)
        goto exit;
    while ((size = getline(&line, &capacity, file)) >= 0)
        if (stays(line, (size_t)size, after_step) &&
            !nnclr_output_write(output, line, (size_t)size, e))
            goto exit;
    if (!feof(file)) { /* also if memory was short, which ferror does not say */
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
    int flags = O_WRONLY | O_CREAT | O_APPEND | (after_step < 0 ? O_TRUNC : 0);
    if (run->metrics_fd >= 0)
        close(run->metrics_fd);
    run->metrics_fd = nnclr_open_regular(path, flags, e);
    return run->metrics_fd >= 0;
}

bool nnclr_run_metrics_has(const nnclr_run *run, int64_t step, const char *key) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    bool found = false;
    nnclr_error ignored = NNCLR_NO_ERROR;
    bool missing;
    FILE *file = open_lines((const char *)run->metrics.data, &missing, &ignored);
    while (file && !found && (size = getline(&line, &capacity, file)) >= 0) {
        int64_t of;
        nnclr_json *object = nnclr_json_parse(line, (size_t)size, "metrics", &ignored);
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
