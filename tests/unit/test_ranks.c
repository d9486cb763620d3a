/* Three workers with a third of the batch each are one worker with all of it: loss, gradient and
 * support set. The workers are threads, and what they exchange goes through shared memory. */
#include "tests/unit/golden_method.h"
#include "tests/unit/support_rows.h"
#include "tests/unit/threads_ranks.h"

enum { RANKS = GOLDEN_N, WEIGHTS = 2 * GOLDEN_D * 2 * GOLDEN_D };

typedef struct outcome {
    nnclr_recipe recipe;
    bool predictor;
    double loss, gradient_norm, contrast_acc;
    double gradient[WEIGHTS], queue[GOLDEN_M * GOLDEN_D];
    int64_t record[GOLDEN_M], label[GOLDEN_M];
    int cursor;
} outcome;

static void take(golden *g, outcome *out, const nnclr_method_batch *batch) {
    nnclr_method_metrics metrics;
    CHECK(nnclr_method_compute(g->method, batch, &g->e));
    CHECK(nnclr_method_measure(g->method, batch, &metrics, &g->e));
    CHECK(nnclr_method_enqueue(g->method, batch, &g->e));
    out->loss = nnclr_method_loss(g->method);
    out->gradient_norm = nnclr_method_gradient_norm(g->method);
    out->contrast_acc = metrics.contrast_acc;
    g->f.t->get(&g->f.g, g->parameters.gradients, nnclr_network_parameter_count(g->net), NNCLR_F64,
                out->gradient);
    support_rows(&g->support, out->queue);
    memcpy(out->record, g->support.record, sizeof out->record);
    memcpy(out->label, g->support.label, sizeof out->label);
    out->cursor = g->support.cursor;
}

static void work(nnclr_communicator *c, void *context) {
    outcome *out = context;
    golden g;
    float views[2][2 * GOLDEN_D];
    for (int view = 0; view < 2; view++)
        memcpy(views[view], golden_views[view][c->rank], sizeof views[view]);
    const nnclr_method_batch batch = {&views[0][0], &golden_record[c->rank], &golden_label[c->rank],
                                      1};
    golden_open_share(&g, NNCLR_PRECISION_F64, out->recipe, out->predictor, c, 1);
    take(&g, out, &batch);
    golden_close(&g);
}

static void check_ranks(nnclr_recipe recipe, bool predictor) {
    golden g;
    outcome whole = {.recipe = recipe}, parts[RANKS];
    nnclr_method_batch batch = golden_batch(1);
    golden_open(&g, NNCLR_PRECISION_F64, recipe, predictor);
    take(&g, &whole, &batch);
    golden_close(&g);

    memset(parts, 0, sizeof parts);
    for (int rank = 0; rank < RANKS; rank++) {
        parts[rank].recipe = recipe;
        parts[rank].predictor = predictor;
    }
    run_ranks(RANKS, work, parts, sizeof *parts);
    double correct = 0;
    for (int rank = 0; rank < RANKS; rank++)
        correct += parts[rank].contrast_acc / RANKS;

    CHECK_NEAR(correct, whole.contrast_acc, 1e-15);
    for (int rank = 0; rank < RANKS; rank++) {
        const outcome *part = &parts[rank];
        CHECK_NEAR(part->loss, whole.loss, 1e-14);
        CHECK_NEAR(part->gradient_norm, whole.gradient_norm, 1e-13);
        check_close("gradient", part->gradient, whole.gradient,
                    (size_t)(predictor ? 2 : 1) * GOLDEN_D * 2 * GOLDEN_D, 1e-13);
        CHECK(memcmp(part->queue, whole.queue, sizeof whole.queue) == 0);
        CHECK(memcmp(part->record, whole.record, sizeof whole.record) == 0);
        CHECK(memcmp(part->label, whole.label, sizeof whole.label) == 0);
        CHECK(part->cursor == whole.cursor);
    }
}

TEST(nnclr_over_ranks) {
    nnclr_method_options options = golden_options;
    check_ranks(nnclr(&options), true);
    options.loss = NNCLR_LOSS_ROW_COLUMN;
    check_ranks(nnclr(&options), true);
    options.swap = false;
    check_ranks(nnclr(&options), false);
}

TEST(the_own_view_over_ranks) {
    nnclr_method_options options = golden_options;
    options.positive = NNCLR_POSITIVE_VIEW;
    check_ranks(nnclr(&options), true);
}

TEST(simclr_over_ranks) {
    nnclr_method_options options = golden_options;
    check_ranks(simclr(&options), false);
    options.negatives = NNCLR_NEGATIVES_OPPOSITE;
    check_ranks(simclr(&options), false);
}

TEST(cosines_over_ranks) {
    nnclr_method_options options = golden_options;
    check_ranks(simsiam(&options), true);
    check_ranks(byol(&options), true);
    options.positive = NNCLR_POSITIVE_VIEW;
    check_ranks(simsiam(&options), true);
}

TEST(barlow_over_ranks) {
    check_ranks(barlow(&golden_options), false);
}

int main(void) {
    return check_all();
}
