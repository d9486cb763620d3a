/* kNN: the golden vote, ties, small banks, missing labels, and whole predictions against a plain
 * double computation for any chunk of test rows. */
#include "tests/unit/check.h"

#include "base/memory.h"
#include "base/rng.h"
#include "eval/knn.h"
#include "tests/unit/statistics.h"

static nnclr_error e; /* of the call that is checked */

enum { TRAIN = 90, TEST = 33, DIMS = 6, CLASSES = 7 };

/* The kNN row of the golden numbers: (cosine, class) = (.9,0) (.8,1) (.79,1) (.5,2), t = .1. */
TEST(golden_vote) {
    const nnclr_neighbour neighbours[] = {{.9, 3}, {.8, 0}, {.79, 2}, {.5, 1}};
    const int64_t label[] = {1, 2, 1, 0};
    double votes[3];
    nnclr_knn_vote(neighbours, 4, label, .1, votes, 3);
    CHECK_NEAR(votes[0], 8103.0839, 5e-5);
    CHECK_NEAR(votes[1], 5678.2403, 5e-5);
    CHECK_NEAR(votes[2], 148.4132, 5e-5);
    CHECK(nnclr_prediction_place(votes, 3, 0) == 0);
    CHECK(nnclr_prediction_place(votes, 3, 1) == 1);
    CHECK(nnclr_prediction_place(votes, 3, 2) == 2);
}

TEST(equal_votes_go_to_the_lower_class) {
    const double votes[] = {0, 2, 5, 2, 5};
    static const int64_t place[] = {4, 2, 0, 3, 1};
    for (int c = 0; c < 5; c++)
        CHECK(nnclr_prediction_place(votes, 5, c) == place[c]);
}

TEST(what_has_no_label_does_not_vote) {
    const nnclr_neighbour neighbours[] = {{.9, 0}, {.8, 1}, {0, -1}};
    const int64_t label[] = {-1, 1};
    double votes[2];
    nnclr_knn_vote(neighbours, 3, label, 1, votes, 2);
    CHECK_NEAR(votes[0], 0, 0);
    CHECK_NEAR(votes[1], exp(.8), 1e-15);
}

typedef struct data {
    float train[TRAIN * DIMS], test[TEST * DIMS];
    int64_t train_label[TRAIN], test_label[TEST];
} data;

static void draw_rows(float *rows, int64_t *label, int n, uint64_t seed) {
    for (int i = 0; i < n; i++) {
        nnclr_rng rng = nnclr_rng_at(seed, NNCLR_DRAW_SAMPLE, 0, (uint64_t)i, 0);
        label[i] = (int64_t)nnclr_rng_below(&rng, CLASSES);
        for (int j = 0; j < DIMS; j++)
            rows[i * DIMS + j] = (float)nnclr_rng_uniform(&rng, -1, 1) + (j == label[i]);
    }
}

static void make(data *d) {
    draw_rows(d->train, d->train_label, TRAIN, 1);
    draw_rows(d->test, d->test_label, TEST, 2);
    for (int i = 0; i < TRAIN; i += 8)
        d->train_label[i] = -1;
    for (int i = 0; i < TEST; i += 9)
        d->test_label[i] = -1;
}

static bool predict(const data *d, nnclr_knn_options options, nnclr_prediction *out) {
    nnclr_pool *pool = nnclr_pool_create(2, &e);
    const nnclr_row_source train = nnclr_rows_in_memory(d->train, TRAIN, DIMS);
    const nnclr_row_source test = nnclr_rows_in_memory(d->test, TEST, DIMS);
    bool ok = pool && nnclr_knn_predict(pool, &train, d->train_label, &test, d->test_label, CLASSES,
                                        &options, out, &e);
    nnclr_pool_free(pool);
    return ok;
}

/* The class that wins for one test row: selection of the k best by repeated passes. */
static int64_t plain_winner(const data *d, int i, int k, double temperature) {
    double votes[CLASSES] = {0};
    bool taken[TRAIN] = {false};
    for (int rank = 0; rank < k; rank++) {
        int best = -1;
        for (int row = 0; row < TRAIN; row++)
            if (!taken[row] && d->train_label[row] >= 0 &&
                (best < 0 || cosine(d->test + i * DIMS, d->train + row * DIMS, DIMS) >
                                 cosine(d->test + i * DIMS, d->train + best * DIMS, DIMS)))
                best = row;
        if (best < 0)
            break;
        taken[best] = true;
        votes[d->train_label[best]] +=
            exp(cosine(d->test + i * DIMS, d->train + best * DIMS, DIMS) / temperature);
    }
    int64_t winner = 0;
    for (int c = 1; c < CLASSES; c++)
        if (votes[c] > votes[winner])
            winner = c;
    return winner;
}

TEST(agrees_with_a_plain_computation) {
    static const int k[] = {1, 5, 20, 1000}, chunk[] = {0, 1, 10};
    data d;
    make(&d);
    for (size_t i = 0; i < sizeof k / sizeof *k; i++)
        for (size_t j = 0; j < sizeof chunk / sizeof *chunk; j++) {
            nnclr_prediction out[TEST];
            int64_t right = 0, labelled = 0;
            const nnclr_knn_options options = {.k = k[i], .temperature = .2, .chunk = chunk[j]};
            CHECK_OK(predict(&d, options, out));
            for (int row = 0; row < TEST; row++) {
                CHECK(out[row].label == plain_winner(&d, row, k[i], .2));
                CHECK(out[row].score > 0 && out[row].score <= 1);
                CHECK((out[row].place == 0) == (out[row].label == d.test_label[row]));
                CHECK((out[row].place < 0) == (d.test_label[row] < 0));
                right += out[row].label == d.test_label[row];
                labelled += d.test_label[row] >= 0;
            }
            nnclr_accuracy accuracy = nnclr_prediction_accuracy(out, TEST);
            CHECK(accuracy.n == labelled);
            CHECK_NEAR(accuracy.top1, (double)right / (double)labelled, 1e-15);
            CHECK(accuracy.top5 > accuracy.top1 && accuracy.top5 <= 1);
        }
}

/* The winner for row i among the others: as above, over a copy in which that row has no label. */
static int64_t plain_winner_of_others(const data *d, int i, int k, double temperature) {
    data others = *d;
    others.train_label[i] = -1;
    memcpy(others.test, d->train + i * DIMS, DIMS * sizeof *others.test);
    return plain_winner(&others, 0, k, temperature);
}

TEST(a_row_left_out_is_no_neighbour_of_itself) {
    static const int k[] = {1, 5, 1000}, chunk[] = {0, 1, 7};
    data d;
    make(&d);
    memcpy(d.train + 5 * DIMS, d.train + 4 * DIMS, DIMS * sizeof *d.train); /* equal, and another */
    for (size_t i = 0; i < sizeof k / sizeof *k; i++)
        for (size_t j = 0; j < sizeof chunk / sizeof *chunk; j++) {
            nnclr_prediction out[TRAIN];
            const nnclr_knn_options options = {
                .k = k[i], .temperature = .2, .chunk = chunk[j], .leave_one_out = true};
            nnclr_pool *pool = nnclr_pool_create(2, &e);
            const nnclr_row_source rows = nnclr_rows_in_memory(d.train, TRAIN, DIMS);
            CHECK_OK(pool);
            CHECK_OK(nnclr_knn_predict(pool, &rows, d.train_label, &rows, d.train_label, CLASSES,
                                       &options, out, &e));
            for (int row = 0; row < TRAIN; row++)
                CHECK(out[row].label == plain_winner_of_others(&d, row, k[i], .2));
            nnclr_pool_free(pool);
        }
}

TEST(top5_counts_places) {
    const nnclr_prediction predictions[] = {
        {.place = 0}, {.place = 4}, {.place = 5}, {.place = -1}};
    nnclr_accuracy accuracy = nnclr_prediction_accuracy(predictions, 4);
    CHECK(accuracy.n == 3);
    CHECK_NEAR(accuracy.top1, 1. / 3, 1e-15);
    CHECK_NEAR(accuracy.top5, 2. / 3, 1e-15);
    accuracy = nnclr_prediction_accuracy(predictions + 3, 1);
    CHECK(accuracy.n == 0 && isnan(accuracy.top1) && isnan(accuracy.top5));
}

TEST(a_bank_without_labels_is_refused) {
    data d;
    nnclr_prediction out[TEST];
    make(&d);
    for (int i = 0; i < TRAIN; i++)
        d.train_label[i] = -1;
    CHECK_FAILS_AS(predict(&d, (nnclr_knn_options){.k = 5, .temperature = .1}, out),
                   NNCLR_ERROR_INPUT);
    CHECK_TEXT(e.message, "no row of TRAIN has a label, so none can vote");
}

int main(void) {
    return check_all();
}
