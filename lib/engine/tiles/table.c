/* The tables of the engines that work on tiles: "cpu" at f32, with AVX-512 or AVX2, and at bf16, on
 * any CPU; "amx" at bf16. They differ in the kernels alone. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/simd.h"
#include "engine/tiles/tiled.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* ---- kernels ---- */

#if defined(__x86_64__) && NNCLR_TILE_PARTS > 0

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

bool TILED(runs)(const tile_kernels *kernels) {
#ifdef __x86_64__
#if NNCLR_TILE_PARTS > 0
    if (kernels == &TILES(amx))
        return has_amx();
    if (kernels == &TILES(avx512bf16))
        return has_avx512_bf16();
#endif
    if (kernels == &TILES(avx512))
        return nnclr_simd_has(NNCLR_SIMD_AVX512);
    if (kernels == &TILES(avx2))
        return nnclr_simd_has(NNCLR_SIMD_AVX2);
#endif
    (void)kernels;
    return true;
}

#if NNCLR_TILE_PARTS == 0

/* As NNCLR_SIMD says; with "none", the reference engine multiplies floats with OpenBLAS. */
static const tile_kernels *vector_kernels(nnclr_error *e) {
    nnclr_simd simd;
    if (!nnclr_simd_choose(&simd, e))
        return NULL;
#ifdef __x86_64__
    if (simd != NNCLR_SIMD_NONE)
        return simd == NNCLR_SIMD_AVX512 ? &TILES(avx512) : &TILES(avx2);
#endif
    nnclr_fail(e, NNCLR_ERROR_MISSING, "tiles of floats need AVX2");
    return NULL;
}

#else

/* AVX-512's products of bfloat16, if they are faster than those of floats: VDPBF16PS takes
 * as long as FMA on AMD's CPUs, four times as long on Intel's. All give the same bits. */
static const tile_kernels *vector_kernels(nnclr_error *e) {
    nnclr_simd simd;
    if (!nnclr_simd_choose(&simd, e))
        return NULL;
#ifdef __x86_64__
    if (simd == NNCLR_SIMD_AVX512)
        return has_avx512_bf16() && !__builtin_cpu_is("intel") ? &TILES(avx512bf16)
                                                               : &TILES(avx512);
    if (simd == NNCLR_SIMD_AVX2)
        return &TILES(avx2);
#endif
    return &TILES(portable);
}

/* Whole numbers up to 8, so that each order of summing gives the same bits; from old sums or none.
 */
bool TILED(multiplies)(const tile_kernels *kernels) {
    enum { CHUNKS = 2 };
    const tile_term terms[] = {{0, TILE}, {TILE, 0}};
    _Alignas(64) element a[(CHUNKS + 1) * TILE], b[(CHUNKS + 1) * TILE];
    _Alignas(64) float got[TILE], want[TILE];
    for (int i = 0; i < (CHUNKS + 1) * TILE; i++) {
        a[i] = bf16_from_float((float)(i * 7 % 17 - 8));
        b[i] = bf16_from_float((float)(i * 11 % 13 - 6));
    }
    bool same = true;
    for (int add = 0; add < 2; add++) {
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
                                .add = add};
        kernels->begin();
        kernels->multiply(&product);
        kernels->end();
        product.sums = want;
        TILES(portable).multiply(&product);
        same = same && memcmp(got, want, sizeof got) == 0;
    }
    return same;
}

#endif

/* If bfloat16 is widened, floats are faster. */
static const tile_kernels *search_kernels(const tile_kernels *kernels) {
#if defined(__x86_64__) && NNCLR_TILE_PARTS > 0
    if (kernels == &TILES(amx) || kernels == &TILES(avx512bf16))
        return kernels;
#endif
    (void)kernels;
    return NULL;
}

bool TILED(open_with)(nnclr_engine *g, const tile_kernels *kernels, nnclr_error *e) {
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

static bool open_cpu(nnclr_engine *g, nnclr_error *e) {
    const tile_kernels *kernels = vector_kernels(e);
    return kernels && TILED(open_with)(g, kernels, e);
}

#if NNCLR_TILE_PARTS > 0
static bool open_amx(nnclr_engine *g, nnclr_error *e) {
#ifdef __x86_64__
    if (has_amx()) {
        if (TILED(multiplies)(&TILES(amx)))
            return TILED(open_with)(g, &TILES(amx), e);
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
#endif

static void close_engine(nnclr_engine *g) {
    tiled_state *state = g->state;
    CPU(close_state)(&state->cpu);
    nnclr_free(state);
    g->state = NULL;
}

/* ---- memory ---- */

/* If the product overflows, a size that no memory can hold: the arena refuses it. */
static size_t tensor_bytes(const nnclr_engine *g, nnclr_shape s, nnclr_kind kind) {
    (void)g;
    bool rows = kind == NNCLR_ROWS;
    const int dims[] = {s.groups, rows ? s.n : tiled_picture_blocks(s.n), s.h, s.w,
                        rows ? s.c : tiled_blocks(s.c)};
    size_t bytes = rows ? sizeof(float) : TILE * sizeof(element);
    for (int i = 0; i < 5; i++)
        if (!nnclr_size_mul(bytes, (size_t)dims[i], &bytes))
            return SIZE_MAX;
    return bytes;
}

typedef struct upload_call {
    const float *nhwc;
    const nnclr_tensor *to;
} upload_call;

/* The values of one picture and pixel, in the tiles of its spot. */
static element *picture_at(const nnclr_tensor *t, int picture, int pixel) {
    nnclr_shape s = t->shape;
    int group = picture / s.n, within = picture % s.n;
    size_t block = (size_t)(group * tiled_picture_blocks(s.n) + within / PICTURES);
    return tiled_at(t, block * (size_t)s.h * (size_t)s.w + (size_t)pixel) +
           within % PICTURES * BLOCK;
}

/* One spot, and zeros if there is not a picture or channel. */
static void upload_spot(const upload_call *call, int group, size_t spot) {
    nnclr_shape s = call->to->shape;
    size_t pixels = (size_t)s.h * (size_t)s.w, block = spot / pixels;
    size_t first = (size_t)group * (size_t)s.n + block * PICTURES;
    element *tiles = tiled_at(call->to, (size_t)group * tiled_spots(s) + spot);
    memset(tiles, 0, tiled_depth(s) * sizeof *tiles);
    for (int i = 0; i < tiled_pictures(s, spot); i++) {
        const float *from =
            call->nhwc + ((first + (size_t)i) * pixels + spot % pixels) * (size_t)s.c;
        for (int c = 0; c < s.c; c++)
            cell_put(tiles + c / BLOCK * TILE, i * BLOCK + c % BLOCK, from[c]);
    }
}

static void upload_row(void *context, int task, int worker) {
    (void)worker;
    const upload_call *call = context;
    nnclr_shape s = call->to->shape;
    int rows = tiled_picture_blocks(s.n) * s.h;
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
    nnclr_pool_for(g->pool, s.groups * tiled_picture_blocks(s.n) * s.h, upload_row, &call);
}

static void download(nnclr_engine *g, const nnclr_tensor *from, double *nhwc) {
    nnclr_shape s = from->shape;
    if (from->kind == NNCLR_ROWS) {
        CPU(get)(g, from->place, all_reals(s), NNCLR_F64, nhwc);
        return;
    }
    for (int picture = 0; picture < s.groups * s.n; picture++)
        for (int pixel = 0; pixel < s.h * s.w; pixel++, nhwc += s.c) {
            const element *at = picture_at(from, picture, pixel);
            for (int c = 0; c < s.c; c++)
                nhwc[c] = (double)cell_value(at + c / BLOCK * TILE, c % BLOCK);
        }
}

/* ---- tables ---- */

#if NNCLR_TILE_PARTS == 0
#define SEARCH_CREATE CPU(search_create)
#else
#define SEARCH_CREATE nnclr_tiled_search_create
#endif

#define ENTRIES                                                                                    \
    .real = NNCLR_F32, .close = close_engine, .tensor_bytes = tensor_bytes,                        \
    .statistics_bytes = CPU(statistics_bytes), .arena_create = CPU(arena_create),                  \
    .arena_free = CPU(arena_free), .zero = CPU(zero), .copy = CPU(copy), .upload = upload,         \
    .download = download, .put = CPU(put), .get = CPU(get), .sync = CPU(sync),                     \
    .conv_plan = TILED(conv_plan), .conv_plan_free = TILED(conv_plan_free),                        \
    .conv_pack = TILED(conv_pack), .conv_forward = TILED(conv_forward),                            \
    .conv_backward_data = TILED(conv_backward_data),                                               \
    .conv_backward_weights = TILED(conv_backward_weights),                                         \
    .batchnorm_sums = TILED(batchnorm_sums), .batchnorm_train = TILED(batchnorm_train),            \
    .batchnorm_evaluate = TILED(batchnorm_evaluate),                                               \
    .batchnorm_backward = TILED(batchnorm_backward), .maxpool_forward = TILED(maxpool_forward),    \
    .maxpool_backward = TILED(maxpool_backward), .average_forward = TILED(average_forward),        \
    .average_backward = TILED(average_backward), .linear_forward = CPU(linear_forward),            \
    .linear_backward_data = CPU(linear_backward_data),                                             \
    .linear_backward_weights = CPU(linear_backward_weights),                                       \
    .l2norm_forward = CPU(l2norm_forward), .l2norm_backward = CPU(l2norm_backward),                \
    .gemm = CPU(gemm), .cross_entropy = CPU(cross_entropy), .gather = CPU(gather),                 \
    .squared_norm = CPU(squared_norm), .sift_bytes = CPU(sift_bytes), .sift = CPU(sift),           \
    .search_create = SEARCH_CREATE, .search_free = CPU(search_free),                               \
    .search_rows = CPU(search_rows), .search_update = CPU(search_update),                          \
    .search_nearest = CPU(search_nearest), .get_picks = CPU(get_picks), .update = CPU(update)

#if NNCLR_TILE_PARTS == 0
const nnclr_engine_table nnclr_engine_cpu_tiles = {
    .name = "cpu", .precision = "f32", .open = open_cpu, ENTRIES};
#else
const nnclr_engine_table nnclr_engine_cpu_bf16 = {
    .name = "cpu", .precision = "bf16", .open = open_cpu, ENTRIES};
const nnclr_engine_table nnclr_engine_amx_bf16 = {
    .name = "amx", .precision = "bf16", .open = open_amx, ENTRIES};
#endif
