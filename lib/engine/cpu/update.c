/* The optimiser step: four LARS variants and SGD, segment by segment.
 *
 * With u = g + decay w, each is v = momentum v + gain u, w -= step v; they differ in the gain, the
 * norms after it, and whether the learning rate is inside of the momentum. With Nesterov's
 * momentum (Sutskever et al. 2013, in torch's form) it is w -= step (gain u + momentum v). */
#include "engine/cpu/cpu.h"

typedef struct segment_call {
    real *w, *v;
    const real *g;
    real momentum, decay, gain, step;
    bool nesterov;
    pieces pieces;
    double squares[2][MAX_PIECES]; /* of w, of g + decay w */
} segment_call;

enum { SIDE = 8 };

static double add_up(const double *sums, int count) {
    double total = 0;
    for (int i = 0; i < count; i++)
        total += sums[i];
    return total;
}

static void norm_piece(void *context, int piece, int worker) {
    (void)worker;
    segment_call *call = context;
    const real *w = call->w, *g = call->g;
    size_t i = piece_begin(&call->pieces, piece), end = piece_end(&call->pieces, piece);
    double of_w[SIDE] = {0}, of_u[SIDE] = {0};
    while (i < end) {
        size_t lanes = end - i < SIDE ? end - i : SIDE;
        for (size_t k = 0; k < lanes; k++) {
            real u = g[i + k] + call->decay * w[i + k];
            of_w[k] += (double)w[i + k] * (double)w[i + k];
            of_u[k] += (double)u * (double)u;
        }
        i += lanes;
    }
    call->squares[0][piece] = add_up(of_w, SIDE);
    call->squares[1][piece] = add_up(of_u, SIDE);
}

static void find_norms(nnclr_engine *g, segment_call *call, double *of_w, double *of_u) {
    nnclr_pool_for(g->pool, call->pieces.count, norm_piece, call);
    *of_w = sqrt(add_up(call->squares[0], call->pieces.count));
    *of_u = sqrt(add_up(call->squares[1], call->pieces.count));
}

static void step_piece(void *context, int piece, int worker) {
    (void)worker;
    const segment_call *call = context;
    size_t begin = piece_begin(&call->pieces, piece), end = piece_end(&call->pieces, piece);
    real *restrict w = call->w, *restrict v = call->v;
    const real *restrict g = call->g;
    real momentum = call->momentum, decay = call->decay, gain = call->gain, step = call->step;
    if (call->nesterov) {
        for (size_t i = begin; i < end; i++) {
            real u = gain * (g[i] + decay * w[i]);
            v[i] = momentum * v[i] + u;
            w[i] -= step * (u + momentum * v[i]);
        }
        return;
    }
    for (size_t i = begin; i < end; i++) {
        v[i] = momentum * v[i] + gain * (g[i] + decay * w[i]);
        w[i] -= step * v[i];
    }
}

/* A, B: trust |w| / |g + decay w|. */
static double ratio_of_update(nnclr_engine *g, const nnclr_update_call *update,
                              segment_call *call) {
    double of_w, of_u;
    find_norms(g, call, &of_w, &of_u);
    return of_w > 0 && of_u > 0 ? update->trust * of_w / of_u : 1;
}

/* C, D: trust |w| / (|g| + decay |w|), and no decay if a norm is zero. */
static double ratio_of_sum(nnclr_engine *g, const nnclr_update_call *update, segment_call *call) {
    double of_w, of_g, decay = (double)call->decay;
    call->decay = 0;
    find_norms(g, call, &of_w, &of_g);
    if (!(of_w > 0 && of_g > 0))
        return 1;
    call->decay = (real)decay;
    double ratio = update->trust * of_w / (of_g + decay * of_w + 1e-8);
    if (update->lars == NNCLR_LARS_LIGHTLY)
        return ratio;
    return ratio < update->lr ? ratio / update->lr : 1;
}

static void update_segment(nnclr_engine *g, const nnclr_update_call *update,
                           const nnclr_segment *s) {
    segment_call call = {.w = (real *)update->weights + s->offset,
                         .v = (real *)update->velocity + s->offset,
                         .g = (const real *)update->gradients + s->offset,
                         .momentum = (real)update->momentum,
                         .decay = s->decays ? (real)update->weight_decay : 0,
                         .nesterov = update->optimizer == NNCLR_SGD && update->nesterov,
                         .pieces = cut(s->count, 16384, SIDE)};
    double ratio = 1;
    if (update->optimizer == NNCLR_LARS && s->adapts) {
        bool sum = update->lars == NNCLR_LARS_LIGHTLY || update->lars == NNCLR_LARS_SOLO;
        ratio = (sum ? ratio_of_sum : ratio_of_update)(g, update, &call);
    }
    bool rate_inside = update->optimizer == NNCLR_LARS && update->lars == NNCLR_LARS_SIMCLR;
    call.gain = (real)(rate_inside ? update->lr * ratio : ratio);
    call.step = rate_inside ? 1 : (real)update->lr;
    nnclr_pool_for(g->pool, call.pieces.count, step_piece, &call);
}

void CPU(update)(nnclr_engine *g, const nnclr_update_call *update) {
    for (size_t i = 0; i < update->segment_count; i++)
        update_segment(g, update, &update->segments[i]);
}
