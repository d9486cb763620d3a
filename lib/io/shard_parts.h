/* What the shard files share among themselves: tar members, the index, one file's parts.
 *
 * A file is one part, or several if shards were concatenated. A part has its own classes, record
 * numbers from 0, and index; nothing in a part refers to another one. */
#ifndef NNCLR_IO_SHARD_PARTS_H
#define NNCLR_IO_SHARD_PARTS_H

#include "io/input.h"
#include "io/shard.h"
#include "io/zstd_frames.h"

#define NNCLR_SHARD_LAST "__nnclr__/end" /* name of a part's last tar member */

enum {
    NNCLR_TAR_BLOCK = 512,
    NNCLR_TAR_END = 2 * NNCLR_TAR_BLOCK, /* the zero blocks after the last member */
    NNCLR_SHARD_KEY_DIGITS = 9,
    NNCLR_SHARD_MAX_RECORDS = 999999999
};

/* ---- shard_tar.c ---- */

typedef struct nnclr_tar_header {
    char name[257]; /* "" if the block is not a member that concerns us */
    uint64_t size;
    bool regular;
} nnclr_tar_header;

/* Appends a member: ustar header, data, padding. Equal members have equal bytes. */
bool nnclr_tar_append(nnclr_buffer *out, const char *name, const void *bytes, size_t size,
                      nnclr_error *e);
/* Parses a block that is not all zero. */
bool nnclr_tar_parse(const unsigned char block[NNCLR_TAR_BLOCK], nnclr_tar_header *out,
                     nnclr_error *e);
uint64_t nnclr_tar_padding(uint64_t size); /* bytes that follow `size` bytes of data */

/* ---- shard_index.c ---- */

/* What is bounded by 32 bits takes no more: a set of millions keeps all entries in memory. */
typedef struct nnclr_index_entry {
    size_t name;     /* where it starts in names */
    int32_t number;  /* of the record, in its part */
    uint32_t frame;  /* of the part's frames */
    uint32_t offset; /* of the picture in the frame's content, at most NNCLR_FRAME_LIMIT */
    uint32_t length; /* the same */
    uint32_t crc32;
    int32_t label;
    int width, height;
    nnclr_codec codec;
} nnclr_index_entry;

typedef struct nnclr_index {
    nnclr_index_entry *entries; /* owned */
    size_t count, capacity;
    nnclr_buffer names; /* each with a NUL after it */
} nnclr_index;

void nnclr_index_free(nnclr_index *index);
/* Appends an entry; its `name` is set to where the name's `size` bytes are copied to. */
bool nnclr_index_add(nnclr_index *index, const nnclr_index_entry *entry, const char *name,
                     size_t size, nnclr_error *e);
/* Sorts by number, which must then be 0..count-1. */
bool nnclr_index_sort(nnclr_index *index, nnclr_error *e);
/* The safetensors document that a shard keeps, in the order of the entries. */
bool nnclr_index_print(const nnclr_index *index, nnclr_buffer *out, nnclr_error *e);
/* Upper bound of the bytes that an entry adds to the printed index. */
size_t nnclr_index_entry_bytes(const char *name);
size_t nnclr_index_header_bytes(void);
bool nnclr_index_parse(const unsigned char *bytes, size_t size, nnclr_index *out, nnclr_error *e);
/* The skippable frame around a printed index, and back. `content` gets the printed index. */
bool nnclr_index_pack(const nnclr_buffer *printed, int level, nnclr_buffer *out, nnclr_error *e);
bool nnclr_index_unpack(const unsigned char *frame, size_t size, nnclr_buffer *content,
                        nnclr_error *e);
/* Whether a skippable frame is an index, by its first 16 bytes. */
bool nnclr_index_recognise(const unsigned char *frame, size_t size);
uint32_t nnclr_crc32(uint32_t crc, const void *bytes, size_t size); /* zlib's; starts from 0 */

/* ---- shard_part.c ---- */

typedef struct nnclr_shard_part {
    nnclr_index index; /* sorted: entries[i].number == i */
    uint32_t index_crc;
    char **classes; /* owned, in the order of the part's labels */
    size_t class_count;
    nnclr_seek_table table; /* frames that the entries refer to */
} nnclr_shard_part;

typedef struct nnclr_shard_file {
    nnclr_input input;
    nnclr_shard_part *parts;
    size_t part_count, part_capacity;
    bool plain; /* frames are ranges of a decompressed copy: compressed == decompressed */
} nnclr_shard_file;

void nnclr_shard_file_close(nnclr_shard_file *file);
/* Appends an empty part; NULL on failure. Valid until the next call. */
nnclr_shard_part *nnclr_shard_file_add(nnclr_shard_file *file, nnclr_error *e);
/* Forgets all parts. */
void nnclr_shard_file_clear(nnclr_shard_file *file);

/* Refuses a name that occurs twice. */
bool nnclr_shard_check_classes(char *const *classes, size_t count, nnclr_error *e);
/* What the first and the last member say. */
bool nnclr_shard_parse_first(const char *text, size_t size, nnclr_shard_part *part, nnclr_error *e);
bool nnclr_shard_parse_last(const char *text, size_t size, int64_t *records, nnclr_error *e);
/* Checks entries against the classes and frames of their part, and sorts them. */
bool nnclr_shard_check(nnclr_shard_part *part, nnclr_error *e);

/* ---- shard_scan.c ---- */

/* Fills the parts of a file whose seek table does not cover it from the start. */
bool nnclr_shard_scan(nnclr_shard_file *file, nnclr_error *e);

/* ---- shard_reader.c ---- */

/* Takes the input, which is not open from then on. */
bool nnclr_shard_file_open(nnclr_input *from, nnclr_shard_file *file, nnclr_error *e);

/* ---- shard_set.c: what reading costs, which tests bound ---- */

/* Frames decompressed so far, and frames that nnclr_shard_set_pin keeps now. */
uint64_t nnclr_shard_set_frames_read(const nnclr_shard_set *set);
size_t nnclr_shard_set_frames_held(const nnclr_shard_set *set);

#endif
