#include "engine/cpu/simd/direct_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    BAND_BYTES = 256 << 10,   /* of scratch: stays in L2 beside weights and results */
    CLOSE_BYTES = 32 << 10,   /* of scratch and dy that backward-weights passes over many times */
    CLOSE_PIXELS = 64,        /* but at least so many */
    BLOCK_BYTES = 384 << 10,  /* of a block of dW */
    PARTIAL_BYTES = 16 << 20, /* of partial sums of dW */
    PART_PIXELS = 1024,       /* that make the sum of another part worth its while */
    LONGEST_LINE = 1 << 20,   /* reals */
    ENOUGH_BLOCKS = 16,
    ENOUGH_TASKS = 64
};

/* ---- kernels ---- */

static bool has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}

bool nnclr_direct_choose(const direct_kernels **kernels, nnclr_error *e) {
    const char *wanted = getenv("NNCLR_SIMD");
    const struct {
        const char *name;
        const direct_kernels *kernels;
        bool there;
    } kinds[] = {{"avx512", &nnclr_direct_avx512, has_avx512()},
                 {"avx2", &nnclr_direct_avx2, has_avx2()},
                 {"none", NULL, true}};
    bool any = !wanted || !*wanted;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (any ? !kinds[i].there : strcmp(wanted, kinds[i].name) != 0)
            continue;
        *kernels = kinds[i].kernels;
        return kinds[i].there || nnclr_fail(e, NNCLR_ERROR_MISSING,
                                            "NNCLR_SIMD=%s: this CPU has no such vectors; leave it "
                                            "unset for the widest that it has",
                                            wanted);
    }
    return nnclr_fail(e, NNCLR_ERROR_USAGE, "NNCLR_SIMD=%s is none of avx512, avx2, none", wanted);
}

/* Outputs with those that fill up the last block. */
static int padded_outputs(const direct_kernels *kernels, int outputs) {
    int padded = 0;
    while (padded < outputs)
        padded += direct_width(kernels, outputs - padded);
    return padded;
}

/* ---- bands and pieces ---- */

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static int lines_of(const direct *d, int rows) {
    return (rows - 1) * d->taps.step + d->taps.tap_h;
}

/* Rows of one picture whose lines fit. */
static int rows_in(const direct *d, int lines) {
    return lines < d->taps.tap_h ? 0 : (lines - d->taps.tap_h) / d->taps.step + 1;
}

void nnclr_direct_band(const direct *d, size_t first, size_t end, direct_band *band) {
    int used = 0;
    *band = (direct_band){.first = first};
    while (first < end && band->rows < d->band_rows) {
        int rows = d->taps.grid_h - (int)(first % (size_t)d->taps.grid_h), all = rows;
        if ((size_t)rows > end - first)
            rows = all = (int)(end - first);
        if (rows > d->band_rows - band->rows)
            rows = d->band_rows - band->rows;
        if (rows > rows_in(d, d->band_lines - used))
            rows = rows_in(d, d->band_lines - used);
        for (int i = 0; i < rows; i++)
            band->base[band->rows++] = (used + i * d->taps.step) * d->line;
        if (rows < all)
            return;
        used += lines_of(d, rows);
        first += (size_t)rows;
    }
}

pieces nnclr_direct_pieces(const direct *d, size_t pictures) {
    direct_band full;
    size_t rows = pictures * (size_t)d->taps.grid_h;
    nnclr_direct_band(d, 0, rows, &full);
    return cut(rows, (size_t)full.rows, 1);
}

static size_t most_parts(const direct_conv *c) {
    size_t bytes = (size_t)c->blocks * c->block_reals * sizeof(float);
    size_t most = ENOUGH_TASKS / (size_t)c->blocks, fitting = PARTIAL_BYTES / bytes;
    if (most > fitting)
        most = fitting;
    return most < 1 ? 1 : most;
}

pieces nnclr_direct_parts(const direct_conv *c, size_t pictures) {
    size_t rows = pictures * (size_t)c->weights.taps.grid_h, most = most_parts(c);
    size_t width = (size_t)c->weights.taps.grid_w, least = (PART_PIXELS + width - 1) / width;
    return cut(rows, larger((rows + most - 1) / most, least), 1);
}

/* ---- geometry ---- */

static int at_least(int value, int least) {
    return value > least ? value : least;
}

static int at_most(int value, int most) {
    return value < most ? value : most;
}

/* For `chunks` chunks of the source; the offsets are put at *offsets, which moves on. */
static direct make_direct(const taps *t, int outputs, int chunks, int **offsets) {
    direct d = {.taps = *t, .outputs = outputs, .chunks = chunks, .offset = *offsets};
    int columns = (t->grid_w - 1) * t->step + t->tap_w;
    d.columns = (columns + t->step - 1) / t->step;
    d.plane = t->step * d.columns * DIRECT_CHUNK;
    d.line = chunks * d.plane;
    d.pairs = chunks * t->tap_h * t->tap_w;
    if (d.pairs == 0 || t->grid_h == 0 || t->grid_w == 0)
        return d;
    int *offset = *offsets;
    for (int c = 0; c < chunks; c++)
        for (int i = 0; i < t->tap_h; i++)
            for (int j = 0; j < t->tap_w; j++)
                *offset++ = i * d.line + c * d.plane +
                            (j % t->step * d.columns + j / t->step) * DIRECT_CHUNK;
    *offsets = offset;
    int lines = (int)(BAND_BYTES / ((size_t)d.line * sizeof(float)));
    d.band_lines = at_least(at_most(lines, DIRECT_BAND_ROWS * t->step), t->tap_h);
    d.band_rows = DIRECT_BAND_ROWS;
    return d;
}

/* Shorter bands: each pair passes over all of scratch and dy. */
static void come_closer(direct *d) {
    int row_bytes = (d->line * d->taps.step + d->taps.grid_w * d->outputs) * (int)sizeof(float);
    int rows =
        at_least(CLOSE_BYTES / row_bytes, (CLOSE_PIXELS + d->taps.grid_w - 1) / d->taps.grid_w);
    d->band_rows = at_most(rows, DIRECT_BAND_ROWS);
}

static int chunks_of(int channels) {
    return (channels + DIRECT_CHUNK - 1) / DIRECT_CHUNK;
}

static size_t packed_reals(const direct *d, const direct_kernels *kernels) {
    return (size_t)d->pairs * DIRECT_CHUNK * (size_t)padded_outputs(kernels, d->outputs);
}

static size_t scratch_of(const direct *d) {
    return (size_t)d->band_lines * (size_t)d->line;
}

static void size_memory(const nnclr_engine *g, CPU(plan) * plan, direct_conv *c) {
    nnclr_conv_plan *base = &plan->base;
    size_t packed = packed_reals(&c->forward, c->kernels);
    size_t scratch = larger(scratch_of(&c->forward), scratch_of(&c->weights));
    for (int i = 0; i < plan->residues; i++) {
        c->packed[i] = packed;
        packed += packed_reals(&c->residues[i], c->kernels);
        scratch = larger(scratch, c->residues[i].pairs ? scratch_of(&c->residues[i]) : 0);
    }
    c->scratch_reals = (scratch + 15) / 16 * 16; /* whole cache lines */
    int groups = base->out.groups;
    size_t sums = (size_t)groups * MAX_PIECES * 2 * (size_t)base->out.c * sizeof(double);
    size_t parts = most_parts(c), rows = (size_t)groups * (size_t)base->out.n;
    if (parts > rows * (size_t)base->out.h)
        parts = rows * (size_t)base->out.h;
    c->shared_bytes = larger(sums, parts * (size_t)c->blocks * c->block_reals * sizeof(float));
    base->packed_bytes = packed * sizeof(float);
    base->workspace_bytes =
        (size_t)nnclr_pool_threads(g->pool) * c->scratch_reals * sizeof(float) + c->shared_bytes;
}

static void make_geometry(CPU(plan) * plan, direct_conv *c) {
    const nnclr_conv *conv = &plan->base.conv;
    int *offsets = c->offsets, chunks = chunks_of(conv->ci);
    c->forward = make_direct(&plan->forward, conv->co, chunks, &offsets);
    for (int i = 0; i < plan->residues; i++)
        c->residues[i] =
            make_direct(&plan->residue[i].taps, conv->ci, chunks_of(conv->co), &offsets);
    size_t chunk_bytes = (size_t)(conv->kernel * conv->kernel) * DIRECT_CHUNK * sizeof(float) *
                         (size_t)padded_outputs(c->kernels, conv->co);
    int fitting = (int)(BLOCK_BYTES / chunk_bytes),
        even = (chunks + ENOUGH_BLOCKS - 1) / ENOUGH_BLOCKS;
    c->block_chunks = at_least(at_most(fitting, even), 1);
    c->blocks = (chunks + c->block_chunks - 1) / c->block_chunks;
    c->weights = make_direct(&plan->forward, conv->co, c->block_chunks, &offsets);
    come_closer(&c->weights);
    c->block_reals = packed_reals(&c->weights, c->kernels);
}

static size_t offset_count(const CPU(plan) * plan) {
    const nnclr_conv *conv = &plan->base.conv;
    size_t area = (size_t)(conv->kernel * conv->kernel),
           count = 2 * area * (size_t)chunks_of(conv->ci);
    for (int i = 0; i < plan->residues; i++)
        count += (size_t)(plan->residue[i].taps.tap_h * plan->residue[i].taps.tap_w) *
                 (size_t)chunks_of(conv->co);
    return count;
}

/* Lines of all channels lie in scratch: of no use where one fills it. */
static bool lines_are_short(const taps *t, int channels) {
    int64_t columns = (int64_t)t->grid_w * t->step + t->tap_w;
    return columns * (channels + DIRECT_CHUNK) <= LONGEST_LINE;
}

static bool worth_it(const CPU(plan) * plan) {
    const nnclr_conv *conv = &plan->base.conv;
    bool worth = lines_are_short(&plan->forward, conv->ci);
    for (int i = 0; i < plan->residues; i++)
        worth = worth && lines_are_short(&plan->residue[i].taps, conv->co);
    return worth;
}

bool nnclr_direct_create(const nnclr_engine *g, CPU(plan) * plan, nnclr_error *e) {
    const direct_kernels *kernels = ((const CPU(state) *)g->state)->kernels;
    if (!kernels || !worth_it(plan))
        return true;
    direct_conv *c = plan->direct = nnclr_alloc_zero(1, sizeof *c, e);
    if (!c)
        return false;
    c->kernels = kernels;
    size_t residues = (size_t)plan->residues;
    if (!(c->packed = nnclr_alloc_zero(residues, sizeof *c->packed, e)) ||
        !(c->residues = nnclr_alloc_zero(residues, sizeof *c->residues, e)) ||
        !(c->offsets = nnclr_alloc_zero(offset_count(plan), sizeof *c->offsets, e)))
        return false;
    make_geometry(plan, c);
    size_memory(g, plan, c);
    return true;
}

void nnclr_direct_free(direct_conv *c) {
    if (!c)
        return;
    nnclr_free(c->offsets);
    nnclr_free(c->residues);
    nnclr_free(c->packed);
    nnclr_free(c);
}
