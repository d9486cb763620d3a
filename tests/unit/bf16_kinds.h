/* The kinds of kernels on tiles, each as an open engine: those that this CPU has, and AMX where at
 * least AVX512-BF16 is there, instruction by instruction (amx_emulator.h). With NNCLR_BF16_PARTS 3
 * the engine at f32, which only AMX opens by itself. */
#ifndef NNCLR_TESTS_BF16_KINDS_H
#define NNCLR_TESTS_BF16_KINDS_H

#include "engine/bf16/bf16.h"
#include "tests/unit/amx_emulator.h"
#include "tests/unit/engine_fixture.h"

enum { PORTABLE, AVX512, AMX, KINDS };

typedef struct bf16_kind {
    const char *name, *simd;
    nnclr_engine_choice choice;
    bool emulated;
} bf16_kind;

static inline bool kind_opens(const bf16_kind *kind) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_engine g;
    nnclr_pool *pool = nnclr_pool_create(1, &e);
    CHECK(pool && setenv("NNCLR_SIMD", kind->simd, 1) == 0);
    bool opens = nnclr_engine_open(&g, kind->choice, NNCLR_PRECISION_BF16, pool, &e);
    if (opens)
        nnclr_engine_close(&g);
    else
        CHECK_SAYS(e.code == NNCLR_ERROR_MISSING, "%s", e.message);
    CHECK(unsetenv("NNCLR_SIMD") == 0);
    nnclr_pool_free(pool);
    return opens;
}

static inline bool kind_at(int i, bf16_kind *kind) {
    const bf16_kind kinds[KINDS] = {{"plain C", "none", NNCLR_ENGINE_CPU, false},
                                    {"avx512", "avx512", NNCLR_ENGINE_CPU, false},
                                    {"amx", "", NNCLR_ENGINE_AMX, false}};
    *kind = kinds[i];
    if (kind_opens(kind))
        return true;
    if (i != AMX || !kind_opens(&kinds[AVX512]))
        return false;
    *kind = kinds[AVX512];
    kind->name = "amx, emulated";
    kind->emulated = true;
    return true;
}

/* Never an emulated one. */
static inline void fastest_kind(bf16_kind *kind) {
    for (int i = KINDS - 1; !kind_at(i, kind) || kind->emulated; i--)
        CHECK(i > 0);
}

static inline const tile_kernels *kernels_of_kind(const bf16_kind *kind) {
#ifdef __x86_64__
    if (kind->emulated)
        amx_emulate();
    if (kind->emulated || kind->choice == NNCLR_ENGINE_AMX)
        return &TILES(amx);
    if (strcmp(kind->simd, "avx512") == 0)
        return &TILES(avx512);
#endif
    (void)kind;
    return &TILES(portable);
}

static inline void open_kind(fixture *f, const bf16_kind *kind, int threads) {
#if NNCLR_BF16_PARTS == 3
    nnclr_error e = NNCLR_NO_ERROR;
    *f = (fixture){.t = &nnclr_engine_amx_f32, .tolerance = 2e-5};
    f->pool = nnclr_pool_create(threads, &e);
    CHECK_SAYS(f->pool, "%s", e.message);
    f->g = (nnclr_engine){.table = f->t, .pool = f->pool};
    CHECK_SAYS(BF16(open_with)(&f->g, kernels_of_kind(kind), &e), "%s", e.message);
#else
    CHECK(setenv("NNCLR_SIMD", kind->simd, 1) == 0);
    fixture_open_engine(f, kind->choice, NNCLR_PRECISION_BF16, threads);
    CHECK(unsetenv("NNCLR_SIMD") == 0);
    if (kind->emulated)
        ((bf16_state *)f->g.state)->kernels = kernels_of_kind(kind);
#endif
}

/* Of a value at rest: half a unit of its eighth bit, or of float's last. */
static const double value_unit = NNCLR_BF16_PARTS == 3 ? 0x1p-24 : 0x1p-8;

/* To the nearest bfloat16, ties to even; of what is exact in float. */
static inline double rounded_part(double value) {
    union {
        float f;
        uint32_t u;
    } v = {.f = (float)value};
    v.u = (v.u + 0x7fff + (v.u >> 16 & 1)) & 0xffff0000u;
    return (double)v.f;
}

/* To what activations hold: a bfloat16, or the float that three are, and back. */
static inline double rounded(double value) {
    return NNCLR_BF16_PARTS == 3 ? (double)(float)value : rounded_part(value);
}

#endif
