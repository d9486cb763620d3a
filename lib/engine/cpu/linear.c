/* Matrix products of any size, and the linear layers made of them. */
#include "engine/cpu/cpu.h"

#include <string.h>

typedef struct product {
    bool transpose_a, transpose_b;
    int m, n, k;
    real alpha, beta;
    const real *a, *b;
    const real *bias; /* [n] to start each row from, instead of beta C; or NULL */
    real *c;
    int block_m, block_n, across; /* blocks of C, and how many in a row */
} product;

static void multiply_block(void *context, int task, int worker) {
    (void)worker;
    const product *p = context;
    int i = task / p->across * p->block_m, j = task % p->across * p->block_n;
    int rows = p->m - i < p->block_m ? p->m - i : p->block_m;
    int columns = p->n - j < p->block_n ? p->n - j : p->block_n;
    int lda = p->transpose_a ? p->m : p->k, ldb = p->transpose_b ? p->k : p->n;
    const real *a = p->a + (p->transpose_a ? (size_t)i : (size_t)i * (size_t)lda);
    const real *b = p->b + (p->transpose_b ? (size_t)j * (size_t)ldb : (size_t)j);
    real *c = p->c + (size_t)i * (size_t)p->n + (size_t)j;
    for (int r = 0; p->bias && r < rows; r++)
        memcpy(c + (size_t)r * (size_t)p->n, p->bias + j, (size_t)columns * sizeof *c);
    gemm_block(p->transpose_a, p->transpose_b, rows, columns, p->k, p->alpha, a, lda, b, ldb,
               p->bias ? 1 : p->beta, c, p->n);
}

static int blocks_along(int size, int block) {
    return (size + block - 1) / block;
}
static int half(int size) {
    return (size / 2 + 15) / 16 * 16;
}

/* Blocks of C until there are enough of them for many workers, or they get small. */
static void multiply(nnclr_engine *g, product *p) {
    enum { ENOUGH = 32, SMALL = 64 };
    p->block_m = p->m;
    p->block_n = p->n;
    while (blocks_along(p->m, p->block_m) * blocks_along(p->n, p->block_n) < ENOUGH) {
        int *longer = p->block_m > p->block_n ? &p->block_m : &p->block_n;
        if (*longer <= SMALL)
            break;
        *longer = half(*longer);
    }
    p->across = blocks_along(p->n, p->block_n);
    nnclr_pool_for(g->pool, blocks_along(p->m, p->block_m) * p->across, multiply_block, p);
}

void CPU(gemm)(nnclr_engine *g, bool transpose_a, bool transpose_b, int m, int n, int k,
               double alpha, const void *a, const void *b, double beta, void *c) {
    product p = {.transpose_a = transpose_a,
                 .transpose_b = transpose_b,
                 .m = m,
                 .n = n,
                 .k = k,
                 .alpha = (real)alpha,
                 .beta = (real)beta,
                 .a = a,
                 .b = b,
                 .c = c};
    multiply(g, &p);
}

void CPU(linear_forward)(nnclr_engine *g, const nnclr_tensor *x, const void *weight,
                         const void *bias, const nnclr_tensor *y) {
    product p = {.transpose_b = true,
                 .m = nnclr_shape_pictures(x->shape),
                 .n = y->shape.c,
                 .k = x->shape.c,
                 .alpha = 1,
                 .a = x->place,
                 .b = weight,
                 .bias = bias,
                 .c = y->place};
    multiply(g, &p);
}

void CPU(linear_backward_data)(nnclr_engine *g, const nnclr_tensor *dy, const void *weight,
                               const nnclr_tensor *dx, bool add) {
    CPU(gemm)
    (g, false, false, nnclr_shape_pictures(dy->shape), dx->shape.c, dy->shape.c, 1, dy->place,
     weight, add, dx->place);
}

typedef struct bias_call {
    const real *dy;
    size_t rows;
    int c;
    real *dbias;
    bool add;
} bias_call;

static void sum_columns(void *context, int index, int worker) {
    (void)worker;
    const bias_call *call = context;
    stripe s = stripe_at(call->c, index);
    double sum[MAX_LANES] = {0};
    for (size_t row = 0; row < call->rows; row++) {
        const real *from = call->dy + row * (size_t)call->c + s.first;
        for (int i = 0; i < s.channels; i++)
            sum[i] += (double)from[i];
    }
    real *to = call->dbias + s.first;
    for (int i = 0; i < s.channels; i++)
        to[i] = (call->add ? to[i] : 0) + (real)sum[i];
}

void CPU(linear_backward_weights)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *dy,
                                  void *dweight, void *dbias, bool add) {
    int rows = nnclr_shape_pictures(x->shape), out = dy->shape.c;
    CPU(gemm)(g, true, false, out, x->shape.c, rows, 1, dy->place, x->place, add, dweight);
    if (!dbias)
        return;
    bias_call call = {dy->place, (size_t)rows, out, dbias, add};
    nnclr_pool_for(g->pool, stripe_count(out), sum_columns, &call);
}
