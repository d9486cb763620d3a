/* A network is a flat list of operators in execution order. Building it appends to the list; it is
 * then run forwards, run backwards, printed and planned by one loop each (execution.h,
 * memory_plan.h).
 *
 * Values are what operators read and write; value 0 is the input. A network holds shapes for one
 * picture (h, w, c) and segment tables for parameters and running statistics, but no memory and no
 * engine: any number of executions may share it. Building is not thread-safe; a built network is
 * read-only.
 */
#ifndef NNCLR_NET_NETWORK_H
#define NNCLR_NET_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "engine/engine.h"

typedef struct nnclr_network nnclr_network;

/* Everything an operator of any kind may carry; unused fields are 0 or -1. */
typedef enum nnclr_op_kind {
    NNCLR_OP_CONV,
    NNCLR_OP_BATCHNORM,
    NNCLR_OP_MAXPOOL,
    NNCLR_OP_AVERAGE,
    NNCLR_OP_LINEAR,
    NNCLR_OP_L2NORM,
    NNCLR_OP_KINDS
} nnclr_op_kind;

typedef struct nnclr_op {
    nnclr_op_kind kind;
    char name[64];         /* "backbone.layer1.0.conv1"; heads its parameters' names */
    int x, y;              /* values read and written */
    int residual;          /* batch norm: a value added as it is, or -1 */
    int second;            /* batch norm: a value that has its own batch norm here, or -1 */
    nnclr_conv conv;       /* convolution */
    bool relu;             /* batch norm */
    bool sums;             /* convolution, linear: a batch norm reads y, so its sums are wanted */
    int weight, bias;      /* parameter segments: weight or gamma, bias or beta; -1: none */
    int weight2, bias2;    /* of the second batch norm */
    int running, running2; /* first of two statistics segments: running_mean, running_var; -1 */
} nnclr_op;

typedef struct nnclr_value {
    int h, w, c;
    nnclr_kind kind;
    int producer;  /* op that writes it; -1: the input */
    int readers;   /* ops that read it: known when the list is built */
    bool gradient; /* a gradient must flow into it (false for the input) */
} nnclr_value;

nnclr_network *nnclr_network_create(int h, int w, int c, nnclr_error *e);
void nnclr_network_free(nnclr_network *network); /* NULL is fine */

/* Each appends one operator and returns the value it writes, or -1. `x` is a value; -1, from a call
 * that failed, yields -1 again and leaves *e, so that a chain of calls is checked once, at its end.
 * A network whose building failed can only be freed. What a batch norm reads as x or second is read
 * by nothing else. */
int nnclr_add_conv(nnclr_network *net, int x, const char *name, int co, int kernel, int stride,
                   int pad, nnclr_error *e);
/* residual: a value or -1; second: a value (the downsample convolution's output) whose batch norm
 * is named second_name, or -1 and NULL. */
int nnclr_add_batchnorm(nnclr_network *net, int x, const char *name, bool relu, int residual,
                        int second, const char *second_name, nnclr_error *e);
int nnclr_add_maxpool(nnclr_network *net, int x, const char *name, nnclr_error *e);
int nnclr_add_average(nnclr_network *net, int x, const char *name, nnclr_error *e);
int nnclr_add_linear(nnclr_network *net, int x, const char *name, int out, bool bias,
                     nnclr_error *e);
int nnclr_add_l2norm(nnclr_network *net, int x, const char *name, nnclr_error *e);

/* Named cuts: "features", "projection", "projection_unit", "prediction", "prediction_unit",
 * "logits". */
bool nnclr_network_mark(nnclr_network *net, const char *name, int value, nnclr_error *e);
int nnclr_network_find(const nnclr_network *net, const char *name); /* value, or -1 */
bool nnclr_network_marked(const nnclr_network *net, int value);

size_t nnclr_network_op_count(const nnclr_network *net);
const nnclr_op *nnclr_network_op(const nnclr_network *net, size_t i);
size_t nnclr_network_value_count(const nnclr_network *net);
const nnclr_value *nnclr_network_value(const nnclr_network *net, size_t i);

/* Parameters and running statistics: segments of two flat buffers, in the order of torch's
 * state_dict: a block's downsample branch comes after the batch norm that adds it. */
size_t nnclr_network_segment_count(const nnclr_network *net);
const nnclr_segment *nnclr_network_segments(const nnclr_network *net);
size_t nnclr_network_parameter_count(const nnclr_network *net); /* reals */
size_t nnclr_network_statistic_segment_count(const nnclr_network *net);
const nnclr_segment *nnclr_network_statistic_segments(const nnclr_network *net);
size_t nnclr_network_statistic_count(const nnclr_network *net); /* reals */

/* Multiply-accumulates of one picture's forward pass through ops [from, to). */
double nnclr_network_macs(const nnclr_network *net, size_t from, size_t to);

#endif
