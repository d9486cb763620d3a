/* Foreign archives (tar in any compression) by libarchive, whose header is included in archive.c
 * alone. A reader goes through once, from front to back, in one thread. */
#ifndef NNCLR_IO_ARCHIVE_H
#define NNCLR_IO_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/strings.h"
#include "io/input.h"

typedef struct nnclr_archive nnclr_archive;

/* PATH "-" is standard input. A file that is not an archive is refused. */
nnclr_archive *nnclr_archive_open(const char *path, nnclr_error *e);
/* A second look at a file that is open, from its start. */
nnclr_archive *nnclr_archive_open_input(const nnclr_input *input, nnclr_error *e);
/* A file that gzip or another of these compressions made, as an archive of one entry. */
nnclr_archive *nnclr_archive_open_packed(const char *path, nnclr_error *e);
void nnclr_archive_close(nnclr_archive *archive); /* NULL is fine */

typedef enum nnclr_archive_state {
    NNCLR_ARCHIVE_ENTRY, /* *name is set: the archive's own bytes, valid until the next call */
    NNCLR_ARCHIVE_END,
    NNCLR_ARCHIVE_FAILED
} nnclr_archive_state;

/* Goes to the next entry that is a regular file, or a link, which has no data of its own: *link is
 * set to the name of an earlier entry, or for a symbolic link to its text; otherwise it is NULL. */
nnclr_archive_state nnclr_archive_next(nnclr_archive *archive, const char **name, const char **link,
                                       nnclr_error *e);
bool nnclr_archive_is_symbolic(const nnclr_archive *archive); /* the link that was met last */
/* Appends the next `size` bytes of the current entry to `out`, or as many as there are left. */
bool nnclr_archive_start(nnclr_archive *archive, size_t size, nnclr_buffer *out, nnclr_error *e);
/* Appends what is left of the current entry to `out`; more than `limit` bytes: a limit error, and
 * the reader can still go on. */
bool nnclr_archive_data(nnclr_archive *archive, size_t limit, nnclr_buffer *out, nnclr_error *e);

#endif
