/* Max-pool 3x3 stride 2 pad 1, and the mean over a picture. Pictures are independent tasks. */
#include "engine/cpu/cpu.h"

#include <string.h>

typedef struct pool_call {
    const nnclr_tensor *x, *y; /* values, or for backward, x and the gradient of y */
    const nnclr_tensor *dx;
    bool add;
} pool_call;

static size_t picture_reals(nnclr_shape s) {
    return (size_t)s.h * (size_t)s.w * (size_t)s.c;
}

/* The part of an output pixel's window inside the picture, along one axis. */
static void window(int out, int size, int *from, int *until) {
    *from = 2 * out - 1 < 0 ? 0 : 2 * out - 1;
    *until = 2 * out + 2 > size ? size : 2 * out + 2;
}

static void largest_picture(void *context, int picture, int worker) {
    (void)worker;
    const pool_call *call = context;
    nnclr_shape in = call->x->shape, out = call->y->shape;
    size_t c = (size_t)in.c;
    const real *x = (const real *)call->x->place + (size_t)picture * picture_reals(in);
    real *y = (real *)call->y->place + (size_t)picture * picture_reals(out);
    for (int oy = 0; oy < out.h; oy++) {
        for (int ox = 0; ox < out.w; ox++, y += c) {
            int y0, y1, x0, x1;
            window(oy, in.h, &y0, &y1);
            window(ox, in.w, &x0, &x1);
            memcpy(y, x + ((size_t)y0 * (size_t)in.w + (size_t)x0) * c, c * sizeof *y);
            for (int iy = y0; iy < y1; iy++) {
                for (int ix = x0; ix < x1; ix++) {
                    const real *from = x + ((size_t)iy * (size_t)in.w + (size_t)ix) * c;
                    for (size_t i = 0; i < c; i++)
                        y[i] = from[i] > y[i] ? from[i] : y[i];
                }
            }
        }
    }
}

void CPU(maxpool_forward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y) {
    pool_call call = {.x = x, .y = y};
    nnclr_pool_for(g->pool, nnclr_shape_pictures(x->shape), largest_picture, &call);
}

/* The gradient of one output pixel goes to the first of its window that no other exceeds. */
static void spread_pixel(const real *x, const real *dy, real *dx, nnclr_shape in, int oy, int ox) {
    int y0, y1, x0, x1;
    window(oy, in.h, &y0, &y1);
    window(ox, in.w, &x0, &x1);
    for (int first = 0; first < in.c; first += MAX_LANES) {
        int lanes = in.c - first < MAX_LANES ? in.c - first : MAX_LANES;
        real best[MAX_LANES];
        int where[MAX_LANES];
        for (int iy = y0; iy < y1; iy++) {
            for (int ix = x0; ix < x1; ix++) {
                int pixel = iy * in.w + ix;
                bool start = iy == y0 && ix == x0;
                const real *from = x + (size_t)pixel * (size_t)in.c + first;
                for (int i = 0; i < lanes; i++) {
                    bool better = start || from[i] > best[i];
                    best[i] = better ? from[i] : best[i];
                    where[i] = better ? pixel : where[i];
                }
            }
        }
        for (int i = 0; i < lanes; i++)
            dx[(size_t)where[i] * (size_t)in.c + (size_t)(first + i)] += dy[first + i];
    }
}

static void spread_picture(void *context, int picture, int worker) {
    (void)worker;
    const pool_call *call = context;
    nnclr_shape in = call->x->shape, out = call->y->shape;
    const real *x = (const real *)call->x->place + (size_t)picture * picture_reals(in);
    const real *dy = (const real *)call->y->place + (size_t)picture * picture_reals(out);
    real *dx = (real *)call->dx->place + (size_t)picture * picture_reals(in);
    if (!call->add)
        memset(dx, 0, picture_reals(in) * sizeof *dx);
    for (int oy = 0; oy < out.h; oy++)
        for (int ox = 0; ox < out.w; ox++, dy += out.c)
            spread_pixel(x, dy, dx, in, oy, ox);
}

void CPU(maxpool_backward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *dy,
                           const nnclr_tensor *dx, bool add) {
    pool_call call = {.x = x, .y = dy, .dx = dx, .add = add};
    nnclr_pool_for(g->pool, nnclr_shape_pictures(x->shape), spread_picture, &call);
}

static void average_picture(void *context, int picture, int worker) {
    (void)worker;
    const pool_call *call = context;
    nnclr_shape in = call->x->shape;
    int pixels = in.h * in.w;
    const real *x = (const real *)call->x->place + (size_t)picture * picture_reals(in);
    real *y = (real *)call->y->place + (size_t)picture * (size_t)in.c;
    for (int first = 0; first < in.c; first += MAX_LANES) {
        int lanes = in.c - first < MAX_LANES ? in.c - first : MAX_LANES;
        double sum[MAX_LANES] = {0};
        for (int pixel = 0; pixel < pixels; pixel++) {
            const real *from = x + (size_t)pixel * (size_t)in.c + first;
            for (int i = 0; i < lanes; i++)
                sum[i] += (double)from[i];
        }
        for (int i = 0; i < lanes; i++)
            y[first + i] = (real)(sum[i] / pixels);
    }
}

void CPU(average_forward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y) {
    pool_call call = {.x = x, .y = y};
    nnclr_pool_for(g->pool, nnclr_shape_pictures(x->shape), average_picture, &call);
}

static void average_gradient(void *context, int picture, int worker) {
    (void)worker;
    const pool_call *call = context;
    nnclr_shape in = call->dx->shape;
    int pixels = in.h * in.w;
    const real *dy = (const real *)call->y->place + (size_t)picture * (size_t)in.c;
    real *dx = (real *)call->dx->place + (size_t)picture * picture_reals(in);
    for (int pixel = 0; pixel < pixels; pixel++, dx += in.c)
        for (int i = 0; i < in.c; i++)
            dx[i] = (call->add ? dx[i] : 0) + dy[i] / (real)pixels;
}

void CPU(average_backward)(nnclr_engine *g, const nnclr_tensor *dy, const nnclr_tensor *dx,
                           bool add) {
    pool_call call = {.y = dy, .dx = dx, .add = add};
    nnclr_pool_for(g->pool, nnclr_shape_pictures(dx->shape), average_gradient, &call);
}
