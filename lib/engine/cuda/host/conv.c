/* Convolutions of the host: matrices of pixels under taps, one picture at a time. */
#include <string.h>

#include "base/memory.h"
#include "engine/cuda/host/host.h"
#include "engine/cuda/kernels/calls.h"

struct cuda_conv {
    nnclr_conv conv;
    nnclr_shape in, out;
    size_t x, y, matrix, weights; /* floats: of a picture, of what it becomes, of its matrix */
    size_t room;                  /* of one worker: a matrix, x and y */
};

static size_t pixels(nnclr_shape s) {
    return (size_t)s.h * (size_t)s.w;
}

static int depth_of(const cuda_conv *c) {
    return c->conv.kernel * c->conv.kernel * c->conv.ci;
}

cuda_conv *nnclr_machine_conv_plan(cuda_machine *m, const nnclr_conv_plan *plan,
                                   size_t *workspace_bytes, nnclr_error *e) {
    cuda_conv *c = nnclr_alloc_zero(1, sizeof *c, e);
    if (!c)
        return NULL;
    c->conv = plan->conv;
    c->in = plan->in;
    c->out = plan->out;
    c->x = pixels(c->in) * (size_t)c->in.c;
    c->y = pixels(c->out) * (size_t)c->out.c;
    c->matrix = pixels(c->out) * (size_t)depth_of(c);
    c->weights = (size_t)c->conv.co * (size_t)depth_of(c);
    c->room = c->matrix + c->x + c->y;
    *workspace_bytes = (c->weights + (size_t)nnclr_pool_threads(m->pool) * c->room) * sizeof(float);
    return c;
}

void nnclr_machine_conv_free(cuda_conv *c) {
    nnclr_free(c);
}

/* ---- values ---- */

typedef struct pass {
    cuda_machine *machine;
    const cuda_conv *conv;
    const void *from;     /* x or dy */
    void *to;             /* y or dx */
    const float *weights; /* as floats */
    float *rooms;
    bool add;
} pass;

/* Values [first, first + count) of an array of activations or weights, as floats. */
static void widen(cuda_machine *m, const void *from, size_t first, size_t count, float *to) {
    if (!m->bf16) {
        memcpy(to, (const float *)from + first, count * sizeof *to);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = (uint32_t)((const uint16_t *)from)[first + i] << 16;
        memcpy(&to[i], &bits, sizeof bits);
    }
}

static void narrow(cuda_machine *m, const float *from, void *to, size_t first, size_t count) {
    if (!m->bf16) {
        memcpy((float *)to + first, from, count * sizeof *from);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &from[i], sizeof bits);
        const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        ((uint16_t *)to)[first + i] =
            (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16 | 0x40) : rounded);
    }
}

/* ---- matrices: [pixels of y][taps][ci] ---- */

/* The pixel of x under a tap of a pixel of y; -1: in the padding. */
static int under(const cuda_conv *c, int pixel, int tap) {
    const nnclr_conv *conv = &c->conv;
    const int y = pixel / c->out.w * conv->stride + tap / conv->kernel - conv->pad;
    const int x = pixel % c->out.w * conv->stride + tap % conv->kernel - conv->pad;
    return y < 0 || y >= c->in.h || x < 0 || x >= c->in.w ? -1 : y * c->in.w + x;
}

static void spread(const cuda_conv *c, const float *x, float *matrix) {
    const size_t ci = (size_t)c->conv.ci;
    for (int pixel = 0; pixel < c->out.h * c->out.w; pixel++)
        for (int tap = 0; tap < c->conv.kernel * c->conv.kernel; tap++, matrix += ci) {
            const int from = under(c, pixel, tap);
            if (from < 0)
                memset(matrix, 0, ci * sizeof *matrix);
            else
                memcpy(matrix, x + (size_t)from * ci, ci * sizeof *matrix);
        }
}

static void collect(const cuda_conv *c, const float *matrix, float *x) {
    const size_t ci = (size_t)c->conv.ci;
    for (int pixel = 0; pixel < c->out.h * c->out.w; pixel++)
        for (int tap = 0; tap < c->conv.kernel * c->conv.kernel; tap++, matrix += ci) {
            const int to = under(c, pixel, tap);
            for (size_t i = 0; to >= 0 && i < ci; i++)
                x[(size_t)to * ci + i] += matrix[i];
        }
}

/* ---- the calls ---- */

static pass begin(cuda_machine *m, const cuda_conv *c, const void *weights, void *workspace) {
    pass p = {.machine = m, .conv = c, .weights = workspace, .rooms = workspace};
    if (weights)
        widen(m, weights, 0, c->weights, workspace);
    p.rooms += c->weights;
    return p;
}

static void forward_picture(void *context, int picture, int worker) {
    const pass *p = context;
    const cuda_conv *c = p->conv;
    float *matrix = p->rooms + (size_t)worker * c->room, *x = matrix + c->matrix, *y = x + c->x;
    widen(p->machine, p->from, (size_t)picture * c->x, c->x, x);
    spread(c, x, matrix);
    nnclr_machine_gemm(p->machine, false, true, c->out.h * c->out.w, c->conv.co, depth_of(c), 1,
                       matrix, p->weights, 0, y);
    narrow(p->machine, y, p->to, (size_t)picture * c->y, c->y);
}

void nnclr_machine_conv_forward(cuda_machine *m, const cuda_conv *c, int pictures, const void *x,
                                const void *weights, void *y, void *workspace) {
    pass p = begin(m, c, weights, workspace);
    p.from = x;
    p.to = y;
    nnclr_pool_for(m->pool, pictures, forward_picture, &p);
}

static void backward_picture(void *context, int picture, int worker) {
    const pass *p = context;
    const cuda_conv *c = p->conv;
    float *matrix = p->rooms + (size_t)worker * c->room, *x = matrix + c->matrix, *y = x + c->x;
    widen(p->machine, p->from, (size_t)picture * c->y, c->y, y);
    if (p->add)
        widen(p->machine, p->to, (size_t)picture * c->x, c->x, x);
    else
        memset(x, 0, c->x * sizeof *x);
    nnclr_machine_gemm(p->machine, false, false, c->out.h * c->out.w, depth_of(c), c->conv.co, 1, y,
                       p->weights, 0, matrix);
    collect(c, matrix, x);
    narrow(p->machine, x, p->to, (size_t)picture * c->x, c->x);
}

void nnclr_machine_conv_backward_data(cuda_machine *m, const cuda_conv *c, int pictures,
                                      const void *dy, const void *weights, void *dx, bool add,
                                      void *workspace) {
    pass p = begin(m, c, weights, workspace);
    p.from = dy;
    p.to = dx;
    p.add = add;
    nnclr_pool_for(m->pool, pictures, backward_picture, &p);
}

/* One picture after another, since all add to the same sums. */
void nnclr_machine_conv_backward_weights(cuda_machine *m, const cuda_conv *c, int pictures,
                                         const void *x, const void *dy, float *dweights,
                                         void *workspace) {
    const pass p = begin(m, c, NULL, workspace);
    float *matrix = p.rooms, *of_x = matrix + c->matrix, *of_y = of_x + c->x;
    for (size_t picture = 0; picture < (size_t)pictures; picture++) {
        widen(m, x, picture * c->x, c->x, of_x);
        widen(m, dy, picture * c->y, c->y, of_y);
        spread(c, of_x, matrix);
        nnclr_machine_gemm(m, true, false, c->conv.co, depth_of(c), c->out.h * c->out.w, 1, of_y,
                           matrix, picture > 0, dweights);
    }
}
