#include "ssl/support_set.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"

enum { CHUNK_REALS = 1 << 18 }; /* host memory at a time while rows are made or loaded */

static int rows_a_chunk(const nnclr_support_set *s) {
    int rows = CHUNK_REALS / s->d;
    return rows < 1 ? 1 : rows > s->m ? s->m : rows;
}

static void draw_unit_row(uint64_t seed, int row, int d, double *out) {
    nnclr_rng rng = nnclr_rng_at(seed, NNCLR_DRAW_QUEUE, 0, (uint64_t)row, 0);
    double squares = 0, pair[2];
    for (int i = 0; i < d; i += 2) {
        nnclr_rng_normal2(&rng, pair);
        for (int j = 0; j < 2 && i + j < d; j++) {
            out[i + j] = pair[j];
            squares += pair[j] * pair[j];
        }
    }
    double scale = 1 / sqrt(squares);
    for (int i = 0; i < d; i++)
        out[i] *= scale;
}

/* Rows first..first+count-1, which do not wrap and whose records are there. */
static void take_rows(nnclr_support_set *s, int first, int count, const void *rows) {
    s->engine->table->search_update(s->engine, s->search, first, count, rows);
    if (s->keys.search)
        nnclr_search_keys_put(&s->keys, first, count, rows, s->record + first);
}

static bool fill_with_initial_rows(nnclr_support_set *s, uint64_t seed, nnclr_error *e) {
    const nnclr_engine_table *table = s->engine->table;
    int chunk = rows_a_chunk(s);
    size_t reals = (size_t)chunk * (size_t)s->d, bytes = reals * nnclr_real_bytes(s->engine);
    double *rows = nnclr_alloc(reals, sizeof *rows, e);
    void *place = rows ? table->arena_create(s->engine, bytes, e) : NULL;
    bool ok = place != NULL;
    for (int first = 0; ok && first < s->m; first += chunk) {
        int count = s->m - first < chunk ? s->m - first : chunk;
        for (int i = 0; i < count; i++)
            draw_unit_row(seed, first + i, s->d, rows + (size_t)i * (size_t)s->d);
        table->put(s->engine, place, (size_t)count * (size_t)s->d, NNCLR_F64, rows);
        take_rows(s, first, count, place);
    }
    ok = ok && table->sync(s->engine, e);
    if (place)
        table->arena_free(s->engine, place, bytes);
    nnclr_free(rows);
    return ok;
}

static bool allocate(nnclr_support_set *s, nnclr_engine *engine, int m, int d, nnclr_error *e) {
    *s = (nnclr_support_set){.engine = engine, .m = m, .d = d};
    /* The largest first: a set that is too large is refused before memory is used. */
    s->search = engine->table->search_create(engine, m, d, e);
    if (!s->search)
        return false;
    int64_t **columns[] = {&s->record, &s->label, &s->step};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        *columns[i] = nnclr_alloc((size_t)m, sizeof(int64_t), e);
        if (!*columns[i])
            return false;
        memset(*columns[i], 0xff, (size_t)m * sizeof(int64_t)); /* -1 each */
    }
    return true;
}

bool nnclr_support_set_create(nnclr_support_set *s, nnclr_engine *engine, int m, int d,
                              uint64_t seed, nnclr_error *e) {
    if (allocate(s, engine, m, d, e) && fill_with_initial_rows(s, seed, e))
        return true;
    nnclr_support_set_free(s);
    return false;
}

void nnclr_support_set_free(nnclr_support_set *s) {
    nnclr_search_keys_free(&s->keys);
    if (s->search)
        s->engine->table->search_free(s->engine, s->search);
    nnclr_free(s->record);
    nnclr_free(s->label);
    nnclr_free(s->step);
    *s = (nnclr_support_set){0};
}

bool nnclr_support_set_look(nnclr_support_set *s, const nnclr_appearances *appearances,
                            double share, nnclr_error *e) {
    if (!nnclr_search_keys_create(&s->keys, s->engine, s->m, s->d, appearances, share, e))
        return false;
    nnclr_search_keys_put(&s->keys, 0, s->m, s->engine->table->search_rows(s->engine, s->search),
                          s->record);
    return true;
}

void nnclr_support_set_nearest(nnclr_support_set *s, const void *queries, const int64_t *record,
                               int n, int k, bool exclude_self, void *picks, void *scores) {
    const nnclr_exclusion own = {record, s->record}, *exclude = exclude_self ? &own : NULL;
    if (s->keys.search)
        nnclr_search_keys_nearest(&s->keys, queries, record, n, k, exclude, picks, scores);
    else
        s->engine->table->search_nearest(s->engine, s->search, queries, n, k, exclude, picks,
                                         scores);
}

static void put_rows(nnclr_support_set *s, int first, int count, const void *rows,
                     const int64_t *record, const int64_t *label, int64_t step) {
    memcpy(s->record + first, record, (size_t)count * sizeof *record);
    memcpy(s->label + first, label, (size_t)count * sizeof *label);
    for (int i = 0; i < count; i++)
        s->step[first + i] = step;
    take_rows(s, first, count, rows);
}

bool nnclr_support_set_enqueue(nnclr_support_set *s, const void *rows, int n, const int64_t *record,
                               const int64_t *label, int64_t step, nnclr_error *e) {
    if (n > s->m)
        return nnclr_fail(e, NNCLR_ERROR_USAGE,
                          "%d embeddings do not fit into a support set of %d rows", n, s->m);
    int before_wrap = s->m - s->cursor < n ? s->m - s->cursor : n;
    put_rows(s, s->cursor, before_wrap, rows, record, label, step);
    if (before_wrap < n)
        put_rows(s, 0, n - before_wrap,
                 nnclr_real_at(s->engine, rows, (size_t)before_wrap * (size_t)s->d),
                 record + before_wrap, label + before_wrap, step);
    s->cursor = (s->cursor + n) % s->m;
    return true;
}

bool nnclr_support_set_restore(nnclr_support_set *s, nnclr_dtype type, const void *embedding,
                               const int64_t *record, const int64_t *label, const int64_t *step,
                               int cursor, nnclr_error *e) {
    const nnclr_engine_table *table = s->engine->table;
    int chunk = rows_a_chunk(s);
    size_t bytes = (size_t)chunk * (size_t)s->d * nnclr_real_bytes(s->engine);
    void *place = table->arena_create(s->engine, bytes, e);
    if (!place)
        return false;
    size_t column = (size_t)s->m * sizeof(int64_t);
    memcpy(s->record, record, column);
    memcpy(s->label, label, column);
    memcpy(s->step, step, column);
    s->cursor = cursor;
    for (int first = 0; first < s->m; first += chunk) {
        int count = s->m - first < chunk ? s->m - first : chunk;
        size_t before = (size_t)first * (size_t)s->d;
        table->put(s->engine, place, (size_t)count * (size_t)s->d, type,
                   (const unsigned char *)embedding + before * nnclr_dtype_bytes(type));
        take_rows(s, first, count, place);
    }
    bool ok = table->sync(s->engine, e);
    table->arena_free(s->engine, place, bytes);
    return ok;
}

void nnclr_support_set_renew(nnclr_support_set *s, bool foreign) {
    for (int row = 0; row < s->m; row++) {
        if (foreign)
            s->record[row] = s->label[row] = -1;
        s->step[row] = s->record[row] < 0 ? -1 : 0;
    }
    if (s->keys.search)
        nnclr_search_keys_put(&s->keys, 0, s->m,
                              s->engine->table->search_rows(s->engine, s->search), s->record);
}

size_t nnclr_support_set_bytes(const nnclr_engine *engine, int m, int d, bool keys) {
    size_t row =
        (size_t)d * nnclr_real_bytes(engine) + 3 * sizeof(int64_t); /* record, label, step */
    return (size_t)m * row + (keys ? nnclr_search_keys_bytes(engine, m, d) : 0);
}
