/* The arithmetic of ranks by its definition, with ranks that are threads. */
#include "tests/unit/engine_fixture.h"
#include "tests/unit/threads_ranks.h"

enum { N = 7, CHANNELS = 3, GROUPS = 2 };

/* Number i of a rank: binary fractions, whose sums are exact in any order. */
static double number(int rank, size_t i) {
    return (double)(rank + 1) * 0.25 + (double)i * (rank % 2 ? -0.5 : 1.5);
}

static void fill(double *x, int rank, size_t count) {
    for (size_t i = 0; i < count; i++)
        x[i] = number(rank, i);
}

static double sum_of(int ranks, size_t i) {
    double sum = 0;
    for (int rank = 0; rank < ranks; rank++)
        sum += number(rank, i);
    return sum;
}

static void check_sync(nnclr_communicator *c) {
    nnclr_error e = NNCLR_NO_ERROR;
    CHECK_OK(nnclr_communicator_sync(c, &e));
}

/* ---- reals ---- */

static void work_on_reals(nnclr_communicator *c, void *context) {
    const nnclr_precision *precision = context;
    const size_t all = (size_t)c->ranks * N;
    double own[MOST_RANKS * N];
    fixture f;
    fixture_open(&f, *precision, 1);
    fill(own, c->rank, all);
    void *reals = fixture_reals(&f, own, all), *to = fixture_alloc(&f, all * sizeof(double));

    nnclr_gather_reals(c, &f.g, reals, N, to);
    double *gathered = host_reals(&f, to, all);
    for (size_t i = 0; i < all; i++)
        CHECK_NEAR(gathered[i], number((int)i / N, i % N), 0);

    nnclr_gather_reals_backward(c, &f.g, reals, N, to);
    double *backward = host_reals(&f, to, N);
    for (size_t i = 0; i < N; i++)
        CHECK_NEAR(backward[i], sum_of(c->ranks, (size_t)c->rank * N + i), 0);

    nnclr_average_reals(c, &f.g, reals, all);
    double *mean = host_reals(&f, reals, all);
    for (size_t i = 0; i < all; i++)
        CHECK_NEAR(mean[i], sum_of(c->ranks, i) / c->ranks, 1e-6);
    check_sync(c);
    free(gathered), free(backward), free(mean);
    fixture_close(&f);
}

TEST(reals_are_gathered_summed_and_averaged) {
    for (int ranks = 1; ranks <= 4; ranks++) {
        nnclr_precision precision[4] = {NNCLR_PRECISION_F64, NNCLR_PRECISION_F64,
                                        NNCLR_PRECISION_F64, NNCLR_PRECISION_F64};
        run_ranks(ranks, work_on_reals, precision, sizeof *precision);
        for (int i = 0; i < 4; i++)
            precision[i] = NNCLR_PRECISION_F32;
        run_ranks(ranks, work_on_reals, precision, sizeof *precision);
    }
}

/* More than pass at a time, and not a multiple of the ranks. */
static void average_many(nnclr_communicator *c, void *context) {
    (void)context;
    const size_t count = ((size_t)1 << 20) + 5;
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F32, 1);
    float *reals = fixture_alloc(&f, count * sizeof *reals);
    for (size_t i = 0; i < count; i++)
        reals[i] = (float)(i % 1000 + (size_t)c->rank);
    nnclr_average_reals(c, &f.g, reals, count);
    for (size_t i = 0; i < count; i++)
        CHECK((double)reals[i] == (double)(i % 1000) + 1);
    /* A third of each chunk to add and back, but of the last few numbers all. */
    CHECK(c->received == (uint64_t)(c->ranks - 1) * (2 * 349526 + 5) * sizeof *reals);
    fixture_close(&f);
}

TEST(many_reals_pass_in_chunks) {
    run_ranks(3, average_many, NULL, 0);
}

/* Exactly it would be 3; from the left 1 is lost. */
static void sum_in_order(nnclr_communicator *c, void *context) {
    (void)context;
    static const double own[4] = {1, 0x1p53, -0x1p53, 2};
    static const size_t counts[] = {1, 2048, 2049}; /* the largest that goes in one message */
    double x[2049];
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < counts[i]; j++)
            x[j] = own[c->rank];
        nnclr_sum_doubles(c, x, counts[i]);
        for (size_t j = 0; j < counts[i]; j++)
            CHECK(x[j] == 2);
    }
    CHECK(c->received == 3 * sizeof(double) * (1 + 2048 + 2 * 513));
}

TEST(sums_are_in_rank_order) {
    run_ranks(4, sum_in_order, NULL, 0);
}

/* ---- statistics ---- */

static void work_on_statistics(nnclr_communicator *c, void *context) {
    (void)context;
    enum { EACH = 2 * GROUPS * CHANNELS };
    double own[2][EACH], got[EACH];
    void *place[2];
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F32, 1);
    for (size_t k = 0; k < 2; k++) {
        fill(own[k], c->rank + (int)k, EACH);
        own[k][0] += 0x1p-50; /* which a float has no room for */
        place[k] = fixture_alloc(&f, f.t->statistics_bytes(&f.g, GROUPS, CHANNELS));
        f.t->put_statistics(&f.g, place[k], EACH, own[k]);
    }
    nnclr_sum_statistics(c, &f.g, place, 2, EACH);
    for (int k = 0; k < 2; k++) {
        f.t->get_statistics(&f.g, place[k], EACH, got);
        for (size_t i = 0; i < EACH; i++) {
            double want = i == 0 ? c->ranks * 0x1p-50 : 0;
            for (int rank = 0; rank < c->ranks; rank++)
                want += number(rank + k, i);
            CHECK_NEAR(got[i], want, 0);
        }
    }
    check_sync(c);
    fixture_close(&f);
}

TEST(statistics_are_summed_in_double) {
    for (int ranks = 1; ranks <= 4; ranks++)
        run_ranks(ranks, work_on_statistics, NULL, 0);
}

/* Mean of some numbers and the sum of their squared distances from it. */
static void find_pool(const double *x, size_t count, size_t step, double *mean, double *squares) {
    *mean = *squares = 0;
    for (size_t i = 0; i < count; i++)
        *mean += x[i * step] / (double)count;
    for (size_t i = 0; i < count; i++)
        *squares += (x[i * step] - *mean) * (x[i * step] - *mean);
}

static void work_on_pools(nnclr_communicator *c, void *context) {
    (void)context;
    enum { ROWS = 5, EACH = GROUPS * 2 * CHANNELS };
    double x[MOST_RANKS][GROUPS][ROWS][CHANNELS], pool[2][EACH], got[EACH];
    void *place[2];
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F64, 1);
    for (int rank = 0; rank < c->ranks; rank++)
        for (size_t i = 0; i < sizeof x[0] / sizeof(double); i++)
            (&x[rank][0][0][0])[i] = sin((double)i + 40.0 * rank) + rank;
    for (int k = 0; k < 2; k++) {
        for (int group = 0; group < GROUPS; group++)
            for (int i = 0; i < CHANNELS; i++) {
                double *to = &pool[k][group * 2 * CHANNELS + i];
                find_pool(&x[c->rank][k ? 1 - group : group][0][i], ROWS, CHANNELS, to,
                          to + CHANNELS);
            }
        place[k] = fixture_alloc(&f, f.t->statistics_bytes(&f.g, GROUPS, CHANNELS));
        f.t->put_statistics(&f.g, place[k], EACH, pool[k]);
    }
    nnclr_join_pools(c, &f.g, place, 2, GROUPS, CHANNELS, ROWS);
    for (int k = 0; k < 2; k++) {
        f.t->get_statistics(&f.g, place[k], EACH, got);
        for (int group = 0; group < GROUPS; group++)
            for (int i = 0; i < CHANNELS; i++) {
                double all[MOST_RANKS * ROWS], mean, squares;
                for (int row = 0; row < c->ranks * ROWS; row++)
                    all[row] = x[row / ROWS][k ? 1 - group : group][row % ROWS][i];
                find_pool(all, (size_t)c->ranks * ROWS, 1, &mean, &squares);
                CHECK_NEAR(got[group * 2 * CHANNELS + i], mean, 1e-14);
                CHECK_NEAR(got[group * 2 * CHANNELS + CHANNELS + i], squares, 1e-13);
            }
    }
    fixture_close(&f);
}

TEST(pools_are_joined) {
    for (int ranks = 1; ranks <= 4; ranks++)
        run_ranks(ranks, work_on_pools, NULL, 0);
}

/* ---- agreement ---- */

typedef struct view {
    unsigned wish, all;
    nnclr_error e;
    bool ok, agreed;
} view;

static void agree(nnclr_communicator *c, void *context) {
    view *v = context;
    v->all = v->wish;
    v->ok = nnclr_agree(c, &v->all, &v->e);
    v->agreed = c->agreed;
}

TEST(wishes_are_everyones) {
    view v[3] = {{.wish = 1}, {.wish = 0}, {.wish = 4}};
    run_ranks(3, agree, v, sizeof *v);
    for (int rank = 0; rank < 3; rank++)
        CHECK(v[rank].ok && v[rank].all == 5 && !v[rank].agreed);
}

TEST(the_lowest_rank_with_an_error_is_heard) {
    view v[4] = {{.wish = 0}};
    for (int rank = 2; rank < 4; rank++) {
        v[rank].e.code = rank == 2 ? NNCLR_ERROR_INPUT : NNCLR_ERROR_MEMORY;
        snprintf(v[rank].e.message, sizeof v[rank].e.message, "number %d", rank);
    }
    run_ranks(4, agree, v, sizeof *v);
    for (int rank = 0; rank < 4; rank++) {
        CHECK(!v[rank].ok && v[rank].agreed && v[rank].e.code == NNCLR_ERROR_INPUT);
        CHECK_TEXT(v[rank].e.message, "rank 2: number 2");
    }
}

TEST(what_rank_0_has_names_no_rank) {
    view v[3] = {{.wish = 0}};
    for (int rank = 0; rank < 3; rank++)
        v[rank].e = (nnclr_error){NNCLR_ERROR_USAGE, "no"};
    run_ranks(3, agree, v, sizeof *v);
    for (int rank = 0; rank < 3; rank++)
        CHECK_TEXT(v[rank].e.message, "no");
    run_ranks(1, agree, v, sizeof *v);
    CHECK(!v[0].ok && v[0].agreed);
}

static void agree_on(nnclr_communicator *c, void *context) {
    view *v = context;
    v->ok = nnclr_agree_on(c, v->wish, "its hash", &v->e);
    v->agreed = c->agreed;
}

TEST(values_that_differ_are_found) {
    view v[3] = {{.wish = 7}, {.wish = 7}, {.wish = 7}};
    run_ranks(3, agree_on, v, sizeof *v);
    for (int rank = 0; rank < 3; rank++)
        CHECK(v[rank].ok);
    v[2].wish = 8;
    run_ranks(3, agree_on, v, sizeof *v);
    for (int rank = 0; rank < 3; rank++) {
        CHECK(!v[rank].ok && v[rank].agreed);
        CHECK_TEXT(v[rank].e.message, "rank 2: its hash differs from that of rank 0");
    }
}

/* ---- failures ---- */

static void leave_one(nnclr_communicator *c, void *context) {
    (void)context;
    nnclr_error e = NNCLR_NO_ERROR;
    double x = 1;
    if (c->rank == 1) {
        c->table->abort(c, 3);
        return;
    }
    nnclr_sum_doubles(c, &x, 1);
    nnclr_sum_doubles(c, &x, 1);
    CHECK(x == 1);
    CHECK_FAILS_WITH(nnclr_communicator_sync(c, &e), "another rank ended with 3");
    CHECK_FAILS_WITH(nnclr_agree(c, NULL, &e), "another rank ended with 3");
    CHECK(!c->agreed);
}

TEST(a_failure_sticks) {
    run_ranks(3, leave_one, NULL, 0);
}

static void send_too_much(nnclr_communicator *c, void *context) {
    (void)context;
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_gather_bytes(c, NULL, NNCLR_MESSAGE_MOST, NULL);
    CHECK_FAILS(nnclr_communicator_sync(c, &e), "2 ranks cannot exchange 1073741824 bytes");
}

TEST(messages_are_bounded) {
    run_ranks(2, send_too_much, NULL, 0);
}

TEST(one_rank_changes_nothing) {
    nnclr_communicator c = nnclr_communicator_self();
    nnclr_error e = NNCLR_NO_ERROR;
    double x = 0.1;
    int64_t record = 7, got = 0;
    nnclr_sum_doubles(&c, &x, 1);
    nnclr_gather_bytes(&c, &record, sizeof record, &got);
    CHECK(x == 0.1 && got == 7 && c.received == 0);
    CHECK_OK(nnclr_agree(&c, NULL, &e));
    CHECK_OK(nnclr_agree_on(&c, 1, "it", &e));
    nnclr_communicator_close(&c);
}

int main(void) {
    return check_all();
}
