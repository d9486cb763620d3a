/* Decompression of gzip streams, each of whose members is checked by its CRC and its length: a
 * check that libarchive does not make. One thread uses one. */
#ifndef NNCLR_IO_GUNZIP_H
#define NNCLR_IO_GUNZIP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The next compressed bytes, at least one; 0: the end; -1: *e is set. They are the source's, valid
 * until the next call. */
typedef struct nnclr_gunzip_source {
    long (*next)(void *context, const void **bytes, nnclr_error *e);
    void *context;
} nnclr_gunzip_source;

typedef struct nnclr_gunzip nnclr_gunzip;

/* Whether that is how a gzip stream starts. */
bool nnclr_is_gzip(const void *bytes, size_t size);

nnclr_gunzip *nnclr_gunzip_open(nnclr_gunzip_source source, nnclr_error *e);
void nnclr_gunzip_close(nnclr_gunzip *gunzip); /* NULL is fine */

/* The next decompressed bytes, as a source gives them. Members that follow each other are one
 * stream; zeros after the last one are padding. */
long nnclr_gunzip_next(nnclr_gunzip *gunzip, const void **bytes, nnclr_error *e);

#endif
