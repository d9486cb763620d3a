/* Names of the entries of an engine's table, for engines that have functions of the same names,
 * whose types are the table's. open, close, tensor_bytes, upload, download and search_create are
 * apart. */
#ifndef NNCLR_ENGINE_ENTRIES_H
#define NNCLR_ENGINE_ENTRIES_H

#include "engine/engine.h"

/* clang-format off */
#define ENTRIES_OF_ROWS(each) \
    each(statistics_bytes) each(arena_create) each(arena_free) each(zero) each(copy) each(put) \
    each(get) each(put_statistics) each(get_statistics) each(sync) each(batchnorm_running) \
    each(linear_forward) each(linear_backward_data) each(linear_backward_weights) \
    each(l2norm_forward) each(l2norm_backward) each(gemm) each(cross_entropy) each(decorrelation) \
    each(gather) each(dot) each(blend) each(search_free) each(search_rows) each(search_update) \
    each(search_nearest) each(get_picks) each(put_picks) each(update)
#define ENTRIES_OF_ACTIVATIONS(each) \
    each(conv_plan) each(conv_plan_free) each(conv_pack) each(conv_forward) \
    each(conv_backward_data) each(conv_backward_weights) each(batchnorm_sums) \
    each(batchnorm_train) each(batchnorm_evaluate) each(batchnorm_slopes) \
    each(batchnorm_backward) each(maxpool_forward) each(maxpool_backward) each(average_forward) \
    each(average_backward)
/* clang-format on */

#define ENTRY_TYPE(name) __typeof__(*((nnclr_engine_table *)NULL)->name)

#endif
