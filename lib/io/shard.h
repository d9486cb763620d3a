/* Shards: pictures with labels in a WebDataset tar, in zstd frames, with an index and a seek table
 * after it. nnclr-shard(5) describes the format; shard_writer.c writes it, shard_reader.c reads one
 * file, shard_set.c makes several files one numbered set. */
#ifndef NNCLR_IO_SHARD_H
#define NNCLR_IO_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strings.h"
#include "io/input.h"
#include "io/json.h"

enum { NNCLR_SHARD_FORMAT = 1, NNCLR_SHARD_FRAME = 128 * 1024 };

typedef enum nnclr_codec {
    NNCLR_CODEC_JPEG,
    NNCLR_CODEC_PNG,
    NNCLR_CODEC_PPM,
    NNCLR_CODECS
} nnclr_codec;
/* By value: "jpg", "png", "ppm", also the member's suffix; and as what browsers show it, or NULL.
 */
typedef struct nnclr_codec_row {
    const char *name, *type;
} nnclr_codec_row;
extern const nnclr_codec_row nnclr_codecs[NNCLR_CODECS];

typedef struct nnclr_record {
    const char *name;  /* original name: any bytes but NUL */
    int64_t label;     /* index into the classes; -1: none */
    int width, height; /* after EXIF orientation */
    nnclr_codec codec;
    size_t size;    /* of the encoded picture, bytes */
    uint32_t crc32; /* zlib's, of these bytes; a writer computes it anew */
} nnclr_record;

/* ---- writing ---- */

typedef struct nnclr_shard_writer nnclr_shard_writer;

typedef struct nnclr_shard_options {
    const char *output;    /* path, "-", or with shard_size the prefix of PREFIX-NNNNNN.tar.zst */
    const int *descriptor; /* what the one file is written to instead, and stays the caller's; NULL:
                              none */
    bool plain;            /* the tar alone: not compressed, no index; PREFIX-NNNNNN.tar */
    uint64_t shard_size;   /* start a new file before one would exceed this; 0: one file */
    const char *const *classes; /* names in label order */
    size_t class_count;
    const char *program; /* name and version, kept in the first member */
    int level;           /* zstd's, 3 */
} nnclr_shard_options;

/* The name of file `number` of a split set with this prefix; appended to `out`. */
bool nnclr_shard_name_of(const char *prefix, size_t number, bool plain, nnclr_buffer *out,
                         nnclr_error *e);

/* Everything in `options` is copied. A class name that is not UTF-8 is kept as nnclr_escape writes
 * it; names must differ. */
nnclr_shard_writer *nnclr_shard_writer_open(const nnclr_shard_options *options, nnclr_error *e);
/* A writer is used by one thread at a time; after a failure it can only be abandoned.
 *
 * Stores a record after the last one. `number` is its record number within the file, from which its
 * key is made; -1: the count of records before it in the same file. Numbers in an order other than
 * the stored one are allowed only without shard_size; commit fails unless they are 0..n-1, each
 * once. A file holds at most 999,999,999 records. */
bool nnclr_shard_writer_add(nnclr_shard_writer *writer, int64_t number, const nnclr_record *record,
                            const void *bytes, nnclr_error *e);
/* Both free. Commit makes every file of a split set appear under its name, or none; files that an
 * older, longer set of the same prefix left behind are removed, since they would mix with it. */
bool nnclr_shard_writer_commit(nnclr_shard_writer *writer, nnclr_error *e);
void nnclr_shard_writer_abandon(nnclr_shard_writer *writer); /* NULL is fine */

/* ---- reading ---- */

typedef struct nnclr_shard_set nnclr_shard_set;

/* Opens the files, in this order, as one set: record numbers run on. If the classes of one file
 * begin with those of every other one, as they do if all are the same, they are the set's and
 * labels stay what they are; otherwise class names are united and sorted by code point, and labels
 * renumbered by name. "-" (once) is standard input and is spooled. cache_bytes bounds the
 * decompressed frames that are kept in memory, and so does the memory that is available; what does
 * not fit is read again each time. A file without its end record, with a wrong checksum in index or
 * frames, or of another kind is refused with the reason. An empty set (no record) is refused. */
nnclr_shard_set *nnclr_shard_set_open(const char *const *paths, size_t count, uint64_t cache_bytes,
                                      nnclr_error *e);
/* The same for files that are open, as nnclr_pictures_open has them; the set takes each of them and
 * leaves it closed, also on failure. */
nnclr_shard_set *nnclr_shard_set_open_inputs(nnclr_input *inputs, size_t count,
                                             uint64_t cache_bytes, nnclr_error *e);
void nnclr_shard_set_close(nnclr_shard_set *set); /* NULL is fine */

size_t nnclr_shard_set_count(const nnclr_shard_set *set);
size_t nnclr_shard_set_class_count(const nnclr_shard_set *set);
/* The name of a class, valid as long as the set; `label` must be below the class count. */
const char *nnclr_shard_set_class(const nnclr_shard_set *set, size_t label);
/* The label of the class of that name; -1: there is none. */
int64_t nnclr_shard_set_find_class(const nnclr_shard_set *set, const char *name);
/* Its name is the set's and stays valid. `i` must be below the count, here and below. */
nnclr_record nnclr_shard_set_record(const nnclr_shard_set *set, size_t i);
/* The labels of all records, the caller's; NULL on failure. */
int64_t *nnclr_shard_set_labels(const nnclr_shard_set *set, nnclr_error *e);
/* Turns these [count], in place, into labels of `as`, by the names of the classes. One that `as`
 * does not have is an error of that code, which calls the two `path` and `of`. */
bool nnclr_shard_set_map_labels(const nnclr_shard_set *set, const char *path,
                                const nnclr_shard_set *as, const char *of, nnclr_code code,
                                int64_t *label, nnclr_error *e);
/* Puts the encoded picture of record i into `out` (emptied first), its crc32 verified. Any number
 * of threads may call it, each with its own buffer. */
bool nnclr_shard_set_read(nnclr_shard_set *set, size_t i, nnclr_buffer *out, nnclr_error *e);
/* The same for a reader of epochs, which asks for each record once in each (nnclr_shard_set_pin).
 */
bool nnclr_shard_set_read_in_epoch(nnclr_shard_set *set, size_t i, uint32_t epoch,
                                   nnclr_buffer *out, nnclr_error *e);
/* Record i is another reader's in this epoch: a frame that is kept does not wait for it. */
void nnclr_shard_set_pass_in_epoch(nnclr_shard_set *set, size_t i, uint32_t epoch);
/* Frames of all files, and the one that record i is in, numbered in the order of the files. Some
 * hold no record. */
size_t nnclr_shard_set_frame_count(const nnclr_shard_set *set);
size_t nnclr_shard_set_frame(const nnclr_shard_set *set, size_t i);
/* From now on a frame is kept, whatever cache_bytes says, until an epoch has read all its records:
 * for an order that dwells on few frames and reads each record once. Before any thread reads. */
bool nnclr_shard_set_pin(nnclr_shard_set *set, nnclr_error *e);
/* What a checkpoint remembers of the data: an array with {"records", "crc32"} of each file (of each
 * part of a concatenated one, so that `cat a b` and a, b are the same data). Owned by the caller.
 */
nnclr_json *nnclr_shard_set_identity(const nnclr_shard_set *set, nnclr_error *e);
/* Metadata of a tensor file that is made from a set: nnclr.classes, nnclr.data, and `config` as
 * nnclr.config. Owned by the caller. */
nnclr_json *nnclr_shard_set_metadata(const nnclr_shard_set *set, const nnclr_json *config,
                                     nnclr_error *e);
/* Bytes of all frames, decompressed: what a cache would hold. */
uint64_t nnclr_shard_set_bytes(const nnclr_shard_set *set);

#endif
