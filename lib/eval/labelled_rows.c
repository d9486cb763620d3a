#include "eval/labelled_rows.h"

#include <math.h>

#include "base/memory.h"
#include "base/numbers.h"

enum { BLOCK_BYTES = 4 << 20 };

/* Goes over all rows of a source, front to back, a block at a time. */
typedef struct walk {
    const nnclr_row_source *source;
    float *block;
    int64_t block_rows, first, count; /* rows [first, first + count) are in `block` */
} walk;

static bool begin_walk(walk *w, const nnclr_row_source *source, nnclr_error *e) {
    const size_t row = (size_t)source->d * sizeof(float);
    *w = (walk){.source = source, .block_rows = BLOCK_BYTES / (int64_t)row};
    w->block_rows = nnclr_min(nnclr_max(w->block_rows, 1), source->n);
    w->block = nnclr_alloc((size_t)w->block_rows, row, e);
    return w->block;
}

/* The row; NULL: it could not be read. Rows must be asked for in order. */
static const float *row_at(walk *w, int64_t i, nnclr_error *e) {
    if (i >= w->first + w->count) {
        w->first = i;
        w->count = nnclr_min(w->source->n - i, w->block_rows);
        if (!w->source->read(w->source, w->first, w->count, w->block, e))
            return NULL;
    }
    return w->block + (i - w->first) * w->source->d;
}

/* ---- standardisation ---- */

bool nnclr_moments_begin(nnclr_moments *m, int d, nnclr_error *e) {
    *m = (nnclr_moments){.d = d};
    m->sum = nnclr_alloc_zero((size_t)d, 2 * sizeof *m->sum, e);
    m->origin = nnclr_alloc_zero((size_t)d, sizeof *m->origin, e);
    if (m->sum && m->origin)
        return true;
    nnclr_moments_free(m);
    return false;
}

void nnclr_moments_free(nnclr_moments *m) {
    nnclr_free(m->sum);
    nnclr_free(m->origin);
    *m = (nnclr_moments){0};
}

/* Sums of x - first row and of its square, so that a feature that hardly differs from its mean
 * loses no digits. */
void nnclr_moments_add(nnclr_moments *m, const float *row) {
    const int d = m->d;
    for (int j = 0; m->rows == 0 && j < d; j++)
        m->origin[j] = row[j];
    for (int j = 0; j < d; j++) {
        const double x = (double)row[j] - (double)m->origin[j];
        m->sum[j] += x;
        m->sum[d + j] += x * x;
    }
    m->rows++;
}

void nnclr_moments_standardize(const nnclr_moments *m, nnclr_classifier *classifier) {
    for (int j = 0; m->rows > 0 && j < m->d; j++) {
        const double mean = m->sum[j] / (double)m->rows;
        const double variance = m->sum[m->d + j] / (double)m->rows - mean * mean;
        classifier->mean[j] = (float)(m->origin[j] + mean);
        classifier->scale[j] = variance > 0 ? (float)sqrt(variance) : 1;
    }
}

bool nnclr_classifier_standardize(nnclr_classifier *classifier, const nnclr_row_source *source,
                                  const int64_t *label, nnclr_error *e) {
    nnclr_moments m = {0};
    walk w = {0};
    bool ok = nnclr_moments_begin(&m, source->d, e) && begin_walk(&w, source, e);
    for (int64_t i = 0; ok && i < source->n; i++) {
        const float *row = label[i] < 0 ? NULL : row_at(&w, i, e);
        if (row)
            nnclr_moments_add(&m, row);
        ok = row || label[i] < 0;
    }
    if (ok)
        nnclr_moments_standardize(&m, classifier);
    nnclr_free(w.block);
    nnclr_moments_free(&m);
    return ok;
}

/* ---- loading ---- */

bool nnclr_classifier_put(const nnclr_classifier *classifier, nnclr_engine *engine,
                          const float *row, float *scratch, void *place, const char *what,
                          int64_t number, nnclr_error *e) {
    double sum = 0;
    for (int j = 0; j < classifier->d; j++)
        sum += fabs((double)row[j]);
    if (!isfinite(sum))
        return nnclr_refuse_row(what, number, e);
    nnclr_classifier_prepare(classifier, row, scratch);
    engine->table->put(engine, place, (size_t)classifier->d + 1, NNCLR_F32, scratch);
    return true;
}

static bool fill(nnclr_labelled_rows *labelled, const nnclr_row_source *source,
                 const int64_t *label, const bool *last, int64_t first_of_last,
                 const nnclr_classifier *classifier, float *scratch, nnclr_error *e) {
    int64_t next[2] = {0, first_of_last};
    walk w;
    bool ok = begin_walk(&w, source, e);
    for (int64_t i = 0; ok && i < source->n; i++) {
        if (label[i] < 0)
            continue;
        const int64_t slot = next[last && last[i]]++;
        const float *row = row_at(&w, i, e);
        labelled->label[slot] = label[i];
        ok = row && nnclr_classifier_put(classifier, labelled->engine, row, scratch,
                                         nnclr_real_at(labelled->engine, labelled->rows,
                                                       (size_t)slot * (size_t)labelled->columns),
                                         "TRAIN ", i, e);
    }
    nnclr_free(w.block);
    return ok;
}

bool nnclr_labelled_rows_load(nnclr_labelled_rows *labelled, nnclr_engine *engine,
                              const nnclr_row_source *source, const int64_t *label,
                              const bool *last, const nnclr_classifier *classifier,
                              nnclr_error *e) {
    int64_t first_of_last = 0;
    *labelled = (nnclr_labelled_rows){.engine = engine, .columns = source->d + 1};
    for (int64_t i = 0; i < source->n; i++) {
        labelled->n += label[i] >= 0;
        first_of_last += label[i] >= 0 && !(last && last[i]);
    }
    float *scratch = nnclr_alloc((size_t)labelled->columns, sizeof *scratch, e);
    labelled->label = nnclr_alloc((size_t)labelled->n, sizeof *labelled->label, e);
    bool ok = scratch && labelled->label;
    if (ok && (!nnclr_size_mul((size_t)labelled->n, (size_t)labelled->columns, &labelled->bytes) ||
               !nnclr_size_mul(labelled->bytes, nnclr_real_bytes(engine), &labelled->bytes)))
        ok = nnclr_fail(e, NNCLR_ERROR_LIMIT, "%lld rows of %d numbers are too many",
                        (long long)labelled->n, source->d);
    ok = ok && (labelled->rows = engine->table->arena_create(engine, labelled->bytes, e)) &&
         fill(labelled, source, label, last, first_of_last, classifier, scratch, e);
    nnclr_free(scratch);
    if (!ok)
        nnclr_labelled_rows_free(labelled);
    return ok;
}

void nnclr_labelled_rows_free(nnclr_labelled_rows *labelled) {
    if (labelled->rows)
        labelled->engine->table->arena_free(labelled->engine, labelled->rows, labelled->bytes);
    nnclr_free(labelled->label);
    *labelled = (nnclr_labelled_rows){0};
}
