/* Max-pool 3x3 stride 2 pad 1, and the mean over a picture. Blocks of pictures in one block of
 * channels are independent tasks. */
#include "engine/tiles/tiled.h"

#include <string.h>

typedef struct pool_call {
    tiled x, y; /* values, or for backward, x and the gradient of y */
    tiled dx;
    const nnclr_tensor *rows;
    bool add;
} pool_call;

/* The part of an output pixel's window inside the picture, along one axis. */
static void window(int out, int size, int *from, int *until) {
    *from = 2 * out - 1 < 0 ? 0 : 2 * out - 1;
    *until = 2 * out + 2 > size ? size : 2 * out + 2;
}

static int tasks_of(const tiled *t) {
    return t->shape.groups * t->picture_blocks * t->blocks;
}

/* Pixel (0, 0) of the block of pictures and channels of a task. */
static unsigned char *block_of(const tiled *t, int task) {
    size_t pixels = (size_t)t->shape.h * (size_t)t->shape.w;
    return tiled_at(t, (size_t)(task / t->blocks) * pixels) + (size_t)(task % t->blocks) * t->tile;
}

CPU_WIDE static void keep_larger(const float *restrict from, int count, float *restrict y) {
    for (int i = 0; i < count; i++)
        y[i] = from[i] > y[i] ? from[i] : y[i];
}

static void largest_block(void *context, int task, int worker) {
    (void)worker;
    const pool_call *call = context;
    nnclr_shape in = call->x.shape, out = call->y.shape;
    const unsigned char *x = block_of(&call->x, task);
    unsigned char *y = block_of(&call->y, task);
    const int count = tiled_values(&call->x);
    float room[SQUARE], largest[SQUARE];
    for (int oy = 0; oy < out.h; oy++) {
        for (int ox = 0; ox < out.w; ox++, y += call->y.spot) {
            int y0, y1, x0, x1;
            window(oy, in.h, &y0, &y1);
            window(ox, in.w, &x0, &x1);
            const unsigned char *first = x + (size_t)(y0 * in.w + x0) * call->x.spot;
            memcpy(largest, call->x.kernels->widen(first, count, room),
                   (size_t)count * sizeof *largest);
            for (int iy = y0; iy < y1; iy++)
                for (int ix = x0; ix < x1; ix++) {
                    const unsigned char *at = x + (size_t)(iy * in.w + ix) * call->x.spot;
                    keep_larger(call->x.kernels->widen(at, count, room), count, largest);
                }
            call->y.kernels->narrow(largest, count, y);
        }
    }
}

void nnclr_tiled_maxpool_forward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y) {
    const tile_kernels *kernels = tiled_kernels(g);
    pool_call call = {.x = tiled_tensor(kernels, x), .y = tiled_tensor(kernels, y)};
    nnclr_pool_for(g->pool, tasks_of(&call.x), largest_block, &call);
}

typedef struct largest {
    float value[SQUARE];
    int32_t pixel[SQUARE];
} largest;

CPU_WIDE static void find_larger(const float *restrict from, int count, int pixel, bool start,
                                 largest *restrict best) {
    for (int i = 0; i < count; i++) {
        bool better = start || from[i] > best->value[i];
        best->value[i] = better ? from[i] : best->value[i];
        best->pixel[i] = better ? pixel : best->pixel[i];
    }
}

CPU_WIDE static void add_where(const largest *restrict best, int count, int pixel,
                               const float *restrict dy, const float *dx, float *sum) {
    for (int i = 0; i < count; i++) {
        const float more = dy[i]; /* read in any case: no branch */
        sum[i] = dx[i] + (best->pixel[i] == pixel ? more : 0);
    }
}

/* The gradient of one output pixel goes to the first of its window that no other exceeds. */
static void spread_block(void *context, int task, int worker) {
    (void)worker;
    const pool_call *call = context;
    const tile_kernels *kernels = call->x.kernels;
    nnclr_shape in = call->x.shape, out = call->y.shape;
    const size_t spot = call->x.spot;
    const unsigned char *x = block_of(&call->x, task), *dy = block_of(&call->y, task);
    unsigned char *dx = block_of(&call->dx, task);
    const int count = tiled_values(&call->x);
    largest best;
    float room[SQUARE], old[SQUARE], sum[SQUARE];
    for (int i = 0; !call->add && i < in.h * in.w; i++)
        memset(dx + (size_t)i * spot, 0, call->x.tile);
    for (int oy = 0; oy < out.h; oy++) {
        for (int ox = 0; ox < out.w; ox++, dy += call->y.spot) {
            int y0, y1, x0, x1;
            window(oy, in.h, &y0, &y1);
            window(ox, in.w, &x0, &x1);
            for (int iy = y0; iy < y1; iy++)
                for (int ix = x0; ix < x1; ix++) {
                    int pixel = iy * in.w + ix;
                    find_larger(kernels->widen(x + (size_t)pixel * spot, count, room), count, pixel,
                                iy == y0 && ix == x0, &best);
                }
            const float *gradient = kernels->widen(dy, count, room);
            for (int iy = y0; iy < y1; iy++)
                for (int ix = x0; ix < x1; ix++) {
                    int pixel = iy * in.w + ix;
                    unsigned char *to = dx + (size_t)pixel * spot;
                    add_where(&best, count, pixel, gradient, kernels->widen(to, count, old), sum);
                    kernels->narrow(sum, count, to);
                }
        }
    }
}

void nnclr_tiled_maxpool_backward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *dy,
                                  const nnclr_tensor *dx, bool add) {
    const tile_kernels *kernels = tiled_kernels(g);
    pool_call call = {.x = tiled_tensor(kernels, x),
                      .y = tiled_tensor(kernels, dy),
                      .dx = tiled_tensor(kernels, dx),
                      .add = add};
    nnclr_pool_for(g->pool, tasks_of(&call.x), spread_block, &call);
}

CPU_WIDE static void add_values(const float *restrict x, int count, float *restrict sums) {
    for (int i = 0; i < count; i++)
        sums[i] += x[i];
}

/* The rows of a task: place, pictures, channels. */
static float *rows_of(const nnclr_tensor *rows, const tiled *t, int task, int *pictures,
                      int *channels) {
    int block = task / t->blocks, first = task % t->blocks * t->stride;
    int group = block / t->picture_blocks, within = block % t->picture_blocks;
    *pictures = tiled_within(t->shape.n, t->pictures, within);
    *channels = tiled_channels(t, task % t->blocks);
    size_t row = (size_t)group * (size_t)t->shape.n + (size_t)(within * t->pictures);
    return (float *)rows->place + row * (size_t)t->shape.c + first;
}

static void average_block(void *context, int task, int worker) {
    (void)worker;
    const pool_call *call = context;
    const tiled *in = &call->x;
    int pixels = in->shape.h * in->shape.w, pictures, channels;
    const unsigned char *x = block_of(in, task);
    float *y = rows_of(call->rows, in, task, &pictures, &channels);
    float room[SQUARE], sums[SQUARE] = {0};
    for (int i = 0; i < pixels; i++)
        add_values(in->kernels->widen(x + (size_t)i * in->spot, tiled_values(in), room),
                   tiled_values(in), sums);
    for (int i = 0; i < pictures; i++, y += in->shape.c)
        for (int k = 0; k < channels; k++)
            y[k] = sums[i * in->stride + k] / (float)pixels;
}

void nnclr_tiled_average_forward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y) {
    const tile_kernels *kernels = tiled_kernels(g);
    pool_call call = {.x = tiled_tensor(kernels, x), .rows = y};
    nnclr_pool_for(g->pool, tasks_of(&call.x), average_block, &call);
}

static void average_gradient(void *context, int task, int worker) {
    (void)worker;
    const pool_call *call = context;
    const tiled *in = &call->dx;
    const tile_kernels *kernels = in->kernels;
    int pixels = in->shape.h * in->shape.w, pictures, channels;
    const float *dy = rows_of(call->rows, in, task, &pictures, &channels);
    unsigned char *dx = block_of(in, task);
    float share[SQUARE] = {0}, room[SQUARE], sum[SQUARE];
    for (int i = 0; i < pictures; i++, dy += in->shape.c)
        for (int k = 0; k < channels; k++)
            share[i * in->stride + k] = dy[k] / (float)pixels;
    for (int i = 0; i < pixels; i++, dx += in->spot) {
        memset(sum, 0, sizeof sum);
        if (call->add)
            add_values(kernels->widen(dx, tiled_values(in), room), tiled_values(in), sum);
        add_values(share, tiled_values(in), sum);
        kernels->narrow(sum, tiled_values(in), dx);
    }
}

void nnclr_tiled_average_backward(nnclr_engine *g, const nnclr_tensor *dy, const nnclr_tensor *dx,
                                  bool add) {
    const tile_kernels *kernels = tiled_kernels(g);
    pool_call call = {.dx = tiled_tensor(kernels, dx), .rows = dy, .add = add};
    nnclr_pool_for(g->pool, tasks_of(&call.dx), average_gradient, &call);
}
