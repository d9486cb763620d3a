/* Eigenvalues of matrices whose spectrum is known in closed form, and invariants of random ones. */
#include "ssl/eigenvalues.h"
#include "tests/unit/check.h"

#include <stdint.h>

static nnclr_error e; /* of the call that is checked */

enum { MOST = 200 };

static double next(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)*state / 9.3e18;
}

static void solve(double *matrix, int n, double *values) {
    static double scratch[NNCLR_EIGENVALUE_SCRATCH * MOST];
    CHECK(n <= MOST);
    for (int i = 0; i < NNCLR_EIGENVALUE_SCRATCH * n; i++)
        scratch[i] = NAN; /* what was there does not matter */
    CHECK_OK(nnclr_symmetric_eigenvalues(matrix, n, values, scratch, &e));
}

TEST(small_matrices) {
    double values[3];
    solve((double[]){7}, 1, values);
    CHECK_NEAR(values[0], 7, 0);
    solve((double[]){2, 0, 1, 2}, 2, values);
    CHECK_NEAR(values[0], 1, 1e-15);
    CHECK_NEAR(values[1], 3, 1e-15);
    solve((double[]){2, 9, 9, -1, 2, 9, 0, -1, 2}, 3, values);
    CHECK_NEAR(values[0], 2 - sqrt(2), 1e-15);
    CHECK_NEAR(values[1], 2, 1e-15);
    CHECK_NEAR(values[2], 2 + sqrt(2), 1e-15);
}

TEST(a_zero_matrix_and_equal_values) {
    static double matrix[MOST * MOST], values[MOST];
    memset(matrix, 0, sizeof matrix);
    solve(matrix, MOST, values);
    for (int i = 0; i < MOST; i++)
        CHECK_NEAR(values[i], 0, 0);
    for (int i = 0; i < MOST; i++)
        for (int j = 0; j < MOST; j++)
            matrix[i * MOST + j] = i == j ? 3 : 0;
    solve(matrix, MOST, values);
    CHECK_NEAR(values[0], 3, 0);
    CHECK_NEAR(nnclr_effective_rank(values, MOST), MOST, 1e-10);
}

/* Second differences: 2 - 2 cos(k pi / (n + 1)). */
TEST(second_differences) {
    static double matrix[MOST * MOST], values[MOST];
    const double pi = 3.14159265358979323846;
    for (int i = 0; i < MOST; i++)
        for (int j = 0; j < MOST; j++)
            matrix[i * MOST + j] = i == j ? 2 : abs(i - j) == 1 ? -1 : 0;
    solve(matrix, MOST, values);
    for (int k = 1; k <= MOST; k++)
        CHECK_NEAR(values[k - 1], 2 - 2 * cos(k * pi / (MOST + 1)), 1e-13);
}

/* H D H with a reflection H keeps the values of D = diag(1, 2, ...). */
TEST(a_hidden_spectrum) {
    static double matrix[MOST * MOST], values[MOST], u[MOST];
    uint64_t state = 5;
    double squares = 0;
    for (int i = 0; i < MOST; i++) {
        u[i] = next(&state);
        squares += u[i] * u[i];
    }
    for (int i = 0; i < MOST; i++)
        for (int j = 0; j < MOST; j++) {
            double sum = 0;
            for (int k = 0; k < MOST; k++) {
                double hik = (i == k) - 2 * u[i] * u[k] / squares;
                double hkj = (k == j) - 2 * u[k] * u[j] / squares;
                sum += hik * (k + 1) * hkj;
            }
            matrix[i * MOST + j] = sum;
        }
    solve(matrix, MOST, values);
    for (int k = 0; k < MOST; k++)
        CHECK_NEAR(values[k], k + 1, 1e-10);
}

TEST(random_matrices_keep_trace_and_norm) {
    static double matrix[MOST * MOST], values[MOST];
    uint64_t state = 7;
    for (int n = 1; n <= 40; n++) {
        double trace = 0, squares = 0;
        for (int i = 0; i < n; i++)
            for (int j = 0; j <= i; j++) {
                double x = matrix[i * n + j] = next(&state);
                trace += i == j ? x : 0;
                squares += (i == j ? 1 : 2) * x * x;
            }
        solve(matrix, n, values);
        for (int i = 0; i < n; i++) {
            trace -= values[i];
            squares -= values[i] * values[i];
            CHECK(i == 0 || values[i] >= values[i - 1]);
        }
        CHECK_NEAR(trace, 0, 1e-12 * n);
        CHECK_NEAR(squares, 0, 1e-11 * n);
    }
}

/* What the allocator gives depends on threads; what comes out of it must not. */
TEST(the_same_wherever_it_is_in_memory) {
    enum { N = 100, PLACES = 8, STEP = 2 /* doubles: 16 bytes, as malloc aligns */ };
    static double room[N * N + PLACES * STEP], first[N], values[N];
    for (int place = 0; place < PLACES; place++) {
        double *matrix = room + place * STEP;
        uint64_t state = 11;
        for (int i = 0; i < N * N; i++)
            matrix[i] = next(&state);
        solve(matrix, N, place == 0 ? first : values);
        CHECK(place == 0 || memcmp(first, values, sizeof first) == 0);
    }
}

TEST(not_finite) {
    double matrix[4] = {1, 0, NAN, 1}, values[2], scratch[2 * NNCLR_EIGENVALUE_SCRATCH];
    CHECK_FAILS_AS(nnclr_symmetric_eigenvalues(matrix, 2, values, scratch, &e),
                   NNCLR_ERROR_NUMERIC);
}

TEST(effective_rank) {
    CHECK_NEAR(nnclr_effective_rank((double[]){0, 0, 5}, 3), 1, 1e-15);
    CHECK_NEAR(nnclr_effective_rank((double[]){-1e-20, 2, 2}, 3), 2, 1e-15);
    /* Shares 1/2, 1/4, 1/4: entropy 1.5 ln 2. */
    CHECK_NEAR(nnclr_effective_rank((double[]){1, 1, 2}, 3), pow(2, 1.5), 1e-14);
    CHECK(isnan(nnclr_effective_rank((double[]){0, 0}, 2)));
}

/* Rows a + or - b e_j, j < k: k directions alike, and the mean takes a away. */
TEST(rank_of_rows) {
    static double rows[MOST * MOST], scratch[MOST * (MOST + 1 + NNCLR_EIGENVALUE_SCRATCH)];
    const struct { int k, d; } cases[] = {{3, 3}, {3, 20}, {20, 20}, {1, 7}, {50, 150}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const int k = cases[c].k, d = cases[c].d, count = 2 * k;
        double rank, spread;
        CHECK(nnclr_rank_scratch(count, d) <= sizeof scratch / sizeof *scratch);
        for (int i = 0; i < count * d; i++)
            rows[i] = 100 * (i % d);
        for (int i = 0; i < count; i++)
            rows[i * d + i / 2] += i % 2 ? 5 : -5;
        CHECK_OK(nnclr_rows_rank(rows, count, d, scratch, &rank, &spread, &e));
        CHECK_NEAR(rank, k, 1e-9);
        CHECK_NEAR(spread, 25, 1e-9);
        for (int i = 0; i < count * d; i++)
            rows[i] = 100 * (i % d) + (i / d) * 1e-7;
        CHECK_OK(nnclr_rows_rank(rows, count, d, scratch, &rank, &spread, &e));
        CHECK(isnan(rank));
    }
}

int main(void) {
    return check_all();
}
