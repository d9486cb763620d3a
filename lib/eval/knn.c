#include "eval/knn.h"

#include <math.h>

#include "base/memory.h"
#include "base/numbers.h"

enum { CHUNK_BYTES = 128 << 20, TASK_ROWS = 64 };

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

/* What nnclr_nearest needs for a query is in neighbours.h. */
static int64_t chunk_rows(const nnclr_knn_options *options, int k, const nnclr_row_source *test) {
    const int64_t row = (int64_t)test->d * 2 * (int64_t)sizeof(float) +
                        (int64_t)k * (16 + (int64_t)sizeof(nnclr_neighbour)) + 600;
    int64_t rows = options->chunk ? options->chunk : CHUNK_BYTES / row;
    return nnclr_min(nnclr_max(rows, 1), test->n);
}

/* The test rows that are in memory, from `first` on. */
typedef struct chunk {
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

/* A chunk's part of the progress. */
typedef struct chunk_progress {
    const nnclr_progress *all;
    int64_t first, total;
} chunk_progress;

static bool tell_chunk(void *context, const char *unit, int64_t done, int64_t total,
                       const char *note) {
    (void)total;
    const chunk_progress *p = context;
    nnclr_error unused = NNCLR_NO_ERROR;
    return nnclr_progress_tell(p->all, unit, p->first + done, p->total, note, &unused);
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
    const int64_t most = chunk_rows(options, k, test);
    const size_t workers = (size_t)nnclr_pool_threads(engine->pool);
    neighbours = nnclr_alloc((size_t)most, (size_t)k * sizeof *neighbours, e);
    rows = nnclr_alloc((size_t)most, (size_t)test->d * sizeof *rows, e);
    votes = nnclr_alloc(workers, (size_t)classes * sizeof *votes, e);
    if (!neighbours || !rows || !votes)
        goto done;
    chunk_progress told = {.all = options->progress, .total = test->n};
    const nnclr_progress progress = {.tell = tell_chunk, .context = &told};
    nnclr_nearest_options nearest = {
        .k = k, .candidate = labelled, .bank_record = number, .progress = &progress};
    chunk c = {.neighbours = neighbours,
               .classes = classes,
               .k = k,
               .temperature = options->temperature,
               .train_label = train_label,
               .test_label = test_label,
               .votes = votes,
               .predictions = predictions};
    for (; c.first < test->n; c.first += c.count) {
        c.count = nnclr_min(test->n - c.first, most);
        told.first = c.first;
        nearest.exclude = number ? number + c.first : NULL;
        if (!test->read(test, c.first, c.count, rows, e) ||
            !nnclr_nearest(engine, train, rows, c.count, &nearest, neighbours, e))
            goto done;
        nnclr_pool_for(engine->pool, (int)nnclr_pieces(c.count, TASK_ROWS), predict_task, &c);
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
