#include <stdatomic.h>

#include "base/rng.h"
#include "net/execution.h"
#include "net/model.h"
#include "tests/unit/engine_fixture.h"

/* ---- a bench: pool, engine, network, parameters, one execution ---- */

typedef struct bench {
    fixture f;
    nnclr_network *net;
    nnclr_parameters parameters;
    nnclr_execution *x;
    int groups, n, size;
} bench;

static const nnclr_model_spec small18 = {
    .arch = NNCLR_RESNET18,
    .width = 0.125,
    .stem = NNCLR_STEM_CIFAR,
    .size = 12,
    .projector = {2, {24, 16}},
    .predictor = {1, {20}},
};
static const nnclr_model_spec small50 = {
    .arch = NNCLR_RESNET50,
    .width = 0.125,
    .stem = NNCLR_STEM_IMAGENET,
    .size = 33,
    .projector = {1, {16}},
    .predictor = {1, {20}},
};

static void open_bench(bench *b, nnclr_precision precision, int threads) {
    *b = (bench){.net = NULL};
    fixture_open(&b->f, precision, threads);
}

/* Takes the network over. */
static void fill_bench(bench *b, nnclr_network *net, nnclr_mode mode, int groups, int n) {
    nnclr_error e = NNCLR_NO_ERROR;
    b->net = net;
    b->groups = groups;
    b->n = n;
    b->size = nnclr_network_value(net, 0)->h;
    CHECK_SAYS(nnclr_parameters_create(&b->parameters, net, &b->f.g, true, &e), "%s", e.message);
    CHECK_SAYS(nnclr_parameters_initialize(&b->parameters, 5, &e), "%s", e.message);
    b->x = nnclr_execution_create(&b->parameters, mode, groups, n, -1, &e);
    CHECK_SAYS(b->x, "%s", e.message);
    nnclr_execution_pack(b->x);
}

static nnclr_network *model_of(const nnclr_model_spec *spec) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_network *net = nnclr_model_build(spec, &e);
    CHECK_SAYS(net, "%s", e.message);
    return net;
}

static void make_bench(bench *b, const nnclr_model_spec *spec, nnclr_precision precision,
                       int threads, nnclr_mode mode, int groups, int n) {
    open_bench(b, precision, threads);
    fill_bench(b, model_of(spec), mode, groups, n);
}

static void close_bench(bench *b) {
    nnclr_execution_free(b->x);
    nnclr_parameters_free(&b->parameters);
    nnclr_network_free(b->net);
    fixture_close(&b->f);
}

static float *pictures_of(int pictures, int size) {
    size_t count = (size_t)(pictures * size * size * 3);
    float *values = malloc(count * sizeof *values);
    nnclr_rng rng = nnclr_rng_at(3, NNCLR_DRAW_SAMPLE, 0, 0, 0);
    CHECK(values);
    for (size_t i = 0; i < count; i++)
        values[i] = 2 * nnclr_rng_float(&rng) - 1;
    return values;
}

static void feed(bench *b) {
    float *pictures = pictures_of(b->groups * b->n, b->size);
    nnclr_execution_input(b->x, pictures, b->n);
    b->f.t->sync(&b->f.g, &(nnclr_error)NNCLR_NO_ERROR);
    free(pictures);
}

static size_t tensor_reals(const nnclr_tensor *t) {
    return shape_reals(t->shape);
}

static double *tensor_of(bench *b, nnclr_execution *x, int value) {
    return host_tensor(&b->f, nnclr_execution_tensor(x, value));
}

static double *named_tensor(bench *b, const char *name) {
    return tensor_of(b, b->x, nnclr_network_find(b->net, name));
}

static double *gradients_of(bench *b) {
    return host_reals(&b->f, b->parameters.gradients, nnclr_network_parameter_count(b->net));
}

/* The loss is a fixed random projection of the rows in `value`: entry i has weight(i), which is
 * then its gradient. */
static double weight(int value, size_t i) {
    nnclr_rng rng = nnclr_rng_at(8, NNCLR_DRAW_SAMPLE, (uint32_t)value, i, 0);
    return nnclr_rng_uniform(&rng, -1, 1);
}

static double loss_of(bench *b, int value) {
    size_t count = tensor_reals(nnclr_execution_tensor(b->x, value));
    double *rows = tensor_of(b, b->x, value), loss = 0;
    for (size_t i = 0; i < count; i++)
        loss += weight(value, i) * rows[i];
    free(rows);
    return loss;
}

static void put_rows(bench *b, const nnclr_tensor *rows, const double *values) {
    b->f.t->put(&b->f.g, rows->place, tensor_reals(rows), NNCLR_F64, values);
}

static void seed(bench *b, nnclr_execution *x, int value) {
    const nnclr_tensor *gradient = nnclr_execution_gradient(x, value);
    size_t count = tensor_reals(gradient);
    double *values = zero_reals(count);
    for (size_t i = 0; i < count; i++)
        values[i] = weight(value, i);
    put_rows(b, gradient, values);
    nnclr_execution_seed(x, value);
    free(values);
}

static int last_value(const nnclr_network *net) {
    return (int)nnclr_network_value_count(net) - 1;
}

static void forward_all(bench *b) {
    nnclr_execution_forward(b->x, 0, last_value(b->net));
}

/* Whole forward and backward with the loss on the last value. */
static void pass(bench *b) {
    feed(b);
    forward_all(b);
    seed(b, b->x, last_value(b->net));
    nnclr_execution_backward(b->x, last_value(b->net), 0);
}

static bool same(const double *a, const double *b, size_t count) {
    return memcmp(a, b, count * sizeof *a) == 0;
}

static double furthest(const double *a, const double *b, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        double distance = fabs(a[i] - b[i]);
        if (!(distance <= most))
            most = distance;
    }
    return most;
}

static double largest(const double *a, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fabs(a[i]) > most ? fabs(a[i]) : most;
    return most;
}

/* ---- gradients ---- */

static double loss_at(bench *b, const int *outputs, size_t place, double value) {
    b->f.t->put(&b->f.g, nnclr_real_at(&b->f.g, b->parameters.weights, place), 1, NNCLR_F64,
                &value);
    nnclr_execution_pack(b->x);
    forward_all(b);
    double loss = 0;
    for (; *outputs >= 0; outputs++)
        loss += loss_of(b, *outputs);
    return loss;
}

/* The central difference that agrees with `want`, or the last tried: a step that takes a ReLU or a
 * maximum over its kink says nothing, and a smaller one may not. */
static double difference_near(bench *b, const int *outputs, size_t place, double at, double want,
                              double tolerance) {
    double difference = HUGE_VAL;
    for (double step = 1e-5; step > 5e-8 && fabs(difference - want) > tolerance; step /= 10)
        difference =
            (loss_at(b, outputs, place, at + step) - loss_at(b, outputs, place, at - step)) /
            (2 * step);
    b->f.t->put(&b->f.g, nnclr_real_at(&b->f.g, b->parameters.weights, place), 1, NNCLR_F64, &at);
    return difference;
}

/* Sampled entries of every parameter tensor, the loss being on `outputs` (ended by -1). */
static void check_gradients(bench *b, const int *outputs) {
    feed(b);
    forward_all(b);
    for (const int *o = outputs; *o >= 0; o++)
        seed(b, b->x, *o);
    nnclr_execution_backward(b->x, last_value(b->net), 0);
    size_t count = nnclr_network_parameter_count(b->net);
    double *gradients = gradients_of(b), *weights = host_reals(&b->f, b->parameters.weights, count);
    const nnclr_segment *segments = nnclr_network_segments(b->net);
    CHECK(largest(gradients, count) > 0.1);
    for (size_t s = 0; s < nnclr_network_segment_count(b->net); s++) {
        double scale = largest(gradients + segments[s].offset, segments[s].count);
        double tolerance = 1e-6 * scale + 1e-8;
        for (uint64_t sample = 0; sample < 2; sample++) {
            nnclr_rng rng = nnclr_rng_at(9, NNCLR_DRAW_SAMPLE, (uint32_t)s, sample, 0);
            size_t i = segments[s].offset + (size_t)nnclr_rng_below(&rng, segments[s].count);
            double difference = difference_near(b, outputs, i, weights[i], gradients[i], tolerance);
            CHECK_SAYS(fabs(difference - gradients[i]) <= tolerance,
                       "%s[%zu]: gradient %.12g, differences say %.12g", segments[s].name,
                       i - segments[s].offset, gradients[i], difference);
        }
    }
    free(weights);
    free(gradients);
}

TEST(resnet18_gradients_are_the_differences) {
    bench b;
    make_bench(&b, &small18, NNCLR_PRECISION_F64, 1, NNCLR_TRAINING, 2, 4);
    const int outputs[] = {nnclr_network_find(b.net, "prediction_unit"),
                           nnclr_network_find(b.net, "projection_unit"),
                           nnclr_network_find(b.net, "features"), -1};
    check_gradients(&b, outputs);
    close_bench(&b);
}

TEST_LONG(resnet50_gradients_are_the_differences) {
    bench b;
    make_bench(&b, &small50, NNCLR_PRECISION_F64, 1, NNCLR_TRAINING, 2, 4);
    const int outputs[] = {nnclr_network_find(b.net, "prediction_unit"), -1};
    check_gradients(&b, outputs);
    close_bench(&b);
}

/* Values with several readers in ways that a ResNet does not have: a residual that a pool reads as
 * well, rows that two linear layers read, one of which leads nowhere. */
TEST(fanned_out_gradients_are_the_differences) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_network *net = nnclr_network_create(7, 7, 2, &e);
    int a = nnclr_add_conv(net, 0, "a", 8, 3, 1, 1, &e);
    a = nnclr_add_batchnorm(net, a, "a.bn", true, -1, -1, NULL, &e);
    int c = nnclr_add_conv(net, a, "c", 8, 3, 1, 1, &e);
    c = nnclr_add_batchnorm(net, c, "c.bn", false, a, -1, NULL, &e);
    int pooled = nnclr_add_maxpool(net, a, "pool", &e);
    int first = nnclr_add_average(net, c, "first", &e);
    int second = nnclr_add_average(net, pooled, "second", &e);
    int u = nnclr_add_l2norm(net, nnclr_add_linear(net, first, "u", 5, true, &e), "u.unit", &e);
    int v = nnclr_add_linear(net, second, "v", 5, false, &e);
    int w = nnclr_add_linear(net, first, "w", 4, true, &e);
    CHECK_SAYS(nnclr_network_mark(net, "u", u, &e) && nnclr_network_mark(net, "v", v, &e) &&
                   nnclr_network_mark(net, "w", w, &e),
               "%s", e.message);
    bench b;
    open_bench(&b, NNCLR_PRECISION_F64, 1);
    fill_bench(&b, net, NNCLR_TRAINING, 2, 5);
    check_gradients(&b, (const int[]){u, v, w, -1});

    /* without a gradient on w its layer is left out, and its parameters' gradients are zero */
    feed(&b);
    forward_all(&b);
    seed(&b, b.x, u);
    seed(&b, b.x, v);
    nnclr_execution_backward(b.x, w, 0);
    double *gradients = gradients_of(&b);
    size_t tail = 4 * 8 + 4, count = nnclr_network_parameter_count(net);
    CHECK(largest(gradients + count - tail, tail) == 0);
    CHECK(largest(gradients, count - tail) > 0);
    free(gradients);
    close_bench(&b);
}

/* ---- ranges ---- */

TEST(ranges_add_up_to_the_whole) {
    bench b;
    make_bench(&b, &small18, NNCLR_PRECISION_F64, 2, NNCLR_TRAINING, 2, 4);
    size_t count = nnclr_network_parameter_count(b.net);
    int features = nnclr_network_find(b.net, "features"), last = last_value(b.net);
    pass(&b);
    double *whole = gradients_of(&b), *output = tensor_of(&b, b.x, last);
    CHECK(b.parameters.batches == 2);

    b.f.t->zero(&b.f.g, b.parameters.gradients, count * 8);
    feed(&b);
    nnclr_execution_forward(b.x, 0, features);
    nnclr_execution_forward(b.x, features, last);
    CHECK(b.parameters.batches == 4);
    seed(&b, b.x, last);
    nnclr_execution_backward(b.x, last, features);
    nnclr_execution_seed(b.x, features); /* its gradient is where the heads left it */
    nnclr_execution_backward(b.x, features, 0);
    double *parts = gradients_of(&b), *again = tensor_of(&b, b.x, last);
    CHECK(same(whole, parts, count));
    CHECK(same(output, again, tensor_reals(nnclr_execution_tensor(b.x, last))));
    free(whole);
    free(output);
    free(parts);
    free(again);
    close_bench(&b);
}

/* Heads planned alone, given the features, do what they do after the backbone. */
TEST(heads_run_alone) {
    bench b;
    nnclr_error e = NNCLR_NO_ERROR;
    make_bench(&b, &small18, NNCLR_PRECISION_F64, 2, NNCLR_TRAINING, 2, 4);
    int features = nnclr_network_find(b.net, "features"), last = last_value(b.net);
    nnclr_execution *heads =
        nnclr_execution_create_range(&b.parameters, NNCLR_TRAINING, 2, 4, features, -1, &e);
    CHECK_SAYS(heads, "%s", e.message);
    CHECK(nnclr_execution_bytes(heads) < nnclr_execution_bytes(b.x));
    pass(&b);
    double *rows = tensor_of(&b, b.x, features), *output = tensor_of(&b, b.x, last);
    put_rows(&b, nnclr_execution_tensor(heads, features), rows);
    nnclr_execution_forward(heads, features, last);
    CHECK(b.parameters.batches == 2);
    seed(&b, heads, last);
    nnclr_execution_backward(heads, last, features);
    double *alone = tensor_of(&b, heads, last);
    CHECK(same(output, alone, tensor_reals(nnclr_execution_tensor(b.x, last))));
    size_t count = tensor_reals(nnclr_execution_gradient(heads, features));
    double *want = host_reals(&b.f, nnclr_execution_gradient(b.x, features)->place, count),
           *got = host_reals(&b.f, nnclr_execution_gradient(heads, features)->place, count);
    CHECK(largest(want, count) > 0 && same(want, got, count));
    /* a cut that a residual steps over is not one */
    CHECK(!nnclr_execution_create_range(&b.parameters, NNCLR_TRAINING, 2, 4, 3, -1, &e));
    CHECK(strstr(e.message, "not a cut"));
    nnclr_execution_free(heads);
    free(rows);
    free(output);
    free(alone);
    free(want);
    free(got);
    close_bench(&b);
}

/* ---- statistics and evaluation ---- */

typedef struct moments {
    double mean, variance; /* biased */
} moments;

/* Those of channel `channel` over `pictures` pictures of [h][w][c]. */
static moments moments_of(const double *x, size_t rows, size_t c, size_t channel) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < rows; i++)
        sum += x[i * c + channel];
    double mean = sum / (double)rows;
    for (size_t i = 0; i < rows; i++)
        squares += (x[i * c + channel] - mean) * (x[i * c + channel] - mean);
    return (moments){mean, squares / (double)rows};
}

static double relu(double x) {
    return x > 0 ? x : 0;
}

/* One convolution and its batch norm against the formula, in training and then in evaluation. */
TEST(statistics_follow_the_formula) {
    enum { N = 3, SIZE = 5, C = 8, ROWS = N * SIZE * SIZE };
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_network *net = nnclr_network_create(SIZE, SIZE, 3, &e);
    int conv = nnclr_add_conv(net, 0, "conv", C, 3, 1, 1, &e);
    int norm = nnclr_add_batchnorm(net, conv, "bn", true, -1, -1, NULL, &e);
    CHECK(nnclr_network_mark(net, "conv", conv, &e) && nnclr_network_mark(net, "norm", norm, &e));
    bench b;
    open_bench(&b, NNCLR_PRECISION_F64, 2);
    fill_bench(&b, net, NNCLR_TRAINING, 2, N);
    feed(&b);
    forward_all(&b);
    double *x = named_tensor(&b, "conv"), *y = named_tensor(&b, "norm");
    double *running = host_reals(&b.f, b.parameters.statistics, 2 * C);
    for (size_t c = 0; c < C; c++) {
        double mean = 0, variance = 1;
        for (size_t group = 0; group < 2; group++) {
            const double *rows = x + group * ROWS * C;
            moments m = moments_of(rows, ROWS, C, c);
            mean = 0.9 * mean + 0.1 * m.mean;
            variance = 0.9 * variance + 0.1 * m.variance * ROWS / (ROWS - 1);
            for (size_t i = 0; i < ROWS; i++)
                CHECK_NEAR(y[group * ROWS * C + i * C + c],
                           relu((rows[i * C + c] - m.mean) / sqrt(m.variance + 1e-5)), 1e-12);
        }
        CHECK_NEAR(running[c], mean, 1e-13);
        CHECK_NEAR(running[C + c], variance, 1e-13);
    }

    nnclr_execution *evaluation =
        nnclr_execution_create(&b.parameters, NNCLR_EVALUATION, 2, N, -1, &e);
    CHECK_SAYS(evaluation, "%s", e.message);
    nnclr_execution_free(b.x);
    b.x = evaluation;
    nnclr_execution_pack(b.x);
    feed(&b);
    forward_all(&b);
    double *z = named_tensor(&b, "norm");
    for (size_t i = 0; i < 2 * ROWS * C; i++)
        CHECK_NEAR(z[i], relu((x[i] - running[i % C]) / sqrt(running[C + i % C] + 1e-5)), 1e-12);
    double *after = host_reals(&b.f, b.parameters.statistics, 2 * C);
    CHECK(same(running, after, 2 * C));
    CHECK(b.parameters.batches == 2);
    free(x);
    free(y);
    free(z);
    free(running);
    free(after);
    close_bench(&b);
}

TEST(two_groups_are_two_passes) {
    bench b, one;
    make_bench(&b, &small18, NNCLR_PRECISION_F64, 2, NNCLR_TRAINING, 2, 4);
    make_bench(&one, &small18, NNCLR_PRECISION_F64, 2, NNCLR_TRAINING, 1, 4);
    int last = last_value(b.net);
    feed(&b);
    forward_all(&b);
    double *both = tensor_of(&b, b.x, last);
    float *pictures = pictures_of(8, 12);
    size_t rows = tensor_reals(nnclr_execution_tensor(one.x, last));
    for (size_t view = 0; view < 2; view++) {
        nnclr_execution_input(one.x, pictures + view * 4 * 12 * 12 * 3, 4);
        forward_all(&one);
        double *single = tensor_of(&one, one.x, last);
        CHECK(furthest(both + view * rows, single, rows) < 1e-12);
        free(single);
    }
    size_t count = nnclr_network_statistic_count(b.net);
    double *left = host_reals(&b.f, b.parameters.statistics, count),
           *right = host_reals(&one.f, one.parameters.statistics, count);
    CHECK(furthest(left, right, count) < 1e-13);
    CHECK(b.parameters.batches == 2 && one.parameters.batches == 2);
    free(left);
    free(right);
    free(both);
    free(pictures);
    close_bench(&one);
    close_bench(&b);
}

TEST(fewer_pictures_give_the_same_rows) {
    bench b;
    make_bench(&b, &small50, NNCLR_PRECISION_F64, 2, NNCLR_EVALUATION, 1, 5);
    int last = last_value(b.net);
    feed(&b);
    forward_all(&b);
    double *all = tensor_of(&b, b.x, last);
    for (int n = 1; n < 5; n++) {
        float *pictures = pictures_of(n, b.size);
        nnclr_execution_input(b.x, pictures, n);
        forward_all(&b);
        double *some = tensor_of(&b, b.x, last);
        CHECK(nnclr_execution_tensor(b.x, last)->shape.n == n);
        CHECK(furthest(all, some, tensor_reals(nnclr_execution_tensor(b.x, last))) < 1e-12);
        free(some);
        free(pictures);
    }
    free(all);
    close_bench(&b);
}

/* ---- memory ---- */

/* With every value marked nothing is ever reused; the results must be the same bits. */
static void mark_everything(nnclr_network *net) {
    nnclr_error e = NNCLR_NO_ERROR;
    for (int v = 0; v < (int)nnclr_network_value_count(net); v++) {
        char name[16];
        snprintf(name, sizeof name, "v%d", v);
        CHECK_SAYS(nnclr_network_mark(net, name, v, &e), "%s", e.message);
    }
}

static void check_reuse(const nnclr_model_spec *spec) {
    for (int mode = NNCLR_TRAINING; mode <= NNCLR_EVALUATION; mode++) {
        bench tight, loose;
        make_bench(&tight, spec, NNCLR_PRECISION_F64, 2, (nnclr_mode)mode, 2, 3);
        open_bench(&loose, NNCLR_PRECISION_F64, 2);
        nnclr_network *net = model_of(spec);
        mark_everything(net);
        fill_bench(&loose, net, (nnclr_mode)mode, 2, 3);
        CHECK(nnclr_execution_bytes(tight.x) < nnclr_execution_bytes(loose.x));
        bench *const benches[] = {&tight, &loose};
        double *outputs[2], *gradients[2];
        for (int i = 0; i < 2; i++) {
            for (int again = 0; again < 2; again++) /* the second pass starts from a used arena */
                if (mode == NNCLR_TRAINING) {
                    pass(benches[i]);
                } else {
                    feed(benches[i]);
                    forward_all(benches[i]);
                }
            outputs[i] = tensor_of(benches[i], benches[i]->x, last_value(net));
            gradients[i] = gradients_of(benches[i]);
        }
        CHECK(same(outputs[0], outputs[1],
                   tensor_reals(nnclr_execution_tensor(loose.x, last_value(net)))));
        CHECK(same(gradients[0], gradients[1], nnclr_network_parameter_count(net)));
        for (int i = 0; i < 2; i++) {
            free(outputs[i]);
            free(gradients[i]);
            close_bench(benches[i]);
        }
    }
}

TEST(reuse_changes_nothing) {
    check_reuse(&small18);
    check_reuse(&small50);
}

typedef struct planned {
    unsigned long long bytes, offset;
    int first, last;
} planned;

/* A moment as print_plan writes it: an op's name, with "'" its backward. */
static int moment_of(const nnclr_network *net, char *text) {
    int ops = (int)nnclr_network_op_count(net);
    size_t length = strlen(text);
    bool backward = text[length - 1] == '\'';
    if (backward)
        text[length - 1] = '\0';
    for (int i = 0; i < ops; i++)
        if (strcmp(nnclr_network_op(net, (size_t)i)->name, text) == 0)
            return backward ? 2 * ops - 1 - i : i;
    CHECK_SAYS(false, "no operator %s", text);
    return -1;
}

static void check_plan(nnclr_arch arch, nnclr_mode mode) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_model_spec spec = {.arch = arch, .width = 1, .stem = NNCLR_STEM_IMAGENET, .size = 64};
    spec.projector = (nnclr_layers){3, {64, 64, 32}};
    spec.predictor = (nnclr_layers){1, {64}};
    bench b;
    open_bench(&b, NNCLR_PRECISION_F32, 1);
    b.net = model_of(&spec);
    CHECK(nnclr_parameters_create(&b.parameters, b.net, &b.f.g, mode == NNCLR_TRAINING, &e));
    b.x = nnclr_execution_create(&b.parameters, mode, 2, 2, -1, &e);
    CHECK_SAYS(b.x, "%s", e.message);
    nnclr_buffer text = {0};
    CHECK(nnclr_execution_print_plan(b.x, &text, &e));
    enum { MOST = 2000 };
    static planned blocks[MOST];
    size_t count = 0, sum = 0;
    char *rest = (char *)text.data, *line = strtok_r(rest, "\n", &rest);
    CHECK_TEXT(line, "value\tuse\tbytes\toffset\tfirst\tlast");
    while ((line = strtok_r(rest, "\n", &rest)) && strncmp(line, "total", 5) != 0) {
        char first[64], last[64];
        planned *p = &blocks[count++];
        CHECK(count < MOST);
        CHECK(sscanf(line, "%*s %*s %llu %llu %63s %63s", &p->bytes, &p->offset, first, last) == 4);
        p->first = moment_of(b.net, first);
        p->last = moment_of(b.net, last);
        CHECK(p->first <= p->last && p->offset + p->bytes <= nnclr_execution_bytes(b.x));
        sum += (size_t)p->bytes;
        for (size_t i = 0; i + 1 < count; i++) {
            const planned *q = &blocks[i];
            bool meet = p->first <= q->last && q->first <= p->last;
            bool apart = p->offset + p->bytes <= q->offset || q->offset + q->bytes <= p->offset;
            CHECK_SAYS(!meet || apart, "%s overlaps block %zu", line, i);
        }
    }
    CHECK(line && count > 60);
    CHECK(nnclr_execution_bytes(b.x) < sum);
    nnclr_buffer_free(&text);
    close_bench(&b);
}

TEST(live_blocks_of_resnets_never_overlap) {
    check_plan(NNCLR_RESNET18, NNCLR_TRAINING);
    check_plan(NNCLR_RESNET18, NNCLR_EVALUATION);
    check_plan(NNCLR_RESNET50, NNCLR_TRAINING);
    check_plan(NNCLR_RESNET50, NNCLR_EVALUATION);
}

#ifndef SANITIZED
static atomic_int allocations;

/* Counts what this program's own code asks for, not what a BLAS asks for inside (OpenBLAS's kernels
 * for small matrices allocate). */
#define COUNT_ALLOCATION() count_allocation(__builtin_return_address(0))

extern const char __executable_start[], etext[];

static void count_allocation(const void *caller) {
    if ((const char *)caller >= __executable_start && (const char *)caller < etext)
        allocations++;
}

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
    COUNT_ALLOCATION();
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    COUNT_ALLOCATION();
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
    COUNT_ALLOCATION();
    return __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    COUNT_ALLOCATION();
    return __libc_memalign(alignment, size);
}
#endif

TEST(passes_allocate_nothing) {
#ifdef SANITIZED
    SKIP("a sanitizer owns malloc");
#else
    bench b;
    make_bench(&b, &small18, NNCLR_PRECISION_F32, 2, NNCLR_TRAINING, 2, 4);
    int last = last_value(b.net);
    float *pictures = pictures_of(8, 12);
    CHECK(allocations > 0); /* the counter counts */
    pass(&b);
    int before = allocations;
    nnclr_execution_pack(b.x);
    nnclr_execution_input(b.x, pictures, 4);
    nnclr_execution_forward(b.x, 0, last);
    nnclr_execution_seed(b.x, last);
    nnclr_execution_backward(b.x, last, 0);
    nnclr_error e = NNCLR_NO_ERROR;
    CHECK(b.f.t->sync(&b.f.g, &e));
    CHECK_SAYS(allocations == before, "%d allocations in a pass", allocations - before);
    free(pictures);
    close_bench(&b);
#endif
}

/* ---- threads, initial values ---- */

TEST(threads_change_no_bit) {
    for (int precision = 0; precision < 2; precision++) {
        double *outputs[4], *gradients[4];
        size_t count = 0, rows = 0;
        for (int threads = 1; threads <= 3; threads++) {
            bench b;
            make_bench(&b, &small50, precision ? NNCLR_PRECISION_F64 : NNCLR_PRECISION_F32, threads,
                       NNCLR_TRAINING, 2, 5);
            pass(&b);
            count = nnclr_network_parameter_count(b.net);
            rows = tensor_reals(nnclr_execution_tensor(b.x, last_value(b.net)));
            outputs[threads] = tensor_of(&b, b.x, last_value(b.net));
            gradients[threads] = gradients_of(&b);
            close_bench(&b);
        }
        for (int threads = 1; threads <= 3; threads++) {
            CHECK(same(outputs[1], outputs[threads], rows));
            CHECK(same(gradients[1], gradients[threads], count));
        }
        for (int threads = 1; threads <= 3; threads++) {
            free(outputs[threads]);
            free(gradients[threads]);
        }
    }
}

TEST(initial_values_have_their_distributions) {
    bench b;
    nnclr_model_spec spec = small18;
    spec.width = 0.5;
    spec.projector = (nnclr_layers){2, {512, 64}};
    make_bench(&b, &spec, NNCLR_PRECISION_F64, 1, NNCLR_EVALUATION, 1, 1);
    size_t count = nnclr_network_parameter_count(b.net);
    double *weights = host_reals(&b.f, b.parameters.weights, count);
    const nnclr_segment *s = nnclr_network_segments(b.net);
    for (size_t i = 0; i < nnclr_network_segment_count(b.net); i++, s++) {
        const double *w = weights + s->offset;
        moments m = moments_of(w, s->count, 1, 0);
        double noise = 5 / sqrt((double)s->count); /* five sigmas of a relative mean */
        if (s->rank == 4) {
            double variance = 2.0 / (double)(s->dims[0] * s->dims[2] * s->dims[3]);
            CHECK_NEAR(m.mean / sqrt(variance), 0, noise);
            CHECK_NEAR(m.variance / variance, 1, 1.5 * noise);
            CHECK(largest(w, s->count) > 2 * sqrt(variance));
        } else if (s->rank == 2) {
            double bound = 1 / sqrt((double)s->dims[1]);
            CHECK_NEAR(m.variance / (bound * bound / 3), 1, noise);
            CHECK(largest(w, s->count) <= bound && largest(w, s->count) > 0.95 * bound);
        } else {
            bool scale = strstr(s->name, ".weight") != NULL;
            CHECK(m.mean == (scale ? 1 : 0) && m.variance == 0);
        }
    }
    /* row-major draws of the documented stream, by segment */
    s = nnclr_network_segments(b.net);
    double pair[2];
    nnclr_rng rng = nnclr_rng_at(5, NNCLR_DRAW_WEIGHTS, 0, 3, 0);
    nnclr_rng_normal2(&rng, pair);
    nnclr_rng_normal2(&rng, pair);
    CHECK_TEXT(s[3].name, "backbone.layer1.0.conv1.weight");
    CHECK(weights[s[3].offset + 2] == pair[0] * sqrt(2.0 / (32 * 9)));
    CHECK(weights[s[3].offset + 3] == pair[1] * sqrt(2.0 / (32 * 9)));
    free(weights);
    close_bench(&b);
}

TEST(impossible_batches_are_refused) {
    bench b;
    make_bench(&b, &small18, NNCLR_PRECISION_F32, 1, NNCLR_EVALUATION, 1, 1);
    const struct {
        int groups, n, last;
    } bad[] = {{0, 1, -1},          {1, 0, -1}, {2, 1 << 30, -1},
               {1, 2000000000, -1}, {1, 1, 0},  {1, 1, 9999}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nnclr_error e = NNCLR_NO_ERROR;
        CHECK(!nnclr_execution_create(&b.parameters, NNCLR_EVALUATION, bad[i].groups, bad[i].n,
                                      bad[i].last, &e));
        CHECK(e.code == NNCLR_ERROR_USAGE || e.code == NNCLR_ERROR_LIMIT);
    }
    close_bench(&b);
}

int main(void) {
    return check_all();
}
