/* Lists of files: nnclr-prep --list. The files themselves are not read. */
#include "image/picture_source.h"
#include "tests/fuzz/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    const nnclr_source_options options = {.list = fuzz_file(data, size), .file_limit = 1};
    nnclr_source *source = nnclr_source_open(&options, &e);
    if (!source)
        fuzz_refused(&e);
    for (size_t i = 0; source && i < nnclr_source_count(source); i++) {
        nnclr_source_entry entry = nnclr_source_entry_at(source, i);
        FUZZ_REQUIRE(entry.name[0] != '\0' && entry.label >= -1);
        FUZZ_REQUIRE(entry.label < (int64_t)nnclr_source_class_count(source));
    }
    nnclr_source_close(source);
    return 0;
}
