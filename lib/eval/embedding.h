/* Embedding files: tensor files of kind "embedding" (nnclr-tensor(5)), one row for each record of a
 * shard set, in record order, with its record number, label and name. Rows stay on disk and are
 * read in pieces; the rest is in memory. One thread uses a file at a time. */
#ifndef NNCLR_EVAL_EMBEDDING_H
#define NNCLR_EVAL_EMBEDDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "eval/neighbours.h"
#include "io/json.h"
#include "io/shard.h"
#include "io/tensor_file.h"

/* ---- reading ---- */

typedef struct nnclr_embedding {
    nnclr_row_source rows; /* n, d, and how to read rows; `rows.context` is this struct */
    int64_t *record;       /* [n], >= 0 */
    int64_t *label;        /* [n], index into classes; -1: none */
    char **classes;        /* in label order */
    size_t class_count;
    int64_t *bytes, *crc32; /* [n]: size of the encoded picture and zlib's checksum of it; NULL: an
                               older file, without them */
    char **names;           /* [n], into name_bytes */
    char *name_bytes;       /* the names, NUL-terminated, back to back */
    const char *config;     /* nnclr.config: how the rows were made; NULL: not recorded */
    nnclr_json *data;       /* nnclr.data: identity of the shards; NULL: not recorded */
    nnclr_tensor_reader *reader;
} nnclr_embedding;

/* Everything in the file is checked: shapes, labels against the classes, records, names. PATH "-"
 * is standard input. *x must not move while it is open. */
bool nnclr_embedding_open(nnclr_embedding *embedding, const char *path, nnclr_error *e);
/* The same for a reader that is already open, which it takes over, even on failure. */
bool nnclr_embedding_open_reader(nnclr_embedding *embedding, nnclr_tensor_reader *reader,
                                 nnclr_error *e);
void nnclr_embedding_close(nnclr_embedding *embedding); /* a zeroed one is fine */

/* out [other->rows.n]: the labels of `other` as labels of `x`, matched by class name. A row whose
 * class `x` does not have is an error that names the class. */
bool nnclr_embedding_map_labels(const nnclr_embedding *embedding, const nnclr_embedding *other,
                                int64_t *out, nnclr_error *e);

/* ---- writing ---- */

typedef struct nnclr_embedding_writer nnclr_embedding_writer;

/* One row of d for each record of `set`, which stays the caller's and must outlive the writer.
 * `config` (an object, the caller's) becomes nnclr.config. PATH as in nnclr_tensor_writer_open. */
nnclr_embedding_writer *nnclr_embedding_writer_open(const char *path, const char *program,
                                                    const nnclr_shard_set *set, int d,
                                                    const nnclr_json *config, nnclr_error *e);
/* The next `count` rows [count][d]. */
bool nnclr_embedding_writer_put(nnclr_embedding_writer *writer, const float *rows, int64_t count,
                                nnclr_error *e);
/* Both free. */
bool nnclr_embedding_writer_commit(nnclr_embedding_writer *writer, nnclr_error *e);
void nnclr_embedding_writer_abandon(nnclr_embedding_writer *writer); /* NULL is fine */

#endif
