#include "eval/neighbour_graph.h"

#include <math.h>

#include "base/memory.h"
#include "base/numbers.h"

enum {
    BANK_BYTES = 128 << 20, /* of one block of bank rows */
    QUERY_BYTES = 32 << 20, /* of one block of queries */
    MOST_QUERIES = 1024,    /* so that the caller can end the work every second or so */
    AGAIN_BYTES = 32 << 20, /* of queries that are searched again together */
    MOST_AGAIN = 8192,
    MORE_PICKS = 6,  /* proposed beyond k */
    MOST_PICKS = 64, /* the engine's bound */
    TASK_QUERIES = 64
};

typedef struct graph {
    nnclr_engine *engine;
    const nnclr_row_source *bank, *queries;
    const nnclr_nearest_options *options;
    nnclr_neighbour *best; /* [queries][k]: heaps of the best so far */
    int *held;             /* [queries]: their sizes */
    double *ceiling;       /* [queries]: no row that was not proposed has a larger proposal */
    int bank_block, query_block, picks;

    /* the current block of the bank */
    nnclr_search *index;
    float *bank_rows; /* host [bank_block][d] */
    double *bank_norm;
    int64_t *bank_row, *bank_record; /* of each row in the block: only candidates are in it */
    int bank_count;

    /* the current block of queries */
    float *query_rows; /* host [query_block][d] */
    double *query_norm;
    int64_t query_first;
    int query_count;
    int32_t *pick; /* [query_block][picks] */
    float *score;

    float *unit; /* host, as many rows as the larger block */
    void *arena; /* unit rows, picks and scores in engine memory */
    size_t arena_bytes;
} graph;

static int block_rows(int given, size_t bytes, int most, int64_t n, int d) {
    int64_t rows = given ? given : (int64_t)(bytes / ((size_t)d * sizeof(float)));
    if (!given && most && rows > most)
        rows = most;
    return (int)nnclr_clamp(nnclr_min(rows, n), 1, INT32_MAX / 2);
}

/* Where the parts are in the arena, after the unit rows of the larger block. */
static void *arena_picks(const graph *g) {
    size_t rows = (size_t)nnclr_max(g->bank_block, g->query_block);
    return nnclr_real_at(g->engine, g->arena, rows * (size_t)g->bank->d);
}

static void *arena_scores(const graph *g) {
    return nnclr_real_at(g->engine, arena_picks(g), (size_t)g->query_block * (size_t)g->picks);
}

static bool allocate(graph *g, nnclr_error *e) {
    const size_t d = (size_t)g->bank->d, n = (size_t)g->queries->n;
    const size_t bank = (size_t)g->bank_block, query = (size_t)g->query_block;
    const size_t rows = nnclr_max(bank, query), lists = query * (size_t)g->picks;
    size_t reals;
    g->held = nnclr_alloc_zero(n, sizeof *g->held, e);
    g->ceiling = nnclr_alloc(n, sizeof *g->ceiling, e);
    g->bank_rows = nnclr_alloc(bank, d * sizeof *g->bank_rows, e);
    g->bank_norm = nnclr_alloc(bank, sizeof *g->bank_norm, e);
    g->bank_row = nnclr_alloc(bank, sizeof *g->bank_row, e);
    g->bank_record = nnclr_alloc(bank, sizeof *g->bank_record, e);
    g->query_rows = nnclr_alloc(query, d * sizeof *g->query_rows, e);
    g->query_norm = nnclr_alloc(query, sizeof *g->query_norm, e);
    g->pick = nnclr_alloc(lists, sizeof *g->pick, e);
    g->score = nnclr_alloc(lists, sizeof *g->score, e);
    g->unit = nnclr_alloc(rows, d * sizeof *g->unit, e);
    if (!g->held || !g->ceiling || !g->bank_rows || !g->bank_norm || !g->bank_row ||
        !g->bank_record || !g->query_rows || !g->query_norm || !g->pick || !g->score || !g->unit)
        return false;
    if (!nnclr_size_mul(rows, d, &reals) || !nnclr_size_add(reals, 2 * lists, &reals) ||
        !nnclr_size_mul(reals, nnclr_real_bytes(g->engine), &g->arena_bytes))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "rows of %d numbers are too long", g->bank->d);
    g->arena = g->engine->table->arena_create(g->engine, g->arena_bytes, e);
    for (size_t i = 0; i < n; i++)
        g->ceiling[i] = -INFINITY;
    return g->arena != NULL;
}

static void release(graph *g) {
    if (g->index)
        g->engine->table->search_free(g->engine, g->index);
    if (g->arena)
        g->engine->table->arena_free(g->engine, g->arena, g->arena_bytes);
    nnclr_free(g->unit);
    nnclr_free(g->score);
    nnclr_free(g->pick);
    nnclr_free(g->query_norm);
    nnclr_free(g->query_rows);
    nnclr_free(g->bank_record);
    nnclr_free(g->bank_row);
    nnclr_free(g->bank_norm);
    nnclr_free(g->bank_rows);
    nnclr_free(g->ceiling);
    nnclr_free(g->held);
}

static bool fail_row(const char *what, int64_t row, nnclr_error *e) {
    return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s row %lld holds a number that is not finite", what,
                      (long long)row);
}

/* Moves the candidates of the block together. */
static void keep_candidates(graph *g, int64_t first, int count) {
    const nnclr_nearest_options *o = g->options;
    const size_t d = (size_t)g->bank->d;
    g->bank_count = 0;
    for (int i = 0; i < count; i++) {
        if (o->candidate && !o->candidate[first + i])
            continue;
        int to = g->bank_count++;
        g->bank_row[to] = first + i;
        g->bank_record[to] = o->exclude ? o->bank_record[first + i] : -1;
        g->bank_norm[to] = g->bank_norm[i];
        for (size_t j = 0; to != i && j < d; j++) {
            g->bank_rows[(size_t)to * d + j] = g->bank_rows[(size_t)i * d + j];
            g->unit[(size_t)to * d + j] = g->unit[(size_t)i * d + j];
        }
    }
}

static bool load_bank(graph *g, int64_t first, int count, nnclr_error *e) {
    const nnclr_engine_table *table = g->engine->table;
    const int d = g->bank->d;
    if (!g->bank->read(g->bank, first, count, g->bank_rows, e))
        return false;
    int bad = nnclr_unit_rows(g->bank_rows, count, d, g->bank_norm, g->unit);
    if (bad >= 0)
        return fail_row("bank", first + bad, e);
    keep_candidates(g, first, count);
    if (g->index)
        table->search_free(g->engine, g->index);
    g->index = NULL;
    if (g->bank_count == 0)
        return true;
    g->index = table->search_create(g->engine, g->bank_count, d, e);
    if (!g->index)
        return false;
    table->put(g->engine, g->arena, (size_t)g->bank_count * (size_t)d, NNCLR_F32, g->unit);
    table->search_update(g->engine, g->index, 0, g->bank_count, g->arena);
    return true;
}

/* Measures what was proposed for one query of the block, and notes a bound on the rest. */
static void measure(const graph *g, int in_block) {
    const int k = g->options->k, d = g->bank->d;
    const int64_t query = g->query_first + in_block;
    const float *row = g->query_rows + (size_t)in_block * (size_t)d;
    const int32_t *pick = g->pick + (size_t)in_block * (size_t)g->picks;
    const float *score = g->score + (size_t)in_block * (size_t)g->picks;
    if (g->query_norm[in_block] == 0) { /* products do not tell which rows are zeros */
        g->ceiling[query] = INFINITY;
        return;
    }
    for (int i = 0; i < g->picks && pick[i] >= 0; i++) {
        double product = nnclr_row_dot(row, g->bank_rows + (size_t)pick[i] * (size_t)d, d);
        nnclr_heap_push(g->best + query * k, &g->held[query], k,
                        (nnclr_neighbour){.cosine = nnclr_cosine(product, g->query_norm[in_block],
                                                                 g->bank_norm[pick[i]]),
                                          .row = g->bank_row[pick[i]]});
    }
    if (pick[g->picks - 1] >= 0 && (double)score[g->picks - 1] > g->ceiling[query])
        g->ceiling[query] = (double)score[g->picks - 1];
}

static void measure_task(void *context, int task, int worker) {
    (void)worker;
    const graph *g = context;
    int end = (task + 1) * TASK_QUERIES;
    for (int i = task * TASK_QUERIES; i < end && i < g->query_count; i++)
        measure(g, i);
}

static bool search_queries(graph *g, int64_t first, int count, nnclr_error *e) {
    const nnclr_engine_table *table = g->engine->table;
    const nnclr_nearest_options *o = g->options;
    const int d = g->bank->d;
    const size_t lists = (size_t)count * (size_t)g->picks;
    g->query_first = first;
    g->query_count = count;
    if (!g->queries->read(g->queries, first, count, g->query_rows, e))
        return false;
    int bad = nnclr_unit_rows(g->query_rows, count, d, g->query_norm, g->unit);
    if (bad >= 0)
        return fail_row("query", first + bad, e);
    if (!g->index)
        return true;
    table->put(g->engine, g->arena, (size_t)count * (size_t)d, NNCLR_F32, g->unit);
    const nnclr_exclusion exclude = {o->exclude ? o->exclude + first : NULL, g->bank_record};
    table->search_nearest(g->engine, g->index, g->arena, count, g->picks,
                          o->exclude ? &exclude : NULL, arena_picks(g), arena_scores(g));
    table->get_picks(g->engine, arena_picks(g), lists, g->pick);
    table->get(g->engine, arena_scores(g), lists, NNCLR_F32, g->score);
    if (!table->sync(g->engine, e))
        return false;
    nnclr_pool_for(g->engine->pool, nnclr_pieces(count, TASK_QUERIES), measure_task, g);
    return true;
}

/* ---- queries whose last neighbour rounding may have chosen ---- */

static bool is_certain(const graph *g, int64_t query) {
    const int k = g->options->k;
    if (g->ceiling[query] == -INFINITY)
        return true;
    return g->held[query] == k &&
           g->best[query * k].cosine > g->ceiling[query] + nnclr_proposal_slack(g->bank->d);
}

static bool search_chunk_again(const graph *g, const int64_t *chunk, int count, float *rows,
                               int64_t *exclude, nnclr_neighbour *found, nnclr_error *e) {
    const nnclr_nearest_options *o = g->options;
    const int k = o->k;
    nnclr_nearest_options again = *o;
    for (int i = 0; i < count; i++) {
        if (!g->queries->read(g->queries, chunk[i], 1, rows + (size_t)i * (size_t)g->bank->d, e))
            return false;
        exclude[i] = o->exclude ? o->exclude[chunk[i]] : -1;
    }
    again.exclude = o->exclude ? exclude : NULL;
    if (!nnclr_nearest(g->engine, g->bank, rows, count, &again, found, e))
        return false;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < k; j++)
            g->best[chunk[i] * k + j] = found[(size_t)i * (size_t)k + (size_t)j];
    return true;
}

/* Queries whose result is certain are sorted, the others searched again. */
static bool finish(graph *g, int64_t *again, nnclr_error *e) {
    const int k = g->options->k;
    const int most = block_rows(0, AGAIN_BYTES, MOST_AGAIN, g->queries->n, g->bank->d);
    bool ok = false;
    int count = 0;
    int64_t *chunk = nnclr_alloc((size_t)most, 2 * sizeof *chunk, e);
    float *rows = nnclr_alloc((size_t)most, (size_t)g->bank->d * sizeof *rows, e);
    nnclr_neighbour *found = nnclr_alloc((size_t)most, (size_t)k * sizeof *found, e);
    if (!chunk || !rows || !found)
        goto done;
    for (int64_t query = 0; query < g->queries->n; query++) {
        if (is_certain(g, query)) {
            nnclr_heap_sort(g->best + query * k, g->held[query], k);
        } else {
            chunk[count++] = query;
            ++*again;
        }
        if (count == most || (count > 0 && query == g->queries->n - 1)) {
            if (!search_chunk_again(g, chunk, count, rows, chunk + most, found, e))
                goto done;
            count = 0;
        }
    }
    ok = true;
done:
    nnclr_free(found);
    nnclr_free(rows);
    nnclr_free(chunk);
    return ok;
}

bool nnclr_neighbour_graph(nnclr_engine *engine, const nnclr_row_source *bank,
                           const nnclr_row_source *queries, const nnclr_nearest_options *options,
                           nnclr_neighbour *out, int64_t *again, nnclr_error *e) {
    graph g = {.engine = engine,
               .bank = bank,
               .queries = queries,
               .options = options,
               .best = out,
               .picks = options->k + MORE_PICKS};
    int64_t twice = 0;
    bool ok = false;
    const bool proposes = g.picks <= MOST_PICKS;
    g.bank_block = block_rows(proposes ? options->bank_block : 1, BANK_BYTES, 0, bank->n, bank->d);
    g.query_block = block_rows(proposes ? options->query_block : 1, QUERY_BYTES, MOST_QUERIES,
                               queries->n, bank->d);
    if (!allocate(&g, e))
        goto done;
    if (!proposes) { /* nothing is certain */
        for (int64_t i = 0; i < queries->n; i++)
            g.ceiling[i] = INFINITY;
        ok = finish(&g, &twice, e);
        goto done;
    }
    for (int64_t at = 0; at < bank->n; at += g.bank_block) {
        const int rows = (int)nnclr_min(g.bank_block, bank->n - at);
        if (!load_bank(&g, at, rows, e))
            goto done;
        for (int64_t i = 0; i < queries->n; i += g.query_block)
            if (!nnclr_progress_tell(options->progress, "pairs", (at * queries->n + i * rows),
                                     (bank->n * queries->n), NULL, e) ||
                !search_queries(&g, i, (int)nnclr_min(g.query_block, queries->n - i), e))
                goto done;
    }
    ok = finish(&g, &twice, e);
done:
    release(&g);
    if (ok && again)
        *again = twice;
    return ok;
}

/* ---- of a row set ---- */

bool nnclr_row_graph_make(nnclr_engine *engine, const nnclr_row_set *bank, const nnclr_row_set *set,
                          int k, const nnclr_progress *progress, nnclr_row_graph *out,
                          nnclr_error *e) {
    *out = (nnclr_row_graph){.bank = bank, .set = set, .k = k};
    bool ok = false;
    bool *candidate = nnclr_alloc((size_t)bank->rows.n, sizeof *candidate, e);
    if (!candidate)
        return false;
    for (int64_t i = 0; i < bank->rows.n; i++)
        candidate[i] = bank->record[i] >= 0;
    out->neighbours = nnclr_alloc((size_t)set->rows.n, (size_t)k * sizeof *out->neighbours, e);
    if (!out->neighbours)
        goto done;
    const nnclr_nearest_options options = {.k = k,
                                           .candidate = candidate,
                                           .bank_record = bank->record,
                                           .progress = progress,
                                           .exclude = bank == set ? bank->record : NULL};
    ok = nnclr_neighbour_graph(engine, &bank->rows, &set->rows, &options, out->neighbours, NULL, e);
done:
    nnclr_free(candidate);
    if (!ok)
        nnclr_row_graph_free(out);
    return ok;
}

void nnclr_row_graph_free(nnclr_row_graph *made) {
    nnclr_free(made->neighbours);
    *made = (nnclr_row_graph){0};
}
