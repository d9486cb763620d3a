#include "eval/softmax.h"

#include <math.h>

#include "base/memory.h"
#include "base/numbers.h"

/* Rows go through in chunks of this many, or fewer if there are very many classes: large enough
 * for a good product, small enough for the processor's caches. Sums belong to chunks and tasks of
 * rows, which depend on the shape alone. */
enum { CHUNK_ROWS = 2048, CHUNK_LOGITS = 4 << 20, TASK_ROWS = 64 };

struct nnclr_softmax {
    nnclr_engine *engine;
    const nnclr_progress *progress;
    int columns, classes, chunk;
    void *arena, *weights, *logits, *gradient; /* engine memory */
    size_t arena_bytes;
    float *host;         /* [chunk][classes]: logits, then their gradient */
    double *part;        /* [classes][columns]: one chunk's gradient */
    double *loss;        /* [tasks of a chunk] */
    double *probability; /* [workers][classes] */
    /* of the current chunk */
    int count;
    int64_t first;
    const int64_t *label;
    nnclr_softmax_take take;
    void *context;
};

static int chunk_rows(int classes) {
    int rows = CHUNK_LOGITS / classes / TASK_ROWS * TASK_ROWS;
    return nnclr_clamp(rows, TASK_ROWS, CHUNK_ROWS);
}

static bool allocate(nnclr_softmax *s, nnclr_error *e) {
    const size_t classes = (size_t)s->classes, chunk = (size_t)s->chunk;
    size_t weights, logits = chunk * classes, reals;
    if (!nnclr_size_mul(classes, (size_t)s->columns, &weights) ||
        !nnclr_size_mul(weights, 2, &reals) || !nnclr_size_add(reals, logits, &reals) ||
        !nnclr_size_mul(reals, nnclr_real_bytes(s->engine), &s->arena_bytes))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "%d classes by %d numbers are too many", s->classes,
                          s->columns);
    s->host = nnclr_alloc(logits, sizeof *s->host, e);
    s->part = nnclr_alloc(weights, sizeof *s->part, e);
    s->loss = nnclr_alloc(chunk / TASK_ROWS, sizeof *s->loss, e);
    s->probability = nnclr_alloc((size_t)nnclr_pool_threads(s->engine->pool),
                                 classes * sizeof *s->probability, e);
    if (!s->host || !s->part || !s->loss || !s->probability)
        return false;
    s->arena = s->engine->table->arena_create(s->engine, s->arena_bytes, e);
    if (!s->arena)
        return false;
    s->weights = s->arena;
    s->gradient = nnclr_real_at(s->engine, s->arena, weights);
    s->logits = nnclr_real_at(s->engine, s->arena, 2 * weights);
    return true;
}

nnclr_softmax *nnclr_softmax_create(nnclr_engine *engine, int columns, int classes,
                                    nnclr_error *e) {
    nnclr_softmax *s = nnclr_alloc_zero(1, sizeof *s, e);
    if (!s)
        return NULL;
    s->engine = engine;
    s->columns = columns;
    s->classes = classes;
    s->chunk = chunk_rows(classes);
    if (allocate(s, e))
        return s;
    nnclr_softmax_free(s);
    return NULL;
}

void nnclr_softmax_free(nnclr_softmax *s) {
    if (!s)
        return;
    if (s->arena)
        s->engine->table->arena_free(s->engine, s->arena, s->arena_bytes);
    nnclr_free(s->probability);
    nnclr_free(s->loss);
    nnclr_free(s->part);
    nnclr_free(s->host);
    nnclr_free(s);
}

void nnclr_softmax_watch(nnclr_softmax *s, const nnclr_progress *progress) {
    s->progress = progress;
}

/* probability = softmax(logits), and returns log(sum(exp(logits))). */
static double normalise(const float *logits, int classes, double *probability) {
    double largest = logits[0], sum = 0;
    for (int c = 1; c < classes; c++)
        largest = logits[c] > largest ? (double)logits[c] : largest;
    for (int c = 0; c < classes; c++)
        sum += probability[c] = exp(logits[c] - largest);
    for (int c = 0; c < classes; c++)
        probability[c] /= sum;
    return largest + log(sum);
}

/* Logits become their gradient, softmax - onehot, and the task's losses are summed. */
static void differentiate(void *context, int task, int worker) {
    nnclr_softmax *s = context;
    double *probability = s->probability + (size_t)worker * (size_t)s->classes, loss = 0;
    for (int i = task * TASK_ROWS; i < (task + 1) * TASK_ROWS && i < s->count; i++) {
        float *logits = s->host + (size_t)i * (size_t)s->classes;
        const int64_t label = s->label[s->first + i];
        loss -= logits[label];
        loss += normalise(logits, s->classes, probability);
        for (int c = 0; c < s->classes; c++)
            logits[c] = (float)(probability[c] - (c == label));
    }
    s->loss[task] = loss;
}

static void hand_out(void *context, int task, int worker) {
    nnclr_softmax *s = context;
    double *probability = s->probability + (size_t)worker * (size_t)s->classes;
    for (int i = task * TASK_ROWS; i < (task + 1) * TASK_ROWS && i < s->count; i++) {
        normalise(s->host + (size_t)i * (size_t)s->classes, s->classes, probability);
        s->take(s->context, s->first + i, probability);
    }
}

/* The logits of the chunk, and `task` over its rows; returns the number of tasks. */
static int run_chunk(nnclr_softmax *s, const void *rows, nnclr_task task) {
    const nnclr_engine_table *table = s->engine->table;
    const int tasks = nnclr_pieces(s->count, TASK_ROWS);
    table->gemm(s->engine, false, true, s->count, s->classes, s->columns, 1, rows, s->weights, 0,
                s->logits);
    table->get(s->engine, s->logits, (size_t)s->count * (size_t)s->classes, NNCLR_F32, s->host);
    nnclr_pool_for(s->engine->pool, tasks, task, s);
    return tasks;
}

/* gradient += logits' gradient (transposed) times rows. */
static void add_gradient(nnclr_softmax *s, const void *rows, double *gradient) {
    const nnclr_engine_table *table = s->engine->table;
    const size_t weights = (size_t)s->classes * (size_t)s->columns;
    table->put(s->engine, s->logits, (size_t)s->count * (size_t)s->classes, NNCLR_F32, s->host);
    table->gemm(s->engine, true, false, s->classes, s->columns, s->count, 1, s->logits, rows, 0,
                s->gradient);
    table->get(s->engine, s->gradient, weights, NNCLR_F64, s->part);
    for (size_t i = 0; i < weights; i++)
        gradient[i] += s->part[i];
}

static const void *begin_chunk(nnclr_softmax *s, const void *rows, int64_t first, int64_t n) {
    s->first = first;
    s->count = (int)(n - first < s->chunk ? n - first : s->chunk);
    return nnclr_real_at(s->engine, rows, (size_t)first * (size_t)s->columns);
}

static void put_weights(nnclr_softmax *s, const double *weights) {
    s->engine->table->put(s->engine, s->weights, (size_t)s->classes * (size_t)s->columns, NNCLR_F64,
                          weights);
}

bool nnclr_softmax_loss(nnclr_softmax *s, const void *rows, const int64_t *label, int64_t n,
                        const double *weights, double *loss, double *gradient, nnclr_error *e) {
    const size_t size = (size_t)s->classes * (size_t)s->columns;
    double sum = 0;
    s->label = label;
    put_weights(s, weights);
    for (size_t i = 0; gradient && i < size; i++)
        gradient[i] = 0;
    for (int64_t first = 0; first < n; first += s->chunk) {
        const void *chunk = begin_chunk(s, rows, first, n);
        const int tasks = run_chunk(s, chunk, differentiate);
        for (int i = 0; i < tasks; i++)
            sum += s->loss[i];
        if (gradient)
            add_gradient(s, chunk, gradient);
        if (!nnclr_progress_tell(s->progress, "rows", first + s->count, n, NULL, e))
            return false;
    }
    *loss = sum / (double)n;
    for (size_t i = 0; gradient && i < size; i++)
        gradient[i] /= (double)n;
    return s->engine->table->sync(s->engine, e);
}

bool nnclr_softmax_each(nnclr_softmax *s, const void *rows, int64_t n, const double *weights,
                        nnclr_softmax_take take, void *context, nnclr_error *e) {
    s->take = take;
    s->context = context;
    put_weights(s, weights);
    for (int64_t first = 0; first < n; first += s->chunk)
        run_chunk(s, begin_chunk(s, rows, first, n), hand_out);
    return s->engine->table->sync(s->engine, e);
}
