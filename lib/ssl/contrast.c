#include "ssl/contrast.h"

void nnclr_contrast(nnclr_engine *engine, const nnclr_contrast_term *term) {
    const nnclr_engine_table *table = engine->table;
    int n = term->n, d = term->d, columns = term->column_count;
    double scale = 1 / term->temperature;

    table->gemm(engine, false, true, n, columns, d, scale, term->rows, term->columns, 0,
                term->logits);
    nnclr_cross_entropy_call call = {
        .logits = term->logits,
        .rows = n,
        .columns = columns,
        .target = term->target,
        .skip = term->skip,
        .weight = term->weight,
        .decoupled = term->decoupled,
        .loss = term->loss,
        .correct = term->correct,
    };
    table->cross_entropy(engine, &call);

    /* The logits now hold their own gradient. */
    if (term->rows_gradient)
        table->gemm(engine, false, false, n, d, columns, scale, term->logits, term->columns, 1,
                    term->rows_gradient);
    if (term->columns_gradient)
        table->gemm(engine, true, false, columns, d, n, scale, term->logits, term->rows, 1,
                    term->columns_gradient);
}
