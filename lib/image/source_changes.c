/* What people decided after they had read a report: pictures that are left out, and classes that
 * are put right. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "image/source_entries.h"

typedef struct named {
    const char *name; /* of the source's texts, which do not move meanwhile */
    size_t item;
} named;

typedef struct changes {
    const nnclr_source *source;
    named *names;                     /* [count of items], sorted */
    bool *gone;                       /* [count of items] */
    nnclr_source_class_name *classes; /* [count of items]: new ones, in `texts`; size 0: none */
    nnclr_buffer texts;
} changes;

/* ---- names ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

/* What find prints begins with "./". */
static const named *find(const changes *c, const char *name) {
    named wanted = {.name = name};
    const named *found = bsearch(&wanted, c->names, c->source->count, sizeof wanted, by_name);
    while (!found && strncmp(wanted.name, "./", 2) == 0) {
        wanted.name += 2;
        found = bsearch(&wanted, c->names, c->source->count, sizeof wanted, by_name);
    }
    return found;
}

static bool is_there(void *context, const char *name, bool *there, nnclr_error *e) {
    (void)e;
    *there = find(context, name) != NULL;
    return true;
}

/* The one picture that a line means; NULL: that is not clear. */
static const named *find_one(const changes *c, const char *name, nnclr_error *e) {
    const named *found = find(c, name), *end = c->names + c->source->count;
    if (!found) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: there is no such picture in the input", name);
        return NULL;
    }
    if ((found > c->names && by_name(found - 1, found) == 0) ||
        (found + 1 < end && by_name(found + 1, found) == 0)) {
        nnclr_fail(e, NNCLR_ERROR_INPUT,
                   "%s: several pictures have that name: pack one input at a time", name);
        return NULL;
    }
    return found;
}

/* ---- lines ---- */

static bool exclude(void *context, const nnclr_listed *line, nnclr_error *e) {
    changes *c = context;
    const named *found = find_one(c, line->name.at, e);
    if (found && !line->stays)
        c->gone[found->item] = true;
    return found != NULL;
}

static bool relabel(void *context, const nnclr_listed *line, nnclr_error *e) {
    changes *c = context;
    const named *found = find_one(c, line->name.at, e);
    if (!found)
        return false;
    if (!line->class_name.at)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "%s: no class: give lines of name, tab and class, or the report labels",
                          line->name.at);
    c->classes[found->item] = (nnclr_source_class_name){c->texts.size, line->class_name.size};
    return nnclr_buffer_append(&c->texts, line->class_name.at, line->class_name.size, e);
}

/* ---- both ---- */

static bool begin(changes *c, nnclr_error *e) {
    const size_t count = c->source->count;
    c->names = nnclr_alloc(count, sizeof *c->names, e);
    c->gone = nnclr_alloc_zero(count, sizeof *c->gone, e);
    c->classes = nnclr_alloc_zero(count, sizeof *c->classes, e);
    if (!c->names || !c->gone || !c->classes)
        return false;
    for (size_t i = 0; i < count; i++)
        c->names[i] = (named){nnclr_source_text_at(c->source, c->source->items[i].name), i};
    qsort(c->names, count, sizeof *c->names, by_name);
    return true;
}

static bool apply(changes *c, nnclr_source *source, nnclr_error *e) {
    size_t kept = 0;
    for (size_t i = 0; i < source->count; i++) {
        nnclr_source_item *item = &source->items[i];
        const nnclr_source_class_name *class = &c->classes[i];
        if (c->gone[i])
            continue;
        if (class->size > 0) {
            const char *text = (char *)c->texts.data + class->text;
            item->class_size = class->size;
            source->relabelled++;
            if (!nnclr_source_text(source, text, class->size, &item->class_name, e))
                return false;
        }
        source->items[kept++] = *item;
    }
    source->excluded = source->count - kept;
    source->count = kept;
    return true;
}

bool nnclr_source_change(nnclr_source *source, const char *exclude_list, const char *relabel_list,
                         nnclr_error *e) {
    changes c = {.source = source};
    nnclr_list_reader reader = {.tables = true, .is_there = is_there, .context = &c};
    bool ok = begin(&c, e);
    if (ok && relabel_list) {
        reader.take = relabel;
        ok = nnclr_source_read_list(relabel_list, &reader, e);
    }
    if (ok && exclude_list) {
        reader.take = exclude;
        ok = nnclr_source_read_list(exclude_list, &reader, e);
    }
    ok = ok && apply(&c, source, e);
    if (ok && source->count == 0)
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: no picture is left: it names all %zu",
                        nnclr_input_name(exclude_list), source->excluded);
    nnclr_buffer_free(&c.texts);
    nnclr_free(c.classes);
    nnclr_free(c.gone);
    nnclr_free(c.names);
    return ok;
}
