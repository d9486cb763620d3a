/* The neighbour graph against nnclr_nearest, to the bit: whatever the blocks and threads, with
 * candidates and records left out, with rows that only double can tell apart, and between sets. */
#include "tests/unit/check.h"

#include "base/rng.h"
#include "eval/neighbour_graph.h"

static nnclr_error e; /* of the call that is checked */

enum { BANK = 331, QUERIES = 97, MANY = 2100, DIMS = 21, K = 9, MOST_K = 70 };

typedef struct fixture {
    nnclr_pool *pool;
    nnclr_engine engine;
    float bank[BANK * DIMS], queries[QUERIES * DIMS];
    nnclr_neighbour expected[BANK * MOST_K], found[BANK * MOST_K]; /* MANY * K is less */
} fixture;

static fixture f;

static void start(int threads) {
    f.pool = nnclr_pool_create(threads, &e);
    CHECK_OK(f.pool);
    CHECK_OK(nnclr_engine_open(&f.engine, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F32, f.pool, &e));
}

static void stop(void) {
    nnclr_engine_close(&f.engine);
    nnclr_pool_free(f.pool);
}

static void fill(float *rows, int count, uint64_t seed) {
    for (int i = 0; i < count; i++) {
        nnclr_rng rng = nnclr_rng_at(seed, NNCLR_DRAW_SAMPLE, 0, (uint64_t)i, 0);
        for (int j = 0; j < DIMS; j++)
            rows[i * DIMS + j] = (float)nnclr_rng_uniform(&rng, -3, 4);
    }
}

/* Searches both ways and compares; returns how many queries were searched twice. */
static int64_t compare(const float *queries, int count, nnclr_nearest_options options) {
    int64_t again = -1;
    const nnclr_row_source bank = nnclr_rows_in_memory(f.bank, BANK, DIMS);
    const nnclr_row_source asking = nnclr_rows_in_memory(queries, count, DIMS);
    const size_t size = (size_t)count * (size_t)options.k * sizeof *f.found;
    CHECK_OK(nnclr_nearest(&f.engine, &bank, queries, count, &options, f.expected, &e));
    CHECK_OK(nnclr_neighbour_graph(&f.engine, &bank, &asking, &options, f.found, &again, &e));
    CHECK_SAYS(memcmp(f.expected, f.found, size) == 0, "k %d, blocks %d and %d: differ", options.k,
               options.bank_block, options.query_block);
    return again;
}

static void equals_nearest_whatever_the_blocks_and_threads(void) {
    static const int bank_blocks[] = {0, 1, 13, 100}, query_blocks[] = {0, 1, 10};
    fill(f.bank, BANK, 1);
    fill(f.queries, QUERIES, 2);
    for (int threads = 1; threads <= 3; threads++) {
        start(threads);
        for (int b = 0; b < 4; b++)
            for (int q = 0; q < 3; q++) {
                nnclr_nearest_options options = {
                    .k = K, .bank_block = bank_blocks[b], .query_block = query_blocks[q]};
                CHECK(compare(f.queries, QUERIES, options) == 0);
            }
        stop();
    }
}

/* So many that an engine shares out queries, not rows, on one and two threads. */
static void many_queries_are_shared_out(void) {
    static float many[MANY * DIMS];
    int64_t record[BANK], exclude[MANY];
    fill(f.bank, BANK, 12);
    fill(many, MANY, 13);
    for (int i = 0; i < BANK; i++)
        record[i] = i % 50;
    for (int i = 0; i < MANY; i++)
        exclude[i] = i % 60 - 5;
    for (int threads = 1; threads <= 3; threads++) {
        start(threads);
        compare(many, MANY,
                (nnclr_nearest_options){.k = K, .bank_record = record, .exclude = exclude});
        stop();
    }
}

static void a_row_is_no_neighbour_of_its_own_record(void) {
    int64_t record[BANK];
    fill(f.bank, BANK, 3);
    for (int i = 0; i < BANK; i++)
        record[i] = i % 5 == 0 ? -1 : i / 3;
    start(2);
    compare(f.bank, BANK,
            (nnclr_nearest_options){
                .k = K, .bank_record = record, .exclude = record, .bank_block = 50});
    for (int i = 0; i < BANK; i++)
        for (int j = 0; j < K; j++)
            CHECK(record[i] < 0 || record[f.found[i * K + j].row] != record[i]);
    stop();
}

static void only_candidates_are_found(void) {
    bool candidate[BANK];
    fill(f.bank, BANK, 4);
    fill(f.queries, QUERIES, 5);
    start(2);
    for (int one_in = 2; one_in <= 200; one_in *= 10) {
        for (int i = 0; i < BANK; i++)
            candidate[i] = i % one_in == 1;
        compare(f.queries, QUERIES,
                (nnclr_nearest_options){.k = K, .candidate = candidate, .bank_block = 30});
        CHECK(f.found[0].row % one_in == 1);
        CHECK((f.found[K - 1].row == -1) == (one_in == 200));
    }
    stop();
}

/* In f32 their order is rounding; the graph notices and asks again. */
static void nearly_equal_rows_are_told_apart(void) {
    fill(f.bank, BANK, 6);
    fill(f.queries, QUERIES, 7);
    for (int i = 0; i < BANK * DIMS; i++)
        f.bank[i] = f.queries[i % DIMS] + 1e-4F * f.bank[i];
    start(1);
    CHECK(compare(f.queries, QUERIES, (nnclr_nearest_options){.k = K, .bank_block = 60}) > 0);
    for (int i = 0; i < BANK; i++) /* all the same, and zeros */
        memcpy(f.bank + i * DIMS, f.queries, DIMS * sizeof *f.bank);
    memset(f.queries + 3 * DIMS, 0, DIMS * sizeof *f.queries);
    CHECK(compare(f.queries, QUERIES, (nnclr_nearest_options){.k = K}) == QUERIES);
    for (int i = 0; i < QUERIES * K; i++)
        CHECK(f.found[i].row == i % K);
    memset(f.bank + 300 * DIMS, 0, DIMS * sizeof *f.bank);
    compare(f.queries, QUERIES, (nnclr_nearest_options){.k = K});
    CHECK(f.found[3 * K].row == 300 && f.found[3 * K].cosine == 1 && f.found[3 * K + 1].row == 0);
    stop();
}

static void more_neighbours_than_the_engine_proposes(void) {
    fill(f.bank, BANK, 8);
    fill(f.queries, QUERIES, 9);
    start(2);
    CHECK(compare(f.queries, QUERIES, (nnclr_nearest_options){.k = MOST_K}) == QUERIES);
    stop();
}

static void not_finite_rows_are_refused(void) {
    fill(f.bank, BANK, 10);
    fill(f.queries, QUERIES, 11);
    start(1);
    const nnclr_row_source bank = nnclr_rows_in_memory(f.bank, BANK, DIMS);
    const nnclr_row_source asking = nnclr_rows_in_memory(f.queries, QUERIES, DIMS);
    const nnclr_nearest_options options = {.k = K, .bank_block = 100, .query_block = 10};
    f.queries[55 * DIMS] = NAN;
    CHECK_FAILS_WITH(nnclr_neighbour_graph(&f.engine, &bank, &asking, &options, f.found, NULL, &e),
                     "query row 55 holds a number that is not finite");
    f.bank[70 * DIMS + 2] = INFINITY;
    CHECK_FAILS_WITH(nnclr_neighbour_graph(&f.engine, &bank, &asking, &options, f.found, NULL, &e),
                     "bank row 70 holds a number that is not finite");
    stop();
}

int main(void) {
    RUN(equals_nearest_whatever_the_blocks_and_threads);
    RUN(many_queries_are_shared_out);
    RUN(a_row_is_no_neighbour_of_its_own_record);
    RUN(only_candidates_are_found);
    RUN(nearly_equal_rows_are_told_apart);
    RUN(more_neighbours_than_the_engine_proposes);
    RUN(not_finite_rows_are_refused);
    return check_done();
}
