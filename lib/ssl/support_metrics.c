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
    int pairs = 0;
    for (int i = 0; i < count / 2; i++)
        pairs += nnclr_same_record(s, pick[i], pick[count / 2 + i]);
    *out = (nnclr_pick_metrics){
        .agree = mean(pairs, count / 2),
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

bool nnclr_measure_rank(const nnclr_support_set *s, int most, double *rank, double *spread,
                        nnclr_buffer *scratch, nnclr_error *e) {
    const int count = s->m < most ? s->m : most;
    const size_t reals = (size_t)count * (size_t)s->d;
    double *rows = carve(scratch, (reals + nnclr_rank_scratch(count, s->d)) * sizeof *rows, e);
    if (!rows)
        return false;
    get_newest(s, count, rows);
    return nnclr_rows_rank(rows, count, s->d, rows + reals, rank, spread, e);
}
