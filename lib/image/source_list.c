/* A list of files: PATH [TAB label] lines. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
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
    if (nnclr_is_standard(list))
        return read_all(STDIN_FILENO, name, text, e);
    int fd = open(list, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return nnclr_fail_errno(e, "%s", name);
    bool ok = read_all(fd, name, text, e);
    close(fd);
    return ok;
}

/* ---- lines ---- */

/* A line that is read, and which parts of it may belong to the list or to a name. */
typedef struct line {
    nnclr_source *source;
    const char *text;
    size_t size;
    size_t mark;             /* bytes of a byte order mark before the name */
    size_t dos;              /* a carriage return after it */
    nnclr_buffer name, path; /* scratch */
} line;

static bool is_there(line *l, bool *there, nnclr_error *e) {
    struct stat status;
    const char *base = l->source->bases[0], *name = (char *)l->name.data;
    const bool below = *base && *name != '/';
    l->path.size = 0;
    if (!nnclr_buffer_printf(&l->path, e, "%s%s%s", below ? base : "", below ? "/" : "", name))
        return false;
    *there = lstat((char *)l->path.data, &status) == 0;
    return true;
}

/* Reads a name into l->name in one of the ways that there are, the likeliest first: a mark and a
 * carriage return are the list's, and escapes, as tables have them, stand for what they say. A file
 * may have a name in which they are its own. *made false: there is no such way. */
static bool read_name(line *l, unsigned way, bool *made, nnclr_error *e) {
    const bool plain = way & 1, marked = way & 2, dos = way & 4;
    const size_t start = marked ? 0 : l->mark, end = l->size - (dos ? 0 : l->dos);
    bool exact = false;
    l->name.size = 0;
    *made = (!marked || l->mark) && (!dos || l->dos) && start < end &&
            (!plain || memchr(l->text + start, '\\', end - start));
    if (!*made)
        return true;
    return plain ? nnclr_buffer_append(&l->name, l->text + start, end - start, e)
                 : nnclr_unescape(&l->name, l->text + start, end - start, &exact, e);
}

/* The way whose file is there; otherwise the likeliest. */
static bool choose_name(line *l, nnclr_error *e) {
    enum { WAYS = 8 };
    const bool doubtful = l->mark || l->dos || memchr(l->text, '\\', l->size);
    bool made, there = false;
    for (unsigned way = 0; doubtful && way < WAYS && !there; way++)
        if (!read_name(l, way, &made, e) || (made && !is_there(l, &there, e)))
            return false;
    return there || read_name(l, 0, &made, e);
}

static bool add_class(line *l, nnclr_source_item *item, const char *text, size_t size,
                      nnclr_error *e) {
    bool exact;
    l->name.size = 0;
    if (!nnclr_unescape(&l->name, text, size, &exact, e))
        return false;
    item->class_size = l->name.size;
    return nnclr_source_text(l->source, (char *)l->name.data, l->name.size, &item->class_name, e);
}

/* `text` ends in a NUL after its `size` bytes. */
static bool add_line(line *l, uint32_t input, const char *text, size_t size, nnclr_error *e) {
    static const char mark[] = "\357\273\277";
    if (strlen(text) != size)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "a zero byte");
    const size_t dos = text[size - 1] == '\r';
    const char *tab = strrchr(text, '\t');
    l->text = text;
    l->size = tab ? (size_t)(tab - text) : size;
    l->mark = strncmp(text, mark, strlen(mark)) == 0 ? strlen(mark) : 0; /* of lists put together */
    l->dos = tab ? 0 : dos;
    if (l->mark + l->dos == size)
        return true;
    if (l->size == l->mark)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "no path before the label");
    nnclr_source_item *item;
    if (!choose_name(l, e) ||
        !nnclr_source_add_file(l->source, input, (char *)l->name.data, l->name.size, &item, e))
        return false;
    return !tab || add_class(l, item, tab + 1, size - l->size - 1 - dos, e);
}

/* What editors and shells of Windows call Unicode. */
static bool is_utf16(const nnclr_buffer *text) {
    return text->size >= 2 &&
           (memcmp(text->data, "\377\376", 2) == 0 || memcmp(text->data, "\376\377", 2) == 0);
}

/* Spreadsheets on a Mac may still end lines in a carriage return alone. */
static int line_end(const nnclr_buffer *text) {
    const unsigned char *first = text->size > 0 ? memchr(text->data, '\r', text->size - 1) : NULL;
    return first && !memchr(text->data, '\n', text->size) ? '\r' : '\n';
}

bool nnclr_source_gather_list(nnclr_source *source, uint32_t input, const char *list,
                              nnclr_error *e) {
    const char *name = nnclr_input_name(list);
    nnclr_buffer text = {0};
    line l = {.source = source};
    bool ok = read_list(list, name, &text, e);
    if (ok && is_utf16(&text))
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is UTF-16 text; save the list as UTF-8", name);
    const int newline = line_end(&text);
    size_t number = 1;
    for (size_t at = 0; ok && at < text.size; number++) {
        char *start = (char *)text.data + at;
        char *end = memchr(start, newline, text.size - at);
        size_t size = end ? (size_t)(end - start) : text.size - at;
        start[size] = '\0'; /* in the place of the newline, or after the text */
        if (size > 0 && !add_line(&l, input, start, size, e))
            ok = nnclr_fail_at(e, "%s: line %zu", name, number);
        at += size + 1;
    }
    nnclr_buffer_free(&l.name);
    nnclr_buffer_free(&l.path);
    nnclr_buffer_free(&text);
    return ok;
}
