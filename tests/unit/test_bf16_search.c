/* The support set's search with a sieve of bfloat16 compared with that of the cpu engine at f32:
 * the same picks and the same bits of scores, whatever the rows. */
#include "tests/unit/bf16_kinds.h"

typedef enum layout {
    RANDOM,
    NEAR_COPIES, /* a few rows differ from a query in the last bits of bfloat16 and below */
    CLUSTERS,
    ALIKE, /* all rows within 1e-3 */
    EQUAL,
    FRESH, /* zeros */
    LAYOUTS
} layout;

static const char *const layout_names[LAYOUTS] = {"random", "near copies", "clusters",
                                                  "alike",  "equal",       "fresh"};

typedef struct problem {
    int m, d, n, k;
    double *rows, *queries;
    int64_t *records, *exclude; /* exclude NULL: none */
} problem;

static void make_unit(double *row, int d) {
    double length = sqrt(dot_product(row, row, (size_t)d));
    for (int i = 0; i < d; i++)
        row[i] = (double)(float)(row[i] / length);
}

static void add_noise(double *row, const double *to, int d, double scale, uint64_t *seed) {
    for (int i = 0; i < d; i++)
        row[i] = to[i] + scale * (random_value(seed) + random_value(seed) / 300);
    make_unit(row, d);
}

static void make_row(layout l, const problem *p, int i, uint64_t *seed) {
    const size_t d = (size_t)p->d;
    double *row = p->rows + (size_t)i * d;
    const double zero[1024] = {0};
    if (l == FRESH)
        return;
    if (l == EQUAL)
        memcpy(row, p->queries, d * sizeof *row);
    else if (l == ALIKE)
        add_noise(row, p->queries, p->d, 1e-3 / sqrt(p->d), seed);
    else if (l == CLUSTERS || (l == NEAR_COPIES && random_int(seed, 0, 19) == 0))
        add_noise(row, p->queries + (size_t)random_int(seed, 0, p->n - 1) * d, p->d,
                  (l == CLUSTERS ? 0.5 : 3e-3) / sqrt(p->d), seed);
    else
        add_noise(row, zero, p->d, 1, seed);
}

static problem make_problem(layout l, int m, int d, int n, int k, bool exclude, uint64_t seed) {
    problem p = {.m = m, .d = d, .n = n, .k = k};
    const double zero[1024] = {0};
    CHECK(d <= 1024);
    p.rows = zero_reals((size_t)(m * d));
    p.queries = zero_reals((size_t)(n * d));
    p.records = malloc((size_t)m * sizeof *p.records);
    p.exclude = exclude ? malloc((size_t)n * sizeof *p.exclude) : NULL;
    for (int i = 0; i < n; i++)
        add_noise(p.queries + i * d, zero, d, 1, &seed);
    for (int i = 0; i < m; i++) {
        make_row(l, &p, i, &seed);
        p.records[i] = random_int(&seed, -1, m / 4);
    }
    for (int i = 0; exclude && i < n; i++)
        p.exclude[i] = random_int(&seed, -1, m / 4);
    return p;
}

static void free_problem(problem *p) {
    free(p->rows), free(p->queries), free(p->records), free(p->exclude);
}

/* Twice, the second time after some of the rows have changed places, and some of those again. */
static void compute(fixture *f, const problem *p, int32_t *picks, double *scores) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_engine *g = &f->g;
    const nnclr_exclusion own = {p->exclude, p->records};
    const size_t lists = (size_t)(p->n * p->k);
    nnclr_search *s = f->t->search_create(g, p->m, p->d, &e);
    CHECK_SAYS(s, "%s", e.message);
    void *rows = fixture_reals(f, p->rows, (size_t)(p->m * p->d));
    void *queries = fixture_reals(f, p->queries, (size_t)(p->n * p->d));
    void *found = fixture_alloc(f, lists * sizeof(int32_t));
    void *similar = fixture_reals(f, NULL, lists);
    f->t->search_update(g, s, 0, p->m, rows);
    for (int turn = 0; turn < 2; turn++) {
        f->t->search_nearest(g, s, queries, p->n, p->k, p->exclude ? &own : NULL, found, similar);
        f->t->get_picks(g, found, lists, picks + (size_t)turn * lists);
        f->t->get(g, similar, lists, NNCLR_F64, scores + (size_t)turn * lists);
        const int count = p->m / 3, first = p->m - count - (p->m > 9 ? 3 : 0);
        f->t->search_update(g, s, first, count, rows);
    }
    f->t->search_free(g, s);
}

static void check_problem(const char *name, const problem *p) {
    const size_t lists = 2 * (size_t)(p->n * p->k);
    int32_t *want = malloc(lists * sizeof *want), *got = malloc(lists * sizeof *got);
    double *want_scores = zero_reals(lists), *got_scores = zero_reals(lists);
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F32, 2);
    compute(&f, p, want, want_scores);
    fixture_close(&f);
    for (int i = 0; i < KINDS * 2; i++) {
        bf16_kind kind;
        if (!kind_at(i / 2, &kind) || (kind.emulated && (int64_t)p->m * p->n * p->d > 2000000))
            continue;
        open_kind(&f, &kind, i % 2 ? 3 : 1);
        if (kind.emulated)
            ((tiled_state *)f.g.state)->search = &nnclr_tiles_bf16_amx;
        compute(&f, p, got, got_scores);
        for (size_t k = 0; k < lists; k++)
            CHECK_SAYS(got[k] == want[k] && (got_scores[k] == want_scores[k] ||
                                             (isnan(got_scores[k]) && isnan(want_scores[k]))),
                       "%s, %s, %d threads, %d rows of %d, %d queries, k %d: [%zu] row %d of %.9g, "
                       "not %d of %.9g",
                       name, kind.name, i % 2 ? 3 : 1, p->m, p->d, p->n, p->k, k, got[k],
                       got_scores[k], want[k], want_scores[k]);
        fixture_close(&f);
    }
    free(want), free(got), free(want_scores), free(got_scores);
}

static void picks_are_those_of_float(void) {
    const int sizes[][4] = {{1, 1, 1, 1},     {40, 33, 5, 1},      {700, 64, 70, 1},
                            {3000, 40, 9, 5}, {5000, 128, 300, 1}, {1500, 100, 33, 64},
                            {33, 257, 31, 3}, {9000, 256, 40, 2}};
    uint64_t seed = 1;
    for (int l = 0; l < LAYOUTS; l++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            const int *s = sizes[i];
            problem p =
                make_problem((layout)l, s[0], s[1], s[2], s[3], (i + (size_t)l) % 3 == 0, seed++);
            check_problem(layout_names[l], &p);
            free_problem(&p);
        }
}

enum { HOSTILE_D = 256, HOSTILE_ROWS = 100 };

/* Numbers between two neighbours of bfloat16: nearly all of the step is lost of each, or half of
 * them gain as much. */
static const double neighbour = 247.0 / 4096, step = 1.0 / 4096;

static void lose(double *numbers, int count) {
    for (int i = 0; i < count; i++)
        numbers[i] = neighbour + 0.49 * step;
}

static void gain(double *numbers, int count) {
    for (int i = 0; i < count; i++)
        numbers[i] = neighbour + (i % 2 ? 0.51 : 0.45) * step;
}

/* The best row's product falls below that of the second best, which comes first, by nearly as much
 * as the rounding of the rows, or of the query, can do. */
static void rounding_at_its_worst_hides_no_row(void) {
    const int d = HOSTILE_D, half = HOSTILE_D / 2, second = 3, best = 70;
    for (int rows_round = 0; rows_round < 2; rows_round++) {
        problem p = make_problem(FRESH, HOSTILE_ROWS, d, 1, 1, false, 3);
        double *a = p.rows + second * d, *b = p.rows + best * d;
        for (int i = 0; i < d; i++)
            p.queries[i] = 1.0 / 16;
        if (rows_round) {
            gain(a, d);
            lose(b, d);
        } else {
            gain(p.queries, half);
            lose(p.queries + half, half);
            for (int i = 0; i < half; i++)
                a[i] = b[half + i] = 45.0 / 512; /* nearly 1 in length */
        }
        for (int i = 0; i < HOSTILE_ROWS; i++) /* all others point away */
            for (int k = 0; i != second && i != best && k < d; k++)
                p.rows[i * d + k] = -1.0 / 16;
        CHECK(dot_product(p.queries, b, (size_t)d) > dot_product(p.queries, a, (size_t)d));
        check_problem(rows_round ? "rows rounded" : "query rounded", &p);
        free_problem(&p);
    }
}

/* Only in queries, only in rows, in both. */
static void what_is_not_finite_hides_nothing(void) {
    const double bad[] = {NAN, INFINITY, -INFINITY, 3.4e38, -3.4e38, 1e30};
    for (int k = 0; k < 6; k++) {
        problem p = make_problem(NEAR_COPIES, 600, 48, 40, 1 + k % 3 * 2, k % 2, (uint64_t)k);
        for (int i = 0; k > 2 && i < 600; i += 37)
            p.rows[i * 48 + i % 48] = bad[(i + k) % 6];
        for (int i = 0; k != 4 && i < 4; i++)
            p.queries[(i * 9 + 1) * 48 + i] = bad[(i + k) % 6];
        check_problem("not finite", &p);
        free_problem(&p);
    }
}

/* So many that blocks of queries are shared out, not rows. */
static void many_queries_are_found_alike(void) {
    problem p = make_problem(NEAR_COPIES, 900, 32, 3500, 1, false, 5);
    check_problem("many queries", &p);
    free_problem(&p);
}

int main(void) {
    RUN(every_kind_runs_here);
    RUN(picks_are_those_of_float);
    RUN(rounding_at_its_worst_hides_no_row);
    RUN(what_is_not_finite_hides_nothing);
    RUN(many_queries_are_found_alike);
    return check_done();
}
