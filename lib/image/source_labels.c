#include "image/source_labels.h"

#include <string.h>

#include "base/files.h"

enum { NAMES_LIMIT = 1 << 20 };

/* ---- files beside ---- */

/* Where the item is, whether or not it was asked for. */
static bool place_of(const nnclr_pixel_input *f, const nnclr_source_item *item, nnclr_buffer *path,
                     nnclr_error *e) {
    size_t whole = strlen(f->root), parent = (size_t)(nnclr_base_name(f->root) - f->root);
    size_t below = item->role == NNCLR_SOURCE_ASKED    ? whole
                   : item->role == NNCLR_SOURCE_CHOSEN ? parent
                                                       : 0;
    path->size = 0;
    return nnclr_buffer_append(path, f->root, below, e) &&
           nnclr_buffer_printf(path, e, "%s%s", below == whole && whole > 0 ? "/" : "",
                               nnclr_source_text_at(f->source, item->name));
}

/* The item of that name in the folder of `item`; *found stays NULL if there is none. */
static bool find_beside(nnclr_pixel_input *f, const nnclr_source_item *item, const char *name,
                        const nnclr_source_item **found, nnclr_error *e) {
    *found = NULL;
    if (!place_of(f, item, &f->wanted, e))
        return false;
    f->wanted.size = (size_t)(nnclr_base_name((char *)f->wanted.data) - (char *)f->wanted.data);
    if (!nnclr_buffer_append(&f->wanted, name, strlen(name), e))
        return false;
    for (size_t i = f->first; i < f->count && !*found; i++) {
        const nnclr_source_item *other = &f->source->items[i];
        if (!nnclr_source_is_companion_name(nnclr_source_text_at(f->source, other->name)))
            continue;
        if (!place_of(f, other, &f->path, e))
            return false;
        if (strcmp((char *)f->path.data, (char *)f->wanted.data) == 0)
            *found = other;
    }
    return true;
}

/* ---- names of classes ---- */

static bool add_class(nnclr_pixel_input *f, const char *name, size_t size, nnclr_error *e) {
    if (f->class_count == NNCLR_MOST_CLASSES)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "more than %d classes", NNCLR_MOST_CLASSES);
    if (size == 0 || memchr(name, '\0', size))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "line %zu is not the name of a class",
                          f->class_count + 1);
    for (size_t i = 0; i < f->class_count; i++)
        if (f->classes[i].size == size &&
            memcmp(nnclr_source_text_at(f->source, f->classes[i].text), name, size) == 0)
            return nnclr_fail(e, NNCLR_ERROR_INPUT, "lines %zu and %zu name the same class", i + 1,
                              f->class_count + 1);
    nnclr_source_class_name *added = &f->classes[f->class_count++];
    added->size = size;
    return nnclr_source_text(f->source, name, size, &added->text, e);
}

/* A name each line; CIFAR-10's file ends in an empty one. */
static bool parse_names(nnclr_pixel_input *f, const char *text, size_t size, nnclr_error *e) {
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        size--;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t line = end ? (size_t)(end - text) - at : size - at;
        bool dos = line > 0 && text[at + line - 1] == '\r';
        if (!add_class(f, text + at, line - dos, e))
            return false;
        at += line + 1;
    }
    return f->class_count > 0 || nnclr_fail(e, NNCLR_ERROR_INPUT, "names no class");
}

static bool read_names(nnclr_pixel_input *f, const nnclr_source_item *item, nnclr_error *e) {
    nnclr_item_content c;
    nnclr_buffer text = {0};
    const char *name = nnclr_source_text_at(f->source, item->name);
    bool ok = nnclr_item_open(f->source, item, &c, e);
    if (ok && c.size > NAMES_LIMIT)
        ok =
            nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: over %d bytes of class names", name, NAMES_LIMIT);
    size_t size = ok ? (size_t)c.size : 0;
    ok = ok && nnclr_buffer_reserve(&text, size, e) &&
         nnclr_read_at(c.fd, text.data, size, c.start, name, e);
    nnclr_item_close(f->source, &c);
    if (ok && !parse_names(f, (char *)text.data, size, e))
        ok = nnclr_fail_at(e, "%s", nnclr_source_text_at(f->source, item->name));
    nnclr_buffer_free(&text);
    return ok;
}

static bool number_names(nnclr_pixel_input *f, unsigned count, nnclr_error *e) {
    for (unsigned i = 0; i < count; i++) {
        f->path.size = 0;
        if (!nnclr_buffer_printf(&f->path, e, "%u", i) ||
            !add_class(f, (char *)f->path.data, f->path.size, e))
            return false;
    }
    return true;
}

bool nnclr_name_classes(nnclr_pixel_input *f, const nnclr_source_item *item,
                        const nnclr_pixel_layout *layout, nnclr_error *e) {
    const nnclr_source_item *names = NULL;
    f->class_count = 0;
    if (layout->class_file && !find_beside(f, item, layout->class_file, &names, e))
        return false;
    return names ? read_names(f, names, e) : number_names(f, layout->classes, e);
}

/* ---- labels ---- */

/* Takes the labels, a byte each, of `count` pictures; class k is label low + k. */
bool nnclr_take_labels(nnclr_pixel_input *f, const nnclr_item_content *c, uint64_t at, size_t step,
                       uint64_t count, unsigned low, const char *set, const char *name,
                       nnclr_error *e) {
    f->labels.size = 0;
    if (!nnclr_buffer_reserve(&f->labels, (size_t)count, e))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t label;
        if (!nnclr_read_at(c->fd, &label, 1, c->start + at + i * step, name, e))
            return false;
        if (label < low || label - low >= f->class_count)
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "%s: picture %llu has label %u, but labels of %s are %u to %zu", name,
                              (unsigned long long)i, label, set, low, low + f->class_count - 1);
        f->labels.data[i] = (uint8_t)(label - low);
    }
    f->labels.size = (size_t)count;
    return true;
}

bool nnclr_check_coarse(const nnclr_item_content *c, const nnclr_pixel_layout *layout,
                        uint64_t count, const char *name, nnclr_error *e) {
    for (uint64_t i = 0; layout->coarse > 0 && i < count; i++) {
        uint8_t label;
        if (!nnclr_read_at(c->fd, &label, 1, c->start + i * layout->record, name, e))
            return false;
        if (label >= layout->coarse)
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "%s: picture %llu has coarse label %u, but those of %s are 0 to %u",
                              name, (unsigned long long)i, label, layout->set, layout->coarse - 1);
    }
    return true;
}

/* Labels from a file beside, if there is one: `start` bytes, then one for each picture. */
bool nnclr_labels_beside(nnclr_pixel_input *f, const nnclr_source_item *item,
                         const nnclr_pixel_layout *layout, const char *beside, size_t start,
                         unsigned low, uint64_t count, nnclr_error *e) {
    const nnclr_source_item *labels;
    f->labels.size = 0;
    f->class_count = 0;
    if (!find_beside(f, item, beside, &labels, e))
        return false;
    if (!labels)
        return true;
    nnclr_item_content c;
    uint8_t header[NNCLR_IDX_LABELS_HEADER];
    nnclr_buffer name = {0};
    bool ok = nnclr_item_path(f->source, labels, &name, e);
    if (!ok)
        return false;
    ok = nnclr_item_open(f->source, labels, &c, e);
    if (ok && c.size != start + count)
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT,
                        "%s: %llu bytes, but %llu pictures need %llu of labels", (char *)name.data,
                        (unsigned long long)c.size, (unsigned long long)count,
                        (unsigned long long)(start + count));
    uint64_t said = count;
    if (ok && start > 0) {
        ok = nnclr_read_at(c.fd, header, sizeof header, c.start, (char *)name.data, e) &&
             (nnclr_idx_labels(header, &said, e) || nnclr_fail_at(e, "%s", (char *)name.data));
        if (ok && said != count)
            ok = nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: says %llu labels, but there are %llu",
                            (char *)name.data, (unsigned long long)said, (unsigned long long)count);
    }
    ok = ok && nnclr_name_classes(f, item, layout, e) &&
         nnclr_take_labels(f, &c, start, 1, count, low, layout->set, (char *)name.data, e);
    nnclr_item_close(f->source, &c);
    nnclr_buffer_free(&name);
    return ok;
}
