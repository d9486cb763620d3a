/* The kinds of kernels on tiles of bfloat16, each as an open engine: those that this CPU runs, and
 * AMX if at least AVX512-BF16 is there, instruction by instruction (amx_emulator.h). */
#ifndef NNCLR_TESTS_BF16_KINDS_H
#define NNCLR_TESTS_BF16_KINDS_H

#include "engine/tiles/tiled.h"
#include "tests/unit/amx_emulator.h"
#include "tests/unit/engine_fixture.h"

enum { PORTABLE, AVX2, AVX512, AVX512BF16, AMX, KINDS };

typedef struct bf16_kind {
    const char *name;
    const tile_kernels *kernels;
    bool emulated;
} bf16_kind;

static inline const tile_kernels *kernels_at(int i) {
    const tile_kernels *const kernels[KINDS] = {
        [PORTABLE] = &nnclr_tiles_bf16_portable,
#ifdef __x86_64__
        [AVX2] = &nnclr_tiles_bf16_avx2,
        [AVX512] = &nnclr_tiles_bf16_avx512,
        [AVX512BF16] = &nnclr_tiles_bf16_avx512bf16,
        [AMX] = &nnclr_tiles_bf16_amx,
#endif
    };
    return kernels[i];
}

static inline bool kind_at(int i, bf16_kind *kind) {
    const tile_kernels *kernels = kernels_at(i);
    *kind = (bf16_kind){kernels ? kernels->name : "", kernels, false};
    if (!kernels || nnclr_tiled_runs(kernels))
        return kernels != NULL;
    if (i != AMX || !nnclr_tiled_runs(kernels_at(AVX512BF16)))
        return false;
    kind->name = "amx, emulated";
    kind->emulated = true;
    return true;
}

/* For main, in programs whose tests go over the kinds: a word about those that they leave out. */
static inline void every_kind_runs_here(void) {
    char missing[100] = "";
    bf16_kind kind;
    for (int k = 0; k < KINDS; k++)
        if (!kind_at(k, &kind) && kind.kernels) {
            size_t used = strlen(missing);
            snprintf(missing + used, sizeof missing - used, " %s", kind.name);
        }
    if (missing[0])
        SKIP("this CPU does not run%s", missing);
}

/* Never an emulated one. */
static inline void fastest_kind(bf16_kind *kind) {
    for (int i = KINDS - 1; !kind_at(i, kind) || kind->emulated; i--)
        CHECK(i > 0);
}

static inline const tile_kernels *kernels_of_kind(const bf16_kind *kind) {
    if (kind->emulated)
        amx_emulate();
    return kind->kernels;
}

static inline void open_kind(fixture *f, const bf16_kind *kind, int threads) {
    nnclr_error e = NNCLR_NO_ERROR;
    bool amx = strncmp(kind->name, "amx", 3) == 0;
    *f = (fixture){.t = amx ? &nnclr_engine_amx_bf16 : &nnclr_engine_cpu_bf16, .tolerance = 1e-5};
    f->pool = nnclr_pool_create(threads, &e);
    CHECK_SAYS(f->pool, "%s", e.message);
    f->g = (nnclr_engine){.table = f->t, .pool = f->pool};
    CHECK_SAYS(nnclr_tiled_open_with(&f->g, kernels_of_kind(kind), &e), "%s", e.message);
}

/* The error of a value at rest: half a unit of its eighth bit. */
static const double value_unit = 0x1p-8;

/* To the nearest bfloat16, ties to even; for what is exact in float. */
static inline double rounded(double value) {
    union {
        float f;
        uint32_t u;
    } v = {.f = (float)value};
    v.u = (v.u + 0x7fff + (v.u >> 16 & 1)) & 0xffff0000u;
    return (double)v.f;
}

#endif
