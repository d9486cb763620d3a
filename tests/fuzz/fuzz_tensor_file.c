/* Tensor files: what is asked of one of any kind. A file that does not begin like a document is
 * made from sections. */
#include <string.h>

#include "base/memory.h"
#include "io/tensor_file.h"
#include "tests/fuzz/support.h"

/* A tensor in one piece and in two is the same. */
static void check_tensor(nnclr_tensor_reader *reader, const nnclr_tensor_info *info) {
    nnclr_error e = NNCLR_NO_ERROR;
    const size_t size = nnclr_tensor_bytes(info), half = size / 2;
    char *whole =
        nnclr_tensor_reader_load(reader, info->name, info->dtype, info->rank, info->dims, NULL, &e);
    char *parts = malloc(size ? size : 1);
    FUZZ_REQUIRE(parts != NULL);
    if (whole && nnclr_tensor_reader_read(reader, info, 0, parts, half, &e) &&
        nnclr_tensor_reader_read(reader, info, half, parts + half, size - half, &e))
        FUZZ_REQUIRE(memcmp(whole, parts, size) == 0);
    else
        fuzz_refused(&e);
    free(parts);
    nnclr_free(whole);
}

static void check_file(const void *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    uint32_t crc;
    nnclr_tensor_reader *reader = nnclr_tensor_reader_open(fuzz_file(data, size), &e);
    if (!reader) {
        fuzz_refused(&e);
        return;
    }
    for (size_t i = 0; i < nnclr_tensor_reader_count(reader); i++)
        check_tensor(reader, nnclr_tensor_reader_info(reader, i));
    if (!nnclr_tensor_reader_crc32(reader, &crc, &e))
        fuzz_refused(&e);
    if (!nnclr_tensor_reader_expect(reader, "views", &e))
        fuzz_refused(&e);
    nnclr_tensor_reader *again = nnclr_tensor_reader_dup(reader, &e);
    if (!again)
        fuzz_refused(&e);
    nnclr_tensor_reader_close(again);
    nnclr_tensor_reader_close(reader);
}

static bool is_document(const uint8_t *data, size_t size) {
    return size > 8 && data[8] == '{';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnclr_buffer file = {0};
    if (is_document(data, size)) {
        check_file(data, size);
        return 0;
    }
    fuzz_assemble(data, size, &file);
    check_file(file.data, file.size);
    nnclr_buffer_free(&file);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    return is_document(data, size) ? fuzz_mutate_tensors(data, size, most, seed)
                                   : fuzz_mutate_sections(data, size, most, seed);
}
