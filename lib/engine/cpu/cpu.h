/* Inside of the reference engine. Each source file here is compiled twice, for float and for
 * double; CPU(name) keeps the two sets of external names apart. Tensors are NHWC without padding,
 * rows and reals plain arrays, statistics double [groups][2][c]. */
#ifndef NNCLR_ENGINE_CPU_CPU_H
#define NNCLR_ENGINE_CPU_CPU_H

#include <math.h>

#include "base/wide.h"
#include "engine/blas.h"
#include "engine/conv_shape.h"
#include "engine/entries.h"
#include "engine/sift.h"

#if NNCLR_REAL_BITS == 64
typedef double real;
#define REAL_DTYPE NNCLR_F64
#define REAL_GEMM  nnclr_dgemm
#define REAL_EXP   exp
#define CPU(name)  nnclr_cpu64_##name
#else
typedef float real;
#define REAL_DTYPE NNCLR_F32
#define REAL_GEMM  nnclr_sgemm
#define REAL_EXP   expf
#define CPU(name)  nnclr_cpu32_##name
#endif

#define CPU_WIDE NNCLR_WIDE

/* Some CPUs have kernels of ours for float (simd/). */
#if NNCLR_REAL_BITS != 64 && defined(__x86_64__)
#define HAS_SIMD 1
#else
#define HAS_SIMD 0
#endif

/* ---- pieces: how work is cut, by its size alone ---- */

enum { MAX_PIECES = 64 };

typedef struct pieces {
    size_t total, each;
    int count;
} pieces;

/* At most MAX_PIECES pieces of at least `least` and a multiple of `unit`. */
static inline pieces cut(size_t total, size_t least, size_t unit) {
    size_t each = (total + MAX_PIECES - 1) / MAX_PIECES;
    if (each < least)
        each = least;
    each = (each + unit - 1) / unit * unit;
    return (pieces){total, each, (int)((total + each - 1) / each)};
}
static inline size_t piece_begin(const pieces *p, int i) {
    return p->each * (size_t)i;
}
static inline size_t piece_end(const pieces *p, int i) {
    size_t end = p->each * ((size_t)i + 1);
    return end < p->total ? end : p->total;
}

/* ---- stripes: rows of c channels seen as rows of up to MAX_LANES lanes ----
 *
 * Few channels: several rows are taken at once. Many: the channels are cut into stripes. So inner
 * loops are long enough for vectors, and their coefficients and sums fit on the stack. */

enum { MAX_LANES = 512 };

typedef struct stripe {
    int first, channels; /* of c */
    int repeat;          /* rows at once; more than one only if the stripe is the whole row */
} stripe;

static inline int stripe_count(int c) {
    return (c + MAX_LANES - 1) / MAX_LANES;
}
static inline stripe stripe_at(int c, int index) {
    if (c <= MAX_LANES)
        return (stripe){0, c, MAX_LANES / c};
    int first = index * MAX_LANES;
    return (stripe){first, c - first < MAX_LANES ? c - first : MAX_LANES, 1};
}
/* Lanes from row `at` on, when the rows end at `end`. */
static inline int stripe_lanes(const stripe *s, size_t at, size_t end) {
    size_t rows = end - at < (size_t)s->repeat ? end - at : (size_t)s->repeat;
    return (int)rows * s->channels;
}
/* Copies the first row's values to the lanes of the others. */
static inline void stripe_spread(const stripe *s, real *lanes) {
    for (int i = s->channels; i < s->repeat * s->channels; i++)
        lanes[i] = lanes[i - s->channels];
}

/* ---- shared by several files ---- */

typedef struct CPU(state) {
    double *partials; /* [MAX_PIECES][3][MAX_LANES] */
} CPU(state);

static inline size_t group_rows(nnclr_shape s) {
    return (size_t)s.n * (size_t)s.h * (size_t)s.w;
}
static inline size_t all_rows(nnclr_shape s) {
    return (size_t)s.groups * group_rows(s);
}
static inline size_t all_reals(nnclr_shape s) {
    return all_rows(s) * (size_t)s.c;
}

/* C = op(A) op(B) + beta C on row-major matrices, on the calling thread. */
static inline void gemm_block(bool transpose_a, bool transpose_b, int m, int n, int k, real alpha,
                              const real *a, int lda, const real *b, int ldb, real beta, real *c,
                              int ldc) {
    REAL_GEMM(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
              transpose_b ? CblasTrans : CblasNoTrans, m, n, k, alpha, a, lda, b, ldb, beta, c,
              ldc);
}

/* Adds the sum and the sum of squares of each channel of `rows` rows to sums [2][c]. */
void CPU(add_sums)(const real *x, size_t rows, int c, double *sums);
/* partials [groups][count][2][c] -> sums [groups][2][c], in the order of the pieces. */
void CPU(fold_sums)(const double *partials, int groups, int count, int c, double *sums);

bool CPU(open_state)(const nnclr_engine *g, CPU(state) * state, nnclr_error *e);
void CPU(close_state)(CPU(state) * state); /* what it points to */

/* Kernels of the sieve for this machine; NULL: it works with matrices. */
const struct sift_kernels *CPU(sift_kernels)(void);
/* The sieve's queries [first, first + count), on the calling thread, which has `scratch` of
 * sift_reals. */
size_t CPU(sift_reals)(const struct sift_kernels *kernels, int d);
void CPU(sift_queries)(const struct sift_kernels *kernels, const nnclr_sieve *sieve, int first,
                       int count, real *scratch);

/* ---- entries of the table (entries.h) ----
 *
 * Those of rows and plain reals serve the engines on tiles too, which have their own for
 * activations. */
#define DECLARE_CPU(name) ENTRY_TYPE(name) CPU(name);
#define CPU_ROW(name)     .name = CPU(name),

ENTRIES_OF_ROWS(DECLARE_CPU)
ENTRIES_OF_ACTIVATIONS(DECLARE_CPU)
DECLARE_CPU(search_create)

#endif
