/* The header of a safetensors document. */
#include <string.h>

#include "io/tensor_file.h"
#include "tests/fuzz/support.h"

/* What was parsed comes back from what is printed of it. */
static void print_again(const nnclr_tensor_header *header) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_buffer printed = {0};
    nnclr_tensor_header again;
    size_t need;
    FUZZ_OK(nnclr_tensor_header_print(header->infos, header->count, header->metadata, &printed, &e),
            &e);
    FUZZ_OK(nnclr_tensor_header_parse(printed.data, printed.size, "again", &again, &need, &e), &e);
    FUZZ_REQUIRE(again.count == header->count && again.data_bytes == header->data_bytes);
    for (size_t i = 0; i < header->count; i++) {
        const nnclr_tensor_info *a = &header->infos[i], *b = &again.infos[i];
        FUZZ_REQUIRE(strcmp(a->name, b->name) == 0 && a->dtype == b->dtype && a->rank == b->rank);
        FUZZ_REQUIRE(memcmp(a->dims, b->dims, sizeof a->dims) == 0);
        FUZZ_REQUIRE(header->offsets[i] == again.offsets[i]);
        FUZZ_REQUIRE(nnclr_tensor_bytes(a) <= header->data_bytes - header->offsets[i]);
    }
    nnclr_tensor_header_free(&again);
    nnclr_buffer_free(&printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_tensor_header header;
    size_t need;
    if (nnclr_tensor_header_parse(data, size, "fuzz", &header, &need, &e)) {
        print_again(&header);
        nnclr_tensor_header_free(&header);
    } else if (need > 0) {
        FUZZ_REQUIRE(need > size);
    } else {
        fuzz_refused(&e);
    }
    return 0;
}

FUZZ_MUTATED_BY(fuzz_mutate_tensors)
