/* Reading whole files, reading at offsets, and writing so that a name never shows half a file. */
#ifndef NNCLR_BASE_FILES_H
#define NNCLR_BASE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/strings.h"

/* Opens a regular file with these flags of open(2). What is not one (a FIFO, a device, a folder) is
 * refused, and never waited for; so is a link with O_NOFOLLOW. -1 on failure, errno as open left it
 * if the file is not there. */
int nnclr_open_regular(const char *path, int flags, nnclr_error *e);

/* "-" stands for standard input, or where a file is written for standard output. NULL does not. */
bool nnclr_is_standard(const char *path);
/* What messages call the input at `path`: "standard input" or the path. */
const char *nnclr_input_name(const char *path);

/* Is it a folder, also through links? "-" is not one: it is standard input. */
bool nnclr_is_folder(const char *path);

/* The whole of a regular file of at most `limit` bytes into `out` (emptied first). */
bool nnclr_file_read(const char *path, size_t limit, nnclr_buffer *out, nnclr_error *e);

/* Reads exactly `size` bytes at `offset`; a short file is an input error that says so. Any number
 * of threads may read one descriptor. `name` is for the message. */
bool nnclr_read_at(int fd, void *to, size_t size, uint64_t offset, const char *name,
                   nnclr_error *e);
/* Writes all of it, retrying short writes and EINTR. */
bool nnclr_write_all(int fd, const void *from, size_t size, const char *name, nnclr_error *e);

/* A descriptor on an unlinked temporary file in $TMPDIR or /tmp; -1 on failure. */
int nnclr_temporary_fd(nnclr_error *e);
/* What such a file is called in a message that it cannot be written: its folder, and the advice to
 * set TMPDIR. */
enum { NNCLR_TEMPORARY_NAME = 600 };
void nnclr_temporary_name(char name[NNCLR_TEMPORARY_NAME]);
/* As nnclr_write_all, to such a file; if it fails, that is the message. */
bool nnclr_temporary_write(int fd, const void *from, size_t size, nnclr_error *e);

/* Which file a path names, however it is written and through whatever links: for one that is not
 * there yet, its folder and name. Files whose bytes do not stay (pipes, terminals, /dev/null) are
 * not known, and the same as no other. */
typedef struct nnclr_file_id {
    bool known;
    uint64_t device, inode;
    char name[256]; /* "": the file is there */
} nnclr_file_id;
nnclr_file_id nnclr_file_id_of(const struct stat *status);
bool nnclr_file_identify(const char *path, nnclr_file_id *id); /* false: it is not known */
bool nnclr_file_same(const nnclr_file_id *a, const nnclr_file_id *b);

/* An output under construction. PATH "-" is standard output. A regular file has no name while it is
 * written (O_TMPFILE), so that whatever ends the process leaves nothing behind; nnclr_output_commit
 * syncs it, names it .NAME.XXXXXX next to its place, renames it over PATH and syncs the folder. If
 * the file system offers no nameless files, it is .NAME.XXXXXX from the start, and stays there
 * after a kill -9. NAME is cut in it if the whole would be too long. The file keeps the
 * permissions, and if it may the owner, of one that it replaces. If PATH is a link, the file it
 * leads to is replaced, or made. A path that exists and is not a regular file (a FIFO, /dev/full)
 * is written directly. */
enum { NNCLR_TEMPORARY_EXTRA = 8 }; /* bytes that the temporary name has beyond NAME */
typedef struct nnclr_output nnclr_output;
nnclr_output *nnclr_output_open(const char *path, nnclr_error *e);
/* An output that is written to a descriptor, from its current offset; the descriptor stays the
 * caller's. `name` is for messages. */
nnclr_output *nnclr_output_open_fd(int fd, const char *name, nnclr_error *e);
bool nnclr_output_write(nnclr_output *output, const void *bytes, size_t size, nnclr_error *e);
uint64_t nnclr_output_size(const nnclr_output *output); /* bytes written so far */
/* For a writer of several files that get their names together, at the end: all of this one is
 * written. Syncs it; with `hold` it stays nameless and its descriptor open, otherwise it takes its
 * temporary name if it has none, and is closed. */
bool nnclr_output_finish(nnclr_output *output, bool hold, nnclr_error *e);
/* All three free `output`, also when they fail; after a failed commit nothing of it is left, unless
 * it was the folder that could not be synced: the whole file has its name then. */
bool nnclr_output_commit(nnclr_output *output, nnclr_error *e);
/* The same without syncing the folder, which is left to the writer of several files. */
bool nnclr_output_place(nnclr_output *output, nnclr_error *e);
void nnclr_output_abandon(nnclr_output *output); /* NULL is fine */
/* An output of these bytes, from open to commit. */
bool nnclr_file_write(const char *path, const void *bytes, size_t size, nnclr_error *e);

/* Syncs the folder that holds `path`, so that a rename or unlink in it survives power loss. */
bool nnclr_sync_folder_of(const char *path, nnclr_error *e);

/* Wall clock for rates and progress, seconds since some moment (CLOCK_MONOTONIC). */
double nnclr_now(void);

#endif
