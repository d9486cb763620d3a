/* Files of views. */
#include "image/views_file.h"
#include "tests/fuzz/support.h"

enum { ROWS_MOST = 64, ROW_MOST = 1 << 20 };

static void check_views(nnclr_views *views) {
    nnclr_error e = NNCLR_NO_ERROR;
    const size_t count = nnclr_views_count(views), side = (size_t)nnclr_views_size(views);
    const size_t row = 3 * side * side;
    FUZZ_REQUIRE(count >= 1 && side >= 1);
    for (size_t i = 0; i < count; i++) {
        int64_t label = nnclr_views_label(views)[i];
        FUZZ_REQUIRE(nnclr_views_record(views)[i] >= 0 && label >= -1);
        if (label >= 0 && nnclr_views_class_count(views) > 0)
            FUZZ_REQUIRE(nnclr_views_class(views, (size_t)label) != NULL);
    }
    float *rows = malloc(row * sizeof *rows);
    FUZZ_REQUIRE(rows != NULL && row <= ROW_MOST);
    for (size_t i = 0; i < count && i < ROWS_MOST; i++)
        for (int view = 0; view < 2; view++) {
            if (!nnclr_views_read(views, view, i, 1, rows, &e)) {
                fuzz_refused(&e);
                continue;
            }
            for (size_t j = 0; j < row; j++)
                FUZZ_REQUIRE(rows[j] > -0.01f && rows[j] < 1.01f);
        }
    free(rows);
    nnclr_json *identity = nnclr_views_identity(views, &e);
    if (!identity)
        fuzz_refused(&e);
    nnclr_json_free(identity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnclr_error e = NNCLR_NO_ERROR;
    nnclr_views *views = nnclr_views_open(fuzz_file(data, size), &e);
    if (views)
        check_views(views);
    else
        fuzz_refused(&e);
    nnclr_views_close(views);
    return 0;
}

FUZZ_MUTATED_BY(fuzz_mutate_tensors)
