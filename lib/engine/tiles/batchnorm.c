/* Batch norm of activations, up to 16 blocks of channels of a spot at a time: coefficients and sums
 * of such a stripe stay in L1. The reference engine does the rows. */
#include "engine/cpu/batchnorm.h"

#include <string.h>

#include "engine/tiles/tiled.h"

enum { MOST_SUMS = 3, STRIPE_BLOCKS = MAX_LANES / BLOCK };

/* Coefficients of channels that only fill up a block are zeros. */
typedef struct coefficients {
    affine affine;
    gradient gradient;
} coefficients;

typedef struct tiled_pass {
    const nnclr_batchnorm_call *call; /* NULL: sums of x */
    const nnclr_tensor *tensor;       /* x */
    tiled x;
    int group, first_block, blocks; /* of channels */
    pieces pieces;                  /* of the spots of a group */
    double (*partials)[MOST_SUMS][MAX_LANES];
    coefficients main, second;
} tiled_pass;

/* The channels of a stripe, as the reference engine's formulas want them. */
static stripe stripe_of(const tiled_pass *p) {
    int first = p->first_block * p->x.stride, most = p->blocks * p->x.stride;
    int left = p->x.shape.c - first;
    return (stripe){first, left < most ? left : most, 1};
}

static void each_stripe(nnclr_engine *g, const nnclr_tensor *x, tiled_pass *p,
                        void (*run)(nnclr_engine *, tiled_pass *)) {
    p->tensor = x;
    p->x = tiled_tensor(tiled_kernels(g), x);
    p->pieces = tiled_cut(&p->x);
    p->partials = (double(*)[MOST_SUMS][MAX_LANES])((CPU(state) *)g->state)->partials;
    for (p->group = 0; p->group < x->shape.groups; p->group++)
        for (p->first_block = 0; p->first_block < p->x.blocks; p->first_block += p->blocks) {
            int left = p->x.blocks - p->first_block;
            p->blocks = left < STRIPE_BLOCKS ? left : STRIPE_BLOCKS;
            memset(&p->main, 0, sizeof p->main);
            memset(&p->second, 0, sizeof p->second);
            run(g, p);
        }
}

static int channels_of(const tiled_pass *p, int block) {
    return tiled_channels(&p->x, p->first_block + block);
}

/* A tile of a tensor of the call, all of which have one shape; NULL if there is none. */
static void *tile_of(const tiled_pass *p, const nnclr_tensor *t, size_t spot, int block) {
    if (!t)
        return NULL;
    return (unsigned char *)t->place + ((size_t)p->group * p->x.spots + spot) * p->x.spot +
           (size_t)(p->first_block + block) * p->x.tile;
}

/* Tiles of spots that follow one another are one tall tile if there is one block of channels and
 * all its pictures are there. Returns how many spots, from one on, it has, and its rows. */
static size_t tall_tile(const tiled_pass *p, size_t spot, size_t end, int *pictures) {
    enum { TALL = 8 }; /* a call is worth it, and sums in float are short */
    const size_t pixels = (size_t)p->x.shape.h * (size_t)p->x.shape.w;
    size_t left = pixels - spot % pixels;
    *pictures = tiled_pictures(&p->x, spot);
    if (!p->call || p->x.blocks > 1 || *pictures < p->x.pictures)
        return 1;
    left = left < end - spot ? left : end - spot;
    left = left < TALL ? left : TALL;
    *pictures *= (int)left;
    return left;
}

/* ---- sums ---- */

static void add_totals(const float *totals, int block, double (*to)[MAX_LANES]) {
    for (int k = 0; k < MOST_SUMS; k++)
        for (int i = 0; i < BLOCK; i++)
            to[k][block * BLOCK + i] += (double)totals[k * BLOCK + i];
}

static void sum_tile(const float *x, int stride, int pictures, double *total, double *squares) {
    for (int at = 0; at < pictures * stride; at++) {
        double v = (double)x[at];
        total[at % stride] += v;
        squares[at % stride] += v * v;
    }
}

static tile_slope slope_of(const gradient *a, int block) {
    return (tile_slope){a->scale + block * BLOCK, a->slope + block * BLOCK,
                        a->shift + block * BLOCK, a->mean + block * BLOCK};
}

static tile_affine affine_of(const affine *a, int block) {
    return (tile_affine){a->scale + block * BLOCK, a->shift + block * BLOCK};
}

/* Whether what a ReLU let through is known from x. */
static bool masks_from_x(const nnclr_batchnorm_call *call) {
    return call->relu && !call->residual && !call->second;
}

static tile_gradient gradient_of(const tiled_pass *p, size_t spot, int block,
                                 const tile_affine *mask) {
    const nnclr_batchnorm_call *call = p->call;
    const nnclr_batchnorm *second = call->second;
    return (tile_gradient){.dy = tile_of(p, call->dy, spot, block),
                           .y = call->relu && !mask ? tile_of(p, call->y, spot, block) : NULL,
                           .mask = mask,
                           .x = tile_of(p, call->main.x, spot, block),
                           .second = second ? tile_of(p, second->x, spot, block) : NULL,
                           .main = slope_of(&p->main.gradient, block),
                           .other = slope_of(&p->second.gradient, block),
                           .dx = tile_of(p, call->main.dx, spot, block),
                           .second_dx = second ? tile_of(p, second->dx, spot, block) : NULL,
                           .dresidual = tile_of(p, call->dresidual, spot, block),
                           .add_residual = call->add_residual,
                           .stride = p->x.stride};
}

static void reduce_piece(void *context, int piece, int worker) {
    (void)worker;
    const tiled_pass *p = context;
    double(*sums)[MAX_LANES] = p->partials[piece];
    float room[SQUARE];
    memset(sums, 0, sizeof p->partials[piece]);
    const size_t end = piece_end(&p->pieces, piece);
    int pictures;
    for (size_t spot = piece_begin(&p->pieces, piece), next; spot < end; spot = next) {
        next = spot + tall_tile(p, spot, end, &pictures);
        for (int block = 0; block < p->blocks; block++) {
            if (p->call) {
                float totals[MOST_SUMS * BLOCK] = {0};
                const tile_affine mask = affine_of(&p->main.affine, block);
                tile_gradient call =
                    gradient_of(p, spot, block, masks_from_x(p->call) ? &mask : NULL);
                p->x.kernels->sum_gradient(&call, pictures, channels_of(p, block), totals);
                add_totals(totals, block, sums);
            } else {
                sum_tile(p->x.kernels->widen(tile_of(p, p->tensor, spot, block),
                                             tiled_values(&p->x), room),
                         p->x.stride, pictures, sums[0] + block * BLOCK, sums[1] + block * BLOCK);
            }
        }
    }
}

/* Leaves the totals in the first partial. */
static void reduce(nnclr_engine *g, tiled_pass *p) {
    nnclr_pool_for(g->pool, p->pieces.count, reduce_piece, p);
    for (int piece = 1; piece < p->pieces.count; piece++)
        for (int k = 0; k < MOST_SUMS; k++)
            for (int i = 0; i < p->blocks * BLOCK; i++)
                p->partials[0][k][i] += p->partials[piece][k][i];
}

typedef struct sums_call {
    tiled_pass pass; /* first */
    double *sums;
} sums_call;

static void sum_stripe(nnclr_engine *g, tiled_pass *p) {
    const sums_call *call = (const sums_call *)p;
    int c = p->x.shape.c;
    stripe s = stripe_of(p);
    double *out = call->sums + (size_t)p->group * 2 * (size_t)c + s.first;
    reduce(g, p);
    memcpy(out, p->partials[0][0], (size_t)s.channels * sizeof *out);
    memcpy(out + c, p->partials[0][1], (size_t)s.channels * sizeof *out);
}

void nnclr_tiled_batchnorm_sums(nnclr_engine *g, const nnclr_tensor *x, void *sums) {
    if (x->kind == NNCLR_ROWS) {
        CPU(batchnorm_sums)(g, x, sums);
        return;
    }
    sums_call call = {.sums = sums};
    each_stripe(g, x, &call.pass, sum_stripe);
}

/* ---- forward ---- */

static void forward_piece(void *context, int piece, int worker) {
    (void)worker;
    const tiled_pass *p = context;
    const nnclr_batchnorm_call *call = p->call;
    const size_t end = piece_end(&p->pieces, piece);
    int pictures;
    for (size_t spot = piece_begin(&p->pieces, piece), next; spot < end; spot = next) {
        next = spot + tall_tile(p, spot, end, &pictures);
        for (int block = 0; block < p->blocks; block++) {
            const tile_normalise tile = {
                .x = tile_of(p, call->main.x, spot, block),
                .residual = tile_of(p, call->residual, spot, block),
                .second = call->second ? tile_of(p, call->second->x, spot, block) : NULL,
                .main = affine_of(&p->main.affine, block),
                .other = affine_of(&p->second.affine, block),
                .relu = call->relu,
                .y = tile_of(p, call->y, spot, block),
                .stride = p->x.stride};
            p->x.kernels->normalise(&tile, pictures, channels_of(p, block));
        }
    }
}

static void forward_stripe(nnclr_engine *g, tiled_pass *p, bool running) {
    stripe s = stripe_of(p);
    CPU(fill_affine)(&p->call->main, running, p->group, &s, &p->main.affine);
    if (p->call->second)
        CPU(fill_affine)(p->call->second, running, p->group, &s, &p->second.affine);
    nnclr_pool_for(g->pool, p->pieces.count, forward_piece, p);
}

static void train_stripe(nnclr_engine *g, tiled_pass *p) {
    forward_stripe(g, p, false);
}

static void evaluate_stripe(nnclr_engine *g, tiled_pass *p) {
    forward_stripe(g, p, true);
}

void nnclr_tiled_batchnorm_train(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    if (call->y->kind == NNCLR_ROWS) {
        CPU(batchnorm_train)(g, call);
        return;
    }
    CPU(finish_statistics)(&call->main);
    if (call->second)
        CPU(finish_statistics)(call->second);
    tiled_pass pass = {.call = call};
    each_stripe(g, call->main.x, &pass, train_stripe);
}

void nnclr_tiled_batchnorm_evaluate(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    if (call->y->kind == NNCLR_ROWS) {
        CPU(batchnorm_evaluate)(g, call);
        return;
    }
    tiled_pass pass = {.call = call};
    each_stripe(g, call->main.x, &pass, evaluate_stripe);
}

/* ---- backward ---- */

static void backward_piece(void *context, int piece, int worker) {
    (void)worker;
    const tiled_pass *p = context;
    const size_t end = piece_end(&p->pieces, piece);
    int pictures;
    for (size_t spot = piece_begin(&p->pieces, piece), next; spot < end; spot = next) {
        next = spot + tall_tile(p, spot, end, &pictures);
        for (int block = 0; block < p->blocks; block++) {
            const tile_affine mask = affine_of(&p->main.affine, block);
            tile_gradient call = gradient_of(p, spot, block, masks_from_x(p->call) ? &mask : NULL);
            p->x.kernels->gradient(&call, pictures, channels_of(p, block));
        }
    }
}

static void fill_mask(tiled_pass *p, const stripe *s) {
    if (masks_from_x(p->call))
        CPU(fill_affine)(&p->call->main, false, p->group, s, &p->main.affine);
}

static void slopes_stripe(nnclr_engine *g, tiled_pass *p) {
    const nnclr_batchnorm_call *call = p->call;
    stripe s = stripe_of(p);
    CPU(fill_means)(&call->main, p->group, &s, p->main.gradient.mean);
    if (call->second)
        CPU(fill_means)(call->second, p->group, &s, p->second.gradient.mean);
    fill_mask(p, &s);
    reduce(g, p);
    double(*total)[MAX_LANES] = p->partials[0];
    CPU(finish_slopes)(&call->main, p->group, &s, total[0], total[1]);
    if (call->second)
        CPU(finish_slopes)(call->second, p->group, &s, total[0], total[2]);
}

static void backward_stripe(nnclr_engine *g, tiled_pass *p) {
    const nnclr_batchnorm_call *call = p->call;
    stripe s = stripe_of(p);
    CPU(fill_gradient)(&call->main, p->group, &s, &p->main.gradient);
    if (call->second)
        CPU(fill_gradient)(call->second, p->group, &s, &p->second.gradient);
    fill_mask(p, &s);
    nnclr_pool_for(g->pool, p->pieces.count, backward_piece, p);
}

void nnclr_tiled_batchnorm_slopes(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    if (call->main.x->kind == NNCLR_ROWS) {
        CPU(batchnorm_slopes)(g, call);
        return;
    }
    tiled_pass pass = {.call = call};
    each_stripe(g, call->main.x, &pass, slopes_stripe);
}

void nnclr_tiled_batchnorm_backward(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    if (call->main.x->kind == NNCLR_ROWS) {
        CPU(batchnorm_backward)(g, call);
        return;
    }
    tiled_pass pass = {.call = call};
    each_stripe(g, call->main.x, &pass, backward_stripe);
}
