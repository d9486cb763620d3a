/* Runs a fuzz target over given files and folders of files, if there is no libFuzzer. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/files.h"
#include "tests/fuzz/support.h"

/* The mutators of a target are not used here, but must find it. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most) {
    (void)data, (void)most;
    return size;
}

static int count;

static void run_file(const char *path) {
    nnclr_buffer bytes = {0};
    nnclr_error e = NNCLR_NO_ERROR;
    FUZZ_OK(nnclr_file_read(path, 1 << 24, &bytes, &e), &e);
    /* A block of its own of exactly that size, so that a sanitiser sees its end. */
    uint8_t *data = malloc(bytes.size ? bytes.size : 1);
    FUZZ_REQUIRE(data != NULL);
    if (bytes.size > 0)
        memcpy(data, bytes.data, bytes.size);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, bytes.size);
    free(data);
    nnclr_buffer_free(&bytes);
    count++;
}

static void run_folder(const char *path) {
    struct dirent **entries;
    int found = scandir(path, &entries, NULL, alphasort);
    FUZZ_REQUIRE(found >= 0);
    for (int i = 0; i < found; i++) {
        nnclr_buffer name = {0};
        nnclr_error e = NNCLR_NO_ERROR;
        if (entries[i]->d_name[0] != '.') {
            FUZZ_OK(nnclr_buffer_printf(&name, &e, "%s/%s", path, entries[i]->d_name), &e);
            run_file((const char *)name.data);
        }
        nnclr_buffer_free(&name);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv) {
    LLVMFuzzerInitialize(&argc, &argv);
    fuzz_tells = true;
    for (int i = 1; i < argc; i++) {
        struct stat status;
        if (stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode))
            run_folder(argv[i]);
        else
            run_file(argv[i]);
    }
    printf("%d files\n", count);
    return count > 0 ? 0 : 1;
}
