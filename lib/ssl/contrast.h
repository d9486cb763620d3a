/* The contrastive loss on engine memory: softmax cross-entropy over rows of similarities between
 * unit vectors, with its gradient for either side. Callers compose their losses from terms. */
#ifndef NNCLR_SSL_CONTRAST_H
#define NNCLR_SSL_CONTRAST_H

#include <stdbool.h>

#include "engine/engine.h"

/* Adds weight * mean_i( logsumexp_k S[i][k] - S[i][i + target] ), S = rows . columns^T /
 * temperature; decoupled, the sum leaves out the target. */
typedef struct nnclr_contrast_term {
    int n, d, column_count;
    const void *rows;    /* reals [n][d] */
    const void *columns; /* reals [column_count][d] */
    int target, skip;    /* as in nnclr_cross_entropy_call */
    double temperature, weight;
    bool decoupled;
    void *logits;           /* scratch, reals [n][column_count] */
    void *loss, *correct;   /* reals [1], added to; correct may be NULL */
    void *rows_gradient;    /* reals [n][d], added to; NULL: the rows are detached */
    void *columns_gradient; /* reals [column_count][d], added to; NULL: detached */
} nnclr_contrast_term;

void nnclr_contrast(nnclr_engine *engine, const nnclr_contrast_term *term);

#endif
