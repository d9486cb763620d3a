/* The tables of the engines that work on tiles: "cpu" at f32, with AVX-512 or AVX2, and at bf16, on
 * any CPU; "amx" at bf16. They differ in the kernels alone. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/simd.h"
#include "engine/tiles/bf16.h"
#include "engine/tiles/tiled.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* ---- kernels ---- */

#ifdef __x86_64__

static bool has_avx512_bf16(void) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return nnclr_simd_has(NNCLR_SIMD_AVX512) && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
           (a & 1u << 5);
}

/* Whether the CPU has AMX-BF16, and the kernel lets this process keep tiles. */
static bool has_amx(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a = 0, b = 0, c = 0, d = 0;
    bool there = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & 1u << 22) && (d & 1u << 24);
    return there && has_avx512_bf16() &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

#endif

bool nnclr_tiled_runs(const tile_kernels *kernels) {
#ifdef __x86_64__
    if (kernels == &nnclr_tiles_bf16_amx)
        return has_amx();
    if (kernels == &nnclr_tiles_bf16_avx512bf16)
        return has_avx512_bf16();
    if (kernels == &nnclr_tiles_bf16_avx512 || kernels == &nnclr_tiles_f32_avx512)
        return nnclr_simd_has(NNCLR_SIMD_AVX512);
    if (kernels == &nnclr_tiles_bf16_avx2 || kernels == &nnclr_tiles_f32_avx2)
        return nnclr_simd_has(NNCLR_SIMD_AVX2);
#endif
    (void)kernels;
    return true;
}

/* As NNCLR_SIMD says; with "none", the reference engine multiplies floats with OpenBLAS. */
static const tile_kernels *kernels_of_floats(nnclr_error *e) {
    nnclr_simd simd;
    if (!nnclr_simd_choose(&simd, e))
        return NULL;
#ifdef __x86_64__
    if (simd != NNCLR_SIMD_NONE)
        return simd == NNCLR_SIMD_AVX512 ? &nnclr_tiles_f32_avx512 : &nnclr_tiles_f32_avx2;
#endif
    nnclr_fail(e, NNCLR_ERROR_MISSING, "tiles of floats need AVX2");
    return NULL;
}

/* AVX-512's products of bfloat16, if they are faster than those of floats: VDPBF16PS takes
 * as long as FMA on AMD's CPUs, four times as long on Intel's. All give the same bits. */
static const tile_kernels *kernels_of_bf16(nnclr_error *e) {
    nnclr_simd simd;
    if (!nnclr_simd_choose(&simd, e))
        return NULL;
#ifdef __x86_64__
    if (simd == NNCLR_SIMD_AVX512)
        return has_avx512_bf16() && !__builtin_cpu_is("intel") ? &nnclr_tiles_bf16_avx512bf16
                                                               : &nnclr_tiles_bf16_avx512;
    if (simd == NNCLR_SIMD_AVX2)
        return &nnclr_tiles_bf16_avx2;
#endif
    return &nnclr_tiles_bf16_portable;
}

/* Whole numbers up to 8, so that each order of summing gives the same bits; from old sums or none.
 */
bool nnclr_tiled_multiplies(const tile_kernels *kernels) {
    enum { CHUNKS = 2, VALUES = (CHUNKS + 1) * SQUARE };
    const size_t tile = SQUARE * sizeof(bf16);
    const tile_term terms[] = {{0, tile}, {tile, 0}};
    _Alignas(64) bf16 a[VALUES], b[VALUES];
    _Alignas(64) float got[SQUARE], want[SQUARE];
    for (int i = 0; i < VALUES; i++) {
        a[i] = bf16_from_float((float)(i * 7 % 17 - 8));
        b[i] = bf16_from_float((float)(i * 11 % 13 - 6));
    }
    bool same = true;
    for (int add = 0; add < 2; add++) {
        for (int i = 0; i < SQUARE; i++)
            got[i] = want[i] = (float)(i % 19);
        tile_product product = {.terms = terms,
                                .count = 2,
                                .chunks = CHUNKS,
                                .a = a,
                                .b = b,
                                .rows = BLOCK,
                                .columns = BLOCK,
                                .depth = BLOCK,
                                .a_stride = BLOCK,
                                .b_stride = BLOCK,
                                .sums = got,
                                .add = add};
        kernels->begin();
        kernels->multiply(&product);
        kernels->end();
        product.sums = want;
        nnclr_tiles_bf16_portable.multiply(&product);
        same = same && memcmp(got, want, sizeof got) == 0;
    }
    return same;
}

/* If bfloat16 is widened, floats are faster. */
static const tile_kernels *search_kernels(const tile_kernels *kernels) {
#ifdef __x86_64__
    if (kernels == &nnclr_tiles_bf16_amx || kernels == &nnclr_tiles_bf16_avx512bf16)
        return kernels;
#endif
    (void)kernels;
    return NULL;
}

bool nnclr_tiled_open_with(nnclr_engine *g, const tile_kernels *kernels, nnclr_error *e) {
    tiled_state *state = g->state = nnclr_alloc_zero(1, sizeof *state, e);
    if (!state)
        return false;
    state->kernels = kernels;
    state->search = search_kernels(kernels);
    if (!CPU(open_state)(g, &state->cpu, e)) {
        CPU(close_state)(&state->cpu);
        nnclr_free(state);
        g->state = NULL;
        return false;
    }
    g->vectors = strcmp(kernels->name, "none") == 0 ? NULL : kernels->name;
    return true;
}

static bool open_floats(nnclr_engine *g, nnclr_error *e) {
    const tile_kernels *kernels = kernels_of_floats(e);
    return kernels && nnclr_tiled_open_with(g, kernels, e);
}

static bool open_bf16(nnclr_engine *g, nnclr_error *e) {
    const tile_kernels *kernels = kernels_of_bf16(e);
    return kernels && nnclr_tiled_open_with(g, kernels, e);
}

static bool open_amx(nnclr_engine *g, nnclr_error *e) {
#ifdef __x86_64__
    if (has_amx()) {
        if (nnclr_tiled_multiplies(&nnclr_tiles_bf16_amx))
            return nnclr_tiled_open_with(g, &nnclr_tiles_bf16_amx, e);
        return nnclr_fail(e, NNCLR_ERROR_MISSING,
                          "the AMX-BF16 of this CPU gives wrong products, so engine amx is not "
                          "opened; engine cpu runs here");
    }
#endif
    (void)g;
    return nnclr_fail(
        e, NNCLR_ERROR_MISSING,
        "engine amx needs a CPU with AMX-BF16 and a kernel that lets programs use it; "
        "engine cpu runs here");
}

static void close_engine(nnclr_engine *g) {
    tiled_state *state = g->state;
    CPU(close_state)(&state->cpu);
    nnclr_free(state);
    g->state = NULL;
}

/* ---- memory ---- */

/* If the product overflows, a size that no memory can hold: the arena refuses it. */
static size_t tensor_bytes(const nnclr_engine *g, nnclr_shape s, nnclr_kind kind) {
    const tiled t = tiled_shape(tiled_kernels(g), s);
    bool rows = kind == NNCLR_ROWS;
    const int dims[] = {s.groups, rows ? s.n : t.picture_blocks, s.h, s.w, rows ? s.c : t.blocks};
    size_t bytes = rows ? sizeof(float) : t.tile;
    for (int i = 0; i < 5; i++)
        if (!nnclr_size_mul(bytes, (size_t)dims[i], &bytes))
            return SIZE_MAX;
    return bytes;
}

typedef struct upload_call {
    const float *nhwc;
    tiled to;
} upload_call;

/* One spot, and zeros if there is not a picture or channel. */
static void upload_spot(const upload_call *call, int group, size_t spot) {
    const tiled *t = &call->to;
    nnclr_shape s = t->shape;
    size_t pixels = (size_t)s.h * (size_t)s.w, block = spot / pixels;
    size_t first = (size_t)(group * s.n) + block * (size_t)t->pictures;
    unsigned char *tile = tiled_at(t, (size_t)group * t->spots + spot);
    float values[SQUARE];
    for (int k = 0; k < t->blocks; k++, tile += t->tile) {
        const int channels = tiled_channels(t, k);
        memset(values, 0, sizeof values);
        for (int i = 0; i < tiled_pictures(t, spot); i++) {
            size_t row = (first + (size_t)i) * pixels + spot % pixels;
            memcpy(values + i * t->stride, call->nhwc + row * (size_t)s.c + (size_t)(k * t->stride),
                   (size_t)channels * sizeof *values);
        }
        t->kernels->narrow(values, tiled_values(t), tile);
    }
}

static void upload_row(void *context, int task, int worker) {
    (void)worker;
    const upload_call *call = context;
    nnclr_shape s = call->to.shape;
    int rows = call->to.picture_blocks * s.h;
    for (int x = 0; x < s.w; x++)
        upload_spot(call, task / rows, (size_t)(task % rows) * (size_t)s.w + (size_t)x);
}

static void upload(nnclr_engine *g, const float *nhwc, const nnclr_tensor *to) {
    if (to->kind == NNCLR_ROWS) {
        CPU(put)(g, to->place, all_reals(to->shape), NNCLR_F32, nhwc);
        return;
    }
    upload_call call = {nhwc, tiled_tensor(tiled_kernels(g), to)};
    nnclr_pool_for(g->pool, to->shape.groups * call.to.picture_blocks * to->shape.h, upload_row,
                   &call);
}

static void download(nnclr_engine *g, const nnclr_tensor *from, double *nhwc) {
    nnclr_shape s = from->shape;
    if (from->kind == NNCLR_ROWS) {
        CPU(get)(g, from->place, all_reals(s), NNCLR_F64, nhwc);
        return;
    }
    const tiled t = tiled_tensor(tiled_kernels(g), from);
    const size_t pixels = (size_t)s.h * (size_t)s.w;
    float room[SQUARE];
    for (size_t spot = 0; spot < (size_t)s.groups * t.spots; spot++) {
        const size_t within = spot % t.spots, block = within / pixels;
        const size_t first = spot / t.spots * (size_t)s.n + block * (size_t)t.pictures;
        for (int k = 0; k < t.blocks; k++) {
            const unsigned char *tile = tiled_at(&t, spot) + (size_t)k * t.tile;
            const float *values = t.kernels->widen(tile, tiled_values(&t), room);
            for (int i = 0; i < tiled_pictures(&t, within); i++) {
                size_t row = (first + (size_t)i) * pixels + spot % pixels;
                double *to = nhwc + row * (size_t)s.c + (size_t)(k * t.stride);
                for (int c = 0; c < tiled_channels(&t, k); c++)
                    to[c] = (double)values[i * t.stride + c];
            }
        }
    }
}

/* ---- tables ---- */

#define ENTRIES                                                                                    \
    .real = NNCLR_F32, .close = close_engine, .tensor_bytes = tensor_bytes, .upload = upload,      \
    .download = download, .search_create = nnclr_tiled_search_create,                              \
    ENTRIES_OF_ROWS(CPU_ROW) ENTRIES_OF_ACTIVATIONS(TILED_ROW)

const nnclr_engine_table nnclr_engine_cpu_tiles = {
    .name = "cpu", .precision = "f32", .open = open_floats, ENTRIES};
const nnclr_engine_table nnclr_engine_cpu_bf16 = {
    .name = "cpu", .precision = "bf16", .open = open_bf16, ENTRIES};
const nnclr_engine_table nnclr_engine_amx_bf16 = {
    .name = "amx", .precision = "bf16", .open = open_amx, ENTRIES};
