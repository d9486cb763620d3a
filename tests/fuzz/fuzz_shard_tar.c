/* Shards that were unpacked: read from front to back as the tar that they are. */
#include "tests/fuzz/shard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_shard(data, size);
    return 0;
}

FUZZ_MUTATED_BY(fuzz_mutate_tar)
