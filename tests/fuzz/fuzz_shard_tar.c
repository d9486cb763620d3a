/* Shards that were unpacked: read from front to back as the tar that they are. */
#include "tests/fuzz/shard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_shard(data, size);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    return fuzz_mutate_tar(data, size, most, seed);
}
