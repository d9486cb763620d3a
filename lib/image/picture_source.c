#include "image/picture_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "image/decode.h"
#include "image/source_content.h"
#include "io/input.h"

enum { NUMBER_DIGITS = 6 }; /* labels that are numbers: up to 999,999 */

/* ---- gathering ---- */

bool nnclr_source_text(nnclr_source *source, const char *text, size_t size, size_t *at,
                       nnclr_error *e) {
    *at = source->texts.size;
    return nnclr_buffer_append(&source->texts, text, size, e) &&
           nnclr_buffer_append(&source->texts, "", 1, e);
}

bool nnclr_source_add(nnclr_source *source, uint32_t input, const char *name, size_t size,
                      nnclr_source_item **item, nnclr_error *e) {
    nnclr_source_item added = {.label = -1, .kind = NNCLR_SOURCE_FILE, .input = input};
    if (!nnclr_reserve(&source->items, &source->capacity, source->count + 1, sizeof added, e) ||
        !nnclr_source_text(source, name, size, &added.name, e))
        return false;
    *item = &source->items[source->count++];
    **item = added;
    return true;
}

/* "folder/" + "root" without doubled or trailing slashes; either may be empty. */
static char *join(const char *folder, const char *root, nnclr_error *e) {
    size_t folder_size = strlen(folder), root_size = root ? strlen(root) : 0;
    while (folder_size > 1 && folder[folder_size - 1] == '/')
        folder_size--;
    while (root_size > 0 && root[root_size - 1] == '/')
        root_size--;
    bool slash = folder_size > 0 && folder[folder_size - 1] != '/' && root_size > 0;
    nnclr_buffer path = {0};
    if (!nnclr_buffer_append(&path, folder, folder_size, e) ||
        !nnclr_buffer_append(&path, "/", slash, e) ||
        !nnclr_buffer_append(&path, root_size ? root : "", root_size, e)) {
        nnclr_buffer_free(&path);
        return NULL;
    }
    return (char *)path.data;
}

static bool is_standard_input(const char *path) {
    return strcmp(path, "-") == 0;
}

/* A folder of the name "-" is not meant by it, nor a file. */
static bool is_folder(const char *path) {
    struct stat status;
    return !is_standard_input(path) && stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The first bytes of a regular file, as many as there are; 0 where they cannot be read, which is
 * left to the archive reader: it says why. */
static size_t read_start(const char *path, uint8_t *start, size_t size) {
    struct stat status;
    if (is_standard_input(path) || stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return 0;
    ssize_t got = pread(fd, start, size, 0);
    close(fd);
    return got > 0 ? (size_t)got : 0;
}

static bool is_picture(const char *path) {
    uint8_t start[NNCLR_PICTURE_START];
    return nnclr_is_picture(start, read_start(path, start, sizeof start));
}

/* A tar may have any name, that of a file of many pictures too. */
static bool is_archive(const char *path) {
    static const char *const magics[] = {"\037\213", "BZh", "\3757zXZ", "\050\265\057\375"};
    uint8_t start[512];
    size_t size = read_start(path, start, sizeof start);
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (size > strlen(magics[i]) && memcmp(start, magics[i], strlen(magics[i])) == 0)
            return true;
    nnclr_content content = nnclr_content_of(start, size);
    return content == NNCLR_CONTENT_TAR || content == NNCLR_CONTENT_SHARD;
}

static bool is_file(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static bool add_single_file(nnclr_source *source, uint32_t input, nnclr_error *e) {
    char *path = source->bases[input];
    char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    nnclr_source_item *item;
    if (!nnclr_source_add(source, input, name, strlen(name), &item, e))
        return false;
    path[slash == path ? 1 : slash ? slash - path : 0] = '\0'; /* its folder is the base */
    return true;
}

/* Files beside it that may hold labels or names of classes. */
static bool add_companions(nnclr_source *source, uint32_t input, nnclr_error *e) {
    const char *base = source->bases[input];
    DIR *directory = opendir(*base ? base : ".");
    if (!directory)
        return nnclr_fail_errno(e, "%s", *base ? base : ".");
    bool ok = true;
    while (ok) {
        nnclr_source_item *item;
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry) {
            ok = !errno || nnclr_fail_errno(e, "%s", *base ? base : ".");
            break;
        }
        if (!nnclr_source_is_companion_name(entry->d_name))
            continue;
        ok = nnclr_source_add(source, input, entry->d_name, strlen(entry->d_name), &item, e);
        if (ok)
            item->role = NNCLR_SOURCE_COMPANION;
    }
    closedir(directory);
    return ok;
}

/* One file of many pictures. */
static bool gather_pixel_file(nnclr_source *source, uint32_t input, nnclr_error *e) {
    size_t first = source->count;
    if (!add_single_file(source, input, e))
        return false;
    source->items[first].role = NNCLR_SOURCE_CHOSEN;
    return add_companions(source, input, e) &&
           nnclr_source_take_apart(source, input, first, NULL, e);
}

/* Files of many pictures of the part that ends the root, in the folder before it. */
static bool gather_part(nnclr_source *source, uint32_t input, const char *part, nnclr_error *e) {
    size_t first = source->count;
    if (!nnclr_source_gather_folder(source, input, e))
        return false;
    for (size_t i = first; i < source->count; i++) {
        const char *name = (char *)source->texts.data + source->items[i].name;
        const char *of = nnclr_source_part_of(name);
        bool chosen = nnclr_source_pixel_name(name) && of && strcmp(of, part) == 0;
        source->items[i].role = chosen ? NNCLR_SOURCE_CHOSEN : NNCLR_SOURCE_COMPANION;
    }
    return nnclr_source_take_apart(source, input, first, NULL, e);
}

static bool gather_folder(nnclr_source *source, uint32_t input, const char *folder,
                          const char *root, nnclr_error *e) {
    size_t first = source->count;
    char *whole = source->bases[input]; /* folder/root */
    const char *part = root ? nnclr_source_part_in(root) : NULL;
    if (root && nnclr_source_pixel_name(whole) && is_file(whole))
        return gather_pixel_file(source, input, e);
    if (!part || is_folder(whole))
        return nnclr_source_gather_folder(source, input, e) &&
               nnclr_source_take_apart(source, input, first, NULL, e);
    char *parent = join(folder, root, e);
    if (!parent)
        return false;
    parent[strlen(parent) - strlen(part)] = '\0'; /* a slash stays */
    bool ok;
    source->bases[input] = parent;
    ok = !is_folder(parent) || gather_part(source, input, part, e);
    if (ok && source->count == first) { /* none there: what is missing is the folder */
        source->bases[input] = whole;
        whole = parent;
        ok = nnclr_source_gather_folder(source, input, e);
    }
    nnclr_free(whole);
    return ok;
}

static bool gather_input(nnclr_source *source, const char *path, const char *root, nnclr_error *e) {
    uint32_t input = (uint32_t)source->base_count;
    bool folder = is_folder(path);
    char *base = folder ? join(path, root, e) : nnclr_strdup(path, e);
    if (!base)
        return false;
    source->bases[source->base_count++] = base;
    if (folder)
        return gather_folder(source, input, path, root, e);
    if (!root && is_picture(path))
        return add_single_file(source, input, e);
    if (!root && is_file(path) && nnclr_source_pixel_name(path) &&
        (nnclr_source_is_idx_name(path) || !is_archive(path)))
        return gather_pixel_file(source, input, e);
    return nnclr_source_gather_archive(source, input, root, e);
}

static bool gather_list(nnclr_source *source, const nnclr_source_options *options, nnclr_error *e) {
    const char *folder = options->input_count > 0 ? options->inputs[0] : "";
    if (options->input_count > 1 || (*folder && !is_folder(folder)))
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "a list goes with one folder, or with no input at all");
    source->bases[0] = join(folder, options->root, e);
    if (!source->bases[0])
        return false;
    source->base_count = 1;
    return nnclr_source_gather_list(source, 0, options->list, e);
}

/* ---- order ---- */

/* Spans of a name: CLASS/..., DIRECTORY/FILE. */
typedef struct sort_key {
    uint32_t input;
    const char *name;
    size_t class_size, directory_size;
    size_t item;
} sort_key;

static int compare_texts(const char *a, size_t a_size, const char *b, size_t b_size) {
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order ? order : (a_size > b_size) - (a_size < b_size);
}

/* torchvision: sorted classes; in each the sorted folders; in each the sorted files. "a-b" comes
 * before "a/b" among the folders, for there the whole path is one string. */
static int by_class_directory_file(const void *a, const void *b) {
    const sort_key *x = a, *y = b;
    if (x->input != y->input)
        return x->input < y->input ? -1 : 1;
    int order = compare_texts(x->name, x->class_size, y->name, y->class_size);
    if (!order)
        order = compare_texts(x->name, x->directory_size, y->name, y->directory_size);
    return order ? order : strcmp(x->name + x->directory_size, y->name + y->directory_size);
}

static sort_key make_key(const nnclr_source *source, size_t i) {
    const char *name = (char *)source->texts.data + source->items[i].name;
    const char *slash = strrchr(name, '/');
    bool in_class = slash && source->items[i].kind != NNCLR_SOURCE_PIXELS;
    return (sort_key){.input = source->items[i].input,
                      .name = name,
                      .class_size = in_class ? strcspn(name, "/") : 0,
                      .directory_size = slash ? (size_t)(slash - name) : 0,
                      .item = i};
}

/* Sorts items, names their classes, and drops the files beside class folders: ImageFolder does not
 * see them. */
static bool arrange(nnclr_source *source, nnclr_error *e) {
    bool *has_classes = nnclr_alloc_zero(source->base_count, sizeof *has_classes, e);
    sort_key *keys = nnclr_alloc(source->count, sizeof *keys, e);
    nnclr_source_item *sorted = nnclr_alloc(source->count, sizeof *sorted, e);
    bool ok = has_classes && keys && sorted;
    if (!ok)
        goto exit;
    for (size_t i = 0; i < source->count; i++) {
        keys[i] = make_key(source, i);
        if (keys[i].class_size > 0)
            has_classes[keys[i].input] = true;
    }
    qsort(keys, source->count, sizeof *keys, by_class_directory_file);
    size_t kept = 0;
    for (size_t i = 0; i < source->count; i++) {
        if (has_classes[keys[i].input] && keys[i].class_size == 0)
            continue;
        nnclr_source_item *item = &sorted[kept++];
        *item = source->items[keys[i].item];
        if (item->kind == NNCLR_SOURCE_PIXELS)
            continue;
        item->class_name = item->name;
        item->class_size = keys[i].class_size;
    }
    nnclr_free(source->items);
    source->items = sorted;
    source->capacity = source->count;
    source->count = kept;
    sorted = NULL;
exit:
    nnclr_free(has_classes);
    nnclr_free(keys);
    nnclr_free(sorted);
    return ok;
}

/* ---- classes ---- */

typedef struct class_span {
    const char *text;
    size_t size;
} class_span;

static int by_text(const void *a, const void *b) {
    const class_span *x = a, *y = b;
    return compare_texts(x->text, x->size, y->text, y->size);
}

static class_span span_of(const nnclr_source *source, const nnclr_source_item *item) {
    return (class_span){(char *)source->texts.data + item->class_name, item->class_size};
}

/* A plain number that would be printed just so; -1: none. */
static int64_t number_of(class_span span) {
    if (span.size == 0 || span.size > NUMBER_DIGITS || (span.size > 1 && span.text[0] == '0'))
        return -1;
    int64_t value = 0;
    for (size_t i = 0; i < span.size; i++) {
        if (span.text[i] < '0' || span.text[i] > '9')
            return -1;
        value = value * 10 + (span.text[i] - '0');
    }
    return value;
}

/* Labels that are all numbers mean themselves. */
static bool number_classes(nnclr_source *source, int64_t largest, nnclr_error *e) {
    source->classes = nnclr_alloc_zero((size_t)largest + 1, sizeof *source->classes, e);
    if (!source->classes)
        return false;
    for (int64_t i = 0; i <= largest; i++) {
        nnclr_buffer name = {0};
        if (!nnclr_buffer_printf(&name, e, "%lld", (long long)i))
            return false;
        source->classes[source->class_count++] = (char *)name.data;
    }
    for (size_t i = 0; i < source->count; i++)
        source->items[i].label = number_of(span_of(source, &source->items[i]));
    return true;
}

/* A class as it is named, and the span that it comes from. */
typedef struct class_text {
    char *text;
    size_t span;
} class_text;

static int by_class_text(const void *a, const void *b) {
    const class_text *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->span > y->span) - (x->span < y->span);
}

/* Sorts classes by their names as they are kept, so that a list of those gives the same labels;
 * label [count] becomes that of each span. */
static bool sort_classes(nnclr_source *source, const class_span *spans, size_t count,
                         int64_t *label, nnclr_error *e) {
    class_text *texts = nnclr_alloc(count, sizeof *texts, e);
    source->classes = nnclr_alloc_zero(count, sizeof *source->classes, e);
    bool ok = texts && source->classes;
    size_t made = 0;
    for (; ok && made < count; made += ok) {
        texts[made] = (class_text){nnclr_utf8_copy(spans[made].text, spans[made].size, e), made};
        ok = texts[made].text != NULL;
    }
    if (ok)
        qsort(texts, count, sizeof *texts, by_class_text);
    for (size_t i = 0; i < made; i++) {
        if (ok) {
            source->classes[source->class_count++] = texts[i].text;
            label[texts[i].span] = (int64_t)i;
        } else {
            nnclr_free(texts[i].text);
        }
    }
    nnclr_free(texts);
    return ok;
}

static bool name_classes(nnclr_source *source, class_span *spans, size_t count, nnclr_error *e) {
    qsort(spans, count, sizeof *spans, by_text);
    size_t different = 0;
    for (size_t i = 0; i < count; i++)
        if (different == 0 || by_text(&spans[different - 1], &spans[i]) != 0)
            spans[different++] = spans[i];
    int64_t *label = nnclr_alloc(different, sizeof *label, e);
    bool ok = label && sort_classes(source, spans, different, label, e);
    for (size_t i = 0; ok && i < source->count; i++) {
        class_span span = span_of(source, &source->items[i]);
        if (span.size == 0)
            continue;
        const class_span *found = bsearch(&span, spans, different, sizeof *spans, by_text);
        source->items[i].label = label[found - spans];
    }
    nnclr_free(label);
    return ok;
}

/* Were all labels given as texts? The name of a folder is one where it is a number too, as it is to
 * torchvision's ImageFolder. */
static bool has_given_labels(const nnclr_source *source) {
    for (size_t i = 0; i < source->count; i++)
        if (source->items[i].class_size > 0 && source->items[i].class_name == source->items[i].name)
            return false;
    return true;
}

static bool set_classes(nnclr_source *source, nnclr_error *e) {
    size_t most;
    if (!nnclr_size_add(source->count, source->known_class_count, &most))
        return nnclr_fail(e, NNCLR_ERROR_MEMORY, "too many classes");
    class_span *spans = nnclr_alloc(most, sizeof *spans, e);
    if (!spans)
        return false;
    size_t count = 0;
    for (size_t i = 0; i < source->known_class_count; i++) {
        const nnclr_source_class_name *known = &source->known_classes[i];
        spans[count++] = (class_span){(char *)source->texts.data + known->text, known->size};
    }
    for (size_t i = 0; i < source->count; i++)
        if (source->items[i].class_size > 0)
            spans[count++] = span_of(source, &source->items[i]);
    int64_t largest = 0;
    bool numbers = has_given_labels(source);
    for (size_t i = 0; i < count && numbers; i++) {
        int64_t number = number_of(spans[i]);
        numbers = numbers && number >= 0;
        largest = number > largest ? number : largest;
    }
    bool ok = true;
    if (count > 0)
        ok = numbers ? number_classes(source, largest, e) : name_classes(source, spans, count, e);
    nnclr_free(spans);
    return ok;
}

/* ---- the source ---- */

static bool fail_empty(const nnclr_source_options *options, nnclr_error *e) {
    const char *below = options->root ? " below " : "", *root = options->root ? options->root : "";
    if (options->list)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: the list names no file",
                          is_standard_input(options->list) ? "standard input" : options->list);
    if (options->input_count == 1)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: no files there%s%s", options->inputs[0], below,
                          root);
    return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s and the other inputs: no files there%s%s",
                      options->inputs[0], below, root);
}

static bool fill(nnclr_source *source, const nnclr_source_options *options, nnclr_error *e) {
    source->bases = nnclr_alloc_zero(options->input_count + 1, sizeof *source->bases, e);
    if (!source->bases)
        return false;
    if (options->list) {
        if (!gather_list(source, options, e))
            return false;
    } else {
        if (!nnclr_input_check(options->inputs, options->input_count, e))
            return false;
        for (size_t i = 0; i < options->input_count; i++)
            if (!gather_input(source, options->inputs[i], options->root, e))
                return false;
        if (!arrange(source, e))
            return false;
    }
    return source->count > 0 ? set_classes(source, e) : fail_empty(options, e);
}

nnclr_source *nnclr_source_open(const nnclr_source_options *options, nnclr_error *e) {
    if (options->input_count == 0 && !options->list) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "no folder, archive or list to read pictures from");
        return NULL;
    }
    nnclr_source *source = nnclr_alloc_zero(1, sizeof *source, e);
    if (!source)
        return NULL;
    source->spool = -1;
    source->opened = options->opened;
    source->file_limit = options->file_limit;
    const bool ok = fill(source, options, e);
    source->opened = NULL; /* the caller's */
    if (ok)
        return source;
    nnclr_source_close(source);
    return NULL;
}

void nnclr_source_close(nnclr_source *source) {
    if (!source)
        return;
    for (size_t i = 0; i < source->base_count; i++)
        nnclr_free(source->bases[i]);
    for (size_t i = 0; i < source->class_count; i++)
        nnclr_free(source->classes[i]);
    for (size_t i = 0; i < source->pixel_file_count; i++)
        if (source->pixel_files[i].fd != source->spool)
            close(source->pixel_files[i].fd);
    if (source->spool >= 0)
        close(source->spool);
    nnclr_free(source->pixel_files);
    nnclr_free(source->known_classes);
    nnclr_free(source->bases);
    nnclr_free(source->classes);
    nnclr_free(source->items);
    nnclr_buffer_free(&source->texts);
    nnclr_free(source);
}

size_t nnclr_source_count(const nnclr_source *source) {
    return source->count;
}

nnclr_source_entry nnclr_source_entry_at(const nnclr_source *source, size_t i) {
    const nnclr_source_item *item = &source->items[i];
    return (nnclr_source_entry){(char *)source->texts.data + item->name, item->label};
}

bool nnclr_source_mixes_parts(const nnclr_source *source) {
    return source->mixes_parts;
}

size_t nnclr_source_class_count(const nnclr_source *source) {
    return source->class_count;
}

const char *nnclr_source_class(const nnclr_source *source, size_t label) {
    return source->classes[label];
}

/* Of what is no picture only the first bytes are read: a film may lie among the pictures. */
static bool read_content(const nnclr_source *source, const nnclr_item_content *c, const char *name,
                         nnclr_buffer *out, nnclr_error *e) {
    if (c->size > source->file_limit)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%s: %llu bytes, more than the limit of %zu", name,
                          (unsigned long long)c->size, source->file_limit);
    size_t size = (size_t)c->size, start = size < NNCLR_PICTURE_START ? size : NNCLR_PICTURE_START;
    if (!nnclr_buffer_reserve(out, start, e) ||
        !nnclr_read_at(c->fd, out->data, start, c->start, name, e))
        return false;
    out->size = start;
    if (nnclr_is_picture(out->data, start)) {
        if (!nnclr_buffer_reserve(out, size - start, e) ||
            !nnclr_read_at(c->fd, out->data + start, size - start, c->start + start, name, e))
            return false;
        out->size = size;
    }
    out->data[out->size] = '\0';
    return true;
}

bool nnclr_source_read(nnclr_source *source, size_t i, nnclr_buffer *out, nnclr_error *e) {
    const nnclr_source_item *item = &source->items[i];
    nnclr_item_content c;
    nnclr_buffer path = {0};
    out->size = 0;
    if (item->kind == NNCLR_SOURCE_PIXELS)
        return nnclr_source_read_pixels(source, item, out, e);
    bool ok = nnclr_item_open(source, item, &c, e);
    ok = ok && nnclr_item_path(source, item, &path, e) &&
         read_content(source, &c, (char *)path.data, out, e);
    nnclr_item_close(source, &c);
    nnclr_buffer_free(&path);
    return ok;
}
