/* The orientation in a TIFF structure. */
#include "image/exif.h"
#include "tests/fuzz/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int orientation = nnclr_exif_orientation(data, size);
    FUZZ_REQUIRE(orientation >= 1 && orientation <= 8);
    return 0;
}
