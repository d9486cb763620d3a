/* What the fuzz targets share.
 *
 * A target gets bytes that somebody might hand to a program of ours, and gives them to the library.
 * Whatever they are, the library either reads them, and then what it says about them is within its
 * own bounds, or refuses them with one sentence. Everything else is a finding: a crash, a
 * sanitiser's report, a leak, a hang, memory without bound, or a FUZZ_REQUIRE that does not hold.
 *
 * The same sources are built twice: with libFuzzer, and with replay.c, which runs given files. */
#ifndef NNCLR_TESTS_FUZZ_SUPPORT_H
#define NNCLR_TESTS_FUZZ_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/strings.h"

/* The interface of libFuzzer. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

#define FUZZ_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The library has failed: it must have said why, and the fault must be the input's. Memory is never
 * short here, so that asking for more than there is counts as a finding. */
void fuzz_refused(const nnclr_error *e);
extern bool fuzz_tells; /* what was refused, and why: on standard error */
/* For what must succeed. */
#define FUZZ_OK(call, e) ((call) ? (void)0 : fuzz_failed(#call, e))
void fuzz_failed(const char *what, const nnclr_error *e);

/* The path of a file in memory that holds these bytes, until the next call. */
const char *fuzz_file(const void *data, size_t size);
/* A folder for this process only, with nothing in it at first; removed when it ends. */
const char *fuzz_folder(void);
/* Replaces FOLDER/NAME. */
void fuzz_write(const char *name, const void *data, size_t size);

/* ---- files that are valid except for their content ----
 *
 * Random changes never reach what is behind a checksum or a length. So some inputs are changed in
 * parts, and the checksums made to fit again (a mutator); others are not files but say how to make
 * one (fuzz_assemble). */

/* The bytes of a file from sections, each of which is a byte that says what it is, the length of
 * the content (two bytes, little-endian; a section at the end may be cut), and the content. */
enum {
    FUZZ_RAW,   /* the content as it is */
    FUZZ_FRAME, /* a zstd frame of it */
    FUZZ_TAR,   /* the same, with the checksums of tar headers made to fit */
    FUZZ_INDEX, /* a shard's index frame around it */
    FUZZ_SKIP,  /* a skippable frame around it */
    FUZZ_TABLE, /* a seek table of all frames so far; no content */
    FUZZ_SECTIONS
};
void fuzz_assemble(const uint8_t *data, size_t size, nnclr_buffer *file);

/* Makes the checksums of all tar headers fit. */
void fuzz_fix_tar(uint8_t *data, size_t size);

/* The target's inputs are changed by one of the following. */
#define FUZZ_MUTATED_BY(mutator)                                                                   \
    size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {       \
        return mutator(data, size, most, seed);                                                    \
    }

/* Mutators: most of the time they make the checksums or lengths fit, at times they do not. */
size_t fuzz_mutate_tar(uint8_t *data, size_t size, size_t most, unsigned seed);
size_t fuzz_mutate_png(uint8_t *data, size_t size, size_t most, unsigned seed);
/* A plain safetensors document: changes header or data, and notes the header's length. */
size_t fuzz_mutate_tensors(uint8_t *data, size_t size, size_t most, unsigned seed);
/* Sections: changes one of them, and notes its length. */
size_t fuzz_mutate_sections(uint8_t *data, size_t size, size_t most, unsigned seed);

#endif
