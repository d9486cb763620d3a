/* Reports on sets in memory with planted findings, against plain loops and formulas. */
#include "tests/unit/check.h"

#include "base/memory.h"
#include "base/rng.h"
#include "eval/graph_reports.h"
#include "eval/health.h"
#include "tests/unit/statistics.h"

static nnclr_error e; /* of the call that is checked */

enum { N = 240, D = 24, CLASSES = 6, K = 7 };

typedef struct fixture {
    nnclr_pool *pool;
    nnclr_engine oracle;
    nnclr_row_set set, test;
    float rows[N * D], test_rows[N * D];
    int64_t record[N], label[N], step[N];
    nnclr_row_graph graph;
} fixture;

static fixture f;

/* Clusters around one centre for each class, `spread` wide. */
static void fill(float *rows, uint64_t seed, double spread) {
    for (int i = 0; i < N; i++) {
        nnclr_rng centre = nnclr_rng_at(77, NNCLR_DRAW_SAMPLE, 0, (uint64_t)(i % CLASSES), 0);
        nnclr_rng own = nnclr_rng_at(seed, NNCLR_DRAW_SAMPLE, 1, (uint64_t)i, 0);
        for (int j = 0; j < D; j++)
            rows[i * D + j] = (float)(nnclr_rng_uniform(&centre, -1, 1) +
                                      spread * nnclr_rng_uniform(&own, -1, 1));
    }
}

static void start(double spread) {
    memset(&f, 0, sizeof f);
    f.pool = nnclr_pool_create(2, &e);
    CHECK_OK(f.pool);
    CHECK_OK(nnclr_engine_open(&f.oracle, NNCLR_ENGINE_CPU, NNCLR_PRECISION_F64, f.pool, &e));
    fill(f.rows, 1, spread);
    fill(f.test_rows, 2, spread);
    for (int i = 0; i < N; i++) {
        f.record[i] = i;
        f.label[i] = i % CLASSES;
        f.step[i] = i / 10;
    }
    f.set = (nnclr_row_set){.rows = nnclr_rows_in_memory(f.rows, N, D),
                            .record = f.record,
                            .label = f.label,
                            .newest = -1};
    f.test = f.set;
    f.test.rows = nnclr_rows_in_memory(f.test_rows, N, D);
}

static void make_graph(const nnclr_row_set *set, int k) {
    CHECK_OK(nnclr_row_graph_make(f.pool, NULL, &f.set, set, k, NULL, &f.graph, &e));
}

static void stop(void) {
    nnclr_row_graph_free(&f.graph);
    nnclr_engine_close(&f.oracle);
    nnclr_pool_free(f.pool);
}

TEST(flipped_labels_rank_first) {
    nnclr_label_report report;
    bool flipped[N] = {false};
    int count = 0;
    start(0.9);
    for (int i = 4; i < N; i += 23, count++) {
        flipped[i] = true;
        f.label[i] = (i + 1 + i % 4) % CLASSES;
    }
    f.label[10] = f.label[11] = -1; /* no label, nothing to doubt */
    make_graph(&f.set, K);
    CHECK_OK(nnclr_report_labels(&f.graph, 0.1, &report, &e));
    CHECK(report.rows == N - 2 && report.count >= (size_t)count);
    for (int i = 0; i < count; i++) {
        const nnclr_label_doubt *one = &report.doubts[i];
        CHECK_SAYS(flipped[one->row], "row %d ranks %d", (int)one->row, i);
        CHECK(one->suggested == one->row % CLASSES);
        CHECK(f.label[one->witness.row] == one->suggested);
        CHECK_NEAR(one->doubt, one->suggested_share - one->share, 1e-12);
        CHECK(i == 0 || one->doubt <= report.doubts[i - 1].doubt);
    }
    nnclr_label_report_free(&report);
    stop();
}

/* The votes of one row by a plain loop. */
TEST(doubt_follows_its_formula) {
    nnclr_label_report report;
    start(3.0);
    make_graph(&f.set, K);
    CHECK_OK(nnclr_report_labels(&f.graph, 0.2, &report, &e));
    CHECK(report.count > 10);
    for (size_t i = 0; i < report.count; i++) {
        const nnclr_label_doubt *one = &report.doubts[i];
        double votes[CLASSES] = {0}, total = 0, best = 0;
        for (int j = 0; j < K; j++) {
            nnclr_neighbour near = nnclr_row_graph_of(&f.graph, one->row)[j];
            votes[f.label[near.row]] += exp(near.cosine / 0.2);
            total += exp(near.cosine / 0.2);
        }
        for (int c = 0; c < CLASSES; c++)
            if (c != f.label[one->row])
                best = fmax(best, votes[c]);
        CHECK_NEAR(one->suggested_share, best / total, 1e-12);
        CHECK_NEAR(one->share, votes[f.label[one->row]] / total, 1e-12);
        CHECK(one->doubt > 0);
    }
    nnclr_label_report_free(&report);
    stop();
}

TEST(classes_agree_with_a_plain_count) {
    nnclr_class_report report;
    double share[CLASSES][CLASSES] = {{0}}, purity = 0;
    int rows[CLASSES] = {0};
    size_t pairs = 0;
    start(2.0);
    for (int i = 0; i < 30; i++)
        f.label[i * 7] = 2;
    for (int i = 0; i < 20; i++)
        f.label[i * 11] = -1;
    make_graph(&f.set, K);
    CHECK_OK(nnclr_report_classes(&f.graph, &report, &e));
    int labelled = 0, of_class[CLASSES] = {0};
    for (int i = 0; i < N; i++) {
        int known = 0;
        const nnclr_neighbour *of = nnclr_row_graph_of(&f.graph, i);
        labelled += f.label[i] >= 0;
        if (f.label[i] >= 0)
            of_class[f.label[i]]++;
        for (int j = 0; j < K; j++)
            known += f.label[of[j].row] >= 0;
        if (f.label[i] < 0 || known == 0)
            continue;
        rows[f.label[i]]++;
        for (int j = 0; j < K; j++)
            if (f.label[of[j].row] >= 0)
                share[f.label[i]][f.label[of[j].row]] += 1.0 / known;
    }
    for (int a = 0; a < CLASSES; a++) {
        purity += share[a][a] / (double)report.rows;
        for (int b = 0; b < CLASSES; b++)
            pairs += share[a][b] > 0;
    }
    CHECK(report.count == pairs && pairs > CLASSES);
    CHECK_NEAR(report.purity, purity, 1e-12);
    CHECK(report.purity > report.chance && report.chance > 0.1 && report.chance < 0.3);
    for (size_t i = 0; i < report.count; i++) {
        const nnclr_class_pair *pair = &report.pairs[i];
        CHECK(pair->rows == rows[pair->label]);
        CHECK_NEAR(pair->share, share[pair->label][pair->neighbour_label] / rows[pair->label],
                   1e-12);
        CHECK_NEAR(pair->chance, (double)of_class[pair->neighbour_label] / labelled, 1e-12);
        CHECK(i == 0 || pair->label > pair[-1].label ||
              (pair->label == pair[-1].label && pair->share <= pair[-1].share));
    }
    nnclr_class_report_free(&report);
    stop();
}

TEST(hubs_and_outliers_agree_with_a_plain_count) {
    nnclr_ranking hubs, outliers;
    int occurrences[N] = {0};
    double mean = 0, second = 0, third = 0;
    start(2.0);
    make_graph(&f.set, K);
    for (int i = 0; i < N * K; i++)
        occurrences[f.graph.neighbours[i].row]++;
    for (int i = 0; i < N; i++) {
        mean += occurrences[i] / (double)N;
        second += pow(occurrences[i] - K, 2) / N;
        third += pow(occurrences[i] - K, 3) / N;
    }
    CHECK_OK(nnclr_report_hubs(&f.graph, &hubs, &e));
    CHECK(hubs.count == N);
    CHECK_NEAR(hubs.mean, mean, 1e-9);
    CHECK_NEAR(hubs.mean, K, 1e-9);
    CHECK_NEAR(hubs.skewness, third / pow(second, 1.5), 1e-9);
    for (int i = 0; i < N; i++) {
        CHECK(hubs.rows[i].value == occurrences[hubs.rows[i].row]);
        CHECK(i == 0 || hubs.rows[i].value <= hubs.rows[i - 1].value);
    }
    CHECK_OK(nnclr_report_outliers(&f.graph, &outliers, &e));
    CHECK(outliers.count == N);
    for (int i = 0; i < N; i++) {
        const int64_t row = outliers.rows[i].row;
        double distance = 0;
        for (int j = 0; j < K; j++)
            distance += 1 - cosine(f.rows + row * D,
                                   f.rows + nnclr_row_graph_of(&f.graph, row)[j].row * D, D);
        CHECK_NEAR(outliers.rows[i].value, distance / K, 1e-12);
        CHECK(i == 0 || outliers.rows[i].value <= outliers.rows[i - 1].value);
    }
    nnclr_ranking_free(&outliers);
    nnclr_ranking_free(&hubs);
    stop();
}

TEST(initial_rows_count_nowhere) {
    nnclr_ranking ranking;
    start(2.0);
    for (int i = 40; i < 50; i++)
        f.record[i] = f.label[i] = -1;
    make_graph(&f.set, K);
    CHECK_OK(nnclr_report_hubs(&f.graph, &ranking, &e));
    CHECK(ranking.count == N - 10);
    nnclr_ranking_free(&ranking);
    CHECK_OK(nnclr_report_outliers(&f.graph, &ranking, &e));
    CHECK(ranking.count == N - 10);
    nnclr_ranking_free(&ranking);
    stop();
}

/* ---- health ---- */

static double squared_distance(const float *a, const float *b) {
    return 2 - 2 * cosine(a, b, D);
}

TEST(health_follows_its_formulas) {
    nnclr_health h;
    double even = 0, aligned = 0, by_class = 0, pairs = 0, class_pairs = 0;
    start(1.5);
    for (int i = 0; i < N; i++)
        f.record[i] = i / 2;
    f.set.step = f.step;
    f.set.newest = f.step[N - 1];
    CHECK_OK(nnclr_measure_health(&f.oracle, &f.set, 0, NULL, &h, &e));
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++) {
            double distance = squared_distance(f.rows + i * D, f.rows + j * D);
            even += exp(-2 * distance);
            if (f.record[i] == f.record[j]) {
                aligned += distance;
                pairs++;
            }
            if (f.label[i] == f.label[j]) {
                by_class += distance;
                class_pairs++;
            }
        }
    CHECK(h.rows == N && h.records == N / 2 && h.d == D && h.initial == 0);
    CHECK_NEAR(h.uniformity, log(even / (N * (N - 1) / 2.0)), 1e-6);
    CHECK_NEAR(h.alignment, aligned / pairs, 1e-6);
    CHECK_NEAR(h.class_alignment, by_class / class_pairs, 1e-6);
    CHECK(h.effective_rank > 5 && h.effective_rank < D);
    CHECK(h.bins == NNCLR_AGE_BINS && h.bin_width == 2 && h.bin[0] == 20 && h.bin[11] == 20);
    for (int c = 0; c < D; c++) {
        double mean = 0, square = 0;
        for (int i = 0; i < N; i++) {
            double x = f.rows[i * D + c];
            double norm = 0;
            for (int j = 0; j < D; j++)
                norm += (double)f.rows[i * D + j] * f.rows[i * D + j];
            x /= sqrt(norm);
            mean += x / N;
            square += x * x / N;
        }
        CHECK_NEAR(h.std[c], sqrt(square - mean * mean), 1e-6);
        CHECK(h.std[c] >= h.std_least && h.std[c] <= h.std_most);
    }
    CHECK_NEAR(h.std_even, 1 / sqrt(D), 1e-12);
    nnclr_health_free(&h);
    stop();
}

/* Rows along +-axes: all directions alike, so the rank is D and every deviation the even one. */
TEST(health_of_axes) {
    nnclr_health h;
    start(1.0);
    memset(f.rows, 0, sizeof f.rows);
    for (int i = 0; i < N; i++)
        f.rows[i * D + i / 2 % D] = i % 2 ? -3.0F : 5.0F;
    CHECK_OK(nnclr_measure_health(&f.oracle, &f.set, 0, NULL, &h, &e));
    CHECK_NEAR(h.effective_rank, D, 1e-9);
    CHECK_NEAR(h.std_least, h.std_even, 1e-9);
    CHECK_NEAR(h.std_most, h.std_even, 1e-9);
    CHECK(isnan(h.alignment) && h.bins == 0);
    nnclr_health_free(&h);

    for (int i = 0; i < N; i++) /* collapsed: one direction */
        for (int j = 0; j < D; j++)
            f.rows[i * D + j] = 1 + i;
    CHECK_OK(nnclr_measure_health(&f.oracle, &f.set, 0, NULL, &h, &e));
    CHECK(isnan(h.effective_rank));
    CHECK_NEAR(h.uniformity, 0, 1e-6);
    CHECK_NEAR(h.std_most, 0, 1e-6);
    CHECK_NEAR(h.class_alignment, 0, 1e-6);
    nnclr_health_free(&h);

    for (int i = 0; i < N; i++)
        f.record[i] = f.label[i] = -1;
    CHECK_OK(nnclr_measure_health(&f.oracle, &f.set, 0, NULL, &h, &e));
    CHECK(h.initial == 1 && h.records == 0 && isnan(h.std_mean) && isnan(h.uniformity));
    nnclr_health_free(&h);
    stop();
}

/* If rows are longer than they are many, the other product has the same eigenvalues. */
TEST(rank_is_the_same_from_either_side) {
    nnclr_health wide, tall;
    static float padded[20 * 100];
    start(1.0);
    for (int i = 0; i < 20; i++)
        memcpy(padded + i * 100, f.rows + i * D, D * sizeof *padded);
    f.set.rows = nnclr_rows_in_memory(padded, 20, 100);
    CHECK_OK(nnclr_measure_health(&f.oracle, &f.set, 0, NULL, &wide, &e));
    f.set.rows = nnclr_rows_in_memory(f.rows, 20, D);
    CHECK_OK(nnclr_measure_health(&f.oracle, &f.set, 0, NULL, &tall, &e));
    CHECK_NEAR(wide.effective_rank, tall.effective_rank, 1e-9);
    CHECK(wide.effective_rank > 2);
    nnclr_health_free(&wide);
    nnclr_health_free(&tall);
    stop();
}

int main(void) {
    return check_all();
}
