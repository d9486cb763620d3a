/* Inside of a method (shared by method.c and method_metrics.c alone). */
#ifndef NNCLR_SSL_METHOD_STATE_H
#define NNCLR_SSL_METHOD_STATE_H

#include "ssl/method.h"

/* Blocks of its engine memory; all = rows of one view over all workers. */
typedef enum nnclr_method_block {
    METHOD_SCALARS,    /* reals [METHOD_NUMBERS] */
    METHOD_CANDIDATES, /* reals [views][all][d]: predictions, unit unless they are decorrelated */
    METHOD_GRADIENTS,  /* of the loss with respect to them, likewise */
    METHOD_POSITIVES,  /* reals [views][n][d]: neighbours */
    METHOD_GATHERED,   /* reals [all][d]: columns other than predictions */
    METHOD_LOGITS,     /* reals [n][all], with columns of both views [n][views * all] */
    METHOD_PICKS,      /* int32 [views][n][neighbours]; each view begins with its chosen n */
    METHOD_SCORES,     /* their cosines, reals likewise */
    METHOD_WEIGHTS,    /* reals [n][neighbours]: of one view's soft neighbours */
    METHOD_STANDARD,   /* scratch of a decorrelation, as are the next three */
    METHOD_MATRIX,
    METHOD_AFFINE,
    METHOD_STATISTICS,
    METHOD_BLOCKS
} nnclr_method_block;

enum { METHOD_LOSS, METHOD_CORRECT, METHOD_SQUARED_NORM, METHOD_PRODUCT, METHOD_NUMBERS };

struct nnclr_method {
    nnclr_recipe recipe;
    double weight[NNCLR_TERMS]; /* of its terms, at the last compute */
    nnclr_method_parts parts;
    nnclr_engine *engine;
    int n, d, all;
    size_t parameter_count;
    int features, projection, projection_unit; /* values of the network */
    int prediction, prediction_unit; /* those of the projection if there is no predictor */
    int candidate;                   /* one of the two: what the loss compares */

    void *arena; /* engine memory */
    size_t arena_bytes;
    void *block[METHOD_BLOCKS];

    int32_t *found, *pick;   /* host: [views][n][neighbours]; the chosen ones, [views][n] */
    int *choice;             /* which of the neighbours that is, [views][n] */
    double *share;           /* scores, then weights of soft neighbours, [n][neighbours] */
    int64_t *record, *label; /* of all ranks, [all], with room for [views][all] */
    int32_t *picked;         /* likewise [views][all], as is the next: what is measured */
    double *cosine;
    nnclr_buffer scratch;
    double loss, gradient_norm;
};

static inline void *nnclr_method_scalar(const nnclr_method *method, int which) {
    return nnclr_real_at(method->engine, method->block[METHOD_SCALARS], (size_t)which);
}

/* The first of this rank's rows among those of all ranks. */
static inline int nnclr_method_own_row(const nnclr_method *method) {
    return method->parts.communicator->rank * method->n;
}

/* Those of all ranks: record and label [all]. */
void nnclr_method_gather_records(nnclr_method *method, const nnclr_method_batch *batch);

/* Whether which rows count is decided on the host, in found, pick and choice; otherwise the
 * engine's picks stand. */
bool nnclr_method_chooses(const nnclr_method *method);

/* Adds the term to the loss and, unless `weight` is 0, its gradient to those of the candidates;
 * if it is counted, its right rows to METHOD_CORRECT. */
void nnclr_method_add_term(nnclr_method *method, const nnclr_term *term, double weight);

#endif
