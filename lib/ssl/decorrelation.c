#include "ssl/decorrelation.h"

enum { VIEWS = 2 };

size_t nnclr_decorrelation_statistics(const nnclr_engine *engine, int d) {
    return 3 * engine->table->statistics_bytes(engine, VIEWS, d);
}

void nnclr_decorrelate(nnclr_engine *engine, const nnclr_decorrelation *loss) {
    const nnclr_engine_table *table = engine->table;
    const int n = loss->n, d = loss->d;
    const size_t view = (size_t)n * (size_t)d, each = table->statistics_bytes(engine, VIEWS, d);
    const nnclr_shape shape = {VIEWS, n, 1, 1, d};
    const nnclr_tensor x = {shape, NNCLR_ROWS, (void *)loss->rows},
                       y = {shape, NNCLR_ROWS, loss->standard},
                       gradient = {shape, NNCLR_ROWS, loss->gradient};
    unsigned char *statistics = loss->statistics;
    const nnclr_batchnorm_call norm = {
        .main = {.x = &x,
                 .gamma = loss->affine,
                 .beta = nnclr_real_at(engine, loss->affine, (size_t)d),
                 .sums = statistics,
                 .saved = statistics + each,
                 .n = n,
                 .slopes = statistics + 2 * each,
                 .dgamma = nnclr_real_at(engine, loss->affine, 2 * (size_t)d),
                 .dbeta = nnclr_real_at(engine, loss->affine, 3 * (size_t)d),
                 .dx = &gradient},
        .y = &y,
        .dy = &gradient,
    };
    const void *first = loss->standard, *second = nnclr_real_at(engine, loss->standard, view);
    table->batchnorm_sums(engine, &x, statistics);
    table->batchnorm_train(engine, &norm);

    table->gemm(engine, true, false, d, d, n, 1.0 / n, first, second, 0, loss->matrix);
    const nnclr_decorrelation_call call = {.matrix = loss->matrix,
                                           .d = d,
                                           .weight = loss->weight,
                                           .off_diagonal = loss->off_diagonal,
                                           .loss = loss->loss};
    table->decorrelation(engine, &call);

    /* The matrix now holds its own gradient. */
    table->gemm(engine, false, true, n, d, d, 1.0 / n, second, loss->matrix, 0, loss->gradient);
    table->gemm(engine, false, false, n, d, d, 1.0 / n, first, loss->matrix, 0,
                nnclr_real_at(engine, loss->gradient, view));
    table->batchnorm_slopes(engine, &norm);
    table->batchnorm_backward(engine, &norm);
}
