#include "eval/groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* ---- a graph whose links have weights ---- */

/* Links of node i: [first[i], first[i + 1]), those of both directions. Weights are whole numbers,
 * so that sums are exact in any order. */
typedef struct links {
    int64_t n;
    int64_t *first; /* [n + 2], the last for scratch */
    int64_t *other;
    double *weight;
    double *degree; /* [n]: all weight at a node, links within it included */
    double total;   /* of the degrees */
} links;

static bool links_create(links *g, int64_t n, int64_t count, nnclr_error *e) {
    g->n = n;
    g->first = nnclr_alloc_zero((size_t)n + 2, sizeof *g->first, e);
    g->other = nnclr_alloc((size_t)count, sizeof *g->other, e);
    g->weight = nnclr_alloc((size_t)count, sizeof *g->weight, e);
    g->degree = nnclr_alloc_zero((size_t)n, sizeof *g->degree, e);
    return g->first && g->other && g->weight && g->degree;
}

static void links_free(links *g) {
    nnclr_free(g->degree);
    nnclr_free(g->weight);
    nnclr_free(g->other);
    nnclr_free(g->first);
    *g = (links){0};
}

/* Both directions of each neighbour of a row, as two links of weight 1. */
static bool links_of_graph(const nnclr_row_graph *graph, links *g, nnclr_error *e) {
    const int64_t n = graph->set->rows.n, entries = n * graph->k;
    if (!links_create(g, n, 2 * entries, e))
        return false;
    for (int pass = 0; pass < 2; pass++) { /* counts, then fills */
        for (int64_t at = 0; at < entries; at++) {
            const int64_t i = at / graph->k, j = graph->neighbours[at].row;
            if (j < 0 || graph->set->record[i] < 0)
                continue;
            if (pass) {
                g->weight[g->first[i + 1]] = g->weight[g->first[j + 1]] = 1;
                g->other[g->first[i + 1]++] = j;
                g->other[g->first[j + 1]++] = i;
                g->degree[i]++;
                g->degree[j]++;
                g->total += 2;
            } else {
                g->first[i + 2]++;
                g->first[j + 2]++;
            }
        }
        for (int64_t i = 0; i < n && !pass; i++)
            g->first[i + 2] += g->first[i + 1];
    }
    return true;
}

/* ---- Louvain ---- */

typedef struct division {
    int64_t *of;    /* [n]: a node's community, the number of a node */
    double *degree; /* [n]: of a community */
    double *toward; /* [n]: weight of one node's links to each community; all 0 in between */
    int64_t *near;  /* [n]: communities where that is not 0 */
} division;

static int64_t look_around(const links *g, const division *d, int64_t i) {
    int64_t count = 0;
    for (int64_t at = g->first[i]; at < g->first[i + 1]; at++) {
        const int64_t c = d->of[g->other[at]];
        if (g->other[at] == i)
            continue;
        if (d->toward[c] == 0)
            d->near[count++] = c;
        d->toward[c] += g->weight[at];
    }
    return count;
}

/* Moves each node to the community next to it that modularity gains most by, the lowest of equal
 * ones, until none moves. */
static bool move_nodes(const links *g, division *d) {
    enum { SWEEPS = 200 };
    bool any = false, moved = true;
    memset(d->degree, 0, (size_t)g->n * sizeof *d->degree);
    for (int64_t i = 0; i < g->n; i++)
        d->degree[d->of[i]] += g->degree[i];
    for (int sweep = 0; moved && sweep < SWEEPS; sweep++) {
        moved = false;
        for (int64_t i = 0; i < g->n; i++) {
            const int64_t own = d->of[i], count = look_around(g, d, i);
            int64_t best = own;
            d->degree[own] -= g->degree[i];
            double most = d->toward[own] * g->total - g->degree[i] * d->degree[own];
            for (int64_t at = 0; at < count; at++) {
                const int64_t c = d->near[at];
                const double gain = d->toward[c] * g->total - g->degree[i] * d->degree[c];
                if (gain > most || (gain == most && best != own && c < best)) {
                    most = gain;
                    best = c;
                }
            }
            for (int64_t at = 0; at < count; at++)
                d->toward[d->near[at]] = 0;
            d->degree[best] += g->degree[i];
            d->of[i] = best;
            moved = moved || best != own;
        }
        any = any || moved;
    }
    return any;
}

/* Numbers communities from 0 in the order of their first nodes; returns how many there are. */
static int64_t number(int64_t *of, int64_t n, int64_t *scratch) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        scratch[i] = -1;
    for (int64_t i = 0; i < n; i++) {
        if (scratch[of[i]] < 0)
            scratch[of[i]] = count++;
        of[i] = scratch[of[i]];
    }
    return count;
}

/* The graph whose nodes are the communities of another. */
static bool contract(const links *g, division *d, int64_t count, links *out, nnclr_error *e) {
    int64_t *order = nnclr_alloc((size_t)g->n, sizeof *order, e), used = 0;
    if (!order || !links_create(out, count, g->first[g->n], e)) {
        nnclr_free(order);
        return false;
    }
    out->total = g->total;
    for (int64_t i = 0; i < g->n; i++)
        out->first[d->of[i] + 2]++;
    for (int64_t c = 0; c < count; c++)
        out->first[c + 2] += out->first[c + 1];
    for (int64_t i = 0; i < g->n; i++)
        order[out->first[d->of[i] + 1]++] = i; /* community after community */
    for (int64_t c = 0, at = 0; c < count; c++) {
        const int64_t end = out->first[c + 1];
        int64_t near = 0;
        out->first[c] = used;
        for (; at < end; at++) {
            out->degree[c] += g->degree[order[at]];
            for (int64_t l = g->first[order[at]]; l < g->first[order[at] + 1]; l++) {
                const int64_t to = d->of[g->other[l]];
                if (d->toward[to] == 0)
                    d->near[near++] = to;
                d->toward[to] += g->weight[l];
            }
        }
        for (int64_t i = 0; i < near; i++, used++) {
            out->other[used] = d->near[i];
            out->weight[used] = d->toward[d->near[i]];
            d->toward[d->near[i]] = 0;
        }
    }
    out->first[count] = used;
    nnclr_free(order);
    return true;
}

static bool division_create(division *d, int64_t n, nnclr_error *e) {
    d->of = nnclr_alloc((size_t)n, sizeof *d->of, e);
    d->degree = nnclr_alloc((size_t)n, sizeof *d->degree, e);
    d->toward = nnclr_alloc_zero((size_t)n, sizeof *d->toward, e);
    d->near = nnclr_alloc((size_t)n, sizeof *d->near, e);
    for (int64_t i = 0; d->of && i < n; i++)
        d->of[i] = i;
    return d->of && d->degree && d->toward && d->near;
}

static void division_free(division *d) {
    nnclr_free(d->near);
    nnclr_free(d->toward);
    nnclr_free(d->degree);
    nnclr_free(d->of);
    *d = (division){0};
}

/* of [n]: communities of the graph, from 0. Whole communities move as nodes do, as long as that is
 * a gain; then nodes once more. */
static bool divide(const links *g, int64_t *of, nnclr_error *e) {
    division d = {0};
    links level = {0};
    const links *now = g;
    bool ok = division_create(&d, g->n, e), moved = ok && move_nodes(g, &d);
    if (ok)
        memcpy(of, d.of, (size_t)g->n * sizeof *of);
    while (ok && moved) {
        links next = {0};
        const int64_t count = number(d.of, now->n, d.near);
        for (int64_t i = 0; now == g && i < g->n; i++)
            of[i] = d.of[i];
        for (int64_t i = 0; now != g && i < g->n; i++)
            of[i] = d.of[of[i]];
        ok = contract(now, &d, count, &next, e);
        links_free(&level);
        level = next;
        now = &level;
        for (int64_t c = 0; c < count; c++)
            d.of[c] = c;
        moved = ok && move_nodes(now, &d);
    }
    if (ok) {
        memcpy(d.of, of, (size_t)g->n * sizeof *of);
        move_nodes(g, &d);
        number(d.of, g->n, d.near);
        memcpy(of, d.of, (size_t)g->n * sizeof *of);
    }
    links_free(&level);
    division_free(&d);
    return ok;
}

/* ---- the report ---- */

static double modularity_of(const links *g, const int64_t *group, double *degree) {
    double within = 0, chance = 0;
    memset(degree, 0, (size_t)g->n * sizeof *degree);
    for (int64_t i = 0; i < g->n; i++) {
        degree[group[i]] += g->degree[i];
        for (int64_t at = g->first[i]; at < g->first[i + 1]; at++)
            within += group[g->other[at]] == group[i] ? g->weight[at] : 0;
    }
    for (int64_t i = 0; i < g->n; i++)
        chance += degree[i] / g->total * (degree[i] / g->total);
    return g->total > 0 ? within / g->total - chance : NAN;
}

bool nnclr_modularity(const nnclr_row_graph *graph, const int64_t *group, double *out,
                      nnclr_error *e) {
    links g = {0};
    bool ok = links_of_graph(graph, &g, e);
    double *degree = nnclr_alloc((size_t)graph->set->rows.n, sizeof *degree, e);
    ok = ok && degree;
    if (ok)
        *out = modularity_of(&g, group, degree);
    nnclr_free(degree);
    links_free(&g);
    return ok;
}

static int by_typical(const void *a, const void *b) {
    const nnclr_group_row *x = a, *y = b;
    if (x->typical != y->typical)
        return x->typical > y->typical ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static int by_size(const void *a, const void *b) {
    const nnclr_group *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

/* of [rows]: communities; becomes the groups' numbers, by size. */
static void number_groups(const nnclr_row_graph *graph, nnclr_groups *out, int64_t *scratch) {
    const int64_t n = graph->set->rows.n;
    for (int64_t i = 0; i < n; i++)
        scratch[i] = -1;
    for (int64_t i = 0; i < n; i++) {
        if (graph->set->record[i] < 0)
            continue;
        int64_t *at = &scratch[out->of[i]];
        if (*at < 0) {
            *at = out->count++;
            out->groups[*at] = (nnclr_group){.first = i};
        }
        out->groups[*at].count++;
    }
    qsort(out->groups, (size_t)out->count, sizeof *out->groups, by_size);
    for (int64_t c = 0; c < out->count; c++)
        scratch[out->of[out->groups[c].first]] = c;
    for (int64_t i = 0; i < n; i++)
        out->of[i] = graph->set->record[i] < 0 ? -1 : scratch[out->of[i]];
}

/* rows [rows of the set]: how typical each is. */
static void rate_rows(const nnclr_row_graph *graph, const int64_t *of, nnclr_group_row *rows) {
    for (int64_t i = 0; i < graph->set->rows.n; i++)
        rows[i] = (nnclr_group_row){0, i};
    for (int64_t i = 0; i < graph->set->rows.n; i++) {
        const nnclr_neighbour *near = nnclr_row_graph_of(graph, i);
        for (int j = 0; of[i] >= 0 && j < graph->k && near[j].row >= 0; j++)
            if (of[near[j].row] == of[i]) {
                rows[i].typical += near[j].cosine;
                rows[near[j].row].typical += near[j].cosine;
            }
    }
}

/* Puts the rated rows into their groups. */
static void list_rows(nnclr_groups *out, const nnclr_group_row *rows, int64_t n) {
    int64_t at = 0;
    for (int64_t c = 0; c < out->count; c++) {
        out->groups[c].rows = out->listed + at;
        at += out->groups[c].count;
        out->groups[c].count = 0;
    }
    for (int64_t i = 0; i < n; i++)
        if (out->of[i] >= 0) {
            nnclr_group *group = &out->groups[out->of[i]];
            group->rows[group->count++] = rows[i];
        }
    for (int64_t c = 0; c < out->count; c++)
        qsort(out->groups[c].rows, (size_t)out->groups[c].count, sizeof *rows, by_typical);
}

bool nnclr_report_groups(const nnclr_row_graph *graph, nnclr_groups *out, nnclr_error *e) {
    const size_t n = (size_t)graph->set->rows.n;
    links g = {0};
    *out = (nnclr_groups){.of = nnclr_alloc(n, sizeof *out->of, e)};
    out->groups = nnclr_alloc(n, sizeof *out->groups, e);
    out->listed = nnclr_alloc(n, sizeof *out->listed, e);
    nnclr_group_row *rows = nnclr_alloc(n, sizeof *rows, e);
    int64_t *scratch = nnclr_alloc(n, sizeof *scratch, e);
    double *degree = nnclr_alloc(n, sizeof *degree, e);
    const bool ok = out->of && out->groups && out->listed && rows && scratch && degree &&
                    links_of_graph(graph, &g, e) && divide(&g, out->of, e);
    if (ok) {
        out->modularity = modularity_of(&g, out->of, degree);
        number_groups(graph, out, scratch);
        rate_rows(graph, out->of, rows);
        list_rows(out, rows, (int64_t)n);
    } else {
        nnclr_groups_free(out);
    }
    links_free(&g);
    nnclr_free(degree);
    nnclr_free(scratch);
    nnclr_free(rows);
    return ok;
}

void nnclr_groups_free(nnclr_groups *groups) {
    nnclr_free(groups->listed);
    nnclr_free(groups->groups);
    nnclr_free(groups->of);
    *groups = (nnclr_groups){0};
}
