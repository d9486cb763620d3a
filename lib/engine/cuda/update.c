/* The optimiser step: all segments in three launches. */
#include "base/memory.h"
#include "engine/cuda/parts.h"

enum { PART = 16384 }; /* reals of a block */

/* Segments and their parts, as the kernels want them: [segment_count], then [parts]. */
typedef struct lists {
    update_segment *segments;
    update_part *parts;
    size_t part_count, bytes;
} lists;

static size_t parts_of(const nnclr_segment *s) {
    return (s->count + PART - 1) / PART;
}

static bool make_lists(const nnclr_update_call *c, lists *l, nnclr_error *e) {
    *l = (lists){0};
    for (size_t i = 0; i < c->segment_count; i++)
        l->part_count += parts_of(&c->segments[i]);
    const size_t head = c->segment_count * sizeof *l->segments;
    l->bytes = head + l->part_count * sizeof *l->parts;
    l->segments = nnclr_alloc(1, l->bytes, e);
    if (!l->segments)
        return false;
    l->parts = (update_part *)(void *)((unsigned char *)l->segments + head);
    size_t part = 0;
    for (size_t i = 0; i < c->segment_count; i++) {
        const nnclr_segment *s = &c->segments[i];
        l->segments[i] = (update_segment){part, parts_of(s), s->decays, s->adapts};
        for (size_t at = 0; at < s->count; at += PART, part++) {
            const size_t end = at + PART < s->count ? at + PART : s->count;
            l->parts[part] = (update_part){s->offset + at, s->offset + end, (int)i};
        }
    }
    return true;
}

static void launch(nnclr_engine *g, const nnclr_update_call *c, const lists *l,
                   unsigned char *room) {
    const bool lars = c->optimizer == NNCLR_LARS;
    double *squares = (double *)(void *)(room + l->bytes);
    const update_call call = {
        .w = c->weights,
        .v = c->velocity,
        .g = c->gradients,
        .segments = (const update_segment *)(const void *)room,
        .parts = (const update_part *)(const void *)(room + c->segment_count * sizeof *l->segments),
        .squares = squares,
        .rates = (float *)(void *)(squares + 2 * l->part_count),
        .segment_count = (int)c->segment_count,
        .lr = c->lr,
        .decay = c->weight_decay,
        .trust = c->trust,
        .momentum = (float)c->momentum,
        .adaptive = lars,
        .of_sum = c->lars == NNCLR_LARS_LIGHTLY || c->lars == NNCLR_LARS_SOLO,
        .solo = c->lars == NNCLR_LARS_SOLO,
        .rate_inside = lars && c->lars == NNCLR_LARS_SIMCLR,
        .nesterov = !lars && c->nesterov};
    void *stream = cuda_state_of(g)->stream;
    if (lars)
        nnclr_launch_update_norms(stream, (int)l->part_count, &call);
    nnclr_launch_update_rates(stream, cuda_spans(c->segment_count), &call);
    nnclr_launch_update_step(stream, (int)l->part_count, &call);
}

void nnclr_cuda_update(nnclr_engine *g, const nnclr_update_call *c) {
    cuda_machine *machine = cuda_state_of(g)->machine;
    nnclr_error e = NNCLR_NO_ERROR;
    lists l;
    if (!make_lists(c, &l, &e)) {
        nnclr_machine_fail(machine, &e);
        return;
    }
    unsigned char *room = nnclr_cuda_scratch(g, l.bytes + 2 * l.part_count * sizeof(double) +
                                                    2 * c->segment_count * sizeof(float));
    if (room && l.part_count > 0) {
        nnclr_machine_put(machine, room, l.segments, l.bytes);
        launch(g, c, &l, room);
    }
    nnclr_free(l.segments);
}
