/* An input file that can be read at offsets and more than once. What is not a regular file
 * (standard input from a pipe, a FIFO) is spooled: in memory while it is small, then in an unlinked
 * file. */
#ifndef NNCLR_IO_INPUT_H
#define NNCLR_IO_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strings.h"

typedef struct nnclr_input {
    int fd; /* -1: not open */
    uint64_t size;
    char *name; /* owned; for messages: the path, or "standard input" */
} nnclr_input;

/* PATH "-" is standard input. */
bool nnclr_input_open(const char *path, nnclr_input *input, nnclr_error *e);
/* The same for a reader from start to end: nothing is spooled, and `size` is what stat(2) says. */
bool nnclr_input_open_once(const char *path, nnclr_input *input, nnclr_error *e);
/* Refuses paths of which more than one is standard input. */
bool nnclr_input_check(const char *const *paths, size_t count, nnclr_error *e);
/* The same content once more; each of the two must be closed. */
bool nnclr_input_dup(const nnclr_input *input, nnclr_input *again, nnclr_error *e);
/* Also for one that is zeroed or whose opening failed. */
void nnclr_input_close(nnclr_input *input);

/* Replaces the input's zstd bytes with their content, in an unlinked file. */
bool nnclr_input_unpack(nnclr_input *input, nnclr_error *e);
/* Appends the first bytes of the content to `out`, decompressed if the input is zstd, at most
 * `size`; fewer only if it holds no more. Checksums may not have been checked yet. */
bool nnclr_input_peek(const nnclr_input *input, size_t size, nnclr_buffer *out, nnclr_error *e);

#define NNCLR_SHARD_FIRST "__nnclr__/shard" /* name of a shard's first tar member */

/* Is `name` that of the member `wanted` (NNCLR_SHARD_FIRST, ...)? Older shards have ".json" after
 * it, which makes some readers of WebDataset take it for a record. */
bool nnclr_is_shard_member(const char *name, const char *wanted);

typedef enum nnclr_content {
    NNCLR_CONTENT_SHARD,
    NNCLR_CONTENT_TAR, /* any other */
    NNCLR_CONTENT_TENSORS,
    NNCLR_CONTENT_OTHER
} nnclr_content;

/* What a content is, by its first bytes (512 of them are enough). */
nnclr_content nnclr_content_of(const unsigned char *bytes, size_t size);

#endif
