/* Nearest rows: against a plain double search, whatever the blocks and threads; ties, exclusions,
 * rows of zeros, rows that are not finite. */
#include "tests/unit/check.h"

#include "base/memory.h"
#include "base/rng.h"
#include "eval/neighbours.h"
#include "tests/unit/statistics.h"
#include "tests/unit/threads_ranks.h"

static nnclr_error e; /* of the call that is checked */

enum { BANK = 157, QUERIES = 41, DIMS = 19, K = 12 };

static nnclr_pool *pool_of(int threads) {
    nnclr_pool *pool = nnclr_pool_create(threads, &e);
    CHECK_OK(pool);
    return pool;
}

static void fill(float *rows, int count, uint64_t seed) {
    for (int i = 0; i < count; i++) {
        nnclr_rng rng = nnclr_rng_at(seed, NNCLR_DRAW_SAMPLE, 0, (uint64_t)i, 0);
        for (int j = 0; j < DIMS; j++)
            rows[i * DIMS + j] = (float)nnclr_rng_uniform(&rng, -3, 5);
    }
}

static void nearest(nnclr_pool *pool, const float *bank, const float *queries,
                    nnclr_nearest_options options, nnclr_neighbour *out) {
    const nnclr_row_source source = nnclr_rows_in_memory(bank, BANK, DIMS);
    CHECK_OK(nnclr_nearest(pool, &source, queries, QUERIES, &options, out, &e));
}

/* The next best row by a plain search over all that are not taken. */
static int plain_best(const float *bank, const float *query, const bool *taken) {
    int best = -1;
    for (int row = 0; row < BANK; row++)
        if (!taken[row] && (best < 0 || cosine(query, bank + row * DIMS, DIMS) >
                                            cosine(query, bank + best * DIMS, DIMS)))
            best = row;
    return best;
}

static void check_plain(const float *bank, const float *queries, const nnclr_neighbour *out) {
    for (int i = 0; i < QUERIES; i++) {
        const float *query = queries + i * DIMS;
        bool taken[BANK] = {false};
        for (int rank = 0; rank < K; rank++) {
            int best = plain_best(bank, query, taken);
            taken[best] = true;
            CHECK_NEAR(out[i * K + rank].cosine, cosine(query, bank + best * DIMS, DIMS), 1e-14);
            CHECK(out[i * K + rank].row == best);
        }
    }
}

TEST(agrees_with_a_plain_search) {
    float bank[BANK * DIMS], queries[QUERIES * DIMS];
    nnclr_neighbour out[QUERIES * K];
    fill(bank, BANK, 1);
    fill(queries, QUERIES, 2);
    nnclr_pool *pool = pool_of(2);
    nearest(pool, bank, queries, (nnclr_nearest_options){.k = K}, out);
    check_plain(bank, queries, out);
    nnclr_pool_free(pool);
}

typedef struct told {
    int64_t done;
    int calls, most;
    bool falls;
} told;

static bool hear(void *context, const char *unit, int64_t done, int64_t total, const char *note) {
    told *t = context;
    (void)note;
    t->falls |= done < t->done || total != QUERIES || strcmp(unit, "rows") != 0;
    t->done = done;
    return ++t->calls < t->most;
}

TEST(progress_reaches_all_queries_and_stops) {
    float bank[BANK * DIMS], queries[QUERIES * DIMS];
    nnclr_neighbour out[QUERIES * K];
    enum { BLOCKS = 4, BLOCK = (BANK + BLOCKS - 1) / BLOCKS };
    told t = {.most = 1000};
    const nnclr_progress progress = {hear, &t};
    const nnclr_nearest_options options = {
        .k = K, .bank_block = BLOCK, .query_block = (QUERIES + 1) / 2, .progress = &progress};
    fill(bank, BANK, 1);
    fill(queries, QUERIES, 2);
    nnclr_pool *pool = pool_of(2);
    nearest(pool, bank, queries, options, out);
    CHECK(t.done == QUERIES && t.calls == 2 * BLOCKS && !t.falls);
    check_plain(bank, queries, out);
    t = (told){.most = 3};
    const nnclr_row_source source = nnclr_rows_in_memory(bank, BANK, DIMS);
    CHECK_FAILS_AS(nnclr_nearest(pool, &source, queries, QUERIES, &options, out, &e),
                   NNCLR_ERROR_STOPPED);
    CHECK(t.calls == 3);
    nnclr_pool_free(pool);
}

/* The cosines differ by less than a float's rounding: the proposals of the gemm must not decide. */
TEST(nearly_equal_rows_are_told_apart) {
    float bank[BANK * DIMS], queries[QUERIES * DIMS];
    nnclr_neighbour out[QUERIES * K];
    fill(bank, BANK, 12);
    fill(queries, QUERIES, 13);
    for (int i = 0; i < BANK * DIMS; i++)
        bank[i] = queries[i % DIMS] + 1e-4F * bank[i];
    nnclr_pool *pool = pool_of(1);
    nearest(pool, bank, queries, (nnclr_nearest_options){.k = K, .bank_block = 10}, out);
    check_plain(bank, queries, out);
    nnclr_pool_free(pool);
}

TEST(blocks_and_threads_change_nothing) {
    static const int bank_blocks[] = {1, 7, 64, 1000}, query_blocks[] = {1, 5, 41};
    float bank[BANK * DIMS], queries[QUERIES * DIMS];
    nnclr_neighbour first[QUERIES * K], again[QUERIES * K];
    fill(bank, BANK, 3);
    fill(queries, QUERIES, 4);
    for (int row = 100; row < 130; row++) /* many equal cosines */
        memcpy(bank + row * DIMS, bank + (row % 5) * DIMS, DIMS * sizeof *bank);
    for (int threads = 1; threads <= 3; threads++) {
        nnclr_pool *pool = pool_of(threads);
        if (threads == 1)
            nearest(pool, bank, queries, (nnclr_nearest_options){.k = K}, first);
        for (size_t b = 0; b < sizeof bank_blocks / sizeof *bank_blocks; b++)
            for (size_t q = 0; q < sizeof query_blocks / sizeof *query_blocks; q++) {
                nearest(pool, bank, queries,
                        (nnclr_nearest_options){
                            .k = K, .bank_block = bank_blocks[b], .query_block = query_blocks[q]},
                        again);
                CHECK_SAYS(memcmp(first, again, sizeof first) == 0,
                           "bank block %d, query block %d, %d threads differ", bank_blocks[b],
                           query_blocks[q], threads);
            }
        nnclr_pool_free(pool);
    }
}

typedef struct taken {
    nnclr_neighbour out[QUERIES * K];
    int64_t next;
    int chunks;
} taken;

static void take_chunk(void *context, int64_t first, int64_t count,
                       const nnclr_neighbour *neighbours) {
    taken *t = context;
    CHECK(first == t->next);
    memcpy(t->out + first * K, neighbours, (size_t)count * K * sizeof *neighbours);
    t->next = first + count;
    t->chunks++;
}

/* Queries that are read in chunks find what they find together, with the records that each leaves
 * out, and progress goes over all of them. */
TEST(chunks_change_nothing) {
    static const int chunks[] = {0, 1, 10, 1000};
    float bank[BANK * DIMS], queries[QUERIES * DIMS];
    nnclr_neighbour first[QUERIES * K];
    int64_t record[BANK], exclude[QUERIES];
    fill(bank, BANK, 14);
    fill(queries, QUERIES, 15);
    const nnclr_row_source source = nnclr_rows_in_memory(bank, BANK, DIMS),
                           asking = nnclr_rows_in_memory(queries, QUERIES, DIMS);
    for (int i = 0; i < BANK; i++)
        record[i] = i % 20;
    for (int i = 0; i < QUERIES; i++)
        exclude[i] = i % 25 - 3;
    nnclr_nearest_options options = {
        .k = K, .bank_record = record, .exclude = exclude, .bank_block = 50};
    nnclr_pool *pool = pool_of(2);
    nearest(pool, bank, queries, options, first);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        taken t = {.next = 0};
        told heard = {.most = 1000};
        const nnclr_progress progress = {hear, &heard};
        const int each = chunks[i] && chunks[i] < QUERIES ? chunks[i] : QUERIES;
        options.progress = &progress;
        CHECK_OK(
            nnclr_nearest_each(pool, &source, &asking, &options, chunks[i], take_chunk, &t, &e));
        CHECK(memcmp(first, t.out, sizeof first) == 0);
        CHECK(t.next == QUERIES && t.chunks == (QUERIES + each - 1) / each);
        CHECK(heard.done == QUERIES && !heard.falls);
    }
    queries[33 * DIMS] = NAN;
    taken t = {.next = 0};
    CHECK_FAILS(nnclr_nearest_each(pool, &source, &asking, &options, 10, take_chunk, &t, &e),
                "query row 33 holds a number that is not finite");
    CHECK(t.next == 27);
    nnclr_pool_free(pool);
}

/* One rank's search for all queries, with its share of the work. */
typedef struct share {
    nnclr_row_source bank, queries;
    const int64_t *record, *exclude;
    int chunk;
    taken t;
    bool failed;
    nnclr_error e;
} share;

static void search_share(nnclr_communicator *c, void *context) {
    share *s = context;
    nnclr_pool *pool = nnclr_pool_create(1, &s->e);
    const nnclr_nearest_options options = {
        .k = K, .bank_record = s->record, .exclude = s->exclude, .ranks = c};
    CHECK(pool);
    s->failed = !nnclr_nearest_each(pool, &s->bank, &s->queries, &options, s->chunk, take_chunk,
                                    &s->t, &s->e);
    nnclr_pool_free(pool);
}

/* Each rank gets what a single one finds, and the error of any. */
TEST(ranks_share_queries_out) {
    static const int chunks[] = {0, 1, 10, 15};
    static float bank[BANK * DIMS], queries[QUERIES * DIMS];
    static nnclr_neighbour alone[QUERIES * K];
    static share shares[4];
    int64_t record[BANK], exclude[QUERIES];
    fill(bank, BANK, 16);
    fill(queries, QUERIES, 17);
    for (int i = 0; i < BANK; i++)
        record[i] = i % 20;
    for (int i = 0; i < QUERIES; i++)
        exclude[i] = i % 25 - 3;
    nnclr_pool *pool = pool_of(2);
    nearest(pool, bank, queries,
            (nnclr_nearest_options){.k = K, .bank_record = record, .exclude = exclude}, alone);
    nnclr_pool_free(pool);
    for (int wrong = 0; wrong < 2; wrong++) {
        queries[33 * DIMS] = wrong ? NAN : queries[33 * DIMS];
        for (int ranks = 1; ranks <= 4; ranks++)
            for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
                const int each = chunks[i] ? chunks[i] : QUERIES,
                          rounds = (QUERIES + each * ranks - 1) / (each * ranks),
                          chunk = (QUERIES + rounds * ranks - 1) / (rounds * ranks);
                for (int rank = 0; rank < ranks; rank++)
                    shares[rank] = (share){.bank = nnclr_rows_in_memory(bank, BANK, DIMS),
                                           .queries = nnclr_rows_in_memory(queries, QUERIES, DIMS),
                                           .record = record,
                                           .exclude = exclude,
                                           .chunk = chunks[i]};
                run_ranks(ranks, search_share, shares, sizeof *shares);
                nnclr_error why = NNCLR_NO_ERROR;
                nnclr_fail(&why, NNCLR_ERROR_INPUT,
                           "query row 33 holds a number that is not finite");
                if (33 / chunk % ranks > 0)
                    nnclr_fail_at(&why, "rank %d", 33 / chunk % ranks);
                for (const share *s = shares; s < shares + ranks; s++) {
                    CHECK_SAYS(s->t.chunks == (wrong ? 33 / (chunk * ranks) : rounds),
                               "%d ranks, chunk %d: %d rounds", ranks, chunks[i], s->t.chunks);
                    CHECK(wrong ? s->failed && strcmp(s->e.message, why.message) == 0
                                : !s->failed && memcmp(s->t.out, alone, sizeof alone) == 0);
                }
            }
    }
}

TEST(equal_rows_come_by_number) {
    float bank[BANK * DIMS], queries[QUERIES * DIMS];
    nnclr_neighbour out[QUERIES * K];
    fill(queries, QUERIES, 5);
    for (int row = 0; row < BANK; row++)
        memcpy(bank + row * DIMS, queries, DIMS * sizeof *bank);
    nnclr_pool *pool = pool_of(2);
    for (int block = 11; block <= BANK; block += BANK - 11) { /* in one there are many proposals */
        nearest(pool, bank, queries, (nnclr_nearest_options){.k = K, .bank_block = block}, out);
        for (int i = 0; i < QUERIES; i++)
            for (int rank = 0; rank < K; rank++)
                CHECK(out[i * K + rank].row == rank);
        CHECK_NEAR(out[0].cosine, 1, 1e-15);
    }
    nnclr_pool_free(pool);
}

TEST(candidates_and_records_are_obeyed) {
    float bank[BANK * DIMS], queries[QUERIES * DIMS];
    nnclr_neighbour out[QUERIES * BANK];
    bool candidate[BANK];
    int64_t record[BANK], exclude[QUERIES];
    fill(bank, BANK, 6);
    fill(queries, QUERIES, 7);
    for (int row = 0; row < BANK; row++) {
        candidate[row] = row % 3 != 0;
        record[row] = row % 4 == 0 ? -1 : row % 10;
    }
    for (int i = 0; i < QUERIES; i++)
        exclude[i] = i % 11 - 1;
    nnclr_pool *pool = pool_of(2);
    nearest(pool, bank, queries,
            (nnclr_nearest_options){
                .k = BANK, .candidate = candidate, .bank_record = record, .exclude = exclude},
            out);
    for (int i = 0; i < QUERIES; i++) {
        int found = 0, expected = 0;
        for (int row = 0; row < BANK; row++)
            expected += candidate[row] && (exclude[i] < 0 || record[row] != exclude[i]);
        for (int rank = 0; rank < BANK && out[i * BANK + rank].row >= 0; rank++, found++) {
            int64_t row = out[i * BANK + rank].row;
            CHECK(candidate[row] && (exclude[i] < 0 || record[row] != exclude[i]));
        }
        CHECK(found == expected && found < BANK);
        for (int rank = found; rank < BANK; rank++)
            CHECK(out[i * BANK + rank].row == -1 && out[i * BANK + rank].cosine == 0);
    }
    nnclr_pool_free(pool);
}

/* A row of zeros is like other rows of zeros and nothing else, whatever the blocks; one that is
 * excluded is not among them. */
TEST(zeros_are_like_zeros_alone) {
    static const int blocks[] = {0, 1, 5, 40};
    float bank[BANK * DIMS], queries[QUERIES * DIMS];
    nnclr_neighbour out[QUERIES * BANK];
    int64_t record[BANK], exclude[QUERIES];
    fill(bank, BANK, 8);
    fill(queries, QUERIES, 9);
    memset(bank + 3 * DIMS, 0, DIMS * sizeof *bank);
    memset(bank + 150 * DIMS, 0, DIMS * sizeof *bank);
    memset(queries, 0, DIMS * sizeof *queries);
    memset(queries + 40 * DIMS, 0, DIMS * sizeof *queries);
    for (int i = 0; i < BANK; i++)
        record[i] = i;
    for (int i = 0; i < QUERIES; i++)
        exclude[i] = i == 40 ? 3 : -1;
    nnclr_pool *pool = pool_of(2);
    for (int b = 0; b < 4; b++) {
        nearest(pool, bank, queries, (nnclr_nearest_options){.k = K, .bank_block = blocks[b]}, out);
        check_plain(bank, queries, out);
        nearest(pool, bank, queries,
                (nnclr_nearest_options){
                    .k = BANK, .bank_block = blocks[b], .bank_record = record, .exclude = exclude},
                out);
        CHECK(out[0].row == 3 && out[1].row == 150 && out[1].cosine == 1);
        CHECK(out[2].row == 0 && out[BANK - 1].row == BANK - 1 && out[2].cosine == 0);
        CHECK(out[40 * BANK].row == 150 && out[40 * BANK].cosine == 1);
        CHECK(out[40 * BANK + 1].row == 0 && out[41 * BANK - 2].row == BANK - 1);
        CHECK(out[41 * BANK - 1].row == -1);
    }
    nnclr_pool_free(pool);
}

TEST(not_finite_rows_are_refused) {
    float bank[BANK * DIMS], queries[QUERIES * DIMS];
    nnclr_neighbour out[QUERIES * K];
    fill(bank, BANK, 10);
    fill(queries, QUERIES, 11);
    nnclr_pool *pool = pool_of(1);
    const nnclr_row_source source = nnclr_rows_in_memory(bank, BANK, DIMS);
    const nnclr_nearest_options options = {.k = K, .bank_block = 50};
    bank[120 * DIMS + 3] = INFINITY;
    CHECK_FAILS_WITH(nnclr_nearest(pool, &source, queries, QUERIES, &options, out, &e),
                     "bank row 120 holds a number that is not finite");
    queries[7 * DIMS] = NAN;
    CHECK_FAILS_WITH(nnclr_nearest(pool, &source, queries, QUERIES, &options, out, &e),
                     "query row 7 holds a number that is not finite");
    nnclr_pool_free(pool);
}

int main(void) {
    return check_all();
}
