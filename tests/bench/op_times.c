#include "tests/bench/op_times.h"

#include "base/files.h"

const char *const op_kind_names[OP_KINDS] = {
    "conv forward", "conv backward-data", "conv backward-weights", "norm forward", "norm backward",
    "pooling",      "heads and loss",     "pack weights",          "optimiser",    "upload"};

#define TIMED(kind, call)                                                                          \
    do {                                                                                           \
        op_times *t = (op_times *)g;                                                               \
        double start = nnclr_now();                                                                \
        t->inner->call;                                                                            \
        t->seconds[kind] += nnclr_now() - start;                                                   \
    } while (0)

/* ---- convolutions ---- */

/* Taps inside the picture, over all pixels of the result along one axis. */
static double inside(const nnclr_conv *conv, int from, int to) {
    double taps = 0;
    for (int at = 0; at < to; at++)
        for (int tap = 0; tap < conv->kernel; tap++) {
            int x = at * conv->stride + tap - conv->pad;
            taps += x >= 0 && x < from;
        }
    return taps;
}

static void count_flops(nnclr_engine *g, op_kind kind, const nnclr_conv_plan *plan,
                        const nnclr_tensor *y) {
    const nnclr_conv *conv = &plan->conv;
    double taps = inside(conv, plan->in.h, plan->out.h) * inside(conv, plan->in.w, plan->out.w);
    ((op_times *)g)->flops[kind] += 2 * taps * nnclr_shape_pictures(y->shape) * conv->co * conv->ci;
}

static void conv_forward(nnclr_engine *g, const nnclr_conv_plan *plan, const nnclr_tensor *x,
                         const void *packed, const nnclr_tensor *y, void *sums, void *workspace) {
    TIMED(OP_CONV_FORWARD, conv_forward(g, plan, x, packed, y, sums, workspace));
    count_flops(g, OP_CONV_FORWARD, plan, y);
}

static void conv_backward_data(nnclr_engine *g, const nnclr_conv_plan *plan, const nnclr_tensor *dy,
                               const void *packed, const nnclr_tensor *dx, bool add,
                               void *workspace) {
    TIMED(OP_CONV_BACKWARD_DATA, conv_backward_data(g, plan, dy, packed, dx, add, workspace));
    count_flops(g, OP_CONV_BACKWARD_DATA, plan, dy);
}

static void conv_backward_weights(nnclr_engine *g, const nnclr_conv_plan *plan,
                                  const nnclr_tensor *x, const nnclr_tensor *dy, void *dweights,
                                  bool add, void *workspace) {
    TIMED(OP_CONV_BACKWARD_WEIGHTS,
          conv_backward_weights(g, plan, x, dy, dweights, add, workspace));
    count_flops(g, OP_CONV_BACKWARD_WEIGHTS, plan, dy);
}

static void conv_pack(nnclr_engine *g, const nnclr_conv_plan *plan, const void *oihw,
                      void *packed) {
    TIMED(OP_PACK, conv_pack(g, plan, oihw, packed));
}

/* ---- between convolutions ---- */

static void batchnorm_sums(nnclr_engine *g, const nnclr_tensor *x, void *sums) {
    TIMED(OP_NORM_FORWARD, batchnorm_sums(g, x, sums));
}
static void batchnorm_train(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    TIMED(OP_NORM_FORWARD, batchnorm_train(g, call));
}
static void batchnorm_evaluate(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    TIMED(OP_NORM_FORWARD, batchnorm_evaluate(g, call));
}
static void batchnorm_slopes(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    TIMED(OP_NORM_BACKWARD, batchnorm_slopes(g, call));
}
static void batchnorm_backward(nnclr_engine *g, const nnclr_batchnorm_call *call) {
    TIMED(OP_NORM_BACKWARD, batchnorm_backward(g, call));
}

static void maxpool_forward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y) {
    TIMED(OP_POOL, maxpool_forward(g, x, y));
}
static void maxpool_backward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *dy,
                             const nnclr_tensor *dx, bool add) {
    TIMED(OP_POOL, maxpool_backward(g, x, dy, dx, add));
}
static void average_forward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y) {
    TIMED(OP_POOL, average_forward(g, x, y));
}
static void average_backward(nnclr_engine *g, const nnclr_tensor *dy, const nnclr_tensor *dx,
                             bool add) {
    TIMED(OP_POOL, average_backward(g, dy, dx, add));
}

/* ---- heads and loss ---- */

static void linear_forward(nnclr_engine *g, const nnclr_tensor *x, const void *weight,
                           const void *bias, const nnclr_tensor *y) {
    TIMED(OP_HEADS, linear_forward(g, x, weight, bias, y));
}
static void linear_backward_data(nnclr_engine *g, const nnclr_tensor *dy, const void *weight,
                                 const nnclr_tensor *dx, bool add) {
    TIMED(OP_HEADS, linear_backward_data(g, dy, weight, dx, add));
}
static void linear_backward_weights(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *dy,
                                    void *dweight, void *dbias, bool add) {
    TIMED(OP_HEADS, linear_backward_weights(g, x, dy, dweight, dbias, add));
}
static void l2norm_forward(nnclr_engine *g, const nnclr_tensor *x, const nnclr_tensor *y,
                           void *norms) {
    TIMED(OP_HEADS, l2norm_forward(g, x, y, norms));
}
static void l2norm_backward(nnclr_engine *g, const nnclr_tensor *y, const void *norms,
                            const nnclr_tensor *dy, const nnclr_tensor *dx, bool add) {
    TIMED(OP_HEADS, l2norm_backward(g, y, norms, dy, dx, add));
}
static void gemm(nnclr_engine *g, bool transpose_a, bool transpose_b, int m, int n, int k,
                 double alpha, const void *a, const void *b, double beta, void *c) {
    TIMED(OP_HEADS, gemm(g, transpose_a, transpose_b, m, n, k, alpha, a, b, beta, c));
}
static void cross_entropy(nnclr_engine *g, const nnclr_cross_entropy_call *call) {
    TIMED(OP_HEADS, cross_entropy(g, call));
}
static void decorrelation(nnclr_engine *g, const nnclr_decorrelation_call *call) {
    TIMED(OP_HEADS, decorrelation(g, call));
}
static void gather(nnclr_engine *g, const nnclr_gather_call *call) {
    TIMED(OP_HEADS, gather(g, call));
}
static void search_update(nnclr_engine *g, nnclr_search *search, int first, int count,
                          const void *rows) {
    TIMED(OP_HEADS, search_update(g, search, first, count, rows));
}
static void search_nearest(nnclr_engine *g, nnclr_search *search, const void *queries, int n, int k,
                           const nnclr_exclusion *exclude, void *picks, void *scores) {
    TIMED(OP_HEADS, search_nearest(g, search, queries, n, k, exclude, picks, scores));
}

/* ---- parameters and pictures ---- */

static void blend(nnclr_engine *g, void *y, double keep, const void *x, double take, size_t count) {
    TIMED(OP_UPDATE, blend(g, y, keep, x, take, count));
}
static void dot(nnclr_engine *g, const void *x, const void *y, size_t count, void *out) {
    TIMED(OP_UPDATE, dot(g, x, y, count, out));
}
static void update(nnclr_engine *g, const nnclr_update_call *call) {
    TIMED(OP_UPDATE, update(g, call));
}
static void upload(nnclr_engine *g, const float *nhwc, const nnclr_tensor *to) {
    TIMED(OP_UPLOAD, upload(g, nhwc, to));
}

bool op_times_open(op_times *t, nnclr_engine_choice choice, nnclr_precision precision,
                   nnclr_pool *pool, nnclr_error *e) {
    *t = (op_times){.inner = NULL};
    if (!nnclr_engine_open(&t->engine, choice, precision, pool, e))
        return false;
    t->inner = t->engine.table;
    t->table = *t->inner;
#define WRAP(entry) t->table.entry = entry
    WRAP(conv_forward);
    WRAP(conv_backward_data);
    WRAP(conv_backward_weights);
    WRAP(conv_pack);
    WRAP(batchnorm_sums);
    WRAP(batchnorm_train);
    WRAP(batchnorm_evaluate);
    WRAP(batchnorm_slopes);
    WRAP(batchnorm_backward);
    WRAP(maxpool_forward);
    WRAP(maxpool_backward);
    WRAP(average_forward);
    WRAP(average_backward);
    WRAP(linear_forward);
    WRAP(linear_backward_data);
    WRAP(linear_backward_weights);
    WRAP(l2norm_forward);
    WRAP(l2norm_backward);
    WRAP(gemm);
    WRAP(cross_entropy);
    WRAP(decorrelation);
    WRAP(gather);
    WRAP(search_update);
    WRAP(search_nearest);
    WRAP(dot);
    WRAP(blend);
    WRAP(update);
    WRAP(upload);
#undef WRAP
    t->engine.table = &t->table;
    return true;
}
