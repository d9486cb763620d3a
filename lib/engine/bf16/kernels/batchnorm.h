/* Kernels of batch norm on one cell: nothing of it is read or written twice but x and dy, once for
 * the sums and once for the gradient. Traffic of a cell of n bytes: normalise reads n, n more of
 * what is added, and writes n; sum_gradient reads dy, x and, behind a ReLU, y; gradient reads these
 * again and writes n, or n more where a residual takes its part. */
#ifndef NNCLR_ENGINE_BF16_KERNELS_BATCHNORM_H
#define NNCLR_ENGINE_BF16_KERNELS_BATCHNORM_H

#include "engine/bf16/kernels/rearrange.h"

static void normalise(const tile_normalise *c, int pictures) {
    for (int half = 0; half < BLOCK; half += LANES) {
        lanes scale = load(c->main.scale + half), shift = load(c->main.shift + half);
        lanes other_scale = {0}, other_shift = {0};
        if (c->second) {
            other_scale = load(c->other.scale + half);
            other_shift = load(c->other.shift + half);
        }
        for (int at = half; at < pictures * BLOCK; at += BLOCK) {
            lanes y = widen(c->x + at) * scale + shift;
            if (c->residual)
                y += widen(c->residual + at);
            if (c->second)
                y += widen(c->second + at) * other_scale + other_shift;
            if (c->relu) /* keeps a NaN */
                y = (lanes)((words)y & ~(words)(y < 0));
            narrow(c->y + at, y);
        }
    }
    fill_up(c->y, pictures);
}

INLINE lanes masked(const tile_gradient *c, int at) {
    lanes dz = widen(c->dy + at);
    return c->y ? (lanes)((words)dz & (words)(widen(c->y + at) > 0)) : dz;
}

static void sum_gradient(const tile_gradient *c, int pictures, float *totals) {
    for (int half = 0; half < BLOCK; half += LANES) {
        lanes mean = load(c->main.mean + half), other_mean = {0};
        lanes sum = {0}, along = {0}, other = {0};
        if (c->second)
            other_mean = load(c->other.mean + half);
        for (int at = half; at < pictures * BLOCK; at += BLOCK) {
            lanes dz = masked(c, at);
            sum += dz;
            along += dz * (widen(c->x + at) - mean);
            if (c->second)
                other += dz * (widen(c->second + at) - other_mean);
        }
        keep(totals + half, load(totals + half) + sum);
        keep(totals + BLOCK + half, load(totals + BLOCK + half) + along);
        keep(totals + 2 * BLOCK + half, load(totals + 2 * BLOCK + half) + other);
    }
}

INLINE void input_gradient(const tile_slope *s, int half, const bf16 *x, lanes dz, bf16 *dx) {
    lanes along = load(s->slope + half) * (widen(x) - load(s->mean + half));
    narrow(dx, load(s->scale + half) * dz + (along + load(s->shift + half)));
}

static void gradient(const tile_gradient *c, int pictures) {
    for (int half = 0; half < BLOCK; half += LANES)
        for (int at = half; at < pictures * BLOCK; at += BLOCK) {
            lanes dz = masked(c, at);
            input_gradient(&c->main, half, c->x + at, dz, c->dx + at);
            if (c->second)
                input_gradient(&c->other, half, c->second + at, dz, c->second_dx + at);
            if (c->dresidual)
                narrow(c->dresidual + at, c->add_residual ? dz + widen(c->dresidual + at) : dz);
        }
    fill_up(c->dx, pictures);
    if (c->second)
        fill_up(c->second_dx, pictures);
    if (c->dresidual)
        fill_up(c->dresidual, pictures);
}

#endif
