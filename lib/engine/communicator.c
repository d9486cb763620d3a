#include "engine/communicator.h"

#include <string.h>

static void mean_of_one(nnclr_communicator *c, nnclr_engine *g, void *reals, size_t count) {
    (void)c, (void)g, (void)reals, (void)count;
}

static void copy_reals(nnclr_communicator *c, nnclr_engine *g, const void *from, size_t count,
                       void *to) {
    (void)c;
    if (to != from)
        g->table->copy(g, to, from, count * nnclr_real_bytes(g));
}

static void copy_integers(nnclr_communicator *c, const int64_t *from, size_t count, int64_t *to) {
    (void)c;
    if (to != from && count > 0)
        memcpy(to, from, count * sizeof *to);
}

static const nnclr_communicator_table self = {
    .name = "self",
    .all_reduce_mean = mean_of_one,
    .all_gather = copy_reals,
    .all_gather_backward = copy_reals,
    .all_gather_int = copy_integers,
};

nnclr_communicator nnclr_communicator_self(void) {
    return (nnclr_communicator){&self, 0, 1};
}
