/* What one step of fine-tuning computes: one view of each picture through backbone and classifier,
 * the mean cross-entropy of its softmax with the pictures' labels, and back through everything.
 *
 *   loss = mean_i( logsumexp_c l[i][c] - l[i][label_i] ),  d loss / d l = (softmax(l) - onehot) / n
 *
 * The rows of logits pass through the host, where the sums are double on every engine. One thread
 * drives it. */
#ifndef NNCLR_SSL_CLASSIFICATION_H
#define NNCLR_SSL_CLASSIFICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "net/pass.h"

typedef struct nnclr_classification nnclr_classification;

/* `pass` and `communicator` are the caller's and outlive the result. The pass has one group, of
 * this rank's n pictures, and its network has "logits". */
nnclr_classification *nnclr_classification_create(nnclr_pass *pass,
                                                  nnclr_communicator *communicator, nnclr_error *e);
void nnclr_classification_free(nnclr_classification *c); /* NULL is fine */

/* views [n][h][w][3], normalised; label [n], each one of the classes. The parameters' gradients are
 * then those of the mean loss over all ranks. */
bool nnclr_classification_compute(nnclr_classification *c, const float *views, const int64_t *label,
                                  nnclr_error *e);
/* From the last compute, of all ranks: the loss, the norm of its gradient, the share of pictures
 * whose largest logit is their label's (the first of equals wins). */
double nnclr_classification_loss(const nnclr_classification *c);
double nnclr_classification_gradient_norm(const nnclr_classification *c);
double nnclr_classification_accuracy(const nnclr_classification *c);

/* Memory of a classification of n pictures, in addition to the pass. */
size_t nnclr_classification_bytes(int n, int classes);

/* -log softmax(logits)[label] of one row; `probability` [classes] becomes the softmax, and may be
 * `logits`. */
double nnclr_label_loss(const double *logits, int classes, int64_t label, double *probability);

#endif
