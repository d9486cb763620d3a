/* metrics.jsonl, from which --resume cuts off what comes after the checkpoint's step. */
#include <string.h>

#include "base/files.h"
#include "io/run_folder.h"
#include "tests/fuzz/support.h"

enum { STEP = 7 };

static nnclr_run *run;

static void close_run(void) {
    nnclr_run_close(run);
}

/* What is left after cutting. */
static void cut(nnclr_buffer *left) {
    nnclr_error e = NNCLR_NO_ERROR;
    char path[500];
    snprintf(path, sizeof path, "%s/metrics.jsonl", nnclr_run_folder(run));
    FUZZ_OK(nnclr_run_metrics_open(run, STEP, &e), &e);
    FUZZ_OK(nnclr_file_read(path, SIZE_MAX / 2, left, &e), &e);
}

/* The lines that are left are some of those that were there, in their order. */
static void check_lines(const uint8_t *data, size_t size, const nnclr_buffer *left) {
    const uint8_t *was = data, *end = data + size;
    FUZZ_REQUIRE(left->size == 0 || left->data[left->size - 1] == '\n');
    for (size_t at = 0; at < left->size;) {
        const uint8_t *line = left->data + at;
        size_t length = (size_t)((uint8_t *)memchr(line, '\n', left->size - at) - line) + 1;
        bool found = false;
        while (!found) {
            const uint8_t *next = was < end ? memchr(was, '\n', (size_t)(end - was)) : NULL;
            FUZZ_REQUIRE(next != NULL);
            found = (size_t)(next + 1 - was) == length && memcmp(was, line, length) == 0;
            was = next + 1;
        }
        at += length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_buffer once = {0}, twice = {0};
    if (!run) {
        fuzz_write("checkpoint.safetensors.zst", data, 0);
        run = nnclr_run_open(fuzz_folder(), NNCLR_RUN_RESUME, &e);
        FUZZ_OK(run != NULL, &e);
        atexit(close_run);
    }
    fuzz_write("metrics.jsonl", data, size);
    cut(&once);
    check_lines(data, size, &once);
    cut(&twice);
    FUZZ_REQUIRE(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
    nnclr_buffer_free(&once);
    nnclr_buffer_free(&twice);
    return 0;
}
