/* The order of items, and which classes they have. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "image/source_entries.h"

enum { NUMBER_DIGITS = 6 }; /* labels that are numbers: up to 999,999 */

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
 * before "a/b" among the folders, because there the whole path is one string. */
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
    bool in_class = slash && source->items[i].kind != NNCLR_SOURCE_PIXELS &&
                    !source->labels_given[source->items[i].input];
    return (sort_key){.input = source->items[i].input,
                      .name = name,
                      .class_size = in_class ? strcspn(name, "/") : 0,
                      .directory_size = slash ? (size_t)(slash - name) : 0,
                      .item = i};
}

/* Counts a file beside class folders if it is a picture. */
static bool pass_over(nnclr_source *source, const nnclr_source_item *item, nnclr_error *e) {
    bool picture;
    if (!nnclr_item_is_picture(source, item, &picture, e))
        return false;
    if (picture && source->beside++ == 0)
        source->first_beside = item->name;
    return true;
}

/* Sorts items, names their classes, and drops the files beside class folders: ImageFolder does not
 * see them. */
bool nnclr_source_arrange(nnclr_source *source, nnclr_error *e) {
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
        if (has_classes[keys[i].input] && keys[i].class_size == 0) {
            ok = pass_over(source, &source->items[keys[i].item], e);
            if (!ok)
                goto exit;
            continue;
        }
        nnclr_source_item *item = &sorted[kept++];
        *item = source->items[keys[i].item];
        if (item->kind == NNCLR_SOURCE_PIXELS || source->labels_given[item->input])
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

/* A plain number that would be printed exactly like that; -1: it is not one. */
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

/* Sorts classes by their names as they are kept, so that a list of these gives the same labels;
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

/* Were all labels given as texts? The name of a folder is one even if it is a number, as it is to
 * torchvision's ImageFolder. */
static bool has_given_labels(const nnclr_source *source) {
    for (size_t i = 0; i < source->count; i++)
        if (source->items[i].class_size > 0 && source->items[i].class_name == source->items[i].name)
            return false;
    return true;
}

bool nnclr_source_set_classes(nnclr_source *source, nnclr_error *e) {
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
