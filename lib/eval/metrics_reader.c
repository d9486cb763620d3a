#include "eval/metrics_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "train/schedule.h"

enum { LONGEST = 1 << 20, PIECE = 1 << 16 };

struct nnclr_metrics_reader {
    char *path;
    int fd;
    int64_t read;      /* bytes of the file */
    nnclr_buffer text; /* read, the lines before `at` handed out */
    size_t at;
    bool too_long; /* the line that is being read: its bytes are dropped */
    int64_t lines, damaged;
};

nnclr_metrics_reader *nnclr_metrics_open(const char *path, nnclr_error *e) {
    nnclr_metrics_reader *r = nnclr_alloc_zero(1, sizeof *r, e);
    if (!r)
        return NULL;
    r->fd = -1;
    if ((r->path = nnclr_strdup(path, e)) && (r->fd = nnclr_open_regular(path, O_RDONLY, e)) >= 0)
        return r;
    nnclr_metrics_close(r);
    return NULL;
}

void nnclr_metrics_close(nnclr_metrics_reader *r) {
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    nnclr_buffer_free(&r->text);
    nnclr_free(r->path);
    nnclr_free(r);
}

/* Appends a piece of the file to the text, of which only the beginning of a line is left. */
static bool read_piece(nnclr_metrics_reader *r, bool *end, nnclr_error *e) {
    if (r->at > 0) {
        memmove(r->text.data, r->text.data + r->at, r->text.size - r->at);
        r->text.size -= r->at;
        r->at = 0;
    }
    if (r->text.size > LONGEST) {
        r->too_long = true;
        r->text.size = 0;
    }
    if (!nnclr_buffer_reserve(&r->text, PIECE, e))
        return false;
    ssize_t got;
    do
        got = read(r->fd, r->text.data + r->text.size, PIECE);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return nnclr_fail_errno(e, "%s", r->path);
    r->text.size += (size_t)got;
    r->read += got;
    *end = got == 0;
    return true;
}

/* A whole line without its newline; *size stays -1 if there is none yet. */
static bool next_line(nnclr_metrics_reader *r, const char **line, ptrdiff_t *size, nnclr_error *e) {
    size_t searched = 0;
    for (bool end = false;;) {
        const char *from = (const char *)r->text.data + r->at;
        const size_t left = r->text.size - r->at;
        const char *newline =
            left > searched ? memchr(from + searched, '\n', left - searched) : NULL;
        if (newline) {
            *line = from;
            *size = newline - from;
            r->at += (size_t)*size + 1;
            r->lines++;
            return true;
        }
        searched = left;
        if (end)
            return true;
        if (!read_piece(r, &end, e))
            return false;
        searched = nnclr_min(searched, r->text.size);
    }
}

static bool step_of(const nnclr_json *line, double *step) {
    nnclr_error ignored = NNCLR_NO_ERROR;
    return nnclr_json_is_object(line) && nnclr_json_get_real(line, "step", step, &ignored) &&
           *step >= 0 && *step <= (double)NNCLR_MOST_STEPS;
}

bool nnclr_metrics_next(nnclr_metrics_reader *r, nnclr_json **out, double *step, nnclr_error *e) {
    *out = NULL;
    for (;;) {
        const char *line;
        ptrdiff_t size = -1;
        if (!next_line(r, &line, &size, e))
            return false;
        if (size < 0)
            return true;
        nnclr_error damage = NNCLR_NO_ERROR;
        nnclr_json *object =
            r->too_long ? NULL : nnclr_json_parse(line, (size_t)size, "this line", &damage);
        r->too_long = false;
        if (step_of(object, step)) {
            *out = object;
            return true;
        }
        nnclr_json_free(object);
        if (damage.code == NNCLR_ERROR_MEMORY) {
            *e = damage;
            return false;
        }
        r->damaged++;
    }
}

int64_t nnclr_metrics_lines(const nnclr_metrics_reader *r) {
    return r->lines;
}

int64_t nnclr_metrics_damaged(const nnclr_metrics_reader *r) {
    return r->damaged;
}

bool nnclr_metrics_replaced(const nnclr_metrics_reader *r) {
    struct stat held, named;
    return fstat(r->fd, &held) == 0 && stat(r->path, &named) == 0 &&
           (held.st_dev != named.st_dev || held.st_ino != named.st_ino || named.st_size < r->read);
}
