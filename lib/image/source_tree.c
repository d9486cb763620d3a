#include "image/source_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Links can make a small tree look endless even though no branch of it is a circle. */
enum { MOST_LINKED = 100000, MOST_DEPTH = 1000, MOST_LINKS = 40 };

void nnclr_tree_free(nnclr_tree *tree) {
    nnclr_free(tree->members);
    nnclr_free(tree->places);
    nnclr_buffer_free(&tree->texts);
    *tree = (nnclr_tree){0};
}

static const char *text_at(const nnclr_tree *tree, size_t at) {
    return (char *)tree->texts.data + at;
}

static bool add_text(nnclr_tree *tree, const char *text, size_t *at, nnclr_error *e) {
    *at = tree->texts.size;
    return nnclr_buffer_append(&tree->texts, text, strlen(text) + 1, e);
}

bool nnclr_tree_add(nnclr_tree *tree, const char *path, const char *target, nnclr_tree_kind kind,
                    nnclr_error *e) {
    nnclr_tree_member member = {.kind = kind, .content = tree->count};
    for (const char *c = path; *c; c++)
        tree->folders += *c == '/';
    if (!nnclr_reserve(&tree->members, &tree->capacity, tree->count + 1, sizeof member, e) ||
        !add_text(tree, path, &member.path, e) ||
        (target && !add_text(tree, target, &member.target, e)))
        return false;
    tree->members[tree->count++] = member;
    return true;
}

/* ---- finding ---- */

static int by_path_and_member(const void *a, const void *b) {
    const nnclr_tree_place *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order ? order : (x->member > y->member) - (x->member < y->member);
}

/* The first place that does not come before this one. */
static size_t lower_bound(const nnclr_tree *tree, const char *path, size_t member) {
    const nnclr_tree_place wanted = {path, member};
    size_t low = 0, high = tree->place_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_path_and_member(&tree->places[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The member of that path; NULL: there is none. */
static nnclr_tree_member *find(const nnclr_tree *tree, const char *path) {
    size_t at = lower_bound(tree, path, 0);
    bool found = at < tree->place_count && strcmp(tree->places[at].path, path) == 0;
    return found ? &tree->members[tree->places[at].member] : NULL;
}

static bool begins(const nnclr_tree *tree, size_t place, const char *prefix, size_t size) {
    return place < tree->place_count && strncmp(tree->places[place].path, prefix, size) == 0;
}

/* ---- hard links ---- */

/* A hard link has what its target had at that moment of unpacking. */
static void settle_hard_link(nnclr_tree *tree, size_t number) {
    nnclr_tree_member *link = &tree->members[number];
    const char *target = text_at(tree, link->target);
    size_t at = lower_bound(tree, target, number);
    link->kind = NNCLR_TREE_NOWHERE;
    if (at == 0 || strcmp(tree->places[at - 1].path, target) != 0)
        return;
    const nnclr_tree_member *to = &tree->members[tree->places[at - 1].member];
    link->kind = to->kind;
    link->content = to->content;
    link->target = to->kind == NNCLR_TREE_SYMBOLIC ? to->target : link->target;
}

bool nnclr_tree_settle(nnclr_tree *tree, nnclr_error *e) {
    tree->places = nnclr_alloc(tree->count, sizeof *tree->places, e);
    if (!tree->places)
        return false;
    for (size_t i = 0; i < tree->count; i++)
        tree->places[i] = (nnclr_tree_place){text_at(tree, tree->members[i].path), i};
    tree->place_count = tree->count;
    qsort(tree->places, tree->count, sizeof *tree->places, by_path_and_member);
    for (size_t i = 0; i < tree->count; i++)
        if (tree->members[i].kind == NNCLR_TREE_HARD)
            settle_hard_link(tree, i);
    size_t kept = 0;
    for (size_t i = 0; i < tree->count; i++)
        if (i + 1 == tree->count || strcmp(tree->places[i].path, tree->places[i + 1].path) != 0)
            tree->places[kept++] = tree->places[i];
    tree->place_count = kept;
    return true;
}

/* ---- walking ---- */

typedef struct walk {
    nnclr_tree *tree;
    nnclr_tree_visit *visit;
    void *context;
    size_t folders;
    nnclr_buffer shown;      /* the path from the root */
    nnclr_buffer real, rest; /* of what a link leads to */
    nnclr_buffer more;       /* scratch */
} walk;

/* A folder that is being visited, and those that lead to it. */
typedef struct level {
    const char *real;
    const struct level *above;
    int depth;
} level;

static void cut_component(nnclr_buffer *path) {
    while (path->size > 0 && path->data[path->size - 1] != '/')
        path->size--;
    path->size -= path->size > 0;
    path->data[path->size] = '\0';
}

static bool set_text(nnclr_buffer *buffer, const char *text, nnclr_error *e) {
    buffer->size = 0;
    return nnclr_buffer_append(buffer, text, strlen(text), e);
}

/* w->rest becomes the link's target and what follows the link. */
static bool turn_off(walk *w, const nnclr_tree_member *link, const char *rest, nnclr_error *e) {
    w->more.size = 0;
    if (!nnclr_buffer_printf(&w->more, e, "%s/%s", text_at(w->tree, link->target), rest))
        return false;
    const nnclr_buffer swapped = w->rest;
    w->rest = w->more;
    w->more = swapped;
    cut_component(&w->real);
    return true;
}

/* w->real becomes where the path leads; *why: it leads nowhere. */
static bool resolve(walk *w, const char *path, const char **why, nnclr_error *e) {
    int links = 0;
    *why = NULL;
    w->real.size = 0;
    if (!nnclr_buffer_append(&w->real, "", 0, e) || !set_text(&w->rest, path, e))
        return false;
    for (size_t at = 0;;) {
        const char *part = (char *)w->rest.data + at;
        part += strspn(part, "/");
        const size_t size = strcspn(part, "/");
        if (size == 0)
            return true;
        at = (size_t)(part - (char *)w->rest.data) + size;
        if (size == 1 && part[0] == '.')
            continue;
        if (size == 2 && part[0] == '.' && part[1] == '.') {
            if (w->real.size == 0) {
                *why = "a link that leads out of the archive";
                return true;
            }
            cut_component(&w->real);
            continue;
        }
        if ((w->real.size > 0 && !nnclr_buffer_append(&w->real, "/", 1, e)) ||
            !nnclr_buffer_append(&w->real, part, size, e))
            return false;
        const nnclr_tree_member *met = find(w->tree, (char *)w->real.data);
        if (!met || met->kind != NNCLR_TREE_SYMBOLIC)
            continue;
        const bool away = *text_at(w->tree, met->target) == '/';
        if (away || ++links > MOST_LINKS) {
            *why = away ? "a link that leads out of the archive" : "a link that leads in a circle";
            return true;
        }
        if (!turn_off(w, met, part + size, e))
            return false;
        at = 0;
    }
}

static bool is_folder(walk *w, const char *path, bool *folder, nnclr_error *e) {
    if (!set_text(&w->more, path, e) || (*path && !nnclr_buffer_append(&w->more, "/", 1, e)))
        return false;
    const char *prefix = (char *)w->more.data;
    *folder = begins(w->tree, lower_bound(w->tree, prefix, 0), prefix, w->more.size);
    return true;
}

static bool visit_folder(walk *w, const char *real, const level *above, nnclr_error *e);

static bool visit_file(walk *w, nnclr_tree_member *member, const char *why, nnclr_error *e) {
    const bool found = member && member->kind == NNCLR_TREE_FILE;
    return w->visit(w->context, (char *)w->shown.data,
                    found ? &w->tree->members[member->content] : NULL,
                    found ? NULL
                    : why ? why
                          : "a link to what the archive does not have",
                    e);
}

static bool visit_link(walk *w, const char *path, const level *above, nnclr_error *e) {
    const char *why;
    bool folder = false;
    if (!resolve(w, path, &why, e))
        return false;
    nnclr_tree_member *to = why ? NULL : find(w->tree, (char *)w->real.data);
    if (!why && !to && !is_folder(w, (char *)w->real.data, &folder, e))
        return false;
    if (!folder)
        return visit_file(w, to, why, e);
    char *real = nnclr_strdup((char *)w->real.data, e);
    bool ok = real && visit_folder(w, real, above, e);
    nnclr_free(real);
    return ok;
}

/* Visits what is at `path`, a folder or a member. */
static bool visit_child(walk *w, const char *path, bool folder, const level *above,
                        nnclr_error *e) {
    if (folder)
        return visit_folder(w, path, above, e);
    nnclr_tree_member *member = find(w->tree, path);
    return member->kind == NNCLR_TREE_SYMBOLIC ? visit_link(w, path, above, e)
                                               : visit_file(w, member, NULL, e);
}

static bool visit_folder(walk *w, const char *real, const level *above, nnclr_error *e) {
    const level here = {real, above, above ? above->depth + 1 : 0};
    for (const level *l = above; l; l = l->above)
        if (strcmp(l->real, real) == 0)
            return true;
    if (here.depth > MOST_DEPTH)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "over %d folders inside each other", MOST_DEPTH);
    if (++w->folders > w->tree->folders + MOST_LINKED)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "links make over %d folders of it", MOST_LINKED);
    const size_t shown = w->shown.size, lead = strlen(real) + (*real != '\0');
    nnclr_buffer path = {0}; /* of one child after the other */
    bool ok = nnclr_buffer_printf(&path, e, "%s%s", real, *real ? "/" : "");
    size_t place = ok ? lower_bound(w->tree, (char *)path.data, 0) : 0;
    while (ok && begins(w->tree, place, (char *)path.data, lead)) {
        const char *name = w->tree->places[place].path + lead;
        const size_t size = strcspn(name, "/");
        const bool folder = name[size] == '/';
        ok = nnclr_buffer_append(&path, name, size, e);
        if (ok && size > 0 && !nnclr_source_is_clutter(name, size)) {
            ok = (shown == 0 || nnclr_buffer_append(&w->shown, "/", 1, e)) &&
                 nnclr_buffer_append(&w->shown, name, size, e) &&
                 visit_child(w, (char *)path.data, folder, &here, e);
            w->shown.size = shown;
            w->shown.data[shown] = '\0';
        }
        /* What comes after all that begins with a slash. */
        ok = ok && (!folder || nnclr_buffer_append(&path, "0", 1, e));
        place = !ok ? 0 : folder ? lower_bound(w->tree, (char *)path.data, 0) : place + 1;
        path.size = lead;
        path.data[lead] = '\0';
    }
    nnclr_buffer_free(&path);
    return ok;
}

bool nnclr_tree_walk(nnclr_tree *tree, const char *root, nnclr_tree_visit *visit, void *context,
                     nnclr_error *e) {
    walk w = {.tree = tree, .visit = visit, .context = context};
    const char *why;
    char *real = NULL;
    bool ok = nnclr_buffer_append(&w.shown, "", 0, e) && resolve(&w, root, &why, e);
    if (ok && !why) {
        real = nnclr_strdup((char *)w.real.data, e);
        ok = real && visit_folder(&w, real, NULL, e);
    }
    nnclr_free(real);
    nnclr_buffer_free(&w.shown);
    nnclr_buffer_free(&w.real);
    nnclr_buffer_free(&w.rest);
    nnclr_buffer_free(&w.more);
    return ok;
}
