/* The table of the reference engine, and its memory. All calls are complete when they return and
 * nothing can fail after creation, so sync has nothing to report. */
#include <string.h>

#include "base/memory.h"
#include "engine/cpu/cpu.h"
#include "engine/simd.h"

bool CPU(open_state)(const nnclr_engine *g, CPU(state) * state, nnclr_error *e) {
    *state = (CPU(state)){0};
    state->partials = nnclr_alloc((size_t)MAX_PIECES * 3 * MAX_LANES, sizeof(double), e);
    return state->partials && nnclr_blas_open(nnclr_pool_threads(g->pool), e);
}

void CPU(close_state)(CPU(state) * state) {
    nnclr_free(state->partials);
}

static void close_engine(nnclr_engine *g) {
    CPU(close_state)(g->state);
    nnclr_free(g->state);
    g->state = NULL;
}

static bool open_engine(nnclr_engine *g, nnclr_error *e) {
    nnclr_simd simd; /* what is wrong with the choice is wrong here too */
    if (!nnclr_simd_choose(&simd, e))
        return false;
    CPU(state) *state = g->state = nnclr_alloc_zero(1, sizeof *state, e);
    if (!state)
        return false;
    if (CPU(open_state)(g, state, e))
        return true;
    close_engine(g);
    return false;
}

/* If the product overflows, a size that no memory can hold: the arena refuses it. */
static size_t tensor_bytes(const nnclr_engine *g, nnclr_shape s, nnclr_kind kind) {
    (void)g, (void)kind;
    const int dims[] = {s.groups, s.n, s.h, s.w, s.c};
    size_t bytes = sizeof(real);
    for (int i = 0; i < 5; i++)
        if (!nnclr_size_mul(bytes, (size_t)dims[i], &bytes))
            return SIZE_MAX;
    return bytes;
}

size_t CPU(statistics_bytes)(const nnclr_engine *g, int groups, int c) {
    (void)g;
    return (size_t)groups * 2 * (size_t)c * sizeof(double);
}

void *CPU(arena_create)(nnclr_engine *g, size_t bytes, nnclr_error *e) {
    (void)g;
    return nnclr_block_alloc(bytes, e);
}

void CPU(arena_free)(nnclr_engine *g, void *arena, size_t bytes) {
    (void)g;
    nnclr_block_free(arena, bytes);
}

void CPU(zero)(nnclr_engine *g, void *place, size_t bytes) {
    (void)g;
    if (bytes > 0)
        memset(place, 0, bytes);
}

void CPU(copy)(nnclr_engine *g, void *to, const void *from, size_t bytes) {
    (void)g;
    if (bytes > 0)
        memmove(to, from, bytes);
}

void CPU(put)(nnclr_engine *g, void *place, size_t count, nnclr_dtype type, const void *host) {
    (void)g;
    real *to = place;
    if (type == NNCLR_F64) {
        const double *from = host;
        for (size_t i = 0; i < count; i++)
            to[i] = (real)from[i];
    } else {
        const float *from = host;
        for (size_t i = 0; i < count; i++)
            to[i] = (real)from[i];
    }
}

void CPU(get)(nnclr_engine *g, const void *place, size_t count, nnclr_dtype type, void *host) {
    (void)g;
    const real *from = place;
    if (type == NNCLR_F64) {
        double *to = host;
        for (size_t i = 0; i < count; i++)
            to[i] = (double)from[i];
    } else {
        float *to = host;
        for (size_t i = 0; i < count; i++)
            to[i] = (float)from[i];
    }
}

static void upload(nnclr_engine *g, const float *nhwc, const nnclr_tensor *to) {
    CPU(put)(g, to->place, all_reals(to->shape), NNCLR_F32, nhwc);
}

static void download(nnclr_engine *g, const nnclr_tensor *from, double *nhwc) {
    CPU(get)(g, from->place, all_reals(from->shape), NNCLR_F64, nhwc);
}

void CPU(put_statistics)(nnclr_engine *g, void *place, size_t count, const double *host) {
    CPU(copy)(g, place, host, count * sizeof *host);
}

void CPU(get_statistics)(nnclr_engine *g, const void *place, size_t count, double *host) {
    CPU(copy)(g, host, place, count * sizeof *host);
}

void CPU(get_picks)(nnclr_engine *g, const void *picks, size_t count, int32_t *host) {
    CPU(copy)(g, host, picks, count * sizeof *host);
}

void CPU(put_picks)(nnclr_engine *g, void *picks, size_t count, const int32_t *host) {
    CPU(copy)(g, picks, host, count * sizeof *host);
}

bool CPU(sync)(nnclr_engine *g, nnclr_error *e) {
    (void)g, (void)e;
    return true;
}

#define ENTRIES                                                                                    \
    .name = "cpu", .real = REAL_DTYPE, .open = open_engine, .close = close_engine,                 \
    .tensor_bytes = tensor_bytes, .upload = upload, .download = download,                          \
    .search_create = CPU(search_create), ENTRIES_OF_ROWS(CPU_ROW) ENTRIES_OF_ACTIVATIONS(CPU_ROW)

#if NNCLR_REAL_BITS == 64
const nnclr_engine_table nnclr_engine_cpu_f64 = {.precision = "f64", ENTRIES};
#else
const nnclr_engine_table nnclr_engine_cpu_f32 = {.precision = "f32", ENTRIES};
#endif
