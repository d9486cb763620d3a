/* Kernels of batch norm on one tile: nothing in it is read or written twice except x and dy, once
 * for the sums and once for the gradient. Traffic of a tile of n bytes: normalise reads n, n more
 * of what is added, and writes n; sum_gradient reads dy, x and, if a ReLU had more than x to go by,
 * y; gradient reads these again and writes n, or n more if a residual takes its part. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_BATCHNORM_H
#define NNCLR_ENGINE_TILES_KERNELS_BATCHNORM_H

#include "engine/tiles/kernels/store.h"

static void normalise(const tile_normalise *c, int pictures, int channels) {
    const int stride = c->stride;
    clear_lanes(c->y, c->stride, pictures, channels);
    for (int half = 0; half < channels; half += LANES) {
        lanes scale = get(c->main.scale + half), shift = get(c->main.shift + half);
        lanes other_scale = {0}, other_shift = {0};
        if (c->second) {
            other_scale = get(c->other.scale + half);
            other_shift = get(c->other.shift + half);
        }
        for (int at = half; at < pictures * stride; at += stride) {
            lanes y = widen(c->x, at) * scale + shift;
            if (c->residual)
                y += widen(c->residual, at);
            if (c->second)
                y += widen(c->second, at) * other_scale + other_shift;
            if (c->relu) /* keeps a NaN */
                y = (lanes)((words)y & ~(words)(y < 0));
            narrow_past(c->y, at, y);
        }
    }
    fill_up(c->y, c->stride, pictures);
}

/* With the roundings of `normalise`, so that the mask is that of y, bit for bit. */
INLINE lanes masked(const tile_gradient *c, int half, int at) {
    lanes dz = widen(c->dy, at);
    if (c->mask) {
        lanes y = widen(c->x, at) * get(c->mask->scale + half) + get(c->mask->shift + half);
        return (lanes)((words)dz & (words)(y >= LEAST_POSITIVE));
    }
    return c->y ? (lanes)((words)dz & (words)(widen(c->y, at) > 0)) : dz;
}

static void sum_gradient(const tile_gradient *c, int pictures, int channels, float *totals) {
    const int stride = c->stride;
    for (int half = 0; half < channels; half += LANES) {
        lanes mean = get(c->main.mean + half), other_mean = {0};
        lanes sum = {0}, along = {0}, other = {0};
        if (c->second)
            other_mean = get(c->other.mean + half);
        for (int at = half; at < pictures * stride; at += stride) {
            lanes dz = masked(c, half, at);
            sum += dz;
            along += dz * (widen(c->x, at) - mean);
            if (c->second)
                other += dz * (widen(c->second, at) - other_mean);
        }
        keep(totals + half, get(totals + half) + sum);
        keep(totals + BLOCK + half, get(totals + BLOCK + half) + along);
        keep(totals + 2 * BLOCK + half, get(totals + 2 * BLOCK + half) + other);
    }
}

INLINE void input_gradient(const tile_slope *s, int half, int at, const void *x, lanes dz,
                           void *dx) {
    lanes along = get(s->slope + half) * (widen(x, at) - get(s->mean + half));
    narrow(dx, at, get(s->scale + half) * dz + (along + get(s->shift + half)));
}

static void gradient(const tile_gradient *c, int pictures, int channels) {
    const int stride = c->stride;
    if (c->dx != c->dy)
        clear_lanes(c->dx, c->stride, pictures, channels);
    if (c->second)
        clear_lanes(c->second_dx, c->stride, pictures, channels);
    if (c->dresidual && !c->add_residual)
        clear_lanes(c->dresidual, c->stride, pictures, channels);
    for (int half = 0; half < channels; half += LANES)
        for (int at = half; at < pictures * stride; at += stride) {
            lanes dz = masked(c, half, at);
            input_gradient(&c->main, half, at, c->x, dz, c->dx);
            if (c->second)
                input_gradient(&c->other, half, at, c->second, dz, c->second_dx);
            if (c->dresidual)
                narrow(c->dresidual, at, c->add_residual ? dz + widen(c->dresidual, at) : dz);
        }
    fill_up(c->dx, c->stride, pictures);
    if (c->second)
        fill_up(c->second_dx, c->stride, pictures);
    if (c->dresidual)
        fill_up(c->dresidual, c->stride, pictures);
}

#endif
