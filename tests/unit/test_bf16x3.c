/* How far convolutions of floats that become two bfloat16 each are from their definition. */
#define NNCLR_TILE_PARTS 3
#include "tests/unit/bf16_kinds.h"
#include "tests/unit/conv_problem.h"
#include "tests/unit/torch_summary.h"

typedef enum range { RANDOM, POSITIVE, TINY, RANGES } range;

static const char *const range_names[RANGES] = {"random", "positive", "1e-6 of random"};

/* Floats with all their bits, in (-2, 2). */
static void fill(double *values, size_t count, range r, uint64_t *seed) {
    for (size_t i = 0; i < count; i++) {
        double v = random_value(seed) + random_value(seed) / 512;
        v = (double)(float)(v + random_value(seed) / (512.0 * 512));
        values[i] = r == POSITIVE ? fabs(v) : r == TINY ? (double)(float)(1e-6 * v) : v;
    }
}

static void fill_problem(problem *p, range r, uint64_t seed) {
    double *operands[] = {p->x, p->w, p->dy};
    const size_t counts[] = {shape_reals(p->in), weight_count(&p->conv), shape_reals(p->out)};
    for (int k = 0; k < 3; k++)
        fill(operands[k], counts[k], r, &seed);
}

static problem magnitude(const problem *p) {
    problem m = make_problem(p->conv, p->in, 0);
    double *to[] = {m.x, m.w, m.dy};
    const double *from[] = {p->x, p->w, p->dy};
    const size_t counts[] = {shape_reals(p->in), weight_count(&p->conv), shape_reals(p->out)};
    for (int k = 0; k < 3; k++)
        for (size_t i = 0; i < counts[k]; i++)
            to[k][i] = fabs(from[k][i]);
    return m;
}

/* |error| / |result| at most 1e-5, and no error above 2e-5 of what the magnitudes give. */
static void check_error(const char *what, const double *got, const double *want,
                        const double *magnitudes, size_t count) {
    double whole = relative_distance(got, want, count), worst = 0;
    for (size_t i = 0; i < count; i++)
        worst = fmax(worst, fabs(got[i] - want[i]) / (magnitudes[i] + 1e-300));
    CHECK_SAYS(whole <= 1e-5 && worst <= 2e-5, "%s: error %g, the largest %g of the magnitudes",
               what, whole, worst);
}

static void check_conv(const bf16_kind *kind, nnclr_conv conv, nnclr_shape in, range r) {
    problem p = make_problem(conv, in, 1);
    fill_problem(&p, r, (uint64_t)r + 5);
    problem m = magnitude(&p);
    fixture f;
    open_kind(&f, kind, 2);
    results want = reference(&p, false), size = reference(&m, false);
    results got = compute(&f, &p, false, in.n);
    char what[100];
    const char *names[] = {"y", "dx", "dw"};
    const double *parts[][3] = {
        {got.y, want.y, size.y}, {got.dx, want.dx, size.dx}, {got.dw, want.dw, size.dw}};
    const size_t counts[] = {shape_reals(p.out), shape_reals(p.in), weight_count(&conv)};
    for (int k = 0; k < 3; k++) {
        snprintf(what, sizeof what, "%s, %s, %d to %d channels: %s", kind->name, range_names[r],
                 conv.ci, conv.co, names[k]);
        check_error(what, parts[k][0], parts[k][1], parts[k][2], counts[k]);
    }
    free_results(&got), free_results(&want), free_results(&size);
    free_problem(&p), free_problem(&m);
    fixture_close(&f);
}

static void convolutions_have_the_precision_of_three_products(void) {
    const struct {
        nnclr_conv conv;
        nnclr_shape in;
    } cases[] = {{{3, 20, 3, 1, 1}, {2, 33, 6, 5, 3}},
                 {{70, 40, 3, 2, 1}, {1, 40, 7, 6, 70}},
                 {{200, 64, 1, 1, 0}, {2, 32, 6, 6, 200}},
                 {{64, 64, 3, 1, 1}, {1, 64, 8, 8, 64}}};
    bf16_kind kind;
    for (int k = 0; k < KINDS; k++)
        for (size_t i = 0; kind_at(k, &kind) && i < (kind.emulated ? 2 : 4); i++)
            for (int r = 0; r < RANGES; r++)
                check_conv(&kind, cases[i].conv, cases[i].in, (range)r);
}

int main(void) {
    RUN(every_kind_runs_here);
    RUN(convolutions_have_the_precision_of_three_products);
    return check_done();
}
