/* The formulas of batch norm for a stripe of channels, which do not depend on how a tensor is laid
 * out in memory. */
#ifndef NNCLR_ENGINE_CPU_BATCHNORM_H
#define NNCLR_ENGINE_CPU_BATCHNORM_H

#include "engine/cpu/cpu.h"

/* y = x scale + shift */
typedef struct affine {
    real scale[MAX_LANES], shift[MAX_LANES];
} affine;

/* dx = scale (dz - mean(dz) - xhat mean(dz xhat)) = scale dz + slope (x - mean) + shift */
typedef struct gradient {
    real scale[MAX_LANES], slope[MAX_LANES], shift[MAX_LANES], mean[MAX_LANES];
} gradient;

/* Sums to mean and inverse deviation, and into the pool, group after group. */
void CPU(finish_statistics)(const nnclr_batchnorm *bn);
/* From the statistics of the group, or from the running ones. */
void CPU(fill_affine)(const nnclr_batchnorm *bn, bool running, int group, const stripe *s,
                      affine *a);
void CPU(fill_means)(const nnclr_batchnorm *bn, int group, const stripe *s, real *mean);
/* From the sums over a group of dz and dz (x - mean): slopes, dgamma and dbeta. The first group
 * overwrites the last two if they are not to be added to, the others add. */
void CPU(finish_slopes)(const nnclr_batchnorm *bn, int group, const stripe *s, const double *sum,
                        const double *product);
/* From the slopes of the group. */
void CPU(fill_gradient)(const nnclr_batchnorm *bn, int group, const stripe *s, gradient *out);

#endif
