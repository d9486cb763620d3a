/* The members of an archive: their bytes go to the spool. It is read once, and once more if links
 * lead to members that were not wanted for themselves. */
#include <string.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/memory.h"
#include "image/decode.h"
#include "image/source_tree.h"
#include "io/archive.h"
#include "io/input.h"

/* One reading of an archive. */
typedef struct reading {
    nnclr_source *source;
    uint32_t input;
    nnclr_tree tree;
    nnclr_buffer root;  /* cleaned */
    size_t parent_size; /* of root, what comes before the last component */
    const char *part;   /* the last component, if it names one; NULL: none */
    nnclr_archive *archive;
    nnclr_buffer name, target, data; /* scratch */
    size_t missing;                  /* members that a link leads to and that were not kept */
} reading;

/* ---- names ---- */

/* The path by its parts, without empty ones and ".", joined by single slashes. */
static bool clean_path(const char *path, nnclr_buffer *clean, nnclr_error *e) {
    clean->size = 0;
    if (!nnclr_buffer_append(clean, "", 0, e))
        return false;
    for (size_t size; path += strspn(path, "/"), size = strcspn(path, "/"), size > 0;
         path += size) {
        if (size == 1 && path[0] == '.')
            continue;
        if ((clean->size > 0 && !nnclr_buffer_append(clean, "/", 1, e)) ||
            !nnclr_buffer_append(clean, path, size, e))
            return false;
    }
    return true;
}

/* Has the path no part that is hidden or clutter? */
static bool is_visible(const char *path) {
    for (size_t size; size = strcspn(path, "/"), size > 0; path += size + (path[size] == '/')) {
        const bool up = size == 2 && path[0] == '.' && path[1] == '.';
        if (!up && nnclr_source_is_clutter(path, size))
            return false;
    }
    return true;
}

static bool is_below_root(const reading *r, const char *path) {
    const size_t size = r->root.size;
    if (size == 0)
        return is_visible(path);
    return strncmp(path, (char *)r->root.data, size) == 0 && path[size] == '/' &&
           is_visible(path + size + 1);
}

/* What a member that is not below the root is to it: a file of many pictures that the root names,
 * or of the part that ends it; or one that may say more of such a file. False: nothing. */
static bool is_beside(const reading *r, const char *path, nnclr_source_role *role) {
    const char *of = nnclr_source_part_of(path), *root = (char *)r->root.data;
    bool in_part = r->part && of && strcmp(of, r->part) == 0 &&
                   strncmp(path, root, r->root.size - strlen(r->part)) == 0;
    bool chosen = nnclr_source_pixel_name(path) && (in_part || strcmp(path, root) == 0);
    *role = chosen ? NNCLR_SOURCE_CHOSEN : NNCLR_SOURCE_COMPANION;
    return is_visible(path) && (chosen || nnclr_source_is_companion_name(path));
}

/* ---- bytes ---- */

/* How much of a member is kept, by its name or its first bytes, which are in r->data: for one that
 * is not read they say what it is instead. */
static size_t bytes_wanted(const reading *r, const char *path) {
    if (nnclr_source_is_label_name(path))
        return NNCLR_LABEL_LIMIT;
    const bool all = nnclr_is_picture(r->data.data, r->data.size) ||
                     nnclr_source_pixel_name(path) || nnclr_source_is_companion_name(path);
    return all ? r->source->file_limit : 0;
}

static bool keep_member(reading *r, nnclr_tree_member *member, const char *path, nnclr_error *e) {
    nnclr_source *source = r->source;
    const size_t limit = source->file_limit;
    r->data.size = 0;
    member->kept = true;
    if (!nnclr_archive_start(r->archive, limit < NNCLR_PICTURE_START ? limit : NNCLR_PICTURE_START,
                             &r->data, e))
        return false;
    const size_t wanted = bytes_wanted(r, path);
    if (wanted > r->data.size &&
        !nnclr_archive_start(r->archive, wanted - r->data.size + 1, &r->data, e))
        return false;
    if (wanted == limit && r->data.size > limit) {
        member->form = NNCLR_SOURCE_LARGE;
        return true;
    }
    if (source->spool < 0 && (source->spool = nnclr_temporary_fd(e)) < 0)
        return false;
    if (!nnclr_temporary_write(source->spool, r->data.data, r->data.size, e))
        return false;
    member->form = NNCLR_SOURCE_SPOOLED;
    member->offset = source->spool_size;
    member->size = r->data.size;
    source->spool_size += r->data.size;
    return true;
}

/* ---- members ---- */

static bool add_member(reading *r, const char *name, const char *link, nnclr_error *e) {
    nnclr_source_role role;
    if (nnclr_is_shard_member(name, NNCLR_SHARD_FIRST))
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: is a shard, not an archive of pictures",
                          r->source->bases[r->input]);
    const nnclr_tree_kind kind = !link                                   ? NNCLR_TREE_FILE
                                 : nnclr_archive_is_symbolic(r->archive) ? NNCLR_TREE_SYMBOLIC
                                                                         : NNCLR_TREE_HARD;
    if (!clean_path(name, &r->name, e) ||
        (kind == NNCLR_TREE_HARD && !clean_path(link, &r->target, e)))
        return false;
    const char *path = (char *)r->name.data;
    if (!nnclr_tree_add(&r->tree, path, kind == NNCLR_TREE_HARD ? (char *)r->target.data : link,
                        kind, e))
        return false;
    if (kind != NNCLR_TREE_FILE || !*path)
        return true;
    const bool wanted = is_below_root(r, path) || is_beside(r, path, &role);
    return !wanted || keep_member(r, &r->tree.members[r->tree.count - 1], path, e);
}

/* The first reading adds all members. A later one, which meets the same, keeps those that are
 * missing. */
static bool read_members(reading *r, bool first, nnclr_error *e) {
    nnclr_source *source = r->source;
    const nnclr_input *opened = source->opened ? &source->opened[r->input] : NULL;
    r->archive = opened && opened->fd >= 0 ? nnclr_archive_open_input(opened, e)
                                           : nnclr_archive_open(source->bases[r->input], e);
    bool ok = r->archive != NULL;
    for (size_t number = 0; ok; number++) {
        const char *name, *link;
        nnclr_archive_state state = nnclr_archive_next(r->archive, &name, &link, e);
        if (state == NNCLR_ARCHIVE_END)
            break;
        ok = state == NNCLR_ARCHIVE_ENTRY;
        if (ok && first) {
            ok = add_member(r, name, link, e);
        } else if (ok && number < r->tree.count) {
            nnclr_tree_member *member = &r->tree.members[number];
            if (member->form == NNCLR_SOURCE_MISSING && !link)
                ok = keep_member(r, member, name, e);
        }
    }
    nnclr_archive_close(r->archive);
    r->archive = NULL;
    return ok;
}

/* ---- items ---- */

static bool note_missing(void *context, const char *name, nnclr_tree_member *content,
                         const char *why, nnclr_error *e) {
    reading *r = context;
    (void)name;
    (void)why;
    (void)e;
    if (content && !content->kept && content->form != NNCLR_SOURCE_MISSING) {
        content->form = NNCLR_SOURCE_MISSING;
        r->missing++;
    }
    return true;
}

static bool add_item(reading *r, const char *name, const nnclr_tree_member *content,
                     const char *why, nnclr_source_role role, nnclr_error *e) {
    nnclr_source_item *item;
    size_t text = 0;
    if (content && !content->kept)
        why = "a link to what is not taken, and a pipe is read once; give the archive as a file";
    if ((why && !nnclr_source_text(r->source, why, strlen(why), &text, e)) ||
        !nnclr_source_add(r->source, r->input, name, strlen(name), &item, e))
        return false;
    item->role = role;
    item->kind = why ? NNCLR_SOURCE_BROKEN : content->form;
    item->offset = why ? text : content->offset;
    item->size = why ? 0 : content->size;
    return true;
}

static bool add_below(void *context, const char *name, nnclr_tree_member *content, const char *why,
                      nnclr_error *e) {
    return add_item(context, name, content, why, NNCLR_SOURCE_ASKED, e);
}

/* Adds what is beside the root. */
static bool add_beside(reading *r, nnclr_error *e) {
    for (size_t i = 0; i < r->tree.place_count && r->root.size > 0; i++) {
        const char *path = r->tree.places[i].path;
        const nnclr_tree_member *member = &r->tree.members[r->tree.places[i].member];
        nnclr_source_role role;
        if (is_below_root(r, path) || !is_beside(r, path, &role))
            continue;
        const nnclr_tree_member *content = &r->tree.members[member->content];
        if (member->kind == NNCLR_TREE_FILE && content->kept &&
            !add_item(r, path + (role == NNCLR_SOURCE_CHOSEN ? r->parent_size : 0), content, NULL,
                      role, e))
            return false;
    }
    return true;
}

/* For those who gave a root that is not there: something that is there. */
static bool keep_example(reading *r, nnclr_error *e) {
    for (size_t i = 0; i < r->tree.place_count && !r->source->has_example; i++) {
        const char *path = r->tree.places[i].path;
        if (!is_visible(path) || !strchr(path, '/'))
            continue;
        r->source->has_example = true;
        if (!nnclr_source_text(r->source, path, strlen(path), &r->source->example, e))
            return false;
    }
    return true;
}

static bool can_read_again(const reading *r) {
    struct stat status;
    return (r->source->opened && r->source->opened[r->input].fd >= 0) ||
           (stat(r->source->bases[r->input], &status) == 0 && S_ISREG(status.st_mode));
}

static bool gather(reading *r, nnclr_error *e) {
    const char *root = (char *)r->root.data;
    if (!read_members(r, true, e) || !nnclr_tree_settle(&r->tree, e))
        return false;
    if (!nnclr_tree_walk(&r->tree, root, note_missing, r, e))
        return nnclr_fail_at(e, "%s", r->source->bases[r->input]);
    if (r->missing > 0 && can_read_again(r) && !read_members(r, false, e))
        return false;
    return nnclr_tree_walk(&r->tree, root, add_below, r, e) && add_beside(r, e) &&
           keep_example(r, e);
}

bool nnclr_source_gather_archive(nnclr_source *source, uint32_t input, const char *root,
                                 nnclr_error *e) {
    reading r = {.source = source, .input = input};
    const size_t first = source->count;
    bool ok = clean_path(root ? root : "", &r.root, e);
    const char *last = ok ? strrchr((char *)r.root.data, '/') : NULL;
    r.parent_size = last ? (size_t)(last + 1 - (char *)r.root.data) : 0;
    r.part = ok ? nnclr_source_part_in((char *)r.root.data) : NULL;
    ok = ok && gather(&r, e) && nnclr_source_expand(source, input, first, (char *)r.root.data, e);
    nnclr_tree_free(&r.tree);
    nnclr_buffer_free(&r.root);
    nnclr_buffer_free(&r.name);
    nnclr_buffer_free(&r.target);
    nnclr_buffer_free(&r.data);
    return ok;
}
