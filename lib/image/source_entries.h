/* What picture_source.c, which orders and serves the entries, and the three files that gather them
 * (source_folder.c, source_archive.c, source_list.c) share. */
#ifndef NNCLR_IMAGE_SOURCE_ENTRIES_H
#define NNCLR_IMAGE_SOURCE_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strings.h"
#include "image/picture_source.h"

typedef enum nnclr_source_kind {
    NNCLR_SOURCE_FILE,    /* BASE/NAME, or NAME where the input's base is empty */
    NNCLR_SOURCE_SPOOLED, /* `size` bytes at `offset` of the spool */
    NNCLR_SOURCE_LARGE,   /* an archive member over the limit: not kept */
    NNCLR_SOURCE_LINK     /* an archive's hard link that leads nowhere */
} nnclr_source_kind;

/* Texts are offsets into `texts`, which moves while it grows. */
typedef struct nnclr_source_item {
    size_t name;
    size_t class_size; /* bytes of `class`; 0: none */
    size_t class_name; /* for folders and archives the start of the name */
    int64_t label;
    nnclr_source_kind kind;
    uint32_t input;
    uint64_t offset, size; /* in the spool; of a link until it is resolved: its target's text */
} nnclr_source_item;

struct nnclr_source {
    nnclr_buffer texts; /* NUL-terminated */
    nnclr_source_item *items;
    size_t count, capacity;
    char **bases; /* one an input: the folder that its names lie below, or the archive's path */
    size_t base_count;
    char **classes;
    size_t class_count;
    int spool; /* -1: none */
    uint64_t spool_size;
    size_t file_limit;
};

/* Appends a text; *at is where. */
bool nnclr_source_text(nnclr_source *source, const char *text, size_t size, size_t *at,
                       nnclr_error *e);
/* Appends an item (label -1, file) with that name; *item may be changed until the next one. */
bool nnclr_source_add(nnclr_source *source, uint32_t input, const char *name, size_t size,
                      nnclr_source_item **item, nnclr_error *e);

/* They append items in no particular order, the list's in the list's order. */
bool nnclr_source_gather_folder(nnclr_source *source, uint32_t input, nnclr_error *e);
bool nnclr_source_gather_archive(nnclr_source *source, uint32_t input, const char *root,
                                 nnclr_error *e);
bool nnclr_source_gather_list(nnclr_source *source, uint32_t input, const char *list,
                              nnclr_error *e);

#endif
