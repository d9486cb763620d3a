#include "eval/knn.h"

#include <math.h>

#include "base/memory.h"
#include "base/numbers.h"

enum { TASK_ROWS = 64 };

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

/* Test rows whose neighbours are known. */
typedef struct chunk {
    nnclr_pool *pool;
    const nnclr_neighbour *neighbours; /* [count][k] */
    int64_t first, count, classes;
    int k;
    double temperature;
    const int64_t *train_label, *test_label;
    double *votes; /* [workers][classes] */
    nnclr_prediction *predictions;
} chunk;

static void predict_task(void *context, int task, int worker) {
    const chunk *c = context;
    double *votes = c->votes + worker * c->classes;
    const int64_t first = (int64_t)task * TASK_ROWS;
    for (int64_t i = first; i < first + TASK_ROWS && i < c->count; i++) {
        nnclr_knn_vote(c->neighbours + i * c->k, c->k, c->train_label, c->temperature, votes,
                       c->classes);
        c->predictions[c->first + i] =
            nnclr_predict(votes, c->classes, c->test_label[c->first + i]);
    }
}

static void predict_chunk(void *context, int64_t first, int64_t count,
                          const nnclr_neighbour *neighbours) {
    chunk *c = context;
    c->neighbours = neighbours;
    c->first = first;
    c->count = count;
    nnclr_pool_for(c->pool, (int)nnclr_pieces(count, TASK_ROWS), predict_task, c);
}

bool nnclr_knn_predict(nnclr_pool *pool, const nnclr_row_source *train, const int64_t *train_label,
                       const nnclr_row_source *test, const int64_t *test_label, int64_t classes,
                       const nnclr_knn_options *options, nnclr_prediction *predictions,
                       nnclr_error *e) {
    const size_t n = (size_t)train->n, workers = (size_t)nnclr_pool_threads(pool);
    bool *labelled = nnclr_alloc(n, sizeof *labelled, e);
    int64_t *number = nnclr_alloc(n, sizeof *number, e); /* of each row, to leave it out */
    double *votes = nnclr_alloc(workers, (size_t)classes * sizeof *votes, e);
    bool ok = labelled && number && votes;
    const int64_t bank =
        ok ? mark_labelled(train_label, train->n, labelled) - options->leave_one_out : 0;
    if (ok && bank < 1)
        ok = nnclr_fail(e, NNCLR_ERROR_INPUT, "no %srow of TRAIN has a label, so none can vote",
                        options->leave_one_out ? "other " : "");
    for (int64_t i = 0; ok && i < train->n; i++)
        number[i] = i;
    const nnclr_nearest_options nearest = {.k = (int)nnclr_min(options->k, bank),
                                           .candidate = labelled,
                                           .bank_record = number,
                                           .exclude = options->leave_one_out ? number : NULL,
                                           .progress = options->progress};
    chunk c = {.pool = pool,
               .classes = classes,
               .k = nearest.k,
               .temperature = options->temperature,
               .train_label = train_label,
               .test_label = test_label,
               .votes = votes,
               .predictions = predictions};
    ok =
        ok && nnclr_nearest_each(pool, train, test, &nearest, options->chunk, predict_chunk, &c, e);
    nnclr_free(votes);
    nnclr_free(number);
    nnclr_free(labelled);
    return ok;
}
