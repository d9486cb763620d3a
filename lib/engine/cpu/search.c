/* Nearest rows of the support set. The sieve's products round the same sum in one way or another,
 * so they only say which rows can be among the best: their scores are summed again, all in one
 * order, and equal rows get equal scores wherever they are. */
#include "engine/cpu/search.h"

#include <assert.h>
#include <float.h>
#include <string.h>

#include "base/memory.h"

enum {
    TILE_ROWS = 512,
    MOST_PARTS = 32,     /* of the rows, each with its own list of best ones */
    BLOCKS_A_WORKER = 4, /* of queries: from this many on, workers share queries, not rows */
    MOST_PICKS = 64
};

nnclr_search *CPU(search_create)(nnclr_engine *g, int m, int d, nnclr_error *e) {
    if (m < 1 || d < 1) {
        nnclr_fail(e, NNCLR_ERROR_USAGE, "a support set of %d rows of %d cannot be made", m, d);
        return NULL;
    }
    nnclr_search *s = nnclr_alloc_zero(1, sizeof *s, e);
    if (!s)
        return NULL;
    s->m = m;
    s->d = d;
    s->tile_rows = m < TILE_ROWS ? (m + 63) / 64 * 64 : TILE_ROWS;
    s->tiles = (m - 1) / s->tile_rows + 1;
    s->tiles_in_part = (s->tiles + MOST_PARTS - 1) / MOST_PARTS;
    s->parts = (s->tiles + s->tiles_in_part - 1) / s->tiles_in_part;
    size_t lists = (size_t)s->parts * SEARCH_QUERIES;
    size_t row_bytes = (size_t)d * sizeof(real);
    s->rows_bytes = (size_t)s->tiles * (size_t)s->tile_rows * row_bytes;
    s->rows = nnclr_block_alloc(s->rows_bytes, e);
    s->kernels = CPU(sift_kernels)();
    s->scratch_bytes =
        (size_t)nnclr_pool_threads(g->pool) * CPU(sift_reals)(s->kernels, d) * sizeof(real);
    s->scratch = s->rows ? nnclr_block_alloc(s->scratch_bytes, e) : NULL;
    if (s->scratch)
        s->best_scores = nnclr_alloc(lists, MOST_PICKS * sizeof(real), e);
    if (s->best_scores)
        s->best_picks = nnclr_alloc(lists, MOST_PICKS * sizeof(int32_t), e);
    if (!s->best_picks) {
        CPU(search_free)(g, s);
        return NULL;
    }
    return s;
}

void CPU(search_free)(nnclr_engine *g, nnclr_search *s) {
    (void)g;
    if (!s)
        return;
    if (s->filter)
        s->filter->free(s);
    nnclr_free(s->best_picks);
    nnclr_free(s->best_scores);
    if (s->scratch)
        nnclr_block_free(s->scratch, s->scratch_bytes);
    if (s->rows)
        nnclr_block_free(s->rows, s->rows_bytes);
    nnclr_free(s);
}

const void *CPU(search_rows)(nnclr_engine *g, const nnclr_search *s) {
    (void)g;
    return s->rows;
}

void CPU(search_update)(nnclr_engine *g, nnclr_search *s, int first, int count, const void *rows) {
    (void)g;
    assert(first >= 0 && count >= 0 && count <= s->m - first);
    if (count == 0)
        return;
    memcpy(s->rows + (size_t)first * (size_t)s->d, rows,
           (size_t)count * (size_t)s->d * sizeof(real));
    if (s->filter)
        s->filter->update(s, first, count);
}

/* ---- lists of the best, highest first; an equal one comes after those before it ---- */

static void clear_list(real *scores, int32_t *picks, int k) {
    for (int i = 0; i < k; i++) {
        scores[i] = (real)-INFINITY;
        picks[i] = -1;
    }
}

static void insert(real *scores, int32_t *picks, int k, real score, int32_t pick) {
    int at = k - 1;
    for (; at > 0 && score > scores[at - 1]; at--) {
        scores[at] = scores[at - 1];
        picks[at] = picks[at - 1];
    }
    scores[at] = score;
    picks[at] = pick;
}

enum { SUMS = 16 };

/* By a fixed order of d alone. */
CPU_WIDE static real dot(const real *restrict a, const real *restrict b, int d) {
    real sum[SUMS] = {0}, total = 0;
    int i = 0;
    for (; i + SUMS <= d; i += SUMS)
        for (int k = 0; k < SUMS; k++)
            sum[k] += a[i + k] * b[i + k];
    for (; i < d; i++)
        sum[i % SUMS] += a[i] * b[i];
    for (int k = 0; k < SUMS; k++)
        total += sum[k];
    return total;
}

/* How far two orders of summing a row's product with the query can be apart: both are within d
 * roundings of |query| |row| (Higham 2002, sec. 3.1), and rows are no longer than 1. */
static real doubt(const real *query, int d) {
    const double unit = (sizeof(real) == sizeof(double) ? DBL_EPSILON : FLT_EPSILON) / 2;
    return (real)(2.1 * (d + 1) * unit * sqrt((double)dot(query, query, d)));
}

typedef struct list {
    const real *query;
    real doubt;
    real least; /* the worst of a list of other rows for the same query: no lower one is wanted */
    int64_t exclude;
    int k;
    real *scores;
    int32_t *picks;
} list;

/* The lists of a block of queries, for the rows from `first` on. */
typedef struct lists {
    const nnclr_search *search;
    const int64_t *numbers; /* of all rows, which exclude them; NULL: none is excluded */
    int first;
    int64_t scored; /* rows, over all queries */
    list list[SEARCH_QUERIES];
    double floor[SEARCH_QUERIES]; /* what a product must reach to be able to beat the list */
} lists;

/* A query that is not finite leaves every row in doubt, even once an infinite score was found:
 * which of the rows that score alike comes first is not known until all have been seen. */
static double floor_of(const list *l) {
    const real worst = l->scores[l->k - 1];
    const double floor = (double)((worst > l->least ? worst : l->least) - l->doubt);
    return isnan(floor) ? -INFINITY : floor;
}

static double largest(const double *values, int count) {
    double most = -INFINITY;
    for (int i = 0; i < count; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

/* The sieve's. If one row is wanted and many come at once, only those are scored whose product does
 * not say that the largest's score is larger. */
static void take(void *context, int query, const int32_t *rows, const double *products, int hits) {
    lists *all = context;
    const nnclr_search *s = all->search;
    const list *l = &all->list[query];
    const real *worst = &l->scores[l->k - 1];
    const double needed =
        l->k == 1 && l->exclude < 0 ? largest(products, hits) - 2.5 * (double)l->doubt : -INFINITY;
    for (int i = 0; i < hits; i++) {
        const int row = all->first + rows[i];
        if (!((real)products[i] > *worst - l->doubt) || products[i] < needed ||
            (real)products[i] < l->least - l->doubt ||
            (l->exclude >= 0 && all->numbers[row] == l->exclude))
            continue;
        all->scored++;
        real score = dot(l->query, s->rows + (size_t)row * (size_t)s->d, s->d);
        if (score > *worst)
            insert(l->scores, l->picks, l->k, score, row);
    }
    all->floor[query] = floor_of(l);
}

/* ---- the search ---- */

typedef struct search_call {
    const nnclr_engine *engine;
    nnclr_search *search;
    bool filters;
    bool parted; /* parts of the rows for all queries; else blocks of the queries, for all rows */
    const real *queries;     /* of this block */
    nnclr_exclusion exclude; /* of this block; NULLs: none */
    int n, k;
    real *scores;
    int32_t *picks;
} search_call;

static size_t list_at(int part, int query) {
    return ((size_t)part * SEARCH_QUERIES + (size_t)query) * MOST_PICKS;
}

/* Begins the lists of the call; those in `scores` and `picks` are `stride` apart. */
static void begin_lists(const search_call *call, real *scores, int32_t *picks, int stride,
                        lists *all) {
    for (int i = 0; i < call->n; i++) {
        all->list[i] =
            (list){.query = call->queries + (size_t)i * (size_t)call->search->d,
                   .exclude = call->exclude.query ? call->exclude.query[i] : -1,
                   .k = call->k,
                   .least = call->parted ? atomic_load(&call->search->reached[i]) : (real)-INFINITY,
                   .scores = scores + (size_t)i * (size_t)stride,
                   .picks = picks + (size_t)i * (size_t)stride};
        clear_list(all->list[i].scores, all->list[i].picks, call->k);
    }
}

/* Whether all are finite. */
static bool set_doubts(const search_call *call, bool own, lists *all) {
    bool finite = true;
    for (int i = 0; i < call->n; i++) {
        list *l = &all->list[i];
        l->doubt = own ? call->search->filter->doubt(call->search, l->query)
                       : doubt(l->query, call->search->d);
        all->floor[i] = floor_of(l);
        finite = finite && isfinite(l->doubt);
    }
    return finite;
}

/* Tiles [tile, end) for the queries of the call, each with a list in `scores` and `picks`; the
 * lists are `stride` apart. */
static void search_tiles(const search_call *call, int tile, int end, int worker, real *scores,
                         int32_t *picks, int stride) {
    nnclr_search *s = call->search;
    lists all = {.search = s, .numbers = call->exclude.row, .first = tile * s->tile_rows};
    begin_lists(call, scores, picks, stride, &all);
    nnclr_sieve sieve = {.queries = call->queries,
                         .rows = s->rows + (size_t)all.first * (size_t)s->d,
                         .n = call->n,
                         .count = (end < s->tiles ? end * s->tile_rows : s->m) - all.first,
                         .d = s->d,
                         .floor = all.floor,
                         .take = take,
                         .context = &all};
    if (call->filters && set_doubts(call, true, &all)) {
        const int done = s->filter->sift(s, &sieve, all.first, &all.scored, worker);
        all.first += done;
        sieve.count -= done;
        sieve.rows = s->rows + (size_t)all.first * (size_t)s->d;
    }
    if (sieve.count == 0)
        return;
    (void)set_doubts(call, false, &all);
    CPU(sift_queries)
    (s->kernels, &sieve, 0, call->n,
     s->scratch + (size_t)worker * CPU(sift_reals)(s->kernels, s->d));
}

static void raise(_Atomic real *reached, real score) {
    real old = atomic_load(reached);
    while (score > old && !atomic_compare_exchange_weak(reached, &old, score))
        continue;
}

/* What other parts have found so far is left out here: which rows that are depends on the threads,
 * but none of them would be picked. */
static void search_part(void *context, int part, int worker) {
    const search_call *call = context;
    nnclr_search *s = call->search;
    const size_t at = list_at(part, 0);
    search_tiles(call, part * s->tiles_in_part, (part + 1) * s->tiles_in_part, worker,
                 s->best_scores + at, s->best_picks + at, MOST_PICKS);
    for (int i = 0; i < call->n; i++)
        raise(&s->reached[i], s->best_scores[list_at(part, i) + (size_t)call->k - 1]);
}

/* Parts in order of their rows, so equal scores stay in that order. */
static void merge_parts(const search_call *call, int query) {
    const nnclr_search *s = call->search;
    int k = call->k;
    real *scores = call->scores + (size_t)query * (size_t)k;
    int32_t *picks = call->picks + (size_t)query * (size_t)k;
    clear_list(scores, picks, k);
    for (int part = 0; part < s->parts; part++) {
        size_t at = list_at(part, query);
        for (int i = 0; i < k && s->best_scores[at + (size_t)i] > scores[k - 1]; i++)
            insert(scores, picks, k, s->best_scores[at + (size_t)i], s->best_picks[at + (size_t)i]);
    }
    for (int i = 0; i < k; i++)
        if (picks[i] < 0)
            scores[i] = 0;
}

/* The queries [first, first + SEARCH_QUERIES) of a call, as a call of their own. */
static search_call block_of(const search_call *whole, int first) {
    search_call block = *whole;
    size_t at = (size_t)first;
    block.queries += at * (size_t)whole->search->d;
    if (whole->exclude.query)
        block.exclude.query += at;
    block.n = whole->n - first < SEARCH_QUERIES ? whole->n - first : SEARCH_QUERIES;
    block.scores += at * (size_t)whole->k;
    block.picks += at * (size_t)whole->k;
    return block;
}

/* All tiles for one block of queries, which then need no list for each part. */
static void search_block(void *context, int index, int worker) {
    const search_call call = block_of(context, index * SEARCH_QUERIES);
    search_tiles(&call, 0, call.search->tiles, worker, call.scores, call.picks, call.k);
    for (size_t i = 0; i < (size_t)call.n * (size_t)call.k; i++)
        if (call.picks[i] < 0)
            call.scores[i] = 0;
}

/* Either way gives the same picks: scores are summed in one order, and of equal ones the lower row
 * wins. */
void CPU(search_nearest)(nnclr_engine *g, nnclr_search *s, const void *queries, int n, int k,
                         const nnclr_exclusion *exclude, void *picks, void *scores) {
    assert(k >= 1 && k <= MOST_PICKS);
    search_call whole = {.engine = g,
                         .search = s,
                         .filters = s->filter && s->filter->begin(s),
                         .queries = queries,
                         .exclude = exclude ? *exclude : (nnclr_exclusion){NULL, NULL},
                         .n = n,
                         .k = k,
                         .scores = scores,
                         .picks = picks};
    const int blocks = (n + SEARCH_QUERIES - 1) / SEARCH_QUERIES;
    if (blocks >= BLOCKS_A_WORKER * nnclr_pool_threads(g->pool)) {
        nnclr_pool_for(g->pool, blocks, search_block, &whole);
        return;
    }
    for (int block = 0; block < blocks; block++) {
        search_call call = block_of(&whole, block * SEARCH_QUERIES);
        call.parted = true;
        for (int i = 0; i < call.n; i++)
            atomic_init(&s->reached[i], (real)-INFINITY);
        nnclr_pool_for(g->pool, s->parts, search_part, &call);
        for (int i = 0; i < call.n; i++)
            merge_parts(&call, i);
    }
}
