#include "eval/inspection.h"

#include "base/memory.h"
#include "base/rng.h"

/* query [result]: a sample of the chosen rows that are not initial. Returns how many, 0 on failure.
 */
static int64_t sample(const nnclr_row_set *set, const bool *chosen, int64_t count, uint64_t seed,
                      int64_t *query, nnclr_error *e) {
    const int64_t n = set->rows.n;
    uint32_t *order = NULL;
    int64_t known = 0, taken = 0;
    int64_t *rows = nnclr_alloc((size_t)n, sizeof *rows, e);
    if (!rows)
        return 0;
    for (int64_t i = 0; i < n; i++)
        if (set->record[i] >= 0 && (!chosen || chosen[i]))
            rows[known++] = i;
    if (known == 0 || known > UINT32_MAX) {
        nnclr_fail(e, NNCLR_ERROR_INPUT,
                   known ? "too many rows to draw queries from"
                         : "every row is an initial random one: nothing has been enqueued yet, so "
                           "there is no picture to ask about");
        goto done;
    }
    order = nnclr_alloc((size_t)known, sizeof *order, e);
    if (!order)
        goto done;
    nnclr_permutation(seed, NNCLR_DRAW_SAMPLE, 0, (uint32_t)known, order);
    for (int64_t i = 0; chosen && known <= count && i < known; i++)
        order[i] = (uint32_t)i;
    for (; taken < count && taken < known; taken++)
        query[taken] = rows[order[taken]];
done:
    nnclr_free(order);
    nnclr_free(rows);
    return taken;
}

/* The sampled rows, side by side, and for each the record whose rows are not its neighbours. */
static bool gather(const nnclr_inspection *x, float *rows, int64_t *exclude, nnclr_error *e) {
    const nnclr_row_set *from = x->queries;
    for (int64_t i = 0; i < x->count; i++) {
        exclude[i] = from == x->bank ? from->record[x->query[i]] : -1;
        if (!from->rows.read(&from->rows, x->query[i], 1, rows + i * from->rows.d, e))
            return false;
    }
    return true;
}

bool nnclr_inspect(nnclr_engine *engine, const nnclr_row_set *bank, const nnclr_row_set *queries,
                   const bool *chosen, int64_t count, int k, uint64_t seed,
                   const nnclr_progress *progress, nnclr_inspection *out, nnclr_error *e) {
    const int d = bank->rows.d;
    float *rows = NULL;
    int64_t *exclude = NULL;
    bool ok = false;
    if (count > queries->rows.n)
        count = queries->rows.n;
    *out = (nnclr_inspection){.bank = bank, .queries = queries, .k = k};
    out->query = nnclr_alloc((size_t)count, sizeof *out->query, e);
    if (!out->query || !(out->count = sample(queries, chosen, count, seed, out->query, e)))
        goto done;
    out->neighbours = nnclr_alloc((size_t)out->count, (size_t)k * sizeof *out->neighbours, e);
    rows = nnclr_alloc((size_t)out->count, (size_t)d * sizeof *rows, e);
    exclude = nnclr_alloc((size_t)out->count, sizeof *exclude, e);
    if (!out->neighbours || !rows || !exclude || !gather(out, rows, exclude, e))
        goto done;
    const nnclr_nearest_options options = {
        .k = k, .bank_record = bank->record, .exclude = exclude, .progress = progress};
    ok = nnclr_nearest(engine, &bank->rows, rows, out->count, &options, out->neighbours, e);
done:
    nnclr_free(exclude);
    nnclr_free(rows);
    if (!ok)
        nnclr_inspection_free(out);
    return ok;
}

void nnclr_inspection_free(nnclr_inspection *x) {
    nnclr_free(x->neighbours);
    nnclr_free(x->query);
    *x = (nnclr_inspection){0};
}
