/* The losses of one whole step against golden numbers computed in plain Python double precision. */
#include "tests/unit/golden_method.h"

static const double temperatures[3] = {0.1, 0.2, 0.5};

/* The loss at the three temperatures; in double, and in float less exactly. */
static void check_losses(nnclr_recipe recipe, bool predictor, const double want[3]) {
    static const nnclr_precision precisions[2] = {NNCLR_PRECISION_F64, NNCLR_PRECISION_F32};
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < 3; i++) {
            golden g;
            recipe.temperature = temperatures[i];
            golden_open(&g, precisions[p], recipe, predictor);
            CHECK_NEAR(golden_loss(&g), want[i], p ? 2e-6 : 6e-7);
            golden_close(&g);
        }
}

TEST(one_assignment) {
    nnclr_method_options options = golden_options;
    options.swap = false;
    check_losses(nnclr(&options), true, (double[]){.002406, .057686, .385139});
}

TEST(view_swap_averages_two_terms) {
    check_losses(nnclr(&golden_options), true, (double[]){.014628, .089567, .411775});
}

TEST(rows_and_columns) {
    nnclr_method_options options = golden_options;
    options.loss = NNCLR_LOSS_ROW_COLUMN;
    check_losses(nnclr(&options), true, (double[]){.012957, .089769, .413463});
    options.swap = false;
    check_losses(nnclr(&options), true, (double[]){.004104, .066154, .391442});
}

TEST(positive_of_the_own_view) {
    static const double z1_p2[3] = {.034468, .161603, .516264},
                        z2_p1[3] = {.165519, .271899, .573909};
    nnclr_method_options options = golden_options;
    options.positive = NNCLR_POSITIVE_VIEW;
    double mean[3];
    for (int i = 0; i < 3; i++)
        mean[i] = (z1_p2[i] + z2_p1[i]) / 2;
    check_losses(nnclr(&options), true, mean);
    options.swap = false;
    check_losses(nnclr(&options), true, z1_p2);
}

TEST(simclr_of_opposite_views) {
    static const double z1_z2[3] = {.065247, .238639, .580062},
                        z2_z1[3] = {.232855, .312818, .587873};
    nnclr_method_options options = golden_options;
    options.negatives = NNCLR_NEGATIVES_OPPOSITE;
    double mean[3];
    for (int i = 0; i < 3; i++)
        mean[i] = (z1_z2[i] + z2_z1[i]) / 2;
    check_losses(simclr(&options), false, mean);
    options.swap = false;
    check_losses(simclr(&options), false, z1_z2);
}

TEST(ntxent) {
    nnclr_method_options options = golden_options;
    check_losses(simclr(&options), false, (double[]){.418778, .574416, .972231});
}

/* From the cosines of rows of z with rows of p of the other view, picture by picture. */
TEST(simsiam_and_byol_of_golden_rows) {
    nnclr_method_options options = golden_options;
    options.positive = NNCLR_POSITIVE_VIEW;
    double cosines[2] = {0};
    for (int view = 0; view < 2; view++)
        for (int i = 0; i < GOLDEN_N; i++) {
            double z[GOLDEN_D], p[GOLDEN_D];
            for (int j = 0; j < GOLDEN_D; j++) {
                z[j] = (double)golden_views[view][i][j];
                p[j] = (double)golden_views[1 - view][i][GOLDEN_D + j];
            }
            cosines[view] += dot_product(z, p, GOLDEN_D) / GOLDEN_N /
                             sqrt(dot_product(z, z, GOLDEN_D) * dot_product(p, p, GOLDEN_D));
        }
    const double mean = -(cosines[0] + cosines[1]) / 2;
    check_losses(simsiam(&options), true, (double[]){mean, mean, mean});
    options.swap = false;
    check_losses(simsiam(&options), true, (double[]){-cosines[0], -cosines[0], -cosines[0]});
    const double distance = 2 - 2 * cosines[0], both = distance + 2 - 2 * cosines[1];
    check_losses(byol(&options), true, (double[]){distance, distance, distance});
    options.swap = true;
    check_losses(byol(&options), true, (double[]){both, both, both});
}

TEST(the_gradient_of_p) {
    static const double want[GOLDEN_N * GOLDEN_D] = {-.001368, .000640, .006157, .010168, -.005480,
                                                     .001319,  .004313, .000565, -.001294};
    nnclr_method_options options = golden_options;
    options.swap = false;
    golden g;
    golden_open(&g, NNCLR_PRECISION_F64, nnclr(&options), true);
    golden_loss(&g);
    const nnclr_tensor *gradient =
        nnclr_execution_gradient(g.pass.execution, nnclr_network_find(g.net, "prediction"));
    double *host = host_reals(&g.f, gradient->place, 2 * GOLDEN_N * GOLDEN_D);
    for (int i = 0; i < GOLDEN_N * GOLDEN_D; i++) {
        CHECK_NEAR(host[i], 0, 0); /* view 1 predicts nothing without the swap */
        CHECK_NEAR(host[GOLDEN_N * GOLDEN_D + i], want[i], 6e-7);
    }
    free(host);
    golden_close(&g);
}

TEST(neighbours_are_those_of_the_reference) {
    static const int32_t want[2 * GOLDEN_N] = {0, 1, 2, 0, 3, 2};
    static const double cosines[2 * GOLDEN_N] = {.995037, .944443, .894427,
                                                 .957826, .980196, .975900};
    golden g;
    golden_open(&g, NNCLR_PRECISION_F64, nnclr(&golden_options), true);
    golden_loss(&g);
    double sum = 0;
    for (int i = 0; i < 2 * GOLDEN_N; i++) {
        CHECK(nnclr_method_picks(g.method)[i] == want[i]);
        sum += cosines[i];
    }
    nnclr_method_metrics metrics;
    nnclr_method_batch batch = golden_batch(1);
    CHECK(nnclr_method_measure(g.method, &batch, &metrics, &g.e));
    CHECK_NEAR(metrics.nn_sim, sum / 6, 1e-6);
    CHECK_NEAR(metrics.nn_distinct, 4.0 / 6, 0);
    CHECK_NEAR(metrics.nn_initial, 1, 0);
    CHECK(isnan(metrics.nn_age));
    golden_close(&g);
}

int main(void) {
    return check_all();
}
