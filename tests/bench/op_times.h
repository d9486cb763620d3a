/* Where the time of an engine goes: the engine's own table, whose entries are wrapped in a clock.
 * For engines whose calls return when their work is done, as those on the CPU do. */
#ifndef NNCLR_TESTS_OP_TIMES_H
#define NNCLR_TESTS_OP_TIMES_H

#include "engine/engine.h"

typedef enum op_kind {
    OP_CONV_FORWARD, /* the convolutions, in this order, come first */
    OP_CONV_BACKWARD_DATA,
    OP_CONV_BACKWARD_WEIGHTS,
    OP_NORM_FORWARD,
    OP_NORM_BACKWARD,
    OP_POOL,
    OP_HEADS, /* linear layers, normalisation, search, loss */
    OP_PACK,
    OP_UPDATE,
    OP_UPLOAD,
    OP_KINDS
} op_kind;
enum { OP_CONVS = OP_CONV_BACKWARD_WEIGHTS + 1 };

extern const char *const op_kind_names[OP_KINDS];

typedef struct op_times {
    nnclr_engine engine; /* first: an entry of the table is given its address */
    const nnclr_engine_table *inner;
    nnclr_engine_table table;
    double seconds[OP_KINDS]; /* since they were set to 0 by the caller */
    double flops[OP_CONVS];   /* 2 for each product, those with a border's zeros left out */
} op_times;

/* Opens an engine as nnclr_engine_open does; *t must not move from then on. It is closed by
 * nnclr_engine_close(&t->engine). */
bool op_times_open(op_times *t, nnclr_engine_choice choice, nnclr_precision precision,
                   nnclr_pool *pool, nnclr_error *e);

#endif
