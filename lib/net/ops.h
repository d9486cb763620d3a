/* The operators behind a network's list (internal to lib/net). Each kind is one file op_KIND.c with
 * its builder, shape rule, forward and backward, and one entry of the table that network.c, the
 * lifetimes and the execution loop over. */
#ifndef NNCLR_NET_OPS_H
#define NNCLR_NET_OPS_H

#include "engine/communicator.h"
#include "net/network.h"

/* One operator bound to an execution's memory. Index 1 of the pairs is the second batch norm. */
typedef struct nnclr_op_run {
    nnclr_engine *engine;
    nnclr_communicator *communicator; /* NULL: there are no other ranks */
    const nnclr_op *op;
    const nnclr_tensor *x, *y, *residual, *second;
    /* Training: gradients; NULL if none is wanted (the input's). */
    const nnclr_tensor *dx, *dy, *dresidual, *dsecond;
    bool add_x, add_residual; /* set before each backward: another reader has contributed already */
    bool add_parameters;      /* likewise: gradients of parameters are added to, not overwritten */
    bool repeated;            /* set before each forward: running statistics have seen this batch */
    bool recomputed;          /* likewise: for the backward pass, while its statistics are there */
    int part, parts;          /* likewise: which part of a batch this is, of how many */
    const void *weight[2], *bias[2];
    void *dweight[2], *dbias[2];
    void *running_mean[2], *running_var[2];
    void *sums[2];      /* batch norm in training: sums of x and of second */
    bool sums_given[2]; /* a convolution yields them */
    void *saved[2];
    void *slopes[2];             /* of dz, in backward */
    void *pool[2];               /* NULL: batches come whole */
    const nnclr_conv_plan *plan; /* convolution, as are the next three */
    void *packed, *workspace;
    void *sums_of_y; /* NULL: nobody wants them */
    void *norms;     /* L2 normalisation */
} nnclr_op_run;

typedef struct nnclr_op_type {
    const char *name;
    /* Fills h, w, c and kind of y from what the operator reads, or refuses it. */
    bool (*shape)(const nnclr_network *net, const nnclr_op *op, nnclr_value *y, nnclr_error *e);
    void (*forward)(const nnclr_op_run *run, bool training);
    void (*backward)(const nnclr_op_run *run);
    bool backward_reads_x, backward_reads_y; /* so these live until then; `second` counts as x */
    double (*macs)(const nnclr_network *net, const nnclr_op *op); /* NULL: none worth counting */
} nnclr_op_type;

extern const nnclr_op_type nnclr_op_conv, nnclr_op_batchnorm, nnclr_op_maxpool, nnclr_op_average,
    nnclr_op_linear, nnclr_op_l2norm;
extern const nnclr_op_type *const nnclr_op_types[NNCLR_OP_KINDS];

/* ---- for the builders ---- */

/* An operator of this kind that reads x, every other field unset. */
nnclr_op nnclr_op_of(nnclr_op_kind kind, int x);

/* Whether `value` is one of this network's and of this kind; `name` is for the message. */
bool nnclr_network_reads(const nnclr_network *net, const char *name, int value, nnclr_kind kind,
                         nnclr_error *e);

/* Appends the segment "NAME.SUFFIX", or inserts it in front of parameter segment `before` (-1:
 * append). Its index, or -1. */
int nnclr_network_parameter(nnclr_network *net, const char *name, const char *suffix, int rank,
                            const int64_t dims[4], int before, nnclr_error *e);
int nnclr_network_statistic(nnclr_network *net, const char *name, const char *suffix, int c,
                            nnclr_error *e);

/* Applies the shape rule, appends `op` under `name` and the value it writes; that value or -1. */
int nnclr_network_append(nnclr_network *net, const char *name, nnclr_op op, nnclr_error *e);

#endif
