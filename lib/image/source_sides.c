/* What is beside the pictures: labels in files of WebDataset (.cls), other files that belong to a
 * picture, and what systems leave in folders.
 *
 * Files of one folder whose names agree up to the first dot are a group, as WebDataset has it. A
 * file that is not a picture, in a group that has one, does not count as a picture that cannot be
 * read: it is passed over, and a .cls is the label of the pictures of its group. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/files.h"
#include "base/memory.h"
#include "image/source_entries.h"

/* ---- names ---- */

/* Left by macOS, Windows, network storage and file systems, in any folder. */
static const char *const clutter[] = {
    "__MACOSX",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "@eaDir",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
};

bool nnclr_source_is_clutter(const char *name, size_t size) {
    for (size_t i = 0; i < sizeof clutter / sizeof *clutter; i++)
        if (strlen(clutter[i]) == size && strncasecmp(clutter[i], name, size) == 0)
            return true;
    return size > 0 && name[0] == '.';
}

/* Endings of pictures, even of kinds that are not read: such a file must be named if it cannot be
 * read. */
static bool is_named_as_picture(const char *name) {
    static const char *const endings[] = {".jpg", ".jpeg", ".jpe",  ".jfif", ".png", ".ppm",
                                          ".pgm", ".pbm",  ".pnm",  ".bmp",  ".gif", ".webp",
                                          ".tif", ".tiff", ".heic", ".avif", ".jp2", ".jxl"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (nnclr_ends_in(name, endings[i]))
            return true;
    return false;
}

/* ---- groups ---- */

/* A name is FOLDER/KEY.REST. */
typedef struct member {
    const char *name; /* of the source's texts, which do not move meanwhile */
    size_t key_size;  /* up to the first dot of the base name; all of it if there is none */
    size_t item;
    uint32_t input;
} member;

typedef struct groups {
    nnclr_source *source;
    member *members; /* sorted by input, key and name */
    size_t count;
    bool *dropped;    /* [items] */
    size_t *labelled; /* [items]: the item of the label, + 1 */
    nnclr_buffer name;
} groups;

static int by_group(const member *x, const member *y) {
    if (x->input != y->input)
        return x->input < y->input ? -1 : 1;
    size_t size = x->key_size < y->key_size ? x->key_size : y->key_size;
    int order = memcmp(x->name, y->name, size);
    return order ? order : (x->key_size > y->key_size) - (x->key_size < y->key_size);
}

static int by_group_and_name(const void *a, const void *b) {
    const member *x = a, *y = b;
    int order = by_group(x, y);
    return order ? order : strcmp(x->name, y->name);
}

static member make_member(const char *name, uint32_t input, size_t item) {
    const char *base = nnclr_base_name(name), *dot = strchr(base, '.');
    return (member){name, dot ? (size_t)(dot - name) : strlen(name), item, input};
}

/* The file `stem` (`size` bytes of a name) + ".cls" of an input; NULL: there is none. */
static const member *find_label(groups *g, uint32_t input, const char *stem, size_t size,
                                nnclr_error *e, bool *failed) {
    g->name.size = 0;
    *failed = !nnclr_buffer_append(&g->name, stem, size, e) ||
              !nnclr_buffer_append(&g->name, ".cls", 4, e);
    if (*failed)
        return NULL;
    const member wanted = make_member((char *)g->name.data, input, 0);
    return bsearch(&wanted, g->members, g->count, sizeof *g->members, by_group_and_name);
}

/* A label of the same name up to the last dot is nearer than one of the key. */
static bool find_label_of(groups *g, const member *picture, nnclr_error *e) {
    bool failed = false;
    const char *dot = strrchr(nnclr_base_name(picture->name), '.');
    const size_t stem = dot ? (size_t)(dot - picture->name) : picture->key_size;
    const member *found = find_label(g, picture->input, picture->name, stem, e, &failed);
    if (!found && !failed && stem > picture->key_size)
        found = find_label(g, picture->input, picture->name, picture->key_size, e, &failed);
    if (found)
        g->labelled[picture->item] = found->item + 1;
    return !failed;
}

/* Takes apart the members [first, end) of one group. */
static bool settle_group(groups *g, size_t first, size_t end, nnclr_error *e) {
    const nnclr_source_item *items = g->source->items;
    bool pictures = false;
    for (size_t i = first; i < end; i++)
        pictures = pictures || is_named_as_picture(g->members[i].name);
    for (size_t i = first; i < end && !pictures && end - first > 1; i++)
        if (!nnclr_item_is_picture(g->source, &items[g->members[i].item], &pictures, e))
            return false;
    for (size_t i = first; i < end && pictures; i++) {
        const member *m = &g->members[i];
        bool picture = is_named_as_picture(m->name) || !m->name[m->key_size];
        /* The kind is told by the first bytes, whatever the name. */
        if (!picture && !nnclr_item_is_picture(g->source, &items[m->item], &picture, e))
            return false;
        g->dropped[m->item] = !picture;
        if (picture && !find_label_of(g, m, e))
            return false;
    }
    return true;
}

/* ---- labels ---- */

/* The text of a .cls without a byte order mark and blanks around it; empty: it is not a label. */
static bool read_label(const nnclr_source *source, const nnclr_source_item *item,
                       nnclr_buffer *text, nnclr_error *e) {
    static const char blanks[] = " \t\r\n", mark[] = "\357\273\277";
    nnclr_item_content c;
    nnclr_error why;
    text->size = 0;
    bool ok = nnclr_item_open(source, item, &c, &why);
    const size_t size = ok && c.size <= NNCLR_LABEL_LIMIT ? (size_t)c.size : 0;
    ok = ok && nnclr_buffer_reserve(text, size, &why) &&
         nnclr_read_at(c.fd, text->data, size, c.start, nnclr_source_text_at(source, item->name),
                       &why);
    nnclr_item_close(source, &c);
    if (!ok && !nnclr_is_fault_of_input(&why)) {
        *e = why;
        return false;
    }
    text->size = ok ? size : 0;
    if (!nnclr_buffer_append(text, "", 0, e)) /* there are bytes, if only an end, from here on */
        return false;
    while (text->size > 0 && strchr(blanks, text->data[text->size - 1]))
        text->size--;
    text->data[text->size] = '\0';
    const bool marked = strncmp((char *)text->data, mark, strlen(mark)) == 0;
    size_t lead = marked ? strlen(mark) : 0;
    lead += strspn((char *)text->data + lead, blanks);
    text->size -= lead;
    memmove(text->data, text->data + lead, text->size + 1);
    if (memchr(text->data, '\0', text->size) || memchr(text->data, '\n', text->size) ||
        memchr(text->data, '\r', text->size))
        text->size = 0;
    return true;
}

/* A picture whose label cannot be read is left out as one that cannot be read itself. */
static bool spoil(nnclr_source *source, size_t item, size_t label, nnclr_error *e) {
    nnclr_buffer why = {0};
    size_t at = 0;
    bool ok = nnclr_buffer_printf(&why, e, "its label is neither a number nor a name: %s",
                                  nnclr_source_text_at(source, source->items[label].name)) &&
              nnclr_source_text(source, (char *)why.data, why.size, &at, e);
    nnclr_buffer_free(&why);
    if (ok) {
        source->items[item].kind = NNCLR_SOURCE_BROKEN;
        source->items[item].offset = at;
    }
    return ok;
}

/* If an input has labels in files, its folders are not classes. */
static bool take_labels(groups *g, nnclr_error *e) {
    nnclr_source *source = g->source;
    nnclr_buffer text = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < source->count; i++) {
        if (g->labelled[i] == 0)
            continue;
        const size_t label = g->labelled[i] - 1;
        size_t at;
        source->labels_given[source->items[i].input] = true;
        ok = read_label(source, &source->items[label], &text, e);
        if (ok && text.size == 0) {
            ok = spoil(source, i, label, e);
        } else if (ok && nnclr_source_text(source, (char *)text.data, text.size, &at, e)) {
            source->items[i].class_name = at;
            source->items[i].class_size = text.size;
        } else {
            ok = false;
        }
    }
    nnclr_buffer_free(&text);
    return ok;
}

/* ---- all of it ---- */

static bool has_sides(const nnclr_source *source) {
    for (size_t i = 0; i < source->count; i++)
        if (source->items[i].kind != NNCLR_SOURCE_PIXELS &&
            !is_named_as_picture(nnclr_source_text_at(source, source->items[i].name)))
            return true;
    return false;
}

static bool settle_groups(groups *g, nnclr_error *e) {
    nnclr_source *source = g->source;
    for (size_t i = 0; i < source->count; i++) {
        const nnclr_source_item *item = &source->items[i];
        if (item->kind != NNCLR_SOURCE_PIXELS)
            g->members[g->count++] =
                make_member(nnclr_source_text_at(source, item->name), item->input, i);
    }
    qsort(g->members, g->count, sizeof *g->members, by_group_and_name);
    for (size_t first = 0, end; first < g->count; first = end) {
        end = first + 1;
        while (end < g->count && by_group(&g->members[first], &g->members[end]) == 0)
            end++;
        if (!settle_group(g, first, end, e))
            return false;
    }
    return take_labels(g, e);
}

bool nnclr_source_take_sides(nnclr_source *source, nnclr_error *e) {
    if (!has_sides(source))
        return true;
    groups g = {.source = source};
    g.members = nnclr_alloc(source->count, sizeof *g.members, e);
    g.dropped = nnclr_alloc_zero(source->count, sizeof *g.dropped, e);
    g.labelled = nnclr_alloc_zero(source->count, sizeof *g.labelled, e);
    bool ok = g.members && g.dropped && g.labelled && settle_groups(&g, e);
    size_t kept = 0;
    for (size_t i = 0; ok && i < source->count; i++)
        if (!g.dropped[i])
            source->items[kept++] = source->items[i];
    if (ok)
        source->count = kept;
    nnclr_free(g.members);
    nnclr_free(g.dropped);
    nnclr_free(g.labelled);
    nnclr_buffer_free(&g.name);
    return ok;
}
