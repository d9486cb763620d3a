/* L-BFGS (Nocedal and Wright, "Numerical Optimization", 2nd ed., algorithms 7.4 and 7.5): minimises
 * a smooth function of many numbers. Steps satisfy the weak Wolfe conditions, found by bisection.
 *
 * Our own, as liblbfgs's function to minimise cannot fail, as ours does when a signal ends the
 * work, and its bits depend on how the package was built. */
#ifndef NNCLR_EVAL_LBFGS_H
#define NNCLR_EVAL_LBFGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The value at x, and its gradient. */
typedef bool (*nnclr_function)(void *context, const double *x, double *value, double *gradient,
                               nnclr_error *e);

typedef struct nnclr_lbfgs_options {
    int iterations;       /* at most */
    double gradient_norm; /* done at a gradient no longer than this */
} nnclr_lbfgs_options;

typedef struct nnclr_lbfgs_result {
    double value, gradient_norm; /* at the x that is returned */
    int iterations;
} nnclr_lbfgs_result;

/* x [n] holds the start and becomes the minimum. If rounding leaves no lower value to be found
 * along a line, the search ends there, which is not an error; a value that is not finite at the
 * start is one. */
bool nnclr_lbfgs(nnclr_function function, void *context, size_t n, double *x,
                 const nnclr_lbfgs_options *options, nnclr_lbfgs_result *result, nnclr_error *e);

#endif
