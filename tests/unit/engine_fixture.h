/* What tests that open an engine share: memory that is freed with it, host arrays of doubles to and
 * from it through the seam alone, and comparison. */
#ifndef NNCLR_TESTS_ENGINE_FIXTURE_H
#define NNCLR_TESTS_ENGINE_FIXTURE_H

#include <stdint.h>

#include "engine/engine.h"
#include "tests/unit/check.h"

enum { FIXTURE_BLOCKS = 400 };

typedef struct fixture {
    nnclr_engine g;
    const nnclr_engine_table *t;
    nnclr_pool *pool;
    const char *simd; /* NNCLR_SIMD until it is closed; NULL: as it is */
    int count;
    struct {
        void *place;
        size_t bytes;
    } blocks[FIXTURE_BLOCKS];
} fixture;

/* Engine cpu. */
static inline void fixture_open(fixture *f, nnclr_precision precision, int threads) {
    nnclr_error e = NNCLR_NO_ERROR;
    *f = (fixture){.pool = nnclr_pool_create(threads, &e)};
    CHECK_SAYS(f->pool, "%s", e.message);
    CHECK_SAYS(nnclr_engine_open(&f->g, NNCLR_ENGINE_CPU, precision, f->pool, &e), "%s", e.message);
    f->t = f->g.table;
}

static inline void fixture_close(fixture *f) {
    nnclr_error e = NNCLR_NO_ERROR;
    CHECK_SAYS(!f->g.table || f->t->sync(&f->g, &e), "%s", e.message);
    while (f->count > 0) {
        f->count--;
        f->t->arena_free(&f->g, f->blocks[f->count].place, f->blocks[f->count].bytes);
    }
    nnclr_engine_close(&f->g);
    nnclr_pool_free(f->pool);
    if (f->simd)
        unsetenv("NNCLR_SIMD");
}

/* Full of NaNs, which whoever is to write must leave none of. */
static inline void *fixture_alloc(fixture *f, size_t bytes) {
    nnclr_error e = NNCLR_NO_ERROR;
    enum { NANS = 1024 };
    double nans[NANS];
    const size_t each = nnclr_real_bytes(&f->g), count = bytes / each;
    CHECK(f->count < FIXTURE_BLOCKS);
    void *place = f->t->arena_create(&f->g, bytes, &e);
    CHECK_SAYS(place, "%s", e.message);
    f->blocks[f->count].place = place;
    f->blocks[f->count++].bytes = bytes;
    for (int i = 0; i < NANS; i++)
        nans[i] = NAN;
    for (size_t i = 0; i < count; i += NANS)
        f->t->put(&f->g, nnclr_real_at(&f->g, place, i), count - i < NANS ? count - i : NANS,
                  NNCLR_F64, nans);
    return place;
}

/* Reals in engine memory; NULL leaves the NaNs, for what a call must overwrite. */
static inline void *fixture_reals(fixture *f, const double *values, size_t count) {
    void *place = fixture_alloc(f, count * nnclr_real_bytes(&f->g));
    if (values)
        f->t->put(&f->g, place, count, NNCLR_F64, values);
    return place;
}

static inline size_t shape_reals(nnclr_shape s) {
    return (size_t)s.groups * (size_t)s.n * (size_t)s.h * (size_t)s.w * (size_t)s.c;
}

/* Values arrive as floats, except those of rows. */
static inline nnclr_tensor fixture_kind(fixture *f, nnclr_shape shape, nnclr_kind kind,
                                        const double *values) {
    size_t count = shape_reals(shape);
    nnclr_tensor tensor = {shape, kind, fixture_alloc(f, f->t->tensor_bytes(&f->g, shape, kind))};
    if (values && kind == NNCLR_ROWS) {
        f->t->put(&f->g, tensor.place, count, NNCLR_F64, values);
    } else if (values) {
        float *floats = malloc(count * sizeof *floats);
        CHECK(floats);
        for (size_t i = 0; i < count; i++)
            floats[i] = (float)values[i];
        f->t->upload(&f->g, floats, &tensor);
        free(floats);
    }
    return tensor;
}

static inline nnclr_tensor fixture_pictures(fixture *f, nnclr_shape shape, const double *values) {
    return fixture_kind(f, shape, NNCLR_ACTIVATION, values);
}

static inline nnclr_tensor fixture_rows(fixture *f, nnclr_shape shape, const double *values) {
    return fixture_kind(f, shape, NNCLR_ROWS, values);
}

static inline double *host_reals(fixture *f, const void *place, size_t count) {
    double *host = malloc((count ? count : 1) * sizeof *host);
    CHECK(host);
    f->t->get(&f->g, place, count, NNCLR_F64, host);
    return host;
}

static inline double *host_tensor(fixture *f, const nnclr_tensor *tensor) {
    double *host = malloc(shape_reals(tensor->shape) * sizeof *host);
    CHECK(host);
    f->t->download(&f->g, tensor, host);
    return host;
}

/* Multiples of 1/256 in [-2, 2): exact in every real. */
static inline double random_value(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)((int)(*state >> 54) - 512) / 256;
}
static inline int random_int(uint64_t *state, int low, int high) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return low + (int)((*state >> 33) % (uint64_t)(high - low + 1));
}
static inline double *zero_reals(size_t count) {
    double *values = calloc(count ? count : 1, sizeof *values);
    CHECK(values);
    return values;
}
static inline double *random_reals(uint64_t *state, size_t count) {
    double *values = zero_reals(count);
    for (size_t i = 0; i < count; i++)
        values[i] = random_value(state);
    return values;
}

/* Each within `tolerance` of the largest one wanted. */
static inline void check_close(const char *what, const double *got, const double *want,
                               size_t count, double tolerance) {
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fabs(want[i]) > largest ? fabs(want[i]) : largest;
    for (size_t i = 0; i < count; i++)
        CHECK_SAYS(fabs(got[i] - want[i]) <= tolerance * (largest + 1e-30),
                   "%s[%zu] = %.17g, not %.17g", what, i, got[i], want[i]);
}

static inline double dot_product(const double *a, const double *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* a + step * b */
static inline double *moved(const double *a, double step, const double *b, size_t count) {
    double *values = malloc(count * sizeof *values);
    CHECK(values);
    for (size_t i = 0; i < count; i++)
        values[i] = a[i] + step * b[i];
    return values;
}

#endif
