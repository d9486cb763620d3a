/* Files of many pictures (pixel_file.h) among the files of an input.
 *
 * They are known by name, size and labels. An input is either a set of such files or pictures: if
 * one of them is sound, all must be, and a picture among them is an error. If none is, and there is
 * a picture, such a file is one more picture that cannot be read. */
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "image/source_entries.h"

enum { MOST_CLASSES = 256, NAMES_LIMIT = 1 << 20 };

/* The items of one input, and what is known of the file at hand. */
typedef struct pixel_input {
    nnclr_source *source;
    uint32_t input;
    size_t first, count;       /* its items: [first, count) */
    const char *root;          /* what asked items are below; chosen ones are below its parent */
    nnclr_buffer wanted, path; /* scratch */
    /* of the file at hand: */
    nnclr_source_class_name classes[MOST_CLASSES];
    size_t class_count;
    nnclr_buffer labels; /* a byte each, counted from 0 */
} pixel_input;

/* ---- files beside ---- */

/* Where the item is, whether or not it was asked for. */
static bool place_of(const pixel_input *f, const nnclr_source_item *item, nnclr_buffer *path,
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
static bool find_beside(pixel_input *f, const nnclr_source_item *item, const char *name,
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

static bool add_class(pixel_input *f, const char *name, size_t size, nnclr_error *e) {
    if (f->class_count == MOST_CLASSES)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "more than %d classes", MOST_CLASSES);
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
static bool parse_names(pixel_input *f, const char *text, size_t size, nnclr_error *e) {
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

static bool read_names(pixel_input *f, const nnclr_source_item *item, nnclr_error *e) {
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

static bool number_names(pixel_input *f, unsigned count, nnclr_error *e) {
    for (unsigned i = 0; i < count; i++) {
        f->path.size = 0;
        if (!nnclr_buffer_printf(&f->path, e, "%u", i) ||
            !add_class(f, (char *)f->path.data, f->path.size, e))
            return false;
    }
    return true;
}

/* Sets the classes: from the file beside that the layout names, otherwise numbers. */
static bool name_classes(pixel_input *f, const nnclr_source_item *item,
                         const nnclr_pixel_layout *layout, nnclr_error *e) {
    const nnclr_source_item *names = NULL;
    f->class_count = 0;
    if (layout->class_file && !find_beside(f, item, layout->class_file, &names, e))
        return false;
    return names ? read_names(f, names, e) : number_names(f, layout->classes, e);
}

/* ---- labels ---- */

/* Sets the labels of `count` pictures from bytes `at`, `at` + `step`, ... of the content; class k
 * is label low + k. `set` and `name` are for messages. */
static bool take_labels(pixel_input *f, const nnclr_item_content *c, uint64_t at, size_t step,
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

/* Is the second label of every picture, if the layout has one, below its bound? */
static bool check_coarse(const nnclr_item_content *c, const nnclr_pixel_layout *layout,
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

/* Sets classes and labels from the file `beside` the item, if there is one: `start` bytes, then one
 * for each picture. Without it both are empty. */
static bool labels_beside(pixel_input *f, const nnclr_source_item *item,
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
    ok = ok && name_classes(f, item, layout, e) &&
         take_labels(f, &c, start, 1, count, low, layout->set, (char *)name.data, e);
    nnclr_item_close(f->source, &c);
    nnclr_buffer_free(&name);
    return ok;
}

/* ---- what a file is ---- */

static bool fits(const nnclr_item_content *c, const nnclr_pixel_layout *layout) {
    return c->size > layout->start && (c->size - layout->start) % layout->record == 0;
}

static bool read_cifar(pixel_input *f, const nnclr_source_item *item, const char *name,
                       const nnclr_item_content *c, nnclr_pixel_layout *layout, nnclr_error *e) {
    const nnclr_pixel_layout *const layouts[] = {&nnclr_cifar10_layout, &nnclr_cifar100_layout};
    bool fitted = false;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        if (!fits(c, layouts[i]))
            continue;
        nnclr_error why;
        uint64_t count = c->size / layouts[i]->record;
        if (name_classes(f, item, layouts[i], &why) &&
            take_labels(f, c, layouts[i]->label, layouts[i]->record, count, 0, layouts[i]->set,
                        name, &why) &&
            check_coarse(c, layouts[i], count, name, &why)) {
            *layout = *layouts[i];
            return true;
        }
        if (!fitted || !nnclr_is_fault_of_input(&why))
            *e = why;
        fitted = true;
    }
    return !fitted &&
           nnclr_fail(e, NNCLR_ERROR_INPUT,
                      "%s: %llu bytes are not a whole number of pictures of CIFAR-10 (%zu "
                      "bytes each) or CIFAR-100 (%zu)",
                      name, (unsigned long long)c->size, layouts[0]->record, layouts[1]->record);
}

static bool read_stl10(pixel_input *f, const nnclr_source_item *item, const char *name,
                       const nnclr_item_content *c, nnclr_pixel_layout *layout, nnclr_error *e) {
    *layout = nnclr_stl10_layout;
    if (!fits(c, layout))
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: %llu bytes are not a whole number of pictures of STL-10 (%zu bytes "
                          "each)",
                          name, (unsigned long long)c->size, layout->record);
    char *beside =
        nnclr_strdup(nnclr_base_name(name), e); /* in an archive it may be of any length */
    if (!beside)
        return false;
    beside[strlen(beside) - strlen("X.bin")] = 'y';
    bool ok = labels_beside(f, item, layout, beside, 0, 1, c->size / layout->record, e);
    nnclr_free(beside);
    return ok;
}

/* "...images...idx3..." -> "...labels...idx1..." */
static void name_idx_labels(char *name) {
    char *images = strstr(name, "images"), *dimensions = strstr(name, "idx3");
    if (images)
        memcpy(images, "labels", strlen("labels"));
    if (dimensions)
        dimensions[3] = '1';
}

static bool read_idx(pixel_input *f, const nnclr_source_item *item, const char *name,
                     const nnclr_item_content *c, nnclr_pixel_layout *layout, nnclr_error *e) {
    uint8_t header[NNCLR_IDX_HEADER];
    uint64_t count;
    if (!nnclr_read_at(c->fd, header, sizeof header, c->start, name, e))
        return false;
    if (!nnclr_idx_layout(header, layout, &count, e))
        return nnclr_fail_at(e, "%s", name);
    if (count == 0 || c->size != layout->start + count * layout->record)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: %llu bytes, but its header says %llu pictures of %d x %d", name,
                          (unsigned long long)c->size, (unsigned long long)count, layout->width,
                          layout->height);
    char *beside = nnclr_strdup(nnclr_base_name(name), e);
    if (!beside)
        return false;
    name_idx_labels(beside);
    bool ok = labels_beside(f, item, layout, beside, NNCLR_IDX_LABELS_HEADER, 0, count, e);
    nnclr_free(beside);
    return ok;
}

static bool read_as_named(pixel_input *f, const nnclr_source_item *item, const char *name,
                          const nnclr_item_content *c, nnclr_pixel_layout *layout, nnclr_error *e) {
    switch (nnclr_source_pixel_name(name)) {
    case NNCLR_STL10_NAME:
        return read_stl10(f, item, name, c, layout, e);
    case NNCLR_CIFAR_NAME:
        return read_cifar(f, item, name, c, layout, e);
    default:
        return read_idx(f, item, name, c, layout, e);
    }
}

/* ---- its pictures ---- */

static bool keep_file(pixel_input *f, const char *name, const nnclr_item_content *c,
                      const nnclr_pixel_layout *layout, nnclr_error *e) {
    nnclr_source *source = f->source;
    nnclr_pixel_file file = {.layout = *layout, .fd = c->fd};
    if (!nnclr_reserve(&source->pixel_files, &source->pixel_file_capacity,
                       source->pixel_file_count + 1, sizeof file, e) ||
        !nnclr_reserve(&source->known_classes, &source->known_class_capacity,
                       source->known_class_count + f->class_count, sizeof *source->known_classes,
                       e) ||
        !nnclr_source_text(source, name, strlen(name), &file.name, e))
        return false;
    source->pixel_files[source->pixel_file_count++] = file;
    for (size_t i = 0; i < f->class_count; i++)
        source->known_classes[source->known_class_count++] = f->classes[i];
    return true;
}

static bool add_pictures(pixel_input *f, const char *name, const nnclr_item_content *c,
                         const nnclr_pixel_layout *layout, nnclr_error *e) {
    uint64_t count = (c->size - layout->start) / layout->record;
    for (uint64_t i = 0; i < count; i++) {
        nnclr_source_item *item;
        f->path.size = 0;
        if (!nnclr_buffer_printf(&f->path, e, "%s/%06llu", name, (unsigned long long)i) ||
            !nnclr_source_add(f->source, f->input, (char *)f->path.data, f->path.size, &item, e))
            return false;
        item->kind = NNCLR_SOURCE_PIXELS;
        item->offset = c->start + layout->start + i * layout->record + layout->pixels;
        item->size = f->source->pixel_file_count - 1;
        if (f->labels.size > 0) {
            const nnclr_source_class_name *class = &f->classes[f->labels.data[i]];
            item->class_name = class->text;
            item->class_size = class->size;
        }
    }
    return true;
}

/* Adds the pictures of item i after all others. */
static bool read_item(pixel_input *f, size_t i, nnclr_error *e) {
    const nnclr_source_item item = f->source->items[i];
    nnclr_item_content c = {.fd = -1};
    nnclr_pixel_layout layout;
    nnclr_buffer where = {0}; /* for messages */
    nnclr_buffer name = {0};  /* a copy, because texts move */
    bool ok = nnclr_item_path(f->source, &item, &where, e) &&
              nnclr_buffer_printf(&name, e, "%s", nnclr_source_text_at(f->source, item.name)) &&
              nnclr_item_open(f->source, &item, &c, e);
    const char *path = (char *)where.data;
    if (ok && c.size == 0)
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is empty", path);
    ok = ok && read_as_named(f, &item, path, &c, &layout, e);
    ok = ok && keep_file(f, path, &c, &layout, e);
    if (!ok)
        nnclr_item_close(f->source, &c);
    ok = ok && add_pictures(f, (char *)name.data, &c, &layout, e);
    nnclr_buffer_free(&where);
    nnclr_buffer_free(&name);
    return ok;
}

/* ---- all of them ---- */

static bool is_wanted(const pixel_input *f, size_t i, nnclr_source_role role) {
    const nnclr_source_item *item = &f->source->items[i];
    return item->role == role &&
           nnclr_source_pixel_name(nnclr_source_text_at(f->source, item->name));
}

/* *found NULL: there is none. */
static bool find_picture(const pixel_input *f, const nnclr_source_item **found, nnclr_error *e) {
    *found = NULL;
    for (size_t i = f->first; i < f->count && !*found; i++) {
        const nnclr_source_item *item = &f->source->items[i];
        bool picture = false;
        if (!is_wanted(f, i, NNCLR_SOURCE_ASKED) && item->role == NNCLR_SOURCE_ASKED &&
            !nnclr_item_is_picture(f->source, item, &picture, e))
            return false;
        if (picture)
            *found = item;
    }
    return true;
}

/* Items of the input that stay: its pixels, or otherwise what was asked for. */
static void drop_others(pixel_input *f, bool pixels) {
    nnclr_source *source = f->source;
    size_t kept = f->first;
    for (size_t i = f->first; i < source->count; i++) {
        const nnclr_source_item *item = &source->items[i];
        if (pixels ? item->kind == NNCLR_SOURCE_PIXELS : item->role == NNCLR_SOURCE_ASKED)
            source->items[kept++] = *item;
    }
    source->count = kept;
}

/* Does it hold a training part, and another one? */
static bool has_both(bool train, const char *part) {
    return train && part && strcmp(part, "train") != 0;
}

static bool expand(pixel_input *f, nnclr_error *e) {
    nnclr_source *source = f->source;
    nnclr_source_role role = NNCLR_SOURCE_CHOSEN;
    for (size_t i = f->first; i < f->count; i++)
        if (source->items[i].role == NNCLR_SOURCE_ASKED)
            role = NNCLR_SOURCE_ASKED;
    nnclr_error why = NNCLR_NO_ERROR;
    size_t sound = 0, bad = 0;
    bool train = false;
    const char *other = NULL;
    for (size_t i = f->first; i < f->count; i++) {
        if (!is_wanted(f, i, role))
            continue;
        nnclr_error failure;
        if (!read_item(f, i, &failure)) {
            if (!nnclr_is_fault_of_input(&failure)) {
                *e = failure;
                return false;
            }
            if (bad++ == 0 || strcmp(failure.message, why.message) < 0)
                why = failure; /* in whatever order the folder was read */
            continue;
        }
        sound++;
        const char *part =
            nnclr_source_part_of(nnclr_source_text_at(source, source->items[i].name));
        train = train || (part && strcmp(part, "train") == 0);
        other = part && strcmp(part, "train") != 0 ? part : other;
    }
    if (sound + bad > 0 && role == NNCLR_SOURCE_ASKED) {
        const nnclr_source_item *picture;
        if (!find_picture(f, &picture, e))
            return false;
        if (picture && sound > 0)
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "%s: is a picture among files of %s; give one of the two, or name "
                              "the files",
                              nnclr_source_text_at(source, picture->name),
                              source->pixel_files[source->pixel_file_count - 1].layout.set);
        if (picture)
            bad = 0;
        source->mixes_parts = source->mixes_parts || has_both(train, other);
    }
    if (bad > 0) {
        *e = why;
        return false;
    }
    drop_others(f, sound > 0);
    return true;
}

bool nnclr_source_expand(nnclr_source *source, uint32_t input, size_t first, const char *root,
                         nnclr_error *e) {
    pixel_input *f = nnclr_alloc_zero(1, sizeof *f, e);
    if (!f)
        return false;
    f->source = source;
    f->input = input;
    f->first = first;
    f->count = source->count;
    f->root = root ? root : "";
    bool ok = expand(f, e);
    nnclr_buffer_free(&f->wanted);
    nnclr_buffer_free(&f->path);
    nnclr_buffer_free(&f->labels);
    nnclr_free(f);
    return ok;
}

bool nnclr_source_read_pixels(const nnclr_source *source, const nnclr_source_item *item,
                              nnclr_buffer *out, nnclr_error *e) {
    const nnclr_pixel_file *file = &source->pixel_files[item->size];
    size_t size = nnclr_pixel_bytes(&file->layout);
    uint8_t *pixels = nnclr_alloc(size, 1, e);
    bool ok = pixels &&
              nnclr_read_at(file->fd, pixels, size, item->offset,
                            nnclr_source_text_at(source, file->name), e) &&
              nnclr_pixel_encode(&file->layout, pixels, out, e);
    nnclr_free(pixels);
    return ok;
}
