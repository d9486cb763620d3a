/* The kernels on tiles, written once with vectors of 16 that the compiler maps to what the CPU has.
 * Compiled for each kind of CPU: TILES_KIND 0 plain C, 1 AVX512-BF16, 2 AMX-BF16, and each for one
 * part and for three. All kinds give the same bits but for the order of the sums inside a product.
 */
#include "engine/bf16/tiles.h"

#include <string.h>

#if TILES_KIND > 0
#include <immintrin.h>
#endif

enum { LANES = 16, HALVES = BLOCK / LANES, PAIRS = BLOCK / 2 };

typedef float lanes __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef int32_t flags __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));

#define INLINE static inline __attribute__((always_inline))

INLINE lanes load(const float *from) {
    lanes v;
    memcpy(&v, from, sizeof v);
    return v;
}
INLINE void keep(float *to, lanes v) {
    memcpy(to, &v, sizeof v);
}

INLINE lanes widen_part(const bf16 *from) {
    halves h;
    memcpy(&h, from, sizeof h);
    return (lanes)(__builtin_convertvector(h, words) << 16);
}

/* To the nearest, ties to even; a NaN stays one, and what is below the normal floats becomes zero,
 * as VCVTNEPS2BF16 has it. */
INLINE void narrow_part(bf16 *to, lanes v) {
#if TILES_KIND > 0
    __m256bh h = _mm512_cvtneps_pbh((__m512)v);
#else
    words u = (words)v, sign = u & 0x80000000;
    words rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16, quiet = u >> 16 | 0x40;
    words nan = (words)((flags)(u & 0x7fffffff) > 0x7f800000);
    words tiny = (words)((flags)(u & 0x7fffffff) < 0x00800000);
    rounded = (rounded & ~nan) | (quiet & nan);
    halves h = __builtin_convertvector((rounded & ~tiny) | (sign >> 16 & tiny), halves);
#endif
    memcpy(to, &h, sizeof h);
}

/* Values that begin at an element of the first tile of a cell. */
INLINE lanes widen(const bf16 *from) {
    lanes v = widen_part(from + (VALUE_PARTS - 1) * TILE);
    for (int part = VALUE_PARTS - 2; part >= 0; part--)
        v = widen_part(from + part * TILE) + v;
    return v;
}

INLINE void narrow(bf16 *to, lanes v) {
    for (int part = 0; part < VALUE_PARTS; part++) {
        narrow_part(to + part * TILE, v);
        if (part < VALUE_PARTS - 1)
            v -= widen_part(to + part * TILE);
    }
}

/* ---- products ---- */

/* Tiles of two cells that are multiplied, in an order in which each step changes one side. */
typedef struct tile_pair {
    int a, b;
} tile_pair;

#if NNCLR_BF16_PARTS == 3
static const tile_pair exact_pairs[] = {{2, 0}, {1, 0}, {0, 0}, {0, 2}, {0, 1}, {1, 1}};
static const tile_pair short_pairs[] = {{1, 0}, {0, 0}, {0, 1}};
#else
static const tile_pair exact_pairs[] = {{0, 0}}, short_pairs[] = {{0, 0}};
#endif
enum {
    EXACT_PAIRS = sizeof exact_pairs / sizeof *exact_pairs,
    SHORT_PAIRS = sizeof short_pairs / sizeof *short_pairs
};

#if TILES_KIND == 2

/* Four accumulators of 16 x 16 floats, two tiles of a, two of b:
 *
 *     tmm0 += tmm4 tmm6    tmm1 += tmm4 tmm7
 *     tmm2 += tmm5 tmm6    tmm3 += tmm5 tmm7
 *
 * For each 32 x 32 x 32 products 2 KB of a and 2 KB of b are read, all of it in order: four loads,
 * four products. Three parts go into the same accumulators, only the side that changes is loaded:
 * fourteen loads and 24 products, or eight and twelve.
 */
#define EACH_TILE(value)                                                                           \
    { value, value, value, value, value, value, value, value }

/* Constant, because gcc 12 takes _tile_loadconfig for a read of 8 bytes alone and leaves out stores
 * to the others. */
static const struct {
    uint8_t palette, start, zeros[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} tile_config = {.palette = 1, .bytes = EACH_TILE(64), .rows = EACH_TILE(16)};

static void begin(void) {
    _tile_loadconfig(&tile_config);
}

static void end(void) {
    _tile_release();
}

INLINE void load_a(const bf16 *at) {
    enum { ROW = BLOCK * sizeof(bf16) };
    _tile_loadd(4, at, ROW);
    _tile_loadd(5, at + TILE / 2, ROW);
}

INLINE void load_b(const bf16 *bt) {
    enum { ROW = BLOCK * sizeof(bf16) };
    _tile_loadd(6, bt, ROW);
    _tile_loadd(7, bt + TILE / 2, ROW);
}

INLINE void multiply_tiles(void) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

INLINE void multiply_cells(const bf16 *a, const bf16 *b, const tile_pair *pairs, int count) {
#pragma GCC unroll 6
    for (int i = 0; i < count; i++) {
        if (i == 0 || pairs[i].a != pairs[i - 1].a)
            load_a(a + pairs[i].a * TILE);
        if (i == 0 || pairs[i].b != pairs[i - 1].b)
            load_b(b + pairs[i].b * TILE);
        multiply_tiles();
    }
}

INLINE void multiply_terms(const tile_term *terms, int count, int chunks, const bf16 *a,
                           const bf16 *b, float *sums, bool add, const tile_pair *pairs,
                           int pair_count) {
    enum { ROW = BLOCK * sizeof(float), LOWER = LANES * BLOCK };
    if (add) {
        _tile_loadd(0, sums, ROW);
        _tile_loadd(1, sums + LANES, ROW);
        _tile_loadd(2, sums + LOWER, ROW);
        _tile_loadd(3, sums + LOWER + LANES, ROW);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int i = 0; i < count; i++) {
        const bf16 *at = a + terms[i].a, *bt = b + terms[i].b;
        for (int chunk = 0; chunk < chunks; chunk++, at += CELL, bt += CELL)
            multiply_cells(at, bt, pairs, pair_count);
    }
    _tile_stored(0, sums, ROW);
    _tile_stored(1, sums + LANES, ROW);
    _tile_stored(2, sums + LOWER, ROW);
    _tile_stored(3, sums + LOWER + LANES, ROW);
}

#else

static void begin(void) {}

static void end(void) {}

#if TILES_KIND == 1

typedef __m512 sum_lanes;

/* acc += the products of column pairs b with one row's pair, spread over the vector. */
INLINE sum_lanes multiply_pair(sum_lanes acc, const bf16 *row, const bf16 *b) {
    int32_t pair;
    memcpy(&pair, row, sizeof pair);
    return _mm512_dpbf16_ps(acc, (__m512bh)_mm512_loadu_si512(b),
                            (__m512bh)_mm512_set1_epi32(pair));
}

#else

typedef lanes sum_lanes;

/* As VDPBF16PS does: the odd members of the pairs first. Products are exact. */
INLINE sum_lanes multiply_pair(sum_lanes acc, const bf16 *row, const bf16 *b) {
    words pairs;
    uint32_t pair;
    memcpy(&pairs, b, sizeof pairs);
    memcpy(&pair, row, sizeof pair);
    words spread = pair - (words){0};
    acc += (lanes)(pairs & 0xffff0000) * (lanes)(spread & 0xffff0000);
    return acc + (lanes)(pairs << 16) * (lanes)(spread << 16);
}

#endif

/* Eight rows at a time stay in registers. a is read once, b, which stays in L1 or L2, four times.
 */
enum { ROWS = 8 };

/* The products of one pair of k, or of three parts all those that are wanted. */
INLINE void multiply_pairs(sum_lanes acc[ROWS][HALVES], const bf16 *a, const bf16 *b,
                           const tile_pair *pairs, int count) {
    for (int i = 0; i < count; i++)
        for (int row = 0; row < ROWS; row++)
            for (int half = 0; half < HALVES; half++)
                acc[row][half] = multiply_pair(acc[row][half], a + pairs[i].a * TILE + row * BLOCK,
                                               b + pairs[i].b * TILE + half * (TILE / 2));
}

INLINE void multiply_rows(const tile_term *terms, int count, int chunks, const bf16 *a,
                          const bf16 *b, float *sums, bool add, const tile_pair *pairs,
                          int pair_count) {
    sum_lanes acc[ROWS][HALVES];
    for (int row = 0; row < ROWS; row++)
        for (int half = 0; half < HALVES; half++)
            acc[row][half] =
                add ? (sum_lanes)load(sums + row * BLOCK + half * LANES) : (sum_lanes)(lanes){0};
    for (int i = 0; i < count; i++) {
        const bf16 *at = a + terms[i].a, *bt = b + terms[i].b;
        for (int chunk = 0; chunk < chunks; chunk++, at += CELL, bt += CELL)
            for (int k = 0; k < PAIRS; k++)
                multiply_pairs(acc, at + 2 * k, bt + k * BLOCK, pairs, pair_count);
    }
    for (int row = 0; row < ROWS; row++)
        for (int half = 0; half < HALVES; half++)
            keep(sums + row * BLOCK + half * LANES, (lanes)acc[row][half]);
}

INLINE void multiply_terms(const tile_term *terms, int count, int chunks, const bf16 *a,
                           const bf16 *b, float *sums, bool add, const tile_pair *pairs,
                           int pair_count) {
    for (int row = 0; row < BLOCK; row += ROWS)
        multiply_rows(terms, count, chunks, a + row * BLOCK, b, sums + row * BLOCK, add, pairs,
                      pair_count);
}

#endif

static void multiply(const tile_term *terms, int count, int chunks, const bf16 *a, const bf16 *b,
                     float *sums, bool add, bool exact) {
    if (VALUE_PARTS == 1 || exact)
        multiply_terms(terms, count, chunks, a, b, sums, add, exact_pairs, EXACT_PAIRS);
    else
        multiply_terms(terms, count, chunks, a, b, sums, add, short_pairs, SHORT_PAIRS);
}

static void store(const float *sums, bool add, bf16 *y, float *statistics) {
    for (int half = 0; half < HALVES; half++) {
        lanes total = {0}, squares = {0};
        for (int at = half * LANES; at < TILE; at += BLOCK) {
            lanes v = load(sums + at);
            if (add)
                v += widen(y + at);
            narrow(y + at, v);
            v = widen(y + at);
            total += v;
            squares += v * v;
        }
        if (statistics) {
            float *to = statistics + half * LANES;
            keep(to, load(to) + total);
            keep(to + BLOCK, load(to + BLOCK) + squares);
        }
    }
}

/* ---- rearranging ---- */

#if TILES_KIND > 0

/* The members of two rows in turns: of their lower, or of their upper halves. */
INLINE __m512i interleave(__m512i a, __m512i b, __m512i order) {
    return _mm512_permutex2var_epi16(a, order, b);
}

INLINE void interleave_orders(__m512i *lower, __m512i *upper) {
    uint16_t order[2][BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        order[0][i] = (uint16_t)(i / 2 + (i % 2) * BLOCK);
        order[1][i] = (uint16_t)(order[0][i] + LANES);
    }
    *lower = _mm512_loadu_si512(order[0]);
    *upper = _mm512_loadu_si512(order[1]);
}

/* Row i with row i + 16 in turns, five times: each rotates the bits of every member's address by
 * one, and half of ten makes rows of columns. */
static void transpose_part(const bf16 *from, bf16 *to) {
    __m512i lower, upper, row[BLOCK], next[BLOCK];
    interleave_orders(&lower, &upper);
    for (int i = 0; i < BLOCK; i++)
        row[i] = _mm512_loadu_si512(from + i * BLOCK);
    for (int turn = 0; turn < 5; turn++) {
        for (int i = 0; i < LANES; i++) {
            next[2 * i] = interleave(row[i], row[i + LANES], lower);
            next[2 * i + 1] = interleave(row[i], row[i + LANES], upper);
        }
        memcpy(row, next, sizeof row);
    }
    for (int i = 0; i < BLOCK; i++)
        _mm512_storeu_si512(to + i * BLOCK, row[i]);
}

static void pair_part(const bf16 *from, bf16 *to) {
    __m512i lower, upper;
    interleave_orders(&lower, &upper);
    for (int i = 0; i < PAIRS; i++, from += 2 * BLOCK, to += BLOCK) {
        __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + BLOCK);
        _mm512_storeu_si512(to, interleave(a, b, lower));
        _mm512_storeu_si512(to + TILE / 2, interleave(a, b, upper));
    }
}

#else

static void transpose_part(const bf16 *from, bf16 *to) {
    for (int i = 0; i < BLOCK; i++)
        for (int j = 0; j < BLOCK; j++)
            to[j * BLOCK + i] = from[i * BLOCK + j];
}

static void pair_part(const bf16 *from, bf16 *to) {
    for (int i = 0; i < BLOCK; i++)
        for (int j = 0; j < BLOCK; j++)
            to[j / LANES * (TILE / 2) + i / 2 * BLOCK + j % LANES * 2 + i % 2] =
                from[i * BLOCK + j];
}

#endif

static void transpose(const bf16 *from, bf16 *to) {
    for (int part = 0; part < CELL; part += TILE)
        transpose_part(from + part, to + part);
}

static void pair(const bf16 *from, bf16 *to) {
    for (int part = 0; part < CELL; part += TILE)
        pair_part(from + part, to + part);
}

/* ---- batch norm ---- */

INLINE void fill_up(bf16 *cell, int pictures) {
    for (int part = 0; part < CELL; part += TILE)
        memset(cell + part + pictures * BLOCK, 0,
               (size_t)(BLOCK - pictures) * BLOCK * sizeof *cell);
}

static void normalise(const tile_normalise *c, int pictures) {
    for (int half = 0; half < BLOCK; half += LANES) {
        lanes scale = load(c->main.scale + half), shift = load(c->main.shift + half);
        lanes other_scale = {0}, other_shift = {0};
        if (c->second) {
            other_scale = load(c->other.scale + half);
            other_shift = load(c->other.shift + half);
        }
        for (int at = half; at < pictures * BLOCK; at += BLOCK) {
            lanes y = widen(c->x + at) * scale + shift;
            if (c->residual)
                y += widen(c->residual + at);
            if (c->second)
                y += widen(c->second + at) * other_scale + other_shift;
            if (c->relu) /* keeps a NaN */
                y = (lanes)((words)y & ~(words)(y < 0));
            narrow(c->y + at, y);
        }
    }
    fill_up(c->y, pictures);
}

INLINE lanes masked(const tile_gradient *c, int at) {
    lanes dz = widen(c->dy + at);
    return c->y ? (lanes)((words)dz & (words)(widen(c->y + at) > 0)) : dz;
}

static void sum_gradient(const tile_gradient *c, int pictures, float *totals) {
    for (int half = 0; half < BLOCK; half += LANES) {
        lanes mean = load(c->main.mean + half), other_mean = {0};
        lanes sum = {0}, along = {0}, other = {0};
        if (c->second)
            other_mean = load(c->other.mean + half);
        for (int at = half; at < pictures * BLOCK; at += BLOCK) {
            lanes dz = masked(c, at);
            sum += dz;
            along += dz * (widen(c->x + at) - mean);
            if (c->second)
                other += dz * (widen(c->second + at) - other_mean);
        }
        keep(totals + half, load(totals + half) + sum);
        keep(totals + BLOCK + half, load(totals + BLOCK + half) + along);
        keep(totals + 2 * BLOCK + half, load(totals + 2 * BLOCK + half) + other);
    }
}

INLINE void input_gradient(const tile_slope *s, int half, const bf16 *x, lanes dz, bf16 *dx) {
    lanes along = load(s->slope + half) * (widen(x) - load(s->mean + half));
    narrow(dx, load(s->scale + half) * dz + (along + load(s->shift + half)));
}

static void gradient(const tile_gradient *c, int pictures) {
    for (int half = 0; half < BLOCK; half += LANES)
        for (int at = half; at < pictures * BLOCK; at += BLOCK) {
            lanes dz = masked(c, at);
            input_gradient(&c->main, half, c->x + at, dz, c->dx + at);
            if (c->second)
                input_gradient(&c->other, half, c->second + at, dz, c->second_dx + at);
            if (c->dresidual)
                narrow(c->dresidual + at, c->add_residual ? dz + widen(c->dresidual + at) : dz);
        }
    fill_up(c->dx, pictures);
    if (c->second)
        fill_up(c->second_dx, pictures);
    if (c->dresidual)
        fill_up(c->dresidual, pictures);
}

#if TILES_KIND == 2
const tile_kernels TILES(amx) = {
    .name = "amx",
#elif TILES_KIND == 1
const tile_kernels TILES(avx512) = {
    .name = "avx512",
#else
const tile_kernels TILES(portable) = {
    .name = "none",
#endif
    .begin = begin,
    .end = end,
    .multiply = multiply,
    .store = store,
    .transpose = transpose,
    .pair = pair,
    .normalise = normalise,
    .sum_gradient = sum_gradient,
    .gradient = gradient,
};
