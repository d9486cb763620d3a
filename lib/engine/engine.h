/* The engine seam: a const table of functions that do the arithmetic, chosen once at start. Nothing
 * above this floor asks which engine it has.
 *
 * Memory. A tensor is a descriptor bound to a place in the engine's memory. The layout inside
 * belongs to the engine, which may pad each group as it needs; only upload and download convert,
 * from and to host NHWC. Three kinds of memory:
 *
 *   activation  [groups * n, h, w, c] pictures in the engine's own layout and type
 *   rows        [groups * n, c] row-major reals (h = w = 1): features, heads, their gradients
 *   reals       plain arrays: parameters, gradients, momentum, statistics, similarity matrices.
 *               A real is real_bytes wide: 4, or 8 in the oracle (cpu at f64)
 *
 * Places are engine addresses; arithmetic on them is allowed, reading them on the host is not.
 *
 * Time. Calls return before their work is done if the engine likes (a GPU); they follow one
 * another in the order of the calls. Errors stick and are read by sync. download, get and
 * its kin wait for what they read. One thread drives an engine.
 *
 * Determinism. Results do not depend on the number of threads: partial sums belong to chunks fixed
 * by the shape and are added in chunk order.
 */
#ifndef NNCLR_ENGINE_ENGINE_H
#define NNCLR_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/error.h"
#include "base/threads.h"

typedef enum nnclr_kind { NNCLR_ACTIVATION, NNCLR_ROWS } nnclr_kind;

typedef struct nnclr_shape {
    int groups, n, h, w, c; /* groups * n pictures; batch statistics are per group */
} nnclr_shape;

typedef struct nnclr_tensor {
    nnclr_shape shape;
    nnclr_kind kind;
    void *place;
} nnclr_tensor;

typedef struct nnclr_conv {
    int ci, co, kernel, stride, pad; /* square kernel, no bias, no dilation */
} nnclr_conv;

/* What an engine prepares for one convolution and one input shape. The engine's own struct starts
 * with this one. */
typedef struct nnclr_conv_plan {
    nnclr_conv conv;
    nnclr_shape in, out;
    size_t packed_bytes;    /* of the weights' packed form */
    size_t workspace_bytes; /* scratch of any call with this plan; shared between plans */
} nnclr_conv_plan;

/* One batch norm: eps 1e-5, running = 0.9 running + 0.1 batch with the unbiased variance, updated
 * for group 0, then group 1, ... `sums` is what conv_forward or batchnorm_sums yielded; what other
 * workers have may be added to it, and to `slopes`, and then n counts theirs too.
 *
 * A batch may come in parts, each normalised by itself: with `pool` the statistics of x join those
 * of the parts before it, and the running ones are updated from all of them together. */
typedef struct nnclr_batchnorm {
    const nnclr_tensor *x;
    const void *gamma, *beta;         /* reals [c] */
    void *running_mean, *running_var; /* reals [c]; training leaves them to batchnorm_running */
    void *sums;                       /* statistics [groups] of x: see statistics_bytes */
    void *saved;                      /* statistics [groups]: mean, inverse deviation */
    int n;                            /* pictures of a group that `sums` and `slopes` are of */
    void *pool; /* statistics [groups] of the parts so far: mean, sum of squared distances from it;
                   NULL: x is the whole batch */
    int pooled; /* pictures of a group that the pool has before x; 0: it begins anew */
    /* backward only */
    void *slopes;         /* statistics [groups]: sums of dz and of dz (x - mean), dz = dy where the
                             ReLU let it through */
    void *dgamma, *dbeta; /* reals [c], overwritten, */
    bool add_parameters;  /* or added to */
    const nnclr_tensor *dx; /* overwritten; may be the tensor dy is in */
} nnclr_batchnorm;

/* y = relu?( bn(main) + rest ), in which rest is nothing, a tensor, or a second batch norm (the
 * downsample branch of a residual block). */
typedef struct nnclr_batchnorm_call {
    nnclr_batchnorm main;
    const nnclr_tensor *residual;  /* NULL: none */
    const nnclr_batchnorm *second; /* NULL: none; never both */
    bool relu;
    const nnclr_tensor *y;
    /* backward only */
    const nnclr_tensor *dy;
    const nnclr_tensor *dresidual; /* gradient of `residual` */
    bool add_residual;             /* dresidual is added to, otherwise overwritten */
} nnclr_batchnorm_call;

/* A parameter tensor inside the flat buffers. */
typedef struct nnclr_segment {
    char name[80];        /* "backbone.layer1.0.conv1.weight" */
    size_t offset, count; /* in reals */
    int rank;
    int64_t dims[4];     /* convolutions OIHW, linear [out, in], batch norm [c] */
    bool decays, adapts; /* weight decay, LARS adaptation: not for 1-D parameters */
} nnclr_segment;

typedef enum nnclr_optimizer { NNCLR_LARS, NNCLR_SGD } nnclr_optimizer;
/* Names as in NNCLR implementations: byol (B: DeepMind, vissl), simclr (A), lightly (C), solo (D).
 */
typedef enum nnclr_lars {
    NNCLR_LARS_BYOL,
    NNCLR_LARS_SIMCLR,
    NNCLR_LARS_LIGHTLY,
    NNCLR_LARS_SOLO
} nnclr_lars;

typedef struct nnclr_update_call {
    nnclr_optimizer optimizer;
    nnclr_lars lars;
    double lr, momentum, weight_decay, trust;
    bool nesterov; /* sgd: the step goes along gradient + momentum x velocity */
    const nnclr_segment *segments;
    size_t segment_count;
    void *weights, *velocity; /* reals, updated */
    const void *gradients;
} nnclr_update_call;

/* A softmax cross-entropy over the rows of a similarity matrix, the target of row i being column
 * i + target. */
typedef struct nnclr_cross_entropy_call {
    void *logits; /* reals [rows][columns]; becomes its own gradient */
    int rows, columns, target;
    int skip;       /* column i + skip is left out of row i (its own row); INT_MIN: none */
    bool decoupled; /* the target's column is not in the sum, so not in the softmax either; then
                       there are others */
    double weight;  /* gradient = weight/rows * (softmax - onehot) */
    void *loss;     /* reals [1]: weight * mean loss is added */
    void *correct;  /* reals [1]: count of rows whose largest logit is the target's is added (the
                       first of equals wins); NULL: not wanted */
} nnclr_cross_entropy_call;

/* How far the correlations of two views are from the identity:
 *
 *   weight * ( sum_i (1 - C[i][i])^2 + off_diagonal * sum_{i != j} C[i][j]^2 ) */
typedef struct nnclr_decorrelation_call {
    void *matrix; /* C: reals [d][d]; becomes its own gradient */
    int d;
    double weight, off_diagonal;
    void *loss; /* reals [1], added to */
} nnclr_decorrelation_call;

/* Sums of picked rows: y[i] = sum_j weights[i][j] * table[picks[i][j]]. */
typedef struct nnclr_gather_call {
    const void *table;   /* reals [rows][d] */
    const void *picks;   /* int32 [n][k]; -1: nothing */
    const void *weights; /* reals [n][k]; NULL: 1 each */
    int d, n, k;
    void *y;  /* reals [n][d], overwritten, */
    bool add; /* or added to */
} nnclr_gather_call;

/* Which rows of a support set are not candidates of a query: those with its number. Host. */
typedef struct nnclr_exclusion {
    const int64_t *query; /* [queries]; below 0: none */
    const int64_t *row;   /* [m] */
} nnclr_exclusion;

typedef struct nnclr_engine nnclr_engine;
typedef struct nnclr_search nnclr_search; /* the engine's copy of the support set's rows */

typedef struct nnclr_engine_table {
    const char *name;      /* "cpu" */
    const char *precision; /* "f32" */
    nnclr_dtype real;      /* NNCLR_F32 or NNCLR_F64 */

    bool (*open)(nnclr_engine *g, nnclr_error *e);
    void (*close)(nnclr_engine *g);

    /* ---- memory ---- */
    size_t (*tensor_bytes)(const nnclr_engine *g, nnclr_shape shape, nnclr_kind kind);
    /* Bytes of batch statistics of one batch norm over `c` channels ([groups][2][c], in the type
     * the engine sums in). */
    size_t (*statistics_bytes)(const nnclr_engine *g, int groups, int c);
    void *(*arena_create)(nnclr_engine *g, size_t bytes, nnclr_error *e); /* zeroed */
    void (*arena_free)(nnclr_engine *g, void *arena, size_t bytes);
    void (*zero)(nnclr_engine *g, void *place, size_t bytes);
    void (*copy)(nnclr_engine *g, void *to, const void *from, size_t bytes);
    void (*upload)(nnclr_engine *g, const float *nhwc, const nnclr_tensor *to);
    void (*download)(nnclr_engine *g, const nnclr_tensor *from, double *nhwc);
    /* Plain reals; the host side is F32 or F64. */
    void (*put)(nnclr_engine *g, void *place, size_t count, nnclr_dtype type, const void *host);
    void (*get)(nnclr_engine *g, const void *place, size_t count, nnclr_dtype type, void *host);
    /* Batch statistics, `count` numbers. */
    void (*put_statistics)(nnclr_engine *g, void *place, size_t count, const double *host);
    void (*get_statistics)(nnclr_engine *g, const void *place, size_t count, double *host);
    bool (*sync)(nnclr_engine *g, nnclr_error *e); /* false: the first error since the last sync */

    /* ---- convolution ---- */
    nnclr_conv_plan *(*conv_plan)(nnclr_engine *g, const nnclr_conv *conv, nnclr_shape in,
                                  nnclr_error *e);
    void (*conv_plan_free)(nnclr_engine *g, nnclr_conv_plan *plan);
    /* OIHW reals -> the packed form that the next three calls take. */
    void (*conv_pack)(nnclr_engine *g, const nnclr_conv_plan *plan, const void *oihw, void *packed);
    /* The tensors may hold fewer pictures per group than the plan (a last, smaller batch), never
     * more. sums: statistics of y, or NULL. */
    void (*conv_forward)(nnclr_engine *g, const nnclr_conv_plan *plan, const nnclr_tensor *x,
                         const void *packed, const nnclr_tensor *y, void *sums, void *workspace);
    void (*conv_backward_data)(nnclr_engine *g, const nnclr_conv_plan *plan, const nnclr_tensor *dy,
                               const void *packed, const nnclr_tensor *dx, bool add,
                               void *workspace);
    /* dweights: OIHW reals, overwritten, or added to if `add`. */
    void (*conv_backward_weights)(nnclr_engine *g, const nnclr_conv_plan *plan,
                                  const nnclr_tensor *x, const nnclr_tensor *dy, void *dweights,
                                  bool add, void *workspace);

    /* ---- batch norm, pooling, linear, normalisation ---- */
    void (*batchnorm_sums)(nnclr_engine *g, const nnclr_tensor *x, void *sums);
    void (*batchnorm_train)(nnclr_engine *g, const nnclr_batchnorm_call *call);
    /* The running statistics of main and second take in those of their pools, if given, which have
     * n + pooled pictures of a group, otherwise the sums of n. */
    void (*batchnorm_running)(nnclr_engine *g, const nnclr_batchnorm_call *call);
    void (*batchnorm_evaluate)(nnclr_engine *g, const nnclr_batchnorm_call *call);
    /* Slopes of main and second, and from them dgamma and dbeta. */
    void (*batchnorm_slopes)(nnclr_engine *g, const nnclr_batchnorm_call *call);
    /* dx and dresidual, from the slopes. */
    void (*batchnorm_backward)(nnclr_engine *g, const nnclr_batchnorm_call *call);
    /* 3x3, stride 2, pad 1. Backward finds the maximum again (the first in row-major order). */
    void (*maxpool_forward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y);
    void (*maxpool_backward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *dy,
                             const nnclr_tensor *dx, bool add);
    /* Mean over h and w: activation -> rows. */
    void (*average_forward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y);
    void (*average_backward)(nnclr_engine *g, const nnclr_tensor *dy, const nnclr_tensor *dx,
                             bool add);
    /* y = x W^T + b on rows; W reals [out][in], b reals [out] or NULL. */
    void (*linear_forward)(nnclr_engine *g, const nnclr_tensor *x, const void *weight,
                           const void *bias, const nnclr_tensor *y);
    void (*linear_backward_data)(nnclr_engine *g, const nnclr_tensor *dy, const void *weight,
                                 const nnclr_tensor *dx, bool add);
    void (*linear_backward_weights)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *dy,
                                    void *dweight, void *dbias, bool add);
    /* y = x / max(|x|, 1e-12) by rows; `norms` reals [groups * n] keeps that denominator. */
    void (*l2norm_forward)(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y,
                           void *norms);
    void (*l2norm_backward)(nnclr_engine *g, const nnclr_tensor *y, const void *norms,
                            const nnclr_tensor *dy, const nnclr_tensor *dx, bool add);

    /* ---- rows and losses ---- */
    /* C = alpha op(A) op(B) + beta C, row-major reals; op(A) is m x k, op(B) k x n; dense rows. */
    void (*gemm)(nnclr_engine *g, bool transpose_a, bool transpose_b, int m, int n, int k,
                 double alpha, const void *a, const void *b, double beta, void *c);
    void (*cross_entropy)(nnclr_engine *g, const nnclr_cross_entropy_call *call);
    void (*decorrelation)(nnclr_engine *g, const nnclr_decorrelation_call *call);
    void (*gather)(nnclr_engine *g, const nnclr_gather_call *call);
    /* *out (one real) = sum of x[i] * y[i] over `count` reals; x may be y. */
    void (*dot)(nnclr_engine *g, const void *x, const void *y, size_t count, void *out);
    /* y = keep * y + take * x over `count` reals. */
    void (*blend)(nnclr_engine *g, void *y, double keep, const void *x, double take, size_t count);

    /* ---- support set ---- */
    /* m rows of d; rows are unit vectors or zeros (the caller's care). */
    nnclr_search *(*search_create)(nnclr_engine *g, int m, int d, nnclr_error *e);
    void (*search_free)(nnclr_engine *g, nnclr_search *search);
    const void *(*search_rows)(nnclr_engine *g, const nnclr_search *search); /* reals [m][d] */
    /* Rows first..first+count-1 (no wrap) take `rows` (reals, engine memory). */
    void (*search_update)(nnclr_engine *g, nnclr_search *search, int first, int count,
                          const void *rows);
    /* For each of n queries (reals [n][d]) the k <= 64 rows with the largest dot product, best
     * first, equal ones by the lower index: picks int32 [n][k] and scores reals [n][k], both
     * engine memory. `exclude` NULL: every row is a candidate. If fewer than k rows are candidates
     * the rest is -1 and 0. */
    void (*search_nearest)(nnclr_engine *g, nnclr_search *search, const void *queries, int n, int k,
                           const nnclr_exclusion *exclude, void *picks, void *scores);
    /* Picks to the host, if somebody looks at them; and the host's own choice back. */
    void (*get_picks)(nnclr_engine *g, const void *picks, size_t count, int32_t *host);
    void (*put_picks)(nnclr_engine *g, void *picks, size_t count, const int32_t *host);

    /* ---- optimiser ---- */
    void (*update)(nnclr_engine *g, const nnclr_update_call *call);
} nnclr_engine_table;

struct nnclr_engine {
    const nnclr_engine_table *table;
    nnclr_pool *pool;    /* the caller's */
    void *state;         /* the engine's own */
    const char *vectors; /* what it uses of this CPU beyond the baseline, e.g. "avx512"; or NULL */
};

extern const nnclr_engine_table nnclr_engine_cpu_f32, nnclr_engine_cpu_f64, nnclr_engine_cpu_bf16,
    nnclr_engine_cpu_tiles, nnclr_engine_amx_bf16;

typedef enum nnclr_engine_choice {
    NNCLR_ENGINE_AUTO,
    NNCLR_ENGINE_CPU,
    NNCLR_ENGINE_AMX,
    NNCLR_ENGINE_CUDA
} nnclr_engine_choice;
typedef enum nnclr_precision {
    NNCLR_PRECISION_AUTO,
    NNCLR_PRECISION_BF16,
    NNCLR_PRECISION_F32,
    NNCLR_PRECISION_F64
} nnclr_precision;
/* Their names by value, NULL-terminated. */
extern const char *const nnclr_engine_names[], *const nnclr_precision_names[];

/* Picks the table and opens the engine; what is not built in or not on this machine is refused with
 * what can be given instead. NNCLR_ENGINE_AUTO is what the environment variable NNCLR_ENGINE names;
 * without it, cuda if it was built and there is a GPU, amx if the CPU has it, otherwise cpu.
 * NNCLR_PRECISION_AUTO is f32 on cpu, otherwise bf16. The pool must outlive the engine. */
bool nnclr_engine_open(nnclr_engine *g, nnclr_engine_choice choice, nnclr_precision precision,
                       nnclr_pool *pool, nnclr_error *e);
void nnclr_engine_close(nnclr_engine *g); /* a zeroed one is fine */

static inline size_t nnclr_real_bytes(const nnclr_engine *g) {
    return g->table->real == NNCLR_F64 ? 8 : 4;
}
/* Address of element i of an array of reals. */
static inline void *nnclr_real_at(const nnclr_engine *g, const void *reals, size_t i) {
    return (unsigned char *)reals + i * nnclr_real_bytes(g);
}
static inline int nnclr_shape_pictures(nnclr_shape s) {
    return s.groups * s.n;
}

#endif
