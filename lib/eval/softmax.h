/* Softmax regression: the mean cross-entropy of a linear classifier and its gradient, over rows in
 * engine memory. The last number of every row is 1, so that the last column of the weights is the
 * bias. Products are the engine's; weights, losses and sums over rows are double. */
#ifndef NNCLR_EVAL_SOFTMAX_H
#define NNCLR_EVAL_SOFTMAX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/progress.h"
#include "engine/engine.h"

typedef struct nnclr_softmax nnclr_softmax;

/* For rows of `columns` numbers and weights [classes][columns]. One thread, that of the engine,
 * uses it at a time. */
nnclr_softmax *nnclr_softmax_create(nnclr_engine *engine, int columns, int classes, nnclr_error *e);
void nnclr_softmax_free(nnclr_softmax *s); /* NULL is fine */

/* Counts rows as a loss goes over them; NULL: nobody listens. */
void nnclr_softmax_watch(nnclr_softmax *s, const nnclr_progress *progress);

/* *loss = mean over the rows of -log softmax(weights row)[label]. rows: reals [n][columns], n >= 1;
 * label [n] in [0, classes). gradient [classes][columns] is overwritten; NULL: not wanted. */
bool nnclr_softmax_loss(nnclr_softmax *s, const void *rows, const int64_t *label, int64_t n,
                        const double *weights, double *loss, double *gradient, nnclr_error *e);

/* Called with the probabilities [classes] of row `row` (from 0), from any thread. */
typedef void (*nnclr_softmax_take)(void *context, int64_t row, const double *probability);

bool nnclr_softmax_each(nnclr_softmax *s, const void *rows, int64_t n, const double *weights,
                        nnclr_softmax_take take, void *context, nnclr_error *e);

#endif
