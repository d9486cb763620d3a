#include "eval/neighbours.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "eval/neighbour_heap.h"

enum {
    BANK_BYTES = 32 << 20, /* of one block of bank rows */
    BANK_ROWS = 8192,      /* at most, so that a tile of similarities stays small */
    QUERY_ROWS = 256,
    TASK_QUERIES = 8 /* that one task selects for */
};

/* Rows on the host as they are, their norms, and their unit rows in engine memory. */
typedef struct block {
    const float *rows;
    double *norm;
    void *unit; /* reals [rows][d] */
} block;

typedef struct search {
    nnclr_engine *engine;
    const nnclr_nearest_options *options;
    int d;
    double slack; /* no gemm of unit rows is further from the true cosine */

    block bank, queries;
    float *bank_rows, *unit_rows; /* host [bank_block][d], and scratch of as many */
    void *similarity;             /* reals [query_block][bank_block], engine memory */
    float *proposed;              /* the same on the host */
    void *arena;
    size_t arena_bytes;

    nnclr_neighbour *best; /* [n][k]: a heap of the best so far, the worst on top */
    int *held;             /* [n]: its size */
    float *highest;        /* [n][k]: a heap of the largest proposals so far, the least on top */
    int *proposals;        /* [n]: its size */

    /* the tile in work */
    int64_t bank_first, query_first;
    int bank_count, query_count;
} search;

static bool read_memory(const nnclr_row_source *source, int64_t first, int64_t count, float *rows,
                        nnclr_error *e) {
    (void)e;
    const float *all = source->context;
    memcpy(rows, all + first * source->d, (size_t)count * (size_t)source->d * sizeof *rows);
    return true;
}

nnclr_row_source nnclr_rows_in_memory(const float *rows, int64_t n, int d) {
    return (nnclr_row_source){.n = n, .d = d, .read = read_memory, .context = (void *)rows};
}

/* Keeps the k largest of all proposals. */
static void push_proposal(float *heap, int *size, int k, float one) {
    if (*size < k) {
        int at = (*size)++;
        for (; at > 0 && one < heap[(at - 1) / 2]; at = (at - 1) / 2)
            heap[at] = heap[(at - 1) / 2];
        heap[at] = one;
        return;
    }
    if (one <= heap[0])
        return;
    int at = 0;
    for (int child = 1; child < k; child = 2 * at + 1) {
        if (child + 1 < k && heap[child + 1] < heap[child])
            child++;
        if (one <= heap[child])
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = one;
}

/* What a proposal must reach so that its row may be among the k best: of the k rows behind the k
 * largest proposals none is further below its proposal than the slack, nor is the row above its
 * own. */
static double proposal_floor(const search *s, int64_t query, const float *proposed) {
    const int k = s->options->k;
    float *heap = s->highest + query * k;
    int *size = &s->proposals[query];
    for (int i = 0; i < s->bank_count; i++)
        if ((*size < k || proposed[i] > heap[0]) &&
            nnclr_is_candidate(s->options, query, s->bank_first + i))
            push_proposal(heap, size, k, proposed[i]);
    return *size < k ? -INFINITY : (double)heap[0] - 2 * s->slack;
}

/* Takes what the tile holds for one of its queries into that query's heap. */
static void select_rows(const search *s, int in_tile) {
    const int k = s->options->k;
    const int64_t query = s->query_first + in_tile;
    const float *proposed = s->proposed + (size_t)in_tile * (size_t)s->bank_count;
    const float *row = s->queries.rows + query * s->d;
    const double floor = proposal_floor(s, query, proposed);
    for (int i = 0; i < s->bank_count; i++) {
        if (proposed[i] < floor || !nnclr_is_candidate(s->options, query, s->bank_first + i))
            continue;
        double norms = s->queries.norm[query] * s->bank.norm[i];
        double product = nnclr_row_dot(row, s->bank.rows + (size_t)i * (size_t)s->d, s->d);
        nnclr_heap_push(
            s->best + query * k, &s->held[query], k,
            (nnclr_neighbour){.cosine = norms > 0 ? product / norms : 0, .row = s->bank_first + i});
    }
}

static void select_task(void *context, int task, int worker) {
    (void)worker;
    const search *s = context;
    int end = (task + 1) * TASK_QUERIES;
    for (int i = task * TASK_QUERIES; i < end && i < s->query_count; i++)
        select_rows(s, i);
}

/* Norms of `count` rows, and their unit rows into engine memory at `place`. */
static bool prepare(search *s, const float *rows, int count, double *norm, void *place,
                    const char *what, int64_t first, nnclr_error *e) {
    int bad = nnclr_unit_rows(rows, count, s->d, norm, s->unit_rows);
    if (bad >= 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s row %lld holds a number that is not finite",
                          what, (long long)(first + bad));
    s->engine->table->put(s->engine, place, (size_t)count * (size_t)s->d, NNCLR_F32, s->unit_rows);
    return true;
}

/* The tile of the bank block and queries [first, first + count): similarities, then selection. */
static void run_tile(search *s, int64_t first, int count) {
    const nnclr_engine_table *table = s->engine->table;
    s->query_first = first;
    s->query_count = count;
    table->gemm(s->engine, false, true, count, s->bank_count, s->d, 1,
                nnclr_real_at(s->engine, s->queries.unit, (size_t)first * (size_t)s->d),
                s->bank.unit, 0, s->similarity);
    table->get(s->engine, s->similarity, (size_t)count * (size_t)s->bank_count, NNCLR_F32,
               s->proposed);
    nnclr_pool_for(s->engine->pool, (count + TASK_QUERIES - 1) / TASK_QUERIES, select_task, s);
}

static int default_bank_block(int d) {
    int rows = (int)(BANK_BYTES / ((size_t)d * sizeof(float)));
    return rows < 1 ? 1 : rows > BANK_ROWS ? BANK_ROWS : rows;
}

static size_t min_size(int64_t a, int64_t b) {
    return (size_t)(a < b ? a : b);
}

/* Everything that the search needs, for blocks of these sizes. */
static bool allocate(search *s, int64_t n, int bank_block, int query_block, nnclr_error *e) {
    const size_t d = (size_t)s->d, real = nnclr_real_bytes(s->engine);
    const size_t scratch = (size_t)(bank_block > query_block ? bank_block : query_block);
    const size_t tile = (size_t)bank_block * (size_t)query_block;
    const size_t rows = (size_t)n + (size_t)bank_block;
    s->bank_rows = nnclr_alloc((size_t)bank_block, d * sizeof(float), e);
    s->unit_rows = nnclr_alloc(scratch, d * sizeof(float), e);
    s->bank.norm = nnclr_alloc((size_t)bank_block, sizeof(double), e);
    s->queries.norm = nnclr_alloc((size_t)n, sizeof(double), e);
    s->held = nnclr_alloc_zero((size_t)n, sizeof *s->held, e);
    s->proposals = nnclr_alloc_zero((size_t)n, sizeof *s->proposals, e);
    s->highest = nnclr_alloc((size_t)n, (size_t)s->options->k * sizeof *s->highest, e);
    s->proposed = nnclr_alloc(tile, sizeof *s->proposed, e);
    if (!s->bank_rows || !s->unit_rows || !s->bank.norm || !s->queries.norm || !s->held ||
        !s->proposals || !s->highest || !s->proposed)
        return false;
    size_t reals;
    if (!nnclr_size_mul(rows, d, &reals) || !nnclr_size_add(reals, tile, &reals) ||
        !nnclr_size_mul(reals, real, &s->arena_bytes))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%lld queries of %d numbers are too many",
                          (long long)n, s->d);
    s->arena = s->engine->table->arena_create(s->engine, s->arena_bytes, e);
    if (!s->arena)
        return false;
    s->bank.unit = s->arena;
    s->queries.unit = nnclr_real_at(s->engine, s->arena, (size_t)bank_block * d);
    s->similarity = nnclr_real_at(s->engine, s->arena, rows * d);
    return true;
}

static void release(search *s) {
    if (s->arena)
        s->engine->table->arena_free(s->engine, s->arena, s->arena_bytes);
    nnclr_free(s->proposed);
    nnclr_free(s->highest);
    nnclr_free(s->proposals);
    nnclr_free(s->held);
    nnclr_free(s->queries.norm);
    nnclr_free(s->bank.norm);
    nnclr_free(s->unit_rows);
    nnclr_free(s->bank_rows);
}

bool nnclr_nearest(nnclr_engine *engine, const nnclr_row_source *bank, const float *queries,
                   int64_t n, const nnclr_nearest_options *options, nnclr_neighbour *out,
                   nnclr_error *e) {
    const int d = bank->d;
    const int bank_block = (int)min_size(
        options->bank_block ? options->bank_block : default_bank_block(d), bank->n ? bank->n : 1);
    const int query_block =
        (int)min_size(options->query_block ? options->query_block : QUERY_ROWS, n ? n : 1);
    search s = {.engine = engine,
                .options = options,
                .d = d,
                .slack = nnclr_proposal_slack(d),
                .best = out,
                .queries.rows = queries};
    bool ok = false;
    if (!allocate(&s, n, bank_block, query_block, e))
        goto done;
    s.bank.rows = s.bank_rows;
    for (int64_t first = 0; first < n; first += query_block)
        if (!prepare(&s, queries + first * d, (int)min_size(query_block, n - first),
                     s.queries.norm + first,
                     nnclr_real_at(engine, s.queries.unit, (size_t)first * (size_t)d), "query",
                     first, e))
            goto done;
    for (s.bank_first = 0; s.bank_first < bank->n; s.bank_first += bank_block) {
        s.bank_count = (int)min_size(bank_block, bank->n - s.bank_first);
        if (!bank->read(bank, s.bank_first, s.bank_count, s.bank_rows, e) ||
            !prepare(&s, s.bank_rows, s.bank_count, s.bank.norm, s.bank.unit, "bank", s.bank_first,
                     e))
            goto done;
        for (int64_t first = 0; first < n; first += query_block)
            run_tile(&s, first, (int)min_size(query_block, n - first));
        if (!engine->table->sync(engine, e))
            goto done;
    }
    for (int64_t i = 0; i < n; i++)
        nnclr_heap_sort(out + i * options->k, s.held[i], options->k);
    ok = true;
done:
    release(&s);
    return ok;
}
