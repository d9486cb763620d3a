/* The support set's search against a plain loop: ties, exclusion, several picks, few candidates. */
#include "tests/unit/engine_fixture.h"

typedef struct problem {
    int m, d, n, k;
    double *rows, *queries;
    int64_t *records, *exclude; /* exclude NULL: none */
} problem;

/* Rows repeat often, and dot products of multiples of 1/256 are exact in double and mostly in
 * float, so that ties are real ones. */
static problem make_problem(int m, int d, int n, int k, bool exclude, uint64_t seed) {
    problem p = {.m = m, .d = d, .n = n, .k = k};
    size_t width = (size_t)d;
    p.rows = random_reals(&seed, (size_t)m * width);
    p.queries = random_reals(&seed, (size_t)n * width);
    p.records = malloc((size_t)m * sizeof *p.records);
    p.exclude = exclude ? malloc((size_t)n * sizeof *p.exclude) : NULL;
    for (int i = 0; i < m; i++) {
        int copied = random_int(&seed, 0, m - 1);
        if (i % 3 == 0)
            memmove(p.rows + (size_t)i * width, p.rows + (size_t)copied * width,
                    width * sizeof *p.rows);
        p.records[i] = random_int(&seed, -1, m / 4);
    }
    for (int i = 0; exclude && i < n; i++)
        p.exclude[i] = random_int(&seed, -1, m / 4);
    return p;
}

static void free_problem(problem *p) {
    free(p->rows), free(p->queries), free(p->records), free(p->exclude);
}

static void compute(fixture *f, const problem *p, int32_t *picks, double *scores) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_engine *g = &f->g;
    const nnclr_exclusion own = {p->exclude, p->records};
    size_t lists = (size_t)(p->n * p->k);
    nnclr_search *s = f->t->search_create(g, p->m, p->d, &e);
    CHECK_SAYS(s, "%s", e.message);
    void *rows = fixture_reals(f, p->rows, (size_t)(p->m * p->d));
    void *queries = fixture_reals(f, p->queries, (size_t)(p->n * p->d));
    void *found = fixture_alloc(f, lists * sizeof(int32_t));
    void *similar = fixture_reals(f, NULL, lists);
    int split = p->m / 3;
    f->t->search_update(g, s, split, p->m - split, nnclr_real_at(g, rows, (size_t)(split * p->d)));
    f->t->search_update(g, s, 0, split, rows);
    CHECK(memcmp(f->t->search_rows(g, s), rows, (size_t)(p->m * p->d) * nnclr_real_bytes(g)) == 0);
    f->t->search_nearest(g, s, queries, p->n, p->k, p->exclude ? &own : NULL, found, similar);
    f->t->get_picks(g, found, lists, picks);
    f->t->get(g, similar, lists, NNCLR_F64, scores);
    f->t->search_free(g, s);
}

static double similarity(const problem *p, int query, int row) {
    return dot_product(p->queries + query * p->d, p->rows + row * p->d, (size_t)p->d);
}

static bool is_candidate(const problem *p, int query, int row) {
    return !p->exclude || p->exclude[query] < 0 || p->records[row] != p->exclude[query];
}

/* The best candidate that was not taken, by similarity and then index; -1: none. */
static int next_best(const problem *p, int query, const bool *taken) {
    int best = -1;
    for (int row = 0; row < p->m; row++)
        if (!taken[row] && is_candidate(p, query, row) &&
            (best < 0 || similarity(p, query, row) > similarity(p, query, best)))
            best = row;
    return best;
}

static void check_problem(nnclr_precision precision, problem *p) {
    fixture f;
    fixture_open(&f, precision, 2);
    int32_t *picks = malloc((size_t)(p->n * p->k) * sizeof *picks);
    double *scores = zero_reals((size_t)(p->n * p->k));
    compute(&f, p, picks, scores);
    bool *taken = calloc((size_t)p->m, sizeof *taken);
    for (int i = 0; i < p->n; i++) {
        memset(taken, 0, (size_t)p->m * sizeof *taken);
        for (int j = 0; j < p->k; j++) {
            int want = next_best(p, i, taken), got = picks[i * p->k + j];
            CHECK_SAYS(got == want, "query %d, pick %d: row %d, not %d (m %d, d %d, k %d)", i, j,
                       got, want, p->m, p->d, p->k);
            double score = want < 0 ? 0 : similarity(p, i, want);
            CHECK_NEAR(scores[i * p->k + j], score, 1e-4);
            if (want >= 0)
                taken[want] = true;
        }
    }
    free(taken), free(picks), free(scores);
    fixture_close(&f);
}

static void finds_what_a_loop_finds(void) {
    const struct {
        int m, d, n, k;
    } cases[] = {{4, 3, 3, 1},    {100, 16, 20, 5}, {513, 8, 7, 64},   {2000, 17, 30, 1},
                 {40, 5, 300, 3}, {5000, 4, 9, 8},  {20000, 3, 5, 33}, {1, 1, 2, 2}};
    for (int i = 0; i < 16; i++) {
        problem p = make_problem(cases[i % 8].m, cases[i % 8].d, cases[i % 8].n, cases[i % 8].k,
                                 i >= 8, (uint64_t)i);
        check_problem(NNCLR_PRECISION_F64, &p);
        check_problem(NNCLR_PRECISION_F32, &p);
        free_problem(&p);
    }
}

/* Unit rows whose products round: still the lowest of equal rows, wherever copies are. */
static void copies_tie_whatever_the_rounding(void) {
    enum { M = 3000, D = 71, N = 40 };
    for (int round = 0; round < 4; round++) {
        fixture f;
        fixture_open(&f, round % 2 ? NNCLR_PRECISION_F64 : NNCLR_PRECISION_F32, 2);
        problem p = make_problem(M, D, N, 2, false, (uint64_t)(90 + round));
        uint64_t seed = (uint64_t)round;
        int low[N], high[N];
        for (int i = 0; i < M; i++) {
            double norm = sqrt(dot_product(p.rows + i * D, p.rows + i * D, D));
            for (int j = 0; j < D; j++)
                p.rows[i * D + j] *= 1 / (3 * norm);
        }
        for (int i = 0; i < N; i++) {
            low[i] = i * (M / 2 / N) + random_int(&seed, 0, M / 2 / N - 1);
            high[i] = M / 2 + i * (M / 2 / N) + random_int(&seed, 0, M / 2 / N - 1);
            double norm = sqrt(dot_product(p.queries + i * D, p.queries + i * D, D));
            for (int j = 0; j < D; j++)
                p.rows[low[i] * D + j] = p.rows[high[i] * D + j] = p.queries[i * D + j] / norm;
        }
        int32_t picks[2 * N];
        double scores[2 * N];
        compute(&f, &p, picks, scores);
        for (int i = 0; i < N; i++) {
            CHECK_SAYS(picks[2 * i] == low[i] && picks[2 * i + 1] == high[i],
                       "rows %d, %d, not %d, %d", picks[2 * i], picks[2 * i + 1], low[i], high[i]);
            CHECK(scores[2 * i] == scores[2 * i + 1]);
        }
        free_problem(&p);
        fixture_close(&f);
    }
}

/* If all rows are the same, whatever their products round to, the first are picked. */
static void equal_rows_are_picked_from_the_first_on(void) {
    enum { M = 1300, D = 96, N = 5, K = 4 };
    for (int round = 0; round < 2; round++) {
        fixture f;
        fixture_open(&f, round ? NNCLR_PRECISION_F64 : NNCLR_PRECISION_F32, 2);
        problem p = make_problem(M, D, N, K, false, 7);
        double norm = sqrt(dot_product(p.rows, p.rows, D));
        for (int i = M * D - 1; i >= 0; i--)
            p.rows[i] = p.rows[i % D] / norm;
        int32_t picks[K * N];
        double scores[K * N];
        compute(&f, &p, picks, scores);
        for (int i = 0; i < K * N; i++)
            CHECK(picks[i] == i % K && scores[i] == scores[i / K * K]);
        free_problem(&p);
        fixture_close(&f);
    }
}

/* The reference's golden rows: z1 finds 0, 1, 2 and z2 finds 0, 3, 2. */
static void golden_neighbours(void) {
    double rows[12] = {1, 0, 0, 0, 1, 0, 0, 0, 1, .6, .8, 0};
    double queries[18] = {2, .2, 0, .3, 3, 1, 0, 1, 2, 1, .3, 0, 1, 1, .2, .1, .2, 1};
    const int want[6] = {0, 1, 2, 0, 3, 2};
    const double cosines[6] = {.995037, .944443, .894427, .957826, .980196, .975900};
    int64_t records[4] = {0, 1, 2, 3};
    for (int i = 0; i < 6; i++) {
        double norm = sqrt(dot_product(queries + 3 * i, queries + 3 * i, 3));
        for (int j = 0; j < 3; j++)
            queries[3 * i + j] /= norm;
    }
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F64, 1);
    problem p = {4, 3, 6, 1, rows, queries, records, NULL};
    int32_t picks[6];
    double scores[6];
    compute(&f, &p, picks, scores);
    for (int i = 0; i < 6; i++) {
        CHECK(picks[i] == want[i]);
        CHECK_NEAR(scores[i], cosines[i], 5e-7);
    }
    fixture_close(&f);
}

/* Numbers below 0 exclude nothing, and the caller's count at the moment of the search. */
static void only_equal_numbers_exclude(void) {
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F32, 1);
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_search *s = f.t->search_create(&f.g, 10, 2, &e);
    CHECK_SAYS(s, "%s", e.message);
    const double one[2] = {1, 0};
    const int64_t numbers[2][10] = {{-1, -1, -1, -1, 5}, {-1, -1, -1, -1, 0}},
                  exclude[3] = {-1, 5, 0};
    void *row = fixture_reals(&f, one, 2);
    f.t->search_update(&f.g, s, 4, 1, row);
    const double three[6] = {1, 0, 1, 0, 1, 0};
    void *queries = fixture_reals(&f, three, 6), *scores = fixture_reals(&f, NULL, 3);
    void *picks = fixture_alloc(&f, 3 * sizeof(int32_t));
    for (int i = 0; i < 2; i++) {
        const nnclr_exclusion own = {exclude, numbers[i]};
        f.t->search_nearest(&f.g, s, queries, 3, 1, &own, picks, scores);
        int32_t host[3];
        f.t->get_picks(&f.g, picks, 3, host);
        CHECK(host[0] == 4 && host[1] == (i ? 4 : 0) && host[2] == (i ? 0 : 4));
    }
    f.t->search_free(&f.g, s);
    fixture_close(&f);
}

static void threads_change_no_bit(void) {
    problem p = make_problem(3000, 70, 300, 4, true, 77);
    int32_t picks[2][1200];
    double scores[2][1200];
    for (int threads = 1; threads <= 3; threads++) {
        fixture f;
        fixture_open(&f, NNCLR_PRECISION_F32, threads);
        int at = threads > 1;
        compute(&f, &p, picks[at], scores[at]);
        CHECK(!at || memcmp(picks[0], picks[1], sizeof picks[0]) == 0);
        CHECK(!at || memcmp(scores[0], scores[1], sizeof scores[0]) == 0);
        fixture_close(&f);
    }
    free_problem(&p);
}

static void impossible_sizes_are_refused(void) {
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F32, 1);
    nnclr_error e = NNCLR_NO_ERROR;
    CHECK(!f.t->search_create(&f.g, 0, 8, &e) && e.code == NNCLR_ERROR_USAGE);
    CHECK(!f.t->search_create(&f.g, 8, 0, &e));
    fixture_close(&f);
}

int main(void) {
    RUN(finds_what_a_loop_finds);
    RUN(copies_tie_whatever_the_rounding);
    RUN(equal_rows_are_picked_from_the_first_on);
    RUN(golden_neighbours);
    RUN(only_equal_numbers_exclude);
    RUN(threads_change_no_bit);
    RUN(impossible_sizes_are_refused);
    return check_done();
}
