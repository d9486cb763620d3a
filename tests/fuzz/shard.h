/* What must hold for any file that is taken for a shard. */
#ifndef NNCLR_TESTS_FUZZ_SHARD_H
#define NNCLR_TESTS_FUZZ_SHARD_H

#include "io/shard.h"
#include "tests/fuzz/support.h"

static inline void fuzz_read_shard(nnclr_shard_set *set) {
    nnclr_buffer bytes = {0};
    const size_t classes = nnclr_shard_set_class_count(set);
    FUZZ_REQUIRE(nnclr_shard_set_count(set) > 0);
    for (size_t i = 0; i < nnclr_shard_set_count(set); i++) {
        nnclr_error e = NNCLR_NO_ERROR;
        const nnclr_record record = nnclr_shard_set_record(set, i);
        FUZZ_REQUIRE(record.name != NULL && record.width >= 1 && record.height >= 1);
        FUZZ_REQUIRE(record.label >= -1 && record.label < (int64_t)classes);
        FUZZ_REQUIRE(record.label < 0 || nnclr_shard_set_class(set, (size_t)record.label));
        FUZZ_REQUIRE(record.codec < NNCLR_CODECS && nnclr_codecs[record.codec].name != NULL);
        if (nnclr_shard_set_read(set, i, &bytes, &e))
            FUZZ_REQUIRE(bytes.size == record.size);
        else
            fuzz_refused(&e);
    }
    nnclr_buffer_free(&bytes);
}

static inline void fuzz_shard(const void *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    const char *path = fuzz_file(data, size);
    nnclr_shard_set *set = nnclr_shard_set_open(&path, 1, 1 << 20, &e);
    if (!set) {
        fuzz_refused(&e);
        return;
    }
    fuzz_read_shard(set);
    nnclr_json *config = nnclr_json_object(&e);
    nnclr_json *metadata = nnclr_shard_set_metadata(set, config, &e);
    FUZZ_OK(metadata != NULL, &e);
    nnclr_json_free(metadata);
    nnclr_json_free(config);
    nnclr_shard_set_close(set);
}

#endif
