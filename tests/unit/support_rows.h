/* The rows of a support set, on the host. */
#ifndef NNCLR_TESTS_SUPPORT_ROWS_H
#define NNCLR_TESTS_SUPPORT_ROWS_H

#include "ssl/support_set.h"

/* [m][d] */
static inline void support_rows(const nnclr_support_set *s, double *rows) {
    const nnclr_engine_table *table = s->engine->table;
    table->get(s->engine, table->search_rows(s->engine, s->search), (size_t)s->m * (size_t)s->d,
               NNCLR_F64, rows);
}

#endif
