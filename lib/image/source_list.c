/* Lists of files: PATH [TAB label] lines, and the tables that name pictures. */
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

/* ---- tables ---- */

/* Columns of tables that the programs print. */
enum { NAME, NEIGHBOUR_NAME, SAME, CLASS, SURPLUS, COLUMNS };
static const struct {
    const char *name;
    int column;
} headers[] = {{"name", NAME},   {"neighbour_name", NEIGHBOUR_NAME},
               {"same", SAME},   {"suggested", CLASS},
               {"class", CLASS}, {"surplus", SURPLUS}};

/* A line that is read, and which parts of it may belong to the list or to a name. */
typedef struct line {
    const nnclr_list_reader *reader;
    const char *text;
    size_t size;
    size_t mark;                   /* bytes of a byte order mark before the name */
    size_t dos;                    /* a carriage return after it */
    nnclr_buffer name, class_name; /* what they stand for */
    bool table;                    /* it is a row of a table */
    int columns[COLUMNS];          /* of the table, counted from 1; 0: it has none like that */
} line;

/* Takes the next field off a line; at NULL: there is none. */
static nnclr_span next_field(nnclr_span *rest) {
    nnclr_span field = *rest;
    if (!rest->at)
        return field;
    const char *tab = memchr(rest->at, '\t', rest->size);
    if (tab)
        field.size = (size_t)(tab - field.at);
    *rest = tab ? (nnclr_span){tab + 1, rest->size - field.size - 1} : (nnclr_span){NULL, 0};
    return field;
}

static bool is_word(nnclr_span field, const char *word) {
    return field.at && field.size == strlen(word) && memcmp(field.at, word, field.size) == 0;
}

/* Whether the line is the header of a table with names; its rows follow then. */
static bool read_header(line *l, nnclr_span text) {
    int columns[COLUMNS] = {0}, number = 1;
    for (nnclr_span field; (field = next_field(&text)).at; number++)
        for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
            if (is_word(field, headers[i].name))
                columns[headers[i].column] = number;
    if (!columns[NAME] && columns[SAME]) /* of leaks: what is here already */
        columns[NAME] = columns[NEIGHBOUR_NAME];
    if (!columns[NAME])
        return false;
    memcpy(l->columns, columns, sizeof columns);
    l->table = true;
    return true;
}

/* ---- lines ---- */

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

/* The way whose file is there; otherwise the likeliest. If no way is in doubt, *there may stay
 * false. */
static bool choose_name(line *l, bool *there, nnclr_error *e) {
    enum { WAYS = 8 };
    const bool doubtful = l->reader->tables || l->mark || l->dos || memchr(l->text, '\\', l->size);
    bool made;
    *there = false;
    for (unsigned way = 0; doubtful && way < WAYS && !*there; way++)
        if (!read_name(l, way, &made, e) ||
            (made && !l->reader->is_there(l->reader->context, (char *)l->name.data, there, e)))
            return false;
    return *there || read_name(l, 0, &made, e);
}

static bool read_class(line *l, nnclr_span text, nnclr_span *class_name, nnclr_error *e) {
    bool exact;
    l->class_name.size = 0;
    if (!nnclr_unescape(&l->class_name, text.at, text.size, &exact, e))
        return false;
    *class_name = (nnclr_span){(char *)l->class_name.data, l->class_name.size};
    return true;
}

/* PATH [TAB label], or a row of a table. `text` ends in a NUL after its `size` bytes. */
static bool read_line(line *l, const char *text, size_t size, nnclr_error *e) {
    static const char mark[] = "\357\273\277";
    if (strlen(text) != size)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "a zero byte");
    const size_t dos = text[size - 1] == '\r';
    const size_t marked = strncmp(text, mark, strlen(mark)) == 0 ? strlen(mark) : 0;
    const nnclr_span bare = {text + marked, size - marked - dos};
    nnclr_span fields[COLUMNS] = {{NULL, 0}};
    if (bare.size == 0)
        return true;
    if (l->table) {
        nnclr_span rest = bare;
        for (int number = 1; rest.at; number++) {
            const nnclr_span field = next_field(&rest);
            for (int c = 0; c < COLUMNS; c++)
                if (l->columns[c] == number)
                    fields[c] = field;
        }
        l->mark = l->dos = 0;
    } else {
        const char *tab = strrchr(text, '\t');
        fields[NAME] = (nnclr_span){text, tab ? (size_t)(tab - text) : size};
        if (tab)
            fields[CLASS] = (nnclr_span){tab + 1, (size_t)(text + size - dos - tab - 1)};
        l->mark = marked; /* in the middle, of lists that were put together */
        l->dos = tab ? 0 : dos;
    }
    l->text = fields[NAME].at;
    l->size = fields[NAME].size;
    bool there = false;
    nnclr_listed listed = {.stays = is_word(fields[SURPLUS], "no")};
    if (l->size > l->mark && !choose_name(l, &there, e))
        return false;
    if (l->reader->tables && !there && read_header(l, bare))
        return true;
    if (l->size == l->mark)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          l->table
                              ? "no name: nnclr-queue-inspect knows those of a support set only "
                                "from the SHARDs"
                              : "no path before the label");
    listed.name = (nnclr_span){(char *)l->name.data, l->name.size};
    return (!fields[CLASS].at || read_class(l, fields[CLASS], &listed.class_name, e)) &&
           l->reader->take(l->reader->context, &listed, e);
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

bool nnclr_source_read_list(const char *list, const nnclr_list_reader *reader, nnclr_error *e) {
    const char *name = nnclr_input_name(list);
    nnclr_buffer text = {0};
    line l = {.reader = reader};
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
        l.table = l.table && size > 0;
        if (size > 0 && !read_line(&l, start, size, e))
            ok = nnclr_fail_at(e, "%s: line %zu", name, number);
        at += size + 1;
    }
    nnclr_buffer_free(&l.class_name);
    nnclr_buffer_free(&l.name);
    nnclr_buffer_free(&text);
    return ok;
}

/* ---- gathering ---- */

typedef struct gathering {
    nnclr_source *source;
    uint32_t input;
    nnclr_buffer path; /* scratch */
} gathering;

static bool is_there(void *context, const char *name, bool *there, nnclr_error *e) {
    gathering *g = context;
    struct stat status;
    const char *base = g->source->bases[g->input];
    const bool below = *base && *name != '/';
    g->path.size = 0;
    if (!nnclr_buffer_printf(&g->path, e, "%s%s%s", below ? base : "", below ? "/" : "", name))
        return false;
    *there = lstat((char *)g->path.data, &status) == 0;
    return true;
}

static bool add_file(void *context, const nnclr_listed *listed, nnclr_error *e) {
    gathering *g = context;
    nnclr_source_item *item;
    if (!nnclr_source_add_file(g->source, g->input, listed->name.at, listed->name.size, &item, e))
        return false;
    item->class_size = listed->class_name.size;
    return !listed->class_name.at ||
           nnclr_source_text(g->source, listed->class_name.at, listed->class_name.size,
                             &item->class_name, e);
}

bool nnclr_source_gather_list(nnclr_source *source, uint32_t input, const char *list,
                              nnclr_error *e) {
    gathering g = {.source = source, .input = input};
    const nnclr_list_reader reader = {.is_there = is_there, .take = add_file, .context = &g};
    const bool ok = nnclr_source_read_list(list, &reader, e);
    nnclr_buffer_free(&g.path);
    return ok;
}
