/* test_bf16_steps.c with three bfloat16 to a value. */
#define NNCLR_TILE_PARTS 3
#include "tests/unit/test_bf16_steps.c"
