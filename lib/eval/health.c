#include "eval/health.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "eval/neighbours.h"
#include "ssl/eigenvalues.h"

enum {
    SAMPLE_ROWS = 4096,
    WIDE_SAMPLE_ROWS = 2048, /* if rows are so long that eigenvalues take minutes */
    BLOCK_ROWS = 256,
    HEALTH_DRAW = 1 /* an epoch of NNCLR_DRAW_SAMPLE that queries do not use */
};

/* A row that shows a picture, and its record or label. */
typedef struct keyed_row {
    int64_t key, row;
} keyed_row;

static int by_key(const void *a, const void *b) {
    const keyed_row *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* list [n]: rows that show a picture and have a key >= 0. */
static int64_t list_rows(const nnclr_row_set *set, const int64_t *key, keyed_row *list) {
    int64_t count = 0;
    for (int64_t i = 0; i < set->rows.n; i++)
        if (set->record[i] >= 0 && key[i] >= 0)
            list[count++] = (keyed_row){key[i], i};
    return count;
}

static bool read_unit(const nnclr_row_set *set, int64_t row, float *raw, float *unit,
                      nnclr_error *e) {
    double norm;
    if (!set->rows.read(&set->rows, row, 1, raw, e))
        return false;
    if (nnclr_unit_rows(raw, 1, set->rows.d, &norm, unit) < 0)
        return true;
    return nnclr_refuse_row("", row, e);
}

static bool tell_rows(const nnclr_progress *progress, int64_t done, int64_t count, nnclr_error *e) {
    enum { EVERY = 256 };
    return done % EVERY != 0 ||
           nnclr_progress_tell(progress, "rows measured", done, count, NULL, e);
}

static int by_row(const void *a, const void *b) {
    int64_t x = ((const keyed_row *)a)->row, y = ((const keyed_row *)b)->row;
    return (x > y) - (x < y);
}

/* Replaces each key that several rows have with a number, from 0, and each key of a single row with
 * -1; the list is then in the order of the rows. Returns how many such keys there are, and in
 * *pairs the number of ordered pairs of rows within them. */
static size_t number_keys(keyed_row *list, int64_t count, double *pairs) {
    size_t keys = 0;
    *pairs = 0;
    qsort(list, (size_t)count, sizeof *list, by_key);
    for (int64_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && list[end].key == list[i].key;)
            end++;
        const bool several = end - i > 1;
        for (int64_t j = i; j < end; j++)
            list[j].key = several ? (int64_t)keys : -1;
        keys += several;
        *pairs += (double)(end - i) * (double)(end - i - 1);
    }
    qsort(list, (size_t)count, sizeof *list, by_row);
    return keys;
}

/* Mean of |x - y|^2 over ordered pairs of different rows with equal keys, from sums: over the n
 * unit rows of one key, whose sum is S, it adds up to 2 (n sum |x|^2 - |S|^2). */
static bool align(const nnclr_row_set *set, const int64_t *key, keyed_row *list, double *out,
                  float *rows, const nnclr_progress *progress, nnclr_error *e) {
    const int d = set->rows.d;
    float *unit = rows + d;
    double pairs, total = 0;
    const int64_t count = list_rows(set, key, list);
    const size_t keys = number_keys(list, count, &pairs);
    size_t bytes;
    *out = NAN;
    if (keys == 0)
        return true;
    /* For each key: its sum, its sum of squares, and its number of rows. */
    if (!nnclr_size_mul((size_t)d + 2, sizeof(double), &bytes))
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "rows of %d numbers are too long", d);
    double *sums = nnclr_alloc_zero(keys, bytes, e);
    bool ok = sums != NULL;
    for (int64_t i = 0; ok && i < count; i++) {
        double *sum = sums + (list[i].key < 0 ? 0 : (size_t)list[i].key * ((size_t)d + 2));
        if (list[i].key < 0)
            continue;
        ok = tell_rows(progress, i, count, e) && read_unit(set, list[i].row, rows, unit, e);
        for (int c = 0; ok && c < d; c++)
            sum[c] += (double)unit[c];
        sum[d] += ok ? nnclr_row_dot(unit, unit, d) : 0;
        sum[d + 1] += 1;
    }
    for (size_t i = 0; ok && i < keys; i++) {
        const double *sum = sums + i * ((size_t)d + 2);
        total += 2 * sum[d + 1] * sum[d];
        for (int c = 0; c < d; c++)
            total -= 2 * sum[c] * sum[c];
    }
    nnclr_free(sums);
    *out = fmax(total, 0) / pairs;
    return ok;
}

/* Deviation of each dimension over the rows of the list, in two passes. */
static bool deviate(const nnclr_row_set *set, const keyed_row *list, int64_t count,
                    nnclr_health *out, float *rows, double *mean, const nnclr_progress *progress,
                    nnclr_error *e) {
    const int d = set->rows.d;
    float *unit = rows + d;
    memset(mean, 0, (size_t)d * sizeof *mean);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < count; i++) {
            if (!tell_rows(progress, pass * count + i, 2 * count, e) ||
                !read_unit(set, list[i].row, rows, unit, e))
                return false;
            for (int c = 0; c < d; c++) {
                double off = (double)unit[c] - mean[c];
                if (pass == 0)
                    mean[c] += off / (double)(i + 1);
                else
                    out->std[c] += off * off / (double)count;
            }
        }
    double sum = 0;
    out->std_least = INFINITY;
    for (int c = 0; c < d; c++) {
        out->std[c] = sqrt(out->std[c]);
        sum += out->std[c];
        out->std_least = fmin(out->std_least, out->std[c]);
        out->std_most = fmax(out->std_most, out->std[c]);
    }
    out->std_mean = sum / d;
    out->std_even = 1 / sqrt(d);
    return true;
}

static void count_ages(const nnclr_row_set *set, nnclr_health *out) {
    int64_t oldest = -1;
    for (int64_t i = 0; i < set->rows.n; i++) {
        int64_t age = nnclr_row_set_age(set, i);
        oldest = nnclr_max(age, oldest);
    }
    if (oldest < 0)
        return;
    out->bin_width = oldest / NNCLR_AGE_BINS + 1;
    out->bins = (int)(oldest / out->bin_width) + 1;
    for (int64_t i = 0; i < set->rows.n; i++) {
        int64_t age = nnclr_row_set_age(set, i);
        if (age >= 0)
            out->bin[age / out->bin_width]++;
    }
}

/* ---- what needs products of rows: of a sample ---- */

typedef struct sample {
    nnclr_engine *engine;
    int n, d;
    double *rows;    /* unit rows [n][d] */
    double *product; /* [max(BLOCK_ROWS, side)][max(n, side)] on the host */
    void *arena;     /* rows, then products */
    size_t arena_bytes;
    void *products;
} sample;

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool draw(sample *s, const nnclr_row_set *set, const keyed_row *list, int64_t count,
                 uint64_t seed, float *scratch, nnclr_error *e) {
    bool ok = count <= UINT32_MAX;
    uint32_t *order = nnclr_alloc((size_t)count, sizeof *order, e);
    if (!order)
        return false;
    if (!ok)
        nnclr_fail(e, NNCLR_ERROR_LIMIT, "too many rows to draw a sample from");
    else
        nnclr_permutation(seed, NNCLR_DRAW_SAMPLE, HEALTH_DRAW, (uint32_t)count, order);
    qsort(order, ok ? (size_t)s->n : 0, sizeof *order, ascending);
    for (int i = 0; ok && i < s->n; i++) {
        float *unit = scratch + s->d;
        ok = read_unit(set, list[order[i]].row, scratch, unit, e);
        for (int c = 0; ok && c < s->d; c++)
            s->rows[(size_t)i * (size_t)s->d + (size_t)c] = (double)unit[c];
    }
    nnclr_free(order);
    return ok;
}

static bool sample_create(sample *s, nnclr_error *e) {
    const size_t reals = (size_t)s->n * (size_t)s->d;
    const int side = nnclr_min(s->n, s->d);
    const size_t products = (size_t)nnclr_max(BLOCK_ROWS, side) * (size_t)nnclr_max(s->n, side);
    s->arena_bytes = (reals + products) * sizeof(double);
    s->rows = nnclr_alloc(reals, sizeof *s->rows, e);
    s->product = nnclr_alloc(products, sizeof *s->product, e);
    if (!s->rows || !s->product)
        return false;
    s->arena = s->engine->table->arena_create(s->engine, s->arena_bytes, e);
    if (!s->arena)
        return false;
    s->products = nnclr_real_at(s->engine, s->arena, reals);
    return true;
}

static void sample_free(sample *s) {
    if (s->arena)
        s->engine->table->arena_free(s->engine, s->arena, s->arena_bytes);
    nnclr_free(s->product);
    nnclr_free(s->rows);
}

/* rows [first, first + count) times all rows, or the square of the matrix one way or the other. */
static bool multiply(sample *s, bool covariance, int first, int count, nnclr_error *e) {
    const nnclr_engine_table *table = s->engine->table;
    const int m = covariance ? s->d : count, n = covariance ? s->d : s->n;
    const void *from = nnclr_real_at(s->engine, s->arena, (size_t)first * (size_t)s->d);
    table->gemm(s->engine, covariance, !covariance, m, n, covariance ? s->n : s->d, 1, from,
                s->arena, 0, s->products);
    table->get(s->engine, s->products, (size_t)m * (size_t)n, NNCLR_F64, s->product);
    return table->sync(s->engine, e);
}

static void put_rows(sample *s) {
    s->engine->table->put(s->engine, s->arena, (size_t)s->n * (size_t)s->d, NNCLR_F64, s->rows);
}

/* log of the mean of exp(-2 |x - y|^2) over pairs. */
static bool measure_uniformity(sample *s, double *out, nnclr_error *e) {
    double sum = 0;
    put_rows(s);
    for (int first = 0; first < s->n; first += BLOCK_ROWS) {
        int count = nnclr_min(s->n - first, BLOCK_ROWS);
        if (!multiply(s, false, first, count, e))
            return false;
        for (int i = 0; i < count; i++)
            for (int j = 0; j < first + i; j++)
                sum += exp(-4 + 4 * s->product[(size_t)i * (size_t)s->n + (size_t)j]);
    }
    double pairs = (double)s->n * (s->n - 1) / 2;
    *out = pairs > 0 ? log(sum / pairs) : NAN;
    return true;
}

static bool measure_rank(sample *s, double *out, nnclr_error *e) {
    static const double nothing = 1e-10; /* mean squared deviation: rounding alone */
    const int side = nnclr_min(s->n, s->d);
    double trace = 0;
    for (int c = 0; c < s->d; c++) {
        double mean = 0;
        for (int i = 0; i < s->n; i++)
            mean += s->rows[(size_t)i * (size_t)s->d + (size_t)c] / s->n;
        for (int i = 0; i < s->n; i++)
            s->rows[(size_t)i * (size_t)s->d + (size_t)c] -= mean;
    }
    put_rows(s);
    if (!multiply(s, s->d <= s->n, 0, s->n, e))
        return false;
    for (int i = 0; i < side; i++)
        trace += s->product[(size_t)i * (size_t)side + (size_t)i];
    if (trace <= nothing * s->n)
        return true;
    double *values = nnclr_alloc((1 + NNCLR_EIGENVALUE_SCRATCH) * (size_t)side, sizeof *values, e);
    bool ok = values && nnclr_symmetric_eigenvalues(s->product, side, values, values + side, e);
    if (ok)
        *out = nnclr_effective_rank(values, side);
    nnclr_free(values);
    return ok;
}

static bool measure_sample(nnclr_engine *engine, const nnclr_row_set *set, const keyed_row *list,
                           int64_t count, uint64_t seed, float *scratch, nnclr_health *out,
                           nnclr_error *e) {
    const int d = set->rows.d, most = d > WIDE_SAMPLE_ROWS ? WIDE_SAMPLE_ROWS : SAMPLE_ROWS;
    sample s = {.engine = engine, .n = count < most ? (int)count : most, .d = d};
    bool ok = s.n < 2 || (sample_create(&s, e) && draw(&s, set, list, count, seed, scratch, e) &&
                          measure_uniformity(&s, &out->uniformity, e) &&
                          measure_rank(&s, &out->effective_rank, e));
    sample_free(&s);
    return ok;
}

bool nnclr_measure_health(nnclr_engine *oracle, const nnclr_row_set *set, uint64_t seed,
                          const nnclr_progress *progress, nnclr_health *out, nnclr_error *e) {
    const size_t n = (size_t)set->rows.n, d = (size_t)set->rows.d;
    nnclr_row_summary summary;
    *out = (nnclr_health){.rows = set->rows.n, .d = set->rows.d};
    out->effective_rank = out->uniformity = out->alignment = out->class_alignment = NAN;
    out->std_mean = out->std_least = out->std_most = out->std_even = NAN;
    bool ok = false;
    keyed_row *list = nnclr_alloc(n, sizeof *list, e);
    float *rows = nnclr_alloc(d, 2 * sizeof *rows, e);
    double *sum = nnclr_alloc(d, sizeof *sum, e);
    out->std = nnclr_alloc_zero(d, sizeof *out->std, e);
    if (!list || !rows || !sum || !out->std || !nnclr_row_set_summary(set, &summary, e))
        goto done;
    out->records = summary.distinct;
    out->initial = (double)summary.initial / (double)set->rows.n;
    count_ages(set, out);
    if (!align(set, set->label, list, &out->class_alignment, rows, progress, e) ||
        !align(set, set->record, list, &out->alignment, rows, progress, e))
        goto done;
    const int64_t count = list_rows(set, set->record, list);
    out->std_most = 0;
    if (count > 0 && !deviate(set, list, count, out, rows, sum, progress, e))
        goto done;
    ok = measure_sample(oracle, set, list, count, seed, rows, out, e);
done:
    nnclr_free(sum);
    nnclr_free(rows);
    nnclr_free(list);
    if (!ok)
        nnclr_health_free(out);
    return ok;
}

void nnclr_health_free(nnclr_health *health) {
    nnclr_free(health->std);
    *health = (nnclr_health){0};
}
