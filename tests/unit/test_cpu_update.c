/* The optimiser step: golden numbers of each LARS variant, the rules for zero norms and 1-D
 * parameters, and long segments against the formulas. */
#include "tests/unit/engine_fixture.h"

typedef struct state {
    nnclr_update_call update;
    void *weights, *velocity, *gradients;
    size_t count;
} state;

static state make_state(fixture *f, nnclr_optimizer optimizer, nnclr_lars lars,
                        const nnclr_segment *segments, size_t segment_count, const double *w,
                        const double *g, size_t count) {
    double *zeros = zero_reals(count);
    state s = {.weights = fixture_reals(f, w, count),
               .velocity = fixture_reals(f, zeros, count),
               .gradients = fixture_reals(f, g, count),
               .count = count};
    s.update = (nnclr_update_call){.optimizer = optimizer,
                                   .lars = lars,
                                   .lr = .1,
                                   .momentum = .9,
                                   .weight_decay = .01,
                                   .trust = lars == NNCLR_LARS_SOLO ? .02 : .001,
                                   .segments = segments,
                                   .segment_count = segment_count,
                                   .weights = s.weights,
                                   .velocity = s.velocity,
                                   .gradients = s.gradients};
    free(zeros);
    return s;
}

static void step(fixture *f, state *s, double lr, const double *gradients) {
    s->update.lr = lr;
    f->t->put(&f->g, s->gradients, s->count, NNCLR_F64, gradients);
    f->t->update(&f->g, &s->update);
}

static const nnclr_lars variants[4] = {NNCLR_LARS_SIMCLR, NNCLR_LARS_BYOL, NNCLR_LARS_LIGHTLY,
                                       NNCLR_LARS_SOLO};

static void golden_steps(void) {
    const double w[2] = {3, 4}, first[2] = {.6, .8}, second[2] = {.6, -.8};
    const double want[4][2][2] = {{{2.9997, 3.9996}, {2.998791878, 4.000009806}},
                                  {{2.9997, 3.9996}, {2.998521878, 3.999649806}},
                                  {{2.9997, 3.9996}, {2.998560060, 3.999603744}},
                                  {{2.940000001, 3.920000001}, {2.773200002, 3.847075693}}};
    const nnclr_segment segment = {.count = 2, .decays = true, .adapts = true};
    for (int i = 0; i < 4; i++) {
        fixture f;
        fixture_open(&f, NNCLR_PRECISION_F64, 1);
        state s = make_state(&f, NNCLR_LARS, variants[i], &segment, 1, w, first, 2);
        for (int k = 0; k < 2; k++) {
            step(&f, &s, k ? .2 : .1, k ? second : first);
            double *now = host_reals(&f, s.weights, 2);
            for (int j = 0; j < 2; j++)
                CHECK_SAYS(fabs(now[j] - want[i][k][j]) < 6e-10, "variant %c, step %d: %.10g",
                           'A' + i, k + 1, now[j]);
            free(now);
        }
        fixture_close(&f);
    }
}

/* torch.optim.SGD with momentum .9 and weight decay .01, worked by hand. */
static void sgd_steps(void) {
    fixture f;
    fixture_open(&f, NNCLR_PRECISION_F64, 1);
    const double w[2] = {3, 4}, g[2] = {.6, -.8};
    const nnclr_segment segments[2] = {{.count = 1, .decays = true, .adapts = true},
                                       {.offset = 1, .count = 1}};
    state s = make_state(&f, NNCLR_SGD, NNCLR_LARS_BYOL, segments, 2, w, g, 2);
    step(&f, &s, .1, g);
    double *now = host_reals(&f, s.weights, 2);
    CHECK_NEAR(now[0], 3 - .1 * .63, 1e-14);
    CHECK_NEAR(now[1], 4 + .1 * .8, 1e-14);
    free(now);
    step(&f, &s, .2, g);
    now = host_reals(&f, s.weights, 2);
    CHECK_NEAR(now[0], 2.937 - .2 * (.9 * .63 + .6 + .02937), 1e-14);
    CHECK_NEAR(now[1], 4.08 + .2 * (.9 * .8 + .8), 1e-14);
    free(now);
    fixture_close(&f);
}

/* Without a gradient A and B still decay (trust |w|/|wd w| = .1, times wd w), C and D do not move.
 * A zero weight moves by the plain gradient. */
static void zero_norms(void) {
    const double w[4] = {3, 4, 0, 0}, g[4] = {0, 0, .5, -.25};
    const nnclr_segment segments[2] = {{.count = 2, .decays = true, .adapts = true},
                                       {.offset = 2, .count = 2, .decays = true, .adapts = true}};
    for (int i = 0; i < 4; i++) {
        fixture f;
        fixture_open(&f, NNCLR_PRECISION_F64, 1);
        state s = make_state(&f, NNCLR_LARS, variants[i], segments, 2, w, g, 4);
        step(&f, &s, .1, g);
        double *now = host_reals(&f, s.weights, 4);
        double decayed = i < 2 ? 1 - .1 * .001 : 1;
        CHECK_NEAR(now[0], 3 * decayed, 1e-14);
        CHECK_NEAR(now[1], 4 * decayed, 1e-14);
        CHECK_NEAR(now[2], -.05, 1e-15);
        CHECK_NEAR(now[3], .025, 1e-15);
        free(now);
        fixture_close(&f);
    }
}

/* Neither decay nor ratio, but momentum. */
static void one_dimensional_parameters(void) {
    const double w[2] = {3, 4}, g[2] = {.6, .8};
    const nnclr_segment segment = {.count = 2};
    for (int i = 0; i < 4; i++) {
        fixture f;
        fixture_open(&f, NNCLR_PRECISION_F64, 1);
        state s = make_state(&f, NNCLR_LARS, variants[i], &segment, 1, w, g, 2);
        step(&f, &s, .1, g);
        step(&f, &s, .1, g);
        double *now = host_reals(&f, s.weights, 2);
        CHECK_NEAR(now[0], 3 - .1 * .6 * (1 + 1.9), 1e-14);
        CHECK_NEAR(now[1], 4 - .1 * .8 * (1 + 1.9), 1e-14);
        free(now);
        fixture_close(&f);
    }
}

/* A rate of 0, as byol's warm-up begins with, changes no weight. */
static void no_rate_no_move(void) {
    const double w[2] = {3, 4}, g[2] = {.6, .8};
    const nnclr_segment segment = {.count = 2, .decays = true, .adapts = true};
    for (int i = 0; i < 4; i++) {
        fixture f;
        fixture_open(&f, NNCLR_PRECISION_F32, 1);
        state s = make_state(&f, NNCLR_LARS, variants[i], &segment, 1, w, g, 2);
        step(&f, &s, 0, g);
        double *now = host_reals(&f, s.weights, 2);
        CHECK(now[0] == 3 && now[1] == 4);
        free(now);
        fixture_close(&f);
    }
}

/* B over a long segment, by its formula, and the same bits for any number of threads. */
static void long_segments(void) {
    enum { COUNT = 200003, FIRST = 17 };
    uint64_t seed = 4;
    double *w = random_reals(&seed, COUNT), *g = random_reals(&seed, COUNT);
    const nnclr_segment segments[2] = {
        {.count = FIRST},
        {.offset = FIRST, .count = COUNT - FIRST, .decays = true, .adapts = true}};
    double of_w = 0, of_u = 0;
    for (int i = FIRST; i < COUNT; i++) {
        double u = g[i] + .01 * w[i];
        of_w += w[i] * w[i];
        of_u += u * u;
    }
    double ratio = .001 * sqrt(of_w) / sqrt(of_u), *want = zero_reals(COUNT);
    for (int i = 0; i < COUNT; i++)
        want[i] = w[i] - .1 * (i < FIRST ? g[i] : ratio * (g[i] + .01 * w[i]));
    for (int bits = 0; bits < 2; bits++) {
        double *first = NULL;
        for (int threads = 1; threads <= 3; threads++) {
            fixture f;
            fixture_open(&f, bits ? NNCLR_PRECISION_F64 : NNCLR_PRECISION_F32, threads);
            state s = make_state(&f, NNCLR_LARS, NNCLR_LARS_BYOL, segments, 2, w, g, COUNT);
            step(&f, &s, .1, g);
            double *now = host_reals(&f, s.weights, COUNT);
            check_close("w", now, want, COUNT, bits ? 1e-14 : 1e-7);
            if (first) {
                CHECK(memcmp(now, first, COUNT * sizeof *now) == 0);
                free(now);
            } else {
                first = now;
            }
            fixture_close(&f);
        }
        free(first);
    }
    free(w), free(g), free(want);
}

int main(void) {
    RUN(golden_steps);
    RUN(sgd_steps);
    RUN(zero_norms);
    RUN(one_dimensional_parameters);
    RUN(no_rate_no_move);
    RUN(long_segments);
    return check_done();
}
