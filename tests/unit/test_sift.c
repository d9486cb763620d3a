/* The sieve against a plain loop: every product that reaches its floor is handed out, in order, and
 * nothing that is clearly below; for kernels of all widths and for matrices. */
#include "engine/sift.h"
#include "engine/simd.h"
#include "tests/unit/engine_fixture.h"

typedef struct problem {
    int n, count, d;
    double *queries, *rows, *floor;
    fixture *f;
    double slack;
    int *last; /* [n]: the row that was handed out last */
    bool *hit; /* [n][count] */
    double *product;
    bool raises;
} problem;

static double dot(const problem *p, int query, int row) {
    return dot_product(p->queries + (size_t)query * (size_t)p->d,
                       p->rows + (size_t)row * (size_t)p->d, (size_t)p->d);
}

/* Of different queries at once from several threads: only the query's own places are written. */
static void take(void *context, int query, const int32_t *rows, const double *products, int hits) {
    problem *p = context;
    CHECK(query >= 0 && query < p->n && hits >= 1 && hits <= NNCLR_SIEVE_MOST);
    for (int i = 0; i < hits; i++) {
        CHECK(rows[i] > p->last[query] && rows[i] < p->count);
        p->last[query] = rows[i];
        p->hit[query * p->count + rows[i]] = true;
        p->product[query * p->count + rows[i]] = products[i];
        CHECK_NEAR(products[i], dot(p, query, rows[i]), p->slack);
        CHECK(p->raises || products[i] >= p->floor[query] - p->slack);
        if (p->raises && products[i] > p->floor[query])
            p->floor[query] = products[i];
    }
}

static problem make_problem(int n, int count, int d, uint64_t seed) {
    problem p = {.n = n, .count = count, .d = d};
    p.queries = random_reals(&seed, (size_t)n * (size_t)d);
    p.rows = random_reals(&seed, (size_t)count * (size_t)d);
    p.floor = zero_reals((size_t)n);
    for (int i = 0; i < count * d; i++) /* equal rows, far apart */
        p.rows[i] = i / d >= 60 ? p.rows[i % (60 * d)] : p.rows[i];
    for (int i = 0; i < n; i++)
        p.floor[i] = i % 5 == 0 ? -INFINITY : i % 5 == 1 ? INFINITY : sqrt(d) / (1 + i % 7);
    p.last = malloc((size_t)n * sizeof *p.last);
    memset(p.last, -1, (size_t)n * sizeof *p.last);
    p.hit = calloc((size_t)n * (size_t)count, sizeof *p.hit);
    p.product = zero_reals((size_t)n * (size_t)count);
    return p;
}

static void free_problem(problem *p) {
    free(p->queries), free(p->rows), free(p->floor), free(p->last), free(p->hit), free(p->product);
}

/* As a number of `ways` says: floats with vectors of a kind, or doubles. */
static const struct {
    const char *simd;
    nnclr_simd needs;
    nnclr_precision precision;
} ways[] = {{"avx512", NNCLR_SIMD_AVX512, NNCLR_PRECISION_F32},
            {"avx2", NNCLR_SIMD_AVX2, NNCLR_PRECISION_F32},
            {"none", NNCLR_SIMD_NONE, NNCLR_PRECISION_F32},
            {"none", NNCLR_SIMD_NONE, NNCLR_PRECISION_F64}};
enum { AVX512, AVX2, WAYS = sizeof ways / sizeof *ways };

/* False if this CPU has no such vectors. */
static bool run(problem *p, int way, int threads) {
    const nnclr_precision precision = ways[way].precision;
    fixture f;
    if (!nnclr_simd_has(ways[way].needs))
        return false;
    CHECK(setenv("NNCLR_SIMD", ways[way].simd, 1) == 0);
    fixture_open(&f, precision, threads);
    p->slack = (precision == NNCLR_PRECISION_F64 ? 1e-13 : 1e-6) * p->d;
    const nnclr_sieve sieve = {.queries = fixture_reals(&f, p->queries, (size_t)(p->n * p->d)),
                               .rows = fixture_reals(&f, p->rows, (size_t)(p->count * p->d)),
                               .n = p->n,
                               .count = p->count,
                               .d = p->d,
                               .floor = p->floor,
                               .take = take,
                               .context = p,
                               .workspace =
                                   fixture_alloc(&f, nnclr_sift_bytes(f.pool, f.t->real, p->d))};
    nnclr_sift(f.pool, f.t->real, &sieve);
    CHECK(unsetenv("NNCLR_SIMD") == 0);
    fixture_close(&f);
    return true;
}

/* Around whole tiles, pieces of rows and blocks of queries. */
static const struct {
    int n, count, d;
} cases[] = {{1, 1, 1},     {7, 47, 8},     {8, 48, 16},    {9, 49, 17},   {40, 200, 511},
             {13, 97, 512}, {17, 130, 513}, {24, 60, 1300}, {700, 90, 24}, {300, 600, 5}};
enum { CASES = sizeof cases / sizeof *cases };

TEST(hands_out_what_reaches_its_floor) {
    for (int c = 0; c < CASES; c++)
        for (int way = 0; way < WAYS; way++) {
            problem p = make_problem(cases[c].n, cases[c].count, cases[c].d, (uint64_t)c);
            const bool ran = run(&p, way, 1 + c % 3);
            for (int i = 0; i < p.n * p.count && ran; i++)
                CHECK_SAYS(p.hit[i] ||
                               dot(&p, i / p.count, i % p.count) < p.floor[i / p.count] + p.slack,
                           "%s: query %d, row %d of %d x %d x %d is missing", ways[way].simd,
                           i / p.count, i % p.count, p.n, p.count, p.d);
            free_problem(&p);
        }
}

static double best_of(const problem *p, int query) {
    double best = -INFINITY;
    for (int row = 0; row < p->count; row++)
        best = fmax(best, dot(p, query, row));
    return best;
}

/* Whole numbers, whose products are exact; every other query's floor is reached by the best alone.
 */
TEST(what_equals_its_floor_is_handed_out) {
    for (int way = 0; way < WAYS; way++) {
        problem p = make_problem(31, 140, 9, 4);
        for (int i = 0; i < p.n * p.d; i++)
            p.queries[i] = round(3 * p.queries[i]);
        for (int i = 0; i < p.count * p.d; i++)
            p.rows[i] = round(3 * p.rows[i]);
        for (int i = 0; i < p.n; i++)
            p.floor[i] = i % 2 ? best_of(&p, i) : dot(&p, i, 4 * i);
        const bool ran = run(&p, way, 1);
        for (int i = 0; i < p.n * p.count && ran; i++)
            CHECK(p.hit[i] == (dot(&p, i / p.count, i % p.count) >= p.floor[i / p.count]));
        free_problem(&p);
    }
}

/* With a floor that rises to the largest product so far, that one is found, and few others. */
TEST(a_floor_that_rises_is_obeyed) {
    for (int way = 0; way < WAYS; way++) {
        problem p = make_problem(50, 3000, 40, 5);
        int hits = 0;
        p.raises = true;
        for (int i = 0; i < p.n; i++)
            p.floor[i] = -INFINITY;
        const bool ran = run(&p, way, 2);
        for (int i = 0; i < p.n && ran; i++) {
            for (int j = 0; j < p.count; j++)
                hits += p.hit[i * p.count + j];
            CHECK_NEAR(p.floor[i], best_of(&p, i), p.slack);
        }
        CHECK(hits < p.n * p.count / 5);
        free_problem(&p);
    }
}

TEST(kernels_round_alike_everywhere) {
    problem a = make_problem(33, 500, 1100, 9), b = make_problem(33, 500, 1100, 9);
    if (!run(&a, AVX512, 1))
        SKIP("no AVX-512 here to compare AVX2 with");
    CHECK(run(&b, AVX2, 3));
    CHECK(memcmp(a.product, b.product, (size_t)(a.n * a.count) * sizeof *a.product) == 0);
    for (int i = 0; i < a.n; i++)
        for (int j = 60; j < a.count; j++)
            CHECK(a.product[i * a.count + j] == a.product[i * a.count + j % 60]);
    free_problem(&a), free_problem(&b);
}

int main(void) {
    return check_all();
}
