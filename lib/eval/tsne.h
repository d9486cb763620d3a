/* t-SNE with the approximation of Barnes and Hut (van der Maaten, "Accelerating t-SNE using
 * tree-based algorithms", JMLR 2014): places in the plane for points of which only the nearest
 * neighbours are known, such that neighbours lie together. Nothing depends on the number of
 * threads. */
#ifndef NNCLR_EVAL_TSNE_H
#define NNCLR_EVAL_TSNE_H

#include "base/progress.h"
#include "base/threads.h"
#include "eval/neighbours.h"

enum {
    NNCLR_TSNE_MOST = 1 << 20, /* points */
    NNCLR_TSNE_STEPS = 750,
    NNCLR_TSNE_EARLY = 250 /* steps with exaggerated affinities */
};

/* p_ij = p_ji, which are > 0 only for neighbours and add up to 1: those of point i are at
 * [first[i], first[i + 1]), by ascending `other`. */
typedef struct nnclr_affinities {
    int n;
    size_t *first; /* [n + 1] and one more */
    int *other;
    double *p;
} nnclr_affinities;

/* From the k nearest of each of n points [n][k], as nnclr_nearest has them: squared distances are
 * 2 - 2 cosine. Each point's bandwidth is such that 2^entropy of p_j|i is `perplexity` >= 1, or as
 * near as its neighbours allow. Called from the thread that drives the pool's work. */
bool nnclr_affinities_make(nnclr_pool *pool, const nnclr_neighbour *neighbours, int64_t n, int k,
                           double perplexity, nnclr_affinities *out, nnclr_error *e);
void nnclr_affinities_free(nnclr_affinities *affinities); /* a zeroed one is fine */

/* How good places y [n][2] are, and how to improve them. */
typedef struct nnclr_tsne nnclr_tsne;
nnclr_tsne *nnclr_tsne_create(nnclr_pool *pool, const nnclr_affinities *affinities, nnclr_error *e);
void nnclr_tsne_free(nnclr_tsne *tsne); /* NULL is fine */

/* The gradient [n][2] of the Kullback-Leibler divergence of `exaggeration` times p from the places'
 * own affinities. Cells of the tree that look smaller than `theta` <= 0.7 (side over distance)
 * count as one point; 0: none do. */
void nnclr_tsne_gradient(nnclr_tsne *tsne, const double *y, double exaggeration, double theta,
                         double *gradient);
/* That divergence, for p as it is. */
double nnclr_tsne_divergence(nnclr_tsne *tsne, const double *y, double theta);

/* Moves the places by gradient descent with momentum and gains, as scikit-learn does. They should
 * begin as a tiny picture of the whole, such as principal components. */
bool nnclr_tsne_descend(nnclr_tsne *tsne, double *y, const nnclr_progress *progress,
                        nnclr_error *e);

#endif
