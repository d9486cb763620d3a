/* Tensor files: one safetensors document, in zstd frames with a seek table (NAME.safetensors.zst),
 * or plain (NAME.safetensors); nnclr-tensor(5) describes the format. Readers take either, also from
 * a pipe, and tell them apart by their first bytes.
 *
 * A reader is used by one thread at a time. Our own code: the safetensors library is Rust's, and
 * maps a plain file, where these come in frames and through pipes. */
#ifndef NNCLR_IO_TENSOR_FILE_H
#define NNCLR_IO_TENSOR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/error.h"
#include "base/strings.h"
#include "io/json.h"

enum { NNCLR_TENSOR_RANK = 8, NNCLR_TENSOR_FORMAT = 1 };

typedef struct nnclr_tensor_info {
    const char *name; /* writer: the caller's, until open returns; reader: the file's */
    nnclr_dtype dtype;
    int rank; /* 0: a scalar */
    int64_t dims[NNCLR_TENSOR_RANK];
} nnclr_tensor_info;

/* Product of the dims; 1 for a scalar. Infos that a reader returns cannot overflow. */
int64_t nnclr_tensor_elements(const nnclr_tensor_info *info);
size_t nnclr_tensor_bytes(const nnclr_tensor_info *info);

/* A safetensors document in memory (the index of a shard): names, shapes, and where the data
 * are. */
typedef struct nnclr_tensor_header {
    nnclr_tensor_info *infos; /* owned, in file order */
    uint64_t *offsets;        /* of each tensor's data, from the end of the header */
    size_t count;
    uint64_t header_bytes; /* 8 + JSON with padding */
    uint64_t data_bytes;
    nnclr_json *metadata; /* owned; NULL if the document has none */
} nnclr_tensor_header;

/* Parses and checks the header at the start of `bytes`, which need not hold the data: sizes match
 * shapes, offsets lie back to back without holes or overlaps, names are unique. When `size` is too
 * small to hold the header, *need is set to the bytes that are needed and *e is left alone. */
bool nnclr_tensor_header_parse(const unsigned char *bytes, size_t size, const char *what,
                               nnclr_tensor_header *out, size_t *need, nnclr_error *e);
/* Refuses a document of a newer nnclr.format; one of another program has none. */
bool nnclr_tensor_header_check_format(const nnclr_tensor_header *header, const char *what,
                                      nnclr_error *e);
void nnclr_tensor_header_free(nnclr_tensor_header *header);
/* Appends length, JSON and padding for tensors laid back to back in the given order. `metadata`
 * (may be NULL) is an object whose values are strings. */
bool nnclr_tensor_header_print(const nnclr_tensor_info *infos, size_t count,
                               const nnclr_json *metadata, nnclr_buffer *out, nnclr_error *e);

typedef struct nnclr_tensor_reader nnclr_tensor_reader;

/* PATH "-" is standard input; a folder is a RUN, whose newest checkpoint is opened. A stream
 * without seek table is spooled to an unlinked file. A shard, a truncated file, a file of a newer
 * nnclr.format: one sentence each. */
nnclr_tensor_reader *nnclr_tensor_reader_open(const char *path, nnclr_error *e);
/* A second reader of the same file, for another thread or another place in it: each holds the frame
 * that it read last. */
nnclr_tensor_reader *nnclr_tensor_reader_dup(const nnclr_tensor_reader *reader, nnclr_error *e);
void nnclr_tensor_reader_close(nnclr_tensor_reader *reader); /* NULL is fine */
/* The file's path: a RUN's is that of its checkpoint. */
const char *nnclr_tensor_reader_path(const nnclr_tensor_reader *reader);
size_t nnclr_tensor_reader_count(const nnclr_tensor_reader *reader);
const nnclr_tensor_info *nnclr_tensor_reader_info(const nnclr_tensor_reader *reader, size_t i);
/* NULL: no such tensor. */
const nnclr_tensor_info *nnclr_tensor_reader_find(const nnclr_tensor_reader *reader,
                                                  const char *name);
/* A value of __metadata__; NULL: no such key. */
const char *nnclr_tensor_reader_metadata(const nnclr_tensor_reader *reader, const char *key);
/* The file's nnclr.kind must be `kind` ("checkpoint", "embedding", ...); the message says what it
 * is instead. */
bool nnclr_tensor_reader_expect(const nnclr_tensor_reader *reader, const char *kind,
                                nnclr_error *e);
/* Reads bytes [skip, skip+size) of a tensor's data. */
bool nnclr_tensor_reader_read(nnclr_tensor_reader *reader, const nnclr_tensor_info *info,
                              uint64_t skip, void *to, size_t size, nnclr_error *e);
/* The whole tensor, which must have this name, dtype, and rank/dims (dims[i] < 0: any); the message
 * names what differs. The result is the caller's (nnclr_free); *info (may be NULL) is filled. */
void *nnclr_tensor_reader_load(nnclr_tensor_reader *reader, const char *name, nnclr_dtype dtype,
                               int rank, const int64_t *dims, nnclr_tensor_info *info,
                               nnclr_error *e);

/* zlib's crc32 of all tensors' data in file order: reads them all. */
bool nnclr_tensor_reader_crc32(nnclr_tensor_reader *reader, uint32_t *crc, nnclr_error *e);

typedef struct nnclr_tensor_writer nnclr_tensor_writer;

/* Declares all tensors; their data follow in that order through nnclr_tensor_writer_put, in pieces
 * of any size. Metadata gets "format":"pt", nnclr.kind, nnclr.format and nnclr.program added;
 * `metadata` (may be NULL) stays the caller's. A PATH ending in .safetensors is written plain,
 * any other (and "-") compressed at level 1. */
nnclr_tensor_writer *nnclr_tensor_writer_open(const char *path, const char *kind,
                                              const char *program, const nnclr_json *metadata,
                                              const nnclr_tensor_info *infos, size_t count,
                                              nnclr_error *e);
bool nnclr_tensor_writer_put(nnclr_tensor_writer *writer, const void *bytes, size_t size,
                             nnclr_error *e);
/* Both free `writer`. Commit fails, and leaves nothing, unless exactly the declared bytes came. */
bool nnclr_tensor_writer_commit(nnclr_tensor_writer *writer, nnclr_error *e);
void nnclr_tensor_writer_abandon(nnclr_tensor_writer *writer); /* NULL is fine */

#endif
