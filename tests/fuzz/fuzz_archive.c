/* Foreign archives of pictures, in any compression. */
#include <string.h>

#include "image/picture_source.h"
#include "tests/fuzz/support.h"

enum { MEMBER_LIMIT = 1 << 16 };

static void check_entries(nnclr_source *source) {
    nnclr_buffer bytes = {0};
    FUZZ_REQUIRE(nnclr_source_count(source) > 0);
    for (size_t i = 0; i < nnclr_source_count(source); i++) {
        nnclr_error e = NNCLR_NO_ERROR;
        nnclr_source_entry entry = nnclr_source_entry_at(source, i);
        FUZZ_REQUIRE(entry.name[0] != '\0' && entry.label >= -1);
        FUZZ_REQUIRE(entry.label < (int64_t)nnclr_source_class_count(source));
        if (nnclr_source_read(source, i, &bytes, &e))
            FUZZ_REQUIRE(bytes.size <= MEMBER_LIMIT);
        else
            fuzz_refused(&e);
    }
    nnclr_buffer_free(&bytes);
}

static void try(const char *path, const char *root) {
    nnclr_error e = NNCLR_NO_ERROR;
    const nnclr_source_options options = {
        .inputs = &path, .input_count = 1, .root = root, .file_limit = MEMBER_LIMIT};
    nnclr_source *source = nnclr_source_open(&options, &e);
    if (source)
        check_entries(source);
    else
        fuzz_refused(&e);
    nnclr_source_close(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    try(path, NULL);
    try(path, "photos");
    return 0;
}

FUZZ_MUTATED_BY(fuzz_mutate_tar)
