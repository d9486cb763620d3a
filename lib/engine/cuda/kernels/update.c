/* The optimiser step: four LARS variants and SGD over all segments at once. Formulas are those of
 * engine/cpu/update.c. */
#include "engine/cuda/kernels/kernel.h"

DEVICE int adapts(const update_call *p, int segment) {
    return p->adaptive && p->segments[segment].adapts;
}

KERNEL(update_norms) {
    SHARED(double, of_w, LANES);
    SHARED(double, of_u, LANES);
    const update_part part = p.parts[BLOCK];
    const float decay = p.segments[part.segment].decays && !p.of_sum ? (float)p.decay : 0;
    if (!adapts(&p, part.segment))
        return;
    EACH(lane, LANES) {
        of_w[lane] = of_u[lane] = 0;
        for (size_t i = part.begin + (size_t)lane; i < part.end; i += LANES) {
            const float u = p.g[i] + decay * p.w[i];
            of_w[lane] += (double)p.w[i] * (double)p.w[i];
            of_u[lane] += (double)u * (double)u;
        }
    }
    BARRIER();
    const double w = add_lanes(of_w), u = add_lanes(of_u);
    if (THREAD == 0) {
        p.squares[2 * BLOCK] = w;
        p.squares[2 * BLOCK + 1] = u;
    }
}

/* The ratio of a segment's norms; without a gradient or weights 1. Those of the sum of norms then
 * have no decay either. */
DEVICE double ratio_of(const update_call *p, int segment, double *decay) {
    const update_segment *s = &p->segments[segment];
    double of_w = 0, of_u = 0;
    for (size_t i = s->first_part; i < s->first_part + s->parts; i++) {
        of_w += p->squares[2 * i];
        of_u += p->squares[2 * i + 1];
    }
    of_w = sqrt(of_w);
    of_u = sqrt(of_u);
    if (!(of_w > 0 && of_u > 0)) {
        *decay = p->of_sum ? 0 : *decay;
        return 1;
    }
    if (!p->of_sum)
        return p->trust * of_w / of_u;
    const double ratio = p->trust * of_w / (of_u + *decay * of_w + 1e-8);
    return !p->solo ? ratio : ratio < p->lr ? ratio / p->lr : 1;
}

KERNEL(update_rates) {
    EACH_OF_SPAN(i, (size_t)p.segment_count) {
        double decay = p.segments[i].decays ? (double)(float)p.decay : 0;
        const double ratio = adapts(&p, (int)i) ? ratio_of(&p, (int)i, &decay) : 1;
        p.rates[2 * i] = (float)(p.rate_inside ? p.lr * ratio : ratio);
        p.rates[2 * i + 1] = (float)decay;
    }
}

KERNEL(update_step) {
    const update_part part = p.parts[BLOCK];
    const float gain = p.rates[2 * part.segment], decay = p.rates[2 * part.segment + 1];
    const float step = p.rate_inside ? 1 : (float)p.lr;
    for (size_t i = part.begin + (size_t)THREAD; i < part.end; i += (size_t)THREADS) {
        const float u = gain * (p.g[i] + decay * p.w[i]), v = p.momentum * p.v[i] + u;
        p.v[i] = v;
        p.w[i] -= step * (p.nesterov ? u + p.momentum * v : v);
    }
}
