#include "eval/row_graph.h"

#include "base/memory.h"
#include "eval/neighbour_graph.h"

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

void nnclr_row_graph_free(nnclr_row_graph *graph) {
    nnclr_free(graph->neighbours);
    *graph = (nnclr_row_graph){0};
}
