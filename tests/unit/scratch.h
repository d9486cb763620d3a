/* A folder for a test program's files, removed when the program ends, and whole files in memory. */
#ifndef NNCLR_TESTS_SCRATCH_H
#define NNCLR_TESTS_SCRATCH_H

#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/unit/check.h"

static char scratch_folder[200];

static int scratch_remove(const char *path, const struct stat *status, int type, struct FTW *at) {
    (void)status, (void)type, (void)at;
    return remove(path);
}

static void scratch_end(void) {
    nftw(scratch_folder, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* "FOLDER/NAME" in one of eight static buffers, in turn. */
static const char *scratch(const char *name) {
    static char paths[8][400];
    static unsigned turn;
    if (scratch_folder[0] == '\0') {
        const char *base = getenv("TMPDIR");
        snprintf(scratch_folder, sizeof scratch_folder, "%s/nnclr-test.XXXXXX",
                 base && base[0] ? base : "/tmp");
        if (!mkdtemp(scratch_folder))
            abort();
        atexit(scratch_end);
    }
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_folder, name);
    return path;
}

static inline nnclr_buffer scratch_read(const char *path) {
    nnclr_buffer bytes = {0};
    nnclr_error e = NNCLR_NO_ERROR;
    CHECK_SAYS(nnclr_file_read(path, SIZE_MAX / 2, &bytes, &e), "%s", e.message);
    return bytes;
}

static inline void scratch_write(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    size_t written = size > 0 ? fwrite(bytes, 1, size, file) : 0;
    CHECK(fclose(file) == 0 && written == size);
}

/* Runs a shell command in the folder; true: the command is there and succeeded. */
static inline bool scratch_run(const char *command) {
    char line[1500];
    scratch("");
    snprintf(line, sizeof line, "cd '%s' && { %s; } >/dev/null 2>&1", scratch_folder, command);
    return system(line) == 0;
}

#endif
