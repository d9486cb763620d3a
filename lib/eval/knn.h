/* kNN classification of embeddings (Wu et al. 2018, sec. 3.4): the k rows of TRAIN with the largest
 * cosine vote for their class, each with weight exp(cosine / temperature). Votes are added in
 * double, the nearest first. */
#ifndef NNCLR_EVAL_KNN_H
#define NNCLR_EVAL_KNN_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/classifier.h"
#include "eval/neighbours.h"

/* votes [classes], overwritten: the sum of weights of each class over `count` neighbours, whose
 * classes are label[neighbours[i].row]. A neighbour with row -1 or label -1 does not vote.
 * Temperature: at least 0.002, so that a weight is finite. */
void nnclr_knn_vote(const nnclr_neighbour *neighbours, int count, const int64_t *label,
                    double temperature, double *votes, int64_t classes);

/* The usual value, and the default of nnclr-lineval. */
enum { NNCLR_KNN_K = 200 };
#define NNCLR_KNN_TEMPERATURE 0.1

typedef struct nnclr_knn_options {
    int k; /* at most the number of labelled rows of TRAIN is used */
    double temperature;
    int64_t chunk;                  /* test rows in memory at once; 0: about 128 MiB of them */
    bool leave_one_out;             /* TEST is TRAIN: a row is not a neighbour of itself */
    const nnclr_progress *progress; /* counts test rows; may be NULL */
} nnclr_knn_options;

/* Predicts every row of `test`. train_label [train rows] and test_label [test rows] are in
 * [0, classes), or -1: a train row without a label is never a neighbour, and a bank without any
 * label is refused, as are rows that are not finite. Called from the thread that drives the pool's
 * work. */
bool nnclr_knn_predict(nnclr_pool *pool, const nnclr_row_source *train, const int64_t *train_label,
                       const nnclr_row_source *test, const int64_t *test_label, int64_t classes,
                       const nnclr_knn_options *options, nnclr_prediction *predictions,
                       nnclr_error *e);

#endif
