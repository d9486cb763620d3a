/* The tables of the engines that work on tiles: at bf16 "cpu" with AVX512-BF16 or plain C and "amx"
 * with AMX-BF16, which differ in the kernels alone; at f32 "amx". Several products of bfloat16 for
 * one of float pay with AMX only: elsewhere fused multiply-adds of floats are faster. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/bf16/bf16.h"
#include "engine/cpu/simd/direct_conv.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* ---- kernels ---- */

#ifdef __x86_64__

static bool has_avx512_bf16(void) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5);
}

/* The CPU has AMX-BF16, and the kernel lets this process keep tiles. */
static bool has_amx(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a = 0, b = 0, c = 0, d = 0;
    bool there = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & 1u << 22) && (d & 1u << 24);
    return there && has_avx512_bf16() &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

#if NNCLR_BF16_PARTS == 1
/* What NNCLR_SIMD may say is the same for engines of every precision. */
static const tile_kernels *vector_kernels(nnclr_error *e) {
    const char *wanted = getenv("NNCLR_SIMD");
    const direct_kernels *named = NULL;
    if (!nnclr_direct_choose(&named, e))
        return NULL;
    if (named != &nnclr_direct_avx512)
        return &TILES(portable);
    if (has_avx512_bf16())
        return &TILES(avx512);
    if (!wanted || !*wanted)
        return &TILES(portable);
    nnclr_fail(e, NNCLR_ERROR_MISSING,
               "NNCLR_SIMD=avx512: this CPU lacks AVX512-BF16, which precision bf16 would use");
    return NULL;
}
#endif

#elif NNCLR_BF16_PARTS == 1

static const tile_kernels *vector_kernels(nnclr_error *e) {
    (void)e;
    return &TILES(portable);
}

#endif

/* Whole numbers up to 8 in every part, so that each order of summing gives the same bits; from old
 * sums or none, with all products of parts or some. */
bool BF16(multiplies)(const tile_kernels *kernels) {
    enum { CHUNKS = 2 };
    const tile_term terms[] = {{0, CELL}, {CELL, 0}};
    static const struct {
        bool add, exact;
    } ways[] = {{false, true}, {true, true}, {false, false}, {true, false}};
    _Alignas(64) bf16 a[(CHUNKS + 1) * CELL], b[(CHUNKS + 1) * CELL];
    _Alignas(64) float got[TILE], want[TILE];
    for (int i = 0; i < (CHUNKS + 1) * CELL; i++) {
        a[i] = bf16_from_float((float)(i * 7 % 17 - 8));
        b[i] = bf16_from_float((float)(i * 11 % 13 - 6));
    }
    bool same = true;
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        for (int i = 0; i < TILE; i++)
            got[i] = want[i] = (float)(i % 19);
        tile_product product = {.terms = terms,
                                .count = 2,
                                .chunks = CHUNKS,
                                .a = a,
                                .b = b,
                                .rows = BLOCK,
                                .columns = BLOCK,
                                .depth = BLOCK,
                                .sums = got,
                                .add = ways[way].add,
                                .exact = ways[way].exact};
        kernels->begin();
        kernels->multiply(&product);
        kernels->end();
        product.sums = want;
        TILES(portable).multiply(&product);
        same = same && memcmp(got, want, sizeof got) == 0;
    }
    return same;
}

/* Plain C multiplies floats faster than bfloat16. */
static const tile_kernels *search_kernels(const tile_kernels *kernels) {
#ifdef __x86_64__
    if (kernels == &TILES(amx))
        return &nnclr_tiles_amx;
    if (kernels == &TILES(avx512))
        return &nnclr_tiles_avx512;
#endif
    (void)kernels;
    return NULL;
}

bool BF16(open_with)(nnclr_engine *g, const tile_kernels *kernels, nnclr_error *e) {
    bf16_state *state = g->state = nnclr_alloc_zero(1, sizeof *state, e);
    if (!state)
        return false;
    state->kernels = kernels;
    state->search = search_kernels(kernels);
    if (!CPU(open_state)(&state->cpu, e)) {
        nnclr_free(state);
        g->state = NULL;
        return false;
    }
    g->vectors = kernels == &TILES(portable) ? NULL : kernels->name;
    return true;
}

#if NNCLR_BF16_PARTS == 1
static bool open_cpu(nnclr_engine *g, nnclr_error *e) {
    const tile_kernels *kernels = vector_kernels(e);
    return kernels && BF16(open_with)(g, kernels, e);
}
#endif

static bool open_amx(nnclr_engine *g, nnclr_error *e) {
#ifdef __x86_64__
    if (has_amx()) {
        if (BF16(multiplies)(&TILES(amx)))
            return BF16(open_with)(g, &TILES(amx), e);
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
    bf16_state *state = g->state;
    CPU(close_state)(&state->cpu);
    nnclr_free(state);
    g->state = NULL;
}

/* ---- memory ---- */

/* A size that no memory can hold, where the product overflows: the arena refuses it. */
static size_t tensor_bytes(const nnclr_engine *g, nnclr_shape s, nnclr_kind kind) {
    (void)g;
    bool rows = kind == NNCLR_ROWS;
    const int dims[] = {s.groups, rows ? s.n : bf16_blocks(s.n), s.h, s.w,
                        rows ? s.c : bf16_blocks(s.c)};
    size_t bytes = rows ? sizeof(float) : CELL * sizeof(bf16);
    for (int i = 0; i < 5; i++)
        if (!nnclr_size_mul(bytes, (size_t)dims[i], &bytes))
            return SIZE_MAX;
    return bytes;
}

typedef struct upload_call {
    const float *nhwc;
    const nnclr_tensor *to;
} upload_call;

/* The values of one picture and pixel, in the tiles of its spot: BLOCK of each. */
static bf16 *picture_at(const nnclr_tensor *t, int picture, int pixel) {
    nnclr_shape s = t->shape;
    int group = picture / s.n, within = picture % s.n;
    size_t block = (size_t)(group * bf16_blocks(s.n) + within / BLOCK);
    return bf16_at(t, block * (size_t)s.h * (size_t)s.w + (size_t)pixel) + within % BLOCK * BLOCK;
}

/* One spot, and zeros where there is no picture or channel. */
static void upload_spot(const upload_call *call, int group, size_t spot) {
    nnclr_shape s = call->to->shape;
    size_t pixels = (size_t)s.h * (size_t)s.w, block = spot / pixels;
    size_t first = (size_t)group * (size_t)s.n + block * BLOCK;
    bf16 *tiles = bf16_at(call->to, (size_t)group * bf16_spots(s) + spot);
    memset(tiles, 0, bf16_depth(s) * sizeof *tiles);
    for (int i = 0; i < bf16_pictures(s, spot); i++) {
        const float *from =
            call->nhwc + ((first + (size_t)i) * pixels + spot % pixels) * (size_t)s.c;
        for (int c = 0; c < s.c; c++)
            cell_put(tiles + c / BLOCK * CELL, i * BLOCK + c % BLOCK, from[c]);
    }
}

static void upload_row(void *context, int task, int worker) {
    (void)worker;
    const upload_call *call = context;
    nnclr_shape s = call->to->shape;
    int rows = bf16_blocks(s.n) * s.h;
    for (int x = 0; x < s.w; x++)
        upload_spot(call, task / rows, (size_t)(task % rows) * (size_t)s.w + (size_t)x);
}

static void upload(nnclr_engine *g, const float *nhwc, const nnclr_tensor *to) {
    if (to->kind == NNCLR_ROWS) {
        CPU(put)(g, to->place, all_reals(to->shape), NNCLR_F32, nhwc);
        return;
    }
    upload_call call = {nhwc, to};
    nnclr_shape s = to->shape;
    nnclr_pool_for(g->pool, s.groups * bf16_blocks(s.n) * s.h, upload_row, &call);
}

static void download(nnclr_engine *g, const nnclr_tensor *from, double *nhwc) {
    nnclr_shape s = from->shape;
    if (from->kind == NNCLR_ROWS) {
        CPU(get)(g, from->place, all_reals(s), NNCLR_F64, nhwc);
        return;
    }
    for (int picture = 0; picture < s.groups * s.n; picture++)
        for (int pixel = 0; pixel < s.h * s.w; pixel++, nhwc += s.c) {
            const bf16 *at = picture_at(from, picture, pixel);
            for (int c = 0; c < s.c; c++)
                nhwc[c] = (double)cell_value(at + c / BLOCK * CELL, c % BLOCK);
        }
}

/* ---- tables ---- */

#define ENTRIES                                                                                    \
    .real = NNCLR_F32, .close = close_engine, .tensor_bytes = tensor_bytes,                        \
    .statistics_bytes = CPU(statistics_bytes), .arena_create = CPU(arena_create),                  \
    .arena_free = CPU(arena_free), .zero = CPU(zero), .copy = CPU(copy), .upload = upload,         \
    .download = download, .put = CPU(put), .get = CPU(get), .sync = CPU(sync),                     \
    .conv_plan = BF16(conv_plan), .conv_plan_free = BF16(conv_plan_free),                          \
    .conv_pack = BF16(conv_pack), .conv_forward = BF16(conv_forward),                              \
    .conv_backward_data = BF16(conv_backward_data),                                                \
    .conv_backward_weights = BF16(conv_backward_weights), .batchnorm_sums = BF16(batchnorm_sums),  \
    .batchnorm_train = BF16(batchnorm_train), .batchnorm_evaluate = BF16(batchnorm_evaluate),      \
    .batchnorm_backward = BF16(batchnorm_backward), .maxpool_forward = BF16(maxpool_forward),      \
    .maxpool_backward = BF16(maxpool_backward), .average_forward = BF16(average_forward),          \
    .average_backward = BF16(average_backward), .linear_forward = CPU(linear_forward),             \
    .linear_backward_data = CPU(linear_backward_data),                                             \
    .linear_backward_weights = CPU(linear_backward_weights),                                       \
    .l2norm_forward = CPU(l2norm_forward), .l2norm_backward = CPU(l2norm_backward),                \
    .gemm = CPU(gemm), .cross_entropy = CPU(cross_entropy), .gather = CPU(gather),                 \
    .squared_norm = CPU(squared_norm), .sift_bytes = CPU(sift_bytes), .sift = CPU(sift),           \
    .search_create = nnclr_bf16_search_create, .search_free = CPU(search_free),                    \
    .search_rows = CPU(search_rows), .search_update = CPU(search_update),                          \
    .search_nearest = CPU(search_nearest), .get_picks = CPU(get_picks), .update = CPU(update)

#if NNCLR_BF16_PARTS == 3
const nnclr_engine_table nnclr_engine_amx_f32 = {
    .name = "amx", .precision = "f32", .open = open_amx, ENTRIES};
#else
const nnclr_engine_table nnclr_engine_cpu_bf16 = {
    .name = "cpu", .precision = "bf16", .open = open_cpu, ENTRIES};
const nnclr_engine_table nnclr_engine_amx_bf16 = {
    .name = "amx", .precision = "bf16", .open = open_amx, ENTRIES};
#endif
