/* Max-pool 3x3 stride 2 pad 1, and the mean over a picture. Blocks of pictures in one block of
 * channels are independent tasks. */
#include "engine/tiles/tiled.h"

#include <string.h>

typedef struct pool_call {
    const nnclr_tensor *x, *y; /* values, or for backward, x and the gradient of y */
    const nnclr_tensor *dx;
    bool add;
} pool_call;

/* The part of an output pixel's window inside the picture, along one axis. */
static void window(int out, int size, int *from, int *until) {
    *from = 2 * out - 1 < 0 ? 0 : 2 * out - 1;
    *until = 2 * out + 2 > size ? size : 2 * out + 2;
}

static int tasks_of(nnclr_shape s) {
    return s.groups * tiled_picture_blocks(s.n) * tiled_blocks(s.c);
}

/* Pixel (0, 0) of the block of pictures and channels of a task. */
static element *block_of(const nnclr_tensor *t, int task) {
    int channels = tiled_blocks(t->shape.c);
    size_t pixels = (size_t)t->shape.h * (size_t)t->shape.w;
    return tiled_at(t, (size_t)(task / channels) * pixels) + (size_t)(task % channels) * TILE;
}

static int pictures_of(nnclr_shape s, int task) {
    int block = task / tiled_blocks(s.c) % tiled_picture_blocks(s.n);
    return tiled_pictures(s, (size_t)block * (size_t)s.h * (size_t)s.w);
}

CPU_WIDE static void keep_larger(const element *restrict from, element *restrict y) {
    for (int i = 0; i < TILE; i++) {
        const float new = cell_value(from, i), old = cell_value(y, i);
        cell_put(y, i, new > old ? new : old);
    }
}

static void largest_block(void *context, int task, int worker) {
    (void)worker;
    const pool_call *call = context;
    nnclr_shape in = call->x->shape, out = call->y->shape;
    size_t depth = tiled_depth(in);
    const element *x = block_of(call->x, task);
    element *y = block_of(call->y, task);
    for (int oy = 0; oy < out.h; oy++) {
        for (int ox = 0; ox < out.w; ox++, y += depth) {
            int y0, y1, x0, x1;
            window(oy, in.h, &y0, &y1);
            window(ox, in.w, &x0, &x1);
            memcpy(y, x + ((size_t)y0 * (size_t)in.w + (size_t)x0) * depth, TILE * sizeof *y);
            for (int iy = y0; iy < y1; iy++)
                for (int ix = x0; ix < x1; ix++)
                    keep_larger(x + ((size_t)iy * (size_t)in.w + (size_t)ix) * depth, y);
        }
    }
}

void TILED(maxpool_forward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y) {
    pool_call call = {.x = x, .y = y};
    nnclr_pool_for(g->pool, tasks_of(x->shape), largest_block, &call);
}

typedef struct largest {
    float value[TILE];
    int32_t pixel[TILE];
} largest;

CPU_WIDE static void find_larger(const element *restrict from, int pixel, bool start,
                                 largest *restrict best) {
    for (int i = 0; i < TILE; i++) {
        float v = cell_value(from, i);
        bool better = start || v > best->value[i];
        best->value[i] = better ? v : best->value[i];
        best->pixel[i] = better ? pixel : best->pixel[i];
    }
}

CPU_WIDE static void add_where(const largest *restrict best, int pixel, const element *restrict dy,
                               element *restrict dx) {
    for (int i = 0; i < TILE; i++) {
        const float more = cell_value(dy, i); /* read in any case: no branch */
        cell_put(dx, i, cell_value(dx, i) + (best->pixel[i] == pixel ? more : 0));
    }
}

/* The gradient of one output pixel goes to the first of its window that no other exceeds. */
static void spread_block(void *context, int task, int worker) {
    (void)worker;
    const pool_call *call = context;
    nnclr_shape in = call->x->shape, out = call->y->shape;
    size_t depth = tiled_depth(in);
    const element *x = block_of(call->x, task), *dy = block_of(call->y, task);
    element *dx = block_of(call->dx, task);
    largest best;
    for (int i = 0; !call->add && i < in.h * in.w; i++)
        memset(dx + (size_t)i * depth, 0, TILE * sizeof *dx);
    for (int oy = 0; oy < out.h; oy++) {
        for (int ox = 0; ox < out.w; ox++, dy += depth) {
            int y0, y1, x0, x1;
            window(oy, in.h, &y0, &y1);
            window(ox, in.w, &x0, &x1);
            for (int iy = y0; iy < y1; iy++)
                for (int ix = x0; ix < x1; ix++) {
                    int pixel = iy * in.w + ix;
                    find_larger(x + (size_t)pixel * depth, pixel, iy == y0 && ix == x0, &best);
                }
            for (int iy = y0; iy < y1; iy++)
                for (int ix = x0; ix < x1; ix++) {
                    int pixel = iy * in.w + ix;
                    add_where(&best, pixel, dy, dx + (size_t)pixel * depth);
                }
        }
    }
}

void TILED(maxpool_backward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *dy,
                             const nnclr_tensor *dx, bool add) {
    pool_call call = {.x = x, .y = dy, .dx = dx, .add = add};
    nnclr_pool_for(g->pool, tasks_of(x->shape), spread_block, &call);
}

CPU_WIDE static void add_tile(const element *x, float *sums) {
    for (int i = 0; i < TILE; i++)
        sums[i] += cell_value(x, i);
}

/* The rows of a task: place, channels. */
static float *rows_of(const nnclr_tensor *rows, nnclr_shape s, int task, int *channels) {
    int blocks = tiled_blocks(s.c), block = task / blocks, first = task % blocks * BLOCK;
    int group = block / tiled_picture_blocks(s.n);
    int picture = block % tiled_picture_blocks(s.n) * PICTURES;
    *channels = s.c - first < BLOCK ? s.c - first : BLOCK;
    size_t row = (size_t)group * (size_t)s.n + (size_t)picture;
    return (float *)rows->place + row * (size_t)s.c + first;
}

static void average_block(void *context, int task, int worker) {
    (void)worker;
    const pool_call *call = context;
    nnclr_shape in = call->x->shape;
    int pixels = in.h * in.w, channels;
    const element *x = block_of(call->x, task);
    float *y = rows_of(call->y, in, task, &channels), sums[TILE] = {0};
    for (int i = 0; i < pixels; i++)
        add_tile(x + (size_t)i * tiled_depth(in), sums);
    for (int i = 0; i < pictures_of(in, task); i++, y += in.c)
        for (int k = 0; k < channels; k++)
            y[k] = sums[i * BLOCK + k] / (float)pixels;
}

void TILED(average_forward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y) {
    pool_call call = {.x = x, .y = y};
    nnclr_pool_for(g->pool, tasks_of(x->shape), average_block, &call);
}

CPU_WIDE static void put_gradient(const float *restrict from, bool add, element *restrict dx) {
    for (int i = 0; i < TILE; i++)
        cell_put(dx, i, (add ? cell_value(dx, i) : 0) + from[i]);
}

static void average_gradient(void *context, int task, int worker) {
    (void)worker;
    const pool_call *call = context;
    nnclr_shape in = call->dx->shape;
    int pixels = in.h * in.w, channels;
    const float *dy = rows_of(call->y, in, task, &channels);
    element *dx = block_of(call->dx, task);
    float share[TILE] = {0};
    for (int i = 0; i < pictures_of(in, task); i++, dy += in.c)
        for (int k = 0; k < channels; k++)
            share[i * BLOCK + k] = dy[k] / (float)pixels;
    for (int i = 0; i < pixels; i++)
        put_gradient(share, call->add, dx + (size_t)i * tiled_depth(in));
}

void TILED(average_backward)(nnclr_engine *g, const nnclr_tensor *dy, const nnclr_tensor *dx,
                             bool add) {
    pool_call call = {.y = dy, .dx = dx, .add = add};
    nnclr_pool_for(g->pool, tasks_of(dx->shape), average_gradient, &call);
}
