/* Embedding files. */
#include "eval/row_set.h"
#include "tests/fuzz/support.h"

static void check_rows(nnclr_embedding *x) {
    nnclr_error e = NNCLR_NO_ERROR;
    const size_t n = (size_t)x->rows.n, d = (size_t)x->rows.d;
    int64_t *labels = malloc(n * sizeof *labels);
    float *row = malloc(d * sizeof *row);
    FUZZ_REQUIRE(n >= 1 && d >= 1 && labels && row);
    FUZZ_OK(nnclr_embedding_map_labels(x, x, labels, &e), &e);
    for (size_t i = 0; i < n; i++) {
        FUZZ_REQUIRE(labels[i] == x->label[i] && x->record[i] >= 0 && x->names[i] != NULL);
        if (!x->rows.read(&x->rows, (int64_t)i, 1, row, &e))
            fuzz_refused(&e);
    }
    free(row);
    free(labels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_row_set set;
    if (nnclr_row_set_open(&set, fuzz_file(data, size), &e)) {
        if (!set.reader) /* otherwise it is a checkpoint, which fuzz_checkpoint looks at */
            check_rows(&set.embedding);
        nnclr_row_set_close(&set);
    } else {
        fuzz_refused(&e);
    }
    return 0;
}

FUZZ_MUTATED_BY(fuzz_mutate_tensors)
