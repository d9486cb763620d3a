/* The support set's search of every engine against a plain loop; and the sieve of bfloat16 before
 * it, whose picks must be those of float. */
#include "tests/unit/engine_row_ops.h"

/* Rows are written in two parts, the later first; before the other is, there are wrong ones, which
 * a search has seen. */
static void compute_search(fixture *f, const search_problem *p, results *got) {
    nnclr_error e = NNCLR_NO_ERROR;
    const nnclr_engine_table *t = f->t;
    nnclr_engine *g = &f->g;
    const nnclr_exclusion own = {p->exclude, p->records};
    const size_t lists = (size_t)(p->n * p->k), reals = (size_t)(p->m * p->d);
    nnclr_search *s = t->search_create(g, p->m, p->d, &e);
    CHECK_SAYS(s, "%s", e.message);
    void *rows = fixture_reals(f, p->rows, reals);
    void *queries = fixture_reals(f, p->queries, (size_t)(p->n * p->d));
    void *found = fixture_alloc(f, lists * sizeof(int32_t)),
         *scores = fixture_reals(f, NULL, lists);
    const int split = p->m / 3;
    t->search_update(g, s, split, p->m - split, nnclr_real_at(g, rows, (size_t)(split * p->d)));
    t->search_update(g, s, 0, split, nnclr_real_at(g, rows, (size_t)((p->m - split) * p->d)));
    t->search_nearest(g, s, queries, p->n, p->k, NULL, found, scores);
    t->search_update(g, s, 0, split, rows);
    double *want = host_reals(f, rows, reals),
           *held_rows = host_reals(f, t->search_rows(g, s), reals);
    CHECK(memcmp(held_rows, want, reals * sizeof *want) == 0);
    free(want), free(held_rows);
    t->search_nearest(g, s, queries, p->n, p->k, p->exclude ? &own : NULL, found, scores);
    int32_t *picks = malloc(lists * sizeof *picks);
    CHECK(picks);
    t->get_picks(g, found, lists, picks);
    double *as_reals = add_part(got, "picks", zero_reals(lists), lists, false);
    for (size_t i = 0; i < lists; i++)
        as_reals[i] = picks[i];
    free(picks);
    take_reals(f, got, "scores", scores, lists);
    t->search_free(g, s);
}

/* Sizes around parts of rows and blocks of queries; more rows wanted than there are. */
static const int sizes[][4] = {
    {3000, 70, 300, 4}, {4, 3, 3, 1},    {100, 16, 20, 5},  {513, 8, 7, 64}, {2000, 17, 30, 1},
    {40, 5, 300, 3},    {5000, 4, 9, 8}, {20000, 3, 5, 33}, {1, 1, 2, 2},    {3, 4, 2500, 5}};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* Rows repeat often, and products are exact, so that ties are real ones. The second time around
 * queries exclude a record, or none. */
static search_problem make_search(int problem) {
    const int *size = sizes[problem % SIZES];
    const bool exclude = problem >= SIZES;
    search_problem p = {.m = size[0], .d = size[1], .n = size[2], .k = size[3]};
    const size_t width = (size_t)p.d;
    uint64_t seed = (uint64_t)problem;
    p.rows = whole_reals(&seed, (size_t)p.m * width);
    p.queries = whole_reals(&seed, (size_t)p.n * width);
    p.records = malloc((size_t)p.m * sizeof *p.records);
    p.exclude = exclude ? malloc((size_t)p.n * sizeof *p.exclude) : NULL;
    CHECK(p.records && (p.exclude || !exclude));
    for (int i = 0; i < p.m; i++) {
        const int copied = random_int(&seed, 0, p.m - 1);
        if (i % 3 == 0)
            memmove(p.rows + (size_t)i * width, p.rows + (size_t)copied * width,
                    width * sizeof *p.rows);
        p.records[i] = random_int(&seed, -1, p.m / 4);
    }
    for (int i = 0; exclude && i < p.n; i++)
        p.exclude[i] = random_int(&seed, -1, p.m / 4);
    return p;
}

static void run_search(fixture *f, const test_engine *row, int problem, results *r) {
    search_problem p = make_search(problem);
    r->exact = true;
    if (row)
        compute_search(f, &p, r);
    else
        define_search(&p, r);
    free_search(&p);
}

TEST(finds_what_a_loop_finds) {
    check_operation(&(operation){"search", 2 * SIZES, 1, 0, run_search, NULL});
}

/* ---- unit rows ---- */

static void make_unit(double *row, int d) {
    const double length = norm_of(row, (size_t)d);
    for (int i = 0; i < d; i++)
        row[i] = (double)(float)(row[i] / length);
}

static void add_noise(double *row, const double *to, int d, double scale, uint64_t *seed) {
    for (int i = 0; i < d; i++)
        row[i] = (to ? to[i] : 0) + scale * (random_value(seed) + random_value(seed) / 300);
    make_unit(row, d);
}

static search_problem make_units(int m, int d, int n, int k, uint64_t *seed) {
    search_problem p = {.m = m, .d = d, .n = n, .k = k};
    p.rows = zero_reals((size_t)(m * d));
    p.queries = zero_reals((size_t)(n * d));
    for (int i = 0; i < m; i++)
        add_noise(p.rows + (size_t)i * (size_t)d, NULL, d, 1, seed);
    for (int i = 0; i < n; i++)
        add_noise(p.queries + (size_t)i * (size_t)d, NULL, d, 1, seed);
    return p;
}

static double *row_at(const search_problem *p, int row) {
    return p->rows + (size_t)row * (size_t)p->d;
}

/* Whatever the products round to, the lower of equal rows comes first, wherever copies are, and all
 * of them from the first on. */
TEST(copies_tie_whatever_the_rounding) {
    enum { M = 3000, D = 71, N = 40, EACH = M / 2 / N };
    uint64_t seed = 7;
    search_problem p = make_units(M, D, N, 2, &seed), equal = make_units(1300, 96, 5, 4, &seed);
    int low[N], high[N];
    for (int i = 0; i < M * D; i++)
        p.rows[i] /= 3;
    for (int i = 0; i < N; i++) {
        low[i] = i * EACH + random_int(&seed, 0, EACH - 1);
        high[i] = M / 2 + i * EACH + random_int(&seed, 0, EACH - 1);
        memcpy(row_at(&p, low[i]), p.queries + i * D, D * sizeof(double));
        memcpy(row_at(&p, high[i]), p.queries + i * D, D * sizeof(double));
    }
    for (int i = 1; i < equal.m; i++)
        memcpy(row_at(&equal, i), equal.rows, (size_t)equal.d * sizeof(double));
    fixture f;
    FOR_EACH_ENGINE(row, f, 2) {
        results got = {0}, all = {0};
        compute_search(&f, &p, &got);
        compute_search(&f, &equal, &all);
        const double *picks = got.part[0].values, *scores = got.part[1].values;
        for (int i = 0; i < N; i++) {
            CHECK_SAYS(picks[2 * i] == low[i] && picks[2 * i + 1] == high[i],
                       "%s: rows %g, %g, not %d, %d", row->name, picks[2 * i], picks[2 * i + 1],
                       low[i], high[i]);
            CHECK(scores[2 * i] == scores[2 * i + 1]);
        }
        for (int i = 0; i < 20; i++)
            CHECK(all.part[0].values[i] == i % 4 &&
                  all.part[1].values[i] == all.part[1].values[i / 4 * 4]);
        free_results(&got);
        free_results(&all);
    }
    free_search(&p);
    free_search(&equal);
}

/* The definition finds what the reference does in its golden rows: z1 finds 0, 1, 2 and z2 0, 3, 2.
 */
TEST(golden_neighbours) {
    static double rows[12] = {1, 0, 0, 0, 1, 0, 0, 0, 1, .6, .8, 0};
    static const double want[6] = {0, 1, 2, 0, 3, 2};
    static const double cosines[6] = {.995037, .944443, .894427, .957826, .980196, .975900};
    double queries[18] = {2, .2, 0, .3, 3, 1, 0, 1, 2, 1, .3, 0, 1, 1, .2, .1, .2, 1};
    for (int i = 0; i < 6; i++)
        make_unit(queries + 3 * i, 3);
    const search_problem p = {4, 3, 6, 1, rows, queries, NULL, NULL};
    results found = {0};
    define_search(&p, &found);
    check_close("picks", found.part[0].values, want, 6, 0);
    check_close("scores", found.part[1].values, cosines, 6, 5e-7);
    free_results(&found);
}

/* Numbers below 0 exclude nothing, and the numbers count that the caller has when it searches. */
TEST(only_equal_numbers_exclude) {
    static const int64_t numbers[2][10] = {{-1, -1, -1, -1, 5}, {-1, -1, -1, -1, 0}};
    static const int64_t exclude[3] = {-1, 5, 0};
    static const double one[20] = {[8] = 1}, three[6] = {1, 0, 1, 0, 1, 0};
    fixture f;
    FOR_EACH_ENGINE(row, f, 1) {
        nnclr_error e = NNCLR_NO_ERROR;
        nnclr_search *s = f.t->search_create(&f.g, 10, 2, &e);
        CHECK_SAYS(s, "%s", e.message);
        f.t->search_update(&f.g, s, 0, 10, fixture_reals(&f, one, 20));
        void *queries = fixture_reals(&f, three, 6), *scores = fixture_reals(&f, NULL, 3);
        void *picks = fixture_alloc(&f, 3 * sizeof(int32_t));
        for (int i = 0; i < 2; i++) {
            const nnclr_exclusion own = {exclude, numbers[i]};
            int32_t host[3];
            f.t->search_nearest(&f.g, s, queries, 3, 1, &own, picks, scores);
            f.t->get_picks(&f.g, picks, 3, host);
            CHECK(host[0] == 4 && host[1] == (i ? 4 : 0) && host[2] == (i ? 0 : 4));
        }
        f.t->search_free(&f.g, s);
        CHECK(!f.t->search_create(&f.g, 0, 8, &e) && e.code == NNCLR_ERROR_USAGE);
        CHECK(!f.t->search_create(&f.g, 8, 0, &e));
    }
}

/* ---- the sieve of bfloat16 ---- */

/* Searches with it, whether it is worth it on this CPU or not. */
static bool compute_with_sieve(const test_engine *row, int threads, const search_problem *p,
                               results *got) {
    fixture f;
    if (!open_engine(&f, row, threads))
        return false;
    ((tiled_state *)f.g.state)->search = row->kernels;
    compute_search(&f, p, got);
    fixture_close(&f);
    return true;
}

/* The same picks and the same bits of scores as without it. */
static void check_sieve(const char *name, const search_problem *p) {
    const double work = (double)p->m * p->n * p->d;
    results want = {0};
    fixture f;
    CHECK(open_engine(&f, &engines[1], 2)); /* floats */
    compute_search(&f, p, &want);
    fixture_close(&f);
    for (const test_engine *row = engines; row < engines + ENGINES; row++)
        for (int threads = 1; threads < 4; threads += 2) {
            results got = {0};
            if (!has_short_tiles(row) || (is_emulated(row) && work > row->most) ||
                !compute_with_sieve(row, threads, p, &got))
                continue;
            for (size_t i = 0; i < want.part[0].count; i++) {
                const double a = got.part[1].values[i], b = want.part[1].values[i];
                CHECK_SAYS(got.part[0].values[i] == want.part[0].values[i] &&
                               (a == b || (isnan(a) && isnan(b))),
                           "%s, %s, %d threads, %d rows of %d, %d queries, k %d: [%zu] row %g of "
                           "%.9g, not %g of %.9g",
                           name, row->name, threads, p->m, p->d, p->n, p->k, i,
                           got.part[0].values[i], a, want.part[0].values[i], b);
            }
            free_results(&got);
        }
    free_results(&want);
}

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

static search_problem make_layout(layout l, const int size[4], bool exclude, uint64_t seed) {
    search_problem p = make_units(size[0], size[1], size[2], size[3], &seed);
    p.records = malloc((size_t)p.m * sizeof *p.records);
    p.exclude = exclude ? malloc((size_t)p.n * sizeof *p.exclude) : NULL;
    CHECK(p.records && (p.exclude || !exclude));
    for (int i = 0; i < p.m; i++) {
        const double *query = p.queries + random_int(&seed, 0, p.n - 1) * p.d;
        p.records[i] = random_int(&seed, -1, p.m / 4);
        if (l == FRESH)
            memset(row_at(&p, i), 0, (size_t)p.d * sizeof(double));
        else if (l == EQUAL)
            memcpy(row_at(&p, i), p.queries, (size_t)p.d * sizeof(double));
        else if (l == ALIKE)
            add_noise(row_at(&p, i), p.queries, p.d, 1e-3 / sqrt(p.d), &seed);
        else if (l == CLUSTERS || (l == NEAR_COPIES && random_int(&seed, 0, 19) == 0))
            add_noise(row_at(&p, i), query, p.d, (l == CLUSTERS ? 0.5 : 3e-3) / sqrt(p.d), &seed);
    }
    for (int i = 0; exclude && i < p.n; i++)
        p.exclude[i] = random_int(&seed, -1, p.m / 4);
    return p;
}

TEST(picks_of_a_sieve_are_those_of_float) {
    static const int cases[][4] = {{1, 1, 1, 1},     {40, 33, 5, 1},      {700, 64, 70, 1},
                                   {1000, 40, 9, 5}, {2100, 128, 100, 1}, {1500, 100, 33, 64},
                                   {33, 257, 31, 3}, {3000, 256, 20, 2}};
    uint64_t seed = 1;
    for (int l = 0; l < LAYOUTS; l++)
        for (int i = 0; i < 8; i++) {
            search_problem p = make_layout((layout)l, cases[i], (i + l) % 3 == 0, seed++);
            check_sieve(layout_names[l], &p);
            free_search(&p);
        }
    /* So many that blocks of queries are shared out, not rows. */
    search_problem p = make_layout(NEAR_COPIES, (const int[]){300, 32, 3500, 1}, false, 5);
    check_sieve("many queries", &p);
    free_search(&p);
}

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
TEST(rounding_at_its_worst_hides_no_row) {
    enum { M = 100, D = 256, HALF = D / 2, NEXT = 3, BEST = 70 };
    for (int rows_round = 0; rows_round < 2; rows_round++) {
        uint64_t seed = 3;
        search_problem p = make_units(M, D, 1, 1, &seed);
        double *a = row_at(&p, NEXT), *b = row_at(&p, BEST);
        for (int i = 0; i < M * D; i++) /* all others point away */
            p.rows[i] = i / D == NEXT || i / D == BEST ? 0 : -1.0 / 16;
        for (int i = 0; i < D; i++)
            p.queries[i] = 1.0 / 16;
        if (rows_round) {
            gain(a, D);
            lose(b, D);
        } else {
            gain(p.queries, HALF);
            lose(p.queries + HALF, HALF);
            for (int i = 0; i < HALF; i++)
                a[i] = b[HALF + i] = 45.0 / 512; /* nearly 1 in length */
        }
        CHECK(dot_product(p.queries, b, D) > dot_product(p.queries, a, D));
        check_sieve(rows_round ? "rows rounded" : "query rounded", &p);
        free_search(&p);
    }
}

/* Only in queries, only in rows, in both. */
TEST(what_is_not_finite_hides_nothing) {
    static const double bad[] = {NAN, INFINITY, -INFINITY, 3.4e38, -3.4e38, 1e30};
    for (int k = 0; k < 6; k++) {
        const int size[4] = {600, 48, 40, 1 + k % 3 * 2};
        search_problem p = make_layout(NEAR_COPIES, size, k % 2, (uint64_t)k);
        for (int i = 0; k > 2 && i < 600; i += 37)
            p.rows[i * 48 + i % 48] = bad[(i + k) % 6];
        for (int i = 0; k != 4 && i < 4; i++)
            p.queries[(i * 9 + 1) * 48 + i] = bad[(i + k) % 6];
        check_sieve("not finite", &p);
        free_search(&p);
    }
}

TEST(every_engine_runs_here) {
    skip_for_absent_engines();
}

int main(void) {
    return check_all();
}
