/* The ring, its metadata and what is measured of it. */
#include "ssl/support_metrics.h"
#include "ssl/support_set.h"
#include "tests/unit/engine_fixture.h"
#include "tests/unit/support_rows.h"

static nnclr_error e; /* of the call that is checked */

enum { D = 5, MOST = 64 };

typedef struct ring {
    fixture f;
    nnclr_support_set s;
} ring;

static void open_ring(ring *r, int m, int d) {
    e = (nnclr_error)NNCLR_NO_ERROR;
    fixture_open(&r->f, NNCLR_PRECISION_F64, 1);
    CHECK_OK(nnclr_support_set_create(&r->s, &r->f.g, m, d, 3, &e));
}

static void close_ring(ring *r) {
    nnclr_support_set_free(&r->s);
    fixture_close(&r->f);
}

/* The unit row that stands for item `id`. */
static void unit_row(int64_t id, int d, double *row) {
    double squares = 0;
    for (int j = 0; j < d; j++) {
        row[j] = sin((double)(id + 1) * (j + 1.3));
        squares += row[j] * row[j];
    }
    for (int j = 0; j < d; j++)
        row[j] /= sqrt(squares);
}

/* Items first, first + 1, ... with record = item, label = item % 3. */
static void enqueue_items(ring *r, int64_t first, int n, int64_t step) {
    double rows[MOST * D];
    int64_t record[MOST], label[MOST];
    for (int i = 0; i < n; i++) {
        unit_row(first + i, D, rows + i * D);
        record[i] = first + i;
        label[i] = (first + i) % 3;
    }
    void *place = fixture_reals(&r->f, rows, (size_t)n * D);
    CHECK_OK(nnclr_support_set_enqueue(&r->s, place, n, record, label, step, &e));
}

static void nearest(ring *r, const double *query, const int64_t *exclude, int k, int32_t *picks,
                    double *scores) {
    const nnclr_engine_table *t = r->f.t;
    void *place = fixture_reals(&r->f, query, (size_t)r->s.d);
    void *found = fixture_alloc(&r->f, (size_t)k * sizeof(int32_t));
    void *cosines = fixture_reals(&r->f, NULL, (size_t)k);
    const nnclr_exclusion own = {exclude, r->s.record};
    t->search_nearest(&r->f.g, r->s.search, place, 1, k, exclude ? &own : NULL, found, cosines);
    t->get_picks(&r->f.g, found, (size_t)k, picks);
    t->get(&r->f.g, cosines, (size_t)k, NNCLR_F64, scores);
}

TEST(initial_rows_are_unit_and_marked) {
    ring r, again;
    open_ring(&r, 300, 128);
    open_ring(&again, 300, 128);
    double *rows = malloc(300 * 128 * sizeof *rows), *same = malloc(300 * 128 * sizeof *rows);
    support_rows(&r.s, rows);
    support_rows(&again.s, same);
    CHECK(memcmp(rows, same, 300 * 128 * sizeof *rows) == 0);
    double sum = 0, fourth = 0;
    for (int i = 0; i < 300; i++) {
        CHECK_NEAR(dot_product(rows + i * 128, rows + i * 128, 128), 1, 1e-12);
        CHECK(r.s.record[i] == -1 && r.s.label[i] == -1 && r.s.step[i] == -1);
        for (int j = 0; j < 128; j++) {
            sum += rows[i * 128 + j];
            fourth += pow(rows[i * 128 + j], 4);
        }
    }
    /* A uniform direction has mean 0 and E[x^4] = 3 / (d (d + 2)). */
    CHECK_NEAR(sum / (300 * 128), 0, 4 * sqrt(1.0 / 128 / (300 * 128)));
    CHECK_NEAR(fourth / (300 * 128) * 128 * 130 / 3, 1, 0.06);
    free(rows);
    free(same);
    close_ring(&r);
    close_ring(&again);
}

TEST(an_enqueued_row_finds_itself) {
    ring r;
    open_ring(&r, 20, D);
    enqueue_items(&r, 100, 6, 1);
    for (int i = 0; i < 6; i++) {
        double query[D], score;
        int32_t pick;
        unit_row(100 + i, D, query);
        nearest(&r, query, NULL, 1, &pick, &score);
        CHECK(pick == i && r.s.record[pick] == 100 + i && r.s.label[pick] == (100 + i) % 3 &&
              r.s.step[pick] == 1);
        CHECK_NEAR(score, 1, 1e-14);
    }
    close_ring(&r);
}

/* m is not a multiple of n: after any number of steps the last m items are present, and no
 * other. */
TEST(the_oldest_go_first) {
    enum { M = 10, N = 4, STEPS = 9 }; /* more than three laps */
    ring r;
    open_ring(&r, M, D);
    for (int step = 1; step <= STEPS; step++) {
        enqueue_items(&r, (step - 1) * N, N, step);
        int64_t newest = (int64_t)step * N - 1;
        double rows[M * D], want[D];
        support_rows(&r.s, rows);
        for (int age = 0; age < M; age++) {
            int at = ((r.s.cursor - 1 - age) % M + M) % M;
            int64_t item = newest - age;
            if (item < 0) {
                CHECK(r.s.record[at] == -1 && r.s.step[at] == -1);
                continue;
            }
            CHECK(r.s.record[at] == item && r.s.step[at] == item / N + 1);
            unit_row(item, D, want);
            check_close("row", rows + at * D, want, D, 1e-15);
        }
    }
    CHECK(r.s.cursor == STEPS * N % M);
    close_ring(&r);
}

TEST(more_than_m_is_refused) {
    ring r;
    open_ring(&r, 4, D);
    int64_t meta[5] = {0};
    CHECK_FAILS_WITH(nnclr_support_set_enqueue(&r.s, NULL, 5, meta, meta, 1, &e),
                     "5 embeddings do not fit into a support set of 4 rows");
    close_ring(&r);
}

TEST(equal_rows_go_to_the_lowest_index) {
    ring r;
    open_ring(&r, 8, D);
    enqueue_items(&r, 7, 1, 1);
    for (int i = 0; i < 4; i++)
        enqueue_items(&r, 5, 1, 1); /* rows 1 to 4 alike */
    double query[D], scores[3];
    int32_t picks[3];
    unit_row(5, D, query);
    nearest(&r, query, NULL, 3, picks, scores);
    CHECK(picks[0] == 1 && picks[1] == 2 && picks[2] == 3);
    close_ring(&r);
}

TEST(the_own_record_is_excluded) {
    ring r;
    open_ring(&r, 3, D);
    enqueue_items(&r, 0, 3, 1);
    double query[D], scores[3];
    int32_t picks[3];
    int64_t self = 1;
    unit_row(1, D, query);
    nearest(&r, query, &self, 3, picks, scores);
    CHECK(picks[0] >= 0 && picks[0] != 1 && picks[1] >= 0 && picks[1] != 1 && picks[2] == -1);
    close_ring(&r);
}

static int32_t nearest_but(ring *r, int64_t item, int64_t exclude) {
    double query[D], score;
    int32_t pick;
    unit_row(item, D, query);
    nearest(r, query, &exclude, 1, &pick, &score);
    return pick;
}

/* Rows of other data have numbers that mean other pictures: a search excludes none of them, and
 * what a new run starts from is as old as its start. */
TEST(foreign_rows_are_not_excluded) {
    ring r;
    open_ring(&r, 6, D);
    enqueue_items(&r, 0, 4, 7); /* rows 4 and 5 are initial */
    nnclr_support_set_renew(&r.s, false);
    CHECK(nearest_but(&r, 2, 2) != 2);
    for (int i = 0; i < 6; i++)
        CHECK(r.s.record[i] == (i < 4 ? i : -1) && r.s.label[i] == (i < 4 ? i % 3 : -1) &&
              r.s.step[i] == (i < 4 ? 0 : -1));
    nnclr_support_set_renew(&r.s, true);
    CHECK(nearest_but(&r, 2, 2) == 2);
    for (int i = 0; i < 6; i++)
        CHECK(r.s.record[i] == -1 && r.s.label[i] == -1 && r.s.step[i] == -1);
    enqueue_items(&r, 2, 1, 1); /* into row 4: one of the run's own */
    CHECK(nearest_but(&r, 2, 2) == 2 && nearest_but(&r, 2, 3) == 2);
    close_ring(&r);
}

TEST(restoring_brings_the_same_state_back) {
    ring r, copy;
    open_ring(&r, 10, D);
    open_ring(&copy, 10, D);
    enqueue_items(&r, 0, 7, 4);
    double rows[10 * D], other[10 * D];
    support_rows(&r.s, rows);
    CHECK_OK(nnclr_support_set_restore(&copy.s, NNCLR_F64, rows, r.s.record, r.s.label, r.s.step,
                                       r.s.cursor, &e));
    enqueue_items(&r, 50, 6, 5);
    enqueue_items(&copy, 50, 6, 5);
    support_rows(&r.s, rows);
    support_rows(&copy.s, other);
    CHECK(memcmp(rows, other, sizeof rows) == 0 && r.s.cursor == copy.s.cursor);
    CHECK(memcmp(r.s.record, copy.s.record, 10 * sizeof(int64_t)) == 0);
    close_ring(&r);
    close_ring(&copy);
}

TEST(picks_are_measured) {
    ring r;
    open_ring(&r, 6, D);
    enqueue_items(&r, 0, 4, 2); /* labels 0 1 2 0; rows 4 and 5 are initial */
    const int32_t pick[5] = {0, 0, 1, 4, -1};
    const double cosine[5] = {.5, .7, .9, .1, 0};
    const int64_t record[5] = {0, 9, 9, 9, 9}, label[5] = {0, 1, 1, 0, 0};
    nnclr_buffer scratch = {0};
    nnclr_pick_metrics m;
    CHECK_OK(nnclr_measure_picks(&r.s, 5, pick, cosine, record, label, 7, &m, &scratch, &e));
    CHECK_NEAR(m.sim, (.5 + .7 + .9 + .1) / 4, 1e-15);
    CHECK_NEAR(m.initial, .25, 0);
    CHECK_NEAR(m.self, .25, 0);
    CHECK_NEAR(m.age, 5, 0);
    CHECK_NEAR(m.distinct, .75, 0);
    CHECK_NEAR(m.acc, .5, 0);
    const int64_t unlabelled[5] = {-1, -1, -1, -1, -1};
    CHECK_OK(nnclr_measure_picks(&r.s, 5, pick, cosine, record, unlabelled, 7, &m, &scratch, &e));
    CHECK(isnan(m.acc));

    double present, chance;
    const int64_t ask[4] = {3, 4, 0, 77}, labels[4] = {0, 1, 2, -1};
    CHECK_OK(nnclr_measure_presence(&r.s, 4, ask, labels, &present, &chance, &scratch, &e));
    CHECK_NEAR(present, .5, 0);
    CHECK_NEAR(chance, (2.0 / 6 + 1.0 / 6 + 1.0 / 6) / 3, 1e-15);
    nnclr_buffer_free(&scratch);
    close_ring(&r);
}

static double spread; /* that rank_of found beside it */

static double rank_of(ring *r, int most) {
    nnclr_buffer scratch = {0};
    double rank;
    CHECK_OK(nnclr_measure_rank(&r->s, most, &rank, &spread, &scratch, &e));
    nnclr_buffer_free(&scratch);
    return rank;
}

static void put_all(ring *r, const double *rows) {
    int64_t meta[MOST] = {0};
    CHECK_OK(nnclr_support_set_restore(&r->s, NNCLR_F64, rows, meta, meta, meta, 0, &e));
}

TEST(rank_counts_directions) {
    ring r;
    double rows[MOST * D] = {0};
    open_ring(&r, 8, D);
    for (int i = 0; i < 8; i++) /* plus and minus of four axes: covariance diag(1,1,1,1,0)/4 */
        rows[i * D + i % 4] = i < 4 ? 1 : -1;
    put_all(&r, rows);
    CHECK_NEAR(rank_of(&r, 1024), 4, 1e-12);
    CHECK_NEAR(spread, 1, 1e-15); /* the mean is 0 */
    /* The newest two are plus and minus one direction (fewer rows than dimensions). */
    for (int i = 6; i < 8; i++)
        for (int j = 0; j < D; j++)
            rows[i * D + j] = j == 0 ? (i == 6 ? 1 : -1) : 0;
    put_all(&r, rows);
    CHECK_NEAR(rank_of(&r, 2), 1, 1e-12);
    /* Plus and minus of one direction, which has a part in each dimension: every dimension deviates
     * by 1 / sqrt(d), as if nothing were wrong. */
    double deviation = 0;
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < D; j++) {
            rows[i * D + j] = (i % 2 ? -1 : 1) / sqrt(D);
            deviation += rows[i * D + j] * rows[i * D + j] / 8;
        }
    put_all(&r, rows);
    CHECK_NEAR(sqrt(deviation / D), 1 / sqrt(D), 1e-15);
    CHECK_NEAR(rank_of(&r, 1024), 1, 1e-12);
    /* A collapse has no direction left. */
    for (int i = 0; i < 8; i++)
        unit_row(3, D, rows + i * D);
    put_all(&r, rows);
    CHECK(isnan(rank_of(&r, 1024)));
    CHECK_NEAR(spread, 0, 1e-15);
    /* Half of them turned by a right angle: the mean has length 1/sqrt(2). */
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < D; j++)
            rows[i * D + j] = j == i % 2;
    put_all(&r, rows);
    CHECK_NEAR(rank_of(&r, 1024), 1, 1e-12);
    CHECK_NEAR(spread, .5, 1e-15);
    close_ring(&r);
}

/* ---- what pictures look like ---- */

enum { LOOKS = 20, A = NNCLR_APPEARANCE };

static const nnclr_appearances *looks(void) {
    static float rows[LOOKS * A];
    static const nnclr_appearances all = {LOOKS, rows};
    for (int i = 0; i < LOOKS; i++) {
        double row[A];
        unit_row(40 + i, A, row);
        for (int j = 0; j < A; j++)
            rows[i * A + j] = (float)row[j];
    }
    return &all;
}

/* Every score is the sum that it says, best first; initial and foreign rows have 0. */
static void check_looks(ring *r, double share) {
    enum { RECORD = 17 };
    double query[D], scores[MOST], rows[MOST * D];
    int32_t picks[MOST];
    const int64_t record = RECORD;
    unit_row(RECORD, D, query);
    support_rows(&r->s, rows);
    void *place = fixture_reals(&r->f, query, D);
    void *found = fixture_alloc(&r->f, MOST * sizeof(int32_t));
    void *cosines = fixture_reals(&r->f, NULL, MOST);
    nnclr_support_set_nearest(&r->s, place, &record, 1, r->s.m, false, found, cosines);
    r->f.t->get_picks(&r->f.g, found, (size_t)r->s.m, picks);
    r->f.t->get(&r->f.g, cosines, (size_t)r->s.m, NNCLR_F64, scores);
    for (int i = 0; i < r->s.m; i++) {
        const int64_t of = r->s.record[picks[i]];
        double want = 0;
        for (int j = 0; j < A && of >= 0; j++)
            want += share * looks()->rows[of * A + j] * looks()->rows[record * A + j];
        if (of >= 0)
            want += (1 - share) * dot_product(query, rows + picks[i] * D, D);
        CHECK_NEAR(scores[i], want, 1e-6);
        CHECK(i == 0 || scores[i] <= scores[i - 1]);
    }
}

TEST(neighbours_look_alike_as_far_as_wished) {
    static const double shares[] = {0.25, 0.8, 1};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        ring r, late;
        open_ring(&r, 10, D);
        open_ring(&late, 10, D);
        CHECK_OK(nnclr_support_set_look(&r.s, looks(), shares[i], &e));
        enqueue_items(&r, 0, 6, 1);
        enqueue_items(&late, 0, 6, 1);
        CHECK_OK(nnclr_support_set_look(&late.s, looks(), shares[i], &e));
        check_looks(&r, shares[i]);
        check_looks(&late, shares[i]);
        enqueue_items(&r, 8, 9, 2); /* wraps */
        check_looks(&r, shares[i]);
        nnclr_support_set_renew(&r.s, true);
        check_looks(&r, shares[i]);
        close_ring(&late);
        close_ring(&r);
    }
}

TEST(ones_own_record_is_excluded_among_those_that_look_alike) {
    ring r;
    const int64_t record = 3;
    double query[D];
    int32_t pick[2];
    open_ring(&r, 10, D);
    CHECK_OK(nnclr_support_set_look(&r.s, looks(), 0.5, &e));
    enqueue_items(&r, 0, 10, 1);
    unit_row(3, D, query);
    void *place = fixture_reals(&r.f, query, D), *found = fixture_alloc(&r.f, sizeof pick),
         *cosines = fixture_reals(&r.f, NULL, 2);
    for (int exclude = 0; exclude < 2; exclude++) {
        nnclr_support_set_nearest(&r.s, place, &record, 1, 1, exclude, found, cosines);
        r.f.t->get_picks(&r.f.g, found, 1, pick + exclude);
    }
    CHECK(pick[0] == 3 && pick[1] != 3 && pick[1] >= 0);
    close_ring(&r);
}

int main(void) {
    return check_all();
}
