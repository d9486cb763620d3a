/* run.json, as --resume reads it. */
#include <string.h>

#include "base/memory.h"
#include "tests/fuzz/support.h"
#include "train/run_description.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_write("run.json", data, size);
    for (int views = 0; views < 2; views++) {
        nnclr_error e = NNCLR_NO_ERROR;
        char **files = nnclr_run_files(fuzz_folder(), views != 0, &e);
        if (!files) {
            /* What the user must give instead is a matter of usage. */
            FUZZ_REQUIRE(e.code == NNCLR_ERROR_INPUT || e.code == NNCLR_ERROR_USAGE);
            FUZZ_REQUIRE(e.message[0] != '\0');
            continue;
        }
        FUZZ_REQUIRE(files[0] != NULL);
        for (size_t i = 0; files[i]; i++)
            FUZZ_REQUIRE(strcmp(files[i], "-") != 0);
        nnclr_free(files);
    }
    return 0;
}
