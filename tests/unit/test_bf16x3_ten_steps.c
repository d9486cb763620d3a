/* The ten steps of test_ten_steps.c with three bfloat16 to a value, each from the double one's
 * state: three products are as near to PyTorch as its own single precision within an order. */
#define NNCLR_TILE_PARTS 3
#include "tests/unit/bf16_kinds.h"
#include "tests/unit/single_steps.h"

static void open_fastest(fixture *f) {
    bf16_kind kind;
    fastest_kind(&kind);
    open_kind(f, &kind, 2);
}

static const variant three_products = {.open = open_fastest};

static void nnclr_is_near_torch(void) {
    check_single(&nnclr_reference, &three_products, 12, 1e-4);
}

static void simclr_is_near_torch(void) {
    check_single(&simclr_reference, &three_products, 12, 1e-4);
}

int main(void) {
    RUN(nnclr_is_near_torch);
    RUN(simclr_is_near_torch);
    return check_done();
}
