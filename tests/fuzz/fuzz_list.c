/* Lists of files: nnclr-prep --list, and --exclude and --relabel, which take tables too and find
 * names among those of the list. The files themselves are not read. */
#include "image/picture_source.h"
#include "tests/fuzz/support.h"

static void open_list(const nnclr_source_options *options) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_source *source = nnclr_source_open(options, &e);
    if (!source)
        fuzz_refused(&e);
    for (size_t i = 0; source && i < nnclr_source_count(source); i++) {
        nnclr_source_entry entry = nnclr_source_entry_at(source, i);
        FUZZ_REQUIRE(entry.name[0] != '\0' && entry.label >= -1);
        FUZZ_REQUIRE(entry.label < (int64_t)nnclr_source_class_count(source));
    }
    FUZZ_REQUIRE(!source || nnclr_source_relabelled(source) <= nnclr_source_count(source));
    nnclr_source_close(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *file = fuzz_file(data, size);
    nnclr_source_options options = {.list = file, .file_limit = 1};
    open_list(&options);
    options.relabel = file;
    open_list(&options);
    options.exclude = file;
    open_list(&options);
    return 0;
}
