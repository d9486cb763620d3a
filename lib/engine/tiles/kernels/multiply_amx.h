/* Products of tiles with AMX. Four accumulators of 16 x 16 floats, two tiles of a, two of b:
 *
 *                          tmm6: b, columns 0..15   tmm7: b, columns 16..31
 *     tmm4: a, rows  0..15  tmm0 += tmm4 tmm6        tmm1 += tmm4 tmm7
 *     tmm5: a, rows 16..31  tmm2 += tmm5 tmm6        tmm3 += tmm5 tmm7
 *
 * For each 32 x 32 x 32 products 2 KB of a and 2 KB of b are read, all of it in order: four loads,
 * four products. If 16 rows or columns are enough, half of that. Fewer k take no less time. */
#ifndef NNCLR_ENGINE_TILES_KERNELS_MULTIPLY_AMX_H
#define NNCLR_ENGINE_TILES_KERNELS_MULTIPLY_AMX_H

#include "engine/tiles/kernels/lanes.h"

#define EACH_TILE(value)                                                                           \
    { value, value, value, value, value, value, value, value }

/* Constant, because gcc 12 takes _tile_loadconfig for a read of only 8 bytes and leaves out stores
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

INLINE void load_a(const element *at, bool lower) {
    enum { ROW = BLOCK * sizeof(element) };
    _tile_loadd(4, at, ROW);
    if (lower)
        _tile_loadd(5, at + TILE / 2, ROW);
}

INLINE void load_b(const element *bt, bool right) {
    enum { ROW = BLOCK * sizeof(element) };
    _tile_loadd(6, bt, ROW);
    if (right)
        _tile_loadd(7, bt + TILE / 2, ROW);
}

INLINE void multiply_tiles(bool lower, bool right) {
    _tile_dpbf16ps(0, 4, 6);
    if (right)
        _tile_dpbf16ps(1, 4, 7);
    if (lower)
        _tile_dpbf16ps(2, 5, 6);
    if (lower && right)
        _tile_dpbf16ps(3, 5, 7);
}

INLINE void begin_sums(const float *sums, bool add, bool lower, bool right) {
    enum { ROW = BLOCK * sizeof(float), LOWER = LANES * BLOCK };
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    if (!add)
        return;
    _tile_loadd(0, sums, ROW);
    if (right)
        _tile_loadd(1, sums + LANES, ROW);
    if (lower)
        _tile_loadd(2, sums + LOWER, ROW);
    if (lower && right)
        _tile_loadd(3, sums + LOWER + LANES, ROW);
}

INLINE void end_sums(float *sums, bool lower, bool right) {
    enum { ROW = BLOCK * sizeof(float), LOWER = LANES * BLOCK };
    _tile_stored(0, sums, ROW);
    if (right)
        _tile_stored(1, sums + LANES, ROW);
    if (lower)
        _tile_stored(2, sums + LOWER, ROW);
    if (lower && right)
        _tile_stored(3, sums + LOWER + LANES, ROW);
}

INLINE void multiply_some(const tile_product *p, bool lower, bool right) {
    begin_sums(p->sums, p->add, lower, right);
    for (int i = 0; i < p->count; i++) {
        const element *a = tile_at(p->a, p->terms[i].a), *b = tile_at(p->b, p->terms[i].b);
        for (int chunk = 0; chunk < p->chunks; chunk++, a += TILE, b += SQUARE) {
            load_a(a, lower);
            load_b(b, right);
            multiply_tiles(lower, right);
        }
    }
    end_sums(p->sums, lower, right);
}

static void multiply(const tile_product *p) {
    const bool lower = p->rows > LANES, right = p->columns > LANES;
    if (lower && right)
        multiply_some(p, true, true);
    else if (lower)
        multiply_some(p, true, false);
    else if (right)
        multiply_some(p, false, true);
    else
        multiply_some(p, false, false);
}

#endif
