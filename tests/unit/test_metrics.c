/* Each number of metrics.jsonl on a case where it must come to a known value, and the line itself:
 * all keys in their order, digits that read back exactly. Which case moves what:
 *
 *   grad_norm, h_std, p_std    numbers of NumPy for the golden rows
 *   contrast_acc               candidates exchanged, for one assignment and for both
 *   nn_*, self_present         a support set whose records, labels and steps are written down here
 *   z_rank                     NumPy's eigenvalues, and a set whose newest 1024 rows are on a line
 *   batch_spread               records of known distances
 *   crc32c                     published values: the catalogue's check, RFC 3720 B.4
 *   step, epoch, loss, lr, images_per_s   test_loss.c, and what the program writes: pretrain.bats
 */
#include "base/rng.h"
#include "eval/export_metrics.h"
#include "tests/unit/golden_method.h"
#include "train/metrics_line.h"

static nnclr_error e; /* of the call that is checked */

typedef struct taken {
    golden g;
    float views[2][GOLDEN_N][2 * GOLDEN_D];
    nnclr_method_batch batch;
    nnclr_method_metrics metrics;
} taken;

static void open_taken(taken *t, nnclr_recipe recipe, bool predictor) {
    golden_open(&t->g, NNCLR_PRECISION_F64, recipe, predictor);
    memcpy(t->views, golden_views, sizeof t->views);
    t->batch = (nnclr_method_batch){&t->views[0][0][0], golden_record, golden_label, 9};
}

static void measure(taken *t) {
    golden *g = &t->g;
    CHECK_SAYS(nnclr_method_compute(g->method, &t->batch, &g->e) &&
                   nnclr_method_measure(g->method, &t->batch, &t->metrics, &g->e),
               "%s", g->e.message);
}

static void exchange(float *a, float *b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

/* z or p of pictures 1 and 2 in one view. */
static void exchange_z(taken *t, int view) {
    exchange(t->views[view][1], t->views[view][2], GOLDEN_D);
}

static void exchange_p(taken *t, int view) {
    exchange(t->views[view][1] + GOLDEN_D, t->views[view][2] + GOLDEN_D, GOLDEN_D);
}

/* ---- contrast_acc ---- */

static void check_contrast(nnclr_recipe recipe, bool predictor, void (*change)(taken *, int),
                           int view, double want) {
    taken t;
    open_taken(&t, recipe, predictor);
    measure(&t);
    CHECK_NEAR(t.metrics.contrast_acc, 1, 0);
    change(&t, view);
    measure(&t);
    CHECK_NEAR(t.metrics.contrast_acc, want, 1e-15);
    golden_close(&t.g);
}

/* Two of view 2's three predictions are another picture's: a third of the first assignment is
 * right, all of the second, which has view 1's. */
TEST(contrast_acc_of_nnclr) {
    nnclr_method_options options = golden_options;
    check_contrast(nnclr(&options), true, exchange_p, 1, 2.0 / 3);
    check_contrast(nnclr(&options), true, exchange_p, 0, 2.0 / 3);
    options.loss = NNCLR_LOSS_ROW_COLUMN;
    check_contrast(nnclr(&options), true, exchange_p, 1, 2.0 / 3);
    options.positive = NNCLR_POSITIVE_VIEW;
    check_contrast(nnclr(&options), true, exchange_p, 1, 2.0 / 3);
    options = golden_options;
    options.swap = false;
    check_contrast(nnclr(&options), true, exchange_p, 1, 1.0 / 3);
    check_contrast(nnclr(&options), true, exchange_p, 0, 1);
}

/* On z, where both assignments see the exchange. */
TEST(contrast_acc_of_simclr_and_barlow) {
    nnclr_method_options options = golden_options;
    check_contrast(barlow(&options), false, exchange_z, 1, 1.0 / 3);
    check_contrast(barlow(&options), false, exchange_p, 1, 1);
    check_contrast(simclr(&options), false, exchange_z, 1, 1.0 / 3);
    check_contrast(simclr(&options), false, exchange_p, 1, 1);
    options.negatives = NNCLR_NEGATIVES_OPPOSITE;
    check_contrast(simclr(&options), false, exchange_z, 1, 1.0 / 3);
    options.swap = false;
    check_contrast(simclr(&options), false, exchange_z, 1, 1.0 / 3);
}

/* As of NNCLR: only predictions are candidates. */
TEST(contrast_acc_of_simsiam) {
    nnclr_method_options options = golden_options;
    check_contrast(simsiam(&options), true, exchange_p, 1, 2.0 / 3);
    options.positive = NNCLR_POSITIVE_VIEW;
    check_contrast(simsiam(&options), true, exchange_p, 1, 2.0 / 3);
    options.swap = false;
    check_contrast(simsiam(&options), true, exchange_p, 1, 1.0 / 3);
    check_contrast(simsiam(&options), true, exchange_p, 0, 1);
}

/* NT-Xent's other candidates do not count: view 1's pictures 0 and 1 are nearly the same, and
 * nearer to each other than to their own second views. */
TEST(contrast_acc_asks_the_opposite_view_alone) {
    nnclr_method_options options = golden_options;
    taken t;
    open_taken(&t, simclr(&options), false);
    const float near[2][GOLDEN_D] = {{1, .9f, 0}, {.9f, 1, 0}},
                far[2][GOLDEN_D] = {{1, 0, 0}, {0, 1, 0}};
    for (int i = 0; i < 2; i++) {
        memcpy(t.views[0][i], near[i], sizeof near[i]);
        memcpy(t.views[1][i], far[i], sizeof far[i]);
    }
    measure(&t);
    CHECK_NEAR(t.metrics.contrast_acc, 1, 0);
    golden_close(&t.g);
}

static const nnclr_engine_table *counted;
static int softmaxes;

static void count_softmax(nnclr_engine *g, const nnclr_cross_entropy_call *call) {
    softmaxes++;
    counted->cross_entropy(g, call);
}

/* NT-Xent's loss has one softmax for each view. Those with only the opposite view are made for a
 * line of the metrics, as often as one asks for it. */
TEST(contrast_acc_costs_nothing_unless_it_is_measured) {
    nnclr_method_options options = golden_options;
    options.negatives = NNCLR_NEGATIVES_ALL;
    golden g;
    golden_open(&g, NNCLR_PRECISION_F64, simclr(&options), false);
    nnclr_engine_table table = *g.f.g.table;
    counted = g.f.g.table;
    table.cross_entropy = count_softmax;
    g.f.g.table = &table;
    golden_loss(&g);
    CHECK(softmaxes == 2);
    const nnclr_method_batch batch = golden_batch(1);
    nnclr_method_metrics metrics[2];
    for (int i = 0; i < 2; i++) {
        CHECK(nnclr_method_measure(g.method, &batch, &metrics[i], &g.e));
        CHECK(softmaxes == 2 * (i + 2));
    }
    CHECK(metrics[0].contrast_acc == metrics[1].contrast_acc && metrics[0].contrast_acc > 0);
    g.f.g.table = counted;
    golden_close(&g);
}

/* ---- deviations and the gradient ---- */

TEST(deviations_before_any_normalisation) {
    taken t;
    open_taken(&t, nnclr(&golden_options), true);
    measure(&t);
    CHECK_NEAR(t.metrics.h_std, 0.596078376982364, 1e-7);
    CHECK_NEAR(t.metrics.p_std, 0.395428814749368, 1e-7);
    for (int view = 0; view < 2; view++)
        for (int i = 0; i < GOLDEN_N; i++)
            for (int j = 0; j < GOLDEN_D; j++) {
                t.views[view][i][j] += 5;             /* z: a shift is not a deviation */
                t.views[view][i][GOLDEN_D + j] *= 10; /* p: length counts */
            }
    double z_part = 2 * 0.596078376982364 - 0.395428814749368;
    measure(&t);
    CHECK_NEAR(t.metrics.p_std, 3.95428814749368, 1e-6);
    CHECK_NEAR(t.metrics.h_std, (z_part + 3.95428814749368) / 2, 1e-6);
    golden_close(&t.g);

    open_taken(&t, nnclr(&golden_options), false); /* without predictor p is z */
    measure(&t);
    CHECK_NEAR(t.metrics.p_std, 0.796727939215360, 1e-7);
    golden_close(&t.g);
}

TEST(the_norm_of_the_gradient) {
    nnclr_method_options options = golden_options;
    taken t;
    open_taken(&t, nnclr(&options), true);
    measure(&t);
    CHECK_NEAR(nnclr_method_gradient_norm(t.g.method), 0.26150235587755843, 1e-7);
    golden_close(&t.g);
    options.swap = false;
    open_taken(&t, nnclr(&options), true);
    measure(&t);
    CHECK_NEAR(nnclr_method_gradient_norm(t.g.method), 0.02454334931747599, 1e-8);
    golden_close(&t.g);
}

/* ---- the support set ---- */

/* The golden picks are rows 0, 1, 2 of view 1 and 0, 3, 2 of view 2, at step 9. */
static void open_described(taken *t, nnclr_recipe recipe, int64_t label_of_99) {
    static const int64_t record[GOLDEN_M] = {99, 10, -1, 11}, step[GOLDEN_M] = {3, 5, -1, 4};
    const int64_t label[GOLDEN_M] = {label_of_99, 1, -1, 1};
    open_taken(t, recipe, true);
    CHECK(nnclr_support_set_restore(&t->g.support, NNCLR_F64, golden_queue, record, label, step, 0,
                                    &t->g.e));
}

TEST(picks_of_both_views) {
    taken t;
    open_described(&t, nnclr(&golden_options), 1);
    measure(&t);
    const nnclr_method_metrics *m = &t.metrics;
    CHECK_NEAR(m->nn_sim, 0.9579716038716724, 1e-7);
    CHECK_NEAR(m->nn_initial, 2.0 / 6, 1e-15);           /* row 2, twice */
    CHECK_NEAR(m->nn_self, 1.0 / 6, 1e-15);              /* row 3 for picture 11 of view 2 */
    CHECK_NEAR(m->self_present, 2.0 / 3, 1e-15);         /* 10 and 11, not 12 */
    CHECK_NEAR(m->nn_age, (6 + 4 + 6 + 5) / 4.0, 1e-15); /* without row 2 */
    CHECK_NEAR(m->nn_distinct, 4.0 / 6, 1e-15);
    CHECK_NEAR(m->nn_acc, 2.0 / 6, 1e-15); /* picture 11, twice */
    CHECK_NEAR(m->nn_chance, (0 + 3.0 / 4 + 0) / 3, 1e-15);

    static const int64_t unlabelled[GOLDEN_N] = {-1, -1, -1};
    t.batch.label = unlabelled;
    measure(&t);
    CHECK(isnan(m->nn_acc) && isnan(m->nn_chance));
    CHECK_NEAR(m->nn_self, 1.0 / 6, 1e-15);
    golden_close(&t.g);
}

/* Two queries without a label do not count, though they pick a row without one. */
TEST(some_have_no_label) {
    static const int64_t label[GOLDEN_N] = {-1, 1, 0};
    taken t;
    open_described(&t, nnclr(&golden_options), -1);
    t.batch.label = label;
    measure(&t);
    CHECK_NEAR(t.metrics.nn_acc, 2.0 / 4, 1e-15);
    CHECK_NEAR(t.metrics.nn_chance, (2.0 / 4 + 0) / 2, 1e-15);
    golden_close(&t.g);
}

TEST(the_own_record_excluded) {
    nnclr_method_options options = golden_options;
    options.exclude_self = true;
    taken t;
    open_described(&t, nnclr(&options), 1);
    measure(&t);
    CHECK(t.metrics.nn_self == 0);
    CHECK_NEAR(t.metrics.self_present, 2.0 / 3, 1e-15);
    CHECK(nnclr_method_picks(t.g.method)[4] == 0); /* not its own row 3: 0 and 1 tie */
    golden_close(&t.g);
}

TEST(initial_rows_have_no_age) {
    taken t;
    open_taken(&t, nnclr(&golden_options), true);
    measure(&t);
    const nnclr_method_metrics *m = &t.metrics;
    CHECK(m->nn_initial == 1 && m->nn_self == 0 && m->self_present == 0 && isnan(m->nn_age));
    CHECK(m->nn_acc == 0 && m->nn_chance == 0);
    golden_close(&t.g);
}

TEST(what_is_not_defined) {
    nnclr_method_options options = golden_options;
    options.positive = NNCLR_POSITIVE_VIEW;
    taken t;
    open_described(&t, nnclr(&options), 1);
    measure(&t);
    const nnclr_method_metrics *m = &t.metrics;
    CHECK(isnan(m->nn_sim) && isnan(m->nn_initial) && isnan(m->nn_self) && isnan(m->nn_age));
    CHECK(isnan(m->nn_distinct) && isnan(m->nn_acc) && isnan(m->nn_chance));
    CHECK_NEAR(m->self_present, 2.0 / 3, 1e-15);
    CHECK(isfinite(m->z_rank) && isfinite(m->h_std) && isfinite(m->p_std));
    golden_close(&t.g);

    options = golden_options;
    open_taken(&t, simclr(&options), false);
    measure(&t);
    CHECK(isnan(m->nn_sim) && isnan(m->nn_initial) && isnan(m->nn_self) && isnan(m->nn_age));
    CHECK(isnan(m->nn_distinct) && isnan(m->nn_acc) && isnan(m->nn_chance));
    CHECK(isnan(m->self_present) && isnan(m->z_rank));
    CHECK(isfinite(m->contrast_acc) && isfinite(m->h_std) && isfinite(m->p_std));
    golden_close(&t.g);
}

/* ---- z_rank ---- */

/* The rows of a larger support set than the golden one. */
static void replace_support(golden *g, int m, int cursor, const double *rows) {
    int64_t *none = malloc((size_t)m * sizeof *none);
    CHECK(none);
    memset(none, 0xff, (size_t)m * sizeof *none);
    nnclr_support_set_free(&g->support);
    CHECK(nnclr_support_set_create(&g->support, &g->f.g, m, GOLDEN_D, 0, &g->e));
    CHECK(nnclr_support_set_restore(&g->support, NNCLR_F64, rows, none, none, none, cursor, &g->e));
    free(none);
}

/* The newest 1024 are plus and minus one direction; the few older ones are perpendicular to it,
 * wherever in the ring they are. */
TEST(rank_of_the_newest_1024) {
    enum { OLD = 30, M = 1024 + OLD };
    taken t;
    open_taken(&t, nnclr(&golden_options), true);
    measure(&t);
    CHECK_NEAR(t.metrics.z_rank, 2.1151995383254274, 1e-12);
    double *rows = zero_reals((size_t)M * GOLDEN_D);
    for (int cursor = 0; cursor < M; cursor += 500) {
        for (int i = 0; i < M; i++) {
            bool old = (i - cursor + M) % M < OLD;
            rows[i * GOLDEN_D] = old ? 0 : i % 2 ? 1 : -1;
            rows[i * GOLDEN_D + 1] = old;
        }
        replace_support(&t.g, M, cursor, rows);
        measure(&t);
        CHECK_NEAR(t.metrics.z_rank, 1, 1e-9);
    }
    for (int i = 0; i < M; i++) /* one row of age fewer is one direction more */
        rows[i * GOLDEN_D] = i < OLD + 1 ? 0 : i % 2 ? 1 : -1;
    rows[OLD * GOLDEN_D + 1] = 1;
    replace_support(&t.g, M, 0, rows);
    measure(&t);
    CHECK(t.metrics.z_rank > 1.001);
    free(rows);
    golden_close(&t.g);
}

/* ---- batch_spread ---- */

static double spread_of(const int64_t *record, int n, int64_t records) {
    nnclr_buffer scratch = {0};
    double spread;
    CHECK_OK(nnclr_batch_spread(record, n, records, &spread, &scratch, &e));
    nnclr_buffer_free(&scratch);
    return spread;
}

TEST(spread_of_a_batch) {
    enum { N = 64, RECORDS = 1 << 20 };
    CHECK_NEAR(spread_of((int64_t[]){10, 0, 4}, 3, 20), (10 + 4 + 6) / 3.0 / 20, 1e-15);
    CHECK(isnan(spread_of((int64_t[]){3}, 1, 20)));
    int64_t record[N];
    for (int i = 0; i < N; i++) /* neighbours in the file: (n + 1) / 3 apart */
        record[i] = 1000 + i;
    CHECK_NEAR(spread_of(record, N, RECORDS), (N + 1) / 3.0 / RECORDS, 1e-15);
    double mean = 0;
    for (int batch = 0; batch < 400; batch++) {
        nnclr_rng rng = nnclr_rng_at(1, NNCLR_DRAW_EXAMPLE, 0, (uint64_t)batch, 0);
        for (int i = 0; i < N; i++)
            record[i] = (int64_t)nnclr_rng_below(&rng, RECORDS);
        mean += spread_of(record, N, RECORDS) / 400;
    }
    CHECK_NEAR(mean, 1.0 / 3, 0.005); /* deviation of a batch: 0.021 */
}

/* ---- the line ---- */

static const char *const keys[] = {"loss",         "lr",        "grad_norm",   "images_per_s",
                                   "contrast_acc", "nn_sim",    "nn_initial",  "nn_self",
                                   "self_present", "nn_age",    "nn_distinct", "nn_agree",
                                   "nn_acc",       "nn_chance", "z_rank",      "z_spread",
                                   "h_rank",       "h_std",     "p_std",       "batch_spread"};
enum { KEYS = sizeof keys / sizeof *keys };

static nnclr_metrics_line line_of(const double v[KEYS]) {
    return (nnclr_metrics_line){
        .metrics = nnclr_method_line,
        .step = (int64_t)1 << 52,
        .epoch = 4000000000,
        .loss = v[0],
        .lr = v[1],
        .grad_norm = v[2],
        .images_per_s = v[3],
        .batch_spread = v[19],
        .method = {.contrast_acc = v[4],
                   .nn_sim = v[5],
                   .nn_initial = v[6],
                   .nn_self = v[7],
                   .self_present = v[8],
                   .nn_age = v[9],
                   .nn_distinct = v[10],
                   .nn_agree = v[11],
                   .nn_acc = v[12],
                   .nn_chance = v[13],
                   .z_rank = v[14],
                   .z_spread = v[15],
                   .h_rank = v[16],
                   .h_std = v[17],
                   .p_std = v[18]},
    };
}

static char *print_line(const double values[KEYS]) {
    nnclr_buffer out = {0};
    nnclr_metrics_line line = line_of(values);
    CHECK_OK(nnclr_metrics_print(&line, &out, &e));
    CHECK(out.size > 0 && out.data[out.size - 1] == '\n');
    char *text = malloc(out.size);
    CHECK(text);
    memcpy(text, out.data, out.size);
    text[out.size - 1] = '\0';
    CHECK(!strchr(text, '\n'));
    nnclr_buffer_free(&out);
    return text;
}

TEST(a_probe_has_a_line_of_its_own) {
    nnclr_buffer out = {0};
    nnclr_probe_line line = {.step = 312, .epoch = 1, .n = 8, .top1 = .375, .top5 = .5};
    CHECK_OK(nnclr_probe_print(&nnclr_knn_probe, &line, &out, &e));
    CHECK_TEXT((const char *)out.data, "{\"step\":312,\"epoch\":1,\"probe_top1\":0.375,"
                                       "\"probe_top5\":0.5,\"probe_n\":8}\n");
    line.step = 0;
    line.epoch = -1;
    CHECK_OK(nnclr_probe_print(&nnclr_knn_probe, &line, &out, &e));
    CHECK(strstr((const char *)out.data, "\"epoch\":null"));
    nnclr_buffer_free(&out);
}

TEST(numbers_read_back_exactly) {
    double values[KEYS] = {
        0.1, 4.8,         1.7976931348623157e308, 123456.78901234567, 1.0 / 3, -2.0 / 3, 5e-324, 1,
        0,   1e15 + 0.125};
    for (int i = 10; i < KEYS; i++)
        values[i] = sqrt(i) / 7;
    char *text = print_line(values), *at = text;
    static const char head[] = "{\"step\":4503599627370496,\"epoch\":4000000000";
    CHECK_SAYS(strncmp(at, head, sizeof head - 1) == 0, "%s", text);
    at += sizeof head - 1;
    for (int i = 0; i < KEYS; i++) {
        char key[40];
        int length = snprintf(key, sizeof key, ",\"%s\":", keys[i]);
        CHECK_SAYS(strncmp(at, key, (size_t)length) == 0, "%s instead of %s", at, key);
        double back = strtod(at + length, &at);
        CHECK_SAYS(memcmp(&back, &values[i], sizeof back) == 0, "%s: %.17g, not %.17g", keys[i],
                   back, values[i]);
    }
    CHECK_TEXT(at, "}");
    free(text);
}

TEST(what_is_not_finite_is_null) {
    for (int i = 0; i < KEYS; i++) {
        double values[KEYS];
        char key[40];
        for (int j = 0; j < KEYS; j++)
            values[j] = 2;
        values[i] = i % 2 ? NAN : INFINITY;
        char *text = print_line(values);
        snprintf(key, sizeof key, "\"%s\":null", keys[i]);
        char *at = strstr(text, "null");
        CHECK_SAYS(at && strstr(text, key) && !strstr(at + 1, "null"), "%s", text);
        free(text);
    }
}

TEST(crc32c_has_its_published_values) {
    unsigned char bytes[32] = {0};
    CHECK(nnclr_crc32c("123456789", 9) == 0xE3069283u);
    CHECK(nnclr_crc32c(bytes, 32) == 0x8A9136AAu);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    CHECK(nnclr_crc32c(bytes, 32) == 0x46DD794Eu);
    CHECK(nnclr_crc32c("", 0) == 0);
}

int main(void) {
    return check_all();
}
