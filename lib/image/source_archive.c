/* The members of an archive, which is read once: their bytes go to the spool. */
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "image/decode.h"
#include "image/source_entries.h"
#include "io/archive.h"
#include "io/input.h"

typedef struct component {
    const char *text;
    size_t size;
} component;

/* The next part of a path that says something: empty ones and "." do not. */
static bool next_component(const char **path, component *part) {
    for (;;) {
        *path += strspn(*path, "/");
        *part = (component){*path, strcspn(*path, "/")};
        *path += part->size;
        if (part->size == 0)
            return false;
        if (part->size != 1 || part->text[0] != '.')
            return true;
    }
}

/* Steps over `root` at the start of *path; false where the path lies elsewhere. */
static bool enter_root(const char **path, const char *root) {
    component wanted, part;
    while (next_component(&root, &wanted))
        if (!next_component(path, &part) || part.size != wanted.size ||
            memcmp(part.text, wanted.text, part.size) != 0)
            return false;
    return true;
}

/* The path below root, parts joined by single slashes; empty where there is none to take. */
static bool clean_name(const char *path, const char *root, nnclr_buffer *name, nnclr_error *e) {
    name->size = 0;
    if (!nnclr_buffer_append(name, "", 0, e))
        return false;
    if (!enter_root(&path, root))
        return true;
    component part;
    while (next_component(&path, &part)) {
        bool hidden = part.text[0] == '.' && !(part.size == 2 && part.text[1] == '.');
        if (hidden) {
            name->size = 0;
            return true;
        }
        if ((name->size > 0 && !nnclr_buffer_append(name, "/", 1, e)) ||
            !nnclr_buffer_append(name, part.text, part.size, e))
            return false;
    }
    return true;
}

/* One reading of an archive. */
typedef struct reading {
    nnclr_source *source;
    uint32_t input;
    const char *root;
    nnclr_buffer clean_root;
    size_t parent_size; /* of it, what comes before the last component */
    const char *part;   /* the last component, where it names one; NULL: none */
    nnclr_archive *archive;
    nnclr_buffer name, data; /* scratch */
    size_t first;            /* item */
    size_t links;
} reading;

/* Is the member one that is read, by its name or its first bytes, which are in r->data? */
static bool is_read(const reading *r, const nnclr_source_item *item) {
    const char *name = (char *)r->source->texts.data + item->name;
    return nnclr_is_picture(r->data.data, r->data.size) || nnclr_source_pixel_name(name) ||
           nnclr_source_is_companion_name(name);
}

/* Only the first bytes are kept of a member that is not read: they say what it is instead. */
static bool spool_member(reading *r, nnclr_source_item *item, nnclr_error *e) {
    nnclr_source *source = r->source;
    nnclr_error why = NNCLR_NO_ERROR;
    r->data.size = 0;
    size_t limit = source->file_limit;
    size_t start = limit < NNCLR_PICTURE_START ? limit : NNCLR_PICTURE_START;
    if (!nnclr_archive_start(r->archive, start, &r->data, e))
        return false;
    if (is_read(r, item) && !nnclr_archive_data(r->archive, limit - r->data.size, &r->data, &why)) {
        if (why.code != NNCLR_ERROR_LIMIT) {
            *e = why;
            return false;
        }
        item->kind = NNCLR_SOURCE_LARGE;
        return true;
    }
    if (source->spool < 0 && (source->spool = nnclr_temporary_fd(e)) < 0)
        return false;
    if (!nnclr_temporary_write(source->spool, r->data.data, r->data.size, e))
        return false;
    item->kind = NNCLR_SOURCE_SPOOLED;
    item->offset = source->spool_size;
    item->size = r->data.size;
    source->spool_size += r->data.size;
    return true;
}

static bool note_link(reading *r, nnclr_source_item *item, const char *target, nnclr_error *e) {
    size_t text;
    if (!clean_name(target, r->root, &r->name, e) ||
        !nnclr_source_text(r->source, (char *)r->name.data, r->name.size, &text, e))
        return false;
    item->kind = NNCLR_SOURCE_LINK;
    item->offset = text;
    r->links++;
    return true;
}

/* What a member that is not below the root is to it, by its cleaned path: a file of many pictures
 * that the root names, or of the part that ends it; or one that may say more of such a file. False:
 * nothing. */
static bool is_beside(const reading *r, const char *path, nnclr_source_role *role) {
    const char *of = nnclr_source_part_of(path), *root = (char *)r->clean_root.data;
    bool in_part = r->part && of && strcmp(of, r->part) == 0 &&
                   strncmp(path, root, r->clean_root.size - strlen(r->part)) == 0;
    bool chosen = nnclr_source_pixel_name(path) && (in_part || strcmp(path, root) == 0);
    *role = chosen ? NNCLR_SOURCE_CHOSEN : NNCLR_SOURCE_COMPANION;
    return chosen || nnclr_source_is_companion_name(path);
}

static bool add_member(reading *r, const char *path, const char *link, nnclr_error *e) {
    if (nnclr_is_shard_member(path, NNCLR_SHARD_FIRST))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is a shard, not an archive of pictures",
                          r->source->bases[r->input]);
    if (!clean_name(path, r->root, &r->name, e))
        return false;
    nnclr_source_role role = NNCLR_SOURCE_ASKED;
    if (r->name.size == 0 && r->clean_root.size > 0) {
        if (!clean_name(path, "", &r->name, e))
            return false;
        if (r->name.size > 0 && !is_beside(r, (char *)r->name.data, &role))
            return true;
    }
    if (r->name.size == 0)
        return true;
    nnclr_source_item *item;
    size_t before = role == NNCLR_SOURCE_CHOSEN ? r->parent_size : 0;
    if (!nnclr_source_add(r->source, r->input, (char *)r->name.data + before, r->name.size - before,
                          &item, e))
        return false;
    item->role = role;
    return link ? note_link(r, item, link, e) : spool_member(r, item, e);
}

typedef struct named {
    const char *name; /* of those with one role */
    nnclr_source_role role;
    size_t item; /* a later member of the same name replaces an earlier one */
} named;

static int by_name(const named *x, const named *y) {
    int order = strcmp(x->name, y->name);
    return order ? order : (x->role > y->role) - (x->role < y->role);
}

static int by_name_and_item(const void *a, const void *b) {
    const named *x = a, *y = b;
    int order = by_name(x, y);
    return order ? order : (x->item > y->item) - (x->item < y->item);
}

/* The last of the sorted members that has that name and comes before `item`; NULL: none. */
static const named *find_before(const named *sorted, size_t count, const char *name, size_t item) {
    named wanted = {name, NNCLR_SOURCE_ASKED, item};
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_name_and_item(&sorted[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && by_name(&sorted[low - 1], &wanted) == 0 ? &sorted[low - 1] : NULL;
}

/* Gives links the bytes of the members that they name, and drops members that were replaced. */
static bool settle_names(reading *r, nnclr_error *e) {
    nnclr_source *source = r->source;
    size_t count = source->count - r->first;
    if (count == 0)
        return true;
    nnclr_source_item *items = source->items + r->first;
    const char *texts = (char *)source->texts.data;
    named *sorted = nnclr_alloc(count, sizeof *sorted, e);
    bool *replaced = nnclr_alloc_zero(count, sizeof *replaced, e);
    bool ok = sorted && replaced;
    if (!ok)
        goto exit;
    for (size_t i = 0; i < count; i++)
        sorted[i] = (named){texts + items[i].name, items[i].role, i};
    qsort(sorted, count, sizeof *sorted, by_name_and_item);

    for (size_t i = 0; i < count && r->links > 0; i++) {
        if (items[i].kind != NNCLR_SOURCE_LINK)
            continue;
        const named *target = find_before(sorted, count, texts + items[i].offset, i);
        if (!target)
            continue;
        items[i].kind = items[target->item].kind;
        items[i].offset = items[target->item].offset;
        items[i].size = items[target->item].size;
    }
    for (size_t i = 0; i + 1 < count; i++)
        replaced[sorted[i].item] = by_name(&sorted[i], &sorted[i + 1]) == 0;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!replaced[i])
            items[kept++] = items[i];
    source->count = r->first + kept;
exit:
    nnclr_free(sorted);
    nnclr_free(replaced);
    return ok;
}

bool nnclr_source_gather_archive(nnclr_source *source, uint32_t input, const char *root,
                                 nnclr_error *e) {
    reading r = {
        .source = source, .input = input, .root = root ? root : "", .first = source->count};
    bool ok = clean_name(r.root, "", &r.clean_root, e);
    const char *last = ok ? strrchr((char *)r.clean_root.data, '/') : NULL;
    r.parent_size = last ? (size_t)(last + 1 - (char *)r.clean_root.data) : 0;
    r.part = ok ? nnclr_source_part_in((char *)r.clean_root.data) : NULL;
    const nnclr_input *opened = source->opened ? &source->opened[input] : NULL;
    r.archive = !ok                         ? NULL
                : opened && opened->fd >= 0 ? nnclr_archive_open_input(opened, e)
                                            : nnclr_archive_open(source->bases[input], e);
    ok = r.archive != NULL;
    while (ok) {
        const char *name, *link;
        nnclr_archive_state state = nnclr_archive_next(r.archive, &name, &link, e);
        if (state == NNCLR_ARCHIVE_END)
            break;
        ok = state == NNCLR_ARCHIVE_ENTRY && add_member(&r, name, link, e);
    }
    ok = ok && settle_names(&r, e) &&
         nnclr_source_take_apart(source, input, r.first, (char *)r.clean_root.data, e);
    nnclr_archive_close(r.archive);
    nnclr_buffer_free(&r.clean_root);
    nnclr_buffer_free(&r.name);
    nnclr_buffer_free(&r.data);
    return ok;
}
