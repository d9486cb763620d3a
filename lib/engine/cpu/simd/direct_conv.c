#include "engine/cpu/simd/direct_conv.h"

#include <string.h>

#include "engine/cpu/simd/direct_plan.h"

/* ---- packing ---- */

/* Weights of a geometry: source channel k, output o and tap (i, j) of its rectangle are at
 * oihw[k * channel_step + o * output_step + tap]. */
typedef struct pack_call {
    const direct *d;
    const direct_kernels *kernels;
    const float *oihw;
    size_t channel_step, output_step;
    int channels;
    int tap_y, tap_x, stride, kernel; /* tap of (0, 0), its step, and the kernel's width */
    float *packed;
} pack_call;

static const float *weight_at(const pack_call *c, int channel, int output, int tap) {
    int y = c->tap_y + tap / c->d->taps.tap_w * c->stride;
    int x = c->tap_x + tap % c->d->taps.tap_w * c->stride;
    return c->oihw + (size_t)channel * c->channel_step + (size_t)output * c->output_step +
           y * c->kernel + x;
}

/* One chunk of one block of outputs. */
static void pack_chunk(void *context, int task, int worker) {
    (void)worker;
    const pack_call *c = context;
    const direct *d = c->d;
    int chunk = task % d->chunks, block = task / d->chunks, output = 0;
    int width = direct_width(c->kernels, d->outputs), area = d->taps.tap_h * d->taps.tap_w;
    for (; block > 0; block--) {
        output += width;
        width = direct_width(c->kernels, d->outputs - output);
    }
    size_t pair = (size_t)(chunk * area) * DIRECT_CHUNK * (size_t)width;
    float *to = c->packed + (size_t)d->pairs * DIRECT_CHUNK * (size_t)output + pair;
    for (int o = 0; o < width; o++)
        for (int k = 0; k < DIRECT_CHUNK; k++) {
            int channel = chunk * DIRECT_CHUNK + k;
            bool there = channel < c->channels && output + o < d->outputs;
            for (int tap = 0; tap < area; tap++)
                to[(tap * DIRECT_CHUNK + k) * width + o] =
                    there ? *weight_at(c, channel, output + o, tap) : 0;
        }
}

static int block_count(const direct_kernels *kernels, int outputs) {
    int blocks = 0;
    for (int output = 0; output < outputs; blocks++)
        output += direct_width(kernels, outputs - output);
    return blocks;
}

void nnclr_direct_pack(nnclr_engine *g, const CPU(plan) * plan, const float *oihw, float *packed) {
    const direct_conv *own = plan->direct;
    const nnclr_conv *conv = &plan->base.conv;
    size_t area = (size_t)(conv->kernel * conv->kernel), filter = area * (size_t)conv->ci;
    pack_call call = {.d = &own->forward,
                      .kernels = own->kernels,
                      .oihw = oihw,
                      .channel_step = area,
                      .output_step = filter,
                      .channels = conv->ci,
                      .stride = 1,
                      .kernel = conv->kernel,
                      .packed = packed};
    nnclr_pool_for(g->pool, block_count(own->kernels, conv->co) * call.d->chunks, pack_chunk,
                   &call);
    call.channel_step = filter;
    call.output_step = area;
    call.channels = conv->co;
    call.stride = -conv->stride; /* offsets rise as taps fall */
    for (int i = 0; i < plan->residues; i++) {
        call.d = &own->residues[i];
        call.tap_y = plan->residue[i].tap_y;
        call.tap_x = plan->residue[i].tap_x;
        call.packed = packed + own->packed[i];
        if (call.d->pairs)
            nnclr_pool_for(g->pool, block_count(own->kernels, conv->ci) * call.d->chunks,
                           pack_chunk, &call);
    }
}

/* ---- forward ---- */

typedef struct forward_call {
    const direct_conv *own;
    const float *x, *packed;
    direct_target target;
    double *partials; /* [groups][pieces][2][co], NULL: no sums wanted */
    void *workspace;
    size_t rows; /* of a group */
    pieces pieces;
} forward_call;

static void forward_piece(void *context, int task, int worker) {
    const forward_call *call = context;
    const direct_conv *own = call->own;
    const direct *d = &own->forward;
    size_t first = (size_t)(task / call->pieces.count) * call->rows;
    int piece = task % call->pieces.count;
    size_t end = first + piece_end(&call->pieces, piece);
    size_t line = (size_t)d->taps.grid_w * (size_t)d->outputs;
    float *scratch = direct_scratch(own, call->workspace, worker);
    double *sums = NULL;
    if (call->partials) {
        sums = call->partials + (size_t)task * 2 * (size_t)d->outputs;
        memset(sums, 0, 2 * (size_t)d->outputs * sizeof *sums);
    }
    direct_band band;
    for (size_t at = first + piece_begin(&call->pieces, piece); at < end; at += (size_t)band.rows) {
        nnclr_direct_band(d, at, end, &band);
        own->kernels->fill(d, call->x, &band, scratch);
        own->kernels->multiply(d, &band, scratch, call->packed, &call->target, false);
        if (sums)
            CPU(add_sums)
        (call->target.place + at * line, (size_t)band.rows * (size_t)d->taps.grid_w, d->outputs,
         sums);
    }
}

void nnclr_direct_forward(nnclr_engine *g, const CPU(plan) * plan, const nnclr_tensor *x,
                          const float *packed, const nnclr_tensor *y, double *sums,
                          void *workspace) {
    const direct_conv *own = plan->direct;
    nnclr_shape out = y->shape;
    forward_call call = {.own = own,
                         .x = x->place,
                         .packed = packed,
                         .target = {.place = y->place, .h = out.h, .w = out.w, .stride = 1},
                         .partials = sums ? direct_shared(g, own, workspace) : NULL,
                         .workspace = workspace,
                         .rows = (size_t)out.n * (size_t)out.h,
                         .pieces = nnclr_direct_pieces(&own->forward, (size_t)out.n)};
    nnclr_pool_for(g->pool, out.groups * call.pieces.count, forward_piece, &call);
    if (sums)
        CPU(fold_sums)(call.partials, out.groups, call.pieces.count, out.c, sums);
}

/* ---- backward-data ---- */

typedef struct backward_call {
    const direct_conv *own;
    const direct *d;
    const float *dy, *packed;
    direct_target target;
    bool add;
    void *workspace;
    pieces pieces;
} backward_call;

static void backward_piece(void *context, int piece, int worker) {
    const backward_call *call = context;
    const direct_kernels *kernels = call->own->kernels;
    float *scratch = direct_scratch(call->own, call->workspace, worker);
    size_t end = piece_end(&call->pieces, piece);
    direct_band band;
    for (size_t at = piece_begin(&call->pieces, piece); at < end; at += (size_t)band.rows) {
        nnclr_direct_band(call->d, at, end, &band);
        kernels->fill(call->d, call->dy, &band, scratch);
        kernels->multiply(call->d, &band, scratch, call->packed, &call->target, call->add);
    }
}

/* Pixels that no output sees have no gradient. */
static void zero_piece(void *context, int piece, int worker) {
    (void)worker;
    const backward_call *call = context;
    const direct_target *t = &call->target;
    size_t grid_h = (size_t)call->d->taps.grid_h, c = (size_t)call->d->outputs;
    for (size_t row = piece_begin(&call->pieces, piece); row < piece_end(&call->pieces, piece);
         row++) {
        size_t y = row % grid_h * (size_t)t->stride + (size_t)t->y;
        float *to =
            t->place + ((row / grid_h * (size_t)t->h + y) * (size_t)t->w + (size_t)t->x) * c;
        for (int i = 0; i < call->d->taps.grid_w; i++, to += (size_t)t->stride * c)
            memset(to, 0, c * sizeof *to);
    }
}

void nnclr_direct_backward_data(nnclr_engine *g, const CPU(plan) * plan, const nnclr_tensor *dy,
                                const float *packed, const nnclr_tensor *dx, bool add,
                                void *workspace) {
    const direct_conv *own = plan->direct;
    nnclr_shape in = dx->shape;
    size_t pictures = (size_t)nnclr_shape_pictures(in);
    for (int i = 0; i < plan->residues; i++) {
        const residue *r = &plan->residue[i];
        const direct *d = &own->residues[i];
        backward_call call = {.own = own,
                              .d = d,
                              .dy = dy->place,
                              .packed = packed + own->packed[i],
                              .target = {dx->place, in.h, in.w, plan->base.conv.stride, r->y, r->x},
                              .add = add,
                              .workspace = workspace};
        if (d->taps.grid_h == 0 || d->taps.grid_w == 0 || (d->pairs == 0 && add))
            continue;
        call.pieces = d->pairs ? nnclr_direct_pieces(d, pictures)
                               : cut(pictures * (size_t)d->taps.grid_h, 1, 1);
        nnclr_pool_for(g->pool, call.pieces.count, d->pairs ? backward_piece : zero_piece, &call);
    }
}

/* ---- backward-weights ---- */

typedef struct weights_call {
    const direct_conv *own;
    const nnclr_conv *conv;
    const float *x, *dy;
    float *partials; /* [parts][blocks][block_reals] */
    float *dweights;
    bool add;
    void *workspace;
    pieces parts;
} weights_call;

/* The geometry of one block of chunks. */
static direct block_of(const weights_call *call, int block) {
    direct d = call->own->weights;
    d.taps.channel = block * call->own->block_chunks * DIRECT_CHUNK;
    int channels = call->conv->ci - d.taps.channel, most = d.chunks * DIRECT_CHUNK;
    d.taps.channels = channels < most ? channels : most;
    d.chunks = (d.taps.channels + DIRECT_CHUNK - 1) / DIRECT_CHUNK;
    d.pairs = d.chunks * d.taps.tap_h * d.taps.tap_w;
    return d;
}

static void sum_block(void *context, int task, int worker) {
    const weights_call *call = context;
    const direct_conv *own = call->own;
    direct d = block_of(call, task % own->blocks);
    int part = task / own->blocks;
    size_t begin = piece_begin(&call->parts, part), end = piece_end(&call->parts, part);
    float *scratch = direct_scratch(own, call->workspace, worker);
    float *sums = call->partials + (size_t)task * own->block_reals;
    direct_band band;
    for (size_t at = begin; at < end; at += (size_t)band.rows) {
        nnclr_direct_band(&d, at, end, &band);
        own->kernels->fill(&d, call->x, &band, scratch);
        own->kernels->correlate(&d, &band, scratch, call->dy, sums, at > begin);
    }
}

/* Adds the parts of one chunk in their order and turns [tap][channel][output] into OIHW. */
static void fold_chunk(void *context, int chunk, int worker) {
    (void)worker;
    const weights_call *call = context;
    const direct_conv *own = call->own;
    int block = chunk / own->block_chunks, within = chunk % own->block_chunks;
    direct d = block_of(call, block);
    int area = d.taps.tap_h * d.taps.tap_w, ci = call->conv->ci;
    size_t part_reals = (size_t)own->blocks * own->block_reals;
    for (int output = 0, width; output < d.outputs; output += width) {
        width = direct_width(own->kernels, d.outputs - output);
        const float *sums =
            call->partials + (size_t)block * own->block_reals +
            ((size_t)d.pairs * (size_t)output + (size_t)(within * area) * (size_t)width) *
                DIRECT_CHUNK;
        for (int at = 0; at < area * DIRECT_CHUNK; at++, sums += width) {
            int channel = chunk * DIRECT_CHUNK + at % DIRECT_CHUNK;
            if (channel >= ci)
                continue;
            float sum[DIRECT_WIDEST];
            memcpy(sum, sums, (size_t)width * sizeof *sum);
            for (int part = 1; part < call->parts.count; part++)
                for (int o = 0; o < width; o++)
                    sum[o] += sums[(size_t)part * part_reals + (size_t)o];
            float *to = call->dweights +
                        ((size_t)output * (size_t)ci + (size_t)channel) * (size_t)area +
                        at / DIRECT_CHUNK;
            for (int o = 0; o < width && output + o < d.outputs;
                 o++, to += (size_t)ci * (size_t)area)
                *to = (call->add ? *to : 0) + sum[o];
        }
    }
}

void nnclr_direct_backward_weights(nnclr_engine *g, const CPU(plan) * plan, const nnclr_tensor *x,
                                   const nnclr_tensor *dy, float *dweights, bool add,
                                   void *workspace) {
    const direct_conv *own = plan->direct;
    weights_call call = {.own = own,
                         .conv = &plan->base.conv,
                         .x = x->place,
                         .dy = dy->place,
                         .partials = direct_shared(g, own, workspace),
                         .dweights = dweights,
                         .add = add,
                         .workspace = workspace,
                         .parts = nnclr_direct_parts(own, (size_t)nnclr_shape_pictures(dy->shape))};
    nnclr_pool_for(g->pool, call.parts.count * own->blocks, sum_block, &call);
    nnclr_pool_for(g->pool, (plan->base.conv.ci + DIRECT_CHUNK - 1) / DIRECT_CHUNK, fold_chunk,
                   &call);
}
