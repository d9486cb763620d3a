/* The whole step on a small network: its gradient against finite differences of its loss, the same
 * bits for any number of threads, and the invariants that misaligned rows or labels would break. */
#include "base/rng.h"
#include "ssl/eigenvalues.h"
#include "tests/unit/golden_method.h"
#include "tests/unit/torch_summary.h"

enum { SIZE = 8, N = 6, M = 15 };

static const nnclr_method_options plain = {
    .negatives = NNCLR_NEGATIVES_ALL,
    .temperature = 0.2,
    .queue = M,
    .swap = true,
    .neighbours = 1,
};

/* Views of `count` records from `first` on: both alike if `alike`. */
static void draw_batch(stack *s, int64_t first, bool alike) {
    enum { PICTURE = SIZE * SIZE * 3 };
    for (int view = 0; view < 2; view++)
        for (int i = 0; i < N; i++) {
            nnclr_rng rng = nnclr_rng_at(9, NNCLR_DRAW_EXAMPLE, 0, (uint64_t)(first + i),
                                         alike ? 0 : (uint32_t)view);
            for (int j = 0; j < PICTURE; j++)
                s->views[(view * N + i) * PICTURE + j] =
                    (float)nnclr_rng_uniform(&rng, -2, 2) + 0.3f * (float)(i % 3);
            s->record[i] = first + i;
            s->label[i] = (first + i) % 4;
        }
}

static void open_small(stack *s, nnclr_precision precision, int threads, int m, nnclr_recipe recipe,
                       bool predictor) {
    const nnclr_model_spec spec = {.arch = NNCLR_RESNET18,
                                   .width = 0.125,
                                   .stem = NNCLR_STEM_CIFAR,
                                   .size = SIZE,
                                   .projector = {2, {16, 8}},
                                   .predictor = {predictor ? 1 : 0, {12}}};
    open_step(s, &(step_options){.precision = precision,
                                 .threads = threads,
                                 .spec = spec,
                                 .seed = 5,
                                 .n = N,
                                 .recipe = &recipe,
                                 .m = m,
                                 .d = 8});
    draw_batch(s, 0, false);
}

/* With the weights as they are now. */
static double compute(stack *s, int64_t number) {
    nnclr_pass_pack(&s->pass);
    return compute_step(s, number);
}

static nnclr_method_metrics measure(stack *s, int64_t step) {
    nnclr_method_batch batch = batch_of(s, step);
    nnclr_method_metrics metrics;
    CHECK_SAYS(nnclr_method_measure(s->method, &batch, &metrics, &s->e), "%s", s->e.message);
    return metrics;
}

/* ---- gradients ---- */

static void set_weight(stack *s, size_t at, double value) {
    s->f.t->put(&s->f.g, nnclr_real_at(&s->f.g, s->parameters.weights, at), 1, NNCLR_F64, &value);
}

/* Central differences at a parameter of each segment of the heads, and of every third of the
 * backbone (test_execution asks all), whose name begins with `prefix`; picks must stay what they
 * are. */
static void check_gradient(stack *s, const char *prefix) {
    const double h = 1e-6;
    size_t count = nnclr_network_parameter_count(s->net), checked = 0;
    compute(s, 1);
    double *gradient = host_reals(&s->f, s->parameters.gradients, count);
    double *weights = host_reals(&s->f, s->parameters.weights, count), largest = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs(gradient[i]));
        squares += gradient[i] * gradient[i];
    }
    CHECK_NEAR(nnclr_method_gradient_norm(s->method), sqrt(squares), 1e-10 * sqrt(squares));
    int32_t picks[2 * N];
    const int32_t *now = nnclr_method_picks(s->method);
    if (now)
        memcpy(picks, now, sizeof picks);
    for (size_t i = 0; i < nnclr_network_segment_count(s->net); i++) {
        const nnclr_segment *segment = &nnclr_network_segments(s->net)[i];
        if (strncmp(segment->name, prefix, strlen(prefix)) != 0 ||
            (i % 3 != 0 && strncmp(segment->name, "backbone.", 9) == 0))
            continue;
        size_t at = segment->offset + (i % 2 ? segment->count * 2 / 3 : 0);
        set_weight(s, at, weights[at] + h);
        double above = compute(s, 1);
        CHECK(!now || memcmp(picks, now, sizeof picks) == 0);
        set_weight(s, at, weights[at] - h);
        double below = compute(s, 1);
        CHECK(!now || memcmp(picks, now, sizeof picks) == 0);
        set_weight(s, at, weights[at]);
        double slope = (above - below) / (2 * h);
        CHECK_SAYS(fabs(slope - gradient[at]) < 1e-6 * (largest + 1), "%s[%zu]: %g, not %g",
                   segment->name, at - segment->offset, gradient[at], slope);
        checked++;
    }
    CHECK(checked > 0);
    free(gradient);
    free(weights);
}

static void check_gradient_of(nnclr_recipe recipe, bool predictor, const char *prefix) {
    stack s;
    open_small(&s, NNCLR_PRECISION_F64, 1, M, recipe, predictor);
    check_gradient(&s, prefix);
    close_step(&s);
}

TEST(the_gradient_of_nnclr) {
    check_gradient_of(nnclr(&plain), true, "");
    nnclr_method_options options = plain;
    options.swap = false;
    options.loss = NNCLR_LOSS_ROW_COLUMN;
    check_gradient_of(nnclr(&options), true, "");
}

TEST(the_gradient_without_predictor) {
    check_gradient_of(nnclr(&plain), false, "");
}

TEST(the_gradient_of_simclr) {
    nnclr_method_options options = plain;
    check_gradient_of(simclr(&options), false, "");
    options.negatives = NNCLR_NEGATIVES_OPPOSITE;
    check_gradient_of(simclr(&options), false, "");
    options.swap = false;
    check_gradient_of(simclr(&options), false, "");
}

TEST(the_gradient_of_barlow) {
    nnclr_method_options options = plain;
    options.off_diagonal = 0.3;
    check_gradient_of(barlow(&options), false, "");
}

/* The positive moves with the projector but passes no gradient, so only the predictor's is the
 * slope of the loss. */
TEST(the_gradient_of_the_own_view) {
    nnclr_method_options options = plain;
    options.positive = NNCLR_POSITIVE_VIEW;
    check_gradient_of(nnclr(&options), true, "predictor.");
    check_gradient_of(simsiam(&options), true, "predictor.");
}

TEST(the_gradient_of_simsiam) {
    nnclr_method_options options = plain;
    check_gradient_of(simsiam(&options), true, "");
    options.swap = false;
    check_gradient_of(simsiam(&options), true, "");
}

/* The positive passes no gradient: if z is not what p is made of, none comes to it. */
TEST(positives_are_detached) {
    static const nnclr_positive positives[2] = {NNCLR_POSITIVE_NN, NNCLR_POSITIVE_VIEW};
    enum { WEIGHTS = GOLDEN_D * 2 * GOLDEN_D };
    for (int i = 0; i < 2; i++)
        for (int loss = 0; loss < 3; loss++) {
            nnclr_method_options options = golden_options;
            options.positive = positives[i];
            options.loss = loss == 1 ? NNCLR_LOSS_ROW_COLUMN : NNCLR_LOSS_ROW;
            golden g;
            golden_open(&g, NNCLR_PRECISION_F64, loss == 2 ? simsiam(&options) : nnclr(&options),
                        true);
            golden_loss(&g);
            double *gradient = host_reals(&g.f, g.parameters.gradients, 2 * WEIGHTS), of_p = 0;
            for (int j = 0; j < WEIGHTS; j++) {
                CHECK(gradient[j] == 0);
                of_p += fabs(gradient[WEIGHTS + j]);
            }
            CHECK(of_p > 0.01);
            free(gradient);
            golden_close(&g);
        }
}

static void change_rows(stack *s, const char *name) {
    const nnclr_tensor *rows = nnclr_pass_tensor(&s->pass, nnclr_network_find(s->net, name));
    size_t count = shape_reals(rows->shape);
    double *values = host_reals(&s->f, rows->place, count);
    for (size_t i = 0; i < count; i++)
        values[i] += sin((double)i);
    s->f.t->put(&s->f.g, rows->place, count, NNCLR_F64, values);
    free(values);
}

/* How far p moves when one value is changed and what comes after z is computed again. */
static double change_of_p(const char *name) {
    stack s;
    open_small(&s, NNCLR_PRECISION_F64, 1, M, nnclr(&plain), true);
    int z = nnclr_network_find(s.net, "projection"), last = nnclr_network_find(s.net, "prediction");
    compute(&s, 1);
    const nnclr_tensor *p = nnclr_pass_tensor(&s.pass, last);
    size_t count = shape_reals(p->shape);
    double *before = host_reals(&s.f, p->place, count);
    change_rows(&s, name);
    nnclr_execution_forward(s.pass.execution, z, last);
    double *after = host_reals(&s.f, p->place, count),
           change = relative_distance(after, before, count);
    free(before);
    free(after);
    close_step(&s);
    return change;
}

TEST(the_predictor_reads_z) {
    CHECK(change_of_p("features") == 0);
    CHECK(change_of_p("projection") > 0.01);
    stack s;
    open_small(&s, NNCLR_PRECISION_F64, 1, M, nnclr(&plain), true);
    int z = nnclr_network_find(s.net, "projection"), readers = 0;
    for (size_t i = 0; i < nnclr_network_op_count(s.net); i++) {
        const nnclr_op *op = nnclr_network_op(s.net, i);
        bool first = op->kind == NNCLR_OP_LINEAR && strncmp(op->name, "predictor.0", 11) == 0;
        CHECK(!first || op->x == z);
        readers += first;
    }
    CHECK(readers == 1);
    close_step(&s);
}

/* ---- bits ---- */

TEST(the_same_bits_for_any_threads) {
    static const int threads[3] = {1, 2, 5};
    double *weights[3], *queue[3], losses[3];
    size_t count = 0;
    for (int i = 0; i < 3; i++) {
        stack s;
        open_small(&s, NNCLR_PRECISION_F32, threads[i], M, nnclr(&plain), true);
        compute(&s, 1);
        enqueue_step(&s, 1);
        losses[i] = compute(&s, 2);
        count = nnclr_network_parameter_count(s.net);
        weights[i] = host_reals(&s.f, s.parameters.gradients, count);
        queue[i] = host_reals(&s.f, s.f.t->search_rows(&s.f.g, s.support.search), M * 8);
        close_step(&s);
    }
    for (int i = 1; i < 3; i++) {
        CHECK(losses[i] == losses[0]);
        CHECK(memcmp(weights[i], weights[0], count * sizeof(double)) == 0);
        CHECK(memcmp(queue[i], queue[0], M * 8 * sizeof(double)) == 0);
    }
    for (int i = 0; i < 3; i++) {
        free(weights[i]);
        free(queue[i]);
    }
}

/* ---- the support set over steps ---- */

/* Weights stay, both views of a record are the same picture, the queue holds all records: from the
 * second epoch on each finds itself, one epoch old. */
TEST(a_standing_network_finds_itself) {
    enum { STEPS = 3 }; /* an epoch */
    stack s;
    open_small(&s, NNCLR_PRECISION_F32, 1, STEPS * N, nnclr(&plain), true);
    for (int64_t step = 1; step <= 3 * STEPS; step++) {
        draw_batch(&s, (step - 1) % STEPS * N, true);
        compute(&s, step);
        nnclr_method_metrics m = measure(&s, step);
        if (step == 1) {
            CHECK(m.nn_initial == 1 && m.nn_self == 0 && m.self_present == 0 && isnan(m.nn_age));
            CHECK(m.nn_chance == 0 && m.nn_acc == 0);
        }
        if (step > STEPS) {
            CHECK(m.nn_initial == 0 && m.nn_self == 1 && m.nn_acc == 1 && m.self_present == 1);
            CHECK(m.nn_age == STEPS && m.nn_distinct == 0.5);
            CHECK_NEAR(m.nn_sim, 1, 1e-6);
            CHECK_NEAR(m.nn_chance, 0.25, 0.06); /* four labels over 18 records */
            CHECK(m.z_rank > 1 && m.z_rank <= 8 && m.h_std > 0 && m.p_std > 0);
        }
        enqueue_step(&s, step);
    }
    close_step(&s);
}

TEST(excluded_selves_are_present_but_not_picked) {
    nnclr_method_options options = plain;
    options.exclude_self = true;
    stack s;
    open_small(&s, NNCLR_PRECISION_F32, 1, M, nnclr(&options), true);
    compute(&s, 1);
    enqueue_step(&s, 1);
    compute(&s, 2);
    nnclr_method_metrics m = measure(&s, 2);
    CHECK(m.self_present == 1 && m.nn_self == 0);
    close_step(&s);
}

/* Every earlier row of the picture is masked, of both views and of several epochs: each would be
 * nearest, since nothing trains. The nearest of the rest is picked. */
TEST(every_row_of_the_own_record_is_excluded) {
    enum { STEPS = 6, ROWS = 4 * 2 * N, D = 8 };
    for (int exclude = 0; exclude < 2; exclude++) {
        nnclr_method_options options = plain;
        options.exclude_self = exclude;
        options.enqueue = NNCLR_ENQUEUE_BOTH;
        stack s;
        open_small(&s, NNCLR_PRECISION_F64, 1, ROWS, nnclr(&options), true);
        for (int64_t step = 1; step <= STEPS; step++) {
            draw_batch(&s, step % 2 * N, false);
            compute(&s, step);
            enqueue_step(&s, step);
        }
        draw_batch(&s, N, false);
        compute(&s, STEPS + 1);
        const nnclr_tensor *unit =
            nnclr_pass_tensor(&s.pass, nnclr_network_find(s.net, "projection_unit"));
        double *z = host_reals(&s.f, unit->place, 2 * N * D);
        double *rows = host_reals(&s.f, s.f.t->search_rows(&s.f.g, s.support.search), ROWS * D);
        for (int i = 0; i < 2 * N; i++) {
            int own = 0, best = -1;
            for (int j = 0; j < ROWS; j++) {
                bool is_own = s.support.record[j] == s.record[i % N];
                own += is_own;
                if (!(exclude && is_own) &&
                    (best < 0 || dot_product(z + i * D, rows + j * D, D) >
                                     dot_product(z + i * D, rows + best * D, D)))
                    best = j;
            }
            CHECK(own == 4 && nnclr_method_picks(s.method)[i] == best);
            CHECK((s.support.record[best] == s.record[i % N]) == !exclude);
        }
        CHECK(measure(&s, STEPS + 1).nn_self == !exclude);
        free(z);
        free(rows);
        close_step(&s);
    }
}

TEST(the_own_view_has_no_neighbour_metrics) {
    nnclr_method_options options = plain;
    options.positive = NNCLR_POSITIVE_VIEW;
    stack s;
    open_small(&s, NNCLR_PRECISION_F32, 1, M, nnclr(&options), true);
    compute(&s, 1);
    enqueue_step(&s, 1);
    nnclr_method_metrics m = measure(&s, 2);
    CHECK(!nnclr_method_picks(s.method));
    CHECK(isnan(m.nn_sim) && isnan(m.nn_initial) && isnan(m.nn_self) && isnan(m.nn_age) &&
          isnan(m.nn_distinct) && isnan(m.nn_acc) && isnan(m.nn_chance));
    CHECK(m.self_present == 1 && m.z_rank > 1 && m.contrast_acc >= 0);
    CHECK(s.support.cursor == N && s.support.record[0] == 0);
    close_step(&s);
}

TEST(both_views_are_enqueued) {
    nnclr_method_options options = plain;
    options.enqueue = NNCLR_ENQUEUE_BOTH;
    stack s;
    open_small(&s, NNCLR_PRECISION_F64, 1, M, nnclr(&options), true);
    compute(&s, 4);
    const nnclr_tensor *unit =
        nnclr_pass_tensor(&s.pass, nnclr_network_find(s.net, "projection_unit"));
    double *z = host_reals(&s.f, unit->place, 2 * N * 8);
    enqueue_step(&s, 4);
    double *rows = host_reals(&s.f, s.f.t->search_rows(&s.f.g, s.support.search), M * 8);
    CHECK(memcmp(rows, z, 2 * N * 8 * sizeof *z) == 0);
    for (int i = 0; i < 2 * N; i++)
        CHECK(s.support.record[i] == i % N && s.support.step[i] == 4);
    CHECK(s.support.cursor == 2 * N && s.support.step[2 * N] == -1);
    free(z);
    free(rows);
    close_step(&s);
}

/* The smallest queue that holds both views of a batch holds them and nothing else. */
TEST(both_views_fill_a_queue_of_2n) {
    nnclr_method_options options = plain;
    options.enqueue = NNCLR_ENQUEUE_BOTH;
    options.queue = 2 * N;
    stack s;
    open_small(&s, NNCLR_PRECISION_F64, 1, 2 * N, nnclr(&options), true);
    for (int64_t step = 1; step <= 3; step++) {
        draw_batch(&s, step * N, true);
        compute(&s, step);
        enqueue_step(&s, step);
        CHECK(s.support.cursor == 0);
        for (int i = 0; i < 2 * N; i++)
            CHECK(s.support.record[i] == step * N + i % N && s.support.step[i] == step);
    }
    compute(&s, 4);
    nnclr_method_metrics m = measure(&s, 4);
    CHECK(m.nn_self == 1 && m.nn_age == 1 && m.nn_distinct == 0.5); /* equal views: the first one */
    close_step(&s);
}

TEST(a_frozen_queue_stays) {
    nnclr_method_options options = plain;
    options.queue_frozen = true;
    stack s;
    open_small(&s, NNCLR_PRECISION_F64, 1, M, nnclr(&options), true);
    double *before = host_reals(&s.f, s.f.t->search_rows(&s.f.g, s.support.search), M * 8);
    for (int64_t step = 1; step <= 4; step++) {
        compute(&s, step);
        CHECK(measure(&s, step).nn_initial == 1);
        enqueue_step(&s, step);
    }
    double *after = host_reals(&s.f, s.f.t->search_rows(&s.f.g, s.support.search), M * 8);
    CHECK(memcmp(before, after, M * 8 * sizeof *before) == 0);
    CHECK(s.support.cursor == 0 && s.support.record[0] == -1);
    free(before);
    free(after);
    close_step(&s);
}

/* The picks are among the nearest K, change from step to step, and come again. */
TEST(a_random_one_of_the_nearest) {
    enum { K = 4, STEPS = 40 };
    nnclr_method_options options = plain;
    options.neighbours = K;
    stack s;
    open_small(&s, NNCLR_PRECISION_F64, 1, M, nnclr(&options), true);
    int seen[K] = {0};
    for (int64_t step = 1; step <= STEPS; step++) {
        compute(&s, step);
        const nnclr_tensor *unit =
            nnclr_pass_tensor(&s.pass, nnclr_network_find(s.net, "projection_unit"));
        double *z = host_reals(&s.f, unit->place, 2 * N * 8);
        double *rows = host_reals(&s.f, s.f.t->search_rows(&s.f.g, s.support.search), M * 8);
        double cosines = 0;
        for (int i = 0; i < 2 * N; i++) {
            int pick = nnclr_method_picks(s.method)[i], nearer = 0;
            double cosine = dot_product(z + i * 8, rows + pick * 8, 8);
            for (int j = 0; j < M; j++)
                nearer += dot_product(z + i * 8, rows + j * 8, 8) > cosine;
            CHECK(nearer < K);
            seen[nearer]++;
            cosines += cosine;
        }
        CHECK_NEAR(measure(&s, step).nn_sim, cosines / (2 * N), 1e-12);
        free(z);
        free(rows);
    }
    /* 480 picks in four equal classes: 120 each, deviation 9.5. */
    for (int i = 0; i < K; i++)
        CHECK(seen[i] > 80 && seen[i] < 160);
    double loss = compute(&s, 3);
    CHECK(compute(&s, 4) != loss && compute(&s, 3) == loss);
    close_step(&s);
}

/* mean_i( logsumexp_k S[i][k] - S[i][i] ) for the picks of one view, from the rows themselves. */
static double loss_of_picks(const double *rows, const int32_t *picks, const double *p) {
    double loss = 0;
    for (int i = 0; i < N; i++) {
        double sum = 0, own = dot_product(rows + picks[i] * 8, p + i * 8, 8) / plain.temperature;
        for (int k = 0; k < N; k++)
            sum += exp(dot_product(rows + picks[i] * 8, p + k * 8, 8) / plain.temperature);
        loss += (log(sum) - own) / N;
    }
    return loss;
}

/* What was picked is what the loss is made of, and what its gradient is the slope of. */
TEST(the_loss_is_that_of_the_picks) {
    nnclr_method_options options = plain;
    options.neighbours = 4;
    stack s;
    open_small(&s, NNCLR_PRECISION_F64, 1, M, nnclr(&options), true);
    double *rows = host_reals(&s.f, s.f.t->search_rows(&s.f.g, s.support.search), M * 8);
    for (int64_t step = 1; step <= 5; step++) {
        double loss = compute(&s, step);
        const nnclr_tensor *unit =
            nnclr_pass_tensor(&s.pass, nnclr_network_find(s.net, "prediction_unit"));
        double *p = host_reals(&s.f, unit->place, 2 * N * 8);
        const int32_t *picks = nnclr_method_picks(s.method);
        double want =
            (loss_of_picks(rows, picks, p + N * 8) + loss_of_picks(rows, picks + N, p)) / 2;
        CHECK_NEAR(loss, want, 1e-12);
        free(p);
    }
    check_gradient(&s, "");
    free(rows);
    close_step(&s);
}

/* The features of a picture of one pixel are the picture. */
TEST(the_rank_of_the_features_is_that_of_512_rows) {
    enum { PICTURES = 300, EACH = 256, C = 2 * GOLDEN_D };
    static double rows[2 * EACH * C], noise[2 * PICTURES * C];
    const nnclr_recipe recipe = simclr(&golden_options);
    nnclr_method_metrics metrics;
    double rank, spread;
    stack s;
    open_step(&s, &(step_options){.precision = NNCLR_PRECISION_F64,
                                  .build = golden_without_predictor,
                                  .n = PICTURES,
                                  .recipe = &recipe});
    fill_uniform(noise, 2 * PICTURES * C, 1, 1, 0);
    for (int i = 0; i < 2 * PICTURES * C; i++)
        s.views[i] = (float)((i % C + 1) * noise[i]);
    for (int view = 0; view < 2; view++)
        for (int i = 0; i < EACH * C; i++)
            rows[view * EACH * C + i] = (double)s.views[view * PICTURES * C + i];
    compute_step(&s, 1);
    const nnclr_method_batch batch = batch_of(&s, 1);
    CHECK(nnclr_method_measure(s.method, &batch, &metrics, &s.e));
    double *scratch = zero_reals(nnclr_rank_scratch(2 * EACH, C));
    CHECK(nnclr_rows_rank(rows, 2 * EACH, C, scratch, &rank, &spread, &s.e));
    CHECK(rank > 2 && rank < C - 0.1);
    CHECK_NEAR(metrics.h_rank, rank, 1e-12);
    free(scratch);
    close_step(&s);
}

int main(void) {
    return check_all();
}
