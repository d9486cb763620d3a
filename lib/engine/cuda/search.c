/* Nearest rows of the support set: products of queries and rows piece by piece, each of which joins
 * the lists of the best. */
#include <assert.h>

#include "base/memory.h"
#include "engine/cuda/parts.h"

enum {
    MOST_QUERIES = 2048,     /* at a time */
    MOST_COLUMNS = 8192,     /* rows of a piece */
    MOST_PRODUCTS = 8 << 20, /* of both; a piece has at least MOST_PRODUCTS / MOST_QUERIES rows */
};

struct nnclr_search {
    int m, d;
    float *rows; /* [m][d] */
};

static size_t row_bytes(const nnclr_search *s) {
    return (size_t)s->d * sizeof(float);
}

nnclr_search *nnclr_cuda_search_create(nnclr_engine *g, int m, int d, nnclr_error *e) {
    if (m < 1 || d < 1) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "a support set of %d rows of %d cannot be made", m, d);
        return NULL;
    }
    nnclr_search *s = nnclr_alloc_zero(1, sizeof *s, e);
    if (!s)
        return NULL;
    s->m = m;
    s->d = d;
    s->rows = nnclr_cuda_arena_create(g, (size_t)m * row_bytes(s), e);
    if (s->rows)
        return s;
    nnclr_free(s);
    return NULL;
}

void nnclr_cuda_search_free(nnclr_engine *g, nnclr_search *s) {
    if (s)
        nnclr_cuda_arena_free(g, s->rows, (size_t)s->m * row_bytes(s));
    nnclr_free(s);
}

const void *nnclr_cuda_search_rows(nnclr_engine *g, const nnclr_search *s) {
    (void)g;
    return s->rows;
}

void nnclr_cuda_search_update(nnclr_engine *g, nnclr_search *s, int first, int count,
                              const void *rows) {
    assert(first >= 0 && count >= 0 && count <= s->m - first);
    nnclr_cuda_copy(g, s->rows + (size_t)first * (size_t)s->d, rows, (size_t)count * row_bytes(s));
}

static int least(int a, int b) {
    return a < b ? a : b;
}

/* What a search works in. */
typedef struct room {
    float *products;
    int64_t *query_numbers, *row_numbers; /* NULL: none is excluded */
    int queries, columns;                 /* at a time */
} room;

static bool make_room(nnclr_engine *g, const nnclr_search *s, int n, const nnclr_exclusion *exclude,
                      room *r) {
    *r = (room){.queries = least(n, MOST_QUERIES)};
    r->columns = least(s->m, least(MOST_COLUMNS, MOST_PRODUCTS / r->queries));
    const size_t numbers = exclude ? (size_t)s->m + (size_t)n : 0;
    const size_t products = (size_t)r->queries * (size_t)r->columns;
    int64_t *place =
        nnclr_cuda_scratch(g, numbers * sizeof *place + products * sizeof *r->products);
    if (!place)
        return false;
    r->products = (float *)(void *)(place + numbers);
    if (!exclude)
        return true;
    r->row_numbers = place;
    r->query_numbers = place + s->m;
    cuda_machine *machine = cuda_state_of(g)->machine;
    nnclr_machine_put(machine, r->row_numbers, exclude->row, (size_t)s->m * sizeof *place);
    nnclr_machine_put(machine, r->query_numbers, exclude->query, (size_t)n * sizeof *place);
    return true;
}

/* All rows for the queries that the call begins with. */
static void search_rows(nnclr_engine *g, const nnclr_search *s, const room *r, int queries,
                        select_call call) {
    for (int first = 0; first < s->m; first += r->columns) {
        call.first = first;
        call.columns = least(r->columns, s->m - first);
        call.begins = first == 0;
        call.ends = first + call.columns == s->m;
        nnclr_cuda_gemm(g, false, true, queries, call.columns, s->d, 1, call.queries,
                        s->rows + (size_t)first * (size_t)s->d, 0, r->products);
        nnclr_launch_select(cuda_state_of(g)->stream, queries, &call);
    }
}

void nnclr_cuda_search_nearest(nnclr_engine *g, nnclr_search *s, const void *queries, int n, int k,
                               const nnclr_exclusion *exclude, void *picks, void *scores) {
    room r;
    assert(k >= 1 && k <= MOST_PICKS);
    if (n == 0 || !make_room(g, s, n, exclude, &r))
        return;
    for (int first = 0; first < n; first += r.queries) {
        const size_t at = (size_t)first;
        search_rows(g, s, &r, least(r.queries, n - first),
                    (select_call){.products = r.products,
                                  .queries = (const float *)queries + at * (size_t)s->d,
                                  .rows = s->rows,
                                  .query_numbers = r.query_numbers ? r.query_numbers + at : NULL,
                                  .row_numbers = r.row_numbers,
                                  .scores = (float *)scores + at * (size_t)k,
                                  .picks = (int32_t *)picks + at * (size_t)k,
                                  .d = s->d,
                                  .k = k});
    }
}
