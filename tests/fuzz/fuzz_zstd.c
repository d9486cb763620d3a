/* zstd files made from sections: frames, seek tables, and streams. */
#include <string.h>

#include "io/input.h"
#include "io/zstd_frames.h"
#include "tests/fuzz/support.h"

enum { PEEK = 4096, FETCH_LIMIT = 1 << 20 };

static void check_table(const uint8_t *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_seek_table table = {0};
    nnclr_buffer printed = {0};
    if (nnclr_seek_table_parse(data, size, &table, &e)) {
        FUZZ_OK(nnclr_seek_table_append(&table, &printed, &e), &e);
        /* One without checksums is printed with them. */
        FUZZ_REQUIRE(table.unchecked ||
                     (printed.size == size && memcmp(printed.data, data, size) == 0));
    } else {
        fuzz_refused(&e);
    }
    nnclr_buffer_free(&printed);
    nnclr_seek_table_free(&table);
}

static void load_frames(const nnclr_input *input) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_seek_table table = {0};
    nnclr_seek_state state = nnclr_seek_table_read(input->fd, input->size, input->name, &table, &e);
    if (state == NNCLR_SEEK_FAILED)
        fuzz_refused(&e);
    FUZZ_REQUIRE(state == NNCLR_SEEK_FOUND || table.count == 0);
    for (size_t i = 0; i < table.count; i++) {
        size_t size = table.frames[i].decompressed;
        if (size == 0 || size > FETCH_LIMIT)
            continue;
        void *content = malloc(size);
        FUZZ_REQUIRE(content != NULL);
        if (!nnclr_seek_table_load(&table, i, input->fd, input->name, content, &e))
            fuzz_refused(&e);
        free(content);
    }
    nnclr_seek_table_free(&table);
}

static void walk_frames(const nnclr_input *input) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_buffer frame = {0};
    for (uint64_t at = 0; at < input->size; at += frame.size) {
        if (!nnclr_frame_fetch(input->fd, input->size, at, FETCH_LIMIT, input->name, &frame, &e)) {
            fuzz_refused(&e);
            break;
        }
        FUZZ_REQUIRE(frame.size <= FETCH_LIMIT && frame.size <= input->size - at);
        if (frame.size == 0)
            break;
    }
    nnclr_buffer_free(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_buffer file = {0}, start = {0};
    nnclr_input input;
    check_table(data, size);
    fuzz_assemble(data, size, &file);
    FUZZ_OK(nnclr_input_open(fuzz_file(file.data, file.size), &input, &e), &e);
    load_frames(&input);
    walk_frames(&input);
    if (nnclr_input_peek(&input, PEEK, &start, &e))
        FUZZ_REQUIRE(start.size <= PEEK);
    else
        fuzz_refused(&e);
    if (!nnclr_input_unpack(&input, &e))
        fuzz_refused(&e);
    nnclr_input_close(&input);
    nnclr_buffer_free(&start);
    nnclr_buffer_free(&file);
    return 0;
}

FUZZ_MUTATED_BY(fuzz_mutate_sections)
