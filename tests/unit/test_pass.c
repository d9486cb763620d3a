/* Ten steps whose backbone runs in micro-batches, in double precision, against the same steps with
 * a backbone that takes all pictures at once in as many batch norm groups, and running statistics
 * by the formulas; and, if there is only one micro-batch, against the plain step bit for bit. */
#include "tests/unit/ten_steps.h"

static const reference method = {.method = &nnclr_method_nnclr, .predictor = true, .seed = 11};

typedef struct split_run {
    run r;
    int size;                /* pictures of a view in a micro-batch */
    nnclr_execution *groups; /* by hand: groups [micro-batch][view] of `size` */
    float pictures[PIXELS];  /* in that order */
    nnclr_execution *single; /* likewise: one of these groups */
} split_run;

static int features_of(const run *r) {
    return nnclr_network_find(r->s.net, "features");
}

static void open_library(split_run *s, int size) {
    memset(s, 0, sizeof *s);
    s->size = size;
    open_run_in_parts(&s->r, &method, &right, NULL, size);
}

/* Of the run's pass only the heads are used. */
static void open_by_hand(split_run *s, int size) {
    open_library(s, size);
    s->groups = nnclr_execution_create(&s->r.s.parameters, NNCLR_TRAINING, VIEWS * N / size, size,
                                       features_of(&s->r), &s->r.s.e);
    CHECK_SAYS(s->groups, "%s", s->r.s.e.message);
    s->single = nnclr_execution_create(&s->r.s.parameters, NNCLR_TRAINING, 1, size,
                                       features_of(&s->r), &s->r.s.e);
    CHECK_SAYS(s->single, "%s", s->r.s.e.message);
    nnclr_execution_pack(s->groups);
    nnclr_execution_pack(s->single);
}

static void close_split(split_run *s) {
    nnclr_execution_free(s->groups);
    nnclr_execution_free(s->single);
    close_run(&s->r);
}

/* Picture i of a view among groups [micro-batch][view][size]. */
static int place_of(const split_run *s, int view, int i) {
    return (i / s->size * VIEWS + view) * s->size + i % s->size;
}

/* Rows of features, or of their gradient, from one order to the other. */
static void copy_rows(split_run *s, const nnclr_tensor *heads, const nnclr_tensor *groups,
                      bool to_heads) {
    nnclr_engine *g = &s->r.s.f.g;
    size_t c = (size_t)heads->shape.c;
    for (int view = 0; view < VIEWS; view++)
        for (int i = 0; i < N; i++) {
            void *a = nnclr_real_at(g, heads->place, (size_t)(view * N + i) * c),
                 *b = nnclr_real_at(g, groups->place, (size_t)place_of(s, view, i) * c);
            s->r.s.f.t->copy(g, to_heads ? a : b, to_heads ? b : a, c * nnclr_real_bytes(g));
        }
}

/* ---- running statistics by the formulas ---- */

static double *statistics_of(run *r) {
    return host_reals(&r->s.f, r->s.parameters.statistics, nnclr_network_statistic_count(r->s.net));
}

static void put_statistics(run *r, const double *statistics) {
    r->s.f.t->put(&r->s.f.g, r->s.parameters.statistics, nnclr_network_statistic_count(r->s.net),
                  NNCLR_F64, statistics);
}

/* One batch norm's from `parts`: per micro-batch a tenth of mean and unbiased variance, each of
 * `rows` numbers per channel. */
static void pool_norm(double *const *parts, int count, double rows, const nnclr_segment *mean,
                      double *statistics) {
    size_t c = mean->count, at = mean->offset;
    for (size_t i = at; i < at + c; i++) {
        double sum = 0, squares = 0;
        for (int k = 0; k < count; k++)
            sum += 10 * parts[k][i];
        for (int k = 0; k < count; k++)
            squares +=
                10 * parts[k][c + i] * (rows - 1) + rows * pow(10 * parts[k][i] - sum / count, 2);
        statistics[i] = 0.9 * statistics[i] + 0.1 * sum / count;
        statistics[c + i] = 0.9 * statistics[c + i] + 0.1 * squares / (rows * count - 1);
    }
}

static void pool_view(split_run *s, int view, double *statistics) {
    run *r = &s->r;
    const nnclr_segment *segments = nnclr_network_statistic_segments(r->s.net);
    double *parts[N], *zeros = zero_reals(nnclr_network_statistic_count(r->s.net));
    int count = N / s->size;
    for (int k = 0; k < count; k++) {
        put_statistics(r, zeros);
        nnclr_execution_input(s->single, s->pictures + place_of(s, view, k * s->size) * PICTURE,
                              s->size);
        nnclr_execution_forward(s->single, 0, features_of(r));
        parts[k] = statistics_of(r);
    }
    for (size_t i = 0; i < nnclr_network_op_count(r->s.net); i++) {
        const nnclr_op *op = nnclr_network_op(r->s.net, i);
        const nnclr_value *y = nnclr_network_value(r->s.net, (size_t)op->y);
        const int running[] = {op->running, op->running2};
        for (int j = 0; j < 2; j++)
            if (running[j] >= 0 && strncmp(segments[running[j]].name, "backbone.", 9) == 0)
                pool_norm(parts, count, (double)s->size * y->h * y->w, &segments[running[j]],
                          statistics);
    }
    for (int k = 0; k < count; k++)
        free(parts[k]);
    free(zeros);
}

static void compute_in_groups(split_run *s) {
    run *r = &s->r;
    int features = features_of(r), last = nnclr_network_find(r->s.net, "prediction_unit");
    for (int view = 0; view < VIEWS; view++)
        for (int i = 0; i < N; i++)
            memcpy(s->pictures + place_of(s, view, i) * PICTURE,
                   r->s.views + (view * N + i) * PICTURE, PICTURE * sizeof(float));
    nnclr_execution_input(s->groups, s->pictures, s->size);
    nnclr_execution_forward(s->groups, 0, features);
    copy_rows(s, nnclr_execution_tensor(r->s.pass.execution, features),
              nnclr_execution_tensor(s->groups, features), true);
    nnclr_execution_forward(r->s.pass.execution, features, last);
    find_loss(r);
    nnclr_execution_backward(r->s.pass.execution, last, features);
    nnclr_execution_seed(s->groups, features);
    copy_rows(s, nnclr_execution_gradient(r->s.pass.execution, features),
              nnclr_execution_gradient(s->groups, features), false);
    nnclr_execution_backward(s->groups, features, 0);
    CHECK_SAYS(r->s.f.t->sync(&r->s.f.g, &r->s.e), "%s", r->s.e.message);
}

/* The backbone's statistics of all micro-batches at once; those of the heads are right. */
static void compute_split_by_hand(split_run *s) {
    run *r = &s->r;
    int64_t batches = r->s.parameters.batches;
    double *before = statistics_of(r);
    compute_in_groups(s);
    double *after = statistics_of(r);
    const nnclr_segment *segments = nnclr_network_statistic_segments(r->s.net);
    for (size_t i = 0; i < nnclr_network_statistic_segment_count(r->s.net); i++)
        if (strncmp(segments[i].name, "backbone.", 9) == 0)
            memcpy(after + segments[i].offset, before + segments[i].offset,
                   segments[i].count * sizeof *after);
    for (int view = 0; view < VIEWS; view++)
        pool_view(s, view, after);
    put_statistics(r, after);
    r->s.parameters.batches = batches + VIEWS;
    free(before);
    free(after);
}

static void check_same(run *a, const void *p, run *b, const void *q, size_t count, double tolerance,
                       const char *what) {
    double *x = host_reals(&a->s.f, p, count), *y = host_reals(&b->s.f, q, count);
    double distance = relative_distance(x, y, count);
    CHECK_SAYS(distance <= tolerance, "step %d: the %s is %g from the other", (int)a->step, what,
               distance);
    CHECK(dot_product(x, x, count) > 0 || a->step == 1);
    free(x);
    free(y);
}

static void check_state(run *a, run *b, double tolerance) {
    static double rows[2][M * D];
    CHECK_NEAR(a->s.loss, b->s.loss, tolerance);
    CHECK(memcmp(a->picks, b->picks, sizeof a->picks) == 0);
    check_same(a, a->s.parameters.gradients, b, b->s.parameters.gradients, a->s.count, tolerance,
               "gradient");
    check_same(a, a->s.parameters.velocity, b, b->s.parameters.velocity, a->s.count, tolerance,
               "momentum");
    check_same(a, a->s.parameters.weights, b, b->s.parameters.weights, a->s.count, tolerance,
               "network");
    check_same(a, a->s.parameters.statistics, b, b->s.parameters.statistics,
               nnclr_network_statistic_count(a->s.net), tolerance, "running statistic");
    CHECK(a->s.parameters.batches == b->s.parameters.batches);
    support_rows(&a->s.support, rows[0]);
    support_rows(&b->s.support, rows[1]);
    CHECK(relative_distance(rows[0], rows[1], M * D) <= tolerance);
    CHECK(memcmp(a->s.support.record, b->s.support.record, M * sizeof(int64_t)) == 0);
}

static void follow(int size) {
    static split_run library, hand;
    open_library(&library, size);
    open_by_hand(&hand, size);
    double *start = host_reals(&hand.r.s.f, hand.r.s.parameters.weights, hand.r.s.count);
    for (int step = 1; step <= STEPS; step++) {
        /* Rounding that differs grows from step to step: each begins at the same bits. */
        take_state(&library.r.s, &hand.r.s);
        begin_step(&library.r);
        draw_views(&hand.r);
        hand.r.step++;
        compute_split_by_hand(&hand);
        end_step(&library.r);
        update(&hand.r);
        nnclr_execution_pack(hand.groups);
        nnclr_execution_pack(hand.single);
        enqueue_rows(&hand.r, value_rows(&hand.r, "projection_unit", 0));
        check_state(&library.r, &hand.r, 1e-9);
        CHECK(library.r.s.parameters.batches == (int64_t)step * VIEWS);
    }
    double *end = host_reals(&hand.r.s.f, hand.r.s.parameters.weights, hand.r.s.count);
    CHECK(relative_distance(end, start, hand.r.s.count) > 0.01);
    free(end);
    free(start);
    close_split(&hand);
    close_split(&library);
}

TEST(micro_batches_are_groups) {
    follow(4);
    follow(8);
}

TEST(one_micro_batch_is_the_plain_step) {
    static split_run library;
    static run plain;
    open_library(&library, N);
    open_run(&plain, &method, &right, NULL);
    for (int step = 0; step < 3; step++) {
        begin_step(&library.r);
        begin_step(&plain);
        end_step(&library.r);
        end_step(&plain);
        check_state(&library.r, &plain, 0);
    }
    close_run(&plain);
    close_split(&library);
}

/* What a smaller batch norm group does to the loss is not rounding: the comparison can fail. */
TEST(other_sizes_are_other_steps) {
    static split_run four, eight;
    open_library(&four, 4);
    open_library(&eight, 8);
    begin_step(&four.r);
    begin_step(&eight.r);
    CHECK(fabs(four.r.s.loss - eight.r.s.loss) > 1e-4);
    size_t small = nnclr_execution_bytes(four.r.s.pass.backbone),
           large = nnclr_execution_bytes(eight.r.s.pass.backbone);
    nnclr_pass_bytes whole;
    CHECK(nnclr_pass_measure(four.r.s.net, &four.r.s.f.g, VIEWS, N, 0, &whole, &four.r.s.e));
    CHECK(small < large && whole.backbone == 0 && large < whole.rest);
    close_split(&eight);
    close_split(&four);
}

/* What goes into the first batch norm does not depend on how the batch is cut. */
TEST(a_batch_has_its_own_statistics) {
    double *whole = NULL;
    for (int size = N; size >= 2; size /= 2) {
        static split_run s;
        open_library(&s, size);
        const nnclr_segment *mean = nnclr_network_statistic_segments(s.r.s.net);
        CHECK_TEXT(mean->name, "backbone.bn1.running_mean");
        for (int step = 0; step < 3; step++)
            begin_step(&s.r);
        double *now = statistics_of(&s.r);
        if (whole)
            check_close("statistics", now, whole, 2 * mean->count, 1e-13);
        else
            whole = now;
        CHECK(s.r.s.parameters.batches == 3 * VIEWS);
        if (now != whole)
            free(now);
        close_split(&s);
    }
    free(whole);
}

TEST(what_does_not_divide_is_refused) {
    static split_run s;
    open_library(&s, 4);
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_pass pass;
    CHECK(!nnclr_pass_create(&pass, &s.r.s.parameters, VIEWS, N, 5, &e));
    CHECK_TEXT(e.message, "a batch of 16 cannot be cut into micro-batches of 5");
    CHECK(!nnclr_pass_create(&pass, &s.r.s.parameters, VIEWS, N, -1, &e));
    close_split(&s);
}

int main(void) {
    return check_all();
}
