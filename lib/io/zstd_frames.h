/* Independent zstd frames, skippable frames and the seek table of zstd's contrib seekable format.
 *
 * A data frame always carries its content size and a checksum; there is no dictionary, no long
 * window and no zstd worker, so a frame's bytes depend on its content and level alone. The seek
 * table is our own code because libzstd installs none: its seekable format is source to be copied.
 */
#ifndef NNCLR_IO_ZSTD_FRAMES_H
#define NNCLR_IO_ZSTD_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strings.h"

enum {
    NNCLR_INDEX_MAGIC = 0x184D2A5A,     /* skippable frame that holds a shard's index */
    NNCLR_SEEKTABLE_MAGIC = 0x184D2A5E, /* skippable frame that holds a seek table */
    NNCLR_FRAME_LIMIT = 1 << 30         /* no frame of ours, or that we accept, is larger */
};

bool nnclr_is_skippable(uint32_t magic); /* the first four bytes of a skippable frame */
bool nnclr_is_zstd(uint32_t magic);      /* the first four bytes of a data frame */

/* Appends one frame that holds src[0..size). */
bool nnclr_frame_compress(const void *src, size_t size, int level, nnclr_buffer *out,
                          nnclr_error *e);

/* Upper bound of the bytes that such a frame takes. */
size_t nnclr_frame_bound(size_t size);

/* Whether a data frame carries a checksum, by its first bytes. */
enum { NNCLR_FRAME_START = 5 };
bool nnclr_frame_is_checked(const unsigned char start[NNCLR_FRAME_START]);
/* src holds exactly one data frame with content size and checksum: how large its content is. */
bool nnclr_frame_content(const void *src, size_t src_size, size_t *size, nnclr_error *e);
/* Such a frame, whose content is exactly `size` bytes. */
bool nnclr_frame_decompress(const void *src, size_t src_size, void *dst, size_t size,
                            nnclr_error *e);

/* Appends the 8-byte header of a skippable frame and its payload. */
bool nnclr_skippable_append(uint32_t magic, const void *payload, size_t size, nnclr_buffer *out,
                            nnclr_error *e);

/* Reads the frame, data or skippable, that starts at `offset` of a file into `out`, as it is. One
 * of more than `limit` bytes: true, with out->size 0. `name` is the file's. */
bool nnclr_frame_fetch(int fd, uint64_t file_size, uint64_t offset, size_t limit, const char *name,
                       nnclr_buffer *out, nnclr_error *e);

typedef struct nnclr_frame {
    uint64_t offset;       /* in the file */
    uint64_t start;        /* of its content, in the decompressed stream */
    uint32_t compressed;   /* bytes in the file, header included */
    uint32_t decompressed; /* 0 for a skippable frame */
    uint32_t checksum;     /* the frame's last four bytes; NNCLR_EMPTY_CHECKSUM: a skippable one */
} nnclr_frame;

/* Low half of XXH64 of nothing: what the table notes for a frame without content. */
#define NNCLR_EMPTY_CHECKSUM 0x51D8E999u

typedef struct nnclr_seek_table {
    nnclr_frame *frames; /* owned; in file order; the seek table itself is not among them */
    size_t count, capacity;
    bool unchecked; /* read from a file that others made, whose table holds no checksums */
} nnclr_seek_table;

void nnclr_seek_table_free(nnclr_seek_table *table);
/* Notes a frame after the last one; offset and start follow from those before. */
bool nnclr_seek_table_add(nnclr_seek_table *table, size_t compressed, size_t decompressed,
                          uint32_t checksum, nnclr_error *e);
/* Compresses src[0..size), appends the frame to `out` and notes it. */
bool nnclr_seek_table_compress(nnclr_seek_table *table, const void *src, size_t size, int level,
                               nnclr_buffer *out, nnclr_error *e);
/* Appends the table as a skippable frame. */
bool nnclr_seek_table_append(const nnclr_seek_table *table, nnclr_buffer *out, nnclr_error *e);

typedef enum nnclr_seek_state {
    NNCLR_SEEK_FOUND,  /* the table covers the file from byte 0 to the table */
    NNCLR_SEEK_ABSENT, /* no table at the end */
    NNCLR_SEEK_PART,   /* one that covers only the file's end (cat a b), or is damaged */
    NNCLR_SEEK_FAILED  /* *e is set: unreadable, or a table that contradicts itself */
} nnclr_seek_state;

/* Looks for a table at the end of a file of file_size bytes. `table` must be empty. */
nnclr_seek_state nnclr_seek_table_read(int fd, uint64_t file_size, const char *name,
                                       nnclr_seek_table *table, nnclr_error *e);

/* The same for a table frame in memory (skippable header included): false with *e set unless it is
 * whole and sound. Whether it covers what comes before it is for the caller to check. */
bool nnclr_seek_table_parse(const unsigned char *bytes, size_t size, nnclr_seek_table *table,
                            nnclr_error *e);

/* Reads a data frame that a table describes, in full, into `to` (frame->decompressed bytes), and
 * compares it with what the table says. `name` is the file's. */
bool nnclr_seek_table_load(const nnclr_seek_table *table, size_t i, int fd, const char *name,
                           void *to, nnclr_error *e);

/* Decompresses whatever zstd frames come from `fd` (a pipe or a file, at its current offset) into
 * `to`, checksums verified, skippable frames passed over. *written counts. A stream that stops
 * inside a frame is an error. */
bool nnclr_zstd_spool(int fd, int to, const char *name, uint64_t *written, nnclr_error *e);

#endif
