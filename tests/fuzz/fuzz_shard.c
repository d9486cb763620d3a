/* Shards in zstd, with or without index and seek table, made from sections. */
#include "tests/fuzz/shard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnclr_buffer file = {0};
    fuzz_assemble(data, size, &file);
    fuzz_shard(file.data, file.size);
    nnclr_buffer_free(&file);
    return 0;
}

FUZZ_MUTATED_BY(fuzz_mutate_sections)
