#include <stdlib.h>

#include "base/memory.h"
#include "eval/graph_reports.h"

/* ---- groups: a forest in which each row points to an earlier one of its group ---- */

static int64_t root_of(int64_t *parent, int64_t row) {
    while (parent[row] != row) {
        parent[row] = parent[parent[row]];
        row = parent[row];
    }
    return row;
}

static void join(int64_t *parent, int64_t a, int64_t b) {
    a = root_of(parent, a);
    b = root_of(parent, b);
    if (a < b)
        parent[b] = a;
    else
        parent[a] = b;
}

static void join_edges(const nnclr_row_graph *g, double threshold, int64_t *parent) {
    for (int64_t row = 0; row < g->set->rows.n; row++)
        parent[row] = row;
    for (int64_t row = 0; row < g->set->rows.n; row++) {
        const nnclr_neighbour *of = nnclr_row_graph_of(g, row);
        if (g->set->record[row] < 0)
            continue;
        for (int i = 0; i < g->k && of[i].row >= 0 && of[i].cosine >= threshold; i++)
            join(parent, row, of[i].row);
    }
}

/* A member on its way into the list: its group is the root row. */
typedef struct member {
    int64_t size, root, row;
} member;

static int by_group(const void *a, const void *b) {
    const member *x = a, *y = b;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    if (x->root != y->root)
        return x->root < y->root ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* The members of groups of two and more, largest groups first. */
static size_t list_members(int64_t *parent, int64_t *size, int64_t n, member *members) {
    size_t count = 0;
    for (int64_t row = 0; row < n; row++)
        size[root_of(parent, row)]++;
    for (int64_t row = 0; row < n; row++) {
        int64_t root = root_of(parent, row);
        if (size[root] > 1)
            members[count++] = (member){size[root], root, row};
    }
    qsort(members, count, sizeof *members, by_group);
    return count;
}

bool nnclr_report_duplicates(const nnclr_row_graph *g, double threshold,
                             nnclr_duplicate_report *out, nnclr_error *e) {
    const size_t n = (size_t)g->set->rows.n;
    *out = (nnclr_duplicate_report){0};
    bool ok = false;
    int64_t *parent = nnclr_alloc(n, sizeof *parent, e);
    int64_t *size = nnclr_alloc_zero(n, sizeof *size, e);
    member *members = nnclr_alloc(n, sizeof *members, e);
    if (!parent || !size || !members)
        goto done;
    join_edges(g, threshold, parent);
    size_t count = list_members(parent, size, g->set->rows.n, members);
    out->rows = nnclr_alloc(count, sizeof *out->rows, e);
    if (!out->rows)
        goto done;
    for (; out->count < count; out->count++) {
        const member *m = &members[out->count];
        if (out->count == 0 || m->root != m[-1].root)
            out->groups++;
        out->rows[out->count] = (nnclr_duplicate){
            .group = out->groups - 1, .row = m->row, .twin = *nnclr_row_graph_of(g, m->row)};
    }
    ok = true;
done:
    nnclr_free(members);
    nnclr_free(size);
    nnclr_free(parent);
    return ok;
}

static int by_cosine(const void *a, const void *b) {
    const nnclr_duplicate *x = a, *y = b;
    if (x->twin.cosine != y->twin.cosine)
        return x->twin.cosine > y->twin.cosine ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

bool nnclr_report_leaks(const nnclr_row_graph *g, double threshold, nnclr_duplicate_report *out,
                        nnclr_error *e) {
    const int64_t n = g->set->rows.n;
    *out = (nnclr_duplicate_report){.rows = nnclr_alloc((size_t)n, sizeof *out->rows, e)};
    if (!out->rows)
        return false;
    for (int64_t row = 0; row < n; row++) {
        const nnclr_neighbour *nearest = nnclr_row_graph_of(g, row);
        if (g->set->record[row] >= 0 && nearest->row >= 0 && nearest->cosine >= threshold)
            out->rows[out->count++] = (nnclr_duplicate){.row = row, .twin = *nearest};
    }
    qsort(out->rows, out->count, sizeof *out->rows, by_cosine);
    return true;
}

void nnclr_duplicate_report_free(nnclr_duplicate_report *report) {
    nnclr_free(report->rows);
    *report = (nnclr_duplicate_report){0};
}
