/* The bytes of an item of a source: of a file, which may be packed by gzip, or of the spool. */
#ifndef NNCLR_IMAGE_SOURCE_CONTENT_H
#define NNCLR_IMAGE_SOURCE_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strings.h"
#include "image/source_entries.h"

typedef struct nnclr_item_content {
    int fd; /* its own, or the spool's */
    uint64_t start, size;
} nnclr_item_content;

const char *nnclr_source_text_at(const nnclr_source *source, size_t at);

/* Appends a file's path, a member's name. */
bool nnclr_item_path(const nnclr_source *source, const nnclr_source_item *item, nnclr_buffer *path,
                     nnclr_error *e);
/* To be closed even if this fails. */
bool nnclr_item_open(const nnclr_source *source, const nnclr_source_item *item,
                     nnclr_item_content *c, nnclr_error *e);
void nnclr_item_close(const nnclr_source *source, const nnclr_item_content *c);
/* Do its first bytes begin a picture? Those of one that cannot be read do not, unless that is the
 * system's fault, which is an error. */
bool nnclr_item_is_picture(const nnclr_source *source, const nnclr_source_item *item, bool *picture,
                           nnclr_error *e);

#endif
