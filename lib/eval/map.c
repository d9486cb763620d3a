#include "eval/map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/sorted.h"
#include "eval/tsne.h"
#include "ssl/eigenvalues.h"

enum { SAMPLE_DRAW = 2, START_DRAW = 3 }; /* epochs of NNCLR_DRAW_SAMPLE */

/* ---- principal components, by iterating a subspace ---- */

enum { DIRECTIONS = 8, TURNS = 60, ROWS = 64, COLUMNS = 64 /* of a task */ };

typedef struct plane {
    const float *rows;
    int n, d, b;   /* b: directions, at most d */
    double *basis; /* [b][d], orthonormal */
    double *score; /* [n][b]: rows times basis */
} plane;

static void score_rows(void *context, int task, int worker) {
    const plane *p = context;
    (void)worker;
    for (int i = task * ROWS; i < nnclr_min((task + 1) * ROWS, p->n); i++)
        for (int b = 0; b < p->b; b++) {
            const float *row = p->rows + (size_t)i * (size_t)p->d;
            const double *to = p->basis + (size_t)b * (size_t)p->d;
            double sum = 0;
            for (int j = 0; j < p->d; j++)
                sum += (double)row[j] * to[j];
            p->score[(size_t)i * (size_t)p->b + (size_t)b] = sum;
        }
}

/* basis = score^T rows */
static void turn_basis(void *context, int task, int worker) {
    const plane *p = context;
    const int first = task * COLUMNS, count = nnclr_min(p->d - first, COLUMNS);
    double sums[DIRECTIONS][COLUMNS] = {{0}};
    (void)worker;
    for (int i = 0; i < p->n; i++) {
        const float *row = p->rows + (size_t)i * (size_t)p->d + first;
        for (int b = 0; b < p->b; b++) {
            const double score = p->score[(size_t)i * (size_t)p->b + (size_t)b];
            for (int j = 0; j < count; j++)
                sums[b][j] += score * (double)row[j];
        }
    }
    for (int b = 0; b < p->b; b++)
        memcpy(p->basis + (size_t)b * (size_t)p->d + first, sums[b],
               (size_t)count * sizeof(double));
}

static double dot(const double *a, const double *b, int d) {
    double sum = 0;
    for (int j = 0; j < d; j++)
        sum += a[j] * b[j];
    return sum;
}

/* Gram and Schmidt, each direction twice; one that depends on the others becomes 0. */
static void orthonormalise(const plane *p) {
    for (int b = 0; b < p->b; b++) {
        double *v = p->basis + (size_t)b * (size_t)p->d;
        const double before = sqrt(dot(v, v, p->d));
        for (int pass = 0; pass < 2; pass++)
            for (int a = 0; a < b; a++) {
                const double *u = p->basis + (size_t)a * (size_t)p->d;
                const double along = dot(u, v, p->d);
                for (int j = 0; j < p->d; j++)
                    v[j] -= along * u[j];
            }
        const double norm = sqrt(dot(v, v, p->d));
        for (int j = 0; j < p->d; j++)
            v[j] = norm > 1e-10 * before ? v[j] / norm : 0;
    }
}

/* Eigenvalues of the scores' covariance, ascending; row b of `vectors` becomes that of values[b].
 */
static bool solve(const plane *p, double *values, double *vectors, nnclr_error *e) {
    double scratch[DIRECTIONS * NNCLR_EIGENVALUE_SCRATCH];
    memset(vectors, 0, (size_t)p->b * (size_t)p->b * sizeof *vectors);
    for (int i = 0; i < p->n; i++)
        for (int a = 0; a < p->b; a++)
            for (int b = 0; b <= a; b++)
                vectors[a * p->b + b] += p->score[(size_t)i * (size_t)p->b + (size_t)a] *
                                         p->score[(size_t)i * (size_t)p->b + (size_t)b];
    return nnclr_symmetric_eigenvectors(vectors, p->b, values, scratch, e);
}

static void put_plane(const plane *p, const double *vectors, double *out) {
    for (int c = 0; c < 2; c++) {
        const double *v = vectors + nnclr_max(p->b - 1 - c, 0) * p->b;
        double most = 0;
        for (int i = 0; i < p->n; i++) {
            double *at = &out[2 * (size_t)i + (size_t)c];
            *at = c < p->b ? dot(v, p->score + (size_t)i * (size_t)p->b, p->b) : 0;
            most = fabs(*at) > fabs(most) * (1 + 1e-9) ? *at : most;
        }
        for (int i = 0; i < p->n && most < 0; i++)
            out[2 * (size_t)i + (size_t)c] *= -1;
    }
}

/* The rows lose their mean; returns the sum of their squares then. */
static double centre(float *rows, int n, int d, double *mean) {
    double squares = 0;
    memset(mean, 0, (size_t)d * sizeof *mean);
    for (size_t i = 0; i < (size_t)n; i++)
        for (size_t j = 0; j < (size_t)d; j++)
            mean[j] += (double)rows[i * (size_t)d + j];
    for (size_t i = 0; i < (size_t)n; i++)
        for (size_t j = 0; j < (size_t)d; j++) {
            float *x = &rows[i * (size_t)d + j];
            *x -= (float)(mean[j] / n);
            squares += (double)*x * (double)*x;
        }
    return squares;
}

bool nnclr_principal_plane(nnclr_pool *pool, float *rows, int n, int d, uint64_t seed, double *out,
                           double *explained, nnclr_error *e) {
    static const double settled = 1e-9, nothing = 1e-12; /* rounding alone, of n unit rows */
    plane p = {.rows = rows, .n = n, .d = d, .b = nnclr_min(d, DIRECTIONS)};
    double values[DIRECTIONS] = {0}, vectors[DIRECTIONS * DIRECTIONS], before = 0;
    p.basis = nnclr_alloc((size_t)d, (size_t)p.b * sizeof *p.basis, e);
    p.score = nnclr_alloc((size_t)n, (size_t)p.b * sizeof *p.score, e);
    bool ok = p.basis && p.score;
    const double squares = ok ? centre(rows, n, d, p.basis) : 0;
    *explained = NAN;
    for (int b = 0; ok && b < p.b; b++) {
        nnclr_rng rng = nnclr_rng_at(seed, NNCLR_DRAW_SAMPLE, START_DRAW, (uint64_t)b, 0);
        for (int j = 0; j < d; j++)
            p.basis[(size_t)b * (size_t)d + (size_t)j] = nnclr_rng_uniform(&rng, -1, 1);
    }
    for (int turn = 0; ok && turn < TURNS; turn++) {
        orthonormalise(&p);
        nnclr_pool_for(pool, nnclr_pieces(n, ROWS), score_rows, &p);
        ok = solve(&p, values, vectors, e);
        const double now = values[p.b - 1] + (p.b > 1 ? values[p.b - 2] : 0);
        if (now <= before * (1 + settled))
            break;
        before = now;
        nnclr_pool_for(pool, nnclr_pieces(d, COLUMNS), turn_basis, &p);
    }
    if (ok && squares > nothing * n) {
        put_plane(&p, vectors, out);
        *explained = before / squares;
    } else if (ok) {
        memset(out, 0, (size_t)n * 2 * sizeof *out);
    }
    nnclr_free(p.score);
    nnclr_free(p.basis);
    return ok;
}

/* ---- the map ---- */

/* Those that show a picture, or as many of them as are wanted, drawn. */
static bool choose_rows(const nnclr_row_set *set, const nnclr_map_options *o, nnclr_map *out,
                        nnclr_error *e) {
    const int64_t n = set->rows.n;
    int64_t *rows = nnclr_alloc((size_t)n, sizeof *rows, e);
    uint32_t *order = NULL;
    bool ok = rows != NULL;
    for (int64_t i = 0; ok && i < n; i++)
        if (set->record[i] >= 0)
            rows[out->shown++] = i;
    out->count = nnclr_min(out->shown, o->most);
    out->row = rows;
    if (ok && out->shown == 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT,
                          "every row is an initial random one: there is no picture to map");
    if (!ok || out->count == out->shown)
        return ok;
    if (out->shown > UINT32_MAX)
        return nnclr_fail(e, NNCLR_ERROR_LIMIT, "too many rows to draw a sample from");
    order = nnclr_alloc((size_t)out->shown, sizeof *order, e);
    out->row = nnclr_alloc((size_t)out->count, sizeof *out->row, e);
    ok = order && out->row;
    if (ok)
        nnclr_permutation(o->seed, NNCLR_DRAW_SAMPLE, SAMPLE_DRAW, (uint32_t)out->shown, order);
    for (int64_t i = 0; ok && i < out->count; i++)
        out->row[i] = rows[order[i]];
    if (ok)
        nnclr_sort(out->row, (size_t)out->count);
    nnclr_free(order);
    nnclr_free(rows);
    return ok;
}

/* Unit rows [count][d], and their records. */
static bool read_rows(const nnclr_row_set *set, const nnclr_map *map,
                      const nnclr_progress *progress, float *rows, int64_t *record,
                      nnclr_error *e) {
    enum { EVERY = 256 };
    const int d = set->rows.d;
    for (int64_t i = 0; i < map->count; i++) {
        float *row = rows + i * d;
        double norm;
        record[i] = set->record[map->row[i]];
        if ((i % EVERY == 0 &&
             !nnclr_progress_tell(progress, "rows read", i, map->count, NULL, e)) ||
            !set->rows.read(&set->rows, map->row[i], 1, row, e))
            return false;
        if (nnclr_unit_rows(row, 1, d, &norm, row) >= 0)
            return nnclr_refuse_row("", map->row[i], e);
    }
    return true;
}

/* From a tiny picture of the principal plane, in which no two rows are at the same place. */
static bool lay_out(nnclr_pool *pool, const nnclr_row_graph *graph, const nnclr_map_options *o,
                    nnclr_map *out, nnclr_error *e) {
    static const double tiny = 1e-4, apart = 1e-2;
    nnclr_affinities p = {0};
    nnclr_tsne *tsne = NULL;
    double squares = 0;
    for (int64_t i = 0; i < out->count; i++)
        squares += out->principal[2 * i] * out->principal[2 * i] / (double)out->count;
    for (int64_t i = 0; i < out->count; i++) {
        double noise[2];
        nnclr_rng rng = nnclr_rng_at(o->seed, NNCLR_DRAW_SAMPLE, START_DRAW, (uint64_t)i, 1);
        nnclr_rng_normal2(&rng, noise);
        for (int c = 0; c < 2; c++) {
            const double at = squares > 0 ? out->principal[2 * i + c] / sqrt(squares) : 0;
            out->place[2 * i + c] = tiny * (at + apart * noise[c]);
        }
    }
    const bool ok = nnclr_affinities_make(pool, graph->neighbours, out->count, graph->k,
                                          out->perplexity, &p, e) &&
                    (tsne = nnclr_tsne_create(pool, &p, e)) != NULL &&
                    nnclr_tsne_descend(tsne, out->place, o->progress, e);
    if (ok)
        out->divergence = nnclr_tsne_divergence(tsne, out->place, 0.5);
    nnclr_tsne_free(tsne);
    nnclr_affinities_free(&p);
    return ok;
}

bool nnclr_map_make(nnclr_pool *pool, const nnclr_row_set *set, const nnclr_map_options *o,
                    nnclr_map *out, nnclr_error *e) {
    nnclr_row_graph graph = {0};
    *out = (nnclr_map){0};
    float *rows = NULL;
    int64_t *record = NULL;
    bool ok = choose_rows(set, o, out, e);
    if (ok && out->count > NNCLR_TSNE_MOST)
        ok = nnclr_fail(e, NNCLR_ERROR_LIMIT, "a map of %lld rows, over the limit of %d",
                        (long long)out->count, NNCLR_TSNE_MOST);
    if (ok) {
        rows = nnclr_alloc((size_t)out->count, (size_t)set->rows.d * sizeof *rows, e);
        record = nnclr_alloc((size_t)out->count, sizeof *record, e);
        out->place = nnclr_alloc((size_t)out->count, 2 * sizeof *out->place, e);
        out->principal = nnclr_alloc((size_t)out->count, 2 * sizeof *out->principal, e);
        ok = rows && record && out->place && out->principal &&
             read_rows(set, out, o->progress, rows, record, e);
    }
    const double others = (double)out->count - 1;
    out->perplexity = fmax(1, fmin(o->perplexity, others / 3));
    const int k = (int)fmax(1, fmin(others, ceil(3 * out->perplexity)));
    const nnclr_row_set sample = {.rows = nnclr_rows_in_memory(rows, out->count, set->rows.d),
                                  .record = record};
    ok = ok && nnclr_row_graph_make(pool, NULL, &sample, &sample, k, o->progress, &graph, e) &&
         nnclr_principal_plane(pool, rows, (int)out->count, set->rows.d, o->seed, out->principal,
                               &out->explained, e) &&
         lay_out(pool, &graph, o, out, e);
    nnclr_row_graph_free(&graph);
    nnclr_free(record);
    nnclr_free(rows);
    if (!ok)
        nnclr_map_free(out);
    return ok;
}

void nnclr_map_free(nnclr_map *map) {
    nnclr_free(map->doubt);
    nnclr_free(map->principal);
    nnclr_free(map->place);
    nnclr_free(map->row);
    *map = (nnclr_map){0};
}

bool nnclr_map_judge(nnclr_map *map, const nnclr_row_set *set, const nnclr_label_report *labels,
                     nnclr_error *e) {
    map->doubt = nnclr_alloc((size_t)map->count, sizeof *map->doubt, e);
    if (!map->doubt)
        return false;
    for (int64_t i = 0; i < map->count; i++)
        map->doubt[i] = set->label[map->row[i]] < 0 ? NAN : 0;
    for (size_t i = 0; i < labels->count; i++) {
        const int64_t row = labels->doubts[i].row;
        const size_t at = nnclr_lower_bound(map->row, (size_t)map->count, row);
        if (at < (size_t)map->count && map->row[at] == row)
            map->doubt[at] = labels->doubts[i].doubt;
    }
    return true;
}

/* ---- its colours ---- */

const uint8_t nnclr_map_colors[NNCLR_MAP_COLORS + 1][3] = {
    {31, 119, 180}, {232, 113, 10},  {44, 154, 68},  {210, 63, 63},  {143, 99, 196},
    {150, 97, 79},  {216, 108, 185}, {23, 163, 181}, {166, 158, 20}, {90, 110, 230},
    {120, 190, 60}, {240, 150, 120}, {0, 110, 100},  {190, 40, 120}, {110, 160, 230},
    {200, 160, 60}, {150, 156, 164},
};

static int by_rows(const void *a, const void *b) {
    const nnclr_map_key *x = a, *y = b;
    if (x->rows != y->rows)
        return x->rows > y->rows ? -1 : 1;
    return (x->kind > y->kind) - (x->kind < y->kind);
}

bool nnclr_map_legend_make(const nnclr_map *map, const int64_t *kind, nnclr_map_legend *out,
                           nnclr_error *e) {
    const size_t n = (size_t)map->count;
    size_t count = 0;
    *out = (nnclr_map_legend){.color = nnclr_alloc(n, sizeof *out->color, e)};
    int64_t *sorted = nnclr_alloc(n, sizeof *sorted, e);
    nnclr_map_key *keys = nnclr_alloc(n, sizeof *keys, e);
    const bool ok = out->color && sorted && keys;
    for (size_t i = 0; ok && i < n; i++)
        sorted[i] = kind[map->row[i]];
    if (ok)
        nnclr_sort(sorted, n);
    for (size_t i = 0, end; ok && i < n; i = end) {
        for (end = i + 1; end < n && sorted[end] == sorted[i];)
            end++;
        if (sorted[i] >= 0)
            keys[count++] = (nnclr_map_key){sorted[i], (int64_t)(end - i)};
    }
    if (ok)
        qsort(keys, count, sizeof *keys, by_rows);
    out->others = map->count;
    for (; ok && out->count < NNCLR_MAP_COLORS && (size_t)out->count < count; out->count++) {
        out->keys[out->count] = keys[out->count];
        out->others -= keys[out->count].rows;
    }
    for (size_t i = 0; ok && i < n; i++) {
        int at = 0;
        while (at < out->count && out->keys[at].kind != kind[map->row[i]])
            at++;
        out->color[i] = at < out->count ? at : NNCLR_MAP_COLORS;
    }
    nnclr_free(keys);
    nnclr_free(sorted);
    if (!ok)
        nnclr_map_legend_free(out);
    return ok;
}

void nnclr_map_legend_free(nnclr_map_legend *legend) {
    nnclr_free(legend->color);
    *legend = (nnclr_map_legend){0};
}
