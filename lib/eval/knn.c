#include "eval/knn.h"

#include <math.h>

#include "base/memory.h"

enum { CHUNK_BYTES = 256 << 20 };

void nnclr_knn_vote(const nnclr_neighbour *neighbours, int count, const int64_t *label,
                    double temperature, double *votes, int64_t classes) {
    for (int64_t c = 0; c < classes; c++)
        votes[c] = 0;
    for (int i = 0; i < count; i++) {
        int64_t row = neighbours[i].row;
        if (row >= 0 && label[row] >= 0)
            votes[label[row]] += exp(neighbours[i].cosine / temperature);
    }
}

/* Marks the rows that have a label, and counts them. */
static int64_t mark_labelled(const int64_t *label, int64_t n, bool *labelled) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        labelled[i] = label[i] >= 0;
        count += labelled[i];
    }
    return count;
}

static int64_t chunk_rows(const nnclr_knn_options *options, int k, const nnclr_row_source *test) {
    int64_t row = (int64_t)test->d * 2 * (int64_t)sizeof(float) +
                  (int64_t)k * (int64_t)sizeof(nnclr_neighbour);
    int64_t rows = options->chunk ? options->chunk : CHUNK_BYTES / row;
    if (rows < 1)
        rows = 1;
    return rows < test->n ? rows : test->n;
}

bool nnclr_knn_predict(nnclr_engine *engine, const nnclr_row_source *train,
                       const int64_t *train_label, const nnclr_row_source *test,
                       const int64_t *test_label, int64_t classes, const nnclr_knn_options *options,
                       nnclr_prediction *predictions, nnclr_error *e) {
    bool ok = false;
    nnclr_neighbour *neighbours = NULL;
    float *rows = NULL;
    double *votes = NULL;
    bool *labelled = nnclr_alloc((size_t)train->n, sizeof *labelled, e);
    if (!labelled)
        return false;
    int64_t bank = mark_labelled(train_label, train->n, labelled);
    if (bank == 0) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "no row of TRAIN has a label, so none can vote");
        goto done;
    }
    const int k = options->k < bank ? options->k : (int)bank;
    const int64_t chunk = chunk_rows(options, k, test);
    neighbours = nnclr_alloc((size_t)chunk, (size_t)k * sizeof *neighbours, e);
    rows = nnclr_alloc((size_t)chunk, (size_t)test->d * sizeof *rows, e);
    votes = nnclr_alloc((size_t)classes, sizeof *votes, e);
    if (!neighbours || !rows || !votes)
        goto done;
    const nnclr_nearest_options nearest = {.k = k, .candidate = labelled};
    for (int64_t first = 0; first < test->n; first += chunk) {
        int64_t count = test->n - first < chunk ? test->n - first : chunk;
        if (!test->read(test, first, count, rows, e) ||
            !nnclr_nearest(engine, train, rows, count, &nearest, neighbours, e))
            goto done;
        for (int64_t i = 0; i < count; i++) {
            nnclr_knn_vote(neighbours + i * k, k, train_label, options->temperature, votes,
                           classes);
            predictions[first + i] = nnclr_predict(votes, classes, test_label[first + i]);
        }
    }
    ok = true;
done:
    nnclr_free(votes);
    nnclr_free(rows);
    nnclr_free(neighbours);
    nnclr_free(labelled);
    return ok;
}
