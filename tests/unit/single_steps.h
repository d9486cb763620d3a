/* The references of the ten steps (ten_steps.h), and the steps in single precision beside them. */
#ifndef NNCLR_TESTS_SINGLE_STEPS_H
#define NNCLR_TESTS_SINGLE_STEPS_H

#include "tests/unit/ten_steps.h"

#include "tests/reference/ten_steps.inc"

#define REFERENCE(method, number)                                                                  \
    .seed = number, .loss = torch_##method##_loss, .updates = torch_##method##_updates,            \
    .update_count = COUNT(torch_##method##_updates), .running = torch_##method##_running,          \
    .running_count = COUNT(torch_##method##_running), .own = torch_##method##_own,                 \
    .own_tensors = torch_##method##_own_tensors

static const reference nnclr_reference = {.method = &nnclr_method_nnclr,
                                          REFERENCE(nnclr, NNCLR_SEED),
                                          .picks = torch_nnclr_picks,
                                          .queue = torch_nnclr_queue};
static const reference simclr_reference = {.method = &nnclr_method_simclr,
                                           REFERENCE(simclr, SIMCLR_SEED)};

static inline double largest(double a, double b) {
    return isnan(b) || b > a ? b : a;
}

static inline void compare_gradients(run *whole, run *single, const reference *want, int step,
                                     double times, double *tensors) {
    double *a = host_reals(&single->f, single->parameters.gradients, single->count),
           *b = host_reals(&whole->f, whole->parameters.gradients, whole->count);
    double distance = relative_distance(a, b, whole->count);
    CHECK_SAYS(distance <= times * want->own[step],
               "step %d: the gradient is %g from the double one, PyTorch's %g", step + 1, distance,
               want->own[step]);
    for (size_t i = 0; i < whole->segment_count; i++) {
        const nnclr_segment *s = &whole->segments[i];
        tensors[i] = largest(tensors[i], relative_distance(a + s->offset, b + s->offset, s->count));
    }
    free(a);
    free(b);
}

/* What the projector's last bias adds to z, the batch norm after the predictor's first layer takes
 * away again, so that NNCLR's loss has no slope there: see test_resnet.c. */
static inline bool is_without_gradient(const reference *want, const nnclr_segment *s) {
    return want->method == &nnclr_method_nnclr && strcmp(s->name, "projector.7.bias") == 0;
}

/* Each step from the state of a run in double: the same picks, the loss within `loss`, gradients
 * within so many times of PyTorch's own distance. */
static inline void check_single(const reference *want, const variant *v, double times,
                                double loss) {
    static run whole, single;
    double tensors[COUNT(whole.segments)] = {0};
    open_run(&whole, want, &right, NNCLR_PRECISION_F64);
    open_run(&single, want, v, NNCLR_PRECISION_F32);
    for (int step = 0; step < STEPS; step++) {
        take_state(&single, &whole);
        begin_step(&whole);
        begin_step(&single);
        CHECK(!want->picks || memcmp(single.picks, whole.picks, sizeof whole.picks) == 0);
        CHECK_SAYS(fabs(single.loss - want->loss[step]) <= loss, "step %d: loss %.9g, not %.9g",
                   step + 1, single.loss, want->loss[step]);
        compare_gradients(&whole, &single, want, step, times, tensors);
        end_step(&whole);
    }
    for (size_t i = 0; i < whole.segment_count; i++)
        CHECK_SAYS(tensors[i] <= times * want->own_tensors[i] ||
                       is_without_gradient(want, &whole.segments[i]),
                   "%s: the gradient is %g from the double one, PyTorch's %g",
                   whole.segments[i].name, tensors[i], want->own_tensors[i]);
    close_run(&single);
    close_run(&whole);
}

#endif
