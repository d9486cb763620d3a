/* test_bf16_layers.c with three bfloat16 to a value. */
#define NNCLR_TILE_PARTS 3
#include "tests/unit/test_bf16_layers.c"
