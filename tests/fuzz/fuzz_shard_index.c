/* The index of a shard: the document, and the frame around it. */
#include <string.h>

#include "io/shard_parts.h"
#include "tests/fuzz/support.h"

/* What was parsed and sorted comes back from what is printed of it. */
static void print_again(const nnclr_index *index) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_buffer first = {0}, second = {0};
    nnclr_index again = {0};
    FUZZ_OK(nnclr_index_print(index, &first, &e), &e);
    FUZZ_OK(nnclr_index_parse(first.data, first.size, &again, &e), &e);
    FUZZ_OK(nnclr_index_print(&again, &second, &e), &e);
    FUZZ_REQUIRE(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    nnclr_index_free(&again);
    nnclr_buffer_free(&second);
    nnclr_buffer_free(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_index index = {0};
    if (nnclr_index_parse(data, size, &index, &e) && nnclr_index_sort(&index, &e))
        print_again(&index);
    else
        fuzz_refused(&e);
    nnclr_index_free(&index);

    nnclr_buffer content = {0};
    if (!nnclr_index_unpack(data, size, &content, &e))
        fuzz_refused(&e);
    nnclr_buffer_free(&content);
    return 0;
}

FUZZ_MUTATED_BY(fuzz_mutate_tensors)
