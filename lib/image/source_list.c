/* A list of files: PATH [TAB label] lines. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "image/source_entries.h"

enum { LIST_LIMIT = 1 << 30, READ_STEP = 1 << 16 };

/* A list may come through a pipe (standard input, <(find ...)), so its size is not known. */
static bool read_all(int fd, const char *name, nnclr_buffer *text, nnclr_error *e) {
    for (;;) {
        if (text->size > LIST_LIMIT)
            return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: a list of over %d bytes", name,
                              LIST_LIMIT);
        if (!nnclr_buffer_reserve(text, READ_STEP, e))
            return false;
        ssize_t got = read(fd, text->data + text->size, READ_STEP);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return nnclr_fail_errno(e, "%s", name);
        if (got == 0)
            return nnclr_buffer_append(text, "", 0, e);
        text->size += (size_t)got;
    }
}

static bool read_list(const char *list, const char *name, nnclr_buffer *text, nnclr_error *e) {
    if (strcmp(list, "-") == 0)
        return read_all(STDIN_FILENO, name, text, e);
    int fd = open(list, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return nnclr_fail_errno(e, "%s", name);
    bool ok = read_all(fd, name, text, e);
    close(fd);
    return ok;
}

/* `line` ends in a NUL behind its `size` bytes. */
static bool add_line(nnclr_source *source, uint32_t input, const char *line, size_t size,
                     nnclr_error *e) {
    if (strlen(line) != size)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "a zero byte");
    const char *tab = strrchr(line, '\t');
    size_t name_size = tab ? (size_t)(tab - line) : size;
    if (name_size == 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "no path before the label");
    nnclr_source_item *item;
    if (!nnclr_source_add(source, input, line, name_size, &item, e))
        return false;
    if (!tab)
        return true;
    item->class_size = size - name_size - 1;
    return nnclr_source_text(source, tab + 1, item->class_size, &item->class_name, e);
}

bool nnclr_source_gather_list(nnclr_source *source, uint32_t input, const char *list,
                              nnclr_error *e) {
    const char *name = strcmp(list, "-") == 0 ? "standard input" : list;
    nnclr_buffer text = {0};
    bool ok = read_list(list, name, &text, e);
    size_t number = 1;
    for (size_t at = 0; ok && at < text.size; number++) {
        char *line = (char *)text.data + at;
        char *end = memchr(line, '\n', text.size - at);
        size_t size = end ? (size_t)(end - line) : text.size - at;
        line[size] = '\0'; /* in the place of the newline, or behind the text */
        if (size > 0 && !add_line(source, input, line, size, e))
            ok = nnclr_fail_at(e, "%s: line %zu", name, number);
        at += size + 1;
    }
    nnclr_buffer_free(&text);
    return ok;
}
