/* Ten free-running steps of NNCLR and of SimCLR with LARS on fixed views against PyTorch
 * (tests/reference/ten_steps.py): in double precision the whole curve, in single precision each
 * step from the double one's state. Methods that are wrong in one thing must not pass for it. */
#include "tests/unit/single_steps.h"

/* ---- comparison ---- */

/* How far a run was from PyTorch's, in tolerances. */
typedef struct distances {
    double loss, picks, queue, updates, running;
    int step; /* the first that was further than one away; 0: none */
} distances;

static double furthest(const distances *d) {
    return largest(largest(largest(d->loss, d->picks), d->queue), largest(d->updates, d->running));
}

static void compare_step(run *r, const reference *want, int step, distances *d) {
    d->loss = largest(d->loss, fabs(r->loss - want->loss[step]) / 1e-8);
    if (want->picks) {
        if (memcmp(r->picks, want->picks + step * VIEWS * N, sizeof r->picks) != 0)
            d->picks = INFINITY;
        static double rows[M * D];
        support_rows(&r->support, rows);
        d->queue = largest(
            d->queue, summary_distance(&want->queue[step], rows, M * D, (uint64_t)step) / 1e-8);
    }
    if (d->step == 0 && !(furthest(d) <= 1))
        d->step = step + 1;
}

static double compare_tensors(const nnclr_segment *segments, size_t count, const summary *want,
                              size_t want_count, const double *values, double tolerance) {
    double most = 0;
    CHECK(count == want_count);
    for (size_t i = 0; i < count; i++) {
        CHECK_TEXT(segments[i].name, want[i].name);
        most = largest(
            most, summary_distance(&want[i], values + segments[i].offset, segments[i].count, i));
    }
    return most / tolerance;
}

static distances follow(const reference *want, const variant *v) {
    static run r;
    distances d = {0};
    open_run(&r, want, v, NNCLR_PRECISION_F64);
    double *start = host_reals(&r.f, r.parameters.weights, r.count);
    for (int step = 0; step < STEPS; step++) {
        begin_step(&r);
        end_step(&r);
        compare_step(&r, want, step, &d);
    }
    double *end = host_reals(&r.f, r.parameters.weights, r.count);
    double *update = moved(end, -1, start, r.count);
    d.updates = compare_tensors(nnclr_network_segments(r.net), r.segment_count, want->updates,
                                want->update_count, update, 1e-6);
    for (size_t i = 0; i < r.segment_count; i++) {
        const nnclr_segment *s = &nnclr_network_segments(r.net)[i];
        double length = sqrt(dot_product(update + s->offset, update + s->offset, s->count)),
               before = sqrt(dot_product(start + s->offset, start + s->offset, s->count));
        CHECK_SAYS(s->rank == 1 || v != &right || length >= 0.01 * before, "%s moves by %g of %g",
                   s->name, length, before);
    }
    double *running =
        host_reals(&r.f, r.parameters.statistics, nnclr_network_statistic_count(r.net));
    d.running = compare_tensors(nnclr_network_statistic_segments(r.net),
                                nnclr_network_statistic_segment_count(r.net), want->running,
                                want->running_count, running, 1e-8);
    free(running);
    free(update);
    free(end);
    free(start);
    close_run(&r);
    return d;
}

static void check_right(const reference *want, const variant *v) {
    distances d = follow(want, v);
    CHECK_SAYS(furthest(&d) <= 1,
               "in tolerances: loss %g, picks %g, queue %g, updates %g, running statistics %g; the "
               "first to be off is step %d",
               d.loss, d.picks, d.queue, d.updates, d.running, d.step);
}

static void nnclr_in_f64(void) {
    check_right(&nnclr_reference, &right);
}

static void simclr_in_f64(void) {
    check_right(&simclr_reference, &right);
}

static void nnclr_by_hand(void) {
    check_right(&nnclr_reference, &(variant){.compute = compute_by_hand});
}

/* ---- methods that are wrong in one thing ---- */

/* The weights and the loss are off by more than a little, first seen after `step` steps. */
static void check_wrong(const reference *want, const variant *v, int step) {
    distances d = follow(want, v);
    CHECK_SAYS(d.step == step && !(d.loss <= 1e4) && !(d.updates <= 1e4),
               "in tolerances, loss %g and updates %g; the first to be off is step %d", d.loss,
               d.updates, d.step);
}

static void lars_a_is_told_from_b(void) {
    check_wrong(&nnclr_reference, &(variant){.lars = NNCLR_LARS_SIMCLR}, 3);
    check_wrong(&simclr_reference, &(variant){.lars = NNCLR_LARS_SIMCLR}, 3);
}

static void lars_of_1d_parameters_is_told(void) {
    check_wrong(&nnclr_reference, &(variant){.adapt_all = true}, 3);
    check_wrong(&simclr_reference, &(variant){.adapt_all = true}, 3);
}

static void decay_of_1d_parameters_is_told(void) {
    check_wrong(&nnclr_reference, &(variant){.decay_all = true}, 3);
    check_wrong(&simclr_reference, &(variant){.decay_all = true}, 3);
}

static void no_momentum_is_told(void) {
    check_wrong(&nnclr_reference, &(variant){.no_momentum = true}, 3);
    check_wrong(&simclr_reference, &(variant){.no_momentum = true}, 3);
}

static void enqueue_before_the_search_is_told(void) {
    check_wrong(
        &nnclr_reference,
        &(variant){.compute = compute_by_hand, .enqueue_first = true, .enqueue = enqueue_nothing},
        1);
}

static void raw_queue_rows_are_told(void) {
    check_wrong(&nnclr_reference, &(variant){.enqueue = enqueue_raw}, 1);
}

static void columns_for_rows_are_told(void) {
    check_wrong(&nnclr_reference, &(variant){.compute = compute_by_hand, .columns = true}, 1);
}

static void one_batchnorm_over_both_views_is_told(void) {
    check_wrong(&nnclr_reference, &(variant){.compute = compute_by_hand, .groups = 1}, 1);
}

static void a_predictor_fed_the_features_is_told(void) {
    check_wrong(&nnclr_reference, &(variant){.build = build_predictor_on_features}, 1);
}

static void view_2_enqueued_is_told(void) {
    check_wrong(&nnclr_reference, &(variant){.enqueue = enqueue_view_2}, 1);
}

/* ---- single precision, step by step ---- */

static void nnclr_in_f32(void) {
    check_single(&nnclr_reference, &right, 3, 1e-5);
}

static void simclr_in_f32(void) {
    check_single(&simclr_reference, &right, 3, 1e-5);
}

int main(void) {
    RUN(nnclr_in_f64);
    RUN(simclr_in_f64);
    RUN(nnclr_by_hand);
    RUN(nnclr_in_f32);
    RUN(simclr_in_f32);
    RUN(lars_a_is_told_from_b);
    RUN(lars_of_1d_parameters_is_told);
    RUN(decay_of_1d_parameters_is_told);
    RUN(no_momentum_is_told);
    RUN(enqueue_before_the_search_is_told);
    RUN(raw_queue_rows_are_told);
    RUN(columns_for_rows_are_told);
    RUN(one_batchnorm_over_both_views_is_told);
    RUN(a_predictor_fed_the_features_is_told);
    RUN(view_2_enqueued_is_told);
    return check_done();
}
