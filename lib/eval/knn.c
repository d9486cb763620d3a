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
    int64_t *number = NULL; /* of each row, to leave it out */
    bool *labelled = nnclr_alloc((size_t)train->n, sizeof *labelled, e);
    if (!labelled)
        return false;
    int64_t bank = mark_labelled(train_label, train->n, labelled) - options->leave_one_out;
    if (bank < 1) {
        nnclr_fail(e, NNCLR_ERROR_INPUT, "no %srow of TRAIN has a label, so none can vote",
                   options->leave_one_out ? "other " : "");
        goto done;
    }
    if (options->leave_one_out) {
        number = nnclr_alloc((size_t)train->n, sizeof *number, e);
        if (!number)
            goto done;
        for (int64_t i = 0; i < train->n; i++)
            number[i] = i;
    }
    const int k = options->k < bank ? options->k : (int)bank;
    const int64_t chunk = chunk_rows(options, k, test);
    neighbours = nnclr_alloc((size_t)chunk, (size_t)k * sizeof *neighbours, e);
    rows = nnclr_alloc((size_t)chunk, (size_t)test->d * sizeof *rows, e);
    votes = nnclr_alloc((size_t)classes, sizeof *votes, e);
    if (!neighbours || !rows || !votes)
        goto done;
    nnclr_nearest_options nearest = {.k = k, .candidate = labelled, .bank_record = number};
    for (int64_t first = 0; first < test->n; first += chunk) {
        int64_t count = test->n - first < chunk ? test->n - first : chunk;
        nearest.exclude = number ? number + first : NULL;
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
    nnclr_free(number);
    nnclr_free(labelled);
    return ok;
}
