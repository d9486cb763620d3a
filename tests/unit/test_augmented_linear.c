/* Linear evaluation on augmented views: the network is left as it is; without augmentation it is
 * SGD on embeddings; the views are those of (seed, epoch, record), one after the other; equal bits
 * for any number of threads. */
#include "eval/augmented_linear.h"

#include "base/memory.h"
#include "base/rng.h"
#include "eval/embed.h"
#include "eval/labelled_rows.h"
#include "image/encode.h"
#include "image/view_maker.h"
#include "tests/unit/check.h"
#include "tests/unit/engine_fixture.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

enum { RECORDS = 45, CLASSES = 3, LABELLED = 40, SIDE = 20, SIZE = 16, SEED = 5, EPOCHS = 3 };
enum { VIEW = 3 * SIZE * SIZE, BATCH = 12 };
static const char *const classes[] = {"a", "b", "c"};

static int64_t label_of(int record) {
    return record % 9 == 8 ? -1 : record % CLASSES;
}

/* Noise, with more of the label's colour. */
static nnclr_shard_set *make_set(void) {
    const char *path = scratch("noise.tar.zst");
    const nnclr_shard_options options = {
        .output = path, .classes = classes, .class_count = 3, .program = "test 1", .level = 3};
    nnclr_shard_writer *writer = nnclr_shard_writer_open(&options, &e);
    CHECK_OK(writer);
    for (int i = 0; i < RECORDS; i++) {
        uint8_t pixels[3 * SIDE * SIDE];
        nnclr_rng rng = nnclr_rng_at(SEED, NNCLR_DRAW_SAMPLE, 0, (uint64_t)i, 0);
        for (int j = 0; j < 3 * SIDE * SIDE; j++)
            pixels[j] = (uint8_t)(nnclr_rng_u32(&rng) % 200 + (j % 3 == i % CLASSES ? 55 : 0));
        nnclr_buffer bytes = {0};
        const nnclr_image image = {.width = SIDE, .height = SIDE, .pixels = pixels};
        CHECK_OK(nnclr_encode_ppm(&image, &bytes, &e));
        const nnclr_record record = {.name = "noise",
                                     .label = label_of(i),
                                     .width = SIDE,
                                     .height = SIDE,
                                     .codec = NNCLR_CODEC_PPM,
                                     .size = bytes.size};
        CHECK_OK(nnclr_shard_writer_add(writer, -1, &record, bytes.data, &e));
        nnclr_buffer_free(&bytes);
    }
    CHECK_OK(nnclr_shard_writer_commit(writer, &e));
    nnclr_shard_set *set = nnclr_shard_set_open(&path, 1, 1 << 20, &e);
    CHECK_OK(set);
    return set;
}

typedef struct bench {
    fixture f;
    nnclr_config config;
    nnclr_network *net;
    nnclr_parameters parameters;
    int cut, d;
    nnclr_evaluation_options view;
    nnclr_shard_set *set;
    int64_t label[RECORDS];
} bench;

/* A small network with running statistics that are not those of any batch. */
static void open_bench(bench *b, int threads) {
    memset(b, 0, sizeof *b);
    fixture_open(&b->f, NNCLR_PRECISION_F32, threads);
    b->config = nnclr_config_preset(NNCLR_PRESET_TINY);
    nnclr_config_size(&b->config, SIZE);
    b->net = nnclr_model_build(&b->config.model, &e);
    CHECK_OK(b->net);
    /* Opened for training, so that nothing but the mode keeps its statistics from changing. */
    CHECK_OK(nnclr_parameters_create(&b->parameters, b->net, &b->f.g, true, &e));
    CHECK_OK(nnclr_parameters_initialize(&b->parameters, SEED, &e));
    const size_t count = (size_t)nnclr_network_statistic_count(b->net);
    float *statistics = nnclr_alloc(count, sizeof *statistics, &e);
    nnclr_rng rng = nnclr_rng_at(SEED, NNCLR_DRAW_SAMPLE, 1, 0, 0);
    CHECK(statistics);
    for (size_t i = 0; i < count; i++)
        statistics[i] = (float)nnclr_rng_uniform(&rng, 0.2, 0.6);
    b->f.t->put(&b->f.g, b->parameters.statistics, count, NNCLR_F32, statistics);
    nnclr_free(statistics);
    b->cut = nnclr_network_find(b->net, "features");
    b->d = nnclr_network_value(b->net, (size_t)b->cut)->c;
    b->view = nnclr_embed_view(&b->config, threads);
    b->view.batch = 7; /* divides nothing */
    b->set = make_set();
    for (int i = 0; i < RECORDS; i++)
        b->label[i] = label_of(i);
}

static void close_bench(bench *b) {
    nnclr_shard_set_close(b->set);
    nnclr_parameters_free(&b->parameters);
    nnclr_network_free(b->net);
    fixture_close(&b->f);
}

static nnclr_augmented_options options_of(const bench *b, double area_low, double flip) {
    nnclr_config config = b->config;
    nnclr_config_augment(&config, NNCLR_AUGMENT_CROP);
    config.augment.area_low = area_low;
    config.augment.flip = flip;
    return (nnclr_augmented_options){
        .sgd = {.epochs = EPOCHS, .batch = BATCH, .lr = 2, .weight_decay = 0.01},
        .seed = SEED,
        .augment = config.augment};
}

static void train(bench *b, const nnclr_augmented_options *options, nnclr_classifier *classifier,
                  nnclr_linear_fit *fit) {
    CHECK_OK(nnclr_augmented_train(&b->parameters, b->cut, &b->view, b->set, b->label, CLASSES,
                                   options, classifier, fit, &e));
    CHECK(fit->rows == LABELLED && fit->steps == EPOCHS * ((LABELLED + BATCH - 1) / BATCH));
}

/* Two classifiers, equal except for rounding. */
static void check_alike(const nnclr_classifier *a, const nnclr_classifier *b) {
    double largest = 0;
    for (int i = 0; i < a->classes * a->d; i++)
        largest = fmax(largest, fabs((double)b->weight[i]));
    CHECK(a->classes == b->classes && a->d == b->d && largest > 0.01);
    for (int i = 0; i < a->classes * a->d; i++)
        CHECK_NEAR(a->weight[i], b->weight[i], 2e-5 * largest);
    for (int c = 0; c < a->classes; c++)
        CHECK_NEAR(a->bias[c], b->bias[c], 2e-5 * largest);
    for (int j = 0; j < a->d; j++) {
        CHECK_NEAR(a->mean[j], b->mean[j], 1e-5);
        CHECK_NEAR(a->scale[j], b->scale[j], 1e-5 * b->scale[j]);
    }
}

/* ---- freezing ---- */

static float *host_copy(bench *b, const void *place, int64_t count) {
    float *host = nnclr_alloc((size_t)count, sizeof *host, &e);
    CHECK_OK(host);
    b->f.t->get(&b->f.g, place, (size_t)count, NNCLR_F32, host);
    CHECK_OK(b->f.t->sync(&b->f.g, &e));
    return host;
}

TEST(the_network_is_left_as_it_is) {
    bench b;
    open_bench(&b, 2);
    const int64_t weights = nnclr_network_parameter_count(b.net),
                  statistics = nnclr_network_statistic_count(b.net);
    float *weights_before = host_copy(&b, b.parameters.weights, weights),
          *statistics_before = host_copy(&b, b.parameters.statistics, statistics);
    const int64_t batches = b.parameters.batches;
    nnclr_augmented_options options = options_of(&b, 0.08, 0.5);
    options.standardize = true;
    nnclr_classifier classifier;
    nnclr_linear_fit fit;
    nnclr_prediction predictions[RECORDS];
    train(&b, &options, &classifier, &fit);
    CHECK_OK(nnclr_augmented_predict(&b.parameters, b.cut, &b.view, b.set, b.label, &classifier,
                                     NULL, predictions, &e));
    float *weights_after = host_copy(&b, b.parameters.weights, weights),
          *statistics_after = host_copy(&b, b.parameters.statistics, statistics);
    CHECK(memcmp(weights_before, weights_after, (size_t)weights * sizeof(float)) == 0);
    CHECK(memcmp(statistics_before, statistics_after, (size_t)statistics * sizeof(float)) == 0);
    CHECK(b.parameters.batches == batches);
    nnclr_free(weights_before);
    nnclr_free(weights_after);
    nnclr_free(statistics_before);
    nnclr_free(statistics_after);
    nnclr_classifier_free(&classifier);
    close_bench(&b);
}

/* ---- against embeddings ---- */

typedef struct embedding {
    float *rows; /* [RECORDS][d] */
    int d;
} embedding;

static bool put_rows(void *context, int64_t first, int64_t count, const float *rows,
                     nnclr_error *unused) {
    const embedding *x = context;
    (void)unused;
    memcpy(x->rows + first * x->d, rows, (size_t)(count * x->d) * sizeof *rows);
    return true;
}

static void check_equals_embeddings(bench *b, bool standardize) {
    float *rows = nnclr_alloc(RECORDS, (size_t)b->d * sizeof *rows, &e);
    CHECK_OK(rows);
    embedding x = {rows, b->d};
    const nnclr_row_sink sink = {.put = put_rows, .context = &x};
    CHECK_OK(nnclr_embed_network(&b->parameters, b->cut, b->set, &b->view, &sink, &e));
    const nnclr_row_source source = nnclr_rows_in_memory(rows, RECORDS, b->d);
    nnclr_augmented_options options = options_of(b, 1, 0);
    options.standardize = standardize;
    const nnclr_linear_options plain = {.solver = NNCLR_SOLVER_SGD,
                                        .standardize = standardize,
                                        .seed = SEED,
                                        .epochs = EPOCHS,
                                        .batch = BATCH,
                                        .lr = options.sgd.lr,
                                        .weight_decay = options.sgd.weight_decay};
    nnclr_classifier must, is;
    nnclr_linear_fit must_fit, is_fit;
    nnclr_prediction must_say[RECORDS], say[RECORDS];
    CHECK_OK(nnclr_linear_train(&b->f.g, &source, b->label, CLASSES, &plain, &must, &must_fit, &e));
    CHECK_OK(nnclr_linear_predict(&b->f.g, &must, &source, b->label, must_say, &e));
    train(b, &options, &is, &is_fit);
    CHECK(must_fit.steps == is_fit.steps);
    check_alike(&is, &must);
    CHECK_OK(nnclr_augmented_predict(&b->parameters, b->cut, &b->view, b->set, b->label, &is, NULL,
                                     say, &e));
    for (int i = 0; i < RECORDS; i++) {
        CHECK(say[i].label == must_say[i].label && say[i].place == must_say[i].place);
        CHECK_NEAR(say[i].score, must_say[i].score, 1e-4);
    }
    nnclr_classifier_free(&must);
    nnclr_classifier_free(&is);
    nnclr_free(rows);
}

TEST(without_augmentation_it_is_sgd_on_embeddings) {
    bench b;
    open_bench(&b, 1);
    check_equals_embeddings(&b, false);
    check_equals_embeddings(&b, true);
    close_bench(&b);
}

/* ---- the views ---- */

/* The same by hand: each view is made and embedded alone. */
static void train_by_hand(bench *b, const nnclr_augmented_options *o, nnclr_classifier *x) {
    nnclr_softmax_sgd_options how = o->sgd;
    nnclr_view_maker maker = {0};
    uint32_t records[LABELLED], order[LABELLED];
    float view[VIEW], *const out[NNCLR_VIEWS] = {view, NULL};
    float *row = nnclr_alloc(2 * (size_t)b->d + 1, sizeof *row, &e), *scratch_row = row + b->d;
    double *weights = nnclr_alloc_zero(CLASSES, ((size_t)b->d + 1) * sizeof *weights, &e);
    int count = 0;
    for (uint32_t i = 0; i < RECORDS; i++)
        if (b->label[i] >= 0)
            records[count++] = i;
    how.rows = count;
    CHECK_OK(count == LABELLED && row && weights && nnclr_classifier_create(x, CLASSES, b->d, &e));
    nnclr_softmax *softmax = nnclr_softmax_create(&b->f.g, b->d + 1, CLASSES, &e);
    nnclr_softmax_sgd *sgd =
        nnclr_softmax_sgd_create(&b->f.g, softmax, weights, b->d + 1, CLASSES, &how, &e);
    nnclr_embedder *embedder = nnclr_embedder_create(&b->parameters, b->cut, &b->view, &e);
    CHECK_OK(softmax && sgd && embedder);
    nnclr_embedder_pack(embedder);
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        nnclr_permutation(SEED, NNCLR_DRAW_ORDER, epoch, LABELLED, order);
        for (int i = 0; i < LABELLED; i++) {
            const uint32_t record = records[order[i]];
            const nnclr_view_key key = {.seed = SEED, .record = record, .epoch = epoch};
            CHECK_OK(nnclr_view_maker_views(&maker, b->set, &o->augment, key, out, &e));
            nnclr_normalize(view, SIZE * SIZE, o->augment.mean, o->augment.std);
            CHECK_OK(nnclr_embedder_rows(embedder, view, 1, row, &e));
            CHECK_OK(nnclr_classifier_put(x, &b->f.g, row, scratch_row,
                                          nnclr_softmax_sgd_place(sgd), "TRAIN", record, &e));
            CHECK_OK(nnclr_softmax_sgd_take(sgd, b->label[record], &e));
        }
    }
    nnclr_softmax_keep(weights, x);
    nnclr_embedder_free(embedder);
    nnclr_softmax_sgd_free(sgd);
    nnclr_softmax_free(softmax);
    nnclr_view_maker_free(&maker);
    nnclr_free(weights);
    nnclr_free(row);
}

TEST(views_are_those_of_seed_epoch_and_record) {
    bench b;
    open_bench(&b, 2);
    const nnclr_augmented_options options = options_of(&b, 0.08, 0.5);
    nnclr_classifier is, must;
    nnclr_linear_fit fit;
    train(&b, &options, &is, &fit);
    train_by_hand(&b, &options, &must);
    check_alike(&is, &must);
    nnclr_classifier_free(&is);
    nnclr_classifier_free(&must);
    close_bench(&b);
}

/* ---- the rest ---- */

static bool same_bits(const nnclr_classifier *a, const nnclr_classifier *b) {
    return a->d == b->d &&
           memcmp(a->weight, b->weight, (size_t)(CLASSES * a->d) * sizeof(float)) == 0 &&
           memcmp(a->bias, b->bias, CLASSES * sizeof(float)) == 0;
}

TEST(same_bits_for_any_number_of_threads_other_bits_for_another_seed) {
    nnclr_classifier first = {0};
    for (int threads = 1; threads <= 4; threads++) {
        bench b;
        open_bench(&b, threads == 4 ? 1 : threads);
        nnclr_augmented_options options = options_of(&b, 0.08, 0.5);
        options.seed += threads == 4;
        nnclr_classifier classifier;
        nnclr_linear_fit fit;
        train(&b, &options, &classifier, &fit);
        if (threads == 1)
            first = classifier;
        else
            CHECK_SAYS(same_bits(&first, &classifier) == (threads < 4), "%d threads", threads);
        if (threads > 1)
            nnclr_classifier_free(&classifier);
        close_bench(&b);
    }
    nnclr_classifier_free(&first);
}

typedef struct told {
    int64_t views, total;
    int calls, most;
} told;

static bool note(void *context, const char *unit, int64_t views, int64_t total, const char *text) {
    told *t = context;
    if (strcmp(unit, "views") == 0 && views > t->views && strncmp(text, "loss ", 5) == 0)
        *t = (told){views, total, t->calls + 1, t->most};
    return t->calls < t->most;
}

TEST(progress_counts_views_and_stops) {
    bench b;
    open_bench(&b, 1);
    told t = {.most = 1000};
    const nnclr_progress progress = {note, &t};
    nnclr_augmented_options options = options_of(&b, 0.08, 0.5);
    options.progress = &progress;
    nnclr_classifier classifier;
    nnclr_linear_fit fit;
    train(&b, &options, &classifier, &fit);
    CHECK(t.views == EPOCHS * LABELLED && t.total == t.views);
    CHECK(t.calls == EPOCHS * ((LABELLED + b.view.batch - 1) / b.view.batch));
    nnclr_classifier_free(&classifier);
    t = (told){.most = 2};
    CHECK_FAILS_AS(nnclr_augmented_train(&b.parameters, b.cut, &b.view, b.set, b.label, CLASSES,
                                         &options, &classifier, &fit, &e),
                   NNCLR_ERROR_STOPPED);
    CHECK(t.calls == 2);
    close_bench(&b);
}

TEST(what_cannot_be_learnt_is_refused) {
    bench b;
    nnclr_classifier classifier;
    nnclr_linear_fit fit;
    open_bench(&b, 2);
    nnclr_augmented_options options = options_of(&b, 0.08, 0.5);
    options.sgd.lr = 1e30;
    options.sgd.weight_decay = 1;
    options.sgd.epochs = 40;
    CHECK_FAILS(nnclr_augmented_train(&b.parameters, b.cut, &b.view, b.set, b.label, CLASSES,
                                      &options, &classifier, &fit, &e),
                "SGD diverges in epoch");
    CHECK(e.code == NNCLR_ERROR_NUMERIC);
    for (int i = 0; i < RECORDS; i++)
        b.label[i] = -1;
    CHECK_FAILS(nnclr_augmented_train(&b.parameters, b.cut, &b.view, b.set, b.label, CLASSES,
                                      &options, &classifier, &fit, &e),
                "no picture of TRAIN has a label");
    CHECK(e.code == NNCLR_ERROR_INPUT);
    CHECK_FAILS_AS(nnclr_augmented_train(&b.parameters, b.cut, &b.view, b.set, b.label,
                                         NNCLR_LINEAR_CLASSES + 1, &options, &classifier, &fit, &e),
                   NNCLR_ERROR_LIMIT);
    close_bench(&b);
}

int main(void) {
    return check_all();
}
