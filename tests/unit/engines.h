/* The engines that the battery goes over (engine_battery.h): a new engine is a row. */
#ifndef NNCLR_TESTS_ENGINES_H
#define NNCLR_TESTS_ENGINES_H

#include "engine/cuda/cuda.h"
#include "engine/tiles/tiled.h"
#include "tests/unit/amx_emulator.h"
#include "tests/unit/engine_fixture.h"

typedef struct test_engine {
    const char *name;
    const nnclr_engine_table *table;
    const tile_kernels *kernels; /* that it works with, the best of this CPU or not; NULL: it has
                                    nothing to choose */
    const char *simd;            /* NNCLR_SIMD while it is open */
    double sums;   /* how far sums of products may be off, as a share of the largest one, */
    double stored; /* and by how much of itself a stored activation: half a unit in its last bit */
    int alike;     /* those of one number, but for 0, give the same bits */
    double most;   /* multiplications that are worth the time; 0: any */
} test_engine;

#define F32  .sums = 1e-5, .stored = 0
#define BF16 .sums = 1e-5, .stored = 0x1p-8

/* The first is what others are compared with if the definition itself would take too long. */
static const test_engine engines[] = {
    {"cpu f64", &nnclr_engine_cpu_f64, .sums = 1e-12},
    {"cpu f32, plain", &nnclr_engine_cpu_f32, .simd = "none", F32},
#ifdef __x86_64__
    {"cpu f32, avx2", &nnclr_engine_cpu_tiles, &nnclr_tiles_f32_avx2, "avx2", F32, .alike = 1},
    {"cpu f32, avx512", &nnclr_engine_cpu_tiles, &nnclr_tiles_f32_avx512, "avx512", F32,
     .alike = 1},
#endif
    {"cpu bf16, plain", &nnclr_engine_cpu_bf16, &nnclr_tiles_bf16_portable, "none", BF16,
     .alike = 2, .most = 4e7},
#ifdef __x86_64__
    {"cpu bf16, avx2", &nnclr_engine_cpu_bf16, &nnclr_tiles_bf16_avx2, "avx2", BF16, .alike = 2},
    {"cpu bf16, avx512", &nnclr_engine_cpu_bf16, &nnclr_tiles_bf16_avx512, "avx512", BF16,
     .alike = 2},
    {"cpu bf16, avx512-bf16", &nnclr_engine_cpu_bf16, &nnclr_tiles_bf16_avx512bf16, "avx512", BF16,
     .alike = 2},
    {"amx bf16", &nnclr_engine_amx_bf16, &nnclr_tiles_bf16_amx, "avx512", BF16},
    {"amx bf16, emulated", &nnclr_engine_amx_bf16, &nnclr_tiles_bf16_amx, "avx512", BF16,
     .most = 4e6},
#endif
    /* On the host; on a GPU if they are linked for one. */
    {"cuda f32", &nnclr_engine_cuda_f32, F32, .most = 2e7},
    {"cuda bf16", &nnclr_engine_cuda_bf16, BF16, .most = 2e7},
};
enum { ENGINES = sizeof engines / sizeof engines[0] };

static inline bool is_emulated(const test_engine *row) {
    return strstr(row->name, "emulated") != NULL;
}

/* Whether it works on tiles of bfloat16. */
static inline bool has_short_tiles(const test_engine *row) {
    return row->kernels && row->stored > 0;
}

/* Whether this CPU has what the kernels of a row use: AMX is emulated instruction by instruction
 * (amx_emulator.h) if all else that its kernels use is there. */
static inline bool has_kernels(const test_engine *row) {
    if (!row->kernels)
        return true;
#ifdef __x86_64__
    if (is_emulated(row)) {
        if (!nnclr_tiled_runs(&nnclr_tiles_bf16_avx512bf16) || nnclr_tiled_runs(row->kernels))
            return false;
        amx_emulate();
        return true;
    }
#endif
    return nnclr_tiled_runs(row->kernels);
}

/* False, with nothing open, if this machine lacks what the engine needs. */
static inline bool open_engine(fixture *f, const test_engine *row, int threads) {
    nnclr_error e = NNCLR_NO_ERROR;
    if (!has_kernels(row))
        return false;
    *f = (fixture){.t = row->table, .pool = nnclr_pool_create(threads, &e), .simd = row->simd};
    CHECK_SAYS(f->pool, "%s", e.message);
    f->g = (nnclr_engine){.table = row->table, .pool = f->pool};
    CHECK(!row->simd || setenv("NNCLR_SIMD", row->simd, 1) == 0);
    if (row->kernels ? nnclr_tiled_open_with(&f->g, row->kernels, &e) : f->t->open(&f->g, &e))
        return true;
    CHECK_SAYS(e.code == NNCLR_ERROR_MISSING, "%s: %s", row->name, e.message);
    f->g = (nnclr_engine){0};
    fixture_close(f);
    return false;
}

/* With the fixture `f` open for each engine that runs here in turn; `continue` goes to the next. */
#define FOR_EACH_ENGINE(row, f, threads)                                                           \
    for (const test_engine *row = engines; row < engines + ENGINES; row++)                         \
        for (bool open_ = open_engine(&(f), row, threads); open_;                                  \
             fixture_close(&(f)), open_ = false)

/* A word about the engines that are left out here, for a test of its own. */
static inline void skip_for_absent_engines(void) {
    char missing[200] = "";
    fixture f;
    for (const test_engine *row = engines; row < engines + ENGINES; row++)
        if (open_engine(&f, row, 1))
            fixture_close(&f);
        else if (!is_emulated(row))
            snprintf(missing + strlen(missing), sizeof missing - strlen(missing), "%s%s",
                     missing[0] ? "; " : "", row->name);
    if (missing[0])
        SKIP("not on this machine: %s", missing);
}

/* What becomes of an exact value: a real, or an activation. */
static inline double held(const test_engine *row, double value, bool stored) {
    union {
        float f;
        uint32_t u;
    } v = {.f = (float)value};
    if (row->table->real == NNCLR_F64)
        return value;
    if (stored && row->stored > 0) /* to the nearest bfloat16, ties to even */
        v.u = (v.u + 0x7fff + (v.u >> 16 & 1)) & 0xffff0000u;
    return (double)v.f;
}

/* Pictures and channels that fill up the last tiles are zeros. */
static inline void check_padding(const test_engine *row, const nnclr_tensor *tensor) {
    if (!row->kernels || tensor->kind == NNCLR_ROWS)
        return;
    const tiled t = tiled_tensor(row->kernels, tensor);
    float room[SQUARE];
    for (size_t spot = 0; spot < (size_t)t.shape.groups * t.spots; spot++)
        for (int block = 0; block < t.blocks; block++) {
            const unsigned char *tile = tiled_at(&t, spot) + (size_t)block * t.tile;
            const float *values = row->kernels->widen(tile, tiled_values(&t), room);
            const int pictures = tiled_pictures(&t, spot % t.spots);
            for (int i = 0; i < tiled_values(&t); i++)
                CHECK_SAYS((i / t.stride < pictures && i % t.stride < tiled_channels(&t, block)) ||
                               values[i] == 0,
                           "%s: %g in spot %zu where picture %d or channel %d is none", row->name,
                           (double)values[i], spot, i / t.stride, i % t.stride);
        }
}

#undef F32
#undef BF16
#endif
