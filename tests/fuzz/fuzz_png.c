/* Pictures: PNG by image/png.c. */
#include "tests/fuzz/picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_picture(data, size);
    return 0;
}

FUZZ_MUTATED_BY(fuzz_mutate_png)
