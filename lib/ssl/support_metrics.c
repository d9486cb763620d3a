#include "ssl/support_metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/sorted.h"
#include "ssl/eigenvalues.h"

static double mean(double sum, int count) {
    return count ? sum / count : NAN;
}

/* `bytes` of scratch, which keeps its memory between calls. */
static void *carve(nnclr_buffer *scratch, size_t bytes, nnclr_error *e) {
    scratch->size = 0;
    return nnclr_buffer_reserve(scratch, bytes, e) ? scratch->data : NULL;
}

bool nnclr_measure_picks(const nnclr_support_set *s, int count, const int32_t *pick,
                         const double *cosine, const int64_t *record, const int64_t *label,
                         int64_t now, nnclr_pick_metrics *out, nnclr_buffer *scratch,
                         nnclr_error *e) {
    unsigned char *seen = carve(scratch, (size_t)s->m, e);
    if (!seen)
        return false;
    memset(seen, 0, (size_t)s->m);
    int picks = 0, initial = 0, self = 0, distinct = 0, labelled = 0, agree = 0;
    double cosines = 0, ages = 0;
    for (int i = 0; i < count; i++) {
        int32_t row = pick[i];
        if (row < 0)
            continue;
        picks++;
        cosines += cosine[i];
        distinct += !seen[row];
        seen[row] = 1;
        labelled += label[i] >= 0;
        if (s->record[row] < 0) {
            initial++;
            continue;
        }
        self += s->record[row] == record[i];
        ages += (double)(now - s->step[row]);
        agree += label[i] >= 0 && s->label[row] == label[i];
    }
    *out = (nnclr_pick_metrics){
        .sim = mean(cosines, picks),
        .initial = mean(initial, picks),
        .self = mean(self, picks),
        .age = mean(ages, picks - initial),
        .distinct = mean(distinct, picks),
        .acc = mean(agree, labelled),
    };
    return true;
}

static void sort_into(int64_t *copy, const int64_t *values, int count) {
    memcpy(copy, values, (size_t)count * sizeof *copy);
    nnclr_sort(copy, (size_t)count);
}

bool nnclr_measure_presence(const nnclr_support_set *s, int count, const int64_t *record,
                            const int64_t *label, double *present, double *chance,
                            nnclr_buffer *scratch, nnclr_error *e) {
    int64_t *records = carve(scratch, 2 * (size_t)s->m * sizeof *records, e);
    if (!records)
        return false;
    int64_t *labels = records + s->m;
    sort_into(records, s->record, s->m);
    sort_into(labels, s->label, s->m);

    int found = 0, labelled = 0;
    double shares = 0;
    for (int i = 0; i < count; i++) {
        size_t at = nnclr_lower_bound(records, (size_t)s->m, record[i]);
        found += at < (size_t)s->m && records[at] == record[i];
        if (label[i] < 0)
            continue;
        labelled++;
        shares += (double)(nnclr_lower_bound(labels, (size_t)s->m, label[i] + 1) -
                           nnclr_lower_bound(labels, (size_t)s->m, label[i])) /
                  s->m;
    }
    *present = mean(found, count);
    *chance = mean(shares, labelled);
    return true;
}

/* The `count` newest rows, [count][d]: they end before the cursor and may wrap. */
static void get_newest(const nnclr_support_set *s, int count, double *rows) {
    const nnclr_engine_table *table = s->engine->table;
    const void *embeddings = table->search_rows(s->engine, s->search);
    size_t d = (size_t)s->d;
    int first = (s->cursor - count + s->m) % s->m;
    int before_wrap = s->m - first < count ? s->m - first : count;
    table->get(s->engine, nnclr_real_at(s->engine, embeddings, (size_t)first * d),
               (size_t)before_wrap * d, NNCLR_F64, rows);
    if (before_wrap < count)
        table->get(s->engine, embeddings, (size_t)(count - before_wrap) * d, NNCLR_F64,
                   rows + (size_t)before_wrap * d);
}

static void remove_mean(double *rows, int count, int d, double *column_mean) {
    memset(column_mean, 0, (size_t)d * sizeof *column_mean);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < d; j++)
            column_mean[j] += rows[(size_t)i * (size_t)d + (size_t)j] / count;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < d; j++)
            rows[(size_t)i * (size_t)d + (size_t)j] -= column_mean[j];
}

/* The lower triangle of rows^T rows [d][d]. */
static void outer_products(const double *rows, int count, int d, double *out) {
    memset(out, 0, (size_t)d * (size_t)d * sizeof *out);
    for (int i = 0; i < count; i++) {
        const double *row = rows + (size_t)i * (size_t)d;
        for (int j = 0; j < d; j++)
            for (int k = 0; k <= j; k++)
                out[(size_t)j * (size_t)d + (size_t)k] += row[j] * row[k];
    }
}

/* The lower triangle of rows rows^T [count][count], which has the same eigenvalues except for
 * zeros. */
static void inner_products(const double *rows, int count, int d, double *out) {
    for (int i = 0; i < count; i++)
        for (int j = 0; j <= i; j++) {
            const double *a = rows + (size_t)i * (size_t)d, *b = rows + (size_t)j * (size_t)d;
            double sum = 0;
            for (int k = 0; k < d; k++)
                sum += a[k] * b[k];
            out[(size_t)i * (size_t)count + (size_t)j] = sum;
        }
}

bool nnclr_measure_rank(const nnclr_support_set *s, int most, double *rank, double *spread,
                        nnclr_buffer *scratch, nnclr_error *e) {
    /* Unit rows that differ only by rounding have no directions to count. */
    static const double nothing = 1e-10;
    int count = s->m < most ? s->m : most, d = s->d, side = count < d ? count : d;
    size_t row_reals = (size_t)count * (size_t)d, matrix_reals = (size_t)side * (size_t)side;
    double *rows = carve(
        scratch,
        (row_reals + matrix_reals + (1 + NNCLR_EIGENVALUE_SCRATCH) * (size_t)d) * sizeof *rows, e);
    if (!rows)
        return false;
    double *matrix = rows + row_reals, *values = matrix + matrix_reals;

    get_newest(s, count, rows);
    remove_mean(rows, count, d, values);
    if (count < d)
        inner_products(rows, count, d, matrix);
    else
        outer_products(rows, count, d, matrix);
    double trace = 0;
    for (int i = 0; i < side; i++)
        trace += matrix[(size_t)i * (size_t)side + (size_t)i];
    *spread = trace / count;
    *rank = NAN;
    if (trace <= nothing * count)
        return true;
    if (!nnclr_symmetric_eigenvalues(matrix, side, values, values + d, e))
        return false;
    *rank = nnclr_effective_rank(values, side);
    return true;
}
