/* What one step of the method computes: forward of two views, positives from the support set, loss,
 * backward; and after the optimiser's step, the enqueue. NNCLR (Dwibedi et al. 2021, eq. 3). */
#ifndef NNCLR_SSL_METHOD_H
#define NNCLR_SSL_METHOD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/communicator.h"
#include "net/execution.h"
#include "ssl/support_set.h"

typedef enum nnclr_positive { NNCLR_POSITIVE_NN, NNCLR_POSITIVE_VIEW } nnclr_positive;

typedef struct nnclr_method_options {
    nnclr_positive positive;
    double temperature;
    int queue;         /* m >= batch */
    bool exclude_self; /* rows of the query's own record are no candidates */
    bool swap;         /* average over both assignments of the views */
} nnclr_method_options;

#endif
