/* How several workers act as one: sums of gradients, concatenation of embeddings. There is one
 * implementation, `self`, a single worker; the method is written against the seam, so that others
 * need no change above.
 *
 * With W workers of n rows each: all_gather concatenates rows in rank order; its backward sums the
 * incoming gradients over all ranks and keeps its own slice; parameter gradients are averaged. That
 * is exactly the gradient of the global mean loss. */
#ifndef NNCLR_ENGINE_COMMUNICATOR_H
#define NNCLR_ENGINE_COMMUNICATOR_H

#include "engine/engine.h"

typedef struct nnclr_communicator nnclr_communicator;

typedef struct nnclr_communicator_table {
    const char *name;
    /* reals[0..count) becomes its mean over the ranks, the same bits on each. */
    void (*all_reduce_mean)(nnclr_communicator *c, nnclr_engine *g, void *reals, size_t count);
    /* to [ranks * count] <- from [count] of each rank, in rank order. For one rank to may be from.
     */
    void (*all_gather)(nnclr_communicator *c, nnclr_engine *g, const void *from, size_t count,
                       void *to);
    /* to [count] <- the rank's own slice of the sum over ranks of from [ranks * count]. */
    void (*all_gather_backward)(nnclr_communicator *c, nnclr_engine *g, const void *from,
                                size_t count, void *to);
    /* Host integers (records, labels), as all_gather. */
    void (*all_gather_int)(nnclr_communicator *c, const int64_t *from, size_t count, int64_t *to);
} nnclr_communicator_table;

struct nnclr_communicator {
    const nnclr_communicator_table *table;
    int rank, ranks;
};

/* One worker: copies (nothing if source and target are the same place). */
nnclr_communicator nnclr_communicator_self(void);

#endif
