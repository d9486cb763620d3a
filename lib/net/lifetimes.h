/* When each block of an execution's memory is live (internal to lib/net).
 *
 * Moments: the forward of planned op i is moment i, its backward is moment 2 * ops - 1 - i. A block
 * is live from the first to the last moment that touches it; blocks belong to values.
 *
 * What a batch norm alone makes of a convolution's output is not kept from its last forward reader
 * to its first backward reader: it is made again from the same statistics, with the same bits, in a
 * block of its own. */
#ifndef NNCLR_NET_LIFETIMES_H
#define NNCLR_NET_LIFETIMES_H

#include "net/memory_plan.h"
#include "net/network.h"

typedef enum nnclr_use {
    NNCLR_USE_VALUE,
    NNCLR_USE_GRADIENT,
    NNCLR_USE_RECOMPUTED, /* a value, made again for the backward pass */
    NNCLR_USE_PACKED,     /* weights of the convolution that writes the value */
    NNCLR_USE_SUMS,       /* of a value that a batch norm normalises */
    NNCLR_USE_SAVED,      /* likewise: mean and inverse deviation */
    NNCLR_USE_SLOPES,     /* likewise, of its gradient */
    NNCLR_USE_POOL,       /* likewise, over the parts of a batch */
    NNCLR_USE_NORMS,      /* of the rows that the value normalised */
    NNCLR_USES
} nnclr_use;

extern const char *const nnclr_use_names[NNCLR_USES];

typedef struct nnclr_lifetimes {
    const nnclr_network *net;
    int begin, end;  /* ops planned */
    int first, last; /* values at both ends of the range */
    bool training;   /* with batch statistics */
    bool backward;   /* and a backward pass */
    bool parts;      /* a batch of the running statistics comes in parts */
} nnclr_lifetimes;

/* Whether the value is made again, rather than kept, for the backward pass. */
bool nnclr_lifetimes_recomputed(const nnclr_lifetimes *l, int value);

int nnclr_lifetimes_moments(const nnclr_lifetimes *l);

/* intervals[use * value_count + value]: first and last of every block; first > last if there is
 * no such block. Bytes and offsets are 0. */
void nnclr_lifetimes_find(const nnclr_lifetimes *l, nnclr_interval *intervals);

#endif
